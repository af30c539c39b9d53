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
use tokio::sync::{Notify, Semaphore};

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
pub(crate) struct ConcurrencyLimit(Arc<Permits>);

#[derive(Debug)]
struct Permits {
    name: String,
    limit: usize,
    clock: Arc<dyn Clock>,
    store: Option<Arc<dyn SharedPermits>>,
    /// One semaphore permit for each permit in `state.free`.
    free: Semaphore,
    state: Mutex<State>,
    /// Notified when an attempt to acquire another shared permit has ended.
    attempted: Notify,
}

#[derive(Debug, Default)]
struct State {
    ours: HashSet<usize>,
    free: Vec<(usize, Timestamp)>,
    full_until: Option<Timestamp>,
    /// Whether a task tries to acquire another shared permit.
    is_growing: bool,
}

/// The permission for one call.
#[derive(Debug)]
pub(crate) struct Permit<'a> {
    limit: &'a Permits,
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
        let state = State {
            ours: (0..limit).collect(),
            free: free.collect(),
            ..State::default()
        };
        Self::with(name, limit, clock, None, state)
    }

    /// The same limit, shared with other processes.
    pub(super) fn shared(self, store: Arc<dyn SharedPermits>) -> Self {
        let (name, clock) = (self.0.name.clone(), self.0.clock.clone());
        Self::with(name, self.0.limit, clock, Some(store), State::default())
    }

    fn with(
        name: String,
        limit: usize,
        clock: Arc<dyn Clock>,
        store: Option<Arc<dyn SharedPermits>>,
        state: State,
    ) -> Self {
        Self(Arc::new(Permits {
            name,
            limit,
            clock,
            store,
            free: Semaphore::new(state.free.len()),
            state: Mutex::new(state),
            attempted: Notify::new(),
        }))
    }

    /// Waits for a permit of this process, or for another shared one.
    pub(super) async fn acquire(&self) -> Result<Permit<'_>, LimitReached> {
        let permits = &self.0;
        loop {
            // Registered before the attempt starts, so that its end is not missed.
            let attempted = permits.attempted.notified();
            let permit = match permits.free.try_acquire() {
                Ok(permit) => permit,
                Err(_) if permits.try_to_grow() => tokio::select! {
                    biased;
                    permit = permits.free.acquire() => permit.map_err(|_| LimitReached)?,
                    () = attempted => continue,
                },
                Err(_) if permits.state().ours.is_empty() => return Err(LimitReached),
                Err(_) => permits.free.acquire().await.map_err(|_| LimitReached)?,
            };
            permit.forget();
            let Some((number, until)) = permits.state().free.pop() else {
                continue;
            };
            let mut permit = Permit {
                limit: permits,
                number,
                until,
            };
            if permit.renew().await {
                return Ok(permit);
            }
        }
    }

    /// Calls of this process that are under way.
    pub(super) fn in_use(&self) -> usize {
        let state = self.0.state();
        state.ours.len().saturating_sub(state.free.len())
    }

    /// Releases the shared permits that no call uses.
    pub(super) async fn release_idle(&self) {
        let permits = &self.0;
        let Some(store) = &permits.store else {
            return;
        };
        loop {
            let attempted = permits.attempted.notified();
            if !permits.state().is_growing {
                break;
            }
            attempted.await;
        }
        let mut freed = Vec::new();
        while let Ok(permit) = permits.free.try_acquire() {
            permit.forget();
            let mut state = permits.state();
            if let Some((number, _)) = state.free.pop() {
                state.ours.remove(&number);
                freed.push(permits.permit_name(number));
            }
        }
        let releasing = freed.iter().map(|permit| store.release(permit));
        futures_util::future::join_all(releasing).await;
    }
}

impl Permits {
    /// Starts to acquire another shared permit, unless a task does so already. Returns false if it is known that there is none.
    ///
    /// The attempt is a task of its own: if the call that needs the permit goes away, or gets another one sooner, the store may
    /// have granted this one, and it is used by a later call or released.
    fn try_to_grow(self: &Arc<Self>) -> bool {
        let Some(store) = &self.store else {
            return false;
        };
        let now = self.clock.now();
        {
            let mut state = self.state();
            if state.is_growing {
                return true;
            }
            let is_full = state.full_until.is_some_and(|full| now < full);
            if is_full || state.ours.len() >= self.limit {
                return false;
            }
            state.is_growing = true;
        }
        let (permits, store) = (Arc::clone(self), Arc::clone(store));
        tokio::spawn(async move {
            // Also if the store panics, so that no task waits for this attempt forever.
            let _ended = Attempt(&permits);
            permits.grow(store.as_ref(), now).await;
        });
        true
    }

    /// Acquires a shared permit that no process holds, for the next call.
    async fn grow(&self, store: &dyn SharedPermits, now: Timestamp) {
        let until = after(now, LEASE);
        let available: Vec<usize> = {
            let state = self.state();
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
                let mut state = self.state();
                state.ours.insert(*number);
                state.free.push((*number, until));
                self.free.add_permits(1);
                return;
            }
        }
        self.state().full_until = now.saturating_add(FULL_FOR).ok();
    }

    fn permit_name(&self, number: usize) -> String {
        format!("slot/{}/{number}", self.name)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        sync::lock(&self.state)
    }
}

/// An attempt to acquire another shared permit. It ends when this value is dropped.
struct Attempt<'a>(&'a Permits);

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.0.state().is_growing = false;
        self.0.attempted.notify_waiters();
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
mod tests;
