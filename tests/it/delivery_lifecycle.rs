//! The main flow, end to end: a signed webhook becomes a mass update, and its status is sent to the callback.

mod callbacks;

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Harness, Received, Request, World};

/// Makes a delivery for the route `form`.
fn form(event: &str, ids: &[String]) -> Value {
    json!({"kind": "form", "event": event, "ids": ids})
}

#[tokio::test]
async fn webhook_updates_record_and_sends_callback() {
    let world = Harness::new().start().await;
    let id = "5725767000003000064".to_owned();
    assert_ne!(world.record("Leads", &id).await["Lead_Source"], "Webinar");

    let mut delivery = form("e1", std::slice::from_ref(&id));
    delivery["reference"] = json!({"order": 7});
    let answer = world.deliver(&delivery).await;

    assert_eq!(answer.status, 200);
    let job = answer.job();
    assert_eq!(job["status"], "succeeded");
    assert_eq!(
        job["counts"],
        json!({"total": 1, "updated": 1, "failed": 0, "pending": 0})
    );
    assert_eq!(job["callback"]["status"], "delivered");
    assert_eq!(
        job["status_url"],
        format!("/jobs/{}", job["id"].as_str().expect("an id"))
    );
    assert_eq!(world.record("Leads", &id).await["Lead_Source"], "Webinar");
    let callbacks = world.receiver.all();
    assert_eq!(callbacks.len(), 1);
    let callback = callbacks[0].verified_at_its_time();
    assert_eq!(
        (&callback["type"], &callback["data"]["reference"]),
        (&json!("job.succeeded"), &json!({"order": 7}))
    );
    let mut shown = job.clone();
    for only_in_the_answer in ["status_url", "callback"] {
        shown
            .as_object_mut()
            .expect("an object")
            .remove(only_in_the_answer);
    }
    assert_eq!(
        callback["data"], shown,
        "the callback carries the job as the API shows it"
    );
    assert_eq!(
        (
            world.count("token").await,
            world.count("mass_update_post").await
        ),
        (1, 1)
    );
}

#[tokio::test]
async fn duplicate_delivery_returns_the_same_job() {
    let world = Harness::new().start().await;
    let delivery = form("again", &[world.id("Leads", 3)]);
    let first = world.deliver(&delivery).await;
    let second = world.deliver(&delivery).await;
    assert_eq!(first.job(), second.job());
    assert_eq!(world.count("mass_update_post").await, 1);
    assert_eq!(world.receiver.all().len(), 1);
    let other = world.deliver(&form("other", &[world.id("Leads", 3)])).await;
    assert_ne!(other.job()["id"], first.job()["id"]);
}

#[tokio::test]
async fn concurrent_duplicates_create_one_job() {
    let world = Harness::new()
        .simulator(|settings| settings.latency = Duration::from_millis(50))
        .start()
        .await;
    let delivery = form("together", &[world.id("Leads", 3)]);
    let (left, right) = tokio::join!(world.deliver(&delivery), world.deliver(&delivery));
    assert_eq!(left.job()["id"], right.job()["id"]);
    assert_eq!(
        (
            world.count("mass_update_post").await,
            world.receiver.all().len()
        ),
        (1, 1)
    );
}

