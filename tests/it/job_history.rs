//! The history of jobs: in the HTTP API, on the command line, and what it costs.

use std::sync::Arc;
use std::time::Duration;

use masshook::app::App;
use masshook::job::{Job, JobId};
use masshook::store::memory::MemoryStore;
use masshook::store::sqlite::SqliteStore;
use masshook::store::{Claim, Store};
use serde_json::{Value, json};

use crate::harness::{Harness, Request, World, enqueue, form};

fn events(job: &Value) -> Vec<String> {
    let history = job["history"].as_array().expect("a history").iter();
    history
        .map(|entry| entry["event"].as_str().expect("an event").to_owned())
        .collect()
}

fn of_event<'a>(job: &'a Value, event: &str) -> Vec<&'a Value> {
    let history = job["history"].as_array().expect("a history").iter();
    history.filter(|entry| entry["event"] == event).collect()
}

async fn shown(world: &World, id: &str) -> Value {
    let request = Request::get(&format!("/jobs/{id}")).authorized();
    let answer = world.send(request).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

#[tokio::test]
async fn inline_job_shows_its_steps_and_retries() {
    let world = Harness::new().callback_statuses(&[503]).start().await;
    let throttled =
        json!({"kind": "mass_update_post", "status": 429, "headers": {"Retry-After": "3"}});
    world.faults(&json!({"next": [throttled]})).await;
    let lead = world.lead(3);
    let answer = world
        .deliver(&json!({"kind": "form", "event": "e1", "ids": [lead]}))
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.job().get("history").is_none(), "{answer:?}");

    let job = shown(&world, &answer.job_id()).await;
    let first = &world.receiver.all()[0];
    assert!(
        !String::from_utf8_lossy(&first.body).contains("history"),
        "callbacks have no history"
    );
    assert_eq!(job["history_omitted"], 0);
    assert_eq!(job["connection"], "default");
    let seen = events(&job);
    for event in [
        "received", "mapped", "queued", "planned", "call", "finished", "callback",
    ] {
        assert!(seen.iter().any(|other| other == event), "{event}: {seen:?}");
    }
    let callbacks = of_event(&job, "callback");
    assert_eq!(callbacks.len(), 2, "{job:#}");
    assert_eq!(
        (&callbacks[0]["status"], &callbacks[1]["status"]),
        (&json!(503), &json!(200))
    );
    assert!(
        callbacks[0]["until"].is_string(),
        "the next attempt: {job:#}"
    );
    assert!(callbacks[1].get("until").is_none());
    let waits = of_event(&job, "waiting");
    assert!(
        waits.iter().any(|wait| wait["detail"] == "receiver"),
        "{job:#}"
    );
    let throttled = of_event(&job, "throttled");
    assert_eq!(throttled[0]["detail"], "Retry-After", "{job:#}");
    let attempts = job["calls"][0]["attempts"].as_u64().expect("a number");
    let calls = of_event(&job, "call");
    assert_eq!((calls.len() as u64, attempts), (2, 2), "{job:#}");
    assert_eq!(
        (&calls[0]["status"], &calls[0]["code"]),
        (&json!(429), &json!("TOO_MANY_REQUESTS"))
    );
    let last = calls.last().expect("a call");
    assert_eq!(
        (&last["status"], &last["records"], &last["shared_jobs"]),
        (&json!(200), &json!(1), &json!(1))
    );
    let times = job["history"].as_array().expect("a list").iter();
    let times: Vec<String> = times.map(|entry| entry["at"].to_string()).collect();
    assert!(times.is_sorted(), "{job:#}");
}

async fn job(store: &dyn Store, id: &JobId) -> Job {
    store.get(id).await.expect("read").expect("a job")
}

async fn finish(world: &World, app: &App, store: &dyn Store, ids: &[JobId]) {
    for _ in 0..50 {
        app.run_turn(&[], None).await.expect("the store answers");
        let mut open = false;
        for id in ids {
            open |= job(store, id).await.due(world.now()).is_some();
        }
        if !open {
            return;
        }
        world.clock.advance(Duration::from_secs(10));
    }
    panic!("not finished");
}

