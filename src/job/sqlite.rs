//! Jobs in SQLite: a file for one machine, memory for one invocation.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::store::{Added, Claim, JobStore, Lease, StoreError};
use super::{Job, JobId};

/// Finished jobs that a store in memory keeps, so that a warm function does not grow for ever.
const KEPT_IN_MEMORY: u32 = 200;

/// A job store in one SQLite database, which is opened on first use.
#[derive(Debug)]
pub struct SqliteStore {
    /// None: in memory.
    file: Option<PathBuf>,
    connection: Mutex<Option<Connection>>,
}

/// The stored shape. A new one gets a new version; the old ones stay readable.
#[derive(Serialize, Deserialize)]
#[serde(tag = "v")]
enum Stored<J> {
    #[serde(rename = "1")]
    V1 { job: J },
}

impl SqliteStore {
    /// A store that is gone with the process.
    pub fn in_memory() -> Self {
        Self {
            file: None,
            connection: Mutex::new(None),
        }
    }

    /// A store in a file, which is made if it is not there.
    pub fn in_file(path: PathBuf) -> Self {
        Self {
            file: Some(path),
            connection: Mutex::new(None),
        }
    }

    fn open(&self) -> rusqlite::Result<Connection> {
        let connection = match &self.file {
            None => Connection::open_in_memory()?,
            Some(path) => {
                let connection = Connection::open(path)?;
                connection.pragma_update(None, "journal_mode", "WAL")?;
                connection.busy_timeout(std::time::Duration::from_secs(5))?;
                connection
            }
        };
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS jobs (
                 id TEXT PRIMARY KEY,
                 version INTEGER NOT NULL,
                 leased_until INTEGER NOT NULL,
                 finished INTEGER NOT NULL,
                 stored TEXT NOT NULL
             ) STRICT;",
        )?;
        Ok(connection)
    }

    /// Runs `work` on the database, opened if it is not yet.
    fn with<T>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let mut connection = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let open = match connection.take() {
            Some(open) => Ok(open),
            None => self.open(),
        };
        let open = open.map_err(failed)?;
        work(connection.insert(open)).map_err(failed)
    }

    fn write(&self, job: &Job, lease: &Lease, until: i64) -> Result<u64, StoreError> {
        let next = lease.version + 1;
        let stored = encode(job)?;
        let changed = self.with(|connection| {
            connection.execute(
                "UPDATE jobs SET version = ?1, leased_until = ?2, finished = ?3, stored = ?4 WHERE id = ?5 AND version = ?6",
                params![next.cast_signed(), until, finished(job), stored, job.id.as_str(), lease.version.cast_signed()],
            )
        })?;
        if changed == 1 {
            Ok(next)
        } else {
            Err(StoreError::LeaseLost(job.id.clone()))
        }
    }
}

#[async_trait]
impl JobStore for SqliteStore {
    async fn add(&self, job: &Job) -> Result<Added, StoreError> {
        let stored = encode(job)?;
        let added = self.with(|connection| {
            if self.file.is_none() {
                let old = "DELETE FROM jobs WHERE finished = 1 AND id NOT IN
                           (SELECT id FROM jobs WHERE finished = 1 ORDER BY rowid DESC LIMIT ?1)";
                connection.execute(old, [KEPT_IN_MEMORY])?;
            }
            connection.execute(
                "INSERT INTO jobs (id, version, leased_until, finished, stored) VALUES (?1, 1, 0, ?2, ?3) ON CONFLICT DO NOTHING",
                params![job.id.as_str(), finished(job), stored],
            )
        })?;
        Ok(if added == 1 {
            Added::New
        } else {
            Added::Existing
        })
    }

    async fn get(&self, id: &JobId) -> Result<Option<Job>, StoreError> {
        let stored: Option<String> = self.with(|connection| {
            let query = "SELECT stored FROM jobs WHERE id = ?1";
            connection
                .query_row(query, [id.as_str()], |row| row.get(0))
                .optional()
        })?;
        stored.map(|stored| decode(id, &stored)).transpose()
    }