#[tokio::test]
async fn large_list_is_chunked_and_failures_are_named() {
    let world = Harness::new().start().await;
    let conditions = world.zoho()["modules"]["Deals"]["conditions"].clone();
    let mut bad: Vec<String> = conditions
        .as_object()
        .expect("conditions")
        .iter()
        // The delivery does not set the picklist that the blueprint controls.
        .filter(|(condition, _)| *condition != "in_blueprint")
        .filter_map(|(_, id)| id.as_str().map(str::to_owned))
        .collect();
    bad.push("9999999999999999999".to_owned());
    let ids: Vec<String> = (0..1_200)
        .map(|place| world.id("Deals", place))
        .chain(bad.clone())
        .collect();
    let mut delivery = form("large", &ids);
    delivery["module"] = json!("Deals");
    delivery["fields"] = json!({"Next_Step": "Call", "Type": "New Business", "Lead_Source": "Webinar", "Amount": 12.5});
    let answer = world.deliver(&delivery).await;

    let job = answer.job();
    assert_eq!(job["status"], "partially_succeeded", "{job:#}");
    let failed = bad.len();
    assert_eq!(
        job["counts"],
        json!({"total": 1_200 + failed, "updated": 1_200, "failed": failed, "pending": 0})
    );
    let mut named: Vec<&str> = job["failures"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|failure| failure["id"].as_str())
        .collect();
    named.sort_unstable();
    named.dedup();
    bad.sort_unstable();
    assert_eq!(named, bad);
    // Two field groups of three chunks.
    assert_eq!(world.count("mass_update_post").await, 6);
    let last = world.record("Deals", &ids[1_199]).await;
    assert_eq!(
        (&last["Next_Step"], &last["Amount"]),
        (&json!("Call"), &json!(12.5))
    );
    assert_eq!(
        world.receiver.all()[0].verified_at_its_time()["type"],
        "job.partially_succeeded"
    );
}

#[tokio::test]
async fn injected_faults_do_not_change_the_outcome() {
    for seed in 0..8 {
        let world = Harness::new()
            .rude()
            .simulator(|settings| settings.rude = Some(seed))
            .start()
            .await;
        let locked = world.zoho()["modules"]["Deals"]["conditions"]["locked"].clone();
        let mut ids: Vec<String> = (0..600).map(|place| world.id("Deals", place)).collect();
        ids.push(locked.as_str().expect("an id").to_owned());
        let mut delivery = form("moody", &ids);
        delivery["module"] = json!("Deals");
        delivery["fields"] = json!({"Next_Step": "Call", "Type": "New Business", "Lead_Source": "Webinar", "Amount": 12.5});
        let mut job = world.deliver(&delivery).await.job().clone();
        // In inline mode, a job continues with the sender's redeliveries.
        for _ in 0..5 {
            if job["finished_at"].is_null() {
                world.clock.advance(Duration::from_secs(600));
                job = world.deliver(&delivery).await.job().clone();
            }
        }
        assert_eq!(job["status"], "partially_succeeded", "{seed}: {job:#}");
        assert_eq!(
            job["counts"],
            json!({"total": 601, "updated": 600, "failed": 1, "pending": 0}),
            "{seed}"
        );
        assert_eq!(job["failures"][0]["id"], locked, "{seed}");
        let last = world.record("Deals", &ids[599]).await;
        assert_eq!(
            (&last["Next_Step"], &last["Amount"]),
            (&json!("Call"), &json!(12.5)),
            "{seed}"
        );
        let reported = world.receiver.all();
        let last = reported.last().expect("a callback").verified_at_its_time();
        assert_eq!(last["type"], "job.partially_succeeded", "{seed}");
    }
}

#[tokio::test]
async fn concurrent_calls_stay_within_max_concurrency() {
    let world = Harness::new()
        .rude()
        .simulator(|settings| settings.latency = Duration::from_millis(100))
        .config(|config| config.replace("accounts_url:", "max_concurrency: 3\n    accounts_url:"))
        .start()
        .await;
    let ids: Vec<String> = (0..1_990).map(|place| world.id("Leads", place)).collect();
    assert_eq!(
        world.deliver(&form("wide", &ids)).await.job()["counts"]["updated"],
        1_990
    );
    assert_eq!(world.count("max_in_flight").await, 3);
}

