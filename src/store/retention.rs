//! How long finished jobs and dead letters are stored.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::{Clock, SystemClock, after};

/// The default retention.
const DEFAULT_PERIOD: Duration = Duration::from_secs(30 * 24 * 3600);

/// How long finished jobs and dead letters are stored, and by which clock.
///
/// DynamoDB deletes rows at a time of day, by AWS's clock. The clock that computes it cannot be far off, because AWS refuses
/// requests that are signed more than five minutes early or late. SQLite counts the time that the server has run.
#[derive(Clone, Debug)]
pub struct Retention {
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The period.
    pub period: Duration,
}

impl Retention {
    /// When a job that finishes now is deleted.
    pub fn expires_at(&self) -> Timestamp {
        after(self.clock.now(), self.period)
    }
}

impl Default for Retention {
    /// 30 days by the machine's clock.
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            period: DEFAULT_PERIOD,
        }
    }
}
