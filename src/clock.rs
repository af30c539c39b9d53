//! Time as an argument: the only module that reads a clock or sleeps.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{Timestamp, TimestampArithmetic};

use crate::sync;

/// Where `now` comes from and how waiting is done.
#[async_trait]
pub trait Clock: Debug + Send + Sync {
    /// The present moment.
    fn now(&self) -> Timestamp;

    /// Returns once `duration` has passed on this clock.
    async fn sleep(&self, duration: Duration);
}

/// The moment `duration` after `at`, or the latest moment there is.
pub fn after(at: Timestamp, duration: impl Into<TimestampArithmetic>) -> Timestamp {
    at.saturating_add(duration).unwrap_or(Timestamp::MAX)
}

/// The machine's clock.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the machine's clock"
    )]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// A clock that moves only when it is set, or when a caller sleeps on it: a test that waits ten minutes takes none. Clones
/// share their time.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<Mutex<Timestamp>>);

impl ManualClock {
    /// A clock that stands at `start`.
    pub fn at(start: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(start)))
    }

    fn moment(&self) -> MutexGuard<'_, Timestamp> {
        sync::lock(&self.0)
    }

    /// Moves the clock forward.
    pub fn advance(&self, duration: Duration) {
        let mut moment = self.moment();
        *moment = after(*moment, duration);
    }

    /// Sets the clock, perhaps to an earlier moment, as a machine's clock may be set under a running program.
    pub fn set(&self, moment: Timestamp) {
        *self.moment() = moment;
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.moment()
    }

    async fn sleep(&self, duration: Duration) {
        self.advance(duration);
        tokio::task::yield_now().await;
    }
}
