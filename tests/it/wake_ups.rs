//! Wake-ups through SQS.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use masshook::aws::wakeups::SqsWakeUps;
use masshook::job::JobId;
use masshook::wakeup::{WakeUp, WakeUps, parse};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;

use crate::harness::{Moto, free_port, sdk_config};

fn jobs(count: usize) -> Vec<WakeUp> {
    let job = |number| JobId::derive("form", &format!("{number}"), 0);
    (0..count)
        .map(|number| WakeUp::of_id(&job(number), Duration::ZERO))
        .collect()
}

async fn receive(url: &str) -> Vec<Vec<JobId>> {
    let client = aws_sdk_sqs::Client::new(&Moto::shared().sdk_config());
    let mut messages = Vec::new();
    loop {
        let received = client
            .receive_message()
            .queue_url(url)
            .max_number_of_messages(10)
            .send()
            .await
            .expect("moto answers");
        if received.messages().is_empty() {
            return messages;
        }
        let bodies = received
            .messages()
            .iter()
            .filter_map(|message| message.body());
        messages.extend(bodies.map(|body| parse(body).expect("a wake-up")));
    }
}

#[tokio::test]
async fn wake_ups_are_batched_into_messages() {
    let url = Moto::shared().create_queue("wake-many").await;
    let wake_ups = SqsWakeUps::with_config(&url, Moto::shared().sdk_config());
    let jobs = jobs(2_345);
    wake_ups.wake(&jobs).await.expect("woken");
    let messages = receive(&url).await;
    assert_eq!(messages.len(), 24);
    let woken: BTreeSet<JobId> = messages.into_iter().flatten().collect();
    assert_eq!(woken, jobs.into_iter().map(|wake_up| wake_up.job).collect());
    wake_ups.wake(&[]).await.expect("nothing to do");
}

#[tokio::test]
async fn delays_are_rounded_up_and_long_ones_left_out() {
    let (url, seen) = fussy(Vec::new()).await;
    let wake_ups = SqsWakeUps::with_config(&url, sdk_config(&url));
    let job = |name: &str| JobId::from_outside(name);
    let delays = [
        (job("now"), Duration::ZERO),
        (job("soon"), Duration::from_millis(1)),
        (job("last"), Duration::from_secs(900)),
        (job("left to the sweep"), Duration::from_millis(900_001)),
    ];
    let delays = delays.map(|(job, delay)| WakeUp::of_id(&job, delay));
    wake_ups.wake(&delays).await.expect("woken");
    let messages = messages_of_one_request(&seen).into_iter();
    let sent: BTreeMap<_, _> = messages
        .map(|(jobs, entry)| (jobs, entry["DelaySeconds"].as_u64()))
        .collect();
    let expected = [("last", Some(900)), ("now", Some(0)), ("soon", Some(1))];
    let expected = expected.map(|(name, delay)| (vec![job(name)], delay));
    assert_eq!(sent, BTreeMap::from(expected));
}

/// Starts a queue that rejects the entries of `script`, one request after the other.
async fn fussy(script: Vec<Value>) -> (String, Arc<Mutex<Vec<Value>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let requests = Arc::clone(&seen);
    let app = Router::new().fallback(move |body: Bytes| {
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        let mut requests = requests.lock().expect("no panic");
        let failed = script.get(requests.len()).cloned().unwrap_or(json!([]));
        requests.push(body["Entries"].clone());
        let answer = json!({"Successful": [], "Failed": failed}).to_string();
        std::future::ready((
            StatusCode::OK,
            [("content-type", "application/x-amz-json-1.0")],
            answer,
        ))
    });
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let url = format!(
        "http://{}",
        listener.local_addr().expect("a bound listener")
    );
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, seen)
}