    async fn claim(
        &self,
        id: &JobId,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Claim, StoreError> {
        let claimed: Option<(i64, String)> = self.with(|connection| {
            let update = "UPDATE jobs SET version = version + 1, leased_until = ?1 WHERE id = ?2 AND leased_until <= ?3
                          RETURNING version, stored";
            let values = params![until.as_millisecond(), id.as_str(), now.as_millisecond()];
            connection.query_row(update, values, |row| Ok((row.get(0)?, row.get(1)?))).optional()
        })?;
        if let Some((version, stored)) = claimed {
            let job = decode(id, &stored)?;
            return Ok(Claim::Ours(
                Box::new(job),
                Lease {
                    version: version.cast_unsigned(),
                    until,
                },
            ));
        }
        let held: Option<i64> = self.with(|connection| {
            let query = "SELECT leased_until FROM jobs WHERE id = ?1";
            connection
                .query_row(query, [id.as_str()], |row| row.get(0))
                .optional()
        })?;
        Ok(match held {
            Some(until) => Claim::Busy {
                until: Timestamp::from_millisecond(until).unwrap_or(Timestamp::MAX),
            },
            None => Claim::Absent,
        })
    }

    async fn checkpoint(&self, job: &Job, lease: &mut Lease) -> Result<(), StoreError> {
        lease.version = self.write(job, lease, lease.until.as_millisecond())?;
        Ok(())
    }

    async fn release(&self, job: &Job, lease: Lease) -> Result<(), StoreError> {
        self.write(job, &lease, 0).map(|_| ())
    }
}

fn finished(job: &Job) -> bool {
    job.next(Timestamp::MAX) == super::Next::Nothing
}

fn encode(job: &Job) -> Result<String, StoreError> {
    serde_json::to_string(&Stored::V1 { job })
        .map_err(|error| StoreError::Failed(error.to_string()))
}

fn decode(id: &JobId, stored: &str) -> Result<Job, StoreError> {
    match serde_json::from_str(stored) {
        Ok(Stored::V1 { job }) => Ok(job),
        Err(error) => Err(StoreError::Unreadable {
            id: id.clone(),
            why: error.to_string(),
        }),
    }
}

fn failed(error: rusqlite::Error) -> StoreError {
    StoreError::Failed(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::update::UpdateRequest;
    use serde_json::json;
    use std::time::Duration;

    fn job(delivery: &str, now: Timestamp) -> Job {
        let request =
            json!({"module": "Leads", "fields": {"Score": 1.25}, "ids": ["9007199254740993"]});
        let request = UpdateRequest::parse(&request).expect("a request");
        Job::new(
            JobId::derive("r", delivery, 1),
            Some("r".to_owned()),
            "default".to_owned(),
            request,
            None,
            now,
        )
    }

    fn start() -> Timestamp {
        Timestamp::from_second(1_700_000_000).expect("a moment")
    }

    #[tokio::test]
    async fn a_job_survives_a_restart_and_one_driver_drives_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("jobs.db");
        let job = job("d", start());
        let until = start() + Duration::from_secs(60);

        let first = SqliteStore::in_file(path.clone());
        assert_eq!(first.add(&job).await.expect("added"), Added::New);
        assert_eq!(first.add(&job).await.expect("added"), Added::Existing);
        drop(first);

        let store = SqliteStore::in_file(path);
        assert_eq!(store.get(&job.id).await.expect("read"), Some(job.clone()));
        let Claim::Ours(_, mut lease) =
            store.claim(&job.id, start(), until).await.expect("claimed")
        else {
            panic!("the job is free");
        };
        assert!(
            matches!(store.claim(&job.id, start(), until).await, Ok(Claim::Busy { until: held }) if held == until)
        );
        store.checkpoint(&job, &mut lease).await.expect("written");

        let Claim::Ours(_, new) = store
            .claim(&job.id, until, until + Duration::from_secs(60))
            .await
            .expect("claimed")
        else {
            panic!("an expired lease is free");
        };
        assert!(matches!(
            store.checkpoint(&job, &mut lease).await,
            Err(StoreError::LeaseLost(_))
        ));
        store.release(&job, new).await.expect("released");
        assert!(
            matches!(
                store.claim(&job.id, start(), until).await,
                Ok(Claim::Ours(..))
            ),
            "a released job is free"
        );
        let absent = JobId::derive("r", "other", 1);
        assert!(matches!(
            store.claim(&absent, start(), until).await,
            Ok(Claim::Absent)
        ));
    }

    #[tokio::test]
    async fn a_store_in_memory_forgets_only_finished_jobs() {
        let store = SqliteStore::in_memory();
        let open = job("open", start());
        store.add(&open).await.expect("added");
        for number in 0..KEPT_IN_MEMORY + 20 {
            let mut done = job(&number.to_string(), start());
            done.sent(1, 1);
            done.apply(1, crate::job::Event::Settled(Vec::new()), start())
                .expect("allowed");
            store.add(&done).await.expect("added");
        }
        let count: u32 = store
            .with(|connection| {
                connection.query_row("SELECT count(*) FROM jobs", [], |row| row.get(0))
            })
            .expect("a count");
        assert_eq!(count, KEPT_IN_MEMORY + 2);
        assert!(store.get(&open.id).await.expect("read").is_some());
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_an_error_and_stays() {
        let store = SqliteStore::in_memory();
        let job = job("d", start());
        store.add(&job).await.expect("added");
        let newer = "UPDATE jobs SET stored = '{\"v\":\"99\"}'";
        store
            .with(|connection| connection.execute(newer, []))
            .expect("written");
        assert!(matches!(
            store.get(&job.id).await,
            Err(StoreError::Unreadable { .. })
        ));
        assert_eq!(store.add(&job).await.expect("added"), Added::Existing);
    }
}
