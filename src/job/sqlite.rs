//! Jobs in SQLite: a file for one machine, memory for one invocation.

mod deliveries;
mod jobs;
mod locks;
mod schema;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode};
use tokio::sync::Semaphore;

use super::delivery::{DeadLetterReason, DeadLetterSummary, StoredDelivery};
use super::store::{
    AddResult, Claim, ItemLocation, JobFilter, JobPage, JobStore, JobSummary, Lease, Lock,
    LockHolder, Retention, SharedToken, StoreError, StoredJob,
};
use super::{Job, JobId, stored};
use crate::clock::{Clock, SystemClock};

/// Finished jobs that a store in memory keeps, so that a warm function does not grow for ever.
const KEPT_IN_MEMORY: u32 = 200;

/// How long anybody waits in line for the database. A webhook's sender listens for some 10 to 30 s.
const LINE: Duration = Duration::from_secs(10);

/// A job store in one SQLite database, which is opened on first use.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    database: Arc<Database>,
    /// None: finished jobs are kept by number instead.
    retention: Option<Retention>,
}

#[derive(Debug)]
struct Database {
    /// None: in memory.
    file: Option<PathBuf>,
    /// Those who wait for a file wait here, rather than on a thread each.
    line: Arc<Semaphore>,
    connection: Mutex<Option<Connection>>,
}

impl SqliteStore {
    /// A store that is gone with the process. It keeps the latest few hundred finished jobs, however old.
    pub fn in_memory() -> Self {
        Self::at(None, None)
    }

    /// A store in a file, which is made if it is not there, for its owner's eyes only.
    pub fn in_file(path: PathBuf) -> Self {
        Self::at(Some(path), Some(Retention::default()))
    }

    /// The same store with another retention or clock.
    #[must_use]
    pub fn with_retention(self, retention: Retention) -> Self {
        Self {
            retention: Some(retention),
            ..self
        }
    }

    fn at(file: Option<PathBuf>, retention: Option<Retention>) -> Self {
        let connection = Mutex::new(None);
        Self {
            database: Arc::new(Database {
                file,
                line: Arc::new(Semaphore::new(1)),
                connection,
            }),
            retention,
        }
    }

    /// Ends what was held by a process that is gone: every lease, and every lock but those that unfinished jobs hold from
    /// turn to turn. Only for whoever knows that no other process drives jobs of this file; one that does all the same
    /// finds its leases lost. Returns the number of jobs that were freed.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn break_leases(&self, now: Timestamp) -> Result<usize, StoreError> {
        self.with(move |connection| {
            let taking =
                connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
            let freed = jobs::free(&taking, now)?;
            locks::free(&taking)?;
            taking.commit()?;
            Ok(freed)
        })
        .await
    }

    /// Runs `work` on the database, opened if it is not yet. A file is waited for on a thread that may wait.
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let database = Arc::clone(&self.database);
        if database.file.is_none() {
            return database.run(work).map_err(failed);
        }
        // On a task of its own: the caller's may stop being polled for a while, as one of several futures, and whoever
        // came to their turn then would hold up everybody behind them.
        let working = tokio::spawn(async move {
            let line = Arc::clone(&database.line).acquire_owned();
            // While somebody else holds the file, each in line would wait its time before it is told so.
            let Ok(Ok(turn)) = tokio::time::timeout(LINE, line).await else {
                let why = "too many wait for the database";
                return Err(StoreError::Unavailable(why.to_owned()));
            };
            let working = tokio::task::spawn_blocking(move || {
                let _turn = turn;
                database.run(work)
            });
            working.await.map_err(ended)?.map_err(failed)
        });
        working.await.map_err(ended)?
    }

    fn now(&self) -> Timestamp {
        let clock = self
            .retention
            .as_ref()
            .map(|retention| retention.clock.now());
        clock.unwrap_or_else(|| SystemClock.now())
    }

    /// Things that ended before this moment are forgotten.
    fn horizon(&self) -> Timestamp {
        match &self.retention {
            Some(retention) => retention.clock.now(),
            None => Timestamp::MIN,
        }
    }

    fn end(&self) -> Option<Timestamp> {
        self.retention.as_ref().map(Retention::expires_at)
    }
}

impl Database {
    fn run<T>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let mut connection = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let open = match connection.take() {
            Some(open) => open,
            None => schema::open(self.file.as_deref())?,
        };
        work(connection.insert(open))
    }
}

#[async_trait]
impl JobStore for SqliteStore {
    async fn add(
        &self,
        job: &Job,
        delivery: Option<&StoredDelivery>,
    ) -> Result<AddResult, StoreError> {
        let due = job.due(job.created_at);
        let new = jobs::New {
            row: jobs::Row::of(job)?,
            request: stored::request(job)?,
            kept: delivery.map(deliveries::DeliveryRow::of).transpose()?,
            due,
            end: due.is_none().then(|| self.end()).flatten(),
        };
        let keep_only = self.retention.is_none().then_some(KEPT_IN_MEMORY);
        let horizon = self.horizon();
        self.with(move |connection| jobs::add(connection, &new, horizon, keep_only))
            .await
    }

    async fn get(&self, id: &JobId) -> Result<Option<Job>, StoreError> {
        let (key, horizon) = (id.clone(), self.horizon());
        let found = self.with(move |connection| jobs::get(connection, &key, horizon));
        found
            .await?
            .map(|(request, state)| stored::job(id, &request, &state))
            .transpose()
    }

