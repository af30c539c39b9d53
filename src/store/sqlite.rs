//! The store in SQLite: a file for one machine, memory for one invocation.

mod columns;
mod deliveries;
mod delivery_log;
mod job_index;
mod job_list;
mod job_rows;
mod jobs;
mod locks;
mod maintenance;
mod part_filters;
mod record_order;
mod schema;
mod session;
mod worker;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::ErrorCode;
use tokio::sync::watch;

use super::error::StoreError;
use super::retention::Retention;
use crate::clock::{Clock, SystemClock};
use crate::sync;
use session::{RetentionTime, Session};
use worker::{Access, Worker};

/// The number of finished jobs that a store in memory keeps, so that a warm function does not grow without limit.
const FINISHED_IN_MEMORY: u32 = 200;

/// A store in one SQLite database, which is opened on first use.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    database: Arc<Database>,
    clock: Arc<dyn Clock>,
    period: Option<Duration>,
    /// Counts what lists show as new.
    changes: Arc<watch::Sender<u64>>,
}

#[derive(Debug)]
enum Database {
    Memory {
        time: Option<RetentionTime>,
        session: Mutex<Option<Session>>,
    },
    File {
        writer: Worker,
        reader: Worker,
        /// Reads lists and filters, which take longer than what the engine waits for.
        lister: Box<Worker>,
    },
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
        let path = match &*self.database {
            Database::Memory { .. } => None,
            Database::File { writer, .. } => Some(writer.path().to_owned()),
        };
        Self::at(path, Some(retention))
    }

    fn at(path: Option<PathBuf>, retention: Option<Retention>) -> Self {
        let clock = retention.as_ref().map(|retention| retention.clock.clone());
        let period = retention.as_ref().map(|retention| retention.period);
        let time = retention.map(RetentionTime::new);
        let database = match path {
            None => Database::Memory {
                time,
                session: Mutex::new(None),
            },
            Some(path) => {
                let writer = Worker::new(Access::Write, path, time);
                Database::File {
                    reader: writer.reader(),
                    lister: Box::new(writer.reader()),
                    writer,
                }
            }
        };
        Self {
            database: Arc::new(database),
            clock: clock.unwrap_or_else(|| Arc::new(SystemClock)),
            period,
            changes: Arc::new(watch::Sender::new(0)),
        }
    }

    /// Ends every lease, and every lock except those that unfinished jobs hold from turn to turn. Call it only when no other
    /// process drives jobs of this file; such a process would lose its leases. Returns the number of leases that were ended.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn break_leases(&self, now: Timestamp) -> Result<usize, StoreError> {
        self.write(move |session| {
            let ended = job_rows::break_leases(&session.connection, now)?;
            locks::break_locks(session)?;
            Ok(ended)
        })
        .await
    }

    /// Runs `work` in a transaction. Work on a file may run several times; only the last run takes effect.
    async fn write<T: Send + 'static>(
        &self,
        mut work: impl FnMut(&Session) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        match &*self.database {
            Database::Memory { time, session } => in_memory(time, session, |session| {
                worker::begin(session, Access::Write)?;
                let done = work(session);
                match &done {
                    Ok(_) => worker::end_transaction(session)?,
                    Err(_) => worker::roll_back(session)?,
                }
                done
            }),
            Database::File { writer, .. } => writer.run(work).await,
        }
    }

    /// Runs `work`, which only reads.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnMut(&Session) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        match &*self.database {
            Database::Memory { time, session } => in_memory(time, session, work),
            Database::File { reader, .. } => reader.run(work).await,
        }
    }

    /// Runs `work`, which reads a list.
    async fn list_rows<T: Send + 'static>(
        &self,
        work: impl FnMut(&Session) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        match &*self.database {
            Database::Memory { time, session } => in_memory(time, session, work),
            Database::File { lister, .. } => lister.run(work).await,
        }
    }

    /// Deletes expired rows: in a file little by little, between requests. There the filters of the index are read, too.
    fn maintain(&self) -> Result<(), StoreError> {
        match &*self.database {
            Database::Memory { time, session } => in_memory(time, session, |session| {
                maintenance::delete_rows(session, || true)
            }),
            Database::File { writer, lister, .. } => {
                writer.maintain();
                lister.maintain();
                Ok(())
            }
        }
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Wakes those who wait for new entries of lists.
    fn report_change(&self) {
        self.changes
            .send_modify(|changes| *changes = changes.wrapping_add(1));
    }
}

fn in_memory<T>(
    time: &Option<RetentionTime>,
    session: &Mutex<Option<Session>>,
    mut work: impl FnMut(&Session) -> rusqlite::Result<T>,
) -> Result<T, StoreError> {
    let mut session = sync::lock(session);
    let mut run = || {
        let open = match session.take() {
            Some(open) => open,
            None => Session::in_memory(time.clone())?,
        };
        work(session.insert(open))
    };
    run().map_err(|error| store_error(&error))
}

fn store_error(error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::DiskFull) => {
            StoreError::Unavailable(error.to_string())
        }
        _ => StoreError::Failed(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
