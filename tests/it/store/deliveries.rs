//! Deliveries: kept while their jobs are under way, then forgotten or dead.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue};
use bytes::Bytes;
use masshook::job::DeadLetterReason;
use masshook::job::{CallEvent, CallbackStatus, Job, JobId, JobSource, Refusal};
use masshook::store::delivery::{DeadLetterSummary, StoredDelivery};
use masshook::store::{AddResult, Lease, StoreError};
use masshook::trigger::{Origin, Trigger};

use super::bench::{Bench, RETENTION};

/// Bytes that cannot be made smaller.
fn noise(size: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(7);
    (0..size).map(|_| random.u8(..)).collect()
}

fn death(bench: &Bench, code: &str, job: Option<&JobId>) -> Option<DeadLetterReason> {
    Some(DeadLetterReason {
        code: code.to_owned(),
        reason: "`module` is missing".to_owned(),
        job: job.cloned(),
        since: bench.now(),
    })
}

fn summary(kept: &StoredDelivery) -> DeadLetterSummary {
    DeadLetterSummary {
        id: kept.id.clone(),
        route: kept.route.clone(),
        at: kept.at,
        dead_letter: kept.dead_letter.clone().expect("it is dead"),
        body_bytes: kept.body.len() as u64,
    }
}

fn delivery(bench: &Bench, id: &str, body: Vec<u8>) -> StoredDelivery {
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
        at: bench.now(),
        dead_letter: death(bench, "UNMAPPABLE", None),
        headers,
        query: BTreeMap::from([("q".to_owned(), "é&=".to_owned())]),
        body: Bytes::from(body),
        origin: Origin {
            attributes: [("source".to_owned(), "t\u{e4}lly\n".to_owned())].into(),
            ..Origin::of(Trigger::Sns).with("id", Some("m1"))
        },
    }
}

pub(super) async fn delivery_is_stored_byte_for_byte(bench: &Bench) {
    for size in [0, 9, 1_000_000] {
        let kept = delivery(bench, &format!("of {size}"), noise(size));
        bench.store.put_delivery(&kept).await.expect("kept");
        let read = bench.store.delivery(&kept.id).await.expect("read");
        assert!(read.as_ref() == Some(&kept), "{read:?}");
        assert!(!format!("{read:?}").contains("top-secret"));
    }
    assert!(
        bench
            .store
            .delivery("absent")
            .await
            .expect("read")
            .is_none()
    );
}

/// A message of a queue has room for a large body beside large attributes.
pub(super) async fn delivery_with_large_attributes_is_stored(bench: &Bench) {
    let mut kept = delivery(bench, "0", noise(190_000));
    let large: String = noise(280_000)
        .iter()
        .map(|byte| char::from(32 + byte % 95))
        .collect();
    kept.origin.attributes.insert("large".to_owned(), large);
    bench.store.put_delivery(&kept).await.expect("kept");
    assert!(read(bench, "0").await == Some(kept));
}

pub(super) async fn dead_letters_are_listed_and_deleted(bench: &Bench) {
    let mut expected = Vec::new();
    for number in 0..12_u8 {
        let kept = delivery(bench, &number.to_string(), vec![number; 3]);
        bench.store.put_delivery(&kept).await.expect("kept");
        expected.insert(0, summary(&kept));
        bench.clock.advance(Duration::from_secs(1));
    }
    assert_eq!(
        bench.store.dead_letters(100).await.expect("a list"),
        expected
    );
    assert_eq!(
        bench.store.dead_letters(5).await.expect("a list"),
        expected[..5]
    );

    // The same delivery fails again, for another reason.
    let large = StoredDelivery {
        dead_letter: death(bench, "DRIVE", None),
        ..delivery(bench, "11", noise(500_000))
    };
    bench.store.put_delivery(&large).await.expect("kept");
    let small = StoredDelivery {
        dead_letter: death(bench, "AGAIN", None),
        ..delivery(bench, "11", vec![7; 5])
    };
    bench.store.put_delivery(&small).await.expect("kept");
    assert!(bench.store.delivery("11").await.expect("read") == Some(small));
    assert_eq!(
        bench.store.dead_letters(100).await.expect("a list").len(),
        12
    );

    assert!(bench.store.delete_delivery("11").await.expect("forgotten"));
    assert!(!bench.store.delete_delivery("11").await.expect("an answer"));
    assert!(bench.store.delivery("11").await.expect("read").is_none());
    assert_eq!(
        bench.store.dead_letters(100).await.expect("a list"),
        expected[1..]
    );
    bench.pass(RETENTION.as_secs());
    assert_eq!(bench.store.dead_letters(100).await.expect("a list"), []);
    assert!(bench.store.delivery("3").await.expect("read").is_none());
}

