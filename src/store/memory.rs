//! The store in memory, for one process. It is lost when the process ends.

mod deliveries;
mod delivery_log;
mod record_order;
mod values;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::SecretString;
use tokio::sync::watch;

use super::delivery::StoredDelivery;
use super::delivery_log::LogEntry;
use super::{
    AddResult, Claim, ItemLocation, JobFilter, JobPage, JobSummary, Jobs, Lease, ListKey, Lock,
    PageRequest, Retention, StoreError, StoreKind, StoredJob,
};
use crate::clock::{Clock, SystemClock};
use crate::job::{DeadLetterReason, Job, JobId};
use crate::sync;

/// The number of finished jobs that a store without a period keeps, so that a warm function does not grow without limit.
const FINISHED_KEPT: usize = 200;

/// The most deliveries that are logged in memory.
const LOGGED: usize = 1_000;

/// A store in memory. Clones share it.
#[derive(Clone)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
    /// Counts what lists show as new.
    changes: Arc<watch::Sender<u64>>,
    clock: Arc<dyn Clock>,
    /// None: the latest finished jobs are kept, by number.
    period: Option<Duration>,
    has_delivery_log: bool,
}

#[derive(Default)]
struct State {
    /// The number of jobs that were added.
    next_number: u64,
    jobs: HashMap<JobId, StoredEntry>,
    /// Finished jobs, the first one first, each with the version in which it finished.
    finished: VecDeque<(JobId, u64)>,
    deliveries: BTreeMap<String, DeliveryEntry>,
    /// The log of deliveries, the first one first, each with its number.
    log: VecDeque<(u64, LogEntry)>,
    /// The number of entries that were logged.
    logged: u64,
    locks: HashMap<String, Lock>,
    values: HashMap<String, SecretString>,
    orders: record_order::OrdersByName,
}

struct StoredEntry {
    /// The jobs that were added, counted up to this one.
    number: u64,
    /// On the heap, because the table of entries is much larger than what it holds.
    job: Box<Job>,
    version: u64,
    leased_until: Timestamp,
    due: Option<Timestamp>,
    parked: Option<String>,
    /// When it expires, as a reading of [`Clock::elapsed`].
    expires: Option<Duration>,
}

struct DeliveryEntry {
    delivery: StoredDelivery,
    /// As in [`StoredEntry`].
    expires: Option<Duration>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("MemoryStore")
            .field("period", &self.period)
            .finish_non_exhaustive()
    }
}

impl MemoryStore {
    /// An empty store that keeps the latest few hundred finished jobs, of any age.
    pub fn new() -> Self {
        Self {
            state: Arc::default(),
            changes: Arc::new(watch::Sender::new(0)),
            clock: Arc::new(SystemClock),
            period: None,
            has_delivery_log: true,
        }
    }

    /// Keeps no log of deliveries, for a process whose log no operator can read.
    #[must_use]
    pub fn without_delivery_log(self) -> Self {
        Self {
            has_delivery_log: false,
            ..self
        }
    }

    /// Keeps finished jobs for a period instead.
    #[must_use]
    pub fn with_retention(self, retention: Retention) -> Self {
        Self {
            clock: retention.clock,
            period: Some(retention.period),
            ..self
        }
    }

    /// The state without what has expired.
    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = sync::lock(&self.state);
        if self.period.is_some() {
            let now = self.clock.elapsed();
            let is_live = |expires: Option<Duration>| expires.is_none_or(|expires| expires > now);
            state.jobs.retain(|_, entry| is_live(entry.expires));
            state.deliveries.retain(|_, entry| is_live(entry.expires));
        }
        state
    }

    /// Wakes those who wait for new entries of lists.
    fn report_change(&self) {
        self.changes
            .send_modify(|changes| *changes = changes.wrapping_add(1));
    }

    fn expires(&self) -> Option<Duration> {
        let period = self.period?;
        Some(self.clock.elapsed().saturating_add(period))
    }

    /// Writes a job under its lease.
    fn write(
        &self,
        job: &Job,
        lease: &Lease,
        leased_until: Timestamp,
        due: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let expires = due.is_none().then(|| self.expires()).flatten();
        let mut state = self.state();
        let entry = state.jobs.get_mut(&job.id);
        let Some(entry) = entry.filter(|entry| entry.version == lease.version) else {
            return Err(StoreError::LeaseLost(job.id.clone()));
        };
        entry.version += 1;
        entry.leased_until = leased_until;
        entry.due = due;
        entry.expires = expires;
        job.clone_into(&mut entry.job);
        if due.is_none() {
            let version = entry.version;
            state.finish(job, version, expires, self.clock.now());
            if self.period.is_none() {
                state.delete_first_finished();
            }
        }
        Ok(())
    }
}

