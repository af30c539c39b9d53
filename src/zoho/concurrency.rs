//! Limits the calls of a connection that are under way at once: in this process, or in all processes that share permits.
//!
//! Each call holds a permit. A shared permit is a lock in a store; the process keeps it for later calls and releases it at
//! the end of a turn. A crashed process loses its permits after [`LEASE`].

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::Semaphore;

use crate::clock::{Clock, after};
use crate::sync;

/// How long a permit is leased. No call takes that long.
const LEASE: Duration = Duration::from_secs(120);

/// A permit that expires sooner than this is renewed before it is used.
const MARGIN: Duration = Duration::from_secs(60);

/// How long a process waits before it tries for another permit after it found all of them taken.
const FULL_FOR: Duration = Duration::from_secs(2);

/// A store in which processes share permits. Its errors are texts: if it fails, each process continues alone.
#[async_trait]
pub trait SharedPermits: fmt::Debug + Send + Sync {
    /// Acquires or renews a permit until `until`; false if another process holds it.
    ///
    /// # Errors
    /// The store does not answer.
    async fn acquire(&self, permit: &str, now: Timestamp, until: Timestamp)
    -> Result<bool, String>;

    /// Releases a permit.
    async fn release(&self, permit: &str);
}

/// The concurrency limit of a connection, or of one kind of its calls.
#[derive(Debug)]
pub(crate) struct ConcurrencyLimit {
    name: String,
    limit: usize,
    clock: Arc<dyn Clock>,
    store: Option<Arc<dyn SharedPermits>>,
    /// One semaphore permit for each permit in `state.free`.
    free: Semaphore,
    state: Mutex<State>,
    /// Locked while a task tries for another shared permit.
    growing: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    ours: HashSet<usize>,
    free: Vec<(usize, Timestamp)>,
    full_until: Option<Timestamp>,
}

/// The permission for one call.
#[derive(Debug)]
pub(crate) struct Permit<'a> {
    limit: &'a ConcurrencyLimit,
    number: usize,
    until: Timestamp,
}

/// Other processes hold every permit.
#[derive(Debug)]
pub(crate) struct LimitReached;

impl ConcurrencyLimit {
    /// A limit for this process alone.
    pub(super) fn new(name: String, limit: usize, clock: Arc<dyn Clock>) -> Self {
        let free = (0..limit).map(|number| (number, Timestamp::MAX));
        Self {
            name,
            limit,
            clock,
            store: None,
            free: Semaphore::new(limit),
            state: Mutex::new(State {
                ours: (0..limit).collect(),
                free: free.collect(),
                full_until: None,
            }),
            growing: tokio::sync::Mutex::default(),
        }
    }

    /// The same limit, shared with other processes.
    pub(super) fn shared(self, store: Arc<dyn SharedPermits>) -> Self {
        Self {
            store: Some(store),
            free: Semaphore::new(0),
            state: Mutex::default(),
            ..self
        }
    }

    /// Waits for a permit of this process, or acquires another shared one.
    pub(super) async fn acquire(&self) -> Result<Permit<'_>, LimitReached> {
        loop {
            let permit = match self.free.try_acquire() {
                Ok(permit) => permit,
                Err(_) => tokio::select! {
                    biased;
                    permit = self.free.acquire() => permit.map_err(|_| LimitReached)?,
                    more = self.acquire_shared() => match more {
                        Some(permit) => return Ok(permit),
                        None if self.state().ours.is_empty() => return Err(LimitReached),
                        None => self.free.acquire().await.map_err(|_| LimitReached)?,
                    },
                },
            };
            permit.forget();
            let Some((number, until)) = self.state().free.pop() else {
                continue;
            };
            let mut permit = Permit {
                limit: self,
                number,
                until,
            };
            if permit.renew().await {
                return Ok(permit);
            }
        }
    }

    /// Acquires a shared permit that no process holds.
    async fn acquire_shared(&self) -> Option<Permit<'_>> {
        let store = self.store.as_ref()?;
        let _alone = self.growing.lock().await;
        let now = self.clock.now();
        let until = after(now, LEASE);
        let available: Vec<usize> = {
            let state = self.state();
            if state.full_until.is_some_and(|full| now < full) {
                return None;
            }
            (0..self.limit)
                .filter(|number| !state.ours.contains(number))
                .collect()
        };
        // Processes start at different permits, so that they seldom try for the same one.
        let start = fastrand::usize(..available.len().max(1));
        for number in available.iter().cycle().skip(start).take(available.len()) {
            let acquired = store.acquire(&self.permit_name(*number), now, until).await;
            let acquired = acquired.unwrap_or_else(|why| {
                tracing::warn!(
                    permit = self.permit_name(*number),
                    "permits are not shared: {why}"
                );
                true
            });
            if acquired {
                self.state().ours.insert(*number);
                return Some(Permit {
                    limit: self,
                    number: *number,
                    until,
                });
            }
        }
        self.state().full_until = now.saturating_add(FULL_FOR).ok();
        None
    }

    /// Releases the shared permits that no call uses.
    pub(super) async fn release_idle(&self) {
        let Some(store) = &self.store else {
            return;
        };
        let mut freed = Vec::new();
        while let Ok(permit) = self.free.try_acquire() {
            permit.forget();
            let mut state = self.state();
            if let Some((number, _)) = state.free.pop() {
                state.ours.remove(&number);
                freed.push(self.permit_name(number));
            }
        }
        let releasing = freed.iter().map(|permit| store.release(permit));
        futures_util::future::join_all(releasing).await;
    }

    fn permit_name(&self, number: usize) -> String {
        format!("slot/{}/{number}", self.name)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        sync::lock(&self.state)
    }
}

