//! How many calls of a connection are under way at once: here, and where slots are shared, in all processes together.
//!
//! A slot is held for a call. Where slots are shared, each is a lock that processes agree on; it is kept for the calls that
//! follow, and given back at the end of a turn. A process that is lost loses its slots after [`HOLD`].

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::Semaphore;

use crate::clock::{Clock, after};

/// How long a slot is taken for. No call is under way for so long.
const HOLD: Duration = Duration::from_secs(120);

/// A slot that is to end sooner than this is prolonged before it is used.
const MARGIN: Duration = Duration::from_secs(60);

/// How long nobody tries to take one more slot after all were found taken.
const FULL_FOR: Duration = Duration::from_secs(2);

/// A place where processes share slots. Its errors are texts: without it, each process goes on alone.
#[async_trait]
pub trait SharedPermits: fmt::Debug + Send + Sync {
    /// Takes a slot until a moment, or prolongs it; false if another process has it.
    ///
    /// # Errors
    /// The place does not answer.
    async fn take(&self, slot: &str, now: Timestamp, until: Timestamp) -> Result<bool, String>;

    /// Gives a slot back.
    async fn release(&self, slot: &str);
}

/// The slots of a connection, or of one kind of its calls.
#[derive(Debug)]
pub(crate) struct ConcurrencyLimit {
    name: String,
    most: usize,
    clock: Arc<dyn Clock>,
    shelf: Option<Arc<dyn SharedPermits>>,
    /// One permit for each slot in `state.free`.
    free: Semaphore,
    state: Mutex<State>,
    /// One at a time tries to get one more slot.
    growing: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    ours: HashSet<usize>,
    free: Vec<(usize, Timestamp)>,
    full_until: Option<Timestamp>,
}

/// The right to have one call under way.
#[derive(Debug)]
pub(crate) struct Slot<'a> {
    slots: &'a ConcurrencyLimit,
    number: usize,
    until: Timestamp,
}

/// Every slot is another process's.
#[derive(Debug)]
pub(crate) struct LimitReached;

impl ConcurrencyLimit {
    /// Slots of this process alone.
    pub(super) fn new(name: String, most: usize, clock: Arc<dyn Clock>) -> Self {
        let free = (0..most).map(|number| (number, Timestamp::MAX));
        Self {
            name,
            most,
            clock,
            shelf: None,
            free: Semaphore::new(most),
            state: Mutex::new(State {
                ours: (0..most).collect(),
                free: free.collect(),
                full_until: None,
            }),
            growing: tokio::sync::Mutex::default(),
        }
    }

    /// The same number of slots, shared.
    pub(super) fn shared(self, shelf: Arc<dyn SharedPermits>) -> Self {
        Self {
            shelf: Some(shelf),
            free: Semaphore::new(0),
            state: Mutex::default(),
            ..self
        }
    }

