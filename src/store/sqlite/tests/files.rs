//! The database's files: deleted, replaced, read for long, or of an earlier version.

use std::sync::Mutex;
use std::task::{Context, Wake, Waker};

use super::*;

#[tokio::test]
async fn deleted_file_refuses_writes_until_restored() {
    for name in ["jobs.db", "jobs.db-wal"] {
        let folder = tempfile::tempdir().expect("a folder");
        let store = SqliteStore::in_file(folder.path().join("jobs.db"));
        store.add(&job("a", start()), None).await.expect("added");
        let (path, aside) = (folder.path().join(name), folder.path().join("aside"));
        std::fs::rename(&path, &aside).expect("moved");
        // The first read opens a connection, which must not create another file.
        assert!(store.get(&job("a", start()).id).await.is_err(), "{name}");
        let refused = store.add(&job("b", start()), None).await;
        let refused = refused.expect_err("nobody would find the job again");
        assert!(
            refused.to_string().contains("was deleted or replaced"),
            "{refused}"
        );
        std::fs::write(&path, b"").expect("another file");
        assert!(store.add(&job("c", start()), None).await.is_err(), "{name}");
        std::fs::rename(&aside, &path).expect("restored");
        let added = store.add(&job("d", start()), None).await;
        assert_eq!(added.expect("added"), AddResult::New, "{name}");
        let kept = store.get(&job("a", start()).id).await;
        assert!(kept.expect("read").is_some(), "{name}");
    }
}

/// A program that knows other tables may have changed them while this one had the file open.
#[tokio::test]
async fn tables_of_another_version_refuse_writes() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("jobs.db");
    let store = SqliteStore::in_file(path.clone());
    store.add(&job("a", start()), None).await.expect("added");
    let other = Connection::open(&path).expect("a file");
    let version: u32 = other
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .expect("a version");
    let set = |version: u32| {
        other
            .pragma_update(None, "user_version", version)
            .expect("written");
    };
    set(version + 1);
    let refused = store.add(&job("b", start()), None).await;
    let refused = refused.expect_err("the tables may be others").to_string();
    let expected = format!("tables have version {}", version + 1);
    assert!(refused.contains(&expected), "{refused}");
    let id = job("a", start()).id;
    assert!(store.get(&id).await.is_err());
    set(version);
    assert!(store.get(&id).await.expect("read").is_some());
    let added = store.add(&job("b", start()), None).await;
    assert_eq!(added.expect("added"), AddResult::New);
}

/// Calls a function when it is woken, on the thread that wakes it.
struct OnWake<F>(Mutex<Option<F>>);

impl<F: FnOnce() + Send + 'static> Wake for OnWake<F> {
    fn wake(self: Arc<Self>) {
        if let Some(call) = crate::sync::lock(&self.0).take() {
            call();
        }
    }
}

#[tokio::test]
async fn refusal_affects_no_later_request() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, aside) = (folder.path().join("jobs.db"), folder.path().join("aside"));
    let store = Arc::new(SqliteStore::in_file(path.clone()));
    store.add(&job("a", start()), None).await.expect("added");
    std::fs::rename(&path, &aside).expect("moved");
    let (sender, receiver) = std::sync::mpsc::channel();
    let other = store.clone();
    // Runs on the store's thread, between two of its answers.
    let restore = move || {
        std::fs::rename(&aside, &path).expect("restored");
        let mut later =
            Box::pin(async move { other.add(&job("c", start()), None).await.map(|_| ()) });
        let polled = later.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending());
        sender.send(later).expect("a test");
    };
    let waker = Arc::new(OnWake(Mutex::new(Some(restore)))).into();
    let refused = job("b", start());
    // An answer that is ready at the first poll wakes nobody.
    let refused = loop {
        let mut refused = Box::pin(store.add(&refused, None));
        if refused
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
        {
            break refused;
        }
    };
    let later = receiver.recv_timeout(Duration::from_secs(60));
    later.expect("an answer").await.expect("added");
    refused.await.expect_err("nobody would find the job again");
}

