//! Spans reach a collector by OTLP, in builds with the feature `otlp`.
//! Run: `cargo test --features otlp --test it otlp::`

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Harness, Receiver, Request};
use crate::lambda_function::Function;

/// How long spans may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(60);

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// A span as the collector received it.
#[derive(Debug)]
struct Span(Value);

impl Span {
    fn text(&self, name: &str) -> &str {
        self.0[name].as_str().unwrap_or_default()
    }

    /// The value of an attribute, whatever its type.
    fn attribute(&self, name: &str) -> Value {
        let attributes = self.0["attributes"].as_array().into_iter().flatten();
        let mut found = attributes.filter(|attribute| attribute["key"] == name);
        let value = found.next().map(|attribute| attribute["value"].clone());
        let value = value.and_then(|value| Some(value.as_object()?.values().next()?.clone()));
        value.unwrap_or_default()
    }
}

/// The environment of a process that exports to the collector, and only when it is told to or ends.
fn environment(collector: &Receiver, delay_ms: &str) -> Vec<(String, String)> {
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url("")),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json".to_owned()),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "x-collector-key=k1".to_owned(),
        ),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment=test".to_owned()),
        ("OTEL_BSP_SCHEDULE_DELAY", delay_ms.to_owned()),
    ];
    let variables = variables.into_iter();
    variables
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// Everything that the collector has received.
fn spans(collector: &Receiver) -> Vec<Span> {
    let mut spans = Vec::new();
    for request in collector.all() {
        assert_eq!(request.uri.path(), "/v1/traces");
        assert_eq!(request.header("content-type"), "application/json");
        assert_eq!(request.header("x-collector-key"), "k1");
        let body: Value = serde_json::from_slice(&request.body).expect("JSON");
        for resource in body["resourceSpans"].as_array().expect("resources") {
            let attributes = resource["resource"]["attributes"].to_string();
            assert!(attributes.contains("\"masshook\""), "{attributes}");
            assert!(attributes.contains("deployment"), "{attributes}");
            for scope in resource["scopeSpans"].as_array().expect("scopes") {
                let found = scope["spans"].as_array().expect("spans");
                spans.extend(found.iter().cloned().map(Span));
            }
        }
    }
    spans
}

fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let found = spans.iter().find(|span| span.text("name") == name);
    let names: Vec<&str> = spans.iter().map(|span| span.text("name")).collect();
    found.unwrap_or_else(|| panic!("no {name}: {names:?}"))
}

#[tokio::test]
async fn server_exports_spans_of_delivery_and_job() {
    let collector = Receiver::start(&[]).await;
    let served = Harness::new().served();
    let mut world = served
        .environment(environment(&collector, "100"))
        .prepare()
        .await;
    world.start(&["--log-format", "json"]).await;
    let delivery = json!({"kind": "form", "event": "e1", "ids": [world.lead(1)]});
    let request = Request::json("/hooks/form", delivery.to_string())
        .with("traceparent", format!("00-{TRACE}-{PARENT}-01"));
    let answer = request.send_to(&world.url("")).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let job = answer.job_id();
    world.wait_for_job(&job).await;

    let over = Instant::now() + PATIENCE;
    let found = loop {
        let found = spans(&collector);
        if found.iter().any(|span| span.text("name") == "callback") {
            break found;
        }
        assert!(Instant::now() < over, "{found:?}\n{}", world.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let request = named(&found, "POST /hooks/{route}");
    assert_eq!(request.text("traceId"), TRACE);
    assert_eq!(request.text("parentSpanId"), PARENT);
    assert_eq!(request.0["kind"], 2, "a server's: {request:?}");
    assert_eq!(request.attribute("http.request.method"), "POST");
    assert_eq!(request.attribute("route"), "form");
    let status = request.attribute("http.response.status_code");
    assert!(status == 202 || status == "202", "{request:?}");

    let send = named(&found, "job send");
    assert_eq!(send.attribute("job.id"), job.as_str());
    let id = send.attribute("delivery.id");
    assert!(id.as_str().is_some_and(|id| id.starts_with("dlv_")));
    let zoho = named(&found, "zoho immediate");
    assert_eq!(zoho.0["kind"], 3, "a client's: {zoho:?}");
    assert_eq!(zoho.text("parentSpanId"), send.text("spanId"));
    let callback = named(&found, "callback");
    assert_eq!(callback.attribute("job.id"), job.as_str());
    let all = format!("{found:?}");
    for secret in ["Zoho-oauthtoken", "whsec_"] {
        assert!(!all.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn last_spans_are_exported_at_the_end() {
    let collector = Receiver::start(&[]).await;
    let served = Harness::new().served();
    // By itself it would export in an hour.
    let variables = environment(&collector, "3600000");
    let mut world = served.environment(variables).start().await;
    let answer = world.request("GET", "/health", None).await;
    assert_eq!(answer.expect("an answer").status, 200);
    assert!(spans(&collector).is_empty());
    world.signal("TERM");
    world.wait_for_exit().await;
    named(&spans(&collector), "GET");
}

#[tokio::test]
async fn function_exports_spans_before_its_answer() {
    let collector = Receiver::start(&[]).await;
    let function = Function::start_with(environment(&collector, "3600000")).await;
    let event = std::fs::read_to_string(crate::harness::repo_path(
        "events/jobs-dry-run-http-api-v2.json",
    ));
    let event: Value = serde_json::from_str(&event.expect("an event")).expect("JSON");
    for count in 1..=2 {
        let answer = function.invoke(&event).await;
        assert_eq!(answer["statusCode"], 200, "{answer:#}");
        let found = spans(&collector);
        let of_kind = |name: &str| {
            let of_name = found.iter().filter(|span| span.text("name") == name);
            of_name.count()
        };
        assert_eq!(of_kind("invocation http"), count, "{found:?}");
        let invocation = named(&found, "invocation http");
        assert!(invocation.attribute("requestId").is_string());
        let request = named(&found, "POST /jobs");
        assert_eq!(request.text("parentSpanId"), invocation.text("spanId"));
    }
}

/// A collector that does not answer delays nothing but the end.
#[tokio::test]
async fn missing_collector_does_not_disturb() {
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9"),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let served = Harness::new().served();
    let world = served.environment(variables.to_vec()).start().await;
    let delivery = json!({"event": "e1", "ids": [world.lead(1)]});
    let job = world.submit(&delivery).await.remove(0);
    assert_eq!(world.wait_for_job(&job).await["status"], "succeeded");
}
