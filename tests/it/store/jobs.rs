//! What every store guarantees about adding and reading jobs.

use std::collections::BTreeSet;

use masshook::job::{CallEvent, Failure, Job};
use masshook::store::AddResult;
use masshook::update::{RecordId, Records, Selector};
use serde_json::json;

use super::fixture::Fixture;

pub(super) async fn job_is_added_once_and_read_back(fixture: &Fixture) {
    let mut job = fixture.job("d");
    assert_eq!(fixture.store.get(&job.id).await.expect("read"), None);
    assert_eq!(
        fixture.store.add(&job, None).await.expect("added"),
        AddResult::New
    );
    let stored = job.clone();
    job.connection = "other".to_owned();
    assert_eq!(
        fixture.store.add(&job, None).await.expect("added"),
        AddResult::Existing
    );
    assert_eq!(
        fixture.store.get(&job.id).await.expect("read"),
        Some(stored)
    );
}

/// The number of records of a large job.
const LARGE: usize = 50_000;

/// A job for many records and three field groups.
fn large_job(fixture: &Fixture) -> Job {
    let mut random = fastrand::Rng::with_seed(7);
    let mut ids = BTreeSet::new();
    while ids.len() < LARGE {
        ids.insert(554_023_000_000_000_000 + random.u64(0..1_000_000_000_000));
    }
    let ids: Vec<String> = ids.iter().map(u64::to_string).collect();
    let fields = json!({"Score": 1, "Lead_Source": "Web", "Industry": "Steel"});
    let request = json!({"module": "Leads", "fields": fields, "ids": ids});
    fixture.job_for("large", &request)
}

/// Applies the worst case to a job whose first call has succeeded: every other record is refused, and each has a failure.
fn fail_other_records(job: &mut Job, fixture: &Fixture) {
    let Selector::Records(Records::Ids(ids)) = &job.request.selector else {
        panic!("ids");
    };
    let failure = |id: &RecordId| Failure {
        id: *id,
        code: "INVALID_DATA".to_owned(),
        message: format!("the id {id} given seems to be invalid"),
        step: None,
    };
    let failures: Vec<Failure> = ids.iter().skip(500).map(failure).collect();
    for (index, chunk) in failures.chunks(500).enumerate() {
        let seq = index + 2;
        job.record_attempts(seq, 1);
        job.apply(seq, CallEvent::Settled(chunk.to_vec()), fixture.now())
            .expect("allowed");
    }
}

pub(super) async fn job_with_50000_records_is_stored(fixture: &Fixture) {
    let mut job = large_job(fixture);
    assert_eq!(job.calls.len(), LARGE.div_ceil(500) * 3);
    assert_eq!(
        fixture.store.add(&job, None).await.expect("added"),
        AddResult::New
    );
    assert_eq!(
        fixture.store.add(&job, None).await.expect("added"),
        AddResult::Existing
    );
    assert_eq!(
        fixture.store.get(&job.id).await.expect("read").as_ref(),
        Some(&job)
    );

    let (_, mut lease) = fixture.claim(&job.id).await;
    job.record_attempts(1, 1);
    job.apply(1, CallEvent::Settled(Vec::new()), fixture.now())
        .expect("allowed");
    fixture
        .store
        .checkpoint(&job, &mut lease)
        .await
        .expect("written");
    fail_other_records(&mut job, fixture);
    fixture
        .store
        .checkpoint(&job, &mut lease)
        .await
        .expect("written");
    assert_eq!(
        fixture.store.get(&job.id).await.expect("read").as_ref(),
        Some(&job)
    );
    job.record_attempts(150, 1);
    fixture
        .store
        .release(&job, lease, Some(fixture.now()))
        .await
        .expect("released");
    let (stored, mut lease) = fixture.claim(&job.id).await;
    assert_eq!(stored, job);
    job.record_attempts(150, 1);
    fixture
        .store
        .checkpoint(&job, &mut lease)
        .await
        .expect("written");
    fixture
        .store
        .release(&job, lease, None)
        .await
        .expect("released");
    assert_eq!(
        fixture.store.get(&job.id).await.expect("read").as_ref(),
        Some(&job)
    );
}

pub(super) async fn changed_request_is_stored(fixture: &Fixture) {
    let job = fixture.add_job("d").await;
    let (mut ours, mut lease) = fixture.claim(&job.id).await;
    let ids = (1..=40_000_u64).map(|id| id.to_string().parse().expect("an id"));
    ours.request.selector = Selector::Records(Records::Ids(ids.collect()));
    fixture
        .store
        .checkpoint(&ours, &mut lease)
        .await
        .expect("written");
    assert_eq!(
        fixture.store.get(&job.id).await.expect("read").as_ref(),
        Some(&ours)
    );
    ours.request.selector = job.request.selector.clone();
    fixture
        .store
        .checkpoint(&ours, &mut lease)
        .await
        .expect("written");
    fixture
        .store
        .release(&ours, lease, None)
        .await
        .expect("released");
    assert_eq!(fixture.store.get(&job.id).await.expect("read"), Some(ours));
}