#[tokio::test]
async fn custom_view_job_is_tracked_to_its_end() {
    let world = Harness::new()
        .simulator(|settings| settings.job_duration = Duration::from_secs(600))
        .start()
        .await;
    let view = &world.zoho()["views"]["Leads"]["some"];
    let answer = world.send(view_request(&json!({"view": view["id"]}))).await;
    // Zoho takes ten minutes, which is more than an invocation has.
    let job = answer.job().clone();
    assert_eq!(job["status"], "running", "{job:#}");
    assert_eq!(
        world.receiver.all()[0].verified_at_its_time()["type"],
        "job.running"
    );
    // In inline mode, the job continues when the sender redelivers.
    world.clock.advance(Duration::from_secs(400));
    let answer = world.send(view_request(&json!({"view": view["id"]}))).await;
    let job = answer.job();
    assert_eq!(job["status"], "succeeded", "{job:#}");
    assert_eq!(job["counts"]["updated"], view["records"]);
    assert_eq!(job["calls"][0]["kind"], "scheduled");
    assert!(job["calls"][0]["zoho_job_id"].is_string());
    assert_eq!(world.count("mass_update_post").await, 1);
    let kinds = world.receiver.verified_types();
    assert_eq!(kinds, ["job.running", "job.succeeded"]);
}

#[tokio::test]
async fn tracking_timeout_fails_job_with_last_counts() {
    let world = Harness::new()
        .rude()
        .simulator(|settings| settings.job_duration = Duration::from_secs(180))
        .config(|config| {
            format!(
                "track_for: 7d\n{}",
                config.replace("  view:", "  view:\n    track_for: 2m")
            )
        })
        .start()
        .await;
    let view = &world.zoho()["views"]["Leads"]["some"];
    let answer = world.send(view_request(&json!({"view": view["id"]}))).await;
    let job = answer.job();
    assert_eq!(job["status"], "failed", "{job:#}");
    assert_eq!(job["error"]["code"], "TRACKING_TIMED_OUT");
    let counts = &job["counts"];
    let number = |key: &str| counts[key].as_u64().expect("a number");
    assert_eq!(counts["total"], view["records"], "{job:#}");
    assert!(number("updated") > 0 && number("pending") > 0, "{job:#}");
    assert_eq!(
        number("updated") + number("failed") + number("pending"),
        number("total")
    );
    assert_eq!(
        world.receiver.all()[0].verified_at_its_time()["type"],
        "job.failed"
    );
}

fn view_request(body: &Value) -> Request {
    Request::json("/hooks/view", body.to_string())
}

#[tokio::test]
async fn busy_view_is_retried_until_free() {
    let world = Harness::new()
        .simulator(|settings| settings.job_duration = Duration::from_secs(20))
        .start()
        .await;
    let view = world.zoho()["views"]["Leads"]["some"]["id"].clone();
    let (first, second) = tokio::join!(
        world.send(view_request(&json!({"view": view, "n": 1}))),
        world.send(view_request(&json!({"view": view, "n": 2}))),
    );
    assert_eq!(
        (&first.job()["status"], &second.job()["status"]),
        (&json!("succeeded"), &json!("succeeded"))
    );
    assert_ne!(first.job()["id"], second.job()["id"]);
}

#[tokio::test]
async fn expired_deadline_reports_running_job() {
    let world = Harness::new().rude().start().await;
    world.faults(&json!({"rate_5xx": 1.0})).await;
    let answer = world
        .deliver_within(
            &form("late", &[world.id("Leads", 0)]),
            Duration::from_secs(8),
        )
        .await;
    let job = answer.job();
    assert_eq!(job["status"], "running", "{job:#}");
    assert_eq!(
        job["counts"],
        json!({"total": 1, "updated": 0, "failed": 0, "pending": 1})
    );
    assert_eq!(job["finished_at"], Value::Null);
    assert_eq!(
        world.receiver.all()[0].verified_at_its_time()["type"],
        "job.running"
    );
    // When Zoho works again, a redelivery finishes the job.
    world.faults(&json!({"rate_5xx": 0.0})).await;
    world.clock.advance(Duration::from_secs(60));
    let answer = world.deliver(&form("late", &[world.id("Leads", 0)])).await;
    assert_eq!(answer.job()["status"], "succeeded");
    let ids: Vec<String> = world
        .receiver
        .all()
        .iter()
        .map(|callback| callback.header("webhook-id").to_owned())
        .collect();
    assert_ne!(ids[0], ids[1], "two notifications, two ids");
}
