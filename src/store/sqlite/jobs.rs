//! Jobs in SQLite.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{FINISHED_IN_MEMORY, SqliteStore, deliveries, job_rows, schema};
use crate::job::{DeadLetterReason, Job, JobId};
use crate::store::Jobs;
use crate::store::delivery::StoredDelivery;
use crate::store::document;
use crate::store::error::StoreError;
use crate::store::lease::{AddResult, Claim, ItemLocation, Lease, StoredJob};
use crate::store::listing::{JobFilter, JobPage, JobSummary, ListKey};

#[async_trait]
impl Jobs for SqliteStore {
    async fn add(
        &self,
        job: &Job,
        delivery: Option<&StoredDelivery>,
    ) -> Result<AddResult, StoreError> {
        let due = job.due(job.created_at);
        let new = job_rows::NewRow {
            row: job_rows::JobRow::of(job)?,
            request: document::encode_request(job)?,
            delivery: delivery.map(deliveries::DeliveryRow::of).transpose()?,
            due,
            expires_at: due.is_none().then(|| self.expires_at()).flatten(),
        };
        let keep_finished = self.retention.is_none().then_some(FINISHED_IN_MEMORY);
        let horizon = self.horizon();
        self.with(move |connection| job_rows::add(connection, &new, horizon, keep_finished))
            .await
    }

    async fn get(&self, id: &JobId) -> Result<Option<Job>, StoreError> {
        let (key, horizon) = (id.clone(), self.horizon());
        let found = self.with(move |connection| job_rows::get(connection, &key, horizon));
        found
            .await?
            .map(|(request, state)| document::decode_job(id, &request, &state))
            .transpose()
    }

    async fn claim(
        &self,
        id: &JobId,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Claim, StoreError> {
        let key = id.clone();
        let claimed = self.with(move |connection| job_rows::claim(connection, &key, now, until));
        Ok(match claimed.await? {
            job_rows::ClaimedRow::Acquired {
                version,
                request,
                state,
            } => {
                let job = document::decode_job(id, &request, &state)?;
                let stored = Box::new(StoredJob {
                    request: job.request.clone(),
                    request_at: ItemLocation::Inline,
                    state_at: ItemLocation::Inline,
                });
                let lease = Lease {
                    version,
                    until,
                    stored,
                };
                Claim::Acquired(Box::new(job), lease)
            }
            job_rows::ClaimedRow::Busy(until) => Claim::Busy { until },
            job_rows::ClaimedRow::Parked(reason) => Claim::Parked { reason },
            job_rows::ClaimedRow::NotFound => Claim::NotFound,
        })
    }

    async fn checkpoint(&self, job: &Job, lease: &mut Lease) -> Result<(), StoreError> {
        let until = lease.until;
        self.write(job, lease, until, Some(until)).await?;
        lease.version += 1;
        if lease.stored.request != job.request {
            lease.stored.request = job.request.clone();
        }
        Ok(())
    }

    async fn release(
        &self,
        job: &Job,
        lease: Lease,
        due: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        self.write(job, &lease, Timestamp::UNIX_EPOCH, due).await
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<JobId>, StoreError> {
        let horizon = self.horizon();
        self.with(move |connection| {
            schema::delete_expired(connection, horizon)?;
            job_rows::due(connection, now, limit)
        })
        .await
    }

    async fn list(
        &self,
        filter: JobFilter,
        limit: usize,
        after: Option<&str>,
    ) -> Result<JobPage, StoreError> {
        let after = after.map(ListKey::from_outside);
        let horizon = self.horizon();
        let read = self.with(move |connection| {
            job_rows::list(connection, filter, limit, after.as_ref(), horizon)
        });
        let jobs = read.await?;
        let last = jobs.last().filter(|_| jobs.len() == limit);
        let next = last.map(|job: &JobSummary| ListKey::new(job.created_at, job.id.as_str()));
        Ok(JobPage {
            next: next.map(|key| key.as_str().to_owned()),
            jobs,
        })
    }

    async fn park(&self, id: &JobId, reason: &str) -> Result<(), StoreError> {
        let (id, reason, now) = (id.clone(), reason.to_owned(), self.now());
        self.with(move |connection| job_rows::park(connection, &id, &reason, now))
            .await
    }

    async fn unpark(&self, id: &JobId, due: Timestamp) -> Result<bool, StoreError> {
        let id = id.clone();
        self.with(move |connection| job_rows::unpark(connection, &id, due))
            .await
    }
}

impl SqliteStore {
    async fn write(
        &self,
        job: &Job,
        lease: &Lease,
        leased_until: Timestamp,
        due: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let row = job_rows::JobRow::of(job)?;
        let changed = lease.stored.request != job.request;
        let request = changed.then(|| document::encode_request(job)).transpose()?;
        let write = job_rows::RowUpdate {
            request,
            version: lease.version,
            leased_until,
            due,
            dead_letter: due
                .is_none()
                .then(|| DeadLetterReason::for_job(job, self.now()))
                .flatten(),
            expires_at: due.is_none().then(|| self.expires_at()).flatten(),
        };
        let written = self.with(move |connection| job_rows::write(connection, &row, &write));
        if written.await? {
            Ok(())
        } else {
            Err(StoreError::LeaseLost(job.id.clone()))
        }
    }
}
