//! Tracking of Zoho jobs.

use super::*;

/// A job for a custom view that Zoho has accepted and is running.
fn tracked(time: Duration) -> Job {
    let mut job = view().with_track_for(time);
    accept(&mut job, start());
    job
}

/// Polls a job whenever it is due, until it ends or `time` has passed. Returns how much time has passed.
fn poll(job: &mut Job, mut now: Timestamp, time: Duration, counts: Option<Progress>) -> Duration {
    let (start, end) = (now, after(now, time));
    while let NextStep::Wait(at) = job.next(now) {
        if at > end {
            break;
        }
        now = at;
        let wait = Duration::from_secs(1);
        job.apply(
            1,
            CallEvent::Progressed {
                counts,
                wait,
                refusal: None,
            },
            now,
        )
        .expect("allowed");
    }
    Duration::try_from(now.duration_since(start)).expect("later")
}

#[test]
fn scheduled_call_is_polled_until_it_ends() {
    let mut job = view();
    accept(&mut job, start());
    let NextStep::Wait(first) = job.next(start()) else {
        panic!("waits")
    };
    assert_eq!(job.next(first), NextStep::Poll(1));
    job.apply(1, CallEvent::JobNotFound, first)
        .expect("a new Zoho job may be unknown");
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
            created: None,
            failed: 1,
            pending: 0,
            superseded: None
        }
    );
    assert_eq!(job.finished_at, Some(second));
}

#[test]
fn missing_zoho_job_fails_after_grace_period() {
    let mut job = view();
    accept(&mut job, start());
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
fn tracking_times_out_with_last_counts() {
    let time = Duration::from_secs(600);
    let mut job = view().with_track_for(time);
    let submitted = after(start(), Duration::from_secs(3600));
    accept(&mut job, submitted);
    let last_counts = Progress {
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
            counts: (polls == 0 || last).then_some(last_counts),
            wait: Duration::from_secs(1),
            refusal: None,
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
            created: None,
            failed: 2,
            pending: 28,
            superseded: None
        }
    );
    assert_eq!(
        job.error.map(|error| error.code),
        Some("TRACKING_TIMED_OUT".to_owned())
    );
    assert!(polls < 15, "{polls} polls in ten minutes");
}

#[test]
fn downtime_does_not_count_as_tracking() {
    let (hour, day) = (Duration::from_secs(3600), Duration::from_secs(24 * 3600));
    let running = Some(Progress::default());
    let mut job = tracked(day);
    poll(&mut job, start(), hour, running);
    // masshook was down, or the clock has jumped.
    let resumed = after(start(), 3 * day);
    let wait = Duration::from_secs(1);
    let progressed = CallEvent::Progressed {
        counts: running,
        wait,
        refusal: None,
    };
    job.apply(1, progressed, resumed).expect("allowed");
    assert_eq!(job.status(), JobStatus::Running);
    let more = poll(&mut job, resumed, 10 * day, running);
    assert_eq!(job.status(), JobStatus::Failed);
    let left = day - hour;
    assert!(more > left - hour && more < left + hour, "{more:?}");

    // Short delays between polls are not downtime.
    let mut job = tracked(hour);
    let mut now = start();
    while let NextStep::Wait(at) = job.next(now) {
        now = after(at, Duration::from_secs(30));
        let progressed = CallEvent::Progressed {
            counts: running,
            wait,
            refusal: None,
        };
        job.apply(1, progressed, now).expect("allowed");
    }
    assert_eq!(now, after(start(), hour + Duration::from_secs(30)));
    // A Zoho job is not lost because it was not polled.
    let mut job = tracked(hour);
    job.apply(1, CallEvent::JobNotFound, resumed)
        .expect("allowed");
    assert_eq!(job.status(), JobStatus::Running);
}

#[test]
fn tracking_ends_only_after_final_poll() {
    let hour = Duration::from_secs(3600);
    let mut job = tracked(hour);
    // Zoho cannot be polled from shortly before the end of `track_for`.
    let before = poll(
        &mut job,
        start(),
        hour - RETRY_PERIOD / 1_000,
        Some(Progress::default()),
    );
    let outage = after(start(), before);
    let restored = after(outage, poll(&mut job, outage, 2 * hour, None));
    assert_eq!(job.status(), JobStatus::Running);
    let mut polled = job.clone();
    let counts = Progress {
        total: 5,
        updated: 5,
        ..Progress::default()
    };
    let ended = CallEvent::Ended {
        counts,
        completed: true,
    };
    polled.apply(1, ended, restored).expect("allowed");
    assert_eq!(polled.status(), JobStatus::Succeeded);
    // Polling ends after the retry period.
    let more = poll(&mut job, restored, 10 * RETRY_PERIOD, None);
    assert_eq!(job.status(), JobStatus::Failed);
    assert!(more < RETRY_PERIOD, "{more:?}");
}
