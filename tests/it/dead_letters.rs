//! Dead letters: what is stored of a delivery, and what a replay does with it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use masshook::app::operations::discard_delivery;
use masshook::app::{App, HookResponse, PreviewOutcome};
use masshook::clock::Clock;
use masshook::inbound::InboundRequest;
use masshook::inbound::rejection::Rejection;
use masshook::job::{CallEvent, CallbackStatus, Job, JobId, PreparationOutcome};
use masshook::store::delivery::{DeadLetterSummary, StoredDelivery};
use masshook::store::sqlite::SqliteStore;
use masshook::store::{Claim, JobFilter, Lease, PageRequest, Store};
use serde_json::{Value, json};

use crate::harness::{Harness, SENDER_SECRET, World};

/// Routes whose senders send the secret itself.
const ROUTES: &str = r#"
  header:
    verify: { scheme: zoho-crm-workflow, secret: secretsmanager:sender }
    map: '{module: "Leads", fields: {Rating: "Active"}, ids: .ids, reference: {headers: $headers, query: $query}}'
  query:
    verify: { scheme: token, secret: secretsmanager:sender }
    map: '{module: "Leads", fields: {Rating: "Active"}, ids: .ids, reference: {headers: $headers, query: $query}}'
  signed:
    verify:
      scheme: custom
      secret: secretsmanager:sender
      type: hmac
      algorithm: sha256
      signature: { query: sig, encoding: hex }
      signed: "{body}"
    map: '{module: "Leads", fields: {Rating: "Active"}, ids: .ids, reference: {query: $query}}'
  open:
    verify: { scheme: none }
    delivery_id: .event
    map: '.updates[] | {module: "Leads", fields: {Rating: "Active"}, ids: .ids}'
    callback_url: https://example.com/zoho
"#;

/// A store, and a masshook over it.
struct Fixture {
    world: World,
    store: Arc<dyn Store>,
    app: App,
}

impl Fixture {
    async fn new() -> Self {
        let world = Harness::new().routes(ROUTES).start().await;
        let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory());
        let app = world.worker(&store);
        Self { world, store, app }
    }

    /// Makes another masshook over the same store, with a changed config.
    async fn configured(&self, config: impl FnOnce(String) -> String + Send) -> App {
        let world = Harness::new()
            .config(|text| config(text + ROUTES))
            .start()
            .await;
        world.worker(&self.store)
    }

    async fn listed(&self) -> Vec<DeadLetterSummary> {
        self.store.dead_letters(100).await.expect("a list")
    }

    /// Delivers what cannot be mapped, and returns its dead letter.
    async fn refused_delivery(&self) -> StoredDelivery {
        let body = json!({"event": "e1", "updates": [{"ids": ["none"]}]});
        let refused = self.app.deliver(arrival("open", &body), None).await;
        assert!(refused.is_err(), "{refused:?}");
        let dead_letter = self.listed().await.remove(0);
        self.kept(&dead_letter.id).await.expect("kept")
    }

    async fn kept(&self, id: &str) -> Option<StoredDelivery> {
        self.store.delivery(id).await.expect("read")
    }

    async fn claim(&self, id: &JobId) -> (Box<Job>, Lease) {
        let now = self.world.clock.now();
        let until = now + Duration::from_secs(60);
        match self.store.claim(id, now, until).await {
            Ok(Claim::Acquired(job, lease)) => (job, lease),
            other => panic!("job {id} is free, but: {other:?}"),
        }
    }

    /// Finishes a job with success and this status of its callback.
    async fn end(&self, id: &JobId, reported: CallbackStatus) {
        let (now, (mut job, lease)) = (self.world.clock.now(), self.claim(id).await);
        job.record_preparation(PreparationOutcome::UNCHANGED.into(), 0, now)
            .expect("allowed");
        job.apply(1, CallEvent::Settled(Vec::new()), now)
            .expect("allowed");
        job.callback.as_mut().expect("a callback").status = reported;
        let due = job.due(now);
        let released = self.store.release(&job, lease, due);
        released.await.expect("released");
    }
}

fn arrival(route: &str, body: &Value) -> InboundRequest {
    let json = [(
        HeaderName::from_static("content-type"),
        HeaderValue::from_static("application/json"),
    )];
    let headers: HeaderMap = json.into_iter().collect();
    InboundRequest::post(route.to_owned(), headers, Bytes::from(body.to_string()))
}

