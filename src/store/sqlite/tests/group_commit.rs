//! Transactions of several requests.

use super::*;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;

/// Keeps the writer busy until the sender is dropped.
fn block_writer(store: &SqliteStore) -> (tokio::task::JoinHandle<()>, mpsc::Sender<()>) {
    let (release, wait) = mpsc::channel::<()>();
    let store = store.clone();
    let blocked = tokio::spawn(async move {
        let blocking = store.write(move |_| {
            let _ = wait.recv();
            Ok(())
        });
        blocking.await.expect("done");
    });
    (blocked, release)
}

async fn insert(store: SqliteStore, name: &'static str) -> Result<(), StoreError> {
    let insert = "INSERT INTO locks (name, holder, until) VALUES (?1, 'h', 0)";
    let inserting = store.write(move |session| session.connection.execute(insert, [name]));
    inserting.await.map(drop)
}

async fn names(store: &SqliteStore) -> Vec<String> {
    let names = store.read(|session| {
        let mut names = session
            .connection
            .prepare("SELECT name FROM locks ORDER BY name")?;
        names.query_map([], |row| row.get(0))?.collect()
    });
    names.await.expect("names")
}

#[tokio::test]
async fn failing_write_fails_no_neighbour() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::in_file(folder.path().join("jobs.db"));
    let (blocked, release) = block_writer(&store);
    let writes = ["a", "b", "a", "c"].map(|name| tokio::spawn(insert(store.clone(), name)));
    let half = tokio::spawn({
        let store = store.clone();
        async move {
            let half = store.write(|session| {
                let insert = "INSERT INTO locks (name, holder, until) VALUES ('half', 'h', 0)";
                session.connection.execute(insert, [])?;
                session
                    .connection
                    .execute("INSERT INTO nothing VALUES (1)", [])
            });
            half.await.map(drop)
        }
    });
    tokio::task::yield_now().await;
    drop(release);
    let mut failed = 0;
    for write in writes {
        failed += usize::from(write.await.expect("no panic").is_err());
    }
    assert_eq!(failed, 1, "the second `a`");
    assert!(half.await.expect("no panic").is_err());
    blocked.await.expect("no panic");
    assert_eq!(names(&store).await, ["a", "b", "c"], "and no half write");
}

/// An error that ends the whole transaction, as a full disk does, is the error of one request only.
#[tokio::test]
async fn ended_transaction_is_repeated_for_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::in_file(folder.path().join("jobs.db"));
    let (blocked, release) = block_writer(&store);
    let runs = Arc::new(AtomicU32::new(0));
    let first = tokio::spawn(insert(store.clone(), "a"));
    let ending = tokio::spawn({
        let (store, runs) = (store.clone(), runs.clone());
        async move {
            let ending = store.write(move |session| {
                runs.fetch_add(1, Ordering::Relaxed);
                session.connection.execute("ROLLBACK", [])?;
                session
                    .connection
                    .execute("INSERT INTO nothing VALUES (1)", [])
            });
            ending.await.map(drop)
        }
    });
    let last = tokio::spawn(insert(store.clone(), "b"));
    tokio::task::yield_now().await;
    drop(release);
    first.await.expect("no panic").expect("written");
    last.await.expect("no panic").expect("written");
    assert!(ending.await.expect("no panic").is_err());
    blocked.await.expect("no panic");
    assert!(runs.load(Ordering::Relaxed) > 0);
    assert_eq!(names(&store).await, ["a", "b"]);
}

#[tokio::test]
async fn panic_of_one_write_fails_no_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::in_file(folder.path().join("jobs.db"));
    insert(store.clone(), "a").await.expect("written");
    let panicking = store.write::<()>(|_| panic!("a defect"));
    assert!(panicking.await.is_err());
    insert(store.clone(), "b").await.expect("written");
    assert_eq!(names(&store).await, ["a", "b"]);
}

/// Writes that wait share a commit: the write-ahead log contains far fewer commits than writes.
#[tokio::test]
async fn waiting_writes_share_a_transaction() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::in_file(folder.path().join("jobs.db"));
    insert(store.clone(), "first").await.expect("written");
    let (blocked, release) = block_writer(&store);
    let writes: Vec<_> = (0..100)
        .map(|number| {
            let lock = LockHolder::from_name(&number.to_string());
            let store = store.clone();
            tokio::spawn(async move {
                let name = format!("lock/{}", lock.as_str());
                store.lock(&name, &lock, start(), start()).await
            })
        })
        .collect();
    tokio::task::yield_now().await;
    drop(release);
    for write in writes {
        assert!(write.await.expect("no panic").expect("an answer").is_some());
    }
    blocked.await.expect("no panic");
    let log = std::fs::read(folder.path().join("jobs.db-wal")).expect("a log");
    // A frame is a page with a header of 24 bytes; the second field is not zero in the last frame of a transaction.
    let commits = log[32..]
        .chunks_exact(24 + 4_096)
        .filter(|frame| frame[4..8] != [0; 4])
        .count();
    assert!(commits < 30, "{commits} commits for 102 writes");
}
