//! Ids in the parts of their index, and in a file of an earlier version.

use std::collections::BTreeSet;

use rusqlite::types::Value;

use super::*;

/// The rows of a part.
const PART: i64 = 65_536;

/// Lets the next job take a row.
fn continue_at(path: &std::path::Path, row: i64) {
    let file = Connection::open(path).expect("a file");
    let update = "UPDATE sqlite_sequence SET seq = ?1 WHERE name = 'jobs'";
    assert_eq!(file.execute(update, [row - 1]), Ok(1));
}

/// Adds the job of a delivery that comes again, later.
async fn add_again(store: &SqliteStore, job: &Job) -> AddResult {
    let mut again = job.clone();
    again.created_at += Duration::from_secs(1);
    store.add(&again, None).await.expect("an answer")
}

/// Reads one filter, if one is missing.
async fn read_filter(store: &SqliteStore) -> bool {
    let read = store.read(|session| session.job_index.read_filter(&session.connection));
    read.await.expect("an answer")
}

async fn has_all_filters(store: &SqliteStore) -> bool {
    let has = store.read(|session| session.job_index.has_all_filters(&session.connection));
    has.await.expect("an answer")
}

async fn row_of(store: &SqliteStore, id: &JobId) -> i64 {
    let (id, select) = (id.clone(), "SELECT number FROM jobs WHERE id = ?1");
    let row = store.read(move |session| {
        session
            .connection
            .query_row(select, [id.as_str()], |row| row.get(0))
    });
    row.await.expect("a row")
}

/// Jobs in the first and the last rows of parts, with parts between them that have none.
#[tokio::test]
async fn job_of_any_part_is_found_and_added_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("jobs.db");
    let store = SqliteStore::in_file(path.clone());
    let jobs: Vec<Job> = (0..8)
        .map(|number| job(&number.to_string(), start()))
        .collect();
    let rows = [
        1,
        PART - 1,
        PART,
        PART + 1,
        2 * PART - 1,
        2 * PART,
        9 * PART,
        9 * PART + 1,
    ];
    for (job, row) in jobs.iter().zip(rows) {
        if row > 1 {
            continue_at(&path, row);
        }
        assert_eq!(store.add(job, None).await.expect("added"), AddResult::New);
        assert_eq!(row_of(&store, &job.id).await, row);
    }
    let until = start() + Duration::from_secs(60);
    // Three of the four parts with jobs are full. First without filters, then with one more each time.
    for has_more in [true, true, true, false] {
        for job in &jobs {
            assert_eq!(add_again(&store, job).await, AddResult::Existing);
        }
        assert_eq!(read_filter(&store).await, has_more);
    }
    for job in &jobs {
        assert_eq!(add_again(&store, job).await, AddResult::Existing);
    }
    let reopened = SqliteStore::in_file(path);
    for job in &jobs {
        assert_eq!(add_again(&reopened, job).await, AddResult::Existing);
        assert_eq!(
            reopened.get(&job.id).await.expect("read").as_ref(),
            Some(job)
        );
        let claim = reopened.claim(&job.id, start(), until).await;
        assert!(matches!(claim, Ok(Claim::Acquired(..))), "{claim:?}");
    }
    let ids: BTreeSet<JobId> = jobs.iter().map(|job| job.id.clone()).collect();
    let listed = reopened.job_ids("job_", 5).await.expect("a list");
    assert_eq!(listed, ids.into_iter().take(5).collect::<Vec<_>>());
}

