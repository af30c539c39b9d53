//! Time as an argument. Only this module reads the machine's clock or sleeps.

use std::fmt::Debug;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::{Timestamp, TimestampArithmetic};

use crate::sync;

/// A source of the current time, and a way to wait.
#[async_trait]
pub trait Clock: Debug + Send + Sync {
    /// Returns the current time.
    fn now(&self) -> Timestamp;

    /// Returns the time that this process has seen pass since some moment. Setting the machine's clock does not change it.
    fn elapsed(&self) -> Duration;

    /// Waits until `duration` has passed on this clock.
    async fn sleep(&self, duration: Duration);
}

/// Adds `duration` to `at`, up to the largest timestamp.
pub fn after(at: Timestamp, duration: impl Into<TimestampArithmetic>) -> Timestamp {
    at.saturating_add(duration).unwrap_or(Timestamp::MAX)
}

/// A moment early in the life of this process.
static FIRST_USE: LazyLock<Instant> = LazyLock::new(Instant::now);

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

    fn elapsed(&self) -> Duration {
        FIRST_USE.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// A clock for tests. It moves only when it is set or advanced, or when a caller sleeps on it, which returns at once.
/// Clones share their time.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<Mutex<ManualTime>>);

#[derive(Debug)]
struct ManualTime {
    now: Timestamp,
    elapsed: Duration,
}

impl ManualClock {
    /// Creates a clock that shows `start`.
    pub fn at(start: Timestamp) -> Self {
        let elapsed = Duration::ZERO;
        Self(Arc::new(Mutex::new(ManualTime {
            now: start,
            elapsed,
        })))
    }

    fn time(&self) -> MutexGuard<'_, ManualTime> {
        sync::lock(&self.0)
    }

    /// Lets time pass.
    pub fn advance(&self, duration: Duration) {
        let mut time = self.time();
        time.now = after(time.now, duration);
        time.elapsed = time.elapsed.saturating_add(duration);
    }

    /// Sets the clock, as an administrator or a time server does: no time passes. An earlier time is allowed.
    pub fn set(&self, now: Timestamp) {
        self.time().now = now;
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.time().now
    }

    fn elapsed(&self) -> Duration {
        self.time().elapsed
    }

    async fn sleep(&self, duration: Duration) {
        self.advance(duration);
        tokio::task::yield_now().await;
    }
}
