//! What every store promises about jobs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use masshook::clock::{Clock, ManualClock};
use masshook::job::{CallEvent, CallbackStatus, Failure, Job, JobId, JobStatus};
use masshook::store::{AddResult, Claim, JobFilter, LockHolder, StoreError};
use masshook::update::{RecordId, Records, Selector};
use secrecy::SecretString;
use serde_json::json;

use super::bench::{Bench, RETENTION};

/// Drives a job's only call to its end.
fn finish(job: &mut Job, bench: &Bench) {
    job.record_attempts(1, 1);
    job.apply(1, CallEvent::Settled(Vec::new()), bench.now())
        .expect("allowed");
}

pub(super) async fn job_is_added_once_and_read_back(bench: &Bench) {
    let mut job = bench.job("d");
    assert_eq!(bench.store.get(&job.id).await.expect("read"), None);
    assert_eq!(
        bench.store.add(&job, None).await.expect("added"),
        AddResult::New
    );
    let stored = job.clone();
    job.connection = "other".to_owned();
    assert_eq!(
        bench.store.add(&job, None).await.expect("added"),
        AddResult::Existing
    );
    assert_eq!(bench.store.get(&job.id).await.expect("read"), Some(stored));
}

/// Two machines over one store. The clock of one jumps ahead, so leases and locks have expired for it. The other machine can
/// write nothing afterwards: a jump at worst repeats the one effect that was in progress.
pub(super) async fn clock_jump_is_fenced_by_versions(bench: &Bench) {
    let jumped = ManualClock::at(bench.now() + Duration::from_secs(6 * 3600));
    let job = bench.added("d").await;
    let (mut stale, mut lost) = bench.claim(&job.id).await;
    let lock = |now, until| async move {
        let lock = bench
            .store
            .lock("l", &LockHolder::unique(), now, until)
            .await;
        lock.expect("an answer").expect("free")
    };
    let lost_lock = lock(bench.now(), bench.within(60)).await;

    let (now, until) = (jumped.now(), jumped.now() + Duration::from_secs(60));
    let due = bench.store.due(now, 10).await.expect("an answer");
    assert_eq!(due, std::slice::from_ref(&job.id));
    let Ok(Claim::Acquired(mut ours, mut lease)) = bench.store.claim(&job.id, now, until).await
    else {
        panic!("the lease has expired by this clock");
    };
    let held_lock = lock(now, until).await;

    stale.record_attempts(1, 7);
    let refused = bench.store.checkpoint(&stale, &mut lost).await;
    assert!(
        matches!(refused, Err(StoreError::LeaseLost(_))),
        "{refused:?}"
    );
    let refused = bench.store.release(&stale, lost, None).await;
    assert!(
        matches!(refused, Err(StoreError::LeaseLost(_))),
        "{refused:?}"
    );
    let value = SecretString::from("value".to_owned());
    let refused = bench.store.put_value("v", &value, &lost_lock).await;
    assert!(
        matches!(refused, Err(StoreError::LockLost(_))),
        "{refused:?}"
    );
    ours.record_attempts(1, 1);
    let written = bench.store.checkpoint(&ours, &mut lease).await;
    written.expect("written");
    let written = bench.store.put_value("v", &value, &held_lock).await;
    written.expect("written");
    // The other machine's clock is behind: it waits for this lease.
    let busy = bench
        .store
        .claim(&job.id, bench.now(), bench.within(60))
        .await;
    assert!(matches!(busy, Ok(Claim::Busy { .. })), "{busy:?}");
    assert_eq!(bench.store.get(&job.id).await.expect("read"), Some(*ours));
}

