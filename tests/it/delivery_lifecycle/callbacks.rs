//! Callbacks: progress, retries, giving up.

use super::*;

/// Starts masshook with `callback_on` on the route `view`, whose Zoho jobs take a while.
async fn reported(script: &[u16], on: &str) -> World {
    let on = format!("  view:\n    callback_on: {on}\n");
    Harness::new()
        .callback_statuses(script)
        .simulator(|settings| settings.job_duration = Duration::from_secs(200))
        .config(|config| config.replace("  view:\n", &on))
        .start()
        .await
}

#[tokio::test]
async fn progress_callbacks_are_sent_on_change() {
    let world = reported(&[], "progress").await;
    let view = &world.zoho()["views"]["Leads"]["some"];
    let answer = world.send(view_request(&json!({"view": view["id"]}))).await;
    assert_eq!(answer.job()["status"], "succeeded");
    let callbacks: Vec<Value> = world
        .receiver
        .all()
        .iter()
        .map(Received::verified_at_its_time)
        .collect();
    let kinds: Vec<&str> = callbacks
        .iter()
        .filter_map(|callback| callback["type"].as_str())
        .collect();
    let (between, polls) = (kinds.len() - 2, world.count("mass_update_get").await);
    assert_eq!(kinds[0], "job.queued");
    assert_eq!(kinds[1..=between], vec!["job.running"; between]);
    assert_eq!(kinds[between + 1], "job.succeeded");
    let mut counts: Vec<String> = callbacks[1..=between]
        .iter()
        .map(|callback| callback["data"]["counts"].to_string())
        .collect();
    counts.dedup();
    assert_eq!(counts.len(), between, "each has new counts: {callbacks:#?}");
    assert!(
        between >= 3 && between < polls as usize,
        "{between} of {polls}"
    );
}

#[tokio::test]
async fn failed_progress_callbacks_do_not_delay_the_final() {
    for (on, kinds) in [
        (
            "accepted",
            vec!["job.queued", "job.queued", "job.queued", "job.succeeded"],
        ),
        // After the retries that an invocation has time for, only the final callback is sent.
        (
            "progress",
            vec!["job.queued", "job.running", "job.running", "job.succeeded"],
        ),
    ] {
        let world = reported(&[503, 503, 503], on).await;
        let view = &world.zoho()["views"]["Leads"]["some"];
        let answer = world.send(view_request(&json!({"view": view["id"]}))).await;
        let job = answer.job();
        assert_eq!(
            job["callback"],
            json!({"status": "delivered", "attempts": 1, "error": null})
        );
        let callbacks = world.receiver.all();
        let reported: Vec<String> = callbacks
            .iter()
            .map(|callback| {
                callback.verified_at_its_time()["type"]
                    .as_str()
                    .expect("a type")
                    .to_owned()
            })
            .collect();
        assert_eq!(reported, kinds);
        for pair in callbacks.windows(2) {
            let same = pair[0].header("webhook-id") == pair[1].header("webhook-id");
            assert_eq!(same, pair[0].body == pair[1].body, "one id, one body");
        }
    }
}

#[tokio::test]
async fn status_410_stops_progress_callbacks() {
    let world = reported(&[410], "progress").await;
    let view = &world.zoho()["views"]["Leads"]["some"];
    world.send(view_request(&json!({"view": view["id"]}))).await;
    let kinds = world.receiver.verified_types();
    assert_eq!(kinds, ["job.queued", "job.succeeded"]);
}

#[tokio::test]
async fn callback_retry_keeps_id_and_renews_signature() {
    let world = Harness::new()
        .rude()
        .callback_statuses(&[500, 503])
        .start()
        .await;
    let answer = world
        .deliver(&form("retried", &[world.id("Leads", 0)]))
        .await;
    assert_eq!(
        answer.job()["callback"],
        json!({"status": "delivered", "attempts": 3, "error": null})
    );
    let callbacks = world.receiver.all();
    assert_eq!(callbacks.len(), 3);
    for callback in &callbacks {
        callback.verified_at_its_time();
        assert_eq!(
            callback.header("webhook-id"),
            callbacks[0].header("webhook-id")
        );
        assert_eq!(callback.body, callbacks[0].body);
    }
    let signed = |callback: &Received| callback.header("webhook-signature").to_owned();
    assert_ne!(
        signed(&callbacks[0]),
        signed(&callbacks[2]),
        "each try is signed anew, with its own time"
    );
}

#[tokio::test]
async fn rejected_callback_is_marked_undeliverable() {
    for (script, attempts, error) in [
        (
            &[500, 500, 500][..],
            3,
            "the receiver answered 500 Internal Server Error",
        ),
        (&[410], 1, "the receiver answered 410 Gone"),
        (&[302, 302, 302], 3, "the receiver answered 302 Found"),
    ] {
        let world = Harness::new()
            .rude()
            .callback_statuses(script)
            .start()
            .await;
        let answer = world
            .deliver(&form("unwanted", &[world.id("Leads", 0)]))
            .await;
        let job = answer.job();
        assert_eq!(job["status"], "succeeded", "the records are updated anyway");
        assert_eq!(
            job["callback"],
            json!({"status": "undeliverable", "attempts": attempts, "error": error})
        );
    }
}
