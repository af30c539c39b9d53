//! A store to test, with a clock of its own.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use masshook::aws::dynamodb::DynamoStore;
use masshook::clock::{Clock, ManualClock};
use masshook::job::{Job, JobId, PreparationOutcome};
use masshook::store::sqlite::SqliteStore;
use masshook::store::{Claim, Lease, Retention, Store};
use masshook::update::UpdateRequest;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Moto, packed};

/// How long the stores under test keep finished jobs.
pub(crate) const RETENTION: Duration = Duration::from_secs(3_600);

/// A store, empty, and its clock.
pub(crate) struct Bench {
    /// The store.
    pub(crate) store: Arc<dyn Store>,
    /// Its clock.
    pub(crate) clock: ManualClock,
    place: Place,
}

enum Place {
    Memory,
    File(TempDir),
    DynamoDb(String),
}

impl Bench {
    pub(crate) fn in_memory() -> Self {
        let clock = clock();
        let store = SqliteStore::in_memory().with_retention(retention(&clock));
        Self {
            store: Arc::new(store),
            clock,
            place: Place::Memory,
        }
    }

    pub(crate) fn in_file() -> Self {
        let clock = clock();
        let folder = tempfile::tempdir().expect("a folder");
        let store = SqliteStore::in_file(file(&folder)).with_retention(retention(&clock));
        Self {
            store: Arc::new(store),
            clock,
            place: Place::File(folder),
        }
    }

    pub(crate) async fn in_dynamodb() -> Self {
        let clock = clock();
        let table = format!("jobs-{:016x}", fastrand::u64(..));
        let moto = Moto::shared();
        moto.create_table(&table).await;
        let store =
            DynamoStore::with_config(&table, moto.sdk_config()).with_retention(retention(&clock));
        Self {
            store: Arc::new(store),
            clock,
            place: Place::DynamoDb(table),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// So many seconds from now.
    pub(crate) fn within(&self, seconds: u64) -> Timestamp {
        self.now() + Duration::from_secs(seconds)
    }

    pub(crate) fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// A job about one record.
    pub(crate) fn job(&self, delivery: &str) -> Job {
        let request =
            json!({"module": "Leads", "fields": {"Score": 1.25}, "ids": ["9007199254740993"]});
        self.job_of(delivery, &request)
    }

    /// A job of a request.
    pub(crate) fn job_of(&self, delivery: &str, request: &Value) -> Job {
        let id = JobId::derive("form", delivery, 0);
        let request = UpdateRequest::parse(request).expect("a request");
        let callback = "https://example.com/zoho".parse().expect("a URL");
        let route = Some("form".to_owned());
        let (connection, now) = ("default".to_owned(), self.now());
        let mut job = Job::new(id, route, connection, request, Some(callback), now);
        let prepared = job.record_preparation(PreparationOutcome::UNCHANGED.into(), 0, now);
        prepared.expect("allowed");
        job
    }

    /// A job that is in the store.
    pub(crate) async fn added(&self, delivery: &str) -> Job {
        let job = self.job(delivery);
        self.store.add(&job, None).await.expect("added");
        job
    }

    /// Takes a job that is free, for a minute.
    pub(crate) async fn claim(&self, id: &JobId) -> (Job, Lease) {
        match self.store.claim(id, self.now(), self.within(60)).await {
            Ok(Claim::Acquired(job, lease)) => (*job, lease),
            other => panic!("job {id} is free, but: {other:?}"),
        }
    }

    pub(crate) async fn due(&self) -> Vec<JobId> {
        self.store.due(self.now(), 100).await.expect("an answer")
    }

    /// Replaces what is stored of a job, but for its request.
    pub(crate) async fn spoil(&self, id: &JobId, document: &str) {
        match &self.place {
            Place::Memory => panic!("nobody reaches behind a store in memory"),
            Place::File(folder) => {
                let connection = rusqlite::Connection::open(file(folder)).expect("the file opens");
                let update = "UPDATE jobs SET state = ?1 WHERE id = ?2";
                let updated = connection.execute(update, [document, id.as_str()]);
                assert_eq!(updated, Ok(1));
            }
            Place::DynamoDb(table) => {
                let moto = Moto::shared();
                moto.replace_state(table, id.as_str(), packed(document))
                    .await;
            }
        }
    }

    /// The table, if it is one.
    pub(crate) fn table(&self) -> &str {
        match &self.place {
            Place::DynamoDb(table) => table,
            Place::Memory | Place::File(_) => panic!("this is no table"),
        }
    }
}

pub(crate) fn clock() -> ManualClock {
    ManualClock::at(Timestamp::from_second(1_800_000_000).expect("a moment"))
}

pub(crate) fn retention(clock: &ManualClock) -> Retention {
    Retention {
        clock: Arc::new(clock.clone()),
        period: RETENTION,
    }
}

fn file(folder: &TempDir) -> PathBuf {
    folder.path().join("jobs.db")
}