#[tokio::test]
async fn log_shrinks_after_long_reader() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("jobs.db");
    let store = SqliteStore::in_file(path.clone());
    store.add(&job("a", start()), None).await.expect("added");
    let reader = Connection::open(&path).expect("opened");
    reader
        .execute_batch("BEGIN; SELECT count(*) FROM jobs;")
        .expect("read");
    let large = "x".repeat(1024 * 1024);
    for number in 0..20 {
        let (large, name) = (large.clone(), number.to_string());
        let insert = "INSERT INTO shared_values (key, value) VALUES (?1, ?2)";
        let inserting =
            store.write(move |session| session.connection.execute(insert, [&name, &large]));
        inserting.await.expect("written");
    }
    let bytes = || {
        std::fs::metadata(folder.path().join("jobs.db-wal"))
            .expect("a log")
            .len()
    };
    assert!(bytes() > maintenance::LOG_BYTES, "{}", bytes());
    store.due(start(), 1).await.expect("an answer");
    reader.execute_batch("COMMIT").expect("ended");
    // Maintenance runs on the writer's thread, once a second at the least.
    let shrunk = async {
        while bytes() > maintenance::LOG_BYTES {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let shrunk = tokio::time::timeout(Duration::from_secs(30), shrunk).await;
    assert!(shrunk.is_ok(), "{}", bytes());
}

#[tokio::test]
async fn free_space_is_given_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("jobs.db");
    let store = SqliteStore::in_file(path.clone());
    for statement in [
        "INSERT INTO shared_values (key, value) VALUES ('a', printf('%.*c', 50000000, 'x'))",
        "DELETE FROM shared_values",
    ] {
        let writing = store.write(move |session| session.connection.execute(statement, []));
        writing.await.expect("written");
    }
    let freed = async {
        loop {
            store.due(start(), 1).await.expect("an answer");
            let pages = store.read(|session| {
                let count = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
                session
                    .connection
                    .pragma_query_value(None, "page_count", count)
            });
            if pages.await.expect("a number") < 6_000 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let freed = tokio::time::timeout(Duration::from_secs(60), freed).await;
    assert!(
        freed.is_ok(),
        "{}",
        std::fs::metadata(path).expect("a file").len()
    );
}

#[tokio::test]
async fn backlog_refuses_new_jobs_until_driven() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::in_file(folder.path().join("jobs.db"));
    let fill = store.write(|session| {
        session.connection.execute(
            "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n <= ?1)
             INSERT INTO jobs (id, version, leased_until, due, connection, module, status, created_at, listed, state)
             SELECT 'job_' || n, 1, 0, n, 'default', 'Leads', 'queued', n, printf('%015d', n), '{}' FROM numbers",
            [columns::count(maintenance::TURN_JOBS)],
        )
    });
    fill.await.expect("filled");
    assert!(store.check_backlog().is_ok(), "no driver runs yet");
    let until = async |has_backlog: bool| {
        let changed = async {
            while store.check_backlog().is_err() != has_backlog {
                store.due(start(), 1).await.expect("an answer");
            }
        };
        let changed = tokio::time::timeout(Duration::from_secs(30), changed).await;
        assert!(changed.is_ok(), "{has_backlog}");
    };
    until(true).await;
    let refused = store.check_backlog().expect_err("a backlog");
    assert!(refused.is_retryable(), "{refused:?}");
    let driven = "UPDATE jobs SET due = NULL WHERE id = 'job_1'";
    let driving = store.write(move |session| session.connection.execute(driven, []));
    driving.await.expect("driven");
    until(false).await;
}

/// A file of version 3 as it was: without the time of retention, and with other indices.
fn to_version_3(path: &std::path::Path) {
    parts::to_version_7(path);
    let former = Connection::open(path).expect("a file");
    former
        .execute_batch(
            "DROP TABLE retention;
             DROP INDEX jobs_due_leased; DROP INDEX jobs_status; DROP INDEX jobs_undeliverable; DROP INDEX jobs_parked;
             CREATE INDEX jobs_due ON jobs (due) WHERE due IS NOT NULL;
             DROP INDEX deliveries_listed;
             CREATE INDEX deliveries_dead ON deliveries (dead_since) WHERE dead_since IS NOT NULL;
             PRAGMA user_version = 3;",
        )
        .expect("written");
}

#[tokio::test]
async fn version_6_file_is_migrated() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("jobs.db");
    let store = SqliteStore::in_file(path.clone());
    let (former, new) = (job("d", start()), job("e", start()));
    store.add(&former, None).await.expect("added");
    drop(store);
    parts::to_version_7(&path);
    let file = Connection::open(&path).expect("a file");
    file.execute_batch(
        "INSERT INTO requests (id, stored) SELECT id, request FROM jobs;
         ALTER TABLE jobs DROP COLUMN request;
         PRAGMA user_version = 6;",
    )
    .expect("written");
    drop(file);
    let store = SqliteStore::in_file(path);
    store.add(&new, None).await.expect("added");
    for job in [former, new] {
        let until = start() + Duration::from_secs(60);
        let claimed = store.claim(&job.id, start(), until).await;
        assert!(
            matches!(claimed, Ok(Claim::Acquired(claimed, _)) if claimed.request == job.request)
        );
        let read = store.get(&job.id).await.expect("read");
        assert_eq!(read.expect("a job").request, job.request);
    }
}

#[tokio::test]
async fn version_3_file_is_migrated() {
    for rows in [1, 60_000] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("jobs.db");
        let store = SqliteStore::in_file(path.clone());
        let job = job("d", start());
        store.add(&job, None).await.expect("added");
        drop(store);
        to_version_3(&path);
        let former = Connection::open(&path).expect("a file");
        former
            .execute("UPDATE jobs SET rowid = ?1", [rows])
            .expect("moved");
        drop(former);
        let store = SqliteStore::in_file(path);
        assert_eq!(store.get(&job.id).await.expect("read"), Some(job.clone()));
        assert_eq!(store.due(start(), 10).await.expect("a list"), [job.id]);
        let page = store
            .list(
                &JobFilter::of_status(crate::store::StatusFilter::Status(
                    crate::job::JobStatus::Queued,
                )),
                &PageRequest::first(10),
            )
            .await;
        assert!(page.is_ok(), "{page:?}");
        let index = store.read(|session| {
            let query = "SELECT count(*) FROM sqlite_schema WHERE name = 'jobs_status'";
            session
                .connection
                .query_row(query, [], |row| row.get::<_, u32>(0))
        });
        assert_eq!(index.await.expect("a number"), u32::from(rows == 1));
    }
}
