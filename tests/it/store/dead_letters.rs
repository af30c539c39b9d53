//! What every store guarantees about dead letters.

use std::time::Duration;

use masshook::job::{CallEvent, CallbackStatus, DeadLetterReason, Refusal};
use masshook::store::delivery::StoredDelivery;
use masshook::store::{AddResult, StoreError};

use super::delivery_fixture::{
    add_with_delivery, dead_letter_reason, delivery, finish, listed, noise, read, succeed, summary,
};
use super::fixture::{Fixture, RETENTION};

pub(super) async fn dead_letters_are_listed_and_deleted(fixture: &Fixture) {
    let mut expected = Vec::new();
    for number in 0..12_u8 {
        let stored = delivery(fixture, &number.to_string(), vec![number; 3]);
        fixture.store.put_delivery(&stored).await.expect("stored");
        expected.insert(0, summary(&stored));
        fixture.clock.advance(Duration::from_secs(1));
    }
    assert_eq!(
        fixture.store.dead_letters(100).await.expect("a list"),
        expected
    );
    assert_eq!(
        fixture.store.dead_letters(5).await.expect("a list"),
        expected[..5]
    );

    let count = fixture.store.count_dead_letters().await;
    assert_eq!(count.expect("a count"), 12);

    // The same delivery fails again, for another reason.
    let large = StoredDelivery {
        dead_letter: dead_letter_reason(fixture, "DRIVE", None),
        ..delivery(fixture, "11", noise(500_000))
    };
    fixture.store.put_delivery(&large).await.expect("stored");
    let small = StoredDelivery {
        dead_letter: dead_letter_reason(fixture, "AGAIN", None),
        ..delivery(fixture, "11", vec![7; 5])
    };
    fixture.store.put_delivery(&small).await.expect("stored");
    assert!(fixture.store.delivery("11").await.expect("read") == Some(small));
    assert_eq!(
        fixture.store.dead_letters(100).await.expect("a list").len(),
        12
    );

    assert!(
        fixture
            .store
            .delete_delivery("11", None)
            .await
            .expect("deleted")
    );
    assert!(
        !fixture
            .store
            .delete_delivery("11", None)
            .await
            .expect("an answer")
    );
    assert!(fixture.store.delivery("11").await.expect("read").is_none());
    assert_eq!(
        fixture.store.dead_letters(100).await.expect("a list"),
        expected[1..]
    );
    fixture.advance(RETENTION.as_secs());
    assert_eq!(fixture.store.dead_letters(100).await.expect("a list"), []);
    assert!(fixture.store.delivery("3").await.expect("read").is_none());
}

