//! Zoho's limits: concurrent calls over all processes, API credits, `Retry-After`.

use std::sync::Arc;
use std::time::Duration;

use masshook::app::App;
use masshook::job::{JobId, JobStatus};
use masshook::store::Store;
use masshook::store::sqlite::SqliteStore;
use serde_json::{Value, json};

use crate::harness::{Answer, Harness, World, enqueue};

/// Starts masshook with further lines of its connection.
async fn world(lines: &str) -> World {
    let harness = Harness::new().connection(lines);
    let slow = harness.simulator(|zoho| zoho.latency = Duration::from_millis(30));
    slow.start().await
}

fn one(world: &World, value: &str) -> Value {
    json!({"module": "Leads", "fields": {"Company": value}, "ids": [world.id("Leads", 1)]})
}

async fn update(world: &World, value: &str) -> Answer {
    world.post_job("", &one(world, value), &[]).await
}

#[tokio::test]
async fn edition_limits_concurrent_calls() {
    let world = world("edition: standard").await;
    let ids: Vec<String> = (0..10_000).map(|place| world.id("Leads", place)).collect();
    let wide = json!({"module": "Leads", "fields": {"Rating": "Active"}, "ids": ids});
    let answer = world.post_job("", &wide, &[]).await;
    assert_eq!(answer.job()["counts"]["total"], 10_000);
    assert_eq!(world.count("max_in_flight").await, 10);
}

/// Makes a worker with its own jobs. Each job makes another change, so that no two share a call.
async fn worker(world: &World, store: &Arc<dyn Store>, first: u64) -> (App, Vec<JobId>) {
    let app = world.worker(store);
    let mut jobs = Vec::new();
    for number in first..first + 30 {
        let request = one(world, &number.to_string());
        jobs.push(enqueue(&app, &request).await);
    }
    (app, jobs)
}

#[tokio::test]
async fn two_workers_share_the_concurrency_limit() {
    let world = world("max_concurrency: 4").await;
    let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory());
    let (one, mut jobs) = worker(&world, &store, 0).await;
    let (other, more) = worker(&world, &store, 100).await;
    jobs.extend(more);
    let mut rounds = 0;
    while !store.due(world.now(), 1).await.expect("read").is_empty() {
        // Both start at once; each drives the jobs that it claims first.
        let (a, b) = tokio::join!(one.run_turn(&[], None), other.run_turn(&[], None));
        a.expect("a turn");
        b.expect("a turn");
        world.clock.advance(Duration::from_secs(3));
        rounds += 1;
        assert!(rounds < 50, "jobs are left");
    }
    for id in &jobs {
        let job = store.get(id).await.expect("read").expect("a job");
        assert_eq!(job.status(), JobStatus::Succeeded);
    }
    assert_eq!(world.count("mass_update_post").await, 60);
    assert_eq!(world.count("max_in_flight").await, 4);
}

#[tokio::test]
async fn credit_floor_delays_new_work() {
    let world = world("credit_floor: 5").await;
    world.faults(&json!({"credits": 12})).await;
    let mut paid = 0;
    let waiting = loop {
        let answer = update(&world, &paid.to_string()).await;
        if answer.job()["status"] != "succeeded" {
            break answer;
        }
        paid += 1;
        assert!(paid < 12, "the floor is below");
    };
    assert_eq!(paid, 8, "4 of 12 remain, which is below 5");
    let call = &waiting.job()["calls"][0];
    assert_eq!(waiting.status, 503);
    assert_eq!(
        (&call["error"]["code"], &call["attempts"]),
        (&json!("CREDITS_LOW"), &json!(0)),
        "{call:#}"
    );
    let message = call["error"]["message"].as_str().expect("a message");
    assert!(
        message.contains("4 API credits") && message.contains("`credit_floor`"),
        "{message}"
    );
    // Every few minutes one call probes the credits, which return after a day.
    world.clock.advance(Duration::from_secs(24 * 3600 + 600));
    assert_eq!(update(&world, "later").await.job()["status"], "succeeded");
}

#[tokio::test]
async fn daily_limit_differs_from_concurrency_limit() {
    let world = world("credit_floor: 0").await;
    world.faults(&json!({"credits": 2})).await;
    for value in ["a", "b"] {
        assert_eq!(update(&world, value).await.job()["status"], "succeeded");
    }
    let spent = update(&world, "c").await;
    let error = &spent.job()["calls"][0]["error"];
    assert_eq!(error["code"], "TOO_MANY_REQUESTS");
    assert!(
        error["advice"]
            .as_str()
            .is_some_and(|advice| advice.contains("credits come back")),
        "{error:#}"
    );
    assert_eq!(
        world.count("mass_update_post").await,
        3,
        "no further call is sent"
    );
    let next = update(&world, "d").await;
    assert_eq!(
        next.job()["calls"][0]["error"]["code"],
        "HELD",
        "the next job is held too"
    );
    assert_eq!(world.count("mass_update_post").await, 3);
    world.clock.advance(Duration::from_secs(24 * 3600 + 600));
    assert_eq!(update(&world, "e").await.job()["status"], "succeeded");

    // A concurrency limit is over in a moment.
    let busy = json!([{"kind": "mass_update_post", "status": 429}]);
    world
        .faults(&json!({"credits": 5_000_000, "next": busy}))
        .await;
    let answer = update(&world, "f").await;
    assert_eq!(
        (
            &answer.job()["status"],
            &answer.job()["calls"][0]["attempts"]
        ),
        (&json!("succeeded"), &json!(2))
    );
}

#[tokio::test]
async fn retry_after_is_honoured_by_all_calls() {
    for faults in [
        json!({"too_many_body": "retry_after", "retry_after_s": 4, "rate_429": 1.0}),
        json!({"too_many_body": "crm", "retry_after_s": 4, "rate_429": 1.0}),
    ] {
        let world = world("max_concurrency: 1").await;
        world.faults(&faults).await;
        let before = world.now();
        let answer = update(&world, "a").await;
        assert_eq!(answer.status, 503);
        let sent = world.count("mass_update_post").await;
        let passed = world.now().duration_since(before).as_secs();
        assert!(
            u64::try_from(passed).is_ok_and(|passed| sent <= passed / 4 + 1),
            "{sent} calls in {passed} s"
        );
    }
}
