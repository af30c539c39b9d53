//! What was read, for as long as it is good. Of many that ask at once, one reads and all take what it found.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::{Freshness, KEPT_FOR};
use crate::clock::Clock;
use crate::codes::Cause;
use crate::outcome::Refusal;
use crate::zoho::{Error, NEXT_TURN, after};

/// So many things are kept before those that are no longer good are dropped.
const ROOM: usize = 64;

/// What is known by a key.
pub(super) struct Cache<K, T: ?Sized>(Mutex<HashMap<K, Arc<Slot<T>>>>);

struct Slot<T: ?Sized> {
    /// Readings that have come to an end, well or not.
    ended: AtomicU64,
    last: tokio::sync::Mutex<Option<Last<T>>>,
}

/// The last reading.
struct Last<T: ?Sized> {
    number: u64,
    outcome: Result<Arc<T>, Error>,
    good_until: Timestamp,
}

impl<K, T: ?Sized> Default for Cache<K, T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K, T: ?Sized> fmt::Debug for Cache<K, T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Cache").finish_non_exhaustive()
    }
}

impl<T: ?Sized> Default for Slot<T> {
    fn default() -> Self {
        Self {
            ended: AtomicU64::new(0),
            last: tokio::sync::Mutex::default(),
        }
    }
}

impl<K: Clone + Eq + Hash, T: ?Sized> Cache<K, T> {
    /// What is kept under `key`, or what `read` finds. An error is for those who waited for it and for nobody after
    /// them, but for a missing scope: that stays missing for as long as anything else is good.
    pub(super) async fn get(
        &self,
        key: &K,
        reading: Freshness,
        give_up: Timestamp,
        clock: &dyn Clock,
        read: impl Future<Output = Result<Arc<T>, Error>>,
    ) -> Result<Arc<T>, Error> {
        let slot = self.slot(key, clock.now());
        let asked = slot.ended.load(Ordering::Acquire);
        let left = Duration::try_from(give_up.duration_since(clock.now())).unwrap_or_default();
        let Ok(mut last) = tokio::time::timeout(left, slot.last.lock()).await else {
            let happened = "the turn was over before Zoho told what its org is like";
            let why = Refusal::with(Cause::TimedOut, happened);
            return Err(Error::RetryLater(why, NEXT_TURN));
        };
        let now = clock.now();
        let will_do = |last: &&Last<T>| {
            last.number > asked || (reading == Freshness::Cached && now < last.good_until)
        };
        if let Some(last) = last.as_ref().filter(will_do) {
            return last.outcome.clone();
        }
        let outcome = read.await;
        let good = match &outcome {
            Ok(_) => true,
            Err(failed) => failed.lacks_scope(),
        };
        let now = clock.now();
        *last = Some(Last {
            number: slot.ended.fetch_add(1, Ordering::AcqRel) + 1,
            outcome: outcome.clone(),
            good_until: if good { after(now, KEPT_FOR) } else { now },
        });
        outcome
    }

    /// Readings that have come to an end: if it was higher after a question than before, the answer was not kept from long ago.
    pub(super) fn readings(&self, key: &K) -> u64 {
        let slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = |slot: &Arc<Slot<T>>| slot.ended.load(Ordering::Acquire);
        slots.get(key).map_or(0, ended)
    }

    fn slot(&self, key: &K, now: Timestamp) -> Arc<Slot<T>> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= ROOM && !slots.contains_key(key) {
            // Whoever waits for one has it in hand.
            slots.retain(|_, slot| Arc::strong_count(slot) > 1 || slot.is_good(now));
        }
        slots.entry(key.clone()).or_default().clone()
    }
}

