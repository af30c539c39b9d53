//! Tests of SQLite alone. `tests/it/store.rs` tests what all stores guarantee.

mod files;
mod group_commit;
mod parts;
mod retention;

use super::*;
use crate::job::{Job, JobId, PreparationOutcome};
use crate::store::{
    AddResult, Claim, Deliveries, JobFilter, Jobs, KeyValue, LockHolder, Locks, PageRequest,
};
use crate::update::UpdateRequest;
use rusqlite::Connection;
use serde_json::json;
use std::time::Duration;

fn job(delivery: &str, now: Timestamp) -> Job {
    job_of(delivery, request(1), now)
}

/// A job whose request has a row of its own.
fn large_job(delivery: &str, now: Timestamp) -> Job {
    job_of(delivery, request(100), now)
}

fn request(ids: u64) -> UpdateRequest {
    let ids: Vec<String> = (0..ids)
        .map(|number| (9_007_199_254_740_993 + number).to_string())
        .collect();
    let request = json!({"module": "Leads", "fields": {"Score": 1.25}, "ids": ids});
    UpdateRequest::parse(&request).expect("a request")
}

fn job_of(delivery: &str, request: UpdateRequest, now: Timestamp) -> Job {
    let mut job = Job::new(
        JobId::derive("r", delivery, 1),
        Some("r".to_owned()),
        "default".to_owned(),
        request,
        None,
        now,
    );
    let prepared = job.record_preparation(PreparationOutcome::UNCHANGED.into(), 0, now);
    prepared.expect("allowed");
    job
}

fn start() -> Timestamp {
    Timestamp::from_second(1_700_000_000).expect("a moment")
}

#[tokio::test]
async fn job_and_lease_survive_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("jobs.db");
    let job = job("d", start());
    let until = start() + Duration::from_secs(60);

    let first = SqliteStore::in_file(path.clone());
    assert_eq!(first.add(&job, None).await.expect("added"), AddResult::New);
    let claim = first.claim(&job.id, start(), until).await;
    let Ok(Claim::Acquired(_, mut lease)) = claim else {
        panic!("{claim:?}");
    };
    drop(first);

    let store = SqliteStore::in_file(path);
    assert_eq!(store.get(&job.id).await.expect("read"), Some(job.clone()));
    let claim = store.claim(&job.id, start(), until).await;
    assert!(
        matches!(claim, Ok(Claim::Busy { until: held }) if held == until),
        "{claim:?}"
    );
    store.checkpoint(&job, &mut lease).await.expect("written");
    assert_eq!(store.due(until, 10).await.expect("an answer"), [job.id]);
}

#[tokio::test]
async fn job_is_found_where_another_process_put_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("jobs.db");
    let (moved, other) = (job("moved", start()), job("other", start()));
    let until = start() + Duration::from_secs(60);
    let store = SqliteStore::in_file(path.clone());
    store.add(&moved, None).await.expect("added");

    // The row of the first job is gone, and it has another.
    let second = SqliteStore::in_file(path);
    second.delete_job(&moved.id).await.expect("deleted");
    second.add(&other, None).await.expect("added");
    second.add(&moved, None).await.expect("added");

    let claim = store.claim(&moved.id, start(), until).await;
    let Ok(Claim::Acquired(claimed, lease)) = claim else {
        panic!("{claim:?}");
    };
    assert_eq!(claimed.id, moved.id);
    store.release(&moved, lease, None).await.expect("written");
    let due = store.due(until, 10).await.expect("an answer");
    assert_eq!(due, [other.id]);
}

#[cfg(unix)]
#[tokio::test]
async fn file_is_private_to_owner() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::in_file(folder.path().join("jobs.db"));
    store.add(&job("d", start()), None).await.expect("added");
    let files = std::fs::read_dir(folder.path()).expect("a folder");
    let modes: Vec<u32> = files
        .map(|file| file.and_then(|file| file.metadata()).expect("a file"))
        .map(|file| file.permissions().mode() & 0o777)
        .collect();
    assert!(modes.len() > 1, "the write-ahead log is a file of its own");
    assert!(modes.iter().all(|mode| *mode == 0o600), "{modes:?}");
}

