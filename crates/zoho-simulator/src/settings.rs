//! The settings of a simulator.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::time_source::TimeSource;

/// The settings of a new simulator. By default it adds no latency and no faults.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Address to listen on; port 0 takes a free one. The other data centres listen on the same IP address, on free ports.
    pub listen: SocketAddr,
    /// The clock for token expiry, quotas and job progress.
    pub time_source: TimeSource,
    /// Real delay of every CRM request.
    pub latency: Duration,
    /// How long a scheduled job takes from `SCHEDULED` to its end, on the time source.
    pub job_duration: Duration,
    /// Number of records by module, instead of the seeded number.
    pub records: BTreeMap<String, u64>,
    /// Seed for random faults: latency, 429, 5xx, HTML pages, connection resets, and a random choice for every point on
    /// which Zoho's documents disagree.
    pub rude: Option<u64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            time_source: TimeSource::system(),
            latency: Duration::ZERO,
            job_duration: Duration::from_secs(3),
            records: BTreeMap::new(),
            rude: None,
        }
    }
}
