//! The stack on AWS, end to end: both functions under AWS's Runtime Interface Emulator, DynamoDB, SQS and Secrets
//! Manager on moto, and a poller in the place of the event source mapping (`harness/aws_stack.rs`).

mod cost;
mod dead_letters;
mod failed_events;
mod permissions;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use masshook::clock::{Clock, SystemClock};
use serde_json::json;

use crate::aws_template::alarms::counted;
use crate::harness::{
    MAP, MAX_RECEIVE_COUNT, Moto, PATIENCE, ProxyAction, Stack, config_text, faulty_proxy,
    free_port, packed, sample_event,
};

#[tokio::test]
async fn signed_form_is_queued_and_worker_completes_it() {
    let mut stack = Stack::start("aws-form").await;
    let lead = stack.lead(7);
    let form = json!({"event": "e1", "ids": [lead]});
    let began: Timestamp = SystemClock.now();

    let answer = stack.form(&form).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let id = answer.job_id();
    assert_eq!(answer.job()["status"], "queued");
    assert_eq!(answer.body["jobs"][0]["status_url"], format!("/jobs/{id}"));
    assert_eq!(stack.job(&id).await["status"], "queued");
    assert!(!stack.is_updated(&lead).await);
    assert_eq!(stack.count("token").await, 0);

    // A duplicate delivery returns the same job and sends no wake-up.
    let again = stack.form(&form).await;
    assert_eq!((again.status, again.job_id()), (202, id.clone()));
    assert_eq!(again.job()["status"], "queued");

    let job = stack.finish(&id).await;
    assert_eq!(job["status"], "succeeded", "{job:#}");
    assert!(stack.is_updated(&lead).await);
    let records: Vec<usize> = stack
        .queue
        .invocations
        .iter()
        .map(|one| one.records)
        .collect();
    assert_eq!(records, [1], "one wake-up, one turn");

    let callback = stack.receiver.next().await;
    let sent = callback.verified();
    assert_eq!(
        (
            &sent["type"],
            &sent["data"]["id"],
            &sent["data"]["counts"]["updated"]
        ),
        (&json!("job.succeeded"), &json!(id), &json!(1))
    );
    let sent_at: i64 = callback
        .header("webhook-timestamp")
        .parse()
        .expect("a moment");
    assert!(sent_at >= began.as_second());

    // Also after the job has finished.
    let again = stack.form(&form).await;
    assert_eq!((again.status, again.job_id()), (202, id));
    assert_eq!(again.job()["status"], "succeeded");
    assert!(!stack.queue.poll(&stack.worker, 0).await, "nothing is left");
    assert_eq!(stack.count("mass_update_post").await, 1);
    assert_eq!(stack.receiver.all().len(), 1);
}

#[tokio::test]
async fn custom_view_job_is_tracked_by_wake_ups() {
    let mut stack = Stack::start("aws-view").await;
    let id = stack.view("some").await.job_id();
    assert!(stack.queue.poll(&stack.worker, 5).await);
    // The first turn starts the Zoho job and ends: it does not wait for Zoho.
    let job = stack.job(&id).await;
    assert_eq!(job["status"], "running", "{job:#}");
    assert!(job["calls"][0]["zoho_job_id"].is_string(), "{job:#}");
    assert_eq!(stack.count("mass_update_get").await, 0);

    let job = stack.finish(&id).await;
    assert_eq!(job["status"], "succeeded", "{job:#}");
    let invocations = stack.queue.invocations.len();
    assert!((2..=6).contains(&invocations), "{invocations}");
    // No turn polled twice: that would have required waiting.
    let polls = usize::try_from(stack.count("mass_update_get").await).expect("a count");
    assert!((1..invocations).contains(&polls), "{polls}");
    assert_eq!(stack.count("mass_update_post").await, 1);
    assert_eq!(stack.count("token").await, 1);
    let sent = stack.receiver.next().await.verified();
    assert_eq!(sent["type"], "job.succeeded");
}

#[tokio::test]
async fn malformed_wake_up_fails_alone_and_is_dead_lettered() {
    let mut stack = Stack::start("aws-poison").await;
    let poison = stack.queue.put("not a wake-up").await;
    let id = stack
        .form(&json!({"event": "e1", "ids": [stack.lead(1)]}))
        .await
        .job_id();
    assert!(stack.queue.poll(&stack.worker, 5).await);
    let first = &stack.queue.invocations[0];
    assert_eq!((first.records, &first.failed), (2, &vec![poison]));
    assert_eq!(stack.job(&id).await["status"], "succeeded");

    while stack.queue.poll(&stack.worker, 0).await {}
    assert_eq!(stack.queue.invocations.len(), MAX_RECEIVE_COUNT);
    assert_eq!(stack.queue.dead_letters().await, ["not a wake-up"]);
    assert!(
        stack.worker.logs().contains("is not a wake-up"),
        "{}",
        stack.worker.logs()
    );
}