#[tokio::test]
async fn newer_file_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("jobs.db");
    let newer = Connection::open(&path).expect("a file");
    newer
        .pragma_update(None, "user_version", 99)
        .expect("written");
    drop(newer);
    let store = SqliteStore::in_file(path);
    let error = store
        .add(&job("d", start()), None)
        .await
        .expect_err("too new");
    assert!(!error.is_retryable(), "{error:?}");
    assert!(error.to_string().contains("version 99"), "{error}");
    let missing_folder = SqliteStore::in_file(folder.path().join("none/jobs.db"));
    assert!(missing_folder.add(&job("d", start()), None).await.is_err());
}

#[tokio::test]
async fn version_1_file_is_migrated_with_dead_letters() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("jobs.db");
    let first = Connection::open(&path).expect("a file");
    first
        .execute_batch(
            "CREATE TABLE jobs (id TEXT PRIMARY KEY, version INTEGER NOT NULL, leased_until INTEGER NOT NULL,
                due INTEGER, parked TEXT, ended INTEGER, route TEXT, connection TEXT NOT NULL, module TEXT NOT NULL,
                status TEXT NOT NULL, callback TEXT, created_at INTEGER NOT NULL, finished_at INTEGER,
                listed TEXT NOT NULL, state TEXT NOT NULL) STRICT;
             CREATE TABLE requests (id TEXT PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE, stored TEXT NOT NULL) STRICT;
             CREATE TABLE deliveries (id TEXT PRIMARY KEY, route TEXT NOT NULL, at INTEGER NOT NULL, code TEXT NOT NULL,
                reason TEXT NOT NULL, envelope TEXT NOT NULL, body BLOB NOT NULL, ended INTEGER) STRICT;
             CREATE INDEX deliveries_at ON deliveries (at);
             INSERT INTO deliveries VALUES ('dlv_1', 'form', 1700000000000, 'not_mappable', 'no module',
                '{\"v\":1,\"data\":{\"headers\":[],\"query\":{}}}', x'7b7d', NULL);
             PRAGMA user_version = 1;",
        )
        .expect("written");
    drop(first);
    let store = SqliteStore::in_file(path.clone());
    let job = job("d", start());
    assert_eq!(store.add(&job, None).await.expect("added"), AddResult::New);
    let reopened = SqliteStore::in_file(path);
    let dead = reopened.dead_letters(10).await.expect("a list");
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].dead_letter.reason, "no module");
    assert_eq!(dead[0].dead_letter.since, start());
    let delivery = reopened.delivery("dlv_1").await.expect("read");
    assert_eq!(delivery.expect("a delivery").body.as_ref(), b"{}");
    assert_eq!(reopened.get(&job.id).await.expect("read"), Some(job));
}

#[tokio::test]
async fn version_2_file_is_migrated_without_its_tokens() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("jobs.db");
    let job = job("d", start());
    let store = SqliteStore::in_file(path.clone());
    store.add(&job, None).await.expect("added");
    drop(store);
    parts::to_version_7(&path);
    let second = Connection::open(&path).expect("a file");
    second
        .execute_batch(
            "DROP TABLE shared_values; DROP TABLE retention;
             CREATE TABLE tokens (name TEXT PRIMARY KEY, value TEXT, expires_at INTEGER NOT NULL, throttled_until INTEGER) STRICT;
             INSERT INTO tokens VALUES ('token/default', 'old', 0, NULL);
             PRAGMA user_version = 2;",
        )
        .expect("written");
    drop(second);
    let store = SqliteStore::in_file(path);
    assert_eq!(store.get(&job.id).await.expect("read"), Some(job));
    let token = store.value("token/default").await.expect("read");
    assert!(token.is_none(), "tokens are fetched again");
}

