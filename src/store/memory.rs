//! The store in memory, for one process. It is lost when the process ends.

mod deliveries;
mod delivery_log;
mod jobs;
mod record_order;
mod values;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use tokio::sync::watch;

use super::delivery::StoredDelivery;
use super::delivery_log::LogEntry;
use super::{Lease, Lock, Retention, StoreError};
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Claim, Jobs};
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
