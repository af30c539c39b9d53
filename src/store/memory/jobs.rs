//! Jobs in memory.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{DeliveryEntry, MemoryStore, StoredEntry};
use crate::job::{DeadLetterReason, Job, JobId};
use crate::store::delivery::StoredDelivery;
use crate::store::{
    AddResult, Claim, ItemLocation, JobFilter, JobPage, JobSummary, Jobs, Lease, ListKey,
    PageRequest, StoreError, StoreKind, StoredJob,
};

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
