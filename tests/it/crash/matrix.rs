//! The crash matrix: every fail point, at its first and second time.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt;
use masshook::failpoint::POINTS;
use masshook::simulator::Settings;
use serde_json::{Value, json};

use crate::support::serve::{Served, text};

/// Servers that are killed at once.
const AT_ONCE: usize = 4;

/// What the process ends with when it aborts.
const SIGABRT: i32 = 6;

/// Jobs that the deliveries make.
const JOBS: usize = 6;

/// Deliveries of every kind: jobs that share a call, jobs that share a Zoho job, calls that go one after the other, one
/// that must not be sent twice, and one that comes to nothing.
fn deliveries(world: &Served) -> Vec<Value> {
    let lead = |place| json!({"module": "Leads", "fields": {"Lead_Source": "Webinar"}, "ids": [world.id("Leads", place)]});
    let view = json!({"module": "Leads", "fields": {"Lead_Status": "Contacted"}, "cvid": world.zoho()["views"]["Leads"]["all"]["id"]});
    let deal = json!({
        "event": "deal", "module": "Deals", "ids": [world.id("Deals", 0), world.id("Deals", 1)],
        "fields": {"Next_Step": "Call", "Type": "New Business", "Lead_Source": "Webinar", "Amount": 12.5},
    });
    vec![
        json!({"event": "broken", "ids": ["no id"]}),
        json!({"event": "pair", "updates": [lead(3), lead(4)]}),
        json!({"event": "view", "updates": [view, view]}),
        json!({"event": "topics", "fields": {"Topics": ["Billing"]}, "ids": [world.id("Leads", 5)]}),
        deal,
    ]
}

/// Sends what has not been taken in yet; stops when the server is gone. What was refused for good needs no second try.
async fn send(world: &Served, open: &mut Vec<Value>) {
    while let Some(delivery) = open.first() {
        let Some(answer) = world.deliver(delivery).await else {
            return;
        };
        let wanted = if delivery["event"] == "broken" {
            422
        } else {
            202
        };
        assert_eq!(answer.status, wanted, "{answer:?}");
        open.remove(0);
    }
}

/// Whether every job is over.
fn over(world: &Served) -> bool {
    let jobs = world.jobs();
    jobs.len() == JOBS
        && jobs
            .values()
            .all(|job| !job["finished_at"].is_null() && job["callback"] != "pending")
}

/// Runs into the point, starts again, and looks at what is left. Returns whether the point was reached.
async fn crash(point: &str, times: u32) -> bool {
    let at = format!("{point}:{times}");
    let settings = Settings {
        job_duration: Duration::from_millis(300),
        ..Settings::default()
    };
    let program = Path::new(env!("CARGO_BIN_EXE_masshook"));
    let everything_told =
        |config: String| format!("{config}callback_on: progress\nunclear: reread\n");
    let mut world = Served::new(program, &[], settings, everything_told).await;
    world.start(&["--crash-at", &at]).await;
    let mut open = deliveries(&world);
    send(&world, &mut open).await;
    let mut reached = false;
    while !(reached || open.is_empty() && over(&world)) {
        reached = world.try_end().is_some_and(|status| {
            assert_eq!(status.signal(), Some(SIGABRT), "{at}: {}", world.log());
            true
        });
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    if !reached {
        world.kill().await;
    }

    world.start(&[]).await;
    send(&world, &mut open).await;
    assert_eq!(open, Vec::<Value>::new(), "{at}: {}", world.log());
    let jobs = world.all_finished(JOBS).await;

    for job in jobs.values() {
        // The view has records that Zoho does not update.
        let good = job["status"] == "succeeded" || job["status"] == "partially_succeeded";
        assert!(good, "{at}: {job:#}");
        assert_eq!(job["callback"], "delivered", "{at}: {job:#}");
    }
    let callbacks = world.callbacks();
    let ends = callbacks
        .values()
        .filter(|callback| !callback["data"]["finished_at"].is_null());
    let told: Vec<String> = ends.map(|callback| text(&callback["data"]["id"])).collect();
    assert_eq!(told.len(), JOBS, "{at}: one end for each job");
    assert!(
        told.iter().all(|id| jobs.contains_key(id)),
        "{at}: {told:?}"
    );
    let mut tries: BTreeMap<String, usize> = BTreeMap::new();
    for callback in world.receiver.all() {
        *tries
            .entry(callback.header("webhook-id").to_owned())
            .or_default() += 1;
    }
    // Of each job only one effect was under way.
    assert!(tries.values().all(|tries| *tries <= 2), "{at}: {tries:?}");
    for place in [3, 4] {
        let record = world.record("Leads", &world.id("Leads", place)).await;
        assert_eq!(
            (&record["Lead_Source"], &record["Lead_Status"]),
            (&json!("Webinar"), &json!("Contacted")),
            "{at}"
        );
    }
    let record = world.record("Leads", &world.id("Leads", 5)).await;
    let topics = record["Topics"].as_array().expect("a list");
    assert!(topics.contains(&json!("Billing")), "{at}: {record:#}");
    let (_, seen) = world.simulated("GET", "requests", None).await;
    let added = seen["requests"].as_array().expect("requests").iter();
    let added = added.filter(|request| request["body"].to_string().contains("Billing"));
    assert_eq!(added.count(), 1, "{at}: options are added once");
    for place in [0, 1] {
        let record = world.record("Deals", &world.id("Deals", place)).await;
        assert_eq!(
            (&record["Next_Step"], &record["Amount"]),
            (&json!("Call"), &json!(12.5)),
            "{at}"
        );
    }
    let (_, kept) = world.command_line(&["deliveries", "list"]);
    assert_eq!(kept["deliveries"].as_array().map(Vec::len), Some(1), "{at}");
    let tokens = world.count("token").await;
    assert!(tokens <= 2, "{at}: {tokens} tokens");
    reached
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_between_any_two_effects_nothing_is_lost_and_nothing_told_twice_differently() {
    let runs = POINTS.iter().flat_map(|point| [(*point, 1), (*point, 2)]);
    let outcomes: Vec<(&str, u32, bool)> = futures_util::stream::iter(runs)
        .map(|(point, times)| async move {
            let start = std::time::Instant::now();
            let run = tokio::spawn(crash(point, times)).await;
            let reached = run.unwrap_or_else(|error| panic!("{point}:{times}: {error}"));
            eprintln!(
                "{point}:{times} reached: {reached}, {:.1?}",
                start.elapsed()
            );
            (point, times, reached)
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let missed: Vec<&str> = outcomes
        .iter()
        .filter(|(_, times, reached)| *times == 1 && !reached)
        .map(|(point, _, _)| *point)
        .collect();
    assert!(missed.is_empty(), "never reached: {missed:?}");
}
