//! Jobs in SQLite.

use std::collections::HashSet;

use async_trait::async_trait;
use futures_util::StreamExt;
use jiff::Timestamp;

use super::{Database, SqliteStore, deliveries, job_list, job_rows, maintenance};
use crate::job::{DeadLetterReason, Job, JobId};
use crate::store::delivery::StoredDelivery;
use crate::store::document;
use crate::store::error::StoreError;
use crate::store::lease::{AddResult, Claim, ItemLocation, Lease, StoredJob};
use crate::store::listing::{JobFilter, JobPage, PageRequest};
use crate::store::{Jobs, StoreKind};

/// Jobs that one request leases.
const CLAIMS: usize = 64;

/// Such requests under way at once.
const CHUNKS: usize = 4;

#[async_trait]
impl Jobs for SqliteStore {
    fn kind(&self) -> StoreKind {
        StoreKind::Sqlite
    }

    fn check_backlog(&self) -> Result<(), StoreError> {
        match &*self.database {
            Database::File { writer, .. } if writer.has_backlog() => {
                let reason = "it has more jobs than the server drives".to_owned();
                Err(StoreError::Unavailable(reason))
            }
            Database::File { .. } | Database::Memory { .. } => Ok(()),
        }
    }

    /// Requests that are under way at once share a transaction.
    fn concurrency(&self) -> usize {
        256
    }

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
        };
        let added = self
            .write(move |session| job_rows::add(session, &new))
            .await?;
        if added == AddResult::New {
            self.report_change();
        }
        Ok(added)
    }

    async fn get(&self, id: &JobId) -> Result<Option<Job>, StoreError> {
        let key = id.clone();
        let found = self.read(move |session| job_rows::get(session, &key));
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
        let claimed = self.write(move |session| job_rows::claim(session, &key, now, until));
        to_claim(id, claimed.await?, until)
    }

    async fn claim_all_due(
        &self,
        ids: &[JobId],
        now: Timestamp,
        until: Timestamp,
    ) -> Vec<Result<Claim, StoreError>> {
        let chunks: Vec<Vec<JobId>> = ids.chunks(CLAIMS).map(<[JobId]>::to_vec).collect();
        let claims = futures_util::stream::iter(chunks)
            .map(|ids| self.claim_chunk(ids, now, until))
            .buffered(CHUNKS);
        claims.flat_map(futures_util::stream::iter).collect().await
    }

    async fn checkpoint(&self, job: &Job, lease: &mut Lease) -> Result<(), StoreError> {
        let until = lease.until;
        self.update(job, lease, until, Some(until)).await?;
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
        self.update(job, &lease, Timestamp::UNIX_EPOCH, due).await
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<JobId>, StoreError> {
        self.maintain()?;
        self.read(move |session| job_rows::due(&session.connection, now, limit))
            .await
    }

    /// Woken jobs that are due are among the due ones, so a full list needs no others.
    async fn due_with(
        &self,
        woken: &[JobId],
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<JobId>, StoreError> {
        let mut ids = self.due(now, limit).await?;
        let mut listed: HashSet<JobId> = ids.iter().cloned().collect();
        let missing = limit.saturating_sub(ids.len());
        let others = woken.iter().filter(|id| listed.insert((*id).clone()));
        ids.extend(others.take(missing).cloned());
        Ok(ids)
    }

    async fn oldest_due(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        self.read(move |session| job_rows::oldest_due(&session.connection, now))
            .await
    }

    async fn list(&self, filter: &JobFilter, page: &PageRequest) -> Result<JobPage, StoreError> {
        let (filter, page) = (filter.clone(), page.clone());
        self.list_rows(move |session| job_list::list(session, &filter, &page))
            .await
    }

    async fn job_ids(&self, prefix: &str, limit: usize) -> Result<Vec<JobId>, StoreError> {
        let prefix = prefix.to_owned();
        let read =
            self.list_rows(move |session| job_list::ids_with_prefix(session, &prefix, limit));
        let ids = read.await?;
        Ok(ids.iter().map(|id| JobId::from_outside(id)).collect())
    }

    async fn delete_job(&self, id: &JobId) -> Result<bool, StoreError> {
        let id = id.clone();
        self.write(move |session| {
            maintenance::overwriting(&session.connection, |connection| {
                let Some(row) = session.job_index.find(connection, &id)? else {
                    return Ok(false);
                };
                let deleted = connection.execute("DELETE FROM jobs WHERE rowid = ?1", [row]);
                deleted.map(|count| count == 1)
            })
        })
        .await
    }

    async fn park(&self, id: &JobId, reason: &str) -> Result<(), StoreError> {
        let (id, reason, now) = (id.clone(), reason.to_owned(), self.now());
        self.write(move |session| job_rows::park(session, &id, &reason, now))
            .await
    }

    async fn unpark(&self, id: &JobId, due: Timestamp) -> Result<bool, StoreError> {
        let id = id.clone();
        self.write(move |session| job_rows::unpark(session, &id, due))
            .await
    }
}

/// The answer to a claim, with the job.
fn to_claim(id: &JobId, row: job_rows::ClaimedRow, until: Timestamp) -> Result<Claim, StoreError> {
    Ok(match row {
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
                has_delivery: false,
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

impl SqliteStore {
    /// Leases a few jobs in one request, behind which other requests do not wait for long.
    async fn claim_chunk(
        &self,
        ids: Vec<JobId>,
        now: Timestamp,
        until: Timestamp,
    ) -> Vec<Result<Claim, StoreError>> {
        let keys = ids.clone();
        let claimed = self.write(move |session| {
            let claims = keys
                .iter()
                .map(|key| job_rows::claim(session, key, now, until));
            claims.collect::<rusqlite::Result<Vec<_>>>()
        });
        match claimed.await {
            Ok(rows) => {
                let rows = ids.iter().zip(rows);
                rows.map(|(id, row)| to_claim(id, row, until)).collect()
            }
            Err(error) => ids.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    async fn update(
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
        };
        let written = self.write(move |session| job_rows::write(session, &row, &write));
        if written.await? {
            Ok(())
        } else {
            Err(StoreError::LeaseLost(job.id.clone()))
        }
    }
}
