//! Counts of records.

use super::*;
use crate::update::StepKind;

/// A record counts as pending once, although calls of several steps are open for it.
#[test]
fn steps_count_their_own_records() {
    let ids: Vec<u64> = (1..=700).collect();
    let request = json!({
        "module": "Leads", "fields": {"A": 1}, "update_by": "records", "ids": ids,
        "tags": {"add": ["a"]}, "owner": {"id": "5"},
    });
    let mut job = planned(UpdateRequest::parse(&request).expect("a request"), None);
    assert_eq!(job.calls.len(), 7 + 2 + 2);
    let counts = |updated, failed| Counts {
        total: 700,
        updated,
        created: None,
        failed,
        pending: 700 - updated - failed,
        superseded: None,
    };
    assert_eq!(job.counts(), counts(0, 0));
    let settle = |job: &mut Job, seq: usize, failures| {
        job.record_attempts(seq, 1);
        job.apply(seq, CallEvent::Settled(failures), start())
            .expect("allowed");
    };
    for seq in 1..=7 {
        let failures = if seq == 1 {
            vec![failure(3)]
        } else {
            Vec::new()
        };
        settle(&mut job, seq, failures);
    }
    assert_eq!(job.counts(), counts(0, 1));
    assert_eq!(job.counts_of_step(StepKind::Fields), counts(699, 1));
    assert_eq!(job.counts_of_step(StepKind::AddTags), counts(0, 0));
    assert_eq!(job.next(start()), NextStep::Submit(vec![8, 9]));
    settle(&mut job, 8, vec![failure(3), failure(4)]);
    let refusal = Refusal::of(Cause::ScopeMissing);
    job.abandon(job.calls[8].call.target.kind(), &refusal, start());
    assert_eq!(job.counts_of_step(StepKind::AddTags), counts(498, 202));
    assert_eq!(
        job.next(start()),
        NextStep::Submit(vec![10, 11]),
        "the owner is not denied"
    );
    settle(&mut job, 10, Vec::new());
    settle(&mut job, 11, Vec::new());
    assert_eq!(job.counts_of_step(StepKind::Owner), counts(700, 0));
    assert_eq!(job.counts(), counts(498, 202));
    assert_eq!(job.status(), JobStatus::PartiallySucceeded);
    let steps: Vec<Option<StepKind>> = job.failures.iter().map(|failure| failure.step).collect();
    assert_eq!(
        steps,
        [StepKind::Fields, StepKind::AddTags, StepKind::AddTags].map(Some)
    );
}

#[test]
fn view_counts_never_exceed_zoho_counts() {
    let mut job = view();
    accept(&mut job, start());
    let inconsistent = Progress {
        total: 10,
        updated: 8,
        not_updated: u64::MAX,
        failed: 40,
    };
    job.apply(
        1,
        CallEvent::Progressed {
            counts: Some(inconsistent),
            wait: Duration::ZERO,
            refusal: None,
        },
        start(),
    )
    .expect("allowed");
    assert_eq!(
        job.counts(),
        Counts {
            total: 10,
            updated: 8,
            created: None,
            failed: 2,
            pending: 0,
            superseded: None
        }
    );
    let failed = Progress {
        total: 50,
        updated: 30,
        not_updated: 20,
        failed: 0,
    };
    job.apply(
        1,
        CallEvent::Ended {
            counts: failed,
            completed: false,
        },
        start(),
    )
    .expect("allowed");
    assert_eq!(
        job.counts(),
        Counts {
            total: 50,
            updated: 30,
            created: None,
            failed: 20,
            pending: 0,
            superseded: None
        }
    );
    assert_eq!(job.status(), JobStatus::PartiallySucceeded);
}

/// Records that an earlier step has taken out of the view are not those that a later step failed to change.
#[test]
fn shrunk_view_counts_no_record_as_failed() {
    let request = json!({
        "module": "Leads", "fields": {"Rating": "Hot"}, "cvid": "77", "owner": {"id": "5"},
    });
    let ended = |seen, updated| {
        let mut job = planned(UpdateRequest::parse(&request).expect("a request"), None);
        assert_eq!(job.calls.len(), 2);
        for (seq, (total, updated)) in [(1, (25, 25)), (2, (seen, updated))] {
            let accepted = CallEvent::Accepted {
                zoho_job_id: seq.to_string(),
            };
            job.record_attempts(seq, 1);
            job.apply(seq, accepted, start()).expect("allowed");
            let counts = Progress {
                total,
                updated,
                not_updated: total - updated,
                failed: 0,
            };
            let ended = CallEvent::Ended {
                counts,
                completed: true,
            };
            job.apply(seq, ended, start()).expect("allowed");
        }
        let counts = job.counts();
        let owner = job.counts_of_step(StepKind::Owner);
        assert_eq!((owner.total, owner.updated), (seen, updated));
        (job.status(), counts.total, counts.updated, counts.failed)
    };
    assert_eq!(ended(5, 5), (JobStatus::Succeeded, 25, 25, 0));
    assert_eq!(ended(5, 3), (JobStatus::PartiallySucceeded, 25, 23, 2));
    assert_eq!(ended(25, 25), (JobStatus::Succeeded, 25, 25, 0));
}

proptest! {
    #[test]
    fn counts_add_up(
        fields in 1_usize..4, ids in 1_usize..1600,
        outcomes in prop::collection::vec((0..3_u8, prop::collection::vec(1_u64..1600, 0..5)), 1..14),
    ) {
        let mut job = job("Leads", fields, ids);
        for (index, (outcome, bad)) in outcomes.into_iter().enumerate() {
            let seq = index % job.calls.len() + 1;
            let own: Vec<u64> = job.ids(&job.calls[seq - 1].call).iter()
                .filter_map(|id| id.to_string().parse().ok()).collect();
            let bad = bad.into_iter().filter(|id| own.contains(id)).map(failure).collect();
            let event = match outcome {
                0 => CallEvent::Settled(bad),
                1 => CallEvent::Refused(Refusal { code: "X".to_owned(), message: String::new(), advice: None }),
                _ => continue,
            };
            job.record_attempts(seq, 1);
            let _ = job.apply(seq, event, start());
            let counts = job.counts();
            prop_assert_eq!(counts.total, ids as u64);
            prop_assert_eq!(counts.updated + counts.failed + counts.pending, counts.total);
            if job.status().is_final() {
                prop_assert_eq!(counts.pending, 0);
            }
        }
    }
}
