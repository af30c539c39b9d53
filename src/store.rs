//! Where jobs, locks, shared values and deliveries are stored. The store is the source of truth: a job is stored before its
//! delivery is acknowledged, and only the holder of its lease can change it.
//!
//! There are two stores: [`sqlite`] and [`crate::aws::dynamodb`]. One conformance suite (`tests/it/store.rs`) tests both.

pub mod delivery;
pub(crate) mod document;
mod error;
mod lease;
mod listing;
mod lock;
mod retention;
pub mod sqlite;

use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::SecretString;

use crate::job::{Job, JobId};
use delivery::{DeadLetterSummary, StoredDelivery};
pub use error::StoreError;
pub use lease::{AddResult, Claim, Lease};
pub(crate) use lease::{ItemLocation, StoredJob};
pub(crate) use listing::ListKey;
pub use listing::{JobFilter, JobPage, JobSummary};
pub use lock::{Lock, LockHolder};
pub use retention::Retention;

/// Everything that masshook stores. Components take the part that they use.
pub trait Store: Jobs + Locks + KeyValue + Deliveries {}

impl<T: Jobs + Locks + KeyValue + Deliveries> Store for T {}

/// Stores jobs, and hands out leases on them.
///
/// Every method of every part fails with [`StoreError::Unavailable`] or [`StoreError::Failed`] if the store itself fails.
/// Each method documents its other errors.
#[async_trait]
pub trait Jobs: fmt::Debug + Send + Sync {
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

    /// Lists jobs, the latest first. `after` is [`JobPage::next`] of the previous page.
    ///
    /// # Errors
    /// Those of the store.
    async fn list(
        &self,
        filter: JobFilter,
        limit: usize,
        after: Option<&str>,
    ) -> Result<JobPage, StoreError>;

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

/// Locks by name, each of which expires.
#[async_trait]
pub trait Locks: fmt::Debug + Send + Sync {
    /// Takes or extends a lock, unless another holder has it beyond `now`.
    ///
    /// # Errors
    /// Those of the store.
    async fn lock(
        &self,
        name: &str,
        holder: &LockHolder,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Lock>, StoreError>;

    /// Releases a lock. Does nothing if another holder has it.
    ///
    /// # Errors
    /// Those of the store.
    async fn unlock(&self, name: &str, holder: &LockHolder) -> Result<(), StoreError>;
}

/// Small secret values that all processes share. Each is written under a lock.
#[async_trait]
pub trait KeyValue: fmt::Debug + Send + Sync {
    /// Reads a value.
    ///
    /// # Errors
    /// Those of the store.
    async fn value(&self, key: &str) -> Result<Option<SecretString>, StoreError>;

    /// Writes a value while the holder of `lock` still has it. An expired lock counts until another holder takes it.
    ///
    /// # Errors
    /// [`StoreError::LockLost`].
    async fn put_value(
        &self,
        key: &str,
        value: &SecretString,
        lock: &Lock,
    ) -> Result<(), StoreError>;
}

/// Stores deliveries, some of which are dead letters.
#[async_trait]
pub trait Deliveries: fmt::Debug + Send + Sync {
    /// Stores a delivery that has no job. Replaces one with the same id.
    ///
    /// # Errors
    /// Those of the store.
    async fn put_delivery(&self, delivery: &StoredDelivery) -> Result<(), StoreError>;

    /// Lists dead letters, the latest first.
    ///
    /// # Errors
    /// Those of the store.
    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetterSummary>, StoreError>;

    /// Reads a delivery, whether or not it is a dead letter.
    ///
    /// # Errors
    /// Those of the store.
    async fn delivery(&self, id: &str) -> Result<Option<StoredDelivery>, StoreError>;

    /// Turns a dead letter back into a delivery in progress, unless it has become a dead letter again after `since`.
    ///
    /// # Errors
    /// Those of the store.
    async fn restore(&self, id: &str, since: Timestamp) -> Result<(), StoreError>;

    /// Deletes a delivery. Returns whether it existed.
    ///
    /// # Errors
    /// Those of the store.
    async fn delete_delivery(&self, id: &str) -> Result<bool, StoreError>;
}