/// The writes of a job: every write raises its version, and this claim does, too.
async fn writes(world: &World, store: &dyn Store, id: &JobId) -> u64 {
    let now = world.now();
    match store.claim(id, now, now).await {
        Ok(Claim::Acquired(_, lease)) => lease.version - 1,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn history_adds_no_write() {
    let stores: [Arc<dyn Store>; 2] = [
        Arc::new(SqliteStore::in_memory()),
        Arc::new(MemoryStore::new()),
    ];
    for store in stores {
        let world = Harness::new().start().await;
        let app = world.worker(&store);
        let request = json!({
            "module": "Leads", "fields": {"Lead_Source": "Webinar"}, "ids": [world.id("Leads", 0)],
            "callback_url": world.receiver.url("/zoho"),
        });
        let id = enqueue(&app, &request).await;
        finish(&world, &app, store.as_ref(), std::slice::from_ref(&id)).await;
        let driven = job(store.as_ref(), &id).await;
        assert!(!driven.history.is_empty());
        // The acceptance, the lease, the answer, the result of the callback.
        assert_eq!(writes(&world, store.as_ref(), &id).await, 4);
    }
}

#[tokio::test]
async fn shared_call_names_the_other_jobs() {
    let world = Harness::new().start().await;
    let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory());
    let app = world.worker(&store);
    let mut ids = Vec::new();
    for place in 0..12 {
        let request = json!({
            "module": "Leads", "fields": {"Lead_Source": "Webinar"}, "ids": [world.id("Leads", place)],
        });
        ids.push(enqueue(&app, &request).await);
    }
    finish(&world, &app, store.as_ref(), &ids).await;
    let entries = job(store.as_ref(), &ids[0]).await.history_entries();
    let call = entries.iter().find(|entry| entry.shared_jobs.is_some());
    let call = call.expect("a call");
    assert_eq!((call.shared_jobs, call.shared_with.len()), (Some(12), 10));
    for prefix in &call.shared_with {
        let named = ids
            .iter()
            .filter(|id| id.as_str().starts_with(prefix.as_str()));
        assert_eq!(named.count(), 1, "{prefix}");
        assert!(!ids[0].as_str().starts_with(prefix.as_str()), "itself");
    }
}

#[tokio::test]
async fn polls_of_a_view_are_one_entry() {
    let world = Harness::new()
        .simulator(|settings| settings.job_duration = Duration::from_secs(60))
        .start()
        .await;
    let view = &world.zoho()["views"]["Leads"]["some"];
    let body = json!({"view": view["id"]}).to_string();
    let answer = world.send(Request::json("/hooks/view", body)).await;
    let finished = shown(&world, &answer.job_id()).await;
    assert_eq!(finished["status"], "succeeded", "{finished:#}");
    let polls = of_event(&finished, "poll");
    assert_eq!(polls.len(), 1, "{finished:#}");
    assert!(polls[0]["count"].as_u64() > Some(2), "{finished:#}");
    assert!(polls[0]["last_at"].is_string(), "{finished:#}");
}

// The receiver answers while the command runs.
#[tokio::test(flavor = "multi_thread")]
async fn show_and_watch_tell_the_story() {
    let world = Harness::new()
        .callback_statuses(&[410])
        .served()
        .start()
        .await;
    let submitted = world.submit(&form("e1", &[world.id("Leads", 0)])).await;
    let id = submitted[0].as_str();
    let (code, followed) = world.cli_text(&["jobs", "watch", id]);
    assert_eq!(code, 1, "the callback is undeliverable: {followed}");
    assert!(followed.contains("callback undeliverable"), "{followed}");
    assert!(!followed.contains('\u{1b}'), "no colours: {followed}");
    let (code, text) = world.cli_text(&["jobs", "show", id]);
    assert_eq!(code, 0, "{text}");
    for part in [
        "Timeline",
        "received",
        "verified",
        "mapped",
        "planned",
        "call 1: 200",
        "finished: succeeded",
        "callback 1 to 127.0.0.1: 410",
        "jobs redeliver",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(
        text.lines().all(|line| line.chars().count() <= 200),
        "{text}"
    );
    let (code, shown) = world.cli(&["jobs", "show", id]);
    assert_eq!((code, &shown["id"]), (0, &json!(id)));
    assert_eq!(of_event(&shown, "callback").len(), 1, "{shown:#}");

    let second = world.submit(&form("e2", &[world.id("Leads", 1)])).await;
    assert_eq!(world.cli_text(&["jobs", "watch", &second[0]]).0, 0);
    assert_eq!(world.cli_text(&["jobs", "watch", "job_unheard_of"]).0, 1);
}