pub(super) async fn job_has_one_driver_at_a_time(bench: &Bench) {
    let job = bench.added("d").await;
    let until = bench.within(60);
    let (mut ours, mut lease) = bench.claim(&job.id).await;
    assert_eq!(ours, job);
    assert_eq!(lease.until, until);
    let second = bench
        .store
        .claim(&job.id, bench.now(), bench.within(90))
        .await;
    assert!(
        matches!(second, Ok(Claim::Busy { until: held }) if held == until),
        "{second:?}"
    );

    ours.record_attempts(1, 2);
    bench
        .store
        .checkpoint(&ours, &mut lease)
        .await
        .expect("written");
    assert_eq!(
        bench.store.get(&job.id).await.expect("read"),
        Some(ours.clone())
    );
    let second = bench
        .store
        .claim(&job.id, bench.now(), bench.within(90))
        .await;
    assert!(matches!(second, Ok(Claim::Busy { .. })), "{second:?}");

    ours.record_attempts(1, 1);
    bench
        .store
        .checkpoint(&ours, &mut lease)
        .await
        .expect("written");
    bench
        .store
        .release(&ours, lease, Some(bench.now()))
        .await
        .expect("released");
    assert_eq!(bench.claim(&job.id).await.0, ours);
    let absent = JobId::derive("form", "absent", 0);
    let absent = bench.store.claim(&absent, bench.now(), until).await;
    assert!(matches!(absent, Ok(Claim::NotFound)), "{absent:?}");
}

pub(super) async fn stale_lease_writes_nothing(bench: &Bench) {
    let job = bench.added("d").await;
    let (mut stale, mut lost) = bench.claim(&job.id).await;
    bench.pass(60);
    let (mut ours, mut lease) = bench.claim(&job.id).await;
    stale.record_attempts(1, 7);
    let refused = bench.store.checkpoint(&stale, &mut lost).await;
    assert!(
        matches!(&refused, Err(StoreError::LeaseLost(id)) if *id == job.id),
        "{refused:?}"
    );
    ours.record_attempts(1, 1);
    bench
        .store
        .checkpoint(&ours, &mut lease)
        .await
        .expect("written");
    let refused = bench.store.release(&stale, lost, None).await;
    assert!(
        matches!(refused, Err(StoreError::LeaseLost(_))),
        "{refused:?}"
    );
    assert_eq!(
        bench.store.get(&job.id).await.expect("read"),
        Some(ours.clone())
    );
    bench
        .store
        .release(&ours, lease.clone(), Some(bench.now()))
        .await
        .expect("released");
    let again = bench.store.release(&ours, lease, None).await;
    assert!(matches!(again, Err(StoreError::LeaseLost(_))), "{again:?}");
    assert_eq!(bench.due().await, [job.id]);
}

pub(super) async fn checkpoint_extends_lease(bench: &Bench) {
    let job = bench.added("d").await;
    let (ours, mut lease) = bench.claim(&job.id).await;
    lease.until = bench.within(600);
    bench
        .store
        .checkpoint(&ours, &mut lease)
        .await
        .expect("written");
    bench.pass(599);
    assert_eq!(bench.due().await, []);
    let other = bench
        .store
        .claim(&job.id, bench.now(), bench.within(60))
        .await;
    assert!(matches!(other, Ok(Claim::Busy { .. })), "{other:?}");
    bench.pass(1);
    assert_eq!(bench.due().await, [job.id]);
}

pub(super) async fn concurrent_adds_and_claims_have_one_winner(bench: &Bench) {
    let job = Arc::new(bench.job("d"));
    let (now, until) = (bench.now(), bench.within(60));
    let mut adders = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let (store, job) = (Arc::clone(&bench.store), Arc::clone(&job));
        adders.spawn(
            async move { store.add(&job, None).await.expect("an answer") == AddResult::New },
        );
    }
    assert_eq!(winners(adders).await, 1);
    let mut drivers = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let (store, job) = (Arc::clone(&bench.store), Arc::clone(&job));
        drivers.spawn(async move {
            match store.claim(&job.id, now, until).await.expect("an answer") {
                Claim::Acquired(..) => true,
                Claim::Busy { .. } => false,
                other @ (Claim::Parked { .. } | Claim::NotFound) => panic!("{other:?}"),
            }
        });
    }
    assert_eq!(winners(drivers).await, 1);
}

/// How many of the tasks say that they have won.
pub(super) async fn winners(tasks: tokio::task::JoinSet<bool>) -> usize {
    let outcomes = tasks.join_all().await;
    outcomes.into_iter().filter(|won| *won).count()
}