/// Neither a deleted job nor its row comes back, and another process may add to a part that this one has read.
#[tokio::test]
async fn no_row_is_used_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("jobs.db");
    let (store, other) = (
        SqliteStore::in_file(path.clone()),
        SqliteStore::in_file(path.clone()),
    );
    let [first, second, third, fourth] = ["1", "2", "3", "4"].map(|name| job(name, start()));
    store.add(&first, None).await.expect("added");
    continue_at(&path, PART);
    store.add(&second, None).await.expect("added");
    assert!(read_filter(&store).await);
    assert!(store.delete_job(&second.id).await.expect("deleted"));
    assert!(store.delete_job(&first.id).await.expect("deleted"));
    other.add(&third, None).await.expect("added");
    assert_eq!(row_of(&store, &third.id).await, PART + 1);
    continue_at(&path, 2 * PART);
    other.add(&fourth, None).await.expect("added");
    for job in [&third, &fourth] {
        assert_eq!(add_again(&store, job).await, AddResult::Existing);
    }
    for job in [&first, &second] {
        assert_eq!(store.add(job, None).await.expect("added"), AddResult::New);
    }
}

/// The process that drives jobs reads the filters of all parts between requests, also of those that are full later.
#[tokio::test]
async fn filters_are_read_by_maintenance() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("jobs.db");
    let store = SqliteStore::in_file(path.clone());
    let jobs = ["a", "b", "c", "d"].map(|name| job(name, start()));
    for (job, row) in jobs.iter().zip([1, PART, 3 * PART, 20 * PART]) {
        if row > 1 {
            continue_at(&path, row);
        }
        store.add(job, None).await.expect("added");
        assert!(row == 1 || !has_all_filters(&store).await);
    }
    store.due(start(), 0).await.expect("jobs are driven");
    for row in [0, 21 * PART] {
        if row > 0 {
            continue_at(&path, row);
        }
        eventually_has_all_filters(&store).await;
        for job in &jobs {
            assert_eq!(add_again(&store, job).await, AddResult::Existing);
        }
    }
}

async fn eventually_has_all_filters(store: &SqliteStore) {
    for _ in 0..10_000 {
        if has_all_filters(store).await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the filters are not read");
}

/// Ids that cannot be read are searched for, and keep no other part from its filter.
#[tokio::test]
async fn unreadable_part_is_searched() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("jobs.db");
    let store = SqliteStore::in_file(path.clone());
    let jobs = ["a", "b", "c"].map(|name| job(name, start()));
    for (job, row) in jobs.iter().zip([1, PART, 2 * PART]) {
        if row > 1 {
            continue_at(&path, row);
        }
        store.add(job, None).await.expect("added");
    }
    let file = Connection::open(&path).expect("a file");
    let no_text = "INSERT INTO jobs (number, id, version, leased_until, connection, module, status, created_at, listed, state)
                   VALUES (70000, CAST(x'ff' AS TEXT), 1, 0, 'c', 'm', 's', 0, 'l', '{}')";
    file.execute_batch(no_text).expect("written");
    for has_more in [true, true, false] {
        assert_eq!(read_filter(&store).await, has_more);
        for job in &jobs {
            assert_eq!(add_again(&store, job).await, AddResult::Existing);
        }
    }
}

/// A part that was full only in a transaction that failed takes more jobs.
#[tokio::test]
async fn failed_transaction_fills_no_part() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("jobs.db");
    let store = SqliteStore::in_file(path.clone());
    let [first, second, third] = ["1", "2", "3"].map(|name| job(name, start()));
    store.add(&first, None).await.expect("added");
    let id = third.id.clone();
    let failed = store.write(move |session| {
        let update = "UPDATE sqlite_sequence SET seq = ?1 WHERE name = 'jobs'";
        session.connection.execute(update, [2 * PART])?;
        session.job_index.find(&session.connection, &id)?;
        session
            .connection
            .execute("INSERT INTO none VALUES (1)", [])
    });
    assert!(failed.await.is_err());
    let other = SqliteStore::in_file(path.clone());
    continue_at(&path, PART);
    other.add(&second, None).await.expect("added");
    continue_at(&path, 2 * PART + 1);
    other.add(&third, None).await.expect("added");
    for job in [first, second, third] {
        assert_eq!(add_again(&store, &job).await, AddResult::Existing);
    }
}

/// Makes the tables of a file those of version 7.
pub(super) fn to_version_7(path: &std::path::Path) {
    let file = Connection::open(path).expect("a file");
    file.execute_batch(include_str!("version_7.sql"))
        .expect("written");
}