pub(super) async fn failed_job_makes_delivery_a_dead_letter(fixture: &Fixture) {
    let refusal = || Refusal {
        code: "INVALID_DATA".to_owned(),
        message: "no such field".to_owned(),
        advice: None,
    };
    let cases = [
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
    // A store may treat small deliveries differently.
    let cases = cases
        .iter()
        .flat_map(|case| [9, 300_000].map(|size| (case.clone(), size)));
    for ((code, reason, event, callback_status), size) in cases {
        let name = format!("{reason} of {size}");
        let (mut job, stored) = add_with_delivery(fixture, &name, false, noise(size)).await;
        fixture.advance(5);
        let lease = finish(fixture, &mut job, event, callback_status).await;
        fixture
            .store
            .release(&job, lease, None)
            .await
            .expect("released");
        let dead = Some(DeadLetterReason {
            code: code.to_owned(),
            reason: reason.to_owned(),
            job: Some(job.id.clone()),
            since: fixture.now(),
        });
        let stored = StoredDelivery {
            dead_letter: dead,
            ..stored
        };
        assert!(read(fixture, &stored.id).await.as_ref() == Some(&stored));
        // A redelivery finds the finished job.
        let added = fixture.store.add(&job, Some(&stored)).await;
        assert_eq!(added.expect("an answer"), AddResult::Existing);
        expected.insert(0, summary(&stored));
    }
    assert_eq!(listed(fixture).await, expected);
    fixture.advance(RETENTION.as_secs());
    assert_eq!(listed(fixture).await, []);
    for dead in &expected {
        assert_eq!(read(fixture, &dead.id).await, None);
    }
}

pub(super) async fn parked_job_makes_dead_letter_until_unparked(fixture: &Fixture) {
    for size in [9, 300_000] {
        let (mut job, stored) =
            add_with_delivery(fixture, &format!("of {size}"), false, noise(size)).await;
        fixture
            .store
            .park(&job.id, "unexpected state")
            .await
            .expect("parked");
        let dead = Some(DeadLetterReason::for_parked_job(
            &job.id,
            "unexpected state",
            fixture.now(),
        ));
        let dead = StoredDelivery {
            dead_letter: dead,
            ..stored.clone()
        };
        assert_eq!(listed(fixture).await, [summary(&dead)]);
        // A parked job does not expire.
        fixture.advance(20 * RETENTION.as_secs());
        assert!(read(fixture, &stored.id).await == Some(dead));
        let unparked = fixture.store.unpark(&job.id, fixture.now()).await;
        assert!(unparked.expect("an answer"));
        assert_eq!(listed(fixture).await, []);
        assert!(read(fixture, &stored.id).await == Some(stored.clone()));
        succeed(fixture, &mut job).await;
        assert_eq!(read(fixture, &stored.id).await, None);
    }
}

pub(super) async fn only_one_of_discard_and_restore_wins(fixture: &Fixture) {
    let store = &fixture.store;
    for size in [9, 300_000] {
        let stored = delivery(fixture, &format!("of {size}"), noise(size));
        store.put_delivery(&stored).await.expect("stored");
        let since = fixture.now();
        let delete = |since| store.delete_delivery(&stored.id, Some(since));
        let other = since - Duration::from_secs(1);
        assert!(!delete(other).await.expect("an answer"), "another moment");
        assert_eq!(listed(fixture).await, [summary(&stored)]);

        store.restore(&stored.id, since).await.expect("restored");
        assert!(!delete(since).await.expect("an answer"), "in progress");
        assert!(read(fixture, &stored.id).await.is_some());

        store.put_delivery(&stored).await.expect("stored");
        assert!(delete(since).await.expect("deleted"));
        assert!(!delete(since).await.expect("an answer"), "absent");
        store.restore(&stored.id, since).await.expect("an answer");
        assert_eq!(read(fixture, &stored.id).await, None);
    }
}

pub(super) async fn restore_skips_newer_dead_letter(fixture: &Fixture) {
    let stored = delivery(fixture, "0", noise(300_000));
    fixture.store.put_delivery(&stored).await.expect("stored");
    let since = fixture.now();
    let later = since + Duration::from_secs(1);
    fixture
        .store
        .restore(&stored.id, later)
        .await
        .expect("an answer");
    fixture
        .store
        .restore("absent", since)
        .await
        .expect("an answer");
    assert_eq!(
        listed(fixture).await,
        [summary(&stored)],
        "a newer dead letter stays"
    );
    fixture
        .store
        .restore(&stored.id, since)
        .await
        .expect("restored");
    assert_eq!(listed(fixture).await, []);
    let restored = StoredDelivery {
        dead_letter: None,
        ..stored
    };
    // A delivery in progress is stored for longer than a dead letter.
    fixture.advance(RETENTION.as_secs() + 1);
    assert!(read(fixture, &restored.id).await == Some(restored));
}

/// A driver with a stale lease has seen the job fail; another driver has finished it successfully.
pub(super) async fn stale_release_makes_no_dead_letter(fixture: &Fixture) {
    let (mut job, stored) = add_with_delivery(fixture, "0", true, noise(9)).await;
    let mut late = job.clone();
    let undeliverable = CallbackStatus::Undeliverable;
    let stale = finish(
        fixture,
        &mut late,
        CallEvent::Settled(Vec::new()),
        undeliverable,
    )
    .await;
    fixture.advance(61);
    succeed(fixture, &mut job).await;
    let released = fixture.store.release(&late, stale, None).await;
    assert!(
        matches!(released, Err(StoreError::LeaseLost(_))),
        "{released:?}"
    );
    assert_eq!(listed(fixture).await, []);
    assert!(read(fixture, &stored.id).await == Some(stored));
}
