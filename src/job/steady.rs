//! Leases that a jump of the clock does not end: a machine that slept, or whose clock was set, must not take over what it
//! is driving itself. Between machines, the fencing of leases keeps a jump from doing harm.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::time::Instant;

use super::delivery::{DeliverySummary, KeptDelivery};
use super::store::{
    Added, Claim, Filter, Holder, JobStore, Lease, Lock, Page, SharedToken, StoreError,
};
use super::{Job, JobId};

/// A store that measures the leases and locks which it gave out by time that only passes. They end early by the caller's
/// clock only if they are given back.
#[derive(Debug)]
pub struct SteadyStore {
    inner: Arc<dyn JobStore>,
    leases: Mutex<HashMap<JobId, Held>>,
    locks: Mutex<HashMap<String, (Holder, Instant)>>,
}

#[derive(Debug)]
struct Held {
    version: u64,
    until: Timestamp,
    end: Instant,
}

impl SteadyStore {
    /// The same store, steadied.
    pub fn over(inner: Arc<dyn JobStore>) -> Self {
        Self {
            inner,
            leases: Mutex::default(),
            locks: Mutex::default(),
        }
    }

    fn leases(&self) -> MutexGuard<'_, HashMap<JobId, Held>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn locks(&self) -> MutexGuard<'_, HashMap<String, (Holder, Instant)>> {
        self.locks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets a lease, unless the job is held with a newer one.
    fn give_up(&self, id: &JobId, version: u64) {
        let mut leases = self.leases();
        if leases.get(id).is_some_and(|held| held.version == version) {
            leases.remove(id);
        }
    }
}

/// The moment on the steady clock that is as far away as `until` is from `now`.
fn end(now: Timestamp, until: Timestamp) -> Instant {
    let present = Instant::now();
    let left = Duration::try_from(until.duration_since(now)).unwrap_or_default();
    present.checked_add(left).unwrap_or(present)
}

#[async_trait]
impl JobStore for SteadyStore {
    async fn add(&self, job: &Job, delivery: Option<&KeptDelivery>) -> Result<Added, StoreError> {
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
        let left = self
            .leases()
            .get(id)
            .map(|held| held.end.saturating_duration_since(Instant::now()));
        if let Some(left) = left.filter(|left| !left.is_zero()) {
            let until = now.saturating_add(left).unwrap_or(Timestamp::MAX);
            return Ok(Claim::Busy { until });
        }
        let claim = self.inner.claim(id, now, until).await?;
        if let Claim::Ours(_, lease) = &claim {
            let held = Held {
                version: lease.version,
                until,
                end: end(now, until),
            };
            self.leases().insert(id.clone(), held);
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
            held.end = held
                .end
                .checked_add(longer.unwrap_or_default())
                .unwrap_or(held.end);
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
        let held = {
            let mut leases = self.leases();
            let present = Instant::now();
            leases.retain(|_, held| held.end > present);
            leases.len()
        };
        let mut due = self.inner.due(now, limit.saturating_add(held)).await?;
        let leases = self.leases();
        due.retain(|id| !leases.contains_key(id));
        due.truncate(limit);
        Ok(due)
    }

    async fn list(
        &self,
        filter: Filter,
        limit: usize,
        after: Option<&str>,
    ) -> Result<Page, StoreError> {
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
        holder: &Holder,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Lock>, StoreError> {
        let held = self
            .locks()
            .get(name)
            .is_some_and(|(other, end)| other != holder && *end > Instant::now());
        if held {
            return Ok(None);
        }
        let lock = self.inner.lock(name, holder, now, until).await?;
        if lock.is_some() {
            let mut locks = self.locks();
            let present = Instant::now();
            locks.retain(|_, (_, end)| *end > present);
            locks.insert(name.to_owned(), (holder.clone(), end(now, until)));
        }
        Ok(lock)
    }

    async fn unlock(&self, name: &str, holder: &Holder) -> Result<(), StoreError> {
        self.inner.unlock(name, holder).await?;
        let mut locks = self.locks();
        if locks.get(name).is_some_and(|(held, _)| held == holder) {
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

    async fn keep(&self, delivery: &KeptDelivery) -> Result<(), StoreError> {
        self.inner.keep(delivery).await
    }

    async fn deliveries(&self, limit: usize) -> Result<Vec<DeliverySummary>, StoreError> {
        self.inner.deliveries(limit).await
    }

    async fn delivery(&self, id: &str) -> Result<Option<KeptDelivery>, StoreError> {
        self.inner.delivery(id).await
    }

    async fn revive(&self, id: &str, dead_since: Timestamp) -> Result<(), StoreError> {
        self.inner.revive(id, dead_since).await
    }

    async fn forget(&self, id: &str) -> Result<bool, StoreError> {
        self.inner.forget(id).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::sqlite::SqliteStore;
    use crate::update::UpdateRequest;

    const MINUTE: Duration = Duration::from_secs(60);
    const MOMENT: Duration = Duration::from_millis(30);

    fn now() -> Timestamp {
        Timestamp::from_second(1_800_000_000).expect("a moment")
    }

    /// A moment a day later, by a clock that has jumped.
    fn jumped() -> Timestamp {
        now() + 1_440 * MINUTE
    }

    async fn with_a_job() -> (SteadyStore, Job) {
        let store = SteadyStore::over(Arc::new(SqliteStore::in_memory()));
        let request = serde_json::json!({"module": "Leads", "fields": {"Score": 1}, "ids": ["7"]});
        let request = UpdateRequest::parse(&request).expect("a request");
        let id = JobId::derive("r", "d", 0);
        let job = Job::new(id, None, "default".to_owned(), request, None, now());
        store.add(&job, None).await.expect("added");
        (store, job)
    }

    async fn claim(store: &SteadyStore, job: &Job, now: Timestamp, time: Duration) -> Claim {
        let claim = store.claim(&job.id, now, now + time).await;
        claim.expect("an answer")
    }

    #[tokio::test]
    async fn a_jump_of_the_clock_steals_no_lease() {
        let (store, job) = with_a_job().await;
        let Claim::Ours(_, mut lease) = claim(&store, &job, now(), MINUTE).await else {
            panic!("the job is free");
        };
        for _ in 0..2 {
            let stolen = claim(&store, &job, jumped(), MINUTE).await;
            assert!(
                matches!(stolen, Claim::Busy { until } if until > jumped()),
                "{stolen:?}"
            );
            assert_eq!(store.due(jumped(), 10).await.expect("an answer"), []);
            store.checkpoint(&job, &mut lease).await.expect("written");
        }
        let released = store.release(&job, lease, Some(jumped())).await;
        released.expect("released");
        let due = store.due(jumped(), 10).await.expect("an answer");
        assert_eq!(due, [job.id]);
    }

    #[tokio::test]
    async fn a_lease_ends_when_its_time_has_passed() {
        let (store, job) = with_a_job().await;
        let Claim::Ours(_, mut stale) = claim(&store, &job, now(), MOMENT).await else {
            panic!("the job is free");
        };
        tokio::time::sleep(2 * MOMENT).await;
        let due = store.due(jumped(), 10).await.expect("an answer");
        assert_eq!(due, std::slice::from_ref(&job.id));
        let Claim::Ours(_, mut lease) = claim(&store, &job, jumped(), MOMENT).await else {
            panic!("the lease is over");
        };
        let lost = store.checkpoint(&job, &mut stale).await;
        assert!(matches!(lost, Err(StoreError::LeaseLost(_))), "{lost:?}");
        lease.until = jumped() + MINUTE;
        store.checkpoint(&job, &mut lease).await.expect("written");
        tokio::time::sleep(2 * MOMENT).await;
        let prolonged = claim(&store, &job, jumped() + 2 * MINUTE, MINUTE).await;
        assert!(matches!(prolonged, Claim::Busy { .. }), "{prolonged:?}");
    }

    #[tokio::test]
    async fn nor_does_it_steal_a_lock() {
        let (store, _) = with_a_job().await;
        let (one, other) = (Holder::unique(), Holder::unique());
        let lock = |holder, now, time| store.lock("name", holder, now, now + time);
        let won = lock(&one, now(), MINUTE).await.expect("an answer");
        assert!(won.is_some());
        let stolen = lock(&other, jumped(), MOMENT).await.expect("an answer");
        assert_eq!(stolen, None);
        store.unlock("name", &one).await.expect("given back");
        let won = lock(&other, jumped(), MOMENT).await.expect("an answer");
        assert!(won.is_some());
        tokio::time::sleep(2 * MOMENT).await;
        let won = lock(&one, jumped() + MINUTE, MINUTE).await;
        assert!(won.expect("an answer").is_some());
    }
}