const COLUMNS: &str = "SELECT id, version, leased_until, due, parked, ended, route, connection, module, status, callback, created_at,
    finished_at, listed, code, reference, digest, delivery, request, state, rowid FROM jobs ORDER BY rowid";

/// All values of the table of jobs.
fn rows(path: &std::path::Path) -> Vec<Vec<Value>> {
    let file = Connection::open(path).expect("a file");
    let mut select = file.prepare(COLUMNS).expect("a table");
    let rows = select.query_map([], |row| (0..21).map(|column| row.get(column)).collect());
    let rows = rows.expect("read").collect::<rusqlite::Result<Vec<_>>>();
    rows.expect("rows")
}

#[tokio::test]
async fn version_7_file_is_migrated_if_it_is_small() {
    for has_parts in [true, false] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("jobs.db");
        let [small, large] = [job("small", start()), large_job("large", start())];
        let store = SqliteStore::in_file(path.clone());
        for job in [&small, &large] {
            store.add(job, None).await.expect("added");
        }
        drop(store);
        to_version_7(&path);
        let file = Connection::open(&path).expect("a file");
        file.execute_batch("UPDATE jobs SET rowid = rowid + 40, due = 7, callback = 'pending', code = 'c', reference = 'r'")
            .expect("written");
        if !has_parts {
            let large = "INSERT INTO shared_values VALUES ('large', printf('%.*c', 70000000, 'x'))";
            file.execute_batch(large).expect("written");
        }
        drop(file);
        let before = rows(&path);
        let store = SqliteStore::in_file(path.clone());
        let index = store.read(|session| job_index::has_parts(&session.connection));
        assert_eq!(index.await.expect("an answer"), has_parts);
        assert_eq!(rows(&path), before);
        let new = job("new", start());
        assert_eq!(store.add(&new, None).await.expect("added"), AddResult::New);
        let next = rows(&path).pop().and_then(|mut row| row.pop());
        assert_eq!(next, Some(Value::Integer(43)));
        check_jobs(&store, [&small, &large, &new]).await;
        assert!(store.delete_job(&large.id).await.expect("deleted"));
        let requests = store.read(|session| {
            let count = "SELECT count(*) FROM requests";
            session
                .connection
                .query_row(count, [], |row| row.get::<_, u32>(0))
        });
        assert_eq!(requests.await.expect("a number"), 0, "{has_parts}");
    }
}

/// The jobs are found, claimed and written, and none is added again.
async fn check_jobs(store: &SqliteStore, jobs: [&Job; 3]) {
    let until = start() + Duration::from_secs(60);
    for job in jobs {
        let claim = store.claim(&job.id, start(), until).await;
        let Ok(Claim::Acquired(claimed, lease)) = claim else {
            panic!("{claim:?}");
        };
        assert_eq!(claimed.request, job.request);
        let released = store.release(job, lease, Some(start())).await;
        released.expect("written");
        assert_eq!(add_again(store, job).await, AddResult::Existing);
        assert_eq!(store.get(&job.id).await.expect("read").as_ref(), Some(job));
        let ids = store.job_ids(job.id.as_str(), 5).await.expect("a list");
        assert_eq!(ids, std::slice::from_ref(&job.id));
    }
}

/// A delivery that comes again uses no row number up and writes nothing.
#[tokio::test]
async fn repeated_delivery_writes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("jobs.db");
    let store = SqliteStore::in_file(path.clone());
    let [first, second] = ["1", "2"].map(|name| job(name, start()));
    store.add(&first, None).await.expect("added");
    let log = || {
        std::fs::metadata(folder.path().join("jobs.db-wal"))
            .expect("a log")
            .len()
    };
    let before = log();
    assert_eq!(add_again(&store, &first).await, AddResult::Existing);
    assert_eq!(log(), before);
    store.add(&second, None).await.expect("added");
    assert_eq!(row_of(&store, &second.id).await, 2);
}
