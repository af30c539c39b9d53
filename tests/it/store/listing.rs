//! What every store guarantees about lists of jobs and their retention.

use masshook::job::{CallbackStatus, JobStatus};
use masshook::store::{AddResult, Claim, JobFilter, JobSummary, PageRequest, StatusFilter};

use super::fixture::{Fixture, RETENTION, finish};

pub(super) async fn jobs_are_listed_in_pages(fixture: &Fixture) {
    let mut expected = Vec::new();
    for number in 0..25 {
        let mut job = fixture.add_job(&number.to_string()).await;
        if number % 5 == 0 {
            let (_, lease) = fixture.claim(&job.id).await;
            finish(&mut job, fixture);
            if let Some(callback) = &mut job.callback {
                callback.status = CallbackStatus::Undeliverable;
            }
            fixture
                .store
                .release(&job, lease, None)
                .await
                .expect("released");
        }
        expected.insert(0, job);
        // Some jobs have the same timestamp.
        fixture.advance(number % 2);
    }
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = fixture
            .store
            .list(&JobFilter::default(), &PageRequest::at(7, after.as_deref()))
            .await
            .expect("a page");
        assert!(page.entries.len() <= 7);
        listed.extend(page.entries);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let moments: Vec<_> = listed.iter().map(|job| job.created_at).collect();
    assert!(
        moments.is_sorted_by(|one, next| one >= next),
        "the latest first"
    );
    assert_eq!(listed.len(), 25);
    let mut by_id: Vec<_> = listed.clone();
    by_id.sort_by_key(|job| job.id.clone());
    expected.sort_by_key(|job| job.id.clone());
    for (summary, job) in by_id.iter().zip(&expected) {
        assert_eq!(*summary, JobSummary::of(job));
    }

    let listed = |filter| async move {
        let filter = JobFilter::of_status(filter);
        let page = fixture
            .store
            .list(&filter, &PageRequest::first(100))
            .await
            .expect("a page");
        assert_eq!(page.next, None);
        page.entries.len()
    };
    assert_eq!(listed(StatusFilter::Status(JobStatus::Succeeded)).await, 5);
    assert_eq!(listed(StatusFilter::Status(JobStatus::Queued)).await, 20);
    assert_eq!(listed(StatusFilter::Status(JobStatus::Failed)).await, 0);
    assert_eq!(listed(StatusFilter::Undeliverable).await, 5);
    assert_eq!(listed(StatusFilter::Parked).await, 0);
    let first = fixture
        .store
        .list(
            &JobFilter::of_status(StatusFilter::Undeliverable),
            &PageRequest::first(2),
        )
        .await
        .expect("a page");
    assert_eq!(first.entries.len(), 2);
    let remaining = fixture
        .store
        .list(
            &JobFilter::of_status(StatusFilter::Undeliverable),
            &PageRequest::at(4, first.next.as_deref()),
        )
        .await;
    assert_eq!(remaining.expect("a page").entries.len(), 3);
}

pub(super) async fn finished_job_expires_after_retention(fixture: &Fixture) {
    let mut job = fixture.add_job("d").await;
    let waiting = fixture.add_job("waiting").await;
    let (_, lease) = fixture.claim(&job.id).await;
    finish(&mut job, fixture);
    fixture
        .store
        .release(&job, lease, None)
        .await
        .expect("released");
    fixture.advance(RETENTION.as_secs() - 1);
    assert_eq!(
        fixture.store.get(&job.id).await.expect("read"),
        Some(job.clone())
    );
    assert_eq!(
        fixture.store.add(&job, None).await.expect("added"),
        AddResult::Existing
    );
    fixture.advance(1);
    // No store request has deleted it yet; readers check its expiry.
    assert_eq!(fixture.store.get(&job.id).await.expect("read"), None);
    let claim = fixture
        .store
        .claim(&job.id, fixture.now(), fixture.after(60))
        .await;
    assert!(matches!(claim, Ok(Claim::NotFound)), "{claim:?}");
    let page = fixture
        .store
        .list(&JobFilter::default(), &PageRequest::first(10))
        .await
        .expect("a page");
    assert_eq!(page.entries.len(), 1);
    assert_eq!(fixture.due().await, std::slice::from_ref(&waiting.id));
    assert!(
        fixture
            .store
            .get(&waiting.id)
            .await
            .expect("read")
            .is_some()
    );
    let replacement = fixture.job("d");
    assert_eq!(
        fixture.store.add(&replacement, None).await.expect("added"),
        AddResult::New
    );
    assert_eq!(
        fixture.store.get(&job.id).await.expect("read"),
        Some(replacement)
    );
}
