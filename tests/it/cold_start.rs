//! Many processes that start at once: they request one token, and one process drives each job.

use std::sync::Arc;
use std::time::Duration;

use masshook::app::{Acceptance, App};
use masshook::clock::{Clock, SystemClock};
use masshook::job::{JobId, JobStatus};
use masshook::store::Store;
use masshook::store::sqlite::SqliteStore;
use masshook::trigger::Trigger;
use serde_json::json;

use crate::harness::{Harness, Moto, World, enqueue};

/// How many workers start at once.
const WORKERS: u64 = 100;

/// Makes workers over one store, each with a queued job.
async fn workers(world: &World) -> (Arc<dyn Store>, Vec<(App, JobId)>) {
    let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory());
    let mut workers = Vec::new();
    for number in 0..WORKERS {
        let app = world.worker(&store);
        let request = json!({"module": "Leads", "fields": {"Company": number.to_string()}, "ids": [world.id("Leads", number)]});
        let id = enqueue(&app, &request).await;
        workers.push((app, id));
    }
    (store, workers)
}

async fn all_at_once(workers: &[(App, JobId)]) {
    let turns = workers.iter().map(|(app, _)| app.run_turn(&[], None));
    for turn in futures_util::future::join_all(turns).await {
        turn.expect("the store answers");
    }
}

/// Runs turns of all workers until no job is due.
async fn until_done(world: &World, store: &dyn Store, workers: &[(App, JobId)]) {
    for _ in 0..WORKERS {
        all_at_once(workers).await;
        world.clock.advance(Duration::from_secs(3));
        let now = world.now();
        if store
            .due(now, 1)
            .await
            .expect("the store answers")
            .is_empty()
        {
            return;
        }
    }
    panic!("jobs are left");
}

#[tokio::test]
async fn hundred_cold_workers_request_one_token() {
    let world = Harness::new().start().await;
    let (store, workers) = workers(&world).await;
    until_done(&world, store.as_ref(), &workers).await;
    assert_eq!(world.count("token").await, 1);
    assert!(
        world.count("max_in_flight").await <= 5,
        "all of them together keep to `max_concurrency`"
    );
    for (number, (_, id)) in workers.iter().enumerate() {
        let job = store.get(id).await.expect("read").expect("a job");
        assert_eq!(job.status(), JobStatus::Succeeded);
        let record = world
            .record("Leads", &world.id("Leads", number as u64))
            .await;
        assert_eq!(record["Company"], number.to_string());
    }
    assert_eq!(
        world.count("mass_update_post").await,
        WORKERS,
        "each job is driven by one worker"
    );
}

#[tokio::test]
async fn token_throttle_silences_all_workers() {
    let world = Harness::new().start().await;
    world.faults(&json!({"mints_per_window": 0})).await;
    let (store, workers) = workers(&world).await;
    all_at_once(&workers).await;
    assert_eq!(world.count("token").await, 1);
    // After the window, one worker requests a token for all.
    world.faults(&json!({"mints_per_window": 10})).await;
    world.clock.advance(Duration::from_secs(700));
    until_done(&world, store.as_ref(), &workers).await;
    assert_eq!(world.count("token").await, 2);
    for (_, id) in &workers {
        assert_eq!(
            store.get(id).await.expect("read").expect("a job").status(),
            JobStatus::Succeeded
        );
    }
}

#[tokio::test]
async fn revoked_token_is_refreshed_once_for_all() {
    let world = Harness::new().start().await;
    let (store, first) = workers(&world).await;
    until_done(&world, store.as_ref(), &first).await;
    world.faults(&json!({"expire_tokens": true})).await;
    let request =
        json!({"module": "Leads", "fields": {"City": "Rome"}, "ids": [world.id("Leads", 1)]});
    for (app, _) in &first {
        app.request(&request, None, Trigger::Http, None)
            .await
            .expect("accepted");
    }
    until_done(&world, store.as_ref(), &first).await;
    assert_eq!(world.count("token").await, 2);
}

/// Processes that share nothing but a secret.
const PROCESSES: usize = 24;

/// Lets every process update a record at once; returns how many succeed.
async fn update_all(world: &World, apps: &[App], city: &str) -> usize {
    let turns = apps.iter().enumerate().map(|(number, app)| async move {
        let id = world.id("Leads", number as u64);
        let request = json!({"module": "Leads", "fields": {"City": city}, "ids": [id]});
        let deadline = SystemClock.now() + Duration::from_secs(20);
        let accepted = app
            .request(&request, None, Trigger::Http, Some(deadline))
            .await;
        let Acceptance::Driven(jobs) = accepted.expect("accepted") else {
            panic!("inline jobs are driven");
        };
        jobs[0].status() == JobStatus::Succeeded
    });
    let outcomes = futures_util::future::join_all(turns).await;
    outcomes.into_iter().filter(|succeeded| *succeeded).count()
}

#[tokio::test]
async fn separate_processes_share_token_through_secret() {
    let world = Harness::new().start().await;
    let (moto, name) = (Moto::shared(), "cold/token");
    // The secret does not exist yet: the first process creates it.
    let apps: Vec<App> = (0..PROCESSES)
        .map(|_| world.app_with_token_cache(moto, name))
        .collect();
    assert_eq!(update_all(&world, &apps, "Rome").await, PROCESSES);
    assert_eq!(world.count("token").await, 1);
    // Later processes find the token, and a refused process reads the secret again before it requests one.
    world.faults(&json!({"expire_tokens": true})).await;
    let late: Vec<App> = (0..PROCESSES)
        .map(|_| world.app_with_token_cache(moto, name))
        .collect();
    let all: Vec<App> = apps.into_iter().chain(late).collect();
    assert_eq!(update_all(&world, &all, "Oslo").await, 2 * PROCESSES);
    assert_eq!(world.count("token").await, 2);
}

#[tokio::test]
async fn separate_processes_share_the_throttle() {
    let world = Harness::new().start().await;
    world.faults(&json!({"mints_per_window": 0})).await;
    let apps: Vec<App> = (0..PROCESSES)
        .map(|_| world.app_with_token_cache(Moto::shared(), "cold/throttled"))
        .collect();
    assert_eq!(update_all(&world, &apps, "Rome").await, 0);
    assert_eq!(world.count("token").await, 1);
}

#[tokio::test]
async fn foreign_secret_content_is_not_overwritten() {
    let world = Harness::new().start().await;
    let moto = Moto::shared();
    moto.create_secret("cold/other", "hunter2").await;
    let apps = [
        world.app_with_token_cache(moto, "cold/other"),
        world.app_with_token_cache(moto, "cold/other"),
    ];
    assert_eq!(update_all(&world, &apps, "Rome").await, 2);
    assert_eq!(
        world.count("token").await,
        2,
        "each process requests its own"
    );
    let client = aws_sdk_secretsmanager::Client::new(&moto.sdk_config());
    let secret = client
        .get_secret_value()
        .secret_id("cold/other")
        .send()
        .await;
    let secret = secret.expect("it is still there");
    assert_eq!(secret.secret_string(), Some("hunter2"));
}
