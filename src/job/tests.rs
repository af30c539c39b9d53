//! Calls, Zoho jobs and counts.

mod callback;
mod preparation;
mod unknown_outcome;

use super::call::PATIENCE;
use super::*;
use crate::plan::Target;
use crate::update::UpdateMethod;
use proptest::prelude::*;
use serde_json::{Value, json};

fn job(module: &str, fields: usize, ids: usize) -> Job {
    let fields: serde_json::Map<String, Value> = (0..fields)
        .map(|n| (format!("Field_{n}"), json!(n)))
        .collect();
    let ids: Vec<usize> = (1..=ids).collect();
    let request = json!({"module": module, "fields": fields, "ids": ids});
    let request = UpdateRequest::parse(&request).expect("a request");
    let callback = "https://ops.example.com/zoho".parse().ok();
    planned(request, callback)
}

fn planned(request: UpdateRequest, callback: Option<Url>) -> Job {
    let mut job = unprepared(request, callback);
    let prepared = job.record_preparation(PreparationOutcome::UNCHANGED.into(), 0, start());
    prepared.expect("allowed");
    job
}

fn unprepared(request: UpdateRequest, callback: Option<Url>) -> Job {
    let id = JobId::derive("r", "d", 1);
    Job::new(id, None, "default".to_owned(), request, callback, start())
}

fn view() -> Job {
    let request = json!({"module": "Leads", "fields": {"A": 1}, "cvid": "7"});
    let request = UpdateRequest::parse(&request).expect("a request");
    planned(request, None)
}

fn start() -> Timestamp {
    Timestamp::from_second(1_700_000_000).expect("a moment")
}

fn failure(id: u64) -> Failure {
    let id = id.to_string().parse().expect("an id");
    Failure {
        id,
        code: "INVALID_DATA".to_owned(),
        message: "the id given seems to be invalid".to_owned(),
    }
}

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
            failed: 0,
            pending: 1200
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
            failed: 0,
            pending: 0
        }
    );
    assert_eq!(
        (job.status(), job.next(start())),
        (JobStatus::Succeeded, NextStep::Notify)
    );
}

#[test]
fn scheduled_call_is_polled_until_it_ends() {
    let mut job = view();
    job.record_attempts(1, 1);
    job.apply(
        1,
        CallEvent::Accepted {
            zoho_job_id: "9".to_owned(),
        },
        start(),
    )
    .expect("allowed");
    let NextStep::Wait(first) = job.next(start()) else {
        panic!("waits")
    };
    assert_eq!(job.next(first), NextStep::Poll(1));
    job.apply(1, CallEvent::JobNotFound, first)
        .expect("a young job may be unknown");
    let NextStep::Wait(second) = job.next(first) else {
        panic!("waits")
    };
    assert!(second > first);
    let counts = Progress {
        total: 50,
        updated: 49,
        not_updated: 0,
        failed: 1,
    };
    job.apply(
        1,
        CallEvent::Ended {
            counts,
            completed: true,
        },
        second,
    )
    .expect("allowed");
    assert_eq!(job.status(), JobStatus::PartiallySucceeded);
    assert_eq!(
        job.counts(),
        Counts {
            total: 50,
            updated: 49,
            failed: 1,
            pending: 0
        }
    );
    assert_eq!(job.finished_at, Some(second));
}

#[test]
fn missing_zoho_job_fails_after_grace_period() {
    let mut job = view();
    job.record_attempts(1, 1);
    job.apply(
        1,
        CallEvent::Accepted {
            zoho_job_id: "9".to_owned(),
        },
        start(),
    )
    .expect("allowed");
    job.apply(
        1,
        CallEvent::JobNotFound,
        after(start(), Duration::from_secs(61)),
    )
    .expect("allowed");
    assert_eq!(job.status(), JobStatus::Failed);
    assert_eq!(
        job.error.map(|error| error.code),
        Some("JOB_NOT_FOUND".to_owned())
    );
}

