//! Where jobs are kept. The store is the truth: a job is stored before its delivery is acknowledged, and only who holds
//! its lease may change it.
//!
//! There are two stores, [`super::sqlite`] and [`crate::aws::jobs`]; one suite of tests (`tests/it/store.rs`) holds for
//! both. Besides jobs they keep what several drivers must agree on (locks, tokens), and the deliveries that the jobs came
//! of.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::SecretString;

use super::delivery::{DeadLetterSummary, StoredDelivery};
use super::{CallbackStatus, Job, JobId, JobStatus};
use crate::clock::{Clock, SystemClock, after};
use crate::update::UpdateRequest;

/// How long a finished job can be looked up, unless the store is told otherwise.
const RETENTION: Duration = Duration::from_secs(30 * 24 * 3600);

/// The right to drive a job until a moment. A checkpoint with a lease that somebody else has taken over is refused.
#[derive(Clone, PartialEq)]
pub struct Lease {
    /// The stored version that this lease saw last; every write raises it.
    pub version: u64,
    /// Nobody else may drive the job before this moment. A later moment takes effect with the next checkpoint.
    pub until: Timestamp,
    /// What is in the store, so that a checkpoint writes only what has changed.
    pub(crate) written: Box<StoredJob>,
}

impl fmt::Debug for Lease {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Lease")
            .field("version", &self.version)
            .field("until", &self.until)
            .finish_non_exhaustive()
    }
}

/// What a store knows of its last write of a job.
#[derive(Clone, PartialEq)]
pub(crate) struct StoredJob {
    /// The request as it is stored.
    pub(crate) request: UpdateRequest,
    /// Where the request is.
    pub(crate) request_at: ItemLocation,
    /// Where everything else is.
    pub(crate) state_at: ItemLocation,
}

/// Where a piece of a job is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum ItemLocation {
    /// With the job itself.
    #[default]
    Inline,
    /// In parts of its own, because it is large.
    Parts {
        /// Tells these parts from those of every other write.
        generation: String,
        /// How many there are.
        count: u32,
        /// Whether the parts would be deleted on their own one day. Those of a live job must not be.
        has_ttl: bool,
    },
}

/// The answer to the wish to drive a job.
#[derive(Debug)]
pub enum Claim {
    /// It is ours.
    Acquired(Box<Job>, Lease),
    /// Somebody else drives it, at the latest until then.
    Busy {
        /// The end of their lease.
        until: Timestamp,
    },
    /// It was put aside and must be looked at by a person first.
    Parked {
        /// Why.
        reason: String,
    },
    /// There is no such job.
    NotFound,
}

/// The answer to a new job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddResult {
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
    /// Somebody else holds the lock now.
    #[error("the lock `{0}` was lost: somebody else has taken it over")]
    LockLost(String),
    /// What is stored cannot be read by this version.
    #[error("job {id} is stored in a form that this version cannot read: {why}")]
    Unreadable {
        /// The job.
        id: JobId,
        /// What is wrong with it.
        why: String,
    },
    /// The store cannot be used just now: throttled, busy, full or not reachable.
    #[error("the job store cannot be used for now ({0}): try again")]
    Unavailable(String),
    /// The store itself failed; trying again does not help.
    #[error("the job store failed: {0}")]
    Failed(String),
}

impl StoreError {
    /// Whether the same request may work a little later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unavailable(_) => true,
            Self::LeaseLost(_) | Self::LockLost(_) | Self::Unreadable { .. } | Self::Failed(_) => {
                false
            }
        }
    }
}

/// Which jobs [`JobStore::list`] is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JobFilter {
    /// Every job.
    #[default]
    All,
    /// Jobs that are so far.
    Status(JobStatus),
    /// Jobs whose callback was given up.
    Undeliverable,
    /// Jobs that were put aside.
    Parked,
}

impl JobFilter {
    /// Whether a job belongs to it.
    pub fn takes(self, job: &JobSummary) -> bool {
        match self {
            Self::All => true,
            Self::Status(status) => job.status == status,
            Self::Undeliverable => job.callback == Some(CallbackStatus::Undeliverable),
            Self::Parked => job.parked.is_some(),
        }
    }
}

/// A job in a list. It is read from beside the job, so that a job that cannot be read is listed all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobSummary {
    /// Its id.
    pub id: JobId,
    /// The route that it came by.
    pub route: Option<String>,
    /// The connection that it goes through.
    pub connection: String,
    /// The module.
    pub module: String,
    /// How far it is.
    pub status: JobStatus,
    /// How far its callback is.
    pub callback: Option<CallbackStatus>,
    /// Why it was put aside, if it was.
    pub parked: Option<String>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

impl JobSummary {
    /// The summary of a job that is not parked.
    pub fn of(job: &Job) -> Self {
        Self {
            id: job.id.clone(),
            route: job.route.clone(),
            connection: job.connection.clone(),
            module: job.request.module.to_string(),
            status: job.status(),
            callback: job.callback.as_ref().map(|callback| callback.status),
            parked: None,
            created_at: job.created_at,
            finished_at: job.finished_at,
        }
    }
}

/// Some jobs of a list, the latest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobPage {
    /// The jobs.
    pub jobs: Vec<JobSummary>,
    /// What to ask for the next page with; none if there is no more.
    pub next: Option<String>,
}

/// Who holds a lock. The same holder gets its lock again, which prolongs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockHolder(String);

impl LockHolder {
    /// A holder like no other, for one stretch of work.
    pub fn unique() -> Self {
        Self(format!("{:032x}", fastrand::u128(..)))
    }

    /// A job, for what it holds from one turn to the next.
    pub fn job(id: &JobId) -> Self {
        Self(id.to_string())
    }

