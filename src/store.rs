//! Where jobs, locks, shared values and deliveries are stored. The store is the source of truth: a job is stored before its
//! delivery is acknowledged, and only the holder of its lease can change it.
//!
//! There are three stores: [`sqlite`], [`crate::aws::dynamodb`], and [`memory`] for inline mode. One conformance suite
//! (`tests/it/store.rs`) tests them all.

pub mod delivery;
pub mod delivery_log;
pub(crate) mod document;
mod error;
mod jobs;
mod lease;
mod listing;
mod lock;
pub mod memory;
mod record_order;
mod retention;
pub mod sqlite;
pub mod view;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::SecretString;
use tokio::sync::watch;

use crate::job::JobId;
use delivery::{DeadLetterSummary, StoredDelivery};
use delivery_log::{DeliveryFilter, DeliveryPage, DeliverySummary, LogEntry};
pub use error::StoreError;
pub use jobs::Jobs;
pub use lease::{AddResult, Claim, Lease};
pub(crate) use lease::{ItemLocation, StoredJob};
pub(crate) use listing::ListKey;
pub(crate) use listing::truncated;
pub use listing::{
    JobFilter, JobPage, JobSummary, ListPosition, NO_ROUTE, Page, PageRequest, StatusFilter,
    time_text,
};
pub use lock::{Lock, LockHolder};
pub(crate) use record_order::RecordOrder;
pub use record_order::{ClaimResult, ClaimedRecord, OrderSearch, RecordClaim, RecordOrders};
pub use retention::Retention;

/// The kind of a store. Each has positions of lists of its own form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// The memory of this process.
    Memory,
    /// A SQLite file.
    Sqlite,
    /// A DynamoDB table.
    DynamoDb,
}

/// Everything that masshook stores. Components take the part that they use.
pub trait Store: Jobs + Locks + KeyValue + Deliveries + RecordOrders {}

impl<T: Jobs + Locks + KeyValue + Deliveries + RecordOrders> Store for T {}

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

    /// Counts the dead letters. A store may stop at about a thousand.
    ///
    /// # Errors
    /// Those of the store.
    async fn count_dead_letters(&self) -> Result<u64, StoreError>;

    /// Whether this store keeps a log of deliveries, and an entry costs no more than the log's share of a transaction.
    fn has_delivery_log(&self) -> bool {
        false
    }

    /// How long a dead letter is kept, if it expires.
    fn kept_for(&self) -> Option<Duration> {
        None
    }

    /// Whether each read costs money.
    fn has_billed_reads(&self) -> bool {
        false
    }

    /// Adds the jobs of a replay to the log's first entry about a stored delivery, if there is one.
    ///
    /// # Errors
    /// Those of the store.
    async fn log_replay(
        &self,
        _delivery: &str,
        _jobs: &[JobId],
        _at: Timestamp,
    ) -> Result<(), StoreError> {
        Ok(())
    }

    /// Appends entries to the log of deliveries, which keeps about `keep` entries. An entry whose id is taken gets another.
    ///
    /// # Errors
    /// Those of the store.
    async fn log_deliveries(&self, _entries: &[LogEntry], _keep: usize) -> Result<(), StoreError> {
        Ok(())
    }

    /// Lists deliveries, the latest first: entries of the log, or dead letters. A page need not be full: it ends early after it
    /// has read much.
    ///
    /// # Errors
    /// Those of the store.
    async fn list_deliveries(
        &self,
        filter: &DeliveryFilter,
        page: &PageRequest,
    ) -> Result<DeliveryPage, StoreError>;

    /// The entry of the log with this id, with its dead letter.
    ///
    /// # Errors
    /// Those of the store.
    async fn logged_delivery(&self, id: &str) -> Result<Option<DeliverySummary>, StoreError>;

    /// The ids of at most `limit` deliveries that begin with `prefix`. A store may look among its latest deliveries only.
    ///
    /// # Errors
    /// Those of the store.
    async fn delivery_ids(&self, prefix: &str, limit: usize) -> Result<Vec<String>, StoreError>;

    /// Changes whenever this process stores a job or logs a delivery.
    fn changes(&self) -> watch::Receiver<u64>;

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

    /// Deletes a delivery; with `since`, only if it is a dead letter since that moment. Returns whether it was deleted.
    ///
    /// # Errors
    /// Those of the store.
    async fn delete_delivery(&self, id: &str, since: Option<Timestamp>)
    -> Result<bool, StoreError>;

    /// Deletes entries of the log of deliveries.
    ///
    /// # Errors
    /// Those of the store.
    async fn delete_log_entries(&self, _ids: &[String]) -> Result<(), StoreError> {
        Ok(())
    }

    /// Overwrites what deleted entries have left in the store's files, as far as this process can.
    ///
    /// # Errors
    /// Those of the store.
    async fn scrub(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