/// A job that has just been added with its delivery.
async fn come(bench: &Bench, name: &str, shared: bool, body: Vec<u8>) -> (Job, StoredDelivery) {
    let kept = StoredDelivery {
        dead_letter: None,
        ..delivery(bench, name, body)
    };
    let source = JobSource {
        delivery: kept.id.clone(),
        shared,
    };
    let job = bench.job(name).with_source(Some(source));
    let added = bench.store.add(&job, Some(&kept)).await;
    assert_eq!(added.expect("added"), AddResult::New);
    (job, kept)
}

/// Drives a job to its end, and tells what becomes of its lease.
async fn end(bench: &Bench, job: &mut Job, event: CallEvent, told: CallbackStatus) -> Lease {
    let (_, lease) = bench.claim(&job.id).await;
    job.apply(1, event, bench.now()).expect("allowed");
    let callback = job.callback.as_mut().expect("a callback");
    callback.status = told;
    callback.error = (told == CallbackStatus::Undeliverable).then(|| "410 Gone".to_owned());
    assert_eq!(job.due(bench.now()), None);
    lease
}

async fn end_well(bench: &Bench, job: &mut Job) {
    let lease = end(
        bench,
        job,
        CallEvent::Settled(Vec::new()),
        CallbackStatus::Delivered,
    )
    .await;
    bench
        .store
        .release(job, lease, None)
        .await
        .expect("released");
}

async fn listed(bench: &Bench) -> Vec<DeadLetterSummary> {
    bench.store.dead_letters(100).await.expect("a list")
}

async fn read(bench: &Bench, id: &str) -> Option<StoredDelivery> {
    bench.store.delivery(id).await.expect("read")
}

pub(super) async fn delivery_is_deleted_when_job_succeeds(bench: &Bench) {
    for size in [9, 1_000_000] {
        let (mut job, kept) = come(bench, &format!("of {size}"), false, noise(size)).await;
        assert_eq!(
            bench.store.get(&job.id).await.expect("read"),
            Some(job.clone())
        );
        assert!(read(bench, &kept.id).await == Some(kept.clone()));
        // It comes once more, and somebody drives the job for a while.
        let again = StoredDelivery {
            route: "other".to_owned(),
            ..kept.clone()
        };
        let added = bench.store.add(&job, Some(&again)).await;
        assert_eq!(added.expect("an answer"), AddResult::Existing);
        let (_, lease) = bench.claim(&job.id).await;
        let due = Some(bench.now());
        bench
            .store
            .release(&job, lease, due)
            .await
            .expect("released");
        assert!(read(bench, &kept.id).await == Some(kept.clone()));
        assert_eq!(listed(bench).await, [], "nothing is wrong with it");
        end_well(bench, &mut job).await;
        assert_eq!(read(bench, &kept.id).await, None);
    }
}

pub(super) async fn failed_job_makes_delivery_a_dead_letter(bench: &Bench) {
    let refusal = || Refusal {
        code: "INVALID_DATA".to_owned(),
        message: "no such field".to_owned(),
        advice: None,
    };
    let ways = [
        (
            "CALLBACK_UNDELIVERABLE",
            "its callback was given up: 410 Gone",
            CallEvent::Settled(Vec::new()),
            CallbackStatus::Undeliverable,
        ),
        (
            "JOB_FAILED",
            "INVALID_DATA: no such field",
            CallEvent::Refused(refusal()),
            CallbackStatus::Delivered,
        ),
        (
            "JOB_FAILED",
            "INVALID_DATA: no such field; its callback was given up: 410 Gone",
            CallEvent::Refused(refusal()),
            CallbackStatus::Undeliverable,
        ),
    ];
    let mut expected = Vec::new();
    for (number, (code, reason, event, told)) in ways.into_iter().enumerate() {
        let (mut job, kept) = come(bench, &number.to_string(), false, noise(300_000)).await;
        bench.pass(5);
        let lease = end(bench, &mut job, event, told).await;
        bench
            .store
            .release(&job, lease, None)
            .await
            .expect("released");
        let dead = Some(DeadLetterReason {
            code: code.to_owned(),
            reason: reason.to_owned(),
            job: Some(job.id.clone()),
            since: bench.now(),
        });
        let kept = StoredDelivery {
            dead_letter: dead,
            ..kept
        };
        assert!(read(bench, &kept.id).await.as_ref() == Some(&kept));
        // The sender tries again: it finds its job, which has ended.
        let added = bench.store.add(&job, Some(&kept)).await;
        assert_eq!(added.expect("an answer"), AddResult::Existing);
        expected.insert(0, summary(&kept));
    }
    assert_eq!(listed(bench).await, expected);
    bench.pass(RETENTION.as_secs());
    assert_eq!(listed(bench).await, []);
    assert_eq!(read(bench, "0").await, None);
}

