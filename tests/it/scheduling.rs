//! Scheduling: overlapping turns, clock jumps, and updates of one custom view.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use masshook::app::App;
use masshook::job::{CallbackStatus, Job, JobId, JobStatus};
use masshook::lambda::Function;
use masshook::store::sqlite::SqliteStore;
use masshook::store::{Claim, Store};
use serde_json::{Value, json};

use crate::harness::{Harness, World, enqueue, invoke};

/// Longer than any lease, shorter than `track_for`.
const JUMP: Duration = Duration::from_secs(6 * 3600);

/// Makes a worker with its own store.
fn process(world: &World) -> (Arc<App>, Arc<dyn Store>) {
    let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory());
    (Arc::new(world.worker(&store)), store)
}

async fn jobs(store: &dyn Store, ids: &[JobId]) -> Vec<Job> {
    let mut jobs = Vec::new();
    for id in ids {
        jobs.push(store.get(id).await.expect("read").expect("a job"));
    }
    jobs
}

/// Whether a job has finished and has no pending callback.
fn is_over(job: &Job) -> bool {
    let callback = job.callback.as_ref().map(|callback| callback.status);
    job.status().is_final() && callback != Some(CallbackStatus::Pending)
}

/// Runs turns, with some time between them, until all jobs have finished.
async fn finish(world: &World, app: &App, store: &dyn Store, ids: &[JobId]) -> Vec<Job> {
    for _ in 0..100 {
        app.run_turn(&[], None).await.expect("the store answers");
        let jobs = jobs(store, ids).await;
        if jobs.iter().all(is_over) {
            return jobs;
        }
        world.clock.advance(Duration::from_secs(10));
    }
    panic!("{:#?}", jobs(store, ids).await);
}

/// A clock that is set back leaves the lease of a running turn in place. A jump ahead ends it: another turn drives the job too,
/// and the one effect in progress may be repeated. The first turn can write nothing more, and the callback has one id.
#[tokio::test]
async fn clock_jump_at_worst_repeats_one_effect() {
    for forward in [true, false] {
        // Zoho's clock does not jump.
        let world = Harness::new().zoho_on_system_time().start().await;
        let (app, store) = process(&world);
        world.faults(&json!({"latency_ms": 1_500})).await;
        let request = json!({
            "module": "Leads", "fields": {"Lead_Source": "Webinar"}, "ids": [world.id("Leads", 0)],
            "callback_url": world.receiver.url("/zoho"),
        });
        let id = enqueue(&app, &request).await;
        let (driver, woken) = (app.clone(), id.clone());
        let turn = tokio::spawn(async move { driver.run_turn(&[woken], None).await });
        while world.count("token").await == 0 {
            tokio::task::yield_now().await;
        }
        let now = world.now();
        world
            .clock
            .set(if forward { now + JUMP } else { now - JUMP });
        for _ in 0..3 {
            let driven = app.run_turn(std::slice::from_ref(&id), None).await;
            let driven = driven.expect("the store answers");
            driven[0].outcome.as_ref().expect("driven, or leased");
            let job = store.get(&id).await.expect("read").expect("a job");
            assert!(forward || !job.status().is_final(), "{job:#?}");
        }
        assert!(
            forward || !turn.is_finished(),
            "the first turn is in progress"
        );
        turn.await.expect("no panic").expect("the store answers");

        world.faults(&json!({"latency_ms": 0})).await;
        let jobs = finish(&world, &app, store.as_ref(), &[id]).await;
        assert_eq!(jobs[0].status(), JobStatus::Succeeded, "{jobs:#?}");
        let posts = world.count("mass_update_post").await;
        let callbacks = world.receiver.all();
        if forward {
            assert!((1..=2).contains(&posts), "{posts}");
            let contents: BTreeSet<_> = callbacks
                .iter()
                .map(|callback| {
                    (
                        callback.header("webhook-id").to_owned(),
                        callback.body.clone(),
                    )
                })
                .collect();
            assert_eq!(contents.len(), 1, "one id and one body: {contents:?}");
        } else {
            assert_eq!((posts, callbacks.len()), (1, 1));
        }
    }
}

