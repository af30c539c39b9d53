//! Many processes that start cold at once, over one store: one token, one driver for each job.

use std::sync::Arc;
use std::time::Duration;

use masshook::app::{Accepted, App};
use masshook::engine::Manner;
use masshook::job::sqlite::SqliteStore;
use masshook::job::store::JobStore;
use masshook::job::wakeup::LocalWakeUps;
use masshook::job::{JobId, JobStatus};
use serde_json::json;

use crate::support::world::World;

/// So many workers start at once.
const WORKERS: u64 = 100;

/// The workers of one durable masshook, each with a job of its own waiting.
async fn workers(world: &World) -> (Arc<dyn JobStore>, Vec<(App, JobId)>) {
    let store: Arc<dyn JobStore> = Arc::new(SqliteStore::in_memory());
    let mut workers = Vec::new();
    for number in 0..WORKERS {
        let manner = Manner::Durable(Arc::new(LocalWakeUps::new()));
        let app = world.masshook(store.clone(), manner);
        let request = json!({"module": "Leads", "fields": {"Company": number.to_string()}, "ids": [world.id("Leads", number)]});
        let Accepted::Queued(jobs) = app.request(&request, None, None).await.expect("accepted")
        else {
            panic!("durable jobs are queued");
        };
        workers.push((app, jobs[0].id.clone()));
    }
    (store, workers)
}

async fn all_at_once(workers: &[(App, JobId)]) {
    let turns = workers.iter().map(|(app, _)| app.turn(&[], None));
    for turn in futures_util::future::join_all(turns).await {
        turn.expect("the store answers");
    }
}

/// Turns of all workers, until no job waits for a slot of the connection any more.
async fn until_done(world: &World, store: &dyn JobStore, workers: &[(App, JobId)]) {
    for _ in 0..WORKERS {
        all_at_once(workers).await;
        world.clock.advance(Duration::from_secs(3));
        let now = world.clock_now();
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
async fn a_hundred_cold_workers_ask_for_one_token() {
    let world = World::calm(&[]).await;
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
async fn a_throttle_that_one_is_told_keeps_all_silent() {
    let world = World::calm(&[]).await;
    world.faults(&json!({"mints_per_window": 0})).await;
    let (store, workers) = workers(&world).await;
    all_at_once(&workers).await;
    assert_eq!(world.count("token").await, 1);
    // When the window is over, one asks again, for all.
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
async fn a_token_that_zoho_ended_is_replaced_once_for_all() {
    let world = World::calm(&[]).await;
    let (store, first) = workers(&world).await;
    until_done(&world, store.as_ref(), &first).await;
    world.faults(&json!({"expire_tokens": true})).await;
    let request =
        json!({"module": "Leads", "fields": {"City": "Rome"}, "ids": [world.id("Leads", 1)]});
    for (app, _) in &first {
        app.request(&request, None, None).await.expect("accepted");
    }
    until_done(&world, store.as_ref(), &first).await;
    assert_eq!(world.count("token").await, 2);
}
