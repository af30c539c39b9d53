//! The part of a store that holds jobs.

use std::collections::HashSet;
use std::fmt;

use async_trait::async_trait;
use futures_util::StreamExt;
use jiff::Timestamp;

use super::delivery::StoredDelivery;
use super::{AddResult, Claim, JobFilter, JobPage, Lease, PageRequest, StoreError, StoreKind};
use crate::job::{Job, JobId};

/// Stores jobs, and hands out leases on them.
///
/// Every method of every part fails with [`StoreError::Unavailable`] or [`StoreError::Failed`] if the store itself fails.
/// Each method documents its other errors.
#[async_trait]
pub trait Jobs: fmt::Debug + Send + Sync {
    /// The kind of the store.
    fn kind(&self) -> StoreKind;

    /// Checks whether the store takes new jobs: not while so many are due that their driver lags seconds behind.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    fn check_backlog(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Requests that one driver should have under way at once.
    fn concurrency(&self) -> usize {
        16
    }

    /// Stores a new job and the delivery that it came from. A job or a delivery that is already stored stays unchanged. The
    /// job is due when [`Job::due`] says so.
    ///
    /// # Errors
    /// Those of the store.
    async fn add(
        &self,
        job: &Job,
        delivery: Option<&StoredDelivery>,
    ) -> Result<AddResult, StoreError>;

    /// Reads a job.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`].
    async fn get(&self, id: &JobId) -> Result<Option<Job>, StoreError>;

    /// Leases a job until `until`, unless another lease lasts beyond `now`. The job need not be due.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`]. The job is leased until `until` in this case too, so that it is not claimed again at once.
    async fn claim(
        &self,
        id: &JobId,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Claim, StoreError>;

    /// Leases a job like [`Jobs::claim`], but only if it is due within a second. A store may lease other jobs too.
    ///
    /// # Errors
    /// Those of [`Jobs::claim`].
    async fn claim_due(
        &self,
        id: &JobId,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Claim, StoreError> {
        self.claim(id, now, until).await
    }

    /// Leases several jobs, each like [`Jobs::claim_due`]. Returns a result for each, in the same order.
    async fn claim_all_due(
        &self,
        ids: &[JobId],
        now: Timestamp,
        until: Timestamp,
    ) -> Vec<Result<Claim, StoreError>> {
        let claims = futures_util::stream::iter(ids.to_vec())
            .map(|id| async move { self.claim_due(&id, now, until).await });
        claims.buffered(self.concurrency()).collect().await
    }

    /// Writes a job and keeps its lease. The job's request is written only if it has changed.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`].
    async fn checkpoint(&self, job: &Job, lease: &mut Lease) -> Result<(), StoreError>;

    /// Writes a job and ends its lease. `due` is when the job is to be driven next.
    ///
    /// Without `due` the job is finished, and is deleted after the store's retention. Its delivery becomes a dead letter if
    /// [`DeadLetterReason::for_job`](crate::job::DeadLetterReason::for_job) returns a reason. Otherwise the delivery is
    /// deleted: at once if it has no other jobs, after the retention if it has.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`].
    async fn release(
        &self,
        job: &Job,
        lease: Lease,
        due: Option<Timestamp>,
    ) -> Result<(), StoreError>;

    /// Lists jobs that are due and not leased, the longest due first. A job whose driver crashed is due when its lease ends.
    /// The list is a hint: [`Jobs::claim`] decides.
    ///
    /// # Errors
    /// Those of the store.
    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<JobId>, StoreError>;

    /// Lists what a turn for the woken jobs drives: those of them that [`Jobs::claim_due`] may lease, and other due jobs with
    /// which they may share calls. A store may leave out due jobs if few are due.
    ///
    /// # Errors
    /// Those of the store.
    async fn due_with(
        &self,
        woken: &[JobId],
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<JobId>, StoreError> {
        let mut ids = woken.to_vec();
        ids.extend(self.due(now, limit).await?);
        let mut seen = HashSet::new();
        ids.retain(|id| seen.insert(id.clone()));
        Ok(ids)
    }

    /// When the job was due that waits longest; none if no job is due.
    ///
    /// # Errors
    /// Those of the store.
    async fn oldest_due(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError>;

    /// Lists jobs that are due and not leased, and of which only a callback to a slow receiver is left to do
    /// ([`Job::needs_patience`]). A store may include them in [`Jobs::due`] instead.
    ///
    /// # Errors
    /// Those of the store.
    async fn due_slow_callbacks(
        &self,
        _now: Timestamp,
        _limit: usize,
    ) -> Result<Vec<JobId>, StoreError> {
        Ok(Vec::new())
    }

    /// Lists jobs, the latest first. A page need not be full: it ends early after it has read much.
    ///
    /// # Errors
    /// Those of the store.
    async fn list(&self, filter: &JobFilter, page: &PageRequest) -> Result<JobPage, StoreError>;

    /// The ids of at most `limit` jobs that begin with `prefix`. A store may look among its latest jobs only.
    ///
    /// # Errors
    /// Those of the store.
    async fn job_ids(&self, prefix: &str, limit: usize) -> Result<Vec<JobId>, StoreError>;

    /// Deletes a job and everything that is stored about it. A driver that has leased it cannot write it any more. Returns
    /// whether there was one.
    ///
    /// # Errors
    /// Those of the store.
    async fn delete_job(&self, id: &JobId) -> Result<bool, StoreError>;

    /// Parks a job: ends its lease, and makes it due never again until it is unparked. Its delivery is a dead letter until
    /// then. Does nothing if there is no such job.
    ///
    /// # Errors
    /// Those of the store.
    async fn park(&self, id: &JobId, reason: &str) -> Result<(), StoreError>;

    /// Makes a parked job due at `due`. Returns whether it was parked.
    ///
    /// # Errors
    /// Those of the store.
    async fn unpark(&self, id: &JobId, due: Timestamp) -> Result<bool, StoreError>;
}