/// After a freeze, the sweep of a function finds a job whose lease expired in the meantime.
#[tokio::test]
async fn lease_from_before_freeze_expires() {
    let world = Harness::new().start().await;
    let (app, store) = process(&world);
    let request = json!({"module": "Leads", "fields": {"Lead_Source": "Webinar"}, "ids": [world.id("Leads", 0)]});
    let id = enqueue(&app, &request).await;
    let now = world.now();
    let lost = store.claim(&id, now, now + Duration::from_secs(60)).await;
    assert!(matches!(lost, Ok(Claim::Acquired(..))), "{lost:?}");
    app.run_turn(&[], None).await.expect("the store answers");
    let held = jobs(store.as_ref(), std::slice::from_ref(&id)).await;
    assert_eq!(held[0].status(), JobStatus::Queued);
    world.clock.set(now + Duration::from_secs(120));
    let function = Function::new(app, None);
    let answer = invoke(&function, &json!({"sweep": true})).await;
    assert_eq!(answer.expect("an answer"), json!({"driven": 1}));
    let done = jobs(store.as_ref(), &[id]).await;
    assert_eq!(done[0].status(), JobStatus::Succeeded, "{done:#?}");
}

/// Starts masshook with a Zoho whose custom view jobs take 30 s.
async fn slow_views() -> World {
    let slow = |settings: &mut zoho_simulator::Settings| {
        settings.job_duration = Duration::from_secs(30);
    };
    Harness::new().simulator(slow).start().await
}

/// A jump of the clock does not count towards `track_for`.
#[tokio::test]
async fn clock_jump_does_not_consume_track_for() {
    let world = Harness::new()
        .zoho_on_system_time()
        .simulator(|zoho| zoho.job_duration = Duration::from_secs(3_600))
        .start()
        .await;
    let (app, store) = process(&world);
    let id = enqueue(&app, &view(&world, "Contacted")).await;
    for _ in 0..2 {
        app.run_turn(&[], None).await.expect("the store answers");
        world.clock.advance(Duration::from_secs(10));
    }
    world.clock.set(world.now() + 5 * JUMP);
    let before = world.count("mass_update_get").await;
    app.run_turn(&[], None).await.expect("the store answers");
    assert_eq!(world.count("mass_update_get").await, before + 1);
    let jobs = jobs(store.as_ref(), &[id]).await;
    assert_eq!(jobs[0].status(), JobStatus::Running, "{jobs:#?}");
}

/// Makes an update request for a custom view.
fn view(world: &World, value: &str) -> Value {
    let view = &world.zoho()["views"]["Leads"]["some"]["id"];
    json!({"module": "Leads", "fields": {"Lead_Status": value}, "cvid": view})
}

#[tokio::test]
async fn view_updates_run_serially_and_equal_ones_share() {
    let world = slow_views().await;
    let (app, store) = process(&world);
    let mut ids = Vec::new();
    for value in ["Contacted", "Attempted to Contact", "Contacted"] {
        ids.push(enqueue(&app, &view(&world, value)).await);
    }
    let ended = finish(&world, &app, store.as_ref(), &ids).await;
    let run = |job: &Job| job.calls[0].zoho_job_id.clone().expect("a run");
    let runs: Vec<String> = ended.iter().map(run).collect();
    assert_eq!(runs[0], runs[2], "equal ones share a run");
    assert_ne!(runs[0], runs[1]);
    for job in &ended {
        assert_eq!(job.status(), JobStatus::Succeeded);
        assert!(job.calls[0].error.is_none(), "{job:#?}");
    }
    // A third call would be one that Zoho refused as busy.
    assert_eq!(world.count("mass_update_post").await, 2);
}

#[tokio::test]
async fn view_busy_elsewhere_is_retried() {
    let world = slow_views().await;
    // Two processes with separate stores.
    let ((ours, store), (theirs, other)) = (process(&world), process(&world));
    let their = enqueue(&theirs, &view(&world, "Attempted to Contact")).await;
    theirs.run_turn(&[], None).await.expect("the store answers");
    let our = enqueue(&ours, &view(&world, "Contacted")).await;
    ours.run_turn(&[], None).await.expect("the store answers");
    let waiting = &jobs(store.as_ref(), std::slice::from_ref(&our)).await[0];
    assert!(!waiting.status().is_final(), "{waiting:#?}");
    let why = waiting.calls[0].error.as_ref().expect("why it waits");
    assert_eq!(why.code, "ALREADY_SCHEDULED");
    assert!(waiting.calls[0].due_at > Some(world.now()));

    finish(&world, &theirs, other.as_ref(), &[their]).await;
    let ended = finish(&world, &ours, store.as_ref(), &[our]).await;
    assert_eq!(ended[0].status(), JobStatus::Succeeded);
    let runs: BTreeSet<_> = ended[0]
        .calls
        .iter()
        .map(|call| &call.zoho_job_id)
        .collect();
    assert!(runs.iter().all(|run| run.is_some()), "{ended:#?}");
}
