//! The simulator's whole state.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::accounts::Accounts;
use crate::concurrency::InFlightRequests;
use crate::credits::Credits;
use crate::data_center::{DataCenter, DataCenterHost};
use crate::faults::Faults;
use crate::jobs::Jobs;
use crate::org::CrmOrg;
use crate::request_log::RequestLog;
use crate::settings::Settings;
use crate::time_source::TimeSource;

/// The state that all requests share.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) org: CrmOrg,
    /// The address of each data centre.
    pub(crate) hosts: Vec<DataCenterHost>,
    /// The accounts server of each data centre.
    pub(crate) accounts: Vec<Accounts>,
    pub(crate) jobs: Jobs,
    pub(crate) credits: Credits,
    pub(crate) faults: Faults,
    pub(crate) request_log: RequestLog,
    pub(crate) in_flight: InFlightRequests,
    pub(crate) rng: fastrand::Rng,
    pub(crate) latency: Duration,
    pub(crate) job_duration: Duration,
    time_source: TimeSource,
    /// How far `POST /_sim/clock` has moved the clock.
    clock_offset: SignedDuration,
}

impl State {
    /// The state of a new simulator.
    pub(crate) fn new(settings: Settings, org: CrmOrg, hosts: Vec<DataCenterHost>) -> Self {
        let mut rng = fastrand::Rng::with_seed(settings.rude.unwrap_or_default());
        let faults = match settings.rude {
            Some(_) => Faults::rude(&mut rng),
            None => Faults::default(),
        };
        Self {
            org,
            hosts,
            accounts: DataCenter::ALL.map(Accounts::new).into(),
            jobs: Jobs::default(),
            credits: Credits::default(),
            faults,
            request_log: RequestLog::default(),
            in_flight: InFlightRequests::default(),
            rng,
            latency: settings.latency,
            job_duration: settings.job_duration,
            time_source: settings.time_source,
            clock_offset: SignedDuration::ZERO,
        }
    }

    /// The current time: the time source plus the admin's offset.
    pub(crate) fn now(&self) -> Timestamp {
        self.time_source
            .now()
            .saturating_add(self.clock_offset)
            .unwrap_or(Timestamp::MAX)
    }

    /// Moves the clock by a number of seconds, which may be negative.
    pub(crate) fn advance_clock(&mut self, seconds: i64) {
        self.clock_offset = self
            .clock_offset
            .saturating_add(SignedDuration::from_secs(seconds));
        self.advance_jobs();
    }

    /// Brings all jobs to the current time.
    pub(crate) fn advance_jobs(&mut self) {
        let now = self.now();
        self.jobs.advance(&mut self.org, now);
    }

    /// The counts of `GET /_sim/stats`.
    pub(crate) fn stats(&self) -> Value {
        let mut stats = self.request_log.counts();
        let issued: u64 = self.accounts.iter().map(Accounts::tokens_issued).sum();
        stats.insert("max_in_flight".to_owned(), json!(self.in_flight.max()));
        stats.insert("tokens_minted".to_owned(), json!(issued));
        stats.insert("credits_used".to_owned(), json!(self.credits.used));
        Value::Object(stats)
    }
}