impl<T: ?Sized> Slot<T> {
    fn is_good(&self, now: Timestamp) -> bool {
        let last = self.last.try_lock();
        last.is_ok_and(|last| last.as_ref().is_some_and(|last| now < last.good_until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use std::sync::atomic::AtomicU32;

    struct World {
        cache: Cache<u32, str>,
        clock: ManualClock,
        reads: AtomicU32,
    }

    impl World {
        fn new() -> Self {
            Self {
                cache: Cache::default(),
                clock: ManualClock::at(Timestamp::from_second(1_800_000_000).expect("a moment")),
                reads: AtomicU32::new(0),
            }
        }

        async fn get(
            &self,
            reading: Freshness,
            outcome: Result<&str, Error>,
        ) -> Result<Arc<str>, Error> {
            let read = async {
                self.reads.fetch_add(1, Ordering::Relaxed);
                // Others ask while this is under way.
                tokio::task::yield_now().await;
                outcome.map(Arc::from)
            };
            let give_up = self.clock.now() + Duration::from_secs(60);
            self.cache
                .get(&1, reading, give_up, &self.clock, read)
                .await
        }

        fn reads(&self) -> u32 {
            self.reads.swap(0, Ordering::Relaxed)
        }
    }

    fn refused(code: &str) -> Error {
        Error::Refused(Refusal::zoho(code.to_owned(), String::new()))
    }

    #[tokio::test]
    async fn a_thousand_who_ask_at_once_read_once_and_share_even_an_error() {
        let world = World::new();
        let asking = (0..1_000).map(|_| world.get(Freshness::Cached, Err(refused("X"))));
        let outcomes = futures_util::future::join_all(asking).await;
        assert!(outcomes.iter().all(|outcome| *outcome == Err(refused("X"))));
        assert_eq!(world.reads(), 1);
        // An error is not kept.
        let asking = (0..1_000).map(|_| world.get(Freshness::Cached, Ok("a")));
        let outcomes = futures_util::future::join_all(asking).await;
        assert!(outcomes.iter().all(|outcome| *outcome == Ok("a".into())));
        assert_eq!(world.reads(), 1);
    }

    #[tokio::test]
    async fn what_was_read_is_good_for_ten_minutes_unless_somebody_wants_it_fresh() {
        let world = World::new();
        let read = |reading, value| world.get(reading, Ok(value));
        assert_eq!(read(Freshness::Cached, "a").await, Ok("a".into()));
        world.clock.advance(Duration::from_secs(599));
        assert_eq!(read(Freshness::Cached, "b").await, Ok("a".into()));
        assert_eq!(world.reads(), 1);
        assert_eq!(read(Freshness::Fresh, "b").await, Ok("b".into()));
        assert_eq!(read(Freshness::Cached, "c").await, Ok("b".into()));
        assert_eq!(world.reads(), 1);
        world.clock.advance(Duration::from_secs(600));
        assert_eq!(read(Freshness::Cached, "c").await, Ok("c".into()));
    }

    #[tokio::test]
    async fn a_missing_scope_is_not_asked_for_again_until_it_may_be_there() {
        let world = World::new();
        let missing = || refused("OAUTH_SCOPE_MISMATCH");
        for _ in 0..3 {
            let outcome = world.get(Freshness::Cached, Err(missing())).await;
            assert_eq!(outcome, Err(missing()));
        }
        assert_eq!(world.reads(), 1);
        world.clock.advance(KEPT_FOR);
        assert_eq!(world.get(Freshness::Cached, Ok("a")).await, Ok("a".into()));
    }

    #[tokio::test]
    async fn names_that_nobody_asks_for_any_more_are_dropped() {
        let world = World::new();
        let give_up = world.clock.now() + Duration::from_secs(60);
        for key in 0..200 {
            let read = async { Ok(Arc::from("a")) };
            let outcome = world
                .cache
                .get(&key, Freshness::Cached, give_up, &world.clock, read)
                .await;
            assert_eq!(outcome, Ok("a".into()));
            world.clock.advance(Duration::from_secs(20));
        }
        let kept = world.cache.0.lock().expect("kept").len();
        assert!(kept <= ROOM, "{kept}");
    }
}
