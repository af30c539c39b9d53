//! Panics: a defect concerns one request or one attempt, and nothing else.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::to_bytes;
use masshook::api::router;
use masshook::job::{CallbackStatus, JobId};
use masshook::store::Store;
use masshook::store::sqlite::SqliteStore;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::harness::{Answer, Harness, Request, SENDER_SECRET, World, durable, enqueue};

async fn send(router: &Router, request: Request) -> Answer {
    let Ok(response) = router.clone().oneshot(request.into_http()).await;
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.expect("a body");
    let text = String::from_utf8(body.into()).expect("text");
    Answer::new(parts.status.as_u16(), parts.headers, text)
}

fn update(world: &World, callback: Option<String>) -> Value {
    json!({
        "module": "Leads", "fields": {"Rating": "Active"}, "ids": [world.id("Leads", 1)],
        "callback_url": callback,
    })
}

#[tokio::test]
async fn panic_in_a_handler_is_answered_with_500() {
    let world = Harness::new().start().await;
    let delivery = json!({"kind": "form", "event": "e1", "ids": [world.id("Leads", 1)]});
    let hook = || {
        let request = Request::json("/hooks/form", delivery.to_string());
        request.signed("typeform", SENDER_SECRET, world.now())
    };
    let job = || Request::post("/jobs", update(&world, None).to_string()).authorized();
    let requests: [(&str, &dyn Fn() -> Request); 4] = [
        ("sender", &hook),
        ("zoho", &hook),
        ("api-key", &job),
        ("zoho", &job),
    ];
    for (secret, request) in requests {
        for mode in [masshook::engine::ExecutionMode::Inline, durable()] {
            if secret == "zoho" && !matches!(mode, masshook::engine::ExecutionMode::Inline) {
                continue;
            }
            let app = world.app_with_panic(Arc::new(SqliteStore::in_memory()), mode, secret);
            let router = router(Arc::new(app));
            let answer = send(&router, request()).await;
            answer.assert_problem(500, "defect");
            let health = send(&router, Request::new("GET", "/health")).await;
            assert_eq!(health.status, 200, "{health:?}");
        }
    }
}

async fn status(store: &Arc<dyn Store>, id: &JobId) -> CallbackStatus {
    let job = store.get(id).await.expect("read").expect("a job");
    job.callback.expect("a callback").status
}

/// The other callbacks of the turn are sent, and the job with the panic goes on once its lease has expired.
#[tokio::test]
async fn panic_in_a_callback_concerns_one_job() {
    for is_sweep in [false, true] {
        let world = Harness::new().start().await;
        let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory());
        let app = world.app_with_panic(store.clone(), durable(), "callback");
        let mut ids = Vec::new();
        for _ in 0..20 {
            let callback = Some(world.receiver.url("/callback"));
            ids.push(enqueue(&app, &update(&world, callback)).await);
        }
        let run = async || match is_sweep {
            true => app.sweep(None).await.expect("a turn"),
            false => app.run_turn(&ids, None).await.expect("a turn"),
        };
        run().await;
        let mut pending = 0;
        for id in &ids {
            pending += usize::from(status(&store, id).await == CallbackStatus::Pending);
        }
        assert_eq!(pending, 1, "sweep: {is_sweep}");
        run().await;
        assert_eq!(world.receiver.all().len(), 19, "it is leased");
        world.clock.advance(Duration::from_secs(3_600));
        run().await;
        for id in &ids {
            assert_eq!(status(&store, id).await, CallbackStatus::Delivered);
        }
        assert_eq!(world.receiver.all().len(), 20);
    }
}
