//! Time as an argument: the only module that reads a clock or sleeps.

use std::fmt::Debug;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::{Timestamp, TimestampArithmetic};

/// Where `now` comes from and how waiting is done.
#[async_trait]
pub trait Clock: Debug + Send + Sync {
    /// The present moment.
    fn now(&self) -> Timestamp;

    /// Time that only passes, however the clock is set, counted from some moment of this process.
    fn passed(&self) -> Duration;

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

    fn passed(&self) -> Duration {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        START.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// A clock that moves only when told to, or when somebody sleeps on it: a test that waits ten minutes takes none.
/// Clones share their time.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<Mutex<Manual>>);

#[derive(Debug)]
struct Manual {
    now: Timestamp,
    passed: Duration,
}

impl ManualClock {
    /// A clock that stands at `start`.
    pub fn at(start: Timestamp) -> Self {
        let passed = Duration::ZERO;
        Self(Arc::new(Mutex::new(Manual { now: start, passed })))
    }

    fn hands(&self) -> MutexGuard<'_, Manual> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves the clock forward: so much time passes.
    pub fn advance(&self, duration: Duration) {
        let mut hands = self.hands();
        hands.now = after(hands.now, duration);
        hands.passed = hands.passed.saturating_add(duration);
    }

    /// Sets the clock to a moment, perhaps an earlier one, as a machine's clock may be set under a running program. No time
    /// passes.
    pub fn set(&self, moment: Timestamp) {
        self.hands().now = moment;
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.hands().now
    }

    fn passed(&self) -> Duration {
        self.hands().passed
    }

    async fn sleep(&self, duration: Duration) {
        self.advance(duration);
        tokio::task::yield_now().await;
    }
}
