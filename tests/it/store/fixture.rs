//! A store under test, with its own clock.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use masshook::aws::dynamodb::DynamoStore;
use masshook::clock::{Clock, ManualClock};
use masshook::job::{CallEvent, Job, JobId, PreparationOutcome};
use masshook::store::memory::MemoryStore;
use masshook::store::sqlite::SqliteStore;
use masshook::store::{Claim, Lease, Retention, Store};
use masshook::update::UpdateRequest;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Moto, packed};

/// The retention of the stores under test.
pub(crate) const RETENTION: Duration = Duration::from_secs(3_600);

/// An empty store and its clock.
pub(crate) struct Fixture {
    /// The store.
    pub(crate) store: Arc<dyn Store>,
    /// Its clock.
    pub(crate) clock: ManualClock,
    location: StoreLocation,
}

enum StoreLocation {
    Memory,
    File(TempDir),
    DynamoDb(String),
}

impl Fixture {
    pub(crate) fn in_memory() -> Self {
        let clock = clock();
        let store = MemoryStore::new().with_retention(retention(&clock));
        Self {
            store: Arc::new(store),
            clock,
            location: StoreLocation::Memory,
        }
    }

    pub(crate) fn in_sqlite_memory() -> Self {
        let clock = clock();
        let store = SqliteStore::in_memory().with_retention(retention(&clock));
        Self {
            store: Arc::new(store),
            clock,
            location: StoreLocation::Memory,
        }
    }

    pub(crate) fn in_file() -> Self {
        let clock = clock();
        let folder = tempfile::tempdir().expect("a folder");
        let store = SqliteStore::in_file(file(&folder)).with_retention(retention(&clock));
        Self {
            store: Arc::new(store),
            clock,
            location: StoreLocation::File(folder),
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
            location: StoreLocation::DynamoDb(table),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The moment `seconds` from now.
    pub(crate) fn after(&self, seconds: u64) -> Timestamp {
        self.now() + Duration::from_secs(seconds)
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// A planned job for one record.
    pub(crate) fn job(&self, delivery: &str) -> Job {
        let request =
            json!({"module": "Leads", "fields": {"Score": 1.25}, "ids": ["9007199254740993"]});
        self.job_for(delivery, &request)
    }

    /// A planned job for a request.
    pub(crate) fn job_for(&self, delivery: &str, request: &Value) -> Job {
        let id = JobId::derive("form", delivery, 1);
        let request = UpdateRequest::parse(request).expect("a request");
        let callback = "https://example.com/zoho".parse().expect("a URL");
        let route = Some("form".to_owned());
        let (connection, now) = ("default".to_owned(), self.now());
        let mut job = Job::new(id, route, connection, request, Some(callback), now);
        let prepared = job.record_preparation(PreparationOutcome::UNCHANGED.into(), 0, now);
        prepared.expect("allowed");
        job
    }

    /// Adds a job for one record.
    pub(crate) async fn add_job(&self, delivery: &str) -> Job {
        let job = self.job(delivery);
        self.store.add(&job, None).await.expect("added");
        job
    }

    /// Claims an unleased job for a minute.
    pub(crate) async fn claim(&self, id: &JobId) -> (Job, Lease) {
        match self.store.claim(id, self.now(), self.after(60)).await {
            Ok(Claim::Acquired(job, lease)) => (*job, lease),
            other => panic!("job {id} is not leased, but: {other:?}"),
        }
    }

    pub(crate) async fn due(&self) -> Vec<JobId> {
        self.store.due(self.now(), 100).await.expect("an answer")
    }

    /// Replaces the stored state document of a job.
    pub(crate) async fn replace_state(&self, id: &JobId, document: &str) {
        match &self.location {
            StoreLocation::Memory => panic!("a store in memory has no outside access"),
            StoreLocation::File(folder) => {
                let connection = rusqlite::Connection::open(file(folder)).expect("a database");
                let update = "UPDATE jobs SET state = ?1 WHERE id = ?2";
                let updated = connection.execute(update, [document, id.as_str()]);
                assert_eq!(updated, Ok(1));
            }
            StoreLocation::DynamoDb(table) => {
                let moto = Moto::shared();
                moto.replace_state(table, id.as_str(), packed(document))
                    .await;
            }
        }
    }

    /// Whether callbacks to slow receivers are due in a list of their own only.
    pub(crate) fn lists_slow_callbacks_apart(&self) -> bool {
        matches!(self.location, StoreLocation::DynamoDb(_))
    }

    /// The DynamoDB table.
    pub(crate) fn table(&self) -> &str {
        match &self.location {
            StoreLocation::DynamoDb(table) => table,
            StoreLocation::Memory | StoreLocation::File(_) => panic!("not in DynamoDB"),
        }
    }
}

/// Completes the only call of a job.
pub(crate) fn finish(job: &mut Job, fixture: &Fixture) {
    job.record_attempts(1, 1);
    job.apply(1, CallEvent::Settled(Vec::new()), fixture.now())
        .expect("allowed");
}

/// The number of tasks that returned true.
pub(crate) async fn winners(tasks: tokio::task::JoinSet<bool>) -> usize {
    let outcomes = tasks.join_all().await;
    outcomes.into_iter().filter(|won| *won).count()
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