    async fn claim(
        &self,
        id: &JobId,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Claim, StoreError> {
        let key = id.clone();
        let claimed = self.with(move |connection| jobs::claim(connection, &key, now, until));
        Ok(match claimed.await? {
            jobs::ClaimedRow::Acquired {
                version,
                request,
                state,
            } => {
                let job = stored::job(id, &request, &state)?;
                let written = Box::new(StoredJob {
                    request: job.request.clone(),
                    request_at: ItemLocation::Inline,
                    state_at: ItemLocation::Inline,
                });
                let lease = Lease {
                    version,
                    until,
                    written,
                };
                Claim::Acquired(Box::new(job), lease)
            }
            jobs::ClaimedRow::Busy(until) => Claim::Busy { until },
            jobs::ClaimedRow::Parked(reason) => Claim::Parked { reason },
            jobs::ClaimedRow::NotFound => Claim::NotFound,
        })
    }

    async fn checkpoint(&self, job: &Job, lease: &mut Lease) -> Result<(), StoreError> {
        let until = lease.until;
        self.write(job, lease, until, Some(until)).await?;
        lease.version += 1;
        if lease.written.request != job.request {
            lease.written.request = job.request.clone();
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
            schema::forget_ended(connection, horizon)?;
            jobs::due(connection, now, limit)
        })
        .await
    }

    async fn list(
        &self,
        filter: JobFilter,
        limit: usize,
        after: Option<&str>,
    ) -> Result<JobPage, StoreError> {
        let after = after.map(stored::ListKey::from_outside);
        let horizon = self.horizon();
        let read = self
            .with(move |connection| jobs::list(connection, filter, limit, after.as_ref(), horizon));
        let jobs = read.await?;
        let last = jobs.last().filter(|_| jobs.len() == limit);
        let next =
            last.map(|job: &JobSummary| stored::ListKey::new(job.created_at, job.id.as_str()));
        Ok(JobPage {
            next: next.map(|key| key.as_str().to_owned()),
            jobs,
        })
    }

    async fn park(&self, id: &JobId, reason: &str) -> Result<(), StoreError> {
        let (id, reason, now) = (id.clone(), reason.to_owned(), self.now());
        self.with(move |connection| jobs::park(connection, &id, &reason, now))
            .await
    }

    async fn unpark(&self, id: &JobId, due: Timestamp) -> Result<bool, StoreError> {
        let id = id.clone();
        self.with(move |connection| jobs::unpark(connection, &id, due))
            .await
    }

    async fn lock(
        &self,
        name: &str,
        holder: &LockHolder,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Lock>, StoreError> {
        let lock = Lock {
            name: name.to_owned(),
            holder: holder.clone(),
            until,
        };
        self.with(move |connection| {
            let taken = locks::lock(connection, &lock, now)?;
            Ok(taken.then_some(lock))
        })
        .await
    }

    async fn unlock(&self, name: &str, holder: &LockHolder) -> Result<(), StoreError> {
        let (name, holder) = (name.to_owned(), holder.clone());
        self.with(move |connection| locks::unlock(connection, &name, &holder))
            .await
    }

    async fn token(&self, name: &str) -> Result<Option<SharedToken>, StoreError> {
        let name = name.to_owned();
        self.with(move |connection| locks::token(connection, &name))
            .await
    }

    async fn put_token(
        &self,
        name: &str,
        token: &SharedToken,
        lock: &Lock,
    ) -> Result<(), StoreError> {
        let (name, token, of) = (name.to_owned(), token.clone(), lock.clone());
        let put = self.with(move |connection| locks::put_token(connection, &name, &token, &of));
        if put.await? {
            Ok(())
        } else {
            Err(StoreError::LockLost(lock.name.clone()))
        }
    }

    async fn put_delivery(&self, delivery: &StoredDelivery) -> Result<(), StoreError> {
        let (kept, end) = (deliveries::DeliveryRow::of(delivery)?, self.end());
        self.with(move |connection| deliveries::keep(connection, &kept, end))
            .await
    }

    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetterSummary>, StoreError> {
        let horizon = self.horizon();
        self.with(move |connection| deliveries::list(connection, limit, horizon))
            .await
    }

    async fn delivery(&self, id: &str) -> Result<Option<StoredDelivery>, StoreError> {
        let (id, horizon) = (id.to_owned(), self.horizon());
        let found = self.with(move |connection| deliveries::get(connection, &id, horizon));
        found.await?.map(super::delivery::restore).transpose()
    }

    async fn restore(&self, id: &str, dead_since: Timestamp) -> Result<(), StoreError> {
        let id = id.to_owned();
        self.with(move |connection| deliveries::restore(connection, &id, dead_since))
            .await
    }

    async fn delete_delivery(&self, id: &str) -> Result<bool, StoreError> {
        let id = id.to_owned();
        self.with(move |connection| deliveries::delete_delivery(connection, &id))
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
        let row = jobs::Row::of(job)?;
        let changed = lease.written.request != job.request;
        let request = changed.then(|| stored::request(job)).transpose()?;
        let write = jobs::Write {
            request,
            version: lease.version,
            leased_until,
            due,
            death: due
                .is_none()
                .then(|| DeadLetterReason::for_job(job, self.now()))
                .flatten(),
            end: due.is_none().then(|| self.end()).flatten(),
        };
        let written = self.with(move |connection| jobs::write(connection, &row, &write));
        if written.await? {
            Ok(())
        } else {
            Err(StoreError::LeaseLost(job.id.clone()))
        }
    }
}

fn ended(_: tokio::task::JoinError) -> StoreError {
    StoreError::Failed("the database's thread has ended".to_owned())
}

fn failed(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::DiskFull) => {
            StoreError::Unavailable(error.to_string())
        }
        _ => StoreError::Failed(error.to_string()),
    }
}
