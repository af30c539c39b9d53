//! Ids, the order of calls, and their final states.

use super::*;

#[test]
fn derived_ids_are_unambiguous() {
    assert_eq!(
        JobId::derive("route", "delivery", 1),
        JobId::derive("route", "delivery", 1)
    );
    assert_ne!(JobId::derive("ab", "c", 1), JobId::derive("a", "bc", 1));
    assert_ne!(JobId::derive("ab", "c", 1), JobId::derive("ab", "c", 2));
}

#[test]
fn field_groups_run_sequentially() {
    let mut job = job("Contacts", 2, 1200);
    assert_eq!(job.next(start()), NextStep::Submit(vec![1, 2, 3]));
    for seq in 1..=3 {
        job.record_attempts(seq, 1);
        job.apply(seq, CallEvent::Settled(Vec::new()), start())
            .expect("allowed");
    }
    assert_eq!(
        job.counts(),
        Counts {
            total: 1200,
            updated: 0,
            created: None,
            failed: 0,
            pending: 1200,
            superseded: None
        }
    );
    assert_eq!(job.next(start()), NextStep::Submit(vec![4, 5, 6]));
    for seq in 4..=6 {
        job.apply(seq, CallEvent::Settled(vec![]), start())
            .expect("allowed");
    }
    assert_eq!(
        job.counts(),
        Counts {
            total: 1200,
            updated: 1200,
            created: None,
            failed: 0,
            pending: 0,
            superseded: None
        }
    );
    assert_eq!(
        (job.status(), job.next(start())),
        (JobStatus::Succeeded, NextStep::Notify)
    );
}

#[test]
fn postponed_call_fails_after_a_day() {
    let mut job = view();
    let reason = Refusal::with(Cause::TooManyRequests, "later");
    let wait = Duration::from_secs(30);
    let postponed = CallEvent::Postponed { reason, wait };
    job.apply(1, postponed.clone(), start()).expect("allowed");
    assert_eq!(job.next(start()), NextStep::Wait(after(start(), wait)));
    job.apply(1, postponed, after(start(), RETRY_PERIOD))
        .expect("allowed");
    assert_eq!(job.status(), JobStatus::Failed);
}

#[test]
fn failed_zoho_job_without_counts_fails() {
    let mut job = view();
    accept(&mut job, start());
    job.apply(
        1,
        CallEvent::Ended {
            counts: Progress::default(),
            completed: false,
        },
        start(),
    )
    .expect("allowed");
    assert_eq!(job.status(), JobStatus::Failed);
}

#[test]
fn final_call_accepts_no_event() {
    let mut job = job("Leads", 1, 1);
    job.record_attempts(1, 1);
    job.apply(1, CallEvent::Settled(Vec::new()), start())
        .expect("allowed");
    let before = job.clone();
    assert!(
        job.apply(1, CallEvent::Settled(vec![failure(1)]), start())
            .is_err()
    );
    assert_eq!(job, before);
}