    /// A holder by its name, as [`LockHolder::as_str`] gave it.
    pub fn named(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// The holder's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A lock that was won.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// What is locked.
    pub name: String,
    /// By whom.
    pub holder: LockHolder,
    /// Nobody else gets it before this moment.
    pub until: Timestamp,
}

/// What all drivers share of a connection's access token.
#[derive(Clone, Debug)]
pub struct SharedToken {
    /// The token, in whatever form its owner gave it; none if there is only a mark.
    pub value: Option<SecretString>,
    /// When the token ends.
    pub expires_at: Timestamp,
    /// No token is to be asked for before this moment.
    pub throttled_until: Option<Timestamp>,
}

/// How long finished jobs and kept deliveries can be looked up, and by which clock.
#[derive(Clone, Debug)]
pub struct Retention {
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// How long.
    pub period: Duration,
}

impl Retention {
    /// When what is finished now is forgotten.
    pub fn expires_at(&self) -> Timestamp {
        after(self.clock.now(), self.period)
    }
}

impl Default for Retention {
    /// 30 days by the machine's clock.
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            period: RETENTION,
        }
    }
}

/// Keeps jobs.
///
/// Every method fails with [`StoreError::Unavailable`] or [`StoreError::Failed`] when the store itself does; what each
/// adds to that is said with it.
#[async_trait]
pub trait JobStore: fmt::Debug + Send + Sync {
    /// Stores a new job, unless one with its id is there already, and with it the delivery that it came of, unless that
    /// is kept already. The job is due when it says so itself.
    ///
    /// # Errors
    /// Those of the store.
    async fn add(
        &self,
        job: &Job,
        delivery: Option<&StoredDelivery>,
    ) -> Result<AddResult, StoreError>;

    /// A job as it stands.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`].
    async fn get(&self, id: &JobId) -> Result<Option<Job>, StoreError>;

    /// Takes the job for driving, unless somebody holds it beyond `now`. It need not be due.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`]; the job is held until `until` then, so that nobody tries again at once.
    async fn claim(
        &self,
        id: &JobId,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Claim, StoreError>;

    /// Writes down what is known of the job, and keeps the lease. The job's request is written only if it has changed.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`].
    async fn checkpoint(&self, job: &Job, lease: &mut Lease) -> Result<(), StoreError>;

    /// Writes down what is known of the job, and ends the lease. `due` says when the job is to be driven next; if never,
    /// it is forgotten after the store's retention, and its delivery becomes a dead letter if [something is wrong](super::delivery::DeadLetterReason::for_job)
    /// with the job. Otherwise the delivery is forgotten: at once, unless other jobs came of it, too.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`].
    async fn release(
        &self,
        job: &Job,
        lease: Lease,
        due: Option<Timestamp>,
    ) -> Result<(), StoreError>;

    /// Jobs that are due and that nobody holds, the longest due first. A job whose driver was lost is among them when
    /// its lease is over. It is a hint: [`JobStore::claim`] decides.
    ///
    /// # Errors
    /// Those of the store.
    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<JobId>, StoreError>;

    /// Jobs, the latest first, `after` being the `next` of the page before.
    ///
    /// # Errors
    /// Those of the store.
    async fn list(
        &self,
        filter: JobFilter,
        limit: usize,
        after: Option<&str>,
    ) -> Result<JobPage, StoreError>;

    /// Puts a job aside: it stays as it is, ends any lease on it, and is not due until it is unparked. Its delivery is a
    /// dead letter until then. A job that does not exist is left so.
    ///
    /// # Errors
    /// Those of the store.
    async fn park(&self, id: &JobId, reason: &str) -> Result<(), StoreError>;

    /// Makes a parked job due again. Returns whether it was parked.
    ///
    /// # Errors
    /// Those of the store.
    async fn unpark(&self, id: &JobId, due: Timestamp) -> Result<bool, StoreError>;

    /// Takes a lock, or prolongs it, unless another holder has it beyond `now`.
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

    /// Gives a lock back. If somebody else has taken it over, nothing happens.
    ///
    /// # Errors
    /// Those of the store.
    async fn unlock(&self, name: &str, holder: &LockHolder) -> Result<(), StoreError>;

    /// The token that all drivers share.
    ///
    /// # Errors
    /// Those of the store.
    async fn token(&self, name: &str) -> Result<Option<SharedToken>, StoreError>;

    /// Shares a token, as long as nobody else has taken over the lock under which it was got.
    ///
    /// # Errors
    /// [`StoreError::LockLost`].
    async fn put_token(
        &self,
        name: &str,
        token: &SharedToken,
        lock: &Lock,
    ) -> Result<(), StoreError>;

    /// Keeps a delivery that came to no job. One with the same id is replaced.
    ///
    /// # Errors
    /// Those of the store.
    async fn put_delivery(&self, delivery: &StoredDelivery) -> Result<(), StoreError>;

    /// Dead letters, the latest first.
    ///
    /// # Errors
    /// Those of the store.
    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetterSummary>, StoreError>;

    /// A kept delivery, be it a dead letter or not.
    ///
    /// # Errors
    /// Those of the store.
    async fn delivery(&self, id: &str) -> Result<Option<StoredDelivery>, StoreError>;

    /// Makes a dead letter a delivery whose jobs are under way again, unless it has died anew since that moment.
    ///
    /// # Errors
    /// Those of the store.
    async fn restore(&self, id: &str, dead_since: Timestamp) -> Result<(), StoreError>;

    /// Forgets a kept delivery. Returns whether it was there.
    ///
    /// # Errors
    /// Those of the store.
    async fn delete_delivery(&self, id: &str) -> Result<bool, StoreError>;

    /// Says that this process stood still until now, with all that it does, and drives nothing at this moment: what is
    /// measured by time that only passes says nothing of the time before.
    fn resumed(&self) {}
}
