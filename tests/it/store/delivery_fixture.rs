//! Deliveries for the tests of stores.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, HeaderValue};
use bytes::Bytes;
use masshook::job::{CallEvent, CallbackStatus, DeadLetterReason, Job, JobId, JobSource};
use masshook::store::delivery::{DeadLetterSummary, StoredDelivery};
use masshook::store::{AddResult, Lease};
use masshook::trigger::{Origin, Trigger};

use super::fixture::Fixture;

/// Bytes that cannot be compressed.
pub(super) fn noise(size: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(7);
    (0..size).map(|_| random.u8(..)).collect()
}

/// A reason with this code.
pub(super) fn dead_letter_reason(
    fixture: &Fixture,
    code: &str,
    job: Option<&JobId>,
) -> Option<DeadLetterReason> {
    Some(DeadLetterReason {
        code: code.to_owned(),
        reason: "`module` is missing".to_owned(),
        job: job.cloned(),
        since: fixture.now(),
    })
}

/// The summary of a dead letter.
pub(super) fn summary(stored: &StoredDelivery) -> DeadLetterSummary {
    DeadLetterSummary {
        id: stored.id.clone(),
        route: stored.route.clone(),
        at: stored.at,
        dead_letter: stored.dead_letter.clone().expect("a dead letter"),
        body_bytes: stored.body.len() as u64,
    }
}

/// A dead letter with repeated and binary headers.
pub(super) fn delivery(fixture: &Fixture, id: &str, body: Vec<u8>) -> StoredDelivery {
    let mut headers = HeaderMap::new();
    headers.append("x-twice", HeaderValue::from_static("one"));
    headers.append("x-twice", HeaderValue::from_static("two"));
    headers.insert(
        "x-bytes",
        HeaderValue::from_bytes(b"\xff\xe9 caf\xc3\xa9").expect("a value"),
    );
    headers.insert("x-signature", HeaderValue::from_static("top-secret"));
    StoredDelivery {
        id: id.to_owned(),
        route: "form".to_owned(),
        at: fixture.now(),
        dead_letter: dead_letter_reason(fixture, "UNMAPPABLE", None),
        headers,
        query: BTreeMap::from([("q".to_owned(), "é&=".to_owned())]),
        body: Bytes::from(body),
        origin: Origin {
            attributes: [("source".to_owned(), "t\u{e4}lly\n".to_owned())].into(),
            ..Origin::of(Trigger::Sns).with("id", Some("m1"))
        },
    }
}

/// Adds a job with its delivery.
pub(super) async fn add_with_delivery(
    fixture: &Fixture,
    name: &str,
    shared: bool,
    body: Vec<u8>,
) -> (Job, StoredDelivery) {
    let stored = StoredDelivery {
        dead_letter: None,
        ..delivery(fixture, &StoredDelivery::id_of("form", name), body)
    };
    let source = JobSource {
        delivery: stored.id.clone(),
        shared,
    };
    let job = fixture.job(name).with_source(Some(source));
    let added = fixture.store.add(&job, Some(&stored)).await;
    assert_eq!(added.expect("added"), AddResult::New);
    (job, stored)
}

/// Finishes a job without releasing it. Returns its lease.
pub(super) async fn finish(
    fixture: &Fixture,
    job: &mut Job,
    event: CallEvent,
    callback_status: CallbackStatus,
) -> Lease {
    let (_, lease) = fixture.claim(&job.id).await;
    job.apply(1, event, fixture.now()).expect("allowed");
    let callback = job.callback.as_mut().expect("a callback");
    callback.status = callback_status;
    callback.error =
        (callback_status == CallbackStatus::Undeliverable).then(|| "410 Gone".to_owned());
    assert_eq!(job.due(fixture.now()), None);
    lease
}

/// Finishes and releases a job that succeeds.
pub(super) async fn succeed(fixture: &Fixture, job: &mut Job) {
    let lease = finish(
        fixture,
        job,
        CallEvent::Settled(Vec::new()),
        CallbackStatus::Delivered,
    )
    .await;
    fixture
        .store
        .release(job, lease, None)
        .await
        .expect("released");
}

/// Lists all dead letters.
pub(super) async fn listed(fixture: &Fixture) -> Vec<DeadLetterSummary> {
    fixture.store.dead_letters(100).await.expect("a list")
}

/// Reads a delivery.
pub(super) async fn read(fixture: &Fixture, id: &str) -> Option<StoredDelivery> {
    fixture.store.delivery(id).await.expect("read")
}
