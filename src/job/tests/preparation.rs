//! The preparation of a job.

use super::*;
use crate::job::preparation::Lookup;
use crate::plan::Target;
use crate::update::{Records, UpdateMethod};

fn matching() -> Job {
    let query = json!({"field": "Email", "values": ["a@example.com", "b@example.com"]});
    let request = json!({"module": "Leads", "fields": {"A": 1}, "match": query});
    let callback = "https://ops.example.com/zoho".parse().ok();
    unprepared(UpdateRequest::parse(&request).expect("a request"), callback)
}

fn lookup(matched: u64) -> Option<Lookup> {
    Some(Lookup {
        field: "Email".parse().expect("a name"),
        values: 2,
        matched,
        ids: matched,
    })
}

#[test]
fn preparation_chooses_update_method() {
    let request = json!({"module": "Leads", "fields": {"A": 1}, "ids": ["7"], "update_by": "auto"});
    let mut job = unprepared(UpdateRequest::parse(&request).expect("a request"), None);
    let ready = PreparationOutcome::Ready {
        fields: None,
        records: None,
        new_records: None,
        update_by: Some(UpdateMethod::Records),
        owner: None,
    };
    job.record_preparation(ready.into(), 0, start())
        .expect("allowed");
    assert_eq!(job.calls[0].call.target, Target::Records(0..1));
    assert_eq!(job.request.update_by, UpdateMethod::Records);
    let (hash, counts) = (job.request_hash.clone(), job.counts());
    assert_eq!((counts.total, counts.pending), (1, 1));
    job.apply(1, CallEvent::Settled(vec![failure(7)]), start())
        .expect("allowed");
    assert_eq!((job.status(), job.counts().failed), (JobStatus::Failed, 1));
    assert_eq!(job.request_hash, hash, "of the request as accepted");
}

#[test]
fn job_is_planned_once_records_are_known() {
    let mut job = matching();
    let window = after(start(), Duration::from_secs(2));
    job.delay_until(window);
    assert_eq!(job.next(start()), NextStep::Wait(window));
    assert_eq!(
        (job.status(), job.next(window)),
        (JobStatus::Queued, NextStep::Prepare)
    );
    let reason = Refusal::with(Cause::TooManyRequests, "later");
    let wait = Duration::from_secs(30);
    let postponed = PreparationOutcome::Postponed { reason, wait };
    job.record_preparation(postponed.into(), 1, window)
        .expect("allowed");
    assert_eq!(
        (job.status(), job.next(window)),
        (JobStatus::Running, NextStep::Wait(after(window, wait)))
    );

    let ids: Vec<RecordId> = vec!["7".parse().expect("an id")];
    let ready = PreparationResult {
        lookup: lookup(1),
        notes: Vec::new(),
        outcome: PreparationOutcome::Ready {
            fields: None,
            records: Some(Records::Ids(ids)),
            new_records: None,
            update_by: None,
            owner: None,
        },
        took: Duration::from_millis(12),
    };
    let hash = job.request_hash.clone();
    job.record_preparation(ready.clone(), 1, window)
        .expect("allowed");

    assert_eq!(job.next(window), NextStep::Submit(vec![1]));
    assert_eq!((job.error.as_ref(), job.preparation.attempts), (None, 2));
    assert_eq!(job.request_hash, hash, "of the request as accepted");
    assert_eq!(matching().request_hash, hash);
    assert_ne!(view().request_hash, hash);
    assert_eq!(job.counts().total, 1);
    assert!(
        job.record_preparation(ready, 1, window).is_err(),
        "prepared once"
    );
    job.apply(1, CallEvent::Settled(Vec::new()), window)
        .expect("allowed");
    assert_eq!(job.status(), JobStatus::Succeeded);
}

#[test]
fn empty_match_succeeds() {
    let mut job = matching();
    let nothing = PreparationResult {
        lookup: lookup(0),
        notes: Vec::new(),
        outcome: PreparationOutcome::Nothing,
        took: Duration::ZERO,
    };
    job.record_preparation(nothing, 1, start())
        .expect("allowed");
    assert_eq!(
        (job.status(), job.next(start()), job.counts()),
        (JobStatus::Succeeded, NextStep::Notify, Counts::default())
    );
    assert_eq!(job.finished_at, Some(start()));
}

#[test]
fn refused_preparation_fails_all_records() {
    let request = json!({"module": "Leads", "fields": {"A": 1}, "ids": ["1", "2"]});
    let mut job = unprepared(UpdateRequest::parse(&request).expect("a request"), None);
    let counts = |pending, failed| Counts {
        total: 2,
        updated: 0,
        created: None,
        failed,
        pending,
        superseded: None,
    };
    assert_eq!(job.counts(), counts(2, 0));
    let refusal = Refusal::of(Cause::FieldUnknown);
    job.record_preparation(
        PreparationOutcome::Refused(refusal.clone()).into(),
        0,
        start(),
    )
    .expect("allowed");
    assert_eq!(
        (job.status(), job.counts(), job.error.as_ref()),
        (JobStatus::Failed, counts(0, 2), Some(&refusal))
    );
    assert_eq!(job.next(start()), NextStep::Done);
}

#[test]
fn preparation_fails_after_a_day() {
    let mut job = matching();
    let postponed = || {
        let reason = Refusal::with(Cause::TooManyRequests, "later");
        let wait = Duration::ZERO;
        PreparationOutcome::Postponed { reason, wait }.into()
    };
    let almost = after(start(), RETRY_PERIOD - Duration::from_secs(1));
    job.record_preparation(postponed(), 1, almost)
        .expect("allowed");
    assert_eq!(job.status(), JobStatus::Running);
    job.record_preparation(postponed(), 1, after(start(), RETRY_PERIOD))
        .expect("allowed");
    assert_eq!(job.status(), JobStatus::Failed);
    let error = job.error.expect("a reason");
    assert!(error.message.contains("after a day"), "{error}");
}