#[tokio::test]
async fn unpolled_waiter_does_not_block_queue() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("jobs.db");
    let store = SqliteStore::in_file(path.clone());
    store.add(&job("d", start()), None).await.expect("added");
    let other = Connection::open(&path).expect("opened");
    other.execute_batch("BEGIN EXCLUSIVE").expect("locked");
    let (first, second, third) = (job("e", start()), job("f", start()), job("g", start()));
    let adding = tokio::spawn({
        let store = store.clone();
        async move { store.add(&first, None).await }
    });
    let mut unpolled = std::pin::pin!(store.add(&second, None));
    assert!(futures_util::poll!(&mut unpolled).is_pending());
    let next = store.add(&third, None);
    other.execute_batch("ROLLBACK").expect("unlocked");
    for added in [next.await, adding.await.expect("no panic"), unpolled.await] {
        assert_eq!(added.expect("added"), AddResult::New);
    }
}

#[tokio::test]
async fn memory_store_drops_only_finished_jobs() {
    let store = SqliteStore::in_memory();
    let open = large_job("open", start());
    store.add(&open, None).await.expect("added");
    for number in 0..FINISHED_IN_MEMORY + 20 {
        let mut done = large_job(&number.to_string(), start());
        done.record_attempts(1, 1);
        done.apply(1, crate::job::CallEvent::Settled(Vec::new()), start())
            .expect("allowed");
        store.add(&done, None).await.expect("added");
    }
    for table in ["jobs", "requests"] {
        let count: u32 = store
            .read(move |session| {
                let query = format!("SELECT count(*) FROM {table}");
                session.connection.query_row(&query, [], |row| row.get(0))
            })
            .await
            .expect("a count");
        assert_eq!(count, FINISHED_IN_MEMORY + 2, "{table}");
    }
    assert!(store.get(&open.id).await.expect("read").is_some());
}

#[tokio::test]
async fn due_deletes_expired_rows() {
    let clock = crate::clock::ManualClock::at(start());
    let store = SqliteStore::in_memory().with_retention(Retention {
        clock: Arc::new(clock.clone()),
        period: Duration::from_secs(60),
    });
    let job = large_job("d", start());
    store.add(&job, None).await.expect("added");
    let until = start() + Duration::from_secs(60);
    let Ok(Claim::Acquired(_, lease)) = store.claim(&job.id, start(), until).await else {
        panic!("the job is not leased");
    };
    store.release(&job, lease, None).await.expect("released");
    let count = || {
        store.read(|session| {
            session
                .connection
                .query_row("SELECT count(*) FROM requests", [], |row| {
                    row.get::<_, u32>(0)
                })
        })
    };
    store.due(start(), 10).await.expect("an answer");
    assert_eq!(count().await.expect("a count"), 1);
    clock.advance(Duration::from_secs(60));
    store.due(until, 10).await.expect("an answer");
    assert_eq!(count().await.expect("a count"), 0);
}

