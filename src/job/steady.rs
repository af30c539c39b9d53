//! Leases that a jump of the clock does not end: a machine that slept, or whose clock was set, must not take over what it
//! is driving itself, nor what another machine drives.
//!
//! Time that only passes tells a jump. What others hold is then judged by the clock as it would be without it. Which of the
//! two is right nobody here knows (the jump may have been a correction), so a lease that is over by the new clock alone is
//! watched: once it has stood there for longer than any turn takes, nobody drives by it any more. A lock does not say until
//! when another holds it, so the new clock is believed of locks when the longest of them is over. What remains: a machine
//! whose clock was wrong when it started, or was set back, whose leases are short to others. Fencing keeps its later writes
//! out then; the one effect under way may be repeated.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::delivery::{DeadLetterSummary, StoredDelivery};
use super::store::{
    AddResult, Claim, JobFilter, JobPage, JobStore, Lease, Lock, LockHolder, SharedToken,
    StoreError,
};
use super::{Job, JobId};
use crate::clock::{Clock, after};

/// Longer than any lease: an invocation of Lambda's ends after 15 minutes, and a lease soon after its turn.
const LONGEST_LEASE: Duration = Duration::from_secs(16 * 60);

/// As long as the longest of locks, that on a custom view.
const LONGEST_LOCK: Duration = Duration::from_secs(2 * 3600);

/// Clocks that are kept right move by less.
const STEP: Duration = Duration::from_secs(5);

/// A store that measures the leases and locks which it gave out by time that only passes. They end early by the caller's
/// clock only if they are given back.
#[derive(Debug)]
pub struct SteadyStore {
    inner: Arc<dyn JobStore>,
    clock: Arc<dyn Clock>,
    pace: Mutex<Pace>,
    /// Leases and locks of this process. Their ends are counted as time passes.
    leases: Mutex<HashMap<JobId, Held>>,
    locks: Mutex<HashMap<String, HeldLock>>,
    /// Leases of others that are over by a clock that has jumped alone: until when they are held, and since when that was seen.
    watched: Mutex<HashMap<JobId, (Timestamp, Duration)>>,
}

#[derive(Debug)]
struct Held {
    version: u64,
    until: Timestamp,
    end: Duration,
}

#[derive(Debug)]
struct HeldLock {
    holder: LockHolder,
    until: Timestamp,
    end: Duration,
}

/// How the clock goes against time that only passes.
#[derive(Debug)]
struct Pace {
    /// When it was last right, as far as that can be told.
    right: (Timestamp, Duration),
    /// When it was first seen to have jumped ahead.
    jumped: Option<Duration>,
}

/// The clock is ahead of what it would be without a jump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Jump {
    /// What it would be.
    steady: Timestamp,
    /// When that was first seen.
    since: Duration,
}

impl Pace {
    fn of(now: Timestamp, passed: Duration) -> Self {
        Self {
            right: (now, passed),
            jumped: None,
        }
    }

    /// Looks at the clock.
    fn jump(&mut self, now: Timestamp, passed: Duration) -> Option<Jump> {
        let (right, at) = self.right;
        let steady = after(right, passed.saturating_sub(at));
        if now <= after(steady, STEP) {
            *self = Self::of(now, passed);
            return None;
        }
        let since = *self.jumped.get_or_insert(passed);
        Some(Jump { steady, since })
    }
}

impl SteadyStore {
    /// The same store, steadied. The moments that it is given are those of `clock`.
    pub fn over(inner: Arc<dyn JobStore>, clock: Arc<dyn Clock>) -> Self {
        Self {
            inner,
            pace: Mutex::new(Pace::of(clock.now(), clock.passed())),
            clock,
            leases: Mutex::default(),
            locks: Mutex::default(),
            watched: Mutex::default(),
        }
    }

    fn leases(&self) -> MutexGuard<'_, HashMap<JobId, Held>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn locks(&self) -> MutexGuard<'_, HashMap<String, HeldLock>> {
        self.locks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watched(&self) -> MutexGuard<'_, HashMap<JobId, (Timestamp, Duration)>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The moment at which a job of others is claimed after a jump.
    fn claimed_at(&self, id: &JobId, jump: Jump, passed: Duration) -> Timestamp {
        let watched = self.watched();
        let stale = watched
            .get(id)
            .filter(|(_, since)| passed.saturating_sub(*since) >= LONGEST_LEASE);
        stale.map_or(jump.steady, |(until, _)| jump.steady.max(*until))
    }

    /// Notes until when another holds a job.
    fn watch(&self, id: &JobId, until: Timestamp, passed: Duration) {
        let mut watched = self.watched();
        let (known, since) = watched.entry(id.clone()).or_insert((until, passed));
        if *known != until {
            (*known, *since) = (until, passed);
        }
    }

    /// Forgets a lease, unless the job is held with a newer one.
    fn give_up(&self, id: &JobId, version: u64) {
        let mut leases = self.leases();
        if leases.get(id).is_some_and(|held| held.version == version) {
            leases.remove(id);
        }
    }
}

/// How much will have passed when `until` is there.
fn end(passed: Duration, now: Timestamp, until: Timestamp) -> Duration {
    let left = Duration::try_from(until.duration_since(now)).unwrap_or_default();
    passed.saturating_add(left)
}

#[async_trait]
impl JobStore for SteadyStore {
    async fn add(
        &self,
        job: &Job,
        delivery: Option<&StoredDelivery>,
    ) -> Result<AddResult, StoreError> {
        self.inner.add(job, delivery).await
    }

    async fn get(&self, id: &JobId) -> Result<Option<Job>, StoreError> {
        self.inner.get(id).await
    }