#[tokio::test]
async fn sweep_completes_jobs_whose_wake_ups_are_lost() {
    let stack = Stack::with("aws-sweep", &[], false).await;
    let mut ids = vec![stack.view("some").await.job_id()];
    for place in 0..5 {
        let form = json!({"event": format!("e{place}"), "ids": [stack.lead(place)]});
        let answer = stack.form(&form).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        ids.push(answer.job_id());
    }
    let sweep = sample_event("sweep-schedule.json");
    let first = stack.worker.invoke(&sweep).await;
    assert_eq!(first, json!({"driven": 6}));
    let mut sweeps = 1;
    while !stack.is_final(&ids[0]).await {
        assert!(sweeps < PATIENCE, "{}", stack.worker.logs());
        tokio::time::sleep(Duration::from_millis(500)).await;
        stack.worker.invoke(&sweep).await;
        sweeps += 1;
    }
    for id in &ids {
        let job = stack.job(id).await;
        assert_eq!(job["status"], "succeeded", "{job:#}");
    }
    for place in 0..5 {
        assert!(stack.is_updated(&stack.lead(place)).await);
    }
    // The forms make the same change, so they share a call.
    assert_eq!(stack.count("mass_update_post").await, 2);
    let callbacks = stack.receiver.wait_for(ids.len()).await;
    let mut reported: Vec<String> = callbacks
        .iter()
        .filter_map(|callback| Some(callback.verified()["data"]["id"].as_str()?.to_owned()))
        .collect();
    reported.sort();
    ids.sort();
    assert_eq!(reported, ids);
    assert!(stack.queue.invocations.is_empty());
}

#[tokio::test]
async fn ignored_events_are_counted_in_the_metric() {
    let stack = Stack::start("aws-ignored").await;
    let ignored = || counted("IgnoredDeliveries", &stack.inbound.logs());
    let taken = json!({"event": "e0", "ids": [stack.lead(5)]});
    assert_eq!(stack.form(&taken).await.status, 202);
    let event = |source: &str, id: &str| json!({"id": id, "detail-type": "t", "source": source, "detail": {"ids": [stack.lead(6)]}});
    let outcome = stack
        .inbound
        .invoke(&event("com.example.orders", "1"))
        .await;
    assert_eq!(
        (
            outcome["jobs"].as_array().map(Vec::len),
            &outcome["ignored"]
        ),
        (Some(1), &json!(0))
    );
    assert_eq!(ignored(), 0, "{}", stack.inbound.logs());

    let test = stack.form(&json!({"event": "e1", "kind": "test"})).await;
    assert_eq!((test.status, &test.body["jobs"]), (200, &json!([])));
    assert_eq!(ignored(), 1, "{}", stack.inbound.logs());
    let outcome = stack
        .inbound
        .invoke(&event("com.example.returns", "2"))
        .await;
    assert_eq!(outcome["ignored"], 1);
    assert_eq!(ignored(), 2, "{}", stack.inbound.logs());
    for (path, code) in [
        ("/hooks/fomr", "no_such_route"),
        ("/hooks/bus", "not_listening"),
    ] {
        let form = sample_event("typeform-http-api-v2.json");
        let answer = stack.http(form, path, None).await;
        assert_eq!((answer.status, &answer.body["code"]), (404, &json!(code)));
    }
    assert_eq!(ignored(), 2, "{}", stack.inbound.logs());
    let refused = counted("RefusedDeliveries", &stack.inbound.logs());
    assert_eq!(refused, 2, "{}", stack.inbound.logs());
}

#[tokio::test]
async fn wake_ups_stay_queued_while_table_is_unreachable() {
    let mut stack = Stack::start("aws-outage").await;
    let form = json!({"event": "e1", "ids": [stack.lead(1)]});
    let id = stack.form(&form).await.job_id();
    let unreachable = format!("http://127.0.0.1:{}", free_port());
    let cut_off = stack.another_worker(&[("AWS_ENDPOINT_URL_DYNAMODB", &unreachable)]);
    assert!(stack.queue.poll(&cut_off, 5).await);
    let kept = &stack.queue.invocations[0];
    assert_eq!(
        (kept.records, kept.failed.len()),
        (1, 1),
        "{}",
        cut_off.logs()
    );
    assert!(stack.queue.poll(&stack.worker, 5).await);
    assert!(stack.queue.invocations[1].failed.is_empty());
    assert_eq!(stack.job(&id).await["status"], "succeeded");
}

