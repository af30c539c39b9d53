//! What every store guarantees about leases: a job has one driver at a time.

use std::sync::Arc;
use std::time::Duration;

use masshook::clock::{Clock, ManualClock};
use masshook::job::JobId;
use masshook::store::{AddResult, Claim, LockHolder, StoreError};
use secrecy::SecretString;

use super::fixture::{Fixture, winners};

pub(super) async fn job_has_one_driver_at_a_time(fixture: &Fixture) {
    let job = fixture.add_job("d").await;
    let until = fixture.after(60);
    let (mut ours, mut lease) = fixture.claim(&job.id).await;
    assert_eq!(ours, job);
    assert_eq!(lease.until, until);
    let second = fixture
        .store
        .claim(&job.id, fixture.now(), fixture.after(90))
        .await;
    assert!(
        matches!(second, Ok(Claim::Busy { until: held }) if held == until),
        "{second:?}"
    );

    ours.record_attempts(1, 2);
    fixture
        .store
        .checkpoint(&ours, &mut lease)
        .await
        .expect("written");
    assert_eq!(
        fixture.store.get(&job.id).await.expect("read"),
        Some(ours.clone())
    );
    let second = fixture
        .store
        .claim(&job.id, fixture.now(), fixture.after(90))
        .await;
    assert!(matches!(second, Ok(Claim::Busy { .. })), "{second:?}");

    ours.record_attempts(1, 1);
    fixture
        .store
        .checkpoint(&ours, &mut lease)
        .await
        .expect("written");
    fixture
        .store
        .release(&ours, lease, Some(fixture.now()))
        .await
        .expect("released");
    assert_eq!(fixture.claim(&job.id).await.0, ours);
    let absent = JobId::derive("form", "absent", 0);
    let absent = fixture.store.claim(&absent, fixture.now(), until).await;
    assert!(matches!(absent, Ok(Claim::NotFound)), "{absent:?}");
}

pub(super) async fn stale_lease_writes_nothing(fixture: &Fixture) {
    let job = fixture.add_job("d").await;
    let (mut stale, mut lost) = fixture.claim(&job.id).await;
    fixture.advance(60);
    let (mut ours, mut lease) = fixture.claim(&job.id).await;
    stale.record_attempts(1, 7);
    let refused = fixture.store.checkpoint(&stale, &mut lost).await;
    assert!(
        matches!(&refused, Err(StoreError::LeaseLost(id)) if *id == job.id),
        "{refused:?}"
    );
    ours.record_attempts(1, 1);
    fixture
        .store
        .checkpoint(&ours, &mut lease)
        .await
        .expect("written");
    let refused = fixture.store.release(&stale, lost, None).await;
    assert!(
        matches!(refused, Err(StoreError::LeaseLost(_))),
        "{refused:?}"
    );
    assert_eq!(
        fixture.store.get(&job.id).await.expect("read"),
        Some(ours.clone())
    );
    fixture
        .store
        .release(&ours, lease.clone(), Some(fixture.now()))
        .await
        .expect("released");
    let again = fixture.store.release(&ours, lease, None).await;
    assert!(matches!(again, Err(StoreError::LeaseLost(_))), "{again:?}");
    assert_eq!(fixture.due().await, [job.id]);
}

pub(super) async fn checkpoint_extends_lease(fixture: &Fixture) {
    let job = fixture.add_job("d").await;
    let (ours, mut lease) = fixture.claim(&job.id).await;
    lease.until = fixture.after(600);
    fixture
        .store
        .checkpoint(&ours, &mut lease)
        .await
        .expect("written");
    fixture.advance(599);
    assert_eq!(fixture.due().await, []);
    let other = fixture
        .store
        .claim(&job.id, fixture.now(), fixture.after(60))
        .await;
    assert!(matches!(other, Ok(Claim::Busy { .. })), "{other:?}");
    fixture.advance(1);
    assert_eq!(fixture.due().await, [job.id]);
}

/// Two machines over one store. The clock of one jumps ahead, so leases and locks have expired for it. The other machine can
/// write nothing afterwards: a jump at worst repeats the one effect that was in progress.
pub(super) async fn clock_jump_is_fenced_by_versions(fixture: &Fixture) {
    let jumped = ManualClock::at(fixture.now() + Duration::from_secs(6 * 3600));
    let job = fixture.add_job("d").await;
    let (mut stale, mut lost) = fixture.claim(&job.id).await;
    let lock = |now, until| async move {
        let lock = fixture
            .store
            .lock("l", &LockHolder::unique(), now, until)
            .await;
        lock.expect("an answer").expect("free")
    };
    let lost_lock = lock(fixture.now(), fixture.after(60)).await;

    let (now, until) = (jumped.now(), jumped.now() + Duration::from_secs(60));
    let due = fixture.store.due(now, 10).await.expect("an answer");
    assert_eq!(due, std::slice::from_ref(&job.id));
    let Ok(Claim::Acquired(mut ours, mut lease)) = fixture.store.claim(&job.id, now, until).await
    else {
        panic!("the lease has expired by this clock");
    };
    let held_lock = lock(now, until).await;

    stale.record_attempts(1, 7);
    let refused = fixture.store.checkpoint(&stale, &mut lost).await;
    assert!(
        matches!(refused, Err(StoreError::LeaseLost(_))),
        "{refused:?}"
    );
    let refused = fixture.store.release(&stale, lost, None).await;
    assert!(
        matches!(refused, Err(StoreError::LeaseLost(_))),
        "{refused:?}"
    );
    let value = SecretString::from("value".to_owned());
    let refused = fixture.store.put_value("v", &value, &lost_lock).await;
    assert!(
        matches!(refused, Err(StoreError::LockLost(_))),
        "{refused:?}"
    );
    ours.record_attempts(1, 1);
    let written = fixture.store.checkpoint(&ours, &mut lease).await;
    written.expect("written");
    let written = fixture.store.put_value("v", &value, &held_lock).await;
    written.expect("written");
    // The other machine's clock is behind: it waits for this lease.
    let busy = fixture
        .store
        .claim(&job.id, fixture.now(), fixture.after(60))
        .await;
    assert!(matches!(busy, Ok(Claim::Busy { .. })), "{busy:?}");
    assert_eq!(fixture.store.get(&job.id).await.expect("read"), Some(*ours));
}

pub(super) async fn concurrent_adds_and_claims_have_one_winner(fixture: &Fixture) {
    let job = Arc::new(fixture.job("d"));
    let (now, until) = (fixture.now(), fixture.after(60));
    let mut adders = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let (store, job) = (Arc::clone(&fixture.store), Arc::clone(&job));
        adders.spawn(
            async move { store.add(&job, None).await.expect("an answer") == AddResult::New },
        );
    }
    assert_eq!(winners(adders).await, 1);
    let mut drivers = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let (store, job) = (Arc::clone(&fixture.store), Arc::clone(&job));
        drivers.spawn(async move {
            match store.claim(&job.id, now, until).await.expect("an answer") {
                Claim::Acquired(..) => true,
                Claim::Busy { .. } => false,
                other @ (Claim::Parked { .. } | Claim::NotDue | Claim::NotFound) => {
                    panic!("{other:?}")
                }
            }
        });
    }
    assert_eq!(winners(drivers).await, 1);
}