async fn accepted(app: &App, arrival: InboundRequest) -> Vec<Job> {
    match app.deliver(arrival, None).await.expect("taken in") {
        HookResponse::Delivery { accepted, .. } => accepted.jobs().to_vec(),
        HookResponse::Handshake(handshake) => panic!("{handshake:?}"),
    }
}

/// A secret in the request is neither stored nor shown to a mapping, and does not affect the delivery id.
#[tokio::test]
async fn secret_in_request_is_stripped_before_storing() {
    let fixture = Fixture::new().await;
    let sent = |route: &str, ids: Value| {
        let mut sent = arrival(route, &json!({"ids": ids}));
        let secret = HeaderValue::from_static(SENDER_SECRET);
        let gateway = HeaderValue::from_static("key-of-the-gateway");
        sent.headers
            .insert("x-other", HeaderValue::from_static("seen"));
        sent.headers.insert("x-api-key", gateway);
        sent.query = "other=seen%26".to_owned();
        match route {
            "header" => {
                sent.headers.insert("x-zwf-token", secret);
            }
            _ => sent.query = format!("a=1&token={SENDER_SECRET}&{}", sent.query),
        }
        sent
    };
    for route in ["header", "query"] {
        let refused = fixture.app.deliver(sent(route, json!("none")), None).await;
        assert!(refused.is_err(), "{route}: {refused:?}");
        let dead_letter = fixture.listed().await.remove(0);
        assert_eq!(dead_letter.route, route);
        let kept = fixture.kept(&dead_letter.id).await.expect("kept");
        let shown = format!("{:?} {:?}", kept.headers, kept.query);
        assert!(
            shown.contains("x-other") && shown.contains("seen&"),
            "{shown}"
        );
        for secret in [SENDER_SECRET, "key-of-the-gateway"] {
            assert!(!shown.contains(secret), "{route}: {shown}");
        }

        let id = fixture.world.id("Leads", 0);
        let jobs = accepted(&fixture.app, sent(route, json!([id]))).await;
        let reference = jobs[0].request.reference.as_ref().expect("a reference");
        assert!(reference["query"]["other"] == "seen&", "{reference}");
        assert!(
            !reference.to_string().contains(SENDER_SECRET),
            "{reference}"
        );
        let mut bare = sent(route, json!([id]));
        bare.headers.remove("x-zwf-token");
        bare.query = bare.query.replace(&format!("token={SENDER_SECRET}&"), "");
        let outcome = fixture.app.preview_unverified(&bare).await;
        let Ok(PreviewOutcome::Delivery(bare)) = outcome else {
            panic!("{route}: {outcome:?}");
        };
        let same = JobId::derive(route, &bare.delivery_id, 1);
        assert_eq!(
            jobs[0].id, same,
            "{route}: another secret, the same delivery"
        );
    }
}

/// A signature in the query would let anybody who reads the store send the delivery again.
#[tokio::test]
async fn signature_in_query_is_not_stored() {
    let fixture = Fixture::new().await;
    let sent = |ids: Value| {
        let mut sent = arrival("signed", &json!({"ids": ids}));
        let key = SENDER_SECRET.as_bytes();
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, key);
        let signature = hex::encode(aws_lc_rs::hmac::sign(&key, &sent.body));
        sent.query = format!("a=1&sig={signature}");
        (sent, signature)
    };
    let (refused, signature) = sent(json!("none"));
    let refused = fixture.app.deliver(refused, None).await;
    assert!(refused.is_err(), "{refused:?}");
    let dead_letter = fixture.listed().await.remove(0);
    let kept = fixture.kept(&dead_letter.id).await.expect("kept");
    assert_eq!(format!("{:?}", kept.query), r#"{"a": "1"}"#);
    assert!(!format!("{:?}", kept.headers).contains(&signature));

    let (taken, signature) = sent(json!([fixture.world.id("Leads", 0)]));
    let jobs = accepted(&fixture.app, taken).await;
    let reference = jobs[0].request.reference.as_ref().expect("a reference");
    assert_eq!(reference["query"], json!({"a": "1"}), "{signature}");
    let source = jobs[0].source.as_ref().expect("a source");
    let kept = fixture.kept(&source.delivery).await.expect("kept");
    assert!(!format!("{:?}", kept.query).contains(&signature));
}