#[tokio::test]
async fn job_without_connection_is_parked_and_resumed() {
    let mut stack = Stack::start("aws-parked").await;
    let form = json!({"event": "e1", "ids": [stack.lead(1)]});
    let id = stack.form(&form).await.job_id();
    let (zoho, callback) = (stack.simulator.url(), stack.receiver.url("/zoho"));
    let text = config_text("aws-parked", zoho, &callback, MAP);
    let renamed = stack.folder.path().join("renamed.yaml");
    let text = text
        .replace("  default: {", "  other: {")
        .replace("    map:", "    connection: other\n    map:");
    std::fs::write(&renamed, text).expect("written");
    let renamed = renamed.display().to_string();
    let other = stack.another_worker(&[("MASSHOOK_CONFIG", &renamed)]);
    assert!(stack.queue.poll(&other, 5).await);
    // A retry would not help, so the wake-up is deleted.
    assert!(stack.queue.invocations[0].failed.is_empty());
    let logs = other.logs();
    assert_eq!(counted("ParkedJobs", &logs), 1, "{logs}");
    let parked = stack.command(&["jobs", "list", "--status", "parked"]);
    assert_eq!(parked["jobs"][0]["id"], json!(id), "{parked:#}");

    let resumed = stack.command(&["jobs", "replay", &id]);
    assert_eq!(resumed["resumed"], json!(id));
    let job = stack.finish(&id).await;
    assert_eq!(job["status"], "succeeded", "{job:#}");
}

#[tokio::test]
async fn failures_are_counted_in_alarm_metrics() {
    // The receiver answers 410, and Zoho refuses the credentials.
    let mut stack = Stack::with("aws-alarms", &[410], true).await;
    stack.faults(&json!({"token_error": "invalid_code"})).await;
    let form = json!({"event": "e1", "ids": [stack.lead(1)]});
    let id = stack.form(&form).await.job_id();
    let job = stack.finish(&id).await;
    assert_eq!(job["status"], "failed", "{job:#}");
    for filter in ["UndeliverableCallbacks", "TokenFailures"] {
        let found = counted(filter, &stack.worker.logs());
        assert_eq!(found, 1, "{filter}:\n{}", stack.worker.logs());
        assert_eq!(counted(filter, &stack.inbound.logs()), 0);
    }

    // The first request of this job is a look-up.
    let config = std::fs::read_to_string(stack.folder.path().join("masshook.yaml"));
    let unguarded = config
        .expect("the config")
        .replace("  default: {", "  default: { guard: off,");
    let path = stack.folder.path().join("unguarded.yaml");
    std::fs::write(&path, unguarded).expect("written");
    let worker = stack.another_worker(&[("MASSHOOK_CONFIG", &path.display().to_string())]);
    let body = json!({"email": "lead1@example.com"}).to_string();
    let hook = sample_event("typeform-http-api-v2.json");
    let id = stack.http(hook, "/hooks/person", Some(body)).await.job_id();
    assert!(stack.queue.poll(&worker, 5).await);
    assert_eq!(stack.job(&id).await["status"], "failed");
    let found = counted("TokenFailures", &worker.logs());
    assert_eq!(found, 1, "{}", worker.logs());
}

/// Starts a proxy that throttles the requests to a service until the returned switch is off.
async fn throttled(service: &'static str, code: &'static str) -> (String, Arc<AtomicBool>) {
    let full = Arc::new(AtomicBool::new(true));
    let seen = full.clone();
    let url = faulty_proxy(move |operation, _| {
        let meant = service == "DynamoDB" || operation.starts_with("SendMessage");
        match meant && seen.load(Ordering::SeqCst) {
            true => ProxyAction::Fail(code),
            false => ProxyAction::Forward,
        }
    });
    (url.await, full)
}

