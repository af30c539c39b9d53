//! What every store guarantees about due, parked and unreadable jobs.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use masshook::job::JobId;
use masshook::store::{AddResult, Claim, JobFilter, PageRequest, StatusFilter, StoreError};

use super::fixture::{Fixture, finish};

pub(super) async fn due_lists_unleased_jobs(fixture: &Fixture) {
    let (start, mut ids) = (fixture.now(), Vec::new());
    assert_eq!(oldest_due(fixture).await, None);
    for number in 0..20 {
        ids.push(fixture.add_job(&number.to_string()).await.id);
        fixture.advance(1);
    }
    assert_eq!(fixture.due().await, ids, "the earliest due time first");
    assert_eq!(oldest_due(fixture).await, Some(start));
    let three = fixture
        .store
        .due(fixture.now(), 3)
        .await
        .expect("an answer");
    assert_eq!(three, ids[..3]);
    let earlier = fixture
        .store
        .due(fixture.now() - Duration::from_secs(20), 100)
        .await;
    assert_eq!(earlier.expect("an answer"), ids[..1]);

    let mut finished = Vec::new();
    for (index, id) in ids.iter().enumerate() {
        let (job, lease) = fixture.claim(id).await;
        match index % 3 {
            0 => {}
            1 => fixture
                .store
                .release(&job, lease, Some(fixture.after(30)))
                .await
                .expect("released"),
            _ => {
                fixture
                    .store
                    .release(&job, lease, None)
                    .await
                    .expect("released");
                finished.push(id.clone());
            }
        }
    }
    assert_eq!(fixture.due().await, []);
    fixture.advance(30);
    let later: BTreeSet<JobId> = fixture.due().await.into_iter().collect();
    let expected: BTreeSet<JobId> = ids.iter().skip(1).step_by(3).cloned().collect();
    assert_eq!(
        later, expected,
        "the jobs that were released with a due time"
    );
    fixture.advance(1_000);
    let later: BTreeSet<JobId> = fixture.due().await.into_iter().collect();
    assert!(
        finished.iter().all(|id| !later.contains(id)),
        "a finished job is never due"
    );
}

async fn oldest_due(fixture: &Fixture) -> Option<Timestamp> {
    let oldest = fixture.store.oldest_due(fixture.now()).await;
    oldest.expect("an answer")
}

pub(super) async fn expired_lease_makes_job_due(fixture: &Fixture) {
    let mut job = fixture.add_job("d").await;
    let (_, lease) = fixture.claim(&job.id).await;
    finish(&mut job, fixture);
    fixture
        .store
        .release(&job, lease, None)
        .await
        .expect("released");
    fixture.advance(1_000);
    assert_eq!(fixture.due().await, []);
    // A finished job can be claimed too, for example for a redelivery.
    fixture.claim(&job.id).await;
    fixture.advance(59);
    assert_eq!(fixture.due().await, []);
    fixture.advance(1);
    assert_eq!(fixture.due().await, std::slice::from_ref(&job.id));
    assert!(fixture.store.get(&job.id).await.expect("read").is_some());
}

/// What is left to do of such a job is due in one of both lists, at the same time as in the other list without patience.
pub(super) async fn slow_callback_is_due_until_delivered(fixture: &Fixture) {
    let lists = async || {
        let slow = fixture.store.due_slow_callbacks(fixture.now(), 100).await;
        (fixture.due().await, slow.expect("an answer"))
    };
    let mut ids = Vec::new();
    for (number, is_slow) in [true, false, true, true].into_iter().enumerate() {
        let mut job = fixture.add_job(&number.to_string()).await;
        let (_, lease) = fixture.claim(&job.id).await;
        finish(&mut job, fixture);
        if is_slow {
            job.leave_callback_to_patience();
            ids.push(job.id.clone());
        }
        let due = fixture.after(30 + number as u64);
        let released = fixture.store.release(&job, lease, Some(due)).await;
        released.expect("released");
    }
    assert_eq!(lists().await, (Vec::new(), Vec::new()), "not yet");
    fixture.advance(100);
    let (due, slow) = lists().await;
    let all: Vec<JobId> = due.iter().chain(&slow).cloned().collect();
    assert_eq!(all.len(), 4, "each is in one list: {due:?} {slow:?}");
    if fixture.lists_slow_callbacks_apart() {
        assert_eq!(slow, ids, "the earliest due time first");
        let two = fixture.store.due_slow_callbacks(fixture.now(), 2).await;
        assert_eq!(two.expect("an answer"), ids[..2]);
    } else {
        assert_eq!(slow, []);
    }

    let (job, lease) = fixture.claim(&ids[0]).await;
    assert!(job.needs_patience());
    let (due, slow) = lists().await;
    assert!(!due.contains(&ids[0]) && !slow.contains(&ids[0]), "leased");
    fixture
        .store
        .release(&job, lease, None)
        .await
        .expect("released");
    // The driver of another one vanishes.
    fixture.claim(&ids[1]).await;
    fixture.advance(61);
    let (due, slow) = lists().await;
    assert!(!due.contains(&ids[0]) && !slow.contains(&ids[0]), "done");
    assert!(
        due.contains(&ids[1]) || slow.contains(&ids[1]),
        "its lease has expired"
    );
    assert_eq!(due.len() + slow.len(), 3, "{due:?} {slow:?}");
}

