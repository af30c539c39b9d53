//! The store in SQLite: a file for one machine, memory for one invocation.

mod columns;
mod deliveries;
mod job_rows;
mod jobs;
mod locks;
mod schema;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode};
use tokio::sync::Semaphore;

use super::error::StoreError;
use super::retention::Retention;
use crate::clock::{Clock, SystemClock};
use crate::sync;

/// The number of finished jobs that a store in memory keeps, so that a warm function does not grow without limit.
const FINISHED_IN_MEMORY: u32 = 200;

/// How long a request waits in the queue for the database. A webhook's sender waits 10 to 30 s for the answer.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(10);

/// A store in one SQLite database, which is opened on first use.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    database: Arc<Database>,
    /// None: the latest finished jobs are kept, by number.
    retention: Option<Retention>,
}

#[derive(Debug)]
struct Database {
    /// None: in memory.
    file: Option<PathBuf>,
    /// Requests for a file wait here instead of each blocking a thread.
    queue: Arc<Semaphore>,
    connection: Mutex<Option<Connection>>,
}

impl SqliteStore {
    /// A store in memory, lost when the process ends. It keeps the latest few hundred finished jobs, of any age.
    pub fn in_memory() -> Self {
        Self::at(None, None)
    }

    /// A store in a file. A missing file is created with access for its owner only.
    pub fn in_file(path: PathBuf) -> Self {
        Self::at(Some(path), Some(Retention::default()))
    }

    /// Replaces the retention and its clock.
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
                queue: Arc::new(Semaphore::new(1)),
                connection,
            }),
            retention,
        }
    }

    /// Ends every lease, and every lock except those that unfinished jobs hold from turn to turn. Call it only when no other
    /// process drives jobs of this file; such a process would lose its leases. Returns the number of leases that were ended.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn break_leases(&self, now: Timestamp) -> Result<usize, StoreError> {
        self.with(move |connection| {
            let breaking =
                connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
            let ended = job_rows::break_leases(&breaking, now)?;
            locks::break_locks(&breaking)?;
            breaking.commit()?;
            Ok(ended)
        })
        .await
    }

    /// Runs `work` on the database, which is opened first if necessary. Work on a file runs on a blocking thread.
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let database = Arc::clone(&self.database);
        if database.file.is_none() {
            return database.run(work).map_err(failed);
        }
        // The queue is awaited on a separate task. The caller's future may not be polled for a while, and would then block the
        // queue when its turn comes.
        let working = tokio::spawn(async move {
            let turn = Arc::clone(&database.queue).acquire_owned();
            // While another process locks the file, each request in the queue would wait for the full busy timeout.
            let Ok(Ok(turn)) = tokio::time::timeout(QUEUE_TIMEOUT, turn).await else {
                let reason = "too many requests wait for the database";
                return Err(StoreError::Unavailable(reason.to_owned()));
            };
            let working = tokio::task::spawn_blocking(move || {
                let _turn = turn;
                database.run(work)
            });
            working.await.map_err(task_failed)?.map_err(failed)
        });
        working.await.map_err(task_failed)?
    }

    fn now(&self) -> Timestamp {
        let clock = self
            .retention
            .as_ref()
            .map(|retention| retention.clock.now());
        clock.unwrap_or_else(|| SystemClock.now())
    }

    /// Rows that expired before this moment count as deleted.
    fn horizon(&self) -> Timestamp {
        match &self.retention {
            Some(retention) => retention.clock.now(),
            None => Timestamp::MIN,
        }
    }

    fn expires_at(&self) -> Option<Timestamp> {
        self.retention.as_ref().map(Retention::expires_at)
    }
}

impl Database {
    fn run<T>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let mut connection = sync::lock(&self.connection);
        let open = match connection.take() {
            Some(open) => open,
            None => schema::open(self.file.as_deref())?,
        };
        work(connection.insert(open))
    }
}

fn task_failed(_: tokio::task::JoinError) -> StoreError {
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

#[cfg(test)]
mod tests;