/// Stores limit the size of an item, so the reason is cut.
#[tokio::test]
async fn dead_letter_reason_is_short() {
    let fixture = Fixture::new().await;
    let updates = vec![json!({"ids": vec!["none"; 20]}); 99];
    let refused = fixture
        .app
        .deliver(arrival("open", &json!({"updates": updates})), None)
        .await;
    assert!(refused.is_err(), "{refused:?}");
    let dead_letter = fixture.listed().await.remove(0);
    let reason = dead_letter.dead_letter.reason;
    assert!(reason.contains("/ids/0"), "{reason}");
    assert!(!reason.contains('{'), "text, no JSON: {reason}");
    assert!(reason.len() < 5_000, "{} bytes", reason.len());
}

/// The sender of a rejected delivery sends it again after the route is fixed. The job belongs to the second delivery,
/// and the dead letter stays until that job has finished.
#[tokio::test]
async fn dead_letter_stays_until_job_of_resend_finishes() {
    let fixture = Fixture::new().await;
    let id = fixture.world.id("Leads", 0);
    let body = json!({"event": "e1", "updates": [{"ids": [id]}]});
    let broken = fixture
        .configured(|text| {
            text.replace(
                "{module: \"Leads\", fields: {Rating: \"Active\"}, ids: .ids}",
                "1",
            )
        })
        .await;
    let refused = broken.deliver(arrival("open", &body), None).await;
    assert!(refused.is_err(), "{refused:?}");
    let dead_letter = fixture.listed().await.remove(0);
    let jobs = accepted(&fixture.app, arrival("open", &body)).await;
    let kept = fixture.kept(&dead_letter.id).await.expect("kept");

    let replayed = fixture.app.replay(&kept).await.expect("replayed");
    assert_eq!(replayed.jobs(), jobs);
    assert_eq!(fixture.listed().await, std::slice::from_ref(&dead_letter));

    fixture.end(&jobs[0].id, CallbackStatus::Delivered).await;
    fixture.app.replay(&kept).await.expect("replayed");
    assert_eq!(fixture.listed().await, []);
    assert!(fixture.kept(&dead_letter.id).await.is_none());
}

/// The job was parked after it had finished, with a pending callback.
#[tokio::test]
async fn replay_resumes_job_parked_after_its_end() {
    let fixture = Fixture::new().await;
    let id = fixture.world.id("Leads", 0);
    let body = json!({"event": "e1", "updates": [{"ids": [id]}]});
    let job = accepted(&fixture.app, arrival("open", &body))
        .await
        .remove(0);
    fixture.end(&job.id, CallbackStatus::Pending).await;
    let parked = fixture.store.park(&job.id, "no connection").await;
    parked.expect("parked");
    let dead_letter = fixture.listed().await.remove(0);
    let kept = fixture.kept(&dead_letter.id).await.expect("kept");

    let replayed = fixture.app.replay(&kept).await.expect("replayed");
    assert_eq!(replayed.jobs()[0].id, job.id);
    assert_eq!(fixture.listed().await, []);
    fixture.claim(&job.id).await;
}

/// It was discarded after the replay had read it.
#[tokio::test]
async fn replay_of_discarded_dead_letter_is_refused() {
    let fixture = Fixture::new().await;
    let kept = fixture.refused_delivery().await;
    let discarded = discard_delivery(&*fixture.store, &kept.id).await;
    discarded.expect("discarded");

    let fixed = fixture
        .configured(|text| text.replace("ids: .ids}", "ids: [\"12\"]}"))
        .await;
    let replayed = fixed.replay(&kept).await;
    assert!(
        matches!(replayed, Err(Rejection::NotPossible(_))),
        "{replayed:?}"
    );
    let (filter, page) = (JobFilter::default(), PageRequest::first(9));
    let jobs = fixture.store.list(&filter, &page).await;
    assert_eq!(jobs.expect("a list").entries, []);
}

/// A replay that a new config ignores must not delete the dead letter.
#[tokio::test]
async fn replay_without_updates_keeps_the_dead_letter() {
    let fixture = Fixture::new().await;
    let kept = fixture.refused_delivery().await;
    let dead_letter = fixture.listed().await.remove(0);
    let picky = fixture
        .configured(|text| {
            text.replace(
                "delivery_id: .event\n    map: '.updates[] |",
                "when: .event == \"e2\"\n    map: '.updates[] |",
            )
        })
        .await;
    let replayed = picky.replay(&kept).await.expect("replayed");
    assert_eq!(replayed.jobs(), []);
    assert_eq!(fixture.listed().await, [dead_letter]);
}