pub(super) async fn parked_job_is_due_only_after_unpark(fixture: &Fixture) {
    let job = fixture.add_job("d").await;
    let (_, mut lease) = fixture.claim(&job.id).await;
    fixture
        .store
        .park(&job.id, "unexpected state")
        .await
        .expect("parked");
    let refused = fixture.store.checkpoint(&job, &mut lease).await;
    assert!(
        matches!(refused, Err(StoreError::LeaseLost(_))),
        "{refused:?}"
    );
    fixture.advance(100_000);
    assert_eq!(fixture.due().await, []);
    let claim = fixture
        .store
        .claim(&job.id, fixture.now(), fixture.after(60))
        .await;
    assert!(
        matches!(&claim, Ok(Claim::Parked { reason }) if reason == "unexpected state"),
        "{claim:?}"
    );
    let page = fixture
        .store
        .list(
            &JobFilter::of_status(StatusFilter::Parked),
            &PageRequest::first(10),
        )
        .await
        .expect("a page");
    assert_eq!(page.entries[0].parked.as_deref(), Some("unexpected state"));
    assert_eq!(
        fixture.store.get(&job.id).await.expect("read"),
        Some(job.clone())
    );

    assert!(
        fixture
            .store
            .unpark(&job.id, fixture.now())
            .await
            .expect("unparked")
    );
    assert!(
        !fixture
            .store
            .unpark(&job.id, fixture.now())
            .await
            .expect("an answer")
    );
    assert_eq!(fixture.due().await, std::slice::from_ref(&job.id));
    fixture.claim(&job.id).await;
    let absent = JobId::derive("form", "absent", 0);
    fixture
        .store
        .park(&absent, "absent")
        .await
        .expect("ignored");
    assert_eq!(fixture.store.get(&absent).await.expect("read"), None);
}

pub(super) async fn unreadable_job_is_parked(fixture: &Fixture) {
    let documents = [
        (
            "future",
            r#"{"v":99,"data":{"anything":1}}"#,
            "its version is 99",
        ),
        ("older", r#"{"v":2,"data":{"id":"x"}}"#, "its version is 2"),
        ("truncated", r#"{"v":3,"data":{"id"#, "not JSON"),
        (
            "incomplete",
            r#"{"v":3,"data":{"id":"x"}}"#,
            "missing field",
        ),
        ("empty", "", "not JSON"),
    ];
    for (name, document, expected) in documents {
        let job = fixture.add_job(name).await;
        fixture.replace_state(&job.id, document).await;
        let read = fixture.store.get(&job.id).await;
        assert!(
            matches!(&read, Err(StoreError::Unreadable { id, reason }) if *id == job.id && reason.contains(expected)),
            "{read:?}"
        );
        let claim = fixture
            .store
            .claim(&job.id, fixture.now(), fixture.after(60))
            .await;
        let Err(error @ StoreError::Unreadable { .. }) = claim else {
            panic!("{claim:?}");
        };
        assert_eq!(fixture.due().await, [], "it is not due again at once");
        fixture
            .store
            .park(&job.id, &error.to_string())
            .await
            .expect("parked");
        assert_eq!(
            fixture.store.add(&job, None).await.expect("added"),
            AddResult::Existing
        );
    }
    fixture.advance(100_000);
    assert_eq!(fixture.due().await, []);
    let page = fixture
        .store
        .list(
            &JobFilter::of_status(StatusFilter::Parked),
            &PageRequest::first(10),
        )
        .await
        .expect("a page");
    assert_eq!(page.entries.len(), documents.len());
}