pub(super) async fn due_lists_unleased_jobs(bench: &Bench) {
    let mut ids = Vec::new();
    for number in 0..20 {
        ids.push(bench.added(&number.to_string()).await.id);
        bench.pass(1);
    }
    assert_eq!(bench.due().await, ids, "the longest due first");
    let three = bench.store.due(bench.now(), 3).await.expect("an answer");
    assert_eq!(three, ids[..3]);
    let early = bench
        .store
        .due(bench.now() - Duration::from_secs(20), 100)
        .await;
    assert_eq!(early.expect("an answer"), ids[..1]);

    let mut finished = Vec::new();
    for (place, id) in ids.iter().enumerate() {
        let (job, lease) = bench.claim(id).await;
        match place % 3 {
            0 => {}
            1 => bench
                .store
                .release(&job, lease, Some(bench.within(30)))
                .await
                .expect("released"),
            _ => {
                bench
                    .store
                    .release(&job, lease, None)
                    .await
                    .expect("released");
                finished.push(id.clone());
            }
        }
    }
    assert_eq!(bench.due().await, []);
    bench.pass(30);
    let later: BTreeSet<JobId> = bench.due().await.into_iter().collect();
    let expected: BTreeSet<JobId> = ids.iter().skip(1).step_by(3).cloned().collect();
    assert_eq!(later, expected, "those that were released until then");
    bench.pass(1_000);
    let later: BTreeSet<JobId> = bench.due().await.into_iter().collect();
    assert!(
        finished.iter().all(|id| !later.contains(id)),
        "what is finished is never due"
    );
}

pub(super) async fn expired_lease_makes_job_due(bench: &Bench) {
    let mut job = bench.added("d").await;
    let (_, lease) = bench.claim(&job.id).await;
    finish(&mut job, bench);
    bench
        .store
        .release(&job, lease, None)
        .await
        .expect("released");
    bench.pass(1_000);
    assert_eq!(bench.due().await, []);
    // Even a finished one: somebody has a reason to drive it.
    bench.claim(&job.id).await;
    bench.pass(59);
    assert_eq!(bench.due().await, []);
    bench.pass(1);
    assert_eq!(bench.due().await, std::slice::from_ref(&job.id));
    assert!(bench.store.get(&job.id).await.expect("read").is_some());
}

pub(super) async fn jobs_are_listed_in_pages(bench: &Bench) {
    let mut expected = Vec::new();
    for number in 0..25 {
        let mut job = bench.added(&number.to_string()).await;
        if number % 5 == 0 {
            let (_, lease) = bench.claim(&job.id).await;
            finish(&mut job, bench);
            if let Some(callback) = &mut job.callback {
                callback.status = CallbackStatus::Undeliverable;
            }
            bench
                .store
                .release(&job, lease, None)
                .await
                .expect("released");
        }
        expected.insert(0, job);
        // Several jobs of one moment.
        bench.pass(number % 2);
    }
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = bench
            .store
            .list(JobFilter::All, 7, after.as_deref())
            .await
            .expect("a page");
        assert!(page.jobs.len() <= 7);
        listed.extend(page.jobs);
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
        assert_eq!(*summary, masshook::store::JobSummary::of(job));
    }

    let listed = |filter| async move {
        let page = bench.store.list(filter, 100, None).await.expect("a page");
        assert_eq!(page.next, None);
        page.jobs.len()
    };
    assert_eq!(listed(JobFilter::Status(JobStatus::Succeeded)).await, 5);
    assert_eq!(listed(JobFilter::Status(JobStatus::Queued)).await, 20);
    assert_eq!(listed(JobFilter::Status(JobStatus::Failed)).await, 0);
    assert_eq!(listed(JobFilter::Undeliverable).await, 5);
    assert_eq!(listed(JobFilter::Parked).await, 0);
    let first = bench
        .store
        .list(JobFilter::Undeliverable, 2, None)
        .await
        .expect("a page");
    assert_eq!(first.jobs.len(), 2);
    let rest = bench
        .store
        .list(JobFilter::Undeliverable, 4, first.next.as_deref())
        .await;
    assert_eq!(rest.expect("a page").jobs.len(), 3);
}

