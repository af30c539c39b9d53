//! What every store guarantees about deliveries.

use masshook::job::{CallEvent, CallbackStatus};
use masshook::store::delivery::StoredDelivery;
use masshook::store::{AddResult, StoreError};

use super::delivery_fixture::{
    add_with_delivery, delivery, finish, listed, noise, read, succeed, summary,
};
use super::fixture::{Fixture, RETENTION};

pub(super) async fn delivery_is_stored_byte_for_byte(fixture: &Fixture) {
    for size in [0, 9, 1_000_000] {
        let stored = delivery(fixture, &format!("of {size}"), noise(size));
        fixture.store.put_delivery(&stored).await.expect("stored");
        let read = fixture.store.delivery(&stored.id).await.expect("read");
        assert!(read.as_ref() == Some(&stored), "{read:?}");
        assert!(!format!("{read:?}").contains("top-secret"));
    }
    assert!(
        fixture
            .store
            .delivery("absent")
            .await
            .expect("read")
            .is_none()
    );
}

/// An SQS message may have a large body and large attributes.
pub(super) async fn delivery_with_large_attributes_is_stored(fixture: &Fixture) {
    let mut stored = delivery(fixture, "0", noise(190_000));
    let large: String = noise(280_000)
        .iter()
        .map(|byte| char::from(32 + byte % 95))
        .collect();
    stored.origin.attributes.insert("large".to_owned(), large);
    fixture.store.put_delivery(&stored).await.expect("stored");
    assert!(read(fixture, "0").await == Some(stored));
}

pub(super) async fn delivery_is_deleted_when_job_succeeds(fixture: &Fixture) {
    for size in [9, 1_000_000] {
        let (mut job, stored) =
            add_with_delivery(fixture, &format!("of {size}"), false, noise(size)).await;
        assert_eq!(
            fixture.store.get(&job.id).await.expect("read"),
            Some(job.clone())
        );
        assert!(read(fixture, &stored.id).await == Some(stored.clone()));
        // The delivery is sent again, and a driver claims and releases the job.
        let again = StoredDelivery {
            route: "other".to_owned(),
            ..stored.clone()
        };
        let added = fixture.store.add(&job, Some(&again)).await;
        assert_eq!(added.expect("an answer"), AddResult::Existing);
        let (_, lease) = fixture.claim(&job.id).await;
        let due = Some(fixture.now());
        fixture
            .store
            .release(&job, lease, due)
            .await
            .expect("released");
        assert!(read(fixture, &stored.id).await == Some(stored.clone()));
        assert_eq!(listed(fixture).await, [], "it is not a dead letter");
        succeed(fixture, &mut job).await;
        assert_eq!(read(fixture, &stored.id).await, None);
    }
}

pub(super) async fn shared_delivery_outlives_first_job(fixture: &Fixture) {
    let (mut first, stored) = add_with_delivery(fixture, "0", true, noise(9)).await;
    let mut second = fixture.job("1").with_source(first.source.clone());
    fixture.store.add(&second, None).await.expect("added");
    succeed(fixture, &mut first).await;
    assert!(read(fixture, &stored.id).await == Some(stored.clone()));
    let undeliverable = CallbackStatus::Undeliverable;
    let lease = finish(
        fixture,
        &mut second,
        CallEvent::Settled(Vec::new()),
        undeliverable,
    )
    .await;
    fixture
        .store
        .release(&second, lease, None)
        .await
        .expect("released");
    let dead = listed(fixture).await;
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].dead_letter.job, Some(second.id));
}

pub(super) async fn stale_release_deletes_no_delivery(fixture: &Fixture) {
    let (mut job, stored) = add_with_delivery(fixture, "0", false, noise(9)).await;
    let delivered = CallbackStatus::Delivered;
    let stale = finish(fixture, &mut job, CallEvent::Settled(Vec::new()), delivered).await;
    fixture.advance(61);
    fixture.claim(&job.id).await;
    let released = fixture.store.release(&job, stale, None).await;
    assert!(
        matches!(released, Err(StoreError::LeaseLost(_))),
        "{released:?}"
    );
    assert!(read(fixture, &stored.id).await == Some(stored));
}

/// An expired delivery may still be in the store when it is sent again.
pub(super) async fn redelivery_after_expiry_is_stored_again(fixture: &Fixture) {
    let undeliverable = CallbackStatus::Undeliverable;
    for _ in 0..2 {
        let (mut job, stored) = add_with_delivery(fixture, "0", false, noise(9)).await;
        assert_eq!(fixture.due().await, [job.id.clone()]);
        assert!(read(fixture, &stored.id).await == Some(stored));
        let lease = finish(
            fixture,
            &mut job,
            CallEvent::Settled(Vec::new()),
            undeliverable,
        )
        .await;
        let released = fixture.store.release(&job, lease, None).await;
        released.expect("released");
        assert_eq!(listed(fixture).await.len(), 1);
        fixture.advance(RETENTION.as_secs());
    }
}

/// The first attempt of a sender could not be mapped, the second one could.
pub(super) async fn success_deletes_earlier_dead_letter(fixture: &Fixture) {
    for size in [9, 300_000] {
        let name = format!("of {size}");
        let id = StoredDelivery::id_of("form", &name);
        let dead = delivery(fixture, &id, noise(size));
        fixture.store.put_delivery(&dead).await.expect("stored");
        let (mut job, _) = add_with_delivery(fixture, &name, false, noise(size)).await;
        assert_eq!(listed(fixture).await, [summary(&dead)]);
        succeed(fixture, &mut job).await;
        assert_eq!(listed(fixture).await, []);
        assert_eq!(read(fixture, &id).await, None);
    }
}

pub(super) async fn delivery_is_deleted_beside_its_driver(fixture: &Fixture) {
    for size in [9, 300_000] {
        let (job, stored) =
            add_with_delivery(fixture, &format!("of {size}"), false, noise(size)).await;
        let (_, mut lease) = fixture.claim(&job.id).await;
        let deleted = fixture.store.delete_delivery(&stored.id, None).await;
        assert!(deleted.expect("deleted"));
        assert_eq!(read(fixture, &stored.id).await, None);
        let again = fixture.store.delete_delivery(&stored.id, None).await;
        assert!(!again.expect("an answer"));
        let written = fixture.store.checkpoint(&job, &mut lease).await;
        written.expect("the lease is still held");
        assert_eq!(fixture.store.get(&job.id).await.expect("read"), Some(job));
    }
}