#[tokio::test]
async fn break_leases_keeps_locks_of_unfinished_jobs() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::in_file(folder.path().join("jobs.db"));
    let (driven, waiting, parked) = (
        job("driven", start()),
        job("waiting", start()),
        job("parked", start()),
    );
    let far = start() + Duration::from_secs(3_600);
    let mut stale = Vec::new();
    for job in [&driven, &waiting, &parked] {
        store.add(job, None).await.expect("added");
        let Ok(Claim::Acquired(_, lease)) = store.claim(&job.id, start(), far).await else {
            panic!("the job is not leased");
        };
        stale.push(lease);
    }
    store.park(&parked.id, "a reason").await.expect("parked");
    let lease = stale.remove(1);
    store
        .release(&waiting, lease, Some(far))
        .await
        .expect("released");
    let (process, unfinished_job) = (LockHolder::unique(), LockHolder::job(&driven.id));
    for (name, holder) in [("token", &process), ("view", &unfinished_job)] {
        let lock = store.lock(name, holder, start(), far).await;
        assert!(lock.expect("an answer").is_some());
    }

    assert_eq!(store.break_leases(start()).await.expect("an answer"), 1);

    let due = store.due(start(), 10).await.expect("an answer");
    assert_eq!(due, std::slice::from_ref(&driven.id));
    let lost = store.checkpoint(&driven, &mut stale[0]).await;
    assert!(matches!(lost, Err(StoreError::LeaseLost(_))), "{lost:?}");
    let other = LockHolder::unique();
    for (name, free) in [("token", true), ("view", false)] {
        let lock = store.lock(name, &other, start(), far).await;
        assert_eq!(lock.expect("an answer").is_some(), free, "{name}");
    }
}

#[test]
fn new_file_is_opened_concurrently() {
    let folder = tempfile::tempdir().expect("a folder");
    for round in 0..20 {
        let path = folder.path().join(format!("{round}.db"));
        std::thread::scope(|scope| {
            let opening: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| schema::open(Some(&path)).map(drop)))
                .collect();
            for opened in opening {
                opened.join().expect("no panic").expect("opened");
            }
        });
    }
}

#[tokio::test]
async fn full_disk_refuses_writes_until_space_is_free() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::in_file(folder.path().join("jobs.db"));
    let limit = async |pages: u32| {
        let limited = store.write(move |session| {
            session.connection.query_row(
                &format!("PRAGMA max_page_count = {pages}"),
                [],
                |_| Ok(()),
            )
        });
        limited.await.expect("limited");
    };
    limit(30).await;
    let mut added = Vec::new();
    let refused = loop {
        let job = job(&added.len().to_string(), start());
        match store.add(&job, None).await {
            Ok(_) => added.push(job.id),
            Err(error) => break (job, error),
        }
        assert!(added.len() < 10_000, "the database is never full");
    };
    let (job, error) = refused;
    assert!(
        matches!(&error, StoreError::Unavailable(reason) if reason.contains("full")),
        "{error:?}"
    );
    assert_eq!(store.get(&job.id).await.expect("read"), None);
    let claim = store
        .claim(&added[0], start(), start() + Duration::from_secs(1))
        .await;
    assert!(matches!(claim, Ok(Claim::Acquired(..))), "{claim:?}");
    limit(1_000).await;
    assert_eq!(store.add(&job, None).await.expect("added"), AddResult::New);
    let listed = store
        .list(&JobFilter::default(), &PageRequest::first(10_000))
        .await
        .expect("a list");
    assert_eq!(listed.entries.len(), added.len() + 1);
}

#[tokio::test]
async fn only_large_requests_have_rows_of_their_own() {
    let store = SqliteStore::in_memory();
    let count = || {
        store.read(|session| {
            let query = "SELECT count(*) FROM requests";
            session
                .connection
                .query_row(query, [], |row| row.get::<_, u32>(0))
        })
    };
    let small = job("d", start());
    store.add(&small, None).await.expect("added");
    assert_eq!(count().await.expect("a count"), 0);
    let until = start() + Duration::from_secs(60);
    let Ok(Claim::Acquired(mut job, mut lease)) = store.claim(&small.id, start(), until).await
    else {
        panic!("the job is not leased");
    };
    assert_eq!(job.request, small.request);
    for (ids, rows) in [(100, 1), (200, 1), (1, 0), (1, 0)] {
        job.request = request(ids);
        let written = store.checkpoint(&job, &mut lease).await;
        written.expect("written");
        let read = store.get(&job.id).await.expect("read").expect("a job");
        assert_eq!(read.request, job.request);
        assert_eq!(count().await.expect("a count"), rows, "{ids} ids");
    }
}