#[test]
fn failed_zoho_job_without_counts_fails() {
    let mut job = view();
    job.record_attempts(1, 1);
    job.apply(
        1,
        CallEvent::Accepted {
            zoho_job_id: "9".to_owned(),
        },
        start(),
    )
    .expect("allowed");
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
fn postponed_call_fails_after_a_day() {
    let mut job = view();
    let why = Refusal::with(Cause::TooManyRequests, "later");
    let wait = Duration::from_secs(30);
    let postponed = CallEvent::Postponed { why, wait };
    job.apply(1, postponed.clone(), start()).expect("allowed");
    assert_eq!(job.next(start()), NextStep::Wait(after(start(), wait)));
    job.apply(1, postponed, after(start(), PATIENCE))
        .expect("allowed");
    assert_eq!(job.status(), JobStatus::Failed);
}

#[test]
fn tracking_times_out_with_last_counts() {
    let time = Duration::from_secs(600);
    let mut job = view().with_track_for(time);
    let submitted = after(start(), Duration::from_secs(3600));
    let accepted = CallEvent::Accepted {
        zoho_job_id: "9".to_owned(),
    };
    job.record_attempts(1, 1);
    job.apply(1, accepted, submitted).expect("allowed");
    let told = Progress {
        total: 50,
        updated: 20,
        not_updated: 1,
        failed: 2,
    };
    let mut polls = 0;
    while let NextStep::Wait(at) = job.next(submitted) {
        assert_eq!(job.status(), JobStatus::Running);
        assert!(at <= after(submitted, time), "{at}");
        let last = at == after(submitted, time);
        let progressed = CallEvent::Progressed {
            counts: (polls == 0 || last).then_some(told),
            wait: Duration::from_secs(1),
        };
        job.apply(1, progressed, at).expect("allowed");
        polls += 1;
    }
    assert_eq!(job.finished_at, Some(after(submitted, time)));
    assert_eq!(job.status(), JobStatus::Failed);
    assert_eq!(
        job.counts(),
        Counts {
            total: 50,
            updated: 20,
            failed: 2,
            pending: 28
        }
    );
    assert_eq!(
        job.error.map(|error| error.code),
        Some("TRACKING_TIMED_OUT".to_owned())
    );
    assert!(polls < 15, "{polls} polls in ten minutes");
}

/// Lets a job be looked at when it is due until it ends, or so much time has passed, and says how much has.
fn look(job: &mut Job, mut now: Timestamp, time: Duration, counts: Option<Progress>) -> Duration {
    let (begun, end) = (now, after(now, time));
    while let NextStep::Wait(at) = job.next(now) {
        if at > end {
            break;
        }
        now = at;
        let wait = Duration::from_secs(1);
        job.apply(1, CallEvent::Progressed { counts, wait }, now)
            .expect("allowed");
    }
    Duration::try_from(now.duration_since(begun)).expect("later")
}

/// A custom view's job that Zoho has taken, and is at work on.
fn tracked(time: Duration) -> Job {
    let mut job = view().with_track_for(time);
    let zoho_job_id = "9".to_owned();
    job.record_attempts(1, 1);
    job.apply(1, CallEvent::Accepted { zoho_job_id }, start())
        .expect("allowed");
    job
}

#[test]
fn downtime_does_not_count_as_tracking() {
    let (hour, day) = (Duration::from_secs(3600), Duration::from_secs(24 * 3600));
    let running = Some(Progress::default());
    let mut job = tracked(day);
    look(&mut job, start(), hour, running);
    // The program was down, or the clock has jumped.
    let again = after(start(), 3 * day);
    let wait = Duration::from_secs(1);
    let progressed = CallEvent::Progressed {
        counts: running,
        wait,
    };
    job.apply(1, progressed, again).expect("allowed");
    assert_eq!(job.status(), JobStatus::Running);
    let more = look(&mut job, again, 10 * day, running);
    assert_eq!(job.status(), JobStatus::Failed);
    let left = day - hour;
    assert!(more > left - hour && more < left + hour, "{more:?}");

    // A little late is nothing: somebody looked.
    let mut job = tracked(hour);
    let mut now = start();
    while let NextStep::Wait(at) = job.next(now) {
        now = after(at, Duration::from_secs(30));
        let progressed = CallEvent::Progressed {
            counts: running,
            wait,
        };
        job.apply(1, progressed, now).expect("allowed");
    }
    assert_eq!(now, after(start(), hour + Duration::from_secs(30)));
    // Nor is a Zoho job lost because it was not looked for.
    let mut job = tracked(hour);
    job.apply(1, CallEvent::JobNotFound, again)
        .expect("allowed");
    assert_eq!(job.status(), JobStatus::Running);
}

#[test]
fn tracking_ends_only_after_final_poll() {
    let hour = Duration::from_secs(3600);
    let mut job = tracked(hour);
    // Zoho cannot be polled from shortly before the end of `track_for`.
    let before = look(
        &mut job,
        start(),
        hour - PATIENCE / 1_000,
        Some(Progress::default()),
    );
    let unasked = after(start(), before);
    let asked = after(unasked, look(&mut job, unasked, 2 * hour, None));
    assert_eq!(job.status(), JobStatus::Running);
    let mut answered = job.clone();
    let counts = Progress {
        total: 5,
        updated: 5,
        ..Progress::default()
    };
    let ended = CallEvent::Ended {
        counts,
        completed: true,
    };
    answered.apply(1, ended, asked).expect("allowed");
    assert_eq!(answered.status(), JobStatus::Succeeded);
    // But not for ever.
    let more = look(&mut job, asked, 10 * PATIENCE, None);
    assert_eq!(job.status(), JobStatus::Failed);
    assert!(more < PATIENCE, "{more:?}");
}

#[test]
fn view_counts_never_exceed_zoho_counts() {
    let mut job = view();
    job.apply(
        1,
        CallEvent::Accepted {
            zoho_job_id: "9".to_owned(),
        },
        start(),
    )
    .expect("allowed");
    let odd = Progress {
        total: 10,
        updated: 8,
        not_updated: u64::MAX,
        failed: 40,
    };
    job.apply(
        1,
        CallEvent::Progressed {
            counts: Some(odd),
            wait: Duration::ZERO,
        },
        start(),
    )
    .expect("allowed");
    assert_eq!(
        job.counts(),
        Counts {
            total: 10,
            updated: 8,
            failed: 2,
            pending: 0
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
            failed: 20,
            pending: 0
        }
    );
    assert_eq!(job.status(), JobStatus::PartiallySucceeded);
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