impl Permit<'_> {
    /// Renews the permit if it may expire during a call; false if another process holds it by now.
    async fn renew(&mut self) -> bool {
        let now = self.limit.clock.now();
        let safe = after(now, MARGIN);
        let Some(store) = self.limit.store.as_ref().filter(|_| self.until <= safe) else {
            return true;
        };
        let until = after(now, LEASE);
        let ours = store
            .acquire(&self.limit.permit_name(self.number), now, until)
            .await;
        self.until = until;
        let ours = ours.unwrap_or(true);
        if !ours {
            self.limit.state().ours.remove(&self.number);
        }
        ours
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut state = self.limit.state();
        if state.ours.contains(&self.number) {
            state.free.push((self.number, self.until));
            drop(state);
            self.limit.free.add_permits(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use std::collections::HashMap;

    /// Locks with holders and expiry, as in a store.
    #[derive(Debug, Default)]
    struct Locks(Mutex<HashMap<String, (usize, Timestamp)>>);

    #[derive(Debug)]
    struct Process(Arc<Locks>, usize);

    #[async_trait]
    impl SharedPermits for Process {
        async fn acquire(
            &self,
            permit: &str,
            now: Timestamp,
            until: Timestamp,
        ) -> Result<bool, String> {
            let mut locks = self.0.0.lock().expect("locks");
            let free = locks
                .get(permit)
                .is_none_or(|(by, ends)| *by == self.1 || *ends <= now);
            if free {
                locks.insert(permit.to_owned(), (self.1, until));
            }
            Ok(free)
        }

        async fn release(&self, permit: &str) {
            let mut locks = self.0.0.lock().expect("locks");
            if locks.get(permit).is_some_and(|(by, _)| *by == self.1) {
                locks.remove(permit);
            }
        }
    }

    fn clock() -> ManualClock {
        ManualClock::at(Timestamp::UNIX_EPOCH)
    }

    fn process(
        number: usize,
        limit: usize,
        locks: &Arc<Locks>,
        clock: &ManualClock,
    ) -> ConcurrencyLimit {
        ConcurrencyLimit::new("c".to_owned(), limit, Arc::new(clock.clone()))
            .shared(Arc::new(Process(locks.clone(), number)))
    }

    #[tokio::test]
    async fn two_processes_together_keep_to_the_limit() {
        let (clock, locks) = (clock(), Arc::default());
        let (a, b) = (process(1, 3, &locks, &clock), process(2, 3, &locks, &clock));
        let first = a.acquire().await.expect("a permit");
        let second = a.acquire().await.expect("a permit");
        let third = b.acquire().await.expect("a permit");
        assert!(
            futures_util::future::poll_immediate(b.acquire())
                .await
                .is_none(),
            "b waits for its own"
        );
        drop(third);
        let third = b.acquire().await.expect("its own again");
        // b cannot acquire what a keeps idle before a releases it.
        drop((first, second, third));
        clock.advance(FULL_FOR);
        let _own = b.acquire().await.expect("its own again");
        assert!(
            futures_util::future::poll_immediate(b.acquire())
                .await
                .is_none()
        );
        a.release_idle().await;
        clock.advance(FULL_FOR);
        let _more = b.acquire().await.expect("one of a's");
        assert_eq!(b.state().ours.len(), 2);
    }

    #[tokio::test]
    async fn process_without_permit_fails_at_once() {
        let (clock, locks) = (clock(), Arc::default());
        let (a, b) = (process(1, 1, &locks, &clock), process(2, 1, &locks, &clock));
        let held = a.acquire().await.expect("a permit");
        assert!(b.acquire().await.is_err());
        drop(held);
        a.release_idle().await;
        assert!(b.acquire().await.is_err(), "no second try at once");
        clock.advance(FULL_FOR);
        b.acquire().await.expect("a permit");
    }

    #[tokio::test]
    async fn expired_permit_goes_to_another_process() {
        let (clock, locks) = (clock(), Arc::default());
        let (a, b) = (process(1, 1, &locks, &clock), process(2, 1, &locks, &clock));
        drop(a.acquire().await.expect("a permit"));
        clock.advance(LEASE - MARGIN);
        drop(a.acquire().await.expect("renewed"));
        clock.advance(LEASE - Duration::from_secs(1));
        assert!(b.acquire().await.is_err());
        clock.advance(FULL_FOR);
        let theirs = b.acquire().await.expect("the expired permit");
        assert!(a.acquire().await.is_err());
        drop(theirs);
    }

    #[tokio::test]
    async fn unshared_limit_has_all_permits_at_once() {
        let limit = ConcurrencyLimit::new("c".to_owned(), 2, Arc::new(clock()));
        let held = (
            limit.acquire().await.expect("one"),
            limit.acquire().await.expect("two"),
        );
        assert!(
            futures_util::future::poll_immediate(limit.acquire())
                .await
                .is_none()
        );
        drop(held);
        limit.release_idle().await;
        limit.acquire().await.expect("still there");
    }
}
