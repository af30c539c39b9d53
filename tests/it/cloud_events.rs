//! CloudEvents: deliveries in both modes and the handshake of their senders; callbacks as CloudEvents and the handshake with
//! their receivers. The Python SDK of CloudEvents is at the other end.

mod commands;
mod delivery_ids;

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use masshook::engine::ExecutionMode;
use masshook::lambda::Function;
use masshook::store::Store;
use masshook::store::sqlite::SqliteStore;
use serde_json::{Value, json};

use crate::harness::{
    Answer, Harness, Received, Request, World, interface_judges, invoke, repo_path,
};

const BATCH: &str = "application/cloudevents-batch+json";

fn sdk(work: &Value) -> Value {
    let mut python = Command::new(interface_judges())
        .arg(repo_path("tests/tools/cloud_events.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python runs");
    let mut stdin = python.stdin.take().expect("a pipe");
    stdin
        .write_all(work.to_string().as_bytes())
        .expect("the SDK reads");
    drop(stdin);
    let output = python.wait_with_output().expect("the SDK ends");
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// An event as the SDK writes it: in binary and in structured mode.
fn written(attributes: &Value, data: &Value) -> Vec<Request> {
    let messages = sdk(&json!({"write": {"attributes": attributes, "data": data}}));
    let messages = messages.as_array().expect("messages").iter();
    let request = |message: &Value| {
        let body = message["body"].as_str().expect("a body");
        let request = Request::post("/hooks/events", body);
        let headers = message["headers"].as_object().expect("headers").iter();
        headers.fold(request, |request, (name, value)| {
            request.with(name, value.as_str().expect("a value"))
        })
    };
    messages.map(request).collect()
}

/// A world whose route `events` takes CloudEvents and returns their attributes as the reference of its jobs.
async fn world() -> World {
    Harness::new()
        .routes(
            r#"
  events:
    verify: { scheme: none }
    cloudevents: { allowed_origins: eventemitter.example.com, allowed_rate: 60 }
    map: '{module: "Leads", fields: {Lead_Source: "Webinar"}, ids: .ids, reference: $trigger.cloudevent}'
"#,
        )
        .start()
        .await
}

fn event(body: &Value) -> Request {
    let content_type = "application/cloudevents+json; charset=utf-8";
    Request::post("/hooks/events", body.to_string()).with("content-type", content_type)
}

#[tokio::test]
async fn both_modes_of_the_sdk_are_one_delivery() {
    let world = world().await;
    let lead = world.lead(3);
    let attributes = json!({"id": "A 1", "source": "/shop/€", "type": "order.paid",
        "time": "2026-01-02T00:00:00Z", "subject": "Ünï \"q\" %", "comexampleext": "x y"});
    for content_type in [None, Some("application/json")] {
        let mut attributes = attributes.clone();
        if let Some(content_type) = content_type {
            attributes["datacontenttype"] = json!(content_type);
            attributes["id"] = json!("A 2");
        }
        let data = json!({"ids": [lead]});
        let mut jobs = Vec::new();
        for request in written(&attributes, &data) {
            let answer = world.send(request).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            let reference = &answer.job()["reference"];
            for (name, value) in attributes.as_object().expect("an object") {
                assert_eq!(&reference[name], value, "{name}: {reference}");
            }
            assert_eq!(reference["specversion"], "1.0");
            jobs.push(answer.job_id());
        }
        assert_eq!(jobs[0], jobs[1], "source and id are the same");
    }
    assert_eq!(world.count("mass_update_post").await, 2);
}

#[tokio::test]
async fn source_and_id_distinguish_deliveries() {
    let world = world().await;
    let data = json!({"ids": [world.lead(3)]});
    let mut jobs = std::collections::BTreeSet::new();
    for (source, id) in [("/a", "1"), ("/a", "2"), ("/b", "1")] {
        let attributes = json!({"id": id, "source": source, "type": "t"});
        for request in written(&attributes, &data) {
            jobs.insert(world.send(request).await.job_id());
        }
    }
    assert_eq!(jobs.len(), 3, "{jobs:?}");
}

#[tokio::test]
async fn data_of_other_types_is_decoded() {
    let world = world().await;
    let lead = world.lead(3);
    let base = json!({"specversion": "1.0", "id": "1", "source": "/s", "type": "t"});
    let with = |id: &str, more: Value| {
        let mut body = base.clone();
        body["id"] = json!(id);
        let more = more.as_object().expect("an object").clone();
        body.as_object_mut().expect("an object").extend(more);
        event(&body)
    };
    let form = format!("ids[]={lead}");
    let encoded = STANDARD.encode(json!({"ids": [lead]}).to_string());
    for (id, more) in [
        ("json", json!({"data_base64": encoded})),
        (
            "form",
            json!({"datacontenttype": "application/x-www-form-urlencoded", "data": form}),
        ),
        (
            "form64",
            json!({"datacontenttype": "application/x-www-form-urlencoded", "data_base64": STANDARD.encode(&form)}),
        ),
    ] {
        let answer = world.send(with(id, more)).await;
        assert_eq!(answer.status, 200, "{id}: {answer:?}");
        assert_eq!(answer.job()["counts"]["updated"], 1, "{id}: {answer:?}");
    }
    let form = Request::post("/hooks/events", form)
        .with("content-type", "application/x-www-form-urlencoded")
        .with("ce-specversion", "1.0")
        .with("ce-id", "binary")
        .with("ce-source", "/s")
        .with("ce-type", "t");
    assert_eq!(world.send(form).await.status, 200);
}

#[tokio::test]
async fn what_is_no_single_event_is_refused() {
    let world = world().await;
    let valid = json!({"specversion": "1.0", "id": "1", "source": "/s", "type": "t"});
    let batch = Request::post("/hooks/events", json!([valid]).to_string());
    let answer = world.send(batch.with("content-type", BATCH)).await;
    answer.assert_problem(415, "event_format");
    assert!(
        answer.body["detail"].to_string().contains("batch"),
        "{answer:?}"
    );
    let xml =
        Request::post("/hooks/events", "<a/>").with("content-type", "application/cloudevents+xml");
    world.send(xml).await.assert_problem(415, "event_format");
    let plain = Request::json("/hooks/events", "{}");
    world
        .send(plain)
        .await
        .assert_problem(422, "not_a_cloudevent");
    for (key, value) in [
        ("specversion", json!("0.3")),
        ("id", json!("")),
        ("source", Value::Null),
        ("type", json!(1.5)),
        ("time", json!("now")),
        ("Colour", json!("red")),
        ("data_base64", json!("?")),
    ] {
        let mut body = valid.clone();
        body[key] = value;
        let answer = world.send(event(&body)).await;
        answer.assert_problem(422, "not_a_cloudevent");
    }
    let types = event(&valid).with("content-type", "application/json");
    world
        .send(types)
        .await
        .assert_problem(422, "not_a_cloudevent");
    let twice = Request::post(
        "/hooks/events",
        r#"{"specversion":"1.0","id":"1","id":"2","source":"/s","type":"t"}"#,
    );
    let twice = twice.with("content-type", "application/cloudevents+json");
    world
        .send(twice)
        .await
        .assert_problem(422, "not_a_cloudevent");
    assert_eq!(world.count("token").await, 0);
}

#[tokio::test]
async fn named_senders_get_permission() {
    let world = world().await;
    let ask = |route: &str, origin: &str| {
        let request = Request::new("OPTIONS", &format!("/hooks/{route}"));
        request.with("webhook-request-origin", origin)
    };
    let answer = world
        .send(ask("events", "EventEmitter.example.com").with("webhook-request-rate", "120"))
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(
        answer.header("webhook-allowed-origin"),
        "EventEmitter.example.com"
    );
    assert_eq!(answer.header("webhook-allowed-rate"), "60");
    assert!(answer.header("allow").contains("POST"));
    let slower = world
        .send(ask("events", "eventemitter.example.com").with("webhook-request-rate", "10"))
        .await;
    assert_eq!(slower.header("webhook-allowed-rate"), "10");
    let other = world.send(ask("events", "other.example.com")).await;
    other.assert_problem(403, "origin_refused");
    assert_eq!(other.header("webhook-allowed-origin"), "");
    let twice = ask("events", "eventemitter.example.com");
    let twice = twice.with("webhook-request-origin", "eventemitter.example.com");
    let twice = world.send(twice).await;
    twice.assert_problem(403, "origin_refused");
    // A route that does not say so answers no handshake.
    let silent = world.send(ask("view", "eventemitter.example.com")).await;
    silent.assert_problem(405, "method_not_allowed");
    let no_question = world.send(Request::new("OPTIONS", "/hooks/events")).await;
    no_question.assert_problem(405, "method_not_allowed");
}

/// What `*` allows is one name of a host, which is returned; nothing else of a stranger is.
#[tokio::test]
async fn any_sender_is_one_name() {
    let world = Harness::new()
        .routes(
            "  open:\n    verify: { scheme: none }\n    cloudevents: { allowed_origins: '*' }\n    map: empty\n",
        )
        .start()
        .await;
    let ask = async |origins: &[&str]| {
        let request = Request::new("OPTIONS", "/hooks/open");
        let request = origins.iter().fold(request, |request, origin| {
            request.with("webhook-request-origin", *origin)
        });
        world.send(request).await
    };
    let allowed = ask(&["any.example.com"]).await;
    assert_eq!(
        (allowed.status, allowed.header("webhook-allowed-origin")),
        (200, "any.example.com")
    );
    let long = "x".repeat(254);
    for origins in [
        &["a.example.com", "b.example.com"][..],
        &["a.example.com, b.example.com"],
        &["a example"],
        &[""],
        &[long.as_str()],
    ] {
        let refused = ask(origins).await;
        refused.assert_problem(403, "origin_refused");
        assert_eq!(refused.header("webhook-allowed-origin"), "", "{origins:?}");
        assert!(refused.body.to_string().len() < 600, "{origins:?}");
    }
}

#[tokio::test]
async fn queued_event_is_read_from_the_message() {
    let world = Harness::new()
        .routes(
            r#"
  queue:
    on: sqs
    cloudevents: {}
    map: '{module: "Leads", fields: {Lead_Source: "Webinar"}, ids: .ids, reference: $trigger.cloudevent.source}'
"#,
        )
        .start()
        .await;
    let lead = world.lead(3);
    let body = json!({"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "data": {"ids": [lead]}});
    let record = json!({"messageId": "m1", "body": body.to_string(), "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:events", "attributes": {}, "messageAttributes": {}});
    let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory());
    let app = Arc::new(world.app(store, ExecutionMode::Inline));
    let function = Function::new(app, None);
    let answer = invoke(&function, &json!({"Records": [record]})).await;
    let answer = answer.expect("an answer");
    assert_eq!(answer["batchItemFailures"], json!([]), "{answer}");
    assert_eq!(world.record("Leads", &lead).await["Lead_Source"], "Webinar");
}

/// What the SDK reads from a callback.
fn read(callback: &Received) -> Value {
    let headers = json!({"content-type": callback.header("content-type")});
    sdk(&json!({"read": {"headers": headers, "body": STANDARD.encode(&callback.body)}}))
}

async fn delivered(world: &World, event: &str) -> Answer {
    let body = json!({"kind": "form", "event": event, "ids": [world.lead(3)]});
    world.deliver(&body).await
}

#[tokio::test]
async fn sdk_reads_callbacks_as_events() {
    let world = Harness::new()
        .config(|config| config.replace("callbacks: {", "callbacks: { format: cloudevents,"))
        .start()
        .await;
    let job = delivered(&world, "e1").await.job().clone();
    let callback = world.receiver.wait_for(1).await.swap_remove(0);
    assert_eq!(
        callback.header("content-type"),
        "application/cloudevents+json"
    );
    callback.verified_at_its_time();
    let event = read(&callback);
    let attributes = &event["attributes"];
    assert_eq!(attributes["id"], callback.header("webhook-id"));
    assert_eq!(attributes["type"], "job.succeeded");
    assert_eq!(attributes["source"], "/hooks/form");
    assert_eq!(attributes["subject"], job["id"]);
    assert_eq!(event["data"]["counts"], job["counts"]);
}

#[tokio::test]
async fn hosts_are_asked_once_a_day() {
    let world = Harness::new()
        .request_origin("masshook.example.com")
        .start()
        .await;
    // Without permission there is no callback.
    let job = delivered(&world, "e1").await.job().clone();
    assert_ne!(job["callback"]["status"], "delivered", "{job}");
    let error = job["callback"]["error"].as_str().expect("an error");
    assert!(error.contains("has not permitted callbacks"), "{error}");
    let methods = |world: &World| -> Vec<String> {
        let all = world.receiver.all();
        all.iter()
            .map(|request| request.method.to_string())
            .collect()
    };
    let asked = methods(&world);
    assert!(asked.iter().all(|method| method == "OPTIONS"), "{asked:?}");
    assert_eq!(
        world.receiver.all()[0].header("webhook-request-origin"),
        "masshook.example.com"
    );

    world.receiver.allow_origin("masshook.example.com");
    for event in ["e2", "e3"] {
        let job = delivered(&world, event).await.job().clone();
        assert_eq!(job["callback"]["status"], "delivered", "{job}");
    }
    assert_eq!(methods(&world)[asked.len()..], ["OPTIONS", "POST", "POST"]);
    world.clock.advance(Duration::from_secs(25 * 3600));
    delivered(&world, "e4").await;
    assert_eq!(methods(&world)[asked.len() + 3..], ["OPTIONS", "POST"]);
}

/// 410 to OPTIONS means what it means to POST.
#[tokio::test]
async fn gone_receiver_is_not_asked_again() {
    let world = Harness::new()
        .callback_statuses(&[410])
        .request_origin("masshook.example.com")
        .start()
        .await;
    let job = delivered(&world, "e1").await.job().clone();
    assert_eq!(job["callback"]["status"], "undeliverable", "{job}");
    assert_eq!(job["callback"]["attempts"], 1, "{job}");
    let error = job["callback"]["error"].as_str().expect("an error");
    assert!(error.contains("410 Gone to OPTIONS"), "{error}");
    let all = world.receiver.all();
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].method, "OPTIONS");
}