/// The messages of the only request: their jobs, and the entries as they were sent.
fn messages_of_one_request(seen: &Mutex<Vec<Value>>) -> Vec<(Vec<JobId>, Value)> {
    let seen = seen.lock().expect("no panic");
    assert_eq!(seen.len(), 1, "one request");
    let entries = seen[0].as_array().expect("entries").iter();
    let messages = entries.map(|entry| {
        let jobs = parse(entry["MessageBody"].as_str().expect("a body")).expect("a wake-up");
        (jobs, entry.clone())
    });
    messages.collect()
}

/// The queue is fair between connections.
#[tokio::test]
async fn messages_are_grouped_by_connection() {
    let (url, seen) = fussy(Vec::new()).await;
    let wake_ups = SqsWakeUps::with_config(&url, sdk_config(&url));
    let of = |number: usize, connection: Option<&str>| WakeUp {
        connection: connection.map(str::to_owned),
        ..jobs(number + 1).remove(number)
    };
    let long = "x".repeat(129);
    let jobs = [
        of(0, Some("eu")),
        of(1, Some("us")),
        of(2, Some("eu")),
        of(3, None),
        of(4, Some("no group")),
        of(5, Some(&long)),
    ];
    wake_ups.wake(&jobs).await.expect("woken");
    let messages = messages_of_one_request(&seen);
    let messages: Vec<_> = messages
        .iter()
        .map(|(jobs, entry)| (entry["MessageGroupId"].as_str(), jobs.len()))
        .collect();
    assert_eq!(messages, [(None, 3), (Some("eu"), 2), (Some("us"), 1)]);

    // A standard queue takes groups.
    let url = Moto::shared().create_queue("wake-groups").await;
    let wake_ups = SqsWakeUps::with_config(&url, Moto::shared().sdk_config());
    wake_ups.wake(&jobs).await.expect("woken");
    assert_eq!(receive(&url).await.concat().len(), jobs.len());
}

#[tokio::test]
async fn only_rejected_entries_are_resent() {
    let busy = json!([{"Id": "1", "Code": "InternalError", "SenderFault": false}]);
    let (url, seen) = fussy(vec![busy]).await;
    let wake_ups = SqsWakeUps::with_config(&url, sdk_config(&url));
    wake_ups.wake(&jobs(250)).await.expect("woken in the end");
    let seen = seen.lock().expect("no panic").clone();
    let bodies = |entries: &Value| -> Vec<Value> {
        let entries = entries.as_array().expect("entries").iter();
        entries.map(|entry| entry["MessageBody"].clone()).collect()
    };
    assert_eq!(seen.len(), 2);
    assert_eq!(bodies(&seen[1]), bodies(&seen[0])[1..2]);
}

#[tokio::test]
async fn permanent_rejection_is_returned() {
    let wrong = json!([{"Id": "0", "Code": "InvalidMessageContents", "SenderFault": true, "Message": "quoted"}]);
    let (url, seen) = fussy(vec![wrong]).await;
    let wake_ups = SqsWakeUps::with_config(&url, sdk_config(&url));
    let error = wake_ups.wake(&jobs(120)).await.expect_err("refused");
    assert!(!error.retryable);
    assert_eq!(
        error.to_string(),
        "100 jobs could not be woken (SQS: InvalidMessageContents)"
    );
    assert_eq!(seen.lock().expect("no panic").len(), 1);

    let unreachable = format!("http://127.0.0.1:{}", free_port());
    let wake_ups = SqsWakeUps::with_config(&unreachable, sdk_config(&unreachable));
    let error = wake_ups.wake(&jobs(3)).await.expect_err("no listener");
    assert!(error.retryable, "{error:?}");
    assert_eq!(error.jobs, 3);

    let url = Moto::shared().create_queue("wake-none").await;
    let wake_ups = SqsWakeUps::with_config(&format!("{url}-not"), Moto::shared().sdk_config());
    let error = wake_ups.wake(&jobs(1)).await.expect_err("no such queue");
    assert!(!error.retryable, "{error:?}");
}