impl State {
    /// Makes the delivery of a finished job a dead letter, or releases it.
    fn finish(&mut self, job: &Job, version: u64, expires: Option<Duration>, now: Timestamp) {
        self.finished.push_back((job.id.clone(), version));
        let Some(source) = &job.source else {
            return;
        };
        let reason = DeadLetterReason::for_job(job, now);
        if reason.is_none() && !source.shared {
            self.deliveries.remove(&source.delivery);
        } else if let Some(entry) = self.deliveries.get_mut(&source.delivery)
            && (reason.is_some() || entry.delivery.dead_letter.is_none())
        {
            entry.expires = expires;
            entry.delivery.dead_letter = reason;
        }
    }

    /// Deletes the jobs that finished first, if there are too many.
    fn delete_first_finished(&mut self) {
        while self.finished.len() > FINISHED_KEPT
            && let Some((id, version)) = self.finished.pop_front()
        {
            // A job that runs again, or has finished again, is not deleted.
            if self
                .jobs
                .get(&id)
                .is_some_and(|entry| entry.version == version)
            {
                self.jobs.remove(&id);
            }
        }
    }

    fn restore(&mut self, id: &str, since: Timestamp) {
        if let Some(entry) = self.deliveries.get_mut(id)
            && let Some(dead) = &entry.delivery.dead_letter
            && dead.since == since
        {
            entry.delivery.dead_letter = None;
            entry.expires = None;
        }
    }
}

#[async_trait]
impl Jobs for MemoryStore {
    fn kind(&self) -> StoreKind {
        StoreKind::Memory
    }

    async fn add(
        &self,
        job: &Job,
        delivery: Option<&StoredDelivery>,
    ) -> Result<AddResult, StoreError> {
        let mut state = self.state();
        if state.jobs.contains_key(&job.id) {
            return Ok(AddResult::Existing);
        }
        let due = job.due(job.created_at);
        state.next_number += 1;
        let entry = StoredEntry {
            number: state.next_number,
            job: Box::new(job.clone()),
            version: 1,
            leased_until: Timestamp::UNIX_EPOCH,
            due,
            parked: None,
            expires: due.is_none().then(|| self.expires()).flatten(),
        };
        state.jobs.insert(job.id.clone(), entry);
        if due.is_none() {
            state.finished.push_back((job.id.clone(), 1));
        }
        if let Some(delivery) = delivery {
            let entry = state.deliveries.entry(delivery.id.clone());
            entry.or_insert_with(|| DeliveryEntry {
                delivery: delivery.clone(),
                expires: None,
            });
        }
        drop(state);
        self.report_change();
        Ok(AddResult::New)
    }

    async fn get(&self, id: &JobId) -> Result<Option<Job>, StoreError> {
        let state = self.state();
        Ok(state.jobs.get(id).map(|entry| Job::clone(&entry.job)))
    }