pub(super) async fn parked_job_makes_dead_letter_until_unparked(bench: &Bench) {
    let (mut job, kept) = come(bench, "0", false, noise(300_000)).await;
    bench
        .store
        .park(&job.id, "a strange thing")
        .await
        .expect("parked");
    let dead = Some(DeadLetterReason::for_parked_job(
        &job.id,
        "a strange thing",
        bench.now(),
    ));
    let dead = StoredDelivery {
        dead_letter: dead,
        ..kept.clone()
    };
    assert_eq!(listed(bench).await, [summary(&dead)]);
    // However long nobody looks.
    bench.pass(20 * RETENTION.as_secs());
    assert!(read(bench, &kept.id).await == Some(dead));
    let unparked = bench.store.unpark(&job.id, bench.now()).await;
    assert!(unparked.expect("an answer"));
    assert_eq!(listed(bench).await, []);
    assert!(read(bench, &kept.id).await == Some(kept.clone()));
    end_well(bench, &mut job).await;
    assert_eq!(read(bench, &kept.id).await, None);
}

pub(super) async fn shared_delivery_outlives_first_job(bench: &Bench) {
    let (mut first, kept) = come(bench, "0", true, noise(9)).await;
    let mut second = bench.job("1").with_source(first.source.clone());
    bench.store.add(&second, None).await.expect("added");
    end_well(bench, &mut first).await;
    assert!(read(bench, &kept.id).await == Some(kept.clone()));
    let gone = CallbackStatus::Undeliverable;
    let lease = end(bench, &mut second, CallEvent::Settled(Vec::new()), gone).await;
    bench
        .store
        .release(&second, lease, None)
        .await
        .expect("released");
    let dead = listed(bench).await;
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].dead_letter.job, Some(second.id));
}

pub(super) async fn restore_skips_newer_dead_letter(bench: &Bench) {
    let kept = delivery(bench, "0", noise(300_000));
    bench.store.put_delivery(&kept).await.expect("kept");
    let since = bench.now();
    let later = since + Duration::from_secs(1);
    bench
        .store
        .restore(&kept.id, later)
        .await
        .expect("an answer");
    bench
        .store
        .restore("absent", since)
        .await
        .expect("an answer");
    assert_eq!(listed(bench).await, [summary(&kept)], "another death");
    bench.store.restore(&kept.id, since).await.expect("revived");
    assert_eq!(listed(bench).await, []);
    let alive = StoredDelivery {
        dead_letter: None,
        ..kept
    };
    // It is under way again, for longer than a dead letter is kept.
    bench.pass(RETENTION.as_secs() + 1);
    assert!(read(bench, &alive.id).await == Some(alive));
}

pub(super) async fn stale_release_deletes_no_delivery(bench: &Bench) {
    let (mut job, kept) = come(bench, "0", false, noise(9)).await;
    let delivered = CallbackStatus::Delivered;
    let stale = end(bench, &mut job, CallEvent::Settled(Vec::new()), delivered).await;
    bench.pass(61);
    bench.claim(&job.id).await;
    let released = bench.store.release(&job, stale, None).await;
    assert!(
        matches!(released, Err(StoreError::LeaseLost(_))),
        "{released:?}"
    );
    assert!(read(bench, &kept.id).await == Some(kept));
}

/// What is over need not be deleted yet when the same delivery comes again.
pub(super) async fn redelivery_after_expiry_is_stored_again(bench: &Bench) {
    let undeliverable = CallbackStatus::Undeliverable;
    for _ in 0..2 {
        let (mut job, kept) = come(bench, "0", false, noise(9)).await;
        assert_eq!(bench.due().await, [job.id.clone()]);
        assert!(read(bench, &kept.id).await == Some(kept));
        let lease = end(
            bench,
            &mut job,
            CallEvent::Settled(Vec::new()),
            undeliverable,
        )
        .await;
        let released = bench.store.release(&job, lease, None).await;
        released.expect("released");
        assert_eq!(listed(bench).await.len(), 1);
        bench.pass(RETENTION.as_secs());
    }
}

/// It thinks that the job ended badly, and another driver has seen it end well.
pub(super) async fn stale_release_makes_no_dead_letter(bench: &Bench) {
    let (mut job, kept) = come(bench, "0", true, noise(9)).await;
    let mut late = job.clone();
    let undeliverable = CallbackStatus::Undeliverable;
    let stale = end(
        bench,
        &mut late,
        CallEvent::Settled(Vec::new()),
        undeliverable,
    )
    .await;
    bench.pass(61);
    end_well(bench, &mut job).await;
    let released = bench.store.release(&late, stale, None).await;
    assert!(
        matches!(released, Err(StoreError::LeaseLost(_))),
        "{released:?}"
    );
    assert_eq!(listed(bench).await, []);
    assert!(read(bench, &kept.id).await == Some(kept));
}
