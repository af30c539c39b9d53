//! Overload: deliveries for which threads or memory are short are not acknowledged, and can be sent again.

use std::sync::Arc;

use axum::body::to_bytes;
use futures_util::future::join_all;
use masshook::api::router;
use masshook::app::App;
use masshook::lambda::Function;
use masshook::store::sqlite::SqliteStore;
use masshook::store::{JobFilter, PageRequest, Store};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::harness::{Answer, Harness, Request, World, durable, invoke};

/// A route whose program takes a while.
const ROUTES: &str = r#"
  slow:
    on: [http, sqs, eventbridge]
    verify: { scheme: none }
    delivery_id: .detail.id
    map: 'reduce range(20000) as $i (0; . + $i) | {module: "Leads", fields: {Rating: "Active"}, ids: ["1"]}'
"#;

/// Memory for one thread, and for few bodies that wait for it.
const MEMORY: usize = 24 << 20;

const DELIVERIES: usize = 24;

const QUEUE: &str = "arn:aws:sqs:eu-west-1:123456789012:orders";

struct Stage {
    _world: World,
    store: Arc<dyn Store>,
    app: Arc<App>,
}

impl Stage {
    async fn new() -> Self {
        let world = Harness::new().routes(ROUTES).start().await;
        let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory());
        let app = world.app(store.clone(), durable());
        Self {
            _world: world,
            store,
            app: Arc::new(app.with_memory_limit(Some(MEMORY))),
        }
    }

    async fn post(&self, delivery: usize) -> Answer {
        let request = Request::json("/hooks/slow", event(delivery).to_string());
        let Ok(response) = router(self.app.clone()).oneshot(request.into_http()).await;
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.expect("a body");
        let text = String::from_utf8(body.into()).expect("text");
        Answer::new(parts.status.as_u16(), parts.headers, text)
    }

    /// Asserts that this many jobs are stored, and that no delivery became a dead letter.
    async fn assert_jobs(&self, jobs: usize) {
        let listed = self
            .store
            .list(&JobFilter::default(), &PageRequest::first(100))
            .await;
        assert_eq!(listed.expect("a list").entries.len(), jobs);
        assert_eq!(self.store.dead_letters(100).await.expect("a list"), []);
    }
}

/// An event of 300 KB.
fn event(delivery: usize) -> Value {
    json!({
        "id": format!("event-{delivery}"), "detail-type": "order", "source": "shop",
        "detail": {"id": format!("{delivery}"), "text": "x".repeat(300_000)},
    })
}

fn message(delivery: usize) -> Value {
    json!({
        "messageId": format!("{delivery}"), "receiptHandle": "handle", "body": event(delivery).to_string(),
        "attributes": {"ApproximateReceiveCount": "1"}, "messageAttributes": {},
        "eventSource": "aws:sqs", "eventSourceARN": QUEUE,
    })
}

#[tokio::test]
async fn overload_is_503_and_repeat_is_accepted() {
    let stage = Stage::new().await;
    let answers = join_all((0..DELIVERIES).map(|delivery| stage.post(delivery))).await;
    let mut refused = Vec::new();
    for (delivery, answer) in answers.iter().enumerate() {
        if answer.status == 202 {
            continue;
        }
        answer.assert_problem(503, "overloaded");
        assert_eq!(answer.retry_after(), Some(5));
        refused.push(delivery);
    }
    assert!(!refused.is_empty(), "all were accepted");
    stage.assert_jobs(DELIVERIES - refused.len()).await;
    for delivery in refused {
        assert_eq!(stage.post(delivery).await.status, 202);
    }
    stage.assert_jobs(DELIVERIES).await;
}

#[tokio::test]
async fn overloaded_messages_of_batch_are_delivered_again() {
    let stage = Stage::new().await;
    let function = Function::new(stage.app.clone(), None);
    let records: Vec<Value> = (0..DELIVERIES).map(message).collect();
    let answer = invoke(&function, &json!({ "Records": records })).await;
    let answer = answer.expect("an answer");
    let failures = answer["batchItemFailures"].as_array().expect("a list");
    assert!(!failures.is_empty() && failures.len() < DELIVERIES);
    stage.assert_jobs(DELIVERIES - failures.len()).await;
    for failure in failures {
        let identifier = failure["itemIdentifier"].as_str().expect("an id");
        let message = message(identifier.parse().expect("a number"));
        let answer = invoke(&function, &json!({ "Records": [message] })).await;
        assert_eq!(answer.expect("an answer")["batchItemFailures"], json!([]));
    }
    stage.assert_jobs(DELIVERIES).await;
}

#[tokio::test]
async fn overloaded_event_fails_its_invocation() {
    let stage = Stage::new().await;
    let function = Function::new(stage.app.clone(), None);
    let events: Vec<Value> = (0..DELIVERIES).map(event).collect();
    let answers = join_all(events.iter().map(|event| invoke(&function, event))).await;
    let mut refused = Vec::new();
    for (answer, event) in answers.iter().zip(&events) {
        if let Err(error) = answer {
            assert_eq!(error.error_type, "overloaded");
            refused.push(event);
        }
    }
    assert!(!refused.is_empty(), "all were accepted");
    stage.assert_jobs(DELIVERIES - refused.len()).await;
    for event in refused {
        invoke(&function, event).await.expect("accepted");
    }
    stage.assert_jobs(DELIVERIES).await;
}
