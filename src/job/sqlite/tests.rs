//! What only this store promises. What both stores do is tested in `tests/it/store.rs`.

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
    let Claim::Ours(_, mut lease) = store.claim(&job.id, start(), until).await.expect("claimed")
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
        .with(|connection| connection.query_row("SELECT count(*) FROM jobs", [], |row| row.get(0)))
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