pub(super) async fn finished_job_expires_after_retention(bench: &Bench) {
    let mut job = bench.added("d").await;
    let waiting = bench.added("waiting").await;
    let (_, lease) = bench.claim(&job.id).await;
    finish(&mut job, bench);
    bench
        .store
        .release(&job, lease, None)
        .await
        .expect("released");
    bench.pass(RETENTION.as_secs() - 1);
    assert_eq!(
        bench.store.get(&job.id).await.expect("read"),
        Some(job.clone())
    );
    assert_eq!(
        bench.store.add(&job, None).await.expect("added"),
        AddResult::Existing
    );
    bench.pass(1);
    // Nothing has deleted it: the reader judges.
    assert_eq!(bench.store.get(&job.id).await.expect("read"), None);
    let claim = bench
        .store
        .claim(&job.id, bench.now(), bench.within(60))
        .await;
    assert!(matches!(claim, Ok(Claim::NotFound)), "{claim:?}");
    let page = bench
        .store
        .list(JobFilter::All, 10, None)
        .await
        .expect("a page");
    assert_eq!(page.jobs.len(), 1);
    assert_eq!(bench.due().await, std::slice::from_ref(&waiting.id));
    assert!(bench.store.get(&waiting.id).await.expect("read").is_some());
    let anew = bench.job("d");
    assert_eq!(
        bench.store.add(&anew, None).await.expect("added"),
        AddResult::New
    );
    assert_eq!(bench.store.get(&job.id).await.expect("read"), Some(anew));
}

pub(super) async fn parked_job_is_due_only_after_unpark(bench: &Bench) {
    let job = bench.added("d").await;
    let (_, mut lease) = bench.claim(&job.id).await;
    bench
        .store
        .park(&job.id, "a strange thing")
        .await
        .expect("parked");
    let refused = bench.store.checkpoint(&job, &mut lease).await;
    assert!(
        matches!(refused, Err(StoreError::LeaseLost(_))),
        "{refused:?}"
    );
    bench.pass(100_000);
    assert_eq!(bench.due().await, []);
    let claim = bench
        .store
        .claim(&job.id, bench.now(), bench.within(60))
        .await;
    assert!(
        matches!(&claim, Ok(Claim::Parked { reason }) if reason == "a strange thing"),
        "{claim:?}"
    );
    let page = bench
        .store
        .list(JobFilter::Parked, 10, None)
        .await
        .expect("a page");
    assert_eq!(page.jobs[0].parked.as_deref(), Some("a strange thing"));
    assert_eq!(
        bench.store.get(&job.id).await.expect("read"),
        Some(job.clone())
    );

    assert!(
        bench
            .store
            .unpark(&job.id, bench.now())
            .await
            .expect("unparked")
    );
    assert!(
        !bench
            .store
            .unpark(&job.id, bench.now())
            .await
            .expect("an answer")
    );
    assert_eq!(bench.due().await, std::slice::from_ref(&job.id));
    bench.claim(&job.id).await;
    let absent = JobId::derive("form", "absent", 0);
    bench
        .store
        .park(&absent, "not there")
        .await
        .expect("nothing");
    assert_eq!(bench.store.get(&absent).await.expect("read"), None);
}

