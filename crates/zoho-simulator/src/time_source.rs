//! The time source of a simulator.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

/// A source of the current time, for token expiry, quotas and job progress. Clones share it.
///
/// A test passes a closure over its own clock, so that client and simulator agree on the time:
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use zoho_simulator::TimeSource;
///
/// let now = Arc::new(Mutex::new("2026-11-01T12:00:00Z".parse::<jiff::Timestamp>().unwrap()));
/// let shared = Arc::clone(&now);
/// let time_source = TimeSource::from_fn(move || *shared.lock().unwrap());
/// assert_eq!(time_source.now(), *now.lock().unwrap());
/// ```
#[derive(Clone)]
pub struct TimeSource(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl TimeSource {
    /// The machine's clock.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the machine's clock"
    )]
    pub fn system() -> Self {
        Self::from_fn(Timestamp::now)
    }

    /// A time source that returns whatever `now` returns.
    pub fn from_fn(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The current time.
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl fmt::Debug for TimeSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "TimeSource({})", self.now())
    }
}

/// A clock that moves only when a test advances it. Clones share their time.
#[cfg(test)]
#[derive(Clone)]
pub(crate) struct ManualClock(Arc<std::sync::Mutex<Timestamp>>);

#[cfg(test)]
impl ManualClock {
    pub(crate) fn at(start: Timestamp) -> Self {
        Self(Arc::new(std::sync::Mutex::new(start)))
    }

    pub(crate) fn advance(&self, duration: std::time::Duration) {
        *self.0.lock().unwrap() += duration;
    }

    pub(crate) fn time_source(&self) -> TimeSource {
        let now = Arc::clone(&self.0);
        TimeSource::from_fn(move || *now.lock().unwrap())
    }
}