    /// Waits for a slot of this process, or takes one more.
    pub(super) async fn acquire(&self) -> Result<Slot<'_>, LimitReached> {
        loop {
            let permit = match self.free.try_acquire() {
                Ok(permit) => permit,
                Err(_) => tokio::select! {
                    biased;
                    permit = self.free.acquire() => permit.map_err(|_| LimitReached)?,
                    more = self.one_more() => match more {
                        Some(slot) => return Ok(slot),
                        None if self.state().ours.is_empty() => return Err(LimitReached),
                        None => self.free.acquire().await.map_err(|_| LimitReached)?,
                    },
                },
            };
            permit.forget();
            let Some((number, until)) = self.state().free.pop() else {
                continue;
            };
            let mut slot = Slot {
                slots: self,
                number,
                until,
            };
            if slot.prolong().await {
                return Ok(slot);
            }
        }
    }

    /// Takes a slot that nobody has.
    async fn one_more(&self) -> Option<Slot<'_>> {
        let shelf = self.shelf.as_ref()?;
        let _alone = self.growing.lock().await;
        let now = self.clock.now();
        let until = after(now, HOLD);
        let untaken: Vec<usize> = {
            let state = self.state();
            if state.full_until.is_some_and(|full| now < full) {
                return None;
            }
            (0..self.most)
                .filter(|number| !state.ours.contains(number))
                .collect()
        };
        // Processes begin at different slots, so that they seldom try for the same.
        let start = fastrand::usize(..untaken.len().max(1));
        for number in untaken.iter().cycle().skip(start).take(untaken.len()) {
            let taken = shelf.take(&self.slot(*number), now, until).await;
            let taken = taken.unwrap_or_else(|why| {
                tracing::warn!(slot = self.slot(*number), "slots are not shared: {why}");
                true
            });
            if taken {
                self.state().ours.insert(*number);
                return Some(Slot {
                    slots: self,
                    number: *number,
                    until,
                });
            }
        }
        self.state().full_until = now.saturating_add(FULL_FOR).ok();
        None
    }

    /// Gives back what is not in use.
    pub(super) async fn release(&self) {
        let Some(shelf) = &self.shelf else {
            return;
        };
        let mut freed = Vec::new();
        while let Ok(permit) = self.free.try_acquire() {
            permit.forget();
            let mut state = self.state();
            if let Some((number, _)) = state.free.pop() {
                state.ours.remove(&number);
                freed.push(self.slot(number));
            }
        }
        let giving = freed.iter().map(|slot| shelf.release(slot));
        futures_util::future::join_all(giving).await;
    }

    fn slot(&self, number: usize) -> String {
        format!("slot/{}/{number}", self.name)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot<'_> {
    /// Makes sure that it outlives a call; false if it is another process's by now.
    async fn prolong(&mut self) -> bool {
        let now = self.slots.clock.now();
        let safe = after(now, MARGIN);
        let Some(shelf) = self.slots.shelf.as_ref().filter(|_| self.until <= safe) else {
            return true;
        };
        let until = after(now, HOLD);
        let ours = shelf.take(&self.slots.slot(self.number), now, until).await;
        self.until = until;
        let ours = ours.unwrap_or(true);
        if !ours {
            self.slots.state().ours.remove(&self.number);
        }
        ours
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let mut state = self.slots.state();
        if state.ours.contains(&self.number) {
            state.free.push((self.number, self.until));
            drop(state);
            self.slots.free.add_permits(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use std::collections::HashMap;

    /// Locks as a store has them.
    #[derive(Debug, Default)]
    struct Locks(Mutex<HashMap<String, (usize, Timestamp)>>);

    #[derive(Debug)]
    struct Process(Arc<Locks>, usize);

    #[async_trait]
    impl SharedPermits for Process {
        async fn take(&self, slot: &str, now: Timestamp, until: Timestamp) -> Result<bool, String> {
            let mut locks = self.0.0.lock().expect("locks");
            let free = locks
                .get(slot)
                .is_none_or(|(by, ends)| *by == self.1 || *ends <= now);
            if free {
                locks.insert(slot.to_owned(), (self.1, until));
            }
            Ok(free)
        }

        async fn release(&self, slot: &str) {
            let mut locks = self.0.0.lock().expect("locks");
            if locks.get(slot).is_some_and(|(by, _)| *by == self.1) {
                locks.remove(slot);
            }
        }
    }

    fn clock() -> ManualClock {
        ManualClock::at(Timestamp::UNIX_EPOCH)
    }

    fn process(
        number: usize,
        most: usize,
        locks: &Arc<Locks>,
        clock: &ManualClock,
    ) -> ConcurrencyLimit {
        ConcurrencyLimit::new("c".to_owned(), most, Arc::new(clock.clone()))
            .shared(Arc::new(Process(locks.clone(), number)))
    }

    #[tokio::test]
    async fn two_processes_never_have_more_than_all_slots() {
        let (clock, locks) = (clock(), Arc::default());
        let (a, b) = (process(1, 3, &locks, &clock), process(2, 3, &locks, &clock));
        let first = a.acquire().await.expect("a slot");
        let second = a.acquire().await.expect("a slot");
        let third = b.acquire().await.expect("a slot");
        assert!(
            futures_util::future::poll_immediate(b.acquire())
                .await
                .is_none(),
            "b waits for its own"
        );
        drop(third);
        let third = b.acquire().await.expect("its own again");
        // What a has pooled is not b's before a gives it back.
        drop((first, second, third));
        clock.advance(FULL_FOR);
        let _own = b.acquire().await.expect("its own again");
        assert!(
            futures_util::future::poll_immediate(b.acquire())
                .await
                .is_none()
        );
        a.release().await;
        clock.advance(FULL_FOR);
        let _more = b.acquire().await.expect("one of a's");
        assert_eq!(b.state().ours.len(), 2);
    }

    #[tokio::test]
    async fn without_any_slot_nobody_waits() {
        let (clock, locks) = (clock(), Arc::default());
        let (a, b) = (process(1, 1, &locks, &clock), process(2, 1, &locks, &clock));
        let held = a.acquire().await.expect("a slot");
        assert!(b.acquire().await.is_err());
        drop(held);
        a.release().await;
        assert!(b.acquire().await.is_err(), "not asked for again at once");
        clock.advance(FULL_FOR);
        b.acquire().await.expect("a slot");
    }

    #[tokio::test]
    async fn a_lost_process_loses_its_slots_and_a_late_one_notices() {
        let (clock, locks) = (clock(), Arc::default());
        let (a, b) = (process(1, 1, &locks, &clock), process(2, 1, &locks, &clock));
        drop(a.acquire().await.expect("a slot"));
        clock.advance(HOLD - MARGIN);
        drop(a.acquire().await.expect("prolonged"));
        clock.advance(HOLD - Duration::from_secs(1));
        assert!(b.acquire().await.is_err());
        clock.advance(FULL_FOR);
        let theirs = b.acquire().await.expect("the lost one's");
        assert!(a.acquire().await.is_err());
        drop(theirs);
    }

    #[tokio::test]
    async fn alone_all_slots_are_there_at_once() {
        let slots = ConcurrencyLimit::new("c".to_owned(), 2, Arc::new(clock()));
        let held = (
            slots.acquire().await.expect("one"),
            slots.acquire().await.expect("two"),
        );
        assert!(
            futures_util::future::poll_immediate(slots.acquire())
                .await
                .is_none()
        );
        drop(held);
        slots.release().await;
        slots.acquire().await.expect("still there");
    }
}