pub(super) async fn job_with_50000_records_is_stored(bench: &Bench) {
    let mut random = fastrand::Rng::with_seed(7);
    let ids: BTreeSet<u64> = (0..50_000)
        .map(|_| 554_023_000_000_000_000 + random.u64(0..1_000_000_000_000))
        .collect();
    let ids: Vec<String> = ids.iter().map(u64::to_string).collect();
    let fields = json!({"Score": 1, "Lead_Source": "Web", "Industry": "Steel"});
    let mut job = bench.job_of(
        "large",
        &json!({"module": "Leads", "fields": fields, "ids": ids}),
    );
    assert_eq!(job.calls.len(), ids.len().div_ceil(500) * 3);
    assert_eq!(
        bench.store.add(&job, None).await.expect("added"),
        AddResult::New
    );
    assert_eq!(
        bench.store.add(&job, None).await.expect("added"),
        AddResult::Existing
    );
    assert_eq!(
        bench.store.get(&job.id).await.expect("read").as_ref(),
        Some(&job)
    );

    let (_, mut lease) = bench.claim(&job.id).await;
    job.record_attempts(1, 1);
    job.apply(1, CallEvent::Settled(Vec::new()), bench.now())
        .expect("allowed");
    bench
        .store
        .checkpoint(&job, &mut lease)
        .await
        .expect("written");
    // At worst every record is refused, and each is noted.
    let Selector::Records(Records::Ids(ids)) = &job.request.selector else {
        panic!("ids");
    };
    let failure = |id: &RecordId| Failure {
        id: *id,
        code: "INVALID_DATA".to_owned(),
        message: format!("the id {id} given seems to be invalid"),
    };
    let failures: Vec<Failure> = ids.iter().skip(500).map(failure).collect();
    for (place, chunk) in failures.chunks(500).enumerate() {
        let seq = place + 2;
        job.record_attempts(seq, 1);
        job.apply(seq, CallEvent::Settled(chunk.to_vec()), bench.now())
            .expect("allowed");
    }
    bench
        .store
        .checkpoint(&job, &mut lease)
        .await
        .expect("written");
    assert_eq!(
        bench.store.get(&job.id).await.expect("read").as_ref(),
        Some(&job)
    );
    job.record_attempts(150, 1);
    bench
        .store
        .release(&job, lease, Some(bench.now()))
        .await
        .expect("released");
    let (stored, mut lease) = bench.claim(&job.id).await;
    assert_eq!(stored, job);
    job.record_attempts(150, 1);
    bench
        .store
        .checkpoint(&job, &mut lease)
        .await
        .expect("written");
    bench
        .store
        .release(&job, lease, None)
        .await
        .expect("released");
    assert_eq!(
        bench.store.get(&job.id).await.expect("read").as_ref(),
        Some(&job)
    );
}

pub(super) async fn changed_request_is_stored(bench: &Bench) {
    let job = bench.added("d").await;
    let (mut ours, mut lease) = bench.claim(&job.id).await;
    let ids = (1..=40_000_u64).map(|id| id.to_string().parse().expect("an id"));
    ours.request.selector = Selector::Records(Records::Ids(ids.collect()));
    bench
        .store
        .checkpoint(&ours, &mut lease)
        .await
        .expect("written");
    assert_eq!(
        bench.store.get(&job.id).await.expect("read").as_ref(),
        Some(&ours)
    );
    ours.request.selector = job.request.selector.clone();
    bench
        .store
        .checkpoint(&ours, &mut lease)
        .await
        .expect("written");
    bench
        .store
        .release(&ours, lease, None)
        .await
        .expect("released");
    assert_eq!(bench.store.get(&job.id).await.expect("read"), Some(ours));
}

pub(super) async fn unreadable_job_is_parked(bench: &Bench) {
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
        let job = bench.added(name).await;
        bench.spoil(&job.id, document).await;
        let read = bench.store.get(&job.id).await;
        assert!(
            matches!(&read, Err(StoreError::Unreadable { id, reason }) if *id == job.id && reason.contains(expected)),
            "{read:?}"
        );
        let claim = bench
            .store
            .claim(&job.id, bench.now(), bench.within(60))
            .await;
        let Err(error @ StoreError::Unreadable { .. }) = claim else {
            panic!("{claim:?}");
        };
        assert_eq!(bench.due().await, [], "nobody tries again at once");
        bench
            .store
            .park(&job.id, &error.to_string())
            .await
            .expect("parked");
        assert_eq!(
            bench.store.add(&job, None).await.expect("added"),
            AddResult::Existing
        );
    }
    bench.pass(100_000);
    assert_eq!(bench.due().await, []);
    let page = bench
        .store
        .list(JobFilter::Parked, 10, None)
        .await
        .expect("a page");
    assert_eq!(page.jobs.len(), documents.len());
}