    async fn claim(
        &self,
        id: &JobId,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Claim, StoreError> {
        let mut state = self.state();
        let Some(entry) = state.jobs.get_mut(id) else {
            return Ok(Claim::NotFound);
        };
        if let Some(reason) = &entry.parked {
            let reason = reason.clone();
            return Ok(Claim::Parked { reason });
        }
        if entry.leased_until > now {
            let until = entry.leased_until;
            return Ok(Claim::Busy { until });
        }
        entry.version += 1;
        entry.leased_until = until;
        entry.due = Some(until);
        entry.expires = None;
        let lease = Lease {
            version: entry.version,
            until,
            stored: Box::new(StoredJob {
                request: entry.job.request.clone(),
                request_at: ItemLocation::Inline,
                state_at: ItemLocation::Inline,
                has_delivery: false,
            }),
        };
        Ok(Claim::Acquired(entry.job.clone(), lease))
    }

    async fn checkpoint(&self, job: &Job, lease: &mut Lease) -> Result<(), StoreError> {
        self.write(job, lease, lease.until, Some(lease.until))?;
        lease.version += 1;
        Ok(())
    }

    async fn release(
        &self,
        job: &Job,
        lease: Lease,
        due: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        self.write(job, &lease, Timestamp::UNIX_EPOCH, due)
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<JobId>, StoreError> {
        let state = self.state();
        let due = state.jobs.iter().filter_map(|(id, entry)| {
            let due = entry.due.filter(|due| *due <= now)?;
            (entry.leased_until <= now).then_some((due, id))
        });
        let mut due: Vec<_> = due.collect();
        due.sort_unstable();
        let ids = due.into_iter().take(limit);
        Ok(ids.map(|(_, id)| id.clone()).collect())
    }

    async fn oldest_due(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let state = self.state();
        let due = state.jobs.values().filter(|job| job.leased_until <= now);
        let due = due.filter_map(|job| job.due.filter(|due| *due <= now));
        Ok(due.min())
    }

    async fn list(&self, filter: &JobFilter, page: &PageRequest) -> Result<JobPage, StoreError> {
        let state = self.state();
        let jobs = state.jobs.values().map(|entry| {
            let summary = JobSummary {
                parked: entry.parked.clone(),
                ..JobSummary::of(&entry.job)
            };
            (entry.number, summary)
        });
        let newer = page.newer_than(state.next_number);
        let below = page.below();
        let jobs = jobs.filter(|(number, job)| {
            newer.is_none_or(|newer| *number > newer)
                && below.as_ref().is_none_or(|below| job.key() < *below)
                && filter.matches(job)
        });
        let jobs = jobs.map(|(number, job)| match newer {
            Some(_) => ((number, ListKey::from_outside("")), job),
            None => ((0, job.key()), job),
        });
        let mut jobs: Vec<_> = jobs.collect();
        jobs.sort_unstable_by(|(one, _), (other, _)| other.cmp(one));
        jobs.truncate(page.limit);
        let last = jobs.last().filter(|_| jobs.len() == page.limit);
        Ok(JobPage {
            next: last.map(|(_, job)| job.key().to_cursor()),
            latest: Some(state.next_number.to_string()),
            entries: jobs.into_iter().map(|(_, job)| job).collect(),
        })
    }

    async fn job_ids(&self, prefix: &str, limit: usize) -> Result<Vec<JobId>, StoreError> {
        let state = self.state();
        let ids = state
            .jobs
            .keys()
            .filter(|id| id.as_str().starts_with(prefix));
        let mut ids: Vec<JobId> = ids.cloned().collect();
        ids.sort_unstable();
        ids.truncate(limit);
        Ok(ids)
    }

    async fn delete_job(&self, id: &JobId) -> Result<bool, StoreError> {
        Ok(self.state().jobs.remove(id).is_some())
    }

    async fn park(&self, id: &JobId, reason: &str) -> Result<(), StoreError> {
        let now = self.clock.now();
        let mut state = self.state();
        let Some(entry) = state.jobs.get_mut(id) else {
            return Ok(());
        };
        entry.version += 1;
        entry.leased_until = Timestamp::UNIX_EPOCH;
        entry.due = None;
        entry.expires = None;
        entry.parked = Some(reason.to_owned());
        let source = entry.job.source.as_ref();
        let delivery = source.map(|source| source.delivery.clone());
        if let Some(entry) = delivery.and_then(|id| state.deliveries.get_mut(&id)) {
            let reason = DeadLetterReason::for_parked_job(id, reason, now);
            entry.delivery.dead_letter = Some(reason);
            entry.expires = None;
        }
        Ok(())
    }

    async fn unpark(&self, id: &JobId, due: Timestamp) -> Result<bool, StoreError> {
        let mut state = self.state();
        let state = &mut *state;
        let entry = state.jobs.get_mut(id);
        let Some(entry) = entry.filter(|entry| entry.parked.is_some()) else {
            return Ok(false);
        };
        entry.version += 1;
        entry.due = Some(due);
        entry.parked = None;
        let source = entry.job.source.as_ref();
        let delivery = source.and_then(|source| state.deliveries.get(&source.delivery));
        let dead = delivery.and_then(|entry| {
            let dead = entry.delivery.dead_letter.as_ref();
            let dead = dead.filter(|dead| dead.job.as_ref() == Some(id))?;
            Some((entry.delivery.id.clone(), dead.since))
        });
        if let Some((delivery, since)) = dead {
            state.restore(&delivery, since);
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::update::UpdateRequest;

    fn job(number: usize) -> Job {
        let request = serde_json::json!({"module": "Leads", "fields": {"A": 1}, "ids": ["7"]});
        let request = UpdateRequest::parse(&request).expect("a request");
        let id = JobId::derive("r", &number.to_string(), 1);
        Job::new(
            id,
            None,
            "default".to_owned(),
            request,
            None,
            Timestamp::UNIX_EPOCH,
        )
    }

    #[tokio::test]
    async fn store_drops_only_finished_jobs() {
        let (store, now) = (MemoryStore::new(), Timestamp::UNIX_EPOCH);
        let open = job(usize::MAX);
        store.add(&open, None).await.expect("added");
        for number in 0..FINISHED_KEPT + 20 {
            let job = job(number);
            store.add(&job, None).await.expect("added");
            let Ok(Claim::Acquired(job, lease)) = store.claim(&job.id, now, now).await else {
                panic!("the job is not leased");
            };
            store.release(&job, lease, None).await.expect("released");
        }
        let kept = sync::lock(&store.state).jobs.len();
        assert_eq!(kept, FINISHED_KEPT + 1);
        assert!(store.get(&open.id).await.expect("read").is_some());
        assert!(store.get(&job(19).id).await.expect("read").is_none());
        assert!(store.get(&job(20).id).await.expect("read").is_some());
    }
}