#[tokio::test]
async fn throttled_table_returns_503_and_stores_nothing() {
    let mut stack = Stack::start("aws-throttled").await;
    let (url, full) = throttled("DynamoDB", "ProvisionedThroughputExceededException").await;
    stack.inbound = stack.another_inbound(&[("AWS_ENDPOINT_URL_DYNAMODB", &url)]);
    let form = json!({"event": "e1", "ids": [stack.lead(1)]});
    let update =
        json!({"module": "Leads", "fields": {"Lead_Source": "Webinar"}, "ids": [stack.lead(1)]});
    let answers = [
        stack.form(&form).await,
        stack.form(&json!({"event": "e2", "ids": ["no id"]})).await,
        stack.update(&update).await,
    ];
    for answer in answers {
        assert_eq!(answer.status, 503, "{answer:?}");
        assert_eq!(answer.body["code"], "unavailable", "{answer:?}");
        assert!(answer.retry_after() > Some(0), "{answer:?}");
    }
    let refused = stack.inbound.invoke(&update).await;
    assert_eq!(refused["errorType"], "unavailable", "{refused}");
    assert_eq!(stack.command(&["jobs", "list"])["jobs"], json!([]));
    let kept = stack.command(&["deliveries", "list", "--outcome", "dead_letter"]);
    assert_eq!(kept["deliveries"], json!([]));
    assert!(
        !stack.queue.poll(&stack.worker, 0).await,
        "no wake-up was sent"
    );

    full.store(false, Ordering::SeqCst);
    let answer = stack.form(&form).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let id = answer.job_id();
    assert_eq!(stack.finish(&id).await["status"], "succeeded");
}

#[tokio::test]
async fn throttled_queue_returns_503_and_sweep_finds_job() {
    let mut stack = Stack::start("aws-full-queue").await;
    let (url, full) = throttled("SQS", "RequestThrottled").await;
    stack.inbound = stack.another_inbound(&[("AWS_ENDPOINT_URL_SQS", &url)]);
    let form = json!({"event": "e1", "ids": [stack.lead(1)]});
    let answer = stack.form(&form).await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.body["code"], "unavailable", "{answer:?}");
    assert!(answer.retry_after() > Some(0), "{answer:?}");
    assert!(answer.body["jobs"].is_null(), "{answer:?}");

    full.store(false, Ordering::SeqCst);
    let answer = stack.form(&form).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let id = answer.job_id();
    let swept = stack
        .worker
        .invoke(&sample_event("sweep-schedule.json"))
        .await;
    assert_eq!(swept, json!({"driven": 1}));
    assert_eq!(stack.job(&id).await["status"], "succeeded");
    assert_eq!(stack.count("mass_update_post").await, 1);
    assert_eq!(stack.receiver.wait_for(1).await.len(), 1);
}

#[tokio::test]
async fn newer_job_version_is_parked_once_and_resumed() {
    let (moto, table) = (Moto::shared(), "aws-later-version");
    let mut stack = Stack::start(table).await;
    let form = json!({"event": "e1", "ids": [stack.lead(1)]});
    let id = stack.form(&form).await.job_id();
    let later = packed(r#"{"v":99,"data":{"anything":1}}"#);
    let state = moto.replace_state(table, &id, later).await;
    let good = json!({"event": "e2", "ids": [stack.lead(2)]});
    let other = stack.form(&good).await.job_id();

    assert!(stack.queue.poll(&stack.worker, 5).await);
    assert!(stack.queue.invocations[0].failed.is_empty());
    assert_eq!(stack.finish(&other).await["status"], "succeeded");
    for _ in 0..3 {
        let swept = stack
            .worker
            .invoke(&sample_event("sweep-schedule.json"))
            .await;
        assert_eq!(swept, json!({"driven": 0}), "it is driven no more");
    }
    let logs = stack.worker.logs();
    assert_eq!(counted("ParkedJobs", &logs), 1, "{logs}");
    let parked = stack.command(&["jobs", "list", "--status", "parked"]);
    assert_eq!(parked["jobs"].as_array().map(Vec::len), Some(1));
    let reason = parked["jobs"][0]["reason"].as_str().unwrap_or_default();
    assert_eq!(
        (&parked["jobs"][0]["id"], &parked["jobs"][0]["parked"]),
        (&json!(id), &json!(true))
    );
    assert!(reason.contains("its version is 99"), "{parked:#}");
    // The job is stored, so a redelivery is accepted.
    let again = stack.form(&form).await;
    assert_eq!((again.status, again.job_id()), (202, id.clone()));
    let shown = stack.get_job(&id).await;
    assert_eq!(
        (shown.status, &shown.body["code"]),
        (500, &json!("job_unreadable"))
    );

    moto.replace_state(table, &id, state).await;
    let resumed = stack.command(&["jobs", "replay", &id]);
    assert_eq!(resumed["resumed"], json!(id));
    assert_eq!(stack.finish(&id).await["status"], "succeeded");
}