    async fn claim(
        &self,
        id: &JobId,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Claim, StoreError> {
        let passed = self.clock.passed();
        let own = self.leases().get(id).map(|held| (held.end, held.until));
        if let Some((end, _)) = own.filter(|(end, _)| *end > passed) {
            let until = after(now, end.saturating_sub(passed));
            return Ok(Claim::Busy { until });
        }
        let jump = self.pace().jump(now, passed);
        let at = jump.map_or(now, |jump| {
            let at = self.claimed_at(id, jump, passed);
            own.map_or(at, |(_, over)| at.max(over))
        });
        let claim = self.inner.claim(id, at, until).await?;
        match &claim {
            Claim::Acquired(_, lease) => {
                let held = Held {
                    version: lease.version,
                    until,
                    end: end(passed, now, until),
                };
                self.leases().insert(id.clone(), held);
                self.watched().remove(id);
            }
            Claim::Busy { until: theirs } if *theirs <= now => self.watch(id, *theirs, passed),
            Claim::Busy { .. } | Claim::Parked { .. } | Claim::NotFound => {}
        }
        Ok(claim)
    }

    async fn checkpoint(&self, job: &Job, lease: &mut Lease) -> Result<(), StoreError> {
        let version = lease.version;
        let written = self.inner.checkpoint(job, lease).await;
        if matches!(written, Err(StoreError::LeaseLost(_))) {
            self.give_up(&job.id, version);
        }
        if let (Ok(()), Some(held)) = (&written, self.leases().get_mut(&job.id))
            && held.version == version
        {
            held.version = lease.version;
            let longer = Duration::try_from(lease.until.duration_since(held.until));
            held.end = held.end.saturating_add(longer.unwrap_or_default());
            held.until = lease.until;
        }
        written
    }

    async fn release(
        &self,
        job: &Job,
        lease: Lease,
        due: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let version = lease.version;
        let released = self.inner.release(job, lease, due).await;
        if matches!(released, Ok(()) | Err(StoreError::LeaseLost(_))) {
            self.give_up(&job.id, version);
        }
        released
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<JobId>, StoreError> {
        let passed = self.clock.passed();
        self.pace().jump(now, passed);
        let held = {
            let mut leases = self.leases();
            leases.retain(|_, held| held.end.saturating_add(LONGEST_LEASE) > passed);
            leases.len()
        };
        let mut due = self.inner.due(now, limit.saturating_add(held)).await?;
        let leases = self.leases();
        due.retain(|id| leases.get(id).is_none_or(|held| held.end <= passed));
        due.truncate(limit);
        Ok(due)
    }

    async fn list(
        &self,
        filter: JobFilter,
        limit: usize,
        after: Option<&str>,
    ) -> Result<JobPage, StoreError> {
        self.inner.list(filter, limit, after).await
    }

    async fn park(&self, id: &JobId, reason: &str) -> Result<(), StoreError> {
        self.inner.park(id, reason).await?;
        self.leases().remove(id);
        Ok(())
    }

    async fn unpark(&self, id: &JobId, due: Timestamp) -> Result<bool, StoreError> {
        self.inner.unpark(id, due).await
    }

    async fn lock(
        &self,
        name: &str,
        holder: &LockHolder,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Lock>, StoreError> {
        let passed = self.clock.passed();
        let own = self.locks().get(name).map(|held| {
            let others = held.holder != *holder && held.end > passed;
            (others, held.until)
        });
        if own.is_some_and(|(others, _)| others) {
            return Ok(None);
        }
        let jump = self.pace().jump(now, passed);
        let doubted = jump.filter(|jump| passed.saturating_sub(jump.since) < LONGEST_LOCK);
        let at = doubted.map_or(now, |jump| {
            own.map_or(jump.steady, |(_, over)| jump.steady.max(over))
        });
        let lock = self.inner.lock(name, holder, at, until).await?;
        if lock.is_some() {
            let mut locks = self.locks();
            locks.retain(|_, held| held.end.saturating_add(LONGEST_LOCK) > passed);
            let held = HeldLock {
                holder: holder.clone(),
                until,
                end: end(passed, now, until),
            };
            locks.insert(name.to_owned(), held);
        }
        Ok(lock)
    }

    async fn unlock(&self, name: &str, holder: &LockHolder) -> Result<(), StoreError> {
        self.inner.unlock(name, holder).await?;
        let mut locks = self.locks();
        if locks.get(name).is_some_and(|held| held.holder == *holder) {
            locks.remove(name);
        }
        Ok(())
    }

    async fn token(&self, name: &str) -> Result<Option<SharedToken>, StoreError> {
        self.inner.token(name).await
    }

    async fn put_token(
        &self,
        name: &str,
        token: &SharedToken,
        lock: &Lock,
    ) -> Result<(), StoreError> {
        self.inner.put_token(name, token, lock).await
    }

    async fn put_delivery(&self, delivery: &StoredDelivery) -> Result<(), StoreError> {
        self.inner.put_delivery(delivery).await
    }

    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetterSummary>, StoreError> {
        self.inner.dead_letters(limit).await
    }

    async fn delivery(&self, id: &str) -> Result<Option<StoredDelivery>, StoreError> {
        self.inner.delivery(id).await
    }

    async fn restore(&self, id: &str, dead_since: Timestamp) -> Result<(), StoreError> {
        self.inner.restore(id, dead_since).await
    }

    async fn delete_delivery(&self, id: &str) -> Result<bool, StoreError> {
        self.inner.delete_delivery(id).await
    }

    fn resumed(&self) {
        self.leases().clear();
        self.locks().clear();
        self.watched().clear();
        *self.pace() = Pace::of(self.clock.now(), self.clock.passed());
        self.inner.resumed();
    }
}

#[cfg(test)]
mod tests;
