//! Time as an argument. Only this module reads the machine's clock or sleeps.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{Timestamp, TimestampArithmetic};

use crate::sync;

/// A source of the current time, and a way to wait.
#[async_trait]
pub trait Clock: Debug + Send + Sync {
    /// Returns the current time.
    fn now(&self) -> Timestamp;

    /// Waits until `duration` has passed on this clock.
    async fn sleep(&self, duration: Duration);
}

/// Adds `duration` to `at`, up to the largest timestamp.
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

/// A clock for tests. It moves only when it is set or advanced, or when a caller sleeps on it, which returns at once.
/// Clones share their time.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<Mutex<Timestamp>>);

impl ManualClock {
    /// Creates a clock that shows `start`.
    pub fn at(start: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(start)))
    }

    fn time(&self) -> MutexGuard<'_, Timestamp> {
        sync::lock(&self.0)
    }

    /// Moves the clock forward.
    pub fn advance(&self, duration: Duration) {
        let mut time = self.time();
        *time = after(*time, duration);
    }

    /// Sets the clock. An earlier time is allowed, as a machine's clock may be set back while a program runs.
    pub fn set(&self, time: Timestamp) {
        *self.time() = time;
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.time()
    }

    async fn sleep(&self, duration: Duration) {
        self.advance(duration);
        tokio::task::yield_now().await;
    }
}
