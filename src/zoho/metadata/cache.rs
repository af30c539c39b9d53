//! A cache of lists. Of concurrent readers of the same key one sends a request, and all share its outcome.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;

use super::{CACHE_LIFETIME, Freshness};
use crate::clock::{Clock, after};
use crate::codes::Cause;
use crate::outcome::Refusal;
use crate::sync;
use crate::zoho::{Error, NEXT_TURN, time_left};

/// Entries that the cache holds before it drops the expired ones.
const CAPACITY: usize = 64;

/// A cache by key.
pub(super) struct Cache<K, T: ?Sized>(Mutex<HashMap<K, Arc<Entry<T>>>>);

struct Entry<T: ?Sized> {
    /// Completed reads, successful or not.
    reads: AtomicU64,
    last: tokio::sync::Mutex<Option<LatestRead<T>>>,
}

/// The latest read.
struct LatestRead<T: ?Sized> {
    number: u64,
    outcome: Result<Arc<T>, Error>,
    valid_until: Timestamp,
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

impl<T: ?Sized> Default for Entry<T> {
    fn default() -> Self {
        Self {
            reads: AtomicU64::new(0),
            last: tokio::sync::Mutex::default(),
        }
    }
}

impl<K: Clone + Eq + Hash, T: ?Sized> Cache<K, T> {
    /// The cached outcome for `key`, or that of `read`. An error is shared with concurrent readers and not cached, except
    /// for a missing scope, which is cached like a list.
    pub(super) async fn get<R: Future<Output = Result<Arc<T>, Error>>>(
        &self,
        key: &K,
        freshness: Freshness,
        give_up: Timestamp,
        clock: &dyn Clock,
        read: impl FnOnce() -> R,
    ) -> Result<Arc<T>, Error> {
        let entry = self.entry(key, clock.now());
        let started = entry.reads.load(Ordering::Acquire);
        let left = time_left(clock.now(), give_up);
        let Ok(mut last) = tokio::time::timeout(left, entry.last.lock()).await else {
            let happened = "the turn was over before Zoho answered with the org's metadata";
            let why = Refusal::with(Cause::TimedOut, happened);
            return Err(Error::RetryLater(why, NEXT_TURN));
        };
        let now = clock.now();
        let is_sufficient = |last: &&LatestRead<T>| {
            last.number > started || (freshness == Freshness::Cached && now < last.valid_until)
        };
        if let Some(last) = last.as_ref().filter(is_sufficient) {
            return last.outcome.clone();
        }
        // Boxed, because this future is large, and most callers find the outcome cached.
        let outcome = Box::pin(read()).await;
        let cacheable = match &outcome {
            Ok(_) => true,
            Err(failed) => failed.lacks_scope(),
        };
        let now = clock.now();
        *last = Some(LatestRead {
            number: entry.reads.fetch_add(1, Ordering::AcqRel) + 1,
            outcome: outcome.clone(),
            valid_until: if cacheable {
                after(now, CACHE_LIFETIME)
            } else {
                now
            },
        });
        outcome
    }

    /// The number of completed reads of a key.
    pub(super) fn reads(&self, key: &K) -> u64 {
        let entries = sync::lock(&self.0);
        let reads = |entry: &Arc<Entry<T>>| entry.reads.load(Ordering::Acquire);
        entries.get(key).map_or(0, reads)
    }

    fn entry(&self, key: &K, now: Timestamp) -> Arc<Entry<T>> {
        let mut entries = sync::lock(&self.0);
        if entries.len() >= CAPACITY && !entries.contains_key(key) {
            // A reader that waits for an entry holds a reference to it.
            entries.retain(|_, entry| Arc::strong_count(entry) > 1 || entry.is_valid(now));
        }
        entries.entry(key.clone()).or_default().clone()
    }
}

impl<T: ?Sized> Entry<T> {
    fn is_valid(&self, now: Timestamp) -> bool {
        let last = self.last.try_lock();
        last.is_ok_and(|last| last.as_ref().is_some_and(|last| now < last.valid_until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use std::sync::atomic::AtomicU32;
    use std::time::Duration;

    struct World {
        cache: Cache<u32, str>,
        clock: ManualClock,
        reads: AtomicU32,
    }

    impl World {
        fn new() -> Self {
            Self {
                cache: Cache::default(),
                clock: ManualClock::at(Timestamp::from_second(1_800_000_000).expect("a time")),
                reads: AtomicU32::new(0),
            }
        }

        async fn get(
            &self,
            freshness: Freshness,
            outcome: Result<&str, Error>,
        ) -> Result<Arc<str>, Error> {
            let read = async || {
                self.reads.fetch_add(1, Ordering::Relaxed);
                // Lets the other readers start.
                tokio::task::yield_now().await;
                outcome.map(Arc::from)
            };
            let give_up = self.clock.now() + Duration::from_secs(60);
            self.cache
                .get(&1, freshness, give_up, &self.clock, read)
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
    async fn concurrent_readers_share_one_read_and_its_error() {
        let world = World::new();
        let readers = (0..1_000).map(|_| world.get(Freshness::Cached, Err(refused("X"))));
        let outcomes = futures_util::future::join_all(readers).await;
        assert!(outcomes.iter().all(|outcome| *outcome == Err(refused("X"))));
        assert_eq!(world.reads(), 1);
        // An error is not cached.
        let readers = (0..1_000).map(|_| world.get(Freshness::Cached, Ok("a")));
        let outcomes = futures_util::future::join_all(readers).await;
        assert!(outcomes.iter().all(|outcome| *outcome == Ok("a".into())));
        assert_eq!(world.reads(), 1);
    }

    #[tokio::test]
    async fn entry_is_cached_ten_minutes_unless_fresh_is_wanted() {
        let world = World::new();
        let read = |freshness, value| world.get(freshness, Ok(value));
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
    async fn missing_scope_is_cached_like_a_list() {
        let world = World::new();
        let missing = || refused("OAUTH_SCOPE_MISMATCH");
        for _ in 0..3 {
            let outcome = world.get(Freshness::Cached, Err(missing())).await;
            assert_eq!(outcome, Err(missing()));
        }
        assert_eq!(world.reads(), 1);
        world.clock.advance(CACHE_LIFETIME);
        assert_eq!(world.get(Freshness::Cached, Ok("a")).await, Ok("a".into()));
    }

    #[tokio::test]
    async fn expired_entries_are_dropped_beyond_capacity() {
        let world = World::new();
        let give_up = world.clock.now() + Duration::from_secs(60);
        for key in 0..200 {
            let read = async || Ok(Arc::from("a"));
            let outcome = world
                .cache
                .get(&key, Freshness::Cached, give_up, &world.clock, read)
                .await;
            assert_eq!(outcome, Ok("a".into()));
            world.clock.advance(Duration::from_secs(20));
        }
        let cached = world.cache.0.lock().expect("the cache").len();
        assert!(cached <= CAPACITY, "{cached}");
    }
}
