//! Calls whose outcome is unknown.

use super::*;
use crate::plan::CallKind;

fn adding_job(ids: &[u64]) -> Job {
    let request = json!({"module": "Leads", "fields": {"Topics": ["CRM"]}, "ids": ids});
    planned(UpdateRequest::parse(&request).expect("a request"), None)
}

fn record(id: u64) -> RecordId {
    id.to_string().parse().expect("an id")
}

fn broken_answer() -> Refusal {
    Refusal::of(Cause::BrokenAnswer)
}

#[test]
fn only_adding_call_is_marked_before_sending() {
    let mut plain = job("Leads", 1, 2);
    assert!(!plain.begin_send(1, start()));
    assert_eq!(plain.next(start()), NextStep::Submit(vec![1]));
    let mut adding = adding_job(&[1, 2]);
    assert!(adding.begin_send(1, start()));
    assert_eq!(adding.next(start()), NextStep::Resolve(vec![1]));
    assert!(adding.cancel_send(1));
    assert_eq!(adding.next(start()), NextStep::Submit(vec![1]));
    assert!(!adding.cancel_send(1));
    // A definite answer removes the mark.
    adding.begin_send(1, start());
    let reason = Refusal::of(Cause::TooManyRequests);
    let wait = Duration::ZERO;
    let postponed = CallEvent::Postponed { reason, wait };
    adding.apply(1, postponed, start()).expect("allowed");
    assert_eq!(adding.next(start()), NextStep::Submit(vec![1]));
}

#[test]
fn unknown_outcome_is_reported_or_reread() {
    let mut reporting = adding_job(&[1, 2]);
    reporting.begin_send(1, start());
    let event = reporting.unknown_outcome_event(1, broken_answer());
    reporting.apply(1, event, start()).expect("allowed");
    assert_eq!(reporting.status(), JobStatus::Failed);
    let codes: Vec<&str> = reporting
        .failures
        .iter()
        .map(|failure| failure.code.as_str())
        .collect();
    assert_eq!(codes, ["OUTCOME_UNKNOWN", "OUTCOME_UNKNOWN"]);

    let mut rereading = adding_job(&[1, 2]).with_on_unknown_outcome(OnUnknownOutcome::Reread);
    rereading.begin_send(1, start());
    let event = rereading.unknown_outcome_event(1, broken_answer());
    rereading.apply(1, event, start()).expect("allowed");
    let NextStep::Wait(at) = rereading.next(start()) else {
        panic!("the job waits before it rereads");
    };
    assert_eq!(rereading.next(at), NextStep::Resolve(vec![1]));
    let stored = serde_json::to_string(&rereading.calls).expect("JSON");
    rereading.calls = serde_json::from_str(&stored).expect("the same");
    let found = CallEvent::FoundUpdated([record(2)].into());
    rereading.apply(1, found, at).expect("allowed");
    assert_eq!(rereading.next(at), NextStep::Submit(vec![1]));
    assert_eq!(rereading.remaining_ids(&rereading.calls[0]), [record(1)]);
    // If the call is then refused, only the remaining record has failed.
    let refusal = CallEvent::Refused(Refusal::of(Cause::FieldHidden));
    rereading.apply(1, refusal, at).expect("allowed");
    assert_eq!(rereading.status(), JobStatus::PartiallySucceeded);
    let counts = rereading.counts();
    assert_eq!((counts.updated, counts.failed, counts.pending), (1, 1, 0));
}

#[test]
fn reread_completes_call_or_gives_up() {
    let marked = || {
        let mut job = adding_job(&[1, 2]).with_on_unknown_outcome(OnUnknownOutcome::Reread);
        job.begin_send(1, start());
        job
    };
    let mut done = marked();
    let found = CallEvent::FoundUpdated([record(1), record(2)].into());
    done.apply(1, found, start()).expect("allowed");
    assert_eq!(
        (done.status(), done.counts().updated),
        (JobStatus::Succeeded, 2)
    );

    let mut never = marked();
    let wait = Duration::ZERO;
    let needs_reread = CallEvent::NeedsReread {
        reason: broken_answer(),
        wait,
    };
    never
        .apply(1, needs_reread, after(start(), RETRY_PERIOD))
        .expect("allowed");
    assert_eq!(
        never.error.map(|error| error.code),
        Some("OUTCOME_UNKNOWN".to_owned())
    );

    // When the job is abandoned, the outcome stays unknown.
    let mut denied = marked();
    denied.abandon(
        CallKind::Immediate,
        &Refusal::of(Cause::ScopeMissing),
        start(),
    );
    assert_eq!(denied.failures.len(), 2);
    assert_eq!(denied.failures[0].code, "OUTCOME_UNKNOWN");
}
