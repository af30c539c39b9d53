//! Where jobs are kept. The store is the truth: a job is stored before its delivery is acknowledged, and only who holds
//! its lease may change it.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Job, JobId};

/// The right to drive a job until a moment. A checkpoint with a lease that somebody else has taken over is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The stored version that this lease saw last; every write raises it.
    pub version: u64,
    /// Nobody else may drive the job before this moment.
    pub until: Timestamp,
}

/// The answer to the wish to drive a job.
#[derive(Debug)]
pub enum Claim {
    /// It is ours.
    Ours(Box<Job>, Lease),
    /// Somebody else drives it, at the latest until then.
    Busy {
        /// The end of their lease.
        until: Timestamp,
    },
    /// There is no such job.
    Absent,
}

/// The answer to a new job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// It was not there.
    New,
    /// A job with this id is there already; nothing was changed.
    Existing,
}

/// Why the store could not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else drives the job now; what we know of it is out of date.
    #[error("the lease on job {0} was lost: another driver has taken it over")]
    LeaseLost(JobId),
    /// What is stored cannot be read by this version.
    #[error("job {id} is stored in a form that this version cannot read: {why}")]
    Unreadable {
        /// The job.
        id: JobId,
        /// What is wrong with it.
        why: String,
    },
    /// The store itself failed.
    #[error("the job store failed: {0}")]
    Failed(String),
}

/// Keeps jobs.
#[async_trait]
pub trait JobStore: std::fmt::Debug + Send + Sync {
    /// Stores a new job, unless one with its id is there already.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    async fn add(&self, job: &Job) -> Result<Added, StoreError>;

    /// A job as it stands.
    ///
    /// # Errors
    /// [`StoreError::Failed`], [`StoreError::Unreadable`].
    async fn get(&self, id: &JobId) -> Result<Option<Job>, StoreError>;

    /// Takes the job for driving, unless somebody holds it beyond `now`.
    ///
    /// # Errors
    /// [`StoreError::Failed`], [`StoreError::Unreadable`].
    async fn claim(
        &self,
        id: &JobId,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Claim, StoreError>;

    /// Writes down what is known of the job, and keeps the lease.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], [`StoreError::Failed`].
    async fn checkpoint(&self, job: &Job, lease: &mut Lease) -> Result<(), StoreError>;

    /// Writes down what is known of the job, and ends the lease.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], [`StoreError::Failed`].
    async fn release(&self, job: &Job, lease: Lease) -> Result<(), StoreError>;
}
