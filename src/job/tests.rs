use super::call::PATIENCE;
use super::*;
use crate::plan::Target;
use crate::update::Method;
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
    let prepared = job.prepared(Outcome::AS_ASKED.into(), 0, start());
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
fn ids_are_derived_without_ambiguity() {
    assert_eq!(
        JobId::derive("route", "delivery", 1),
        JobId::derive("route", "delivery", 1)
    );
    assert_ne!(JobId::derive("ab", "c", 1), JobId::derive("a", "bc", 1));
    assert_ne!(JobId::derive("ab", "c", 1), JobId::derive("ab", "c", 2));
}

fn matching() -> Job {
    let wanted = json!({"field": "Email", "values": ["a@example.com", "b@example.com"]});
    let request = json!({"module": "Leads", "fields": {"A": 1}, "match": wanted});
    let callback = "https://ops.example.com/zoho".parse().ok();
    unprepared(UpdateRequest::parse(&request).expect("a request"), callback)
}

fn lookup(matched: u64) -> Option<preparation::Lookup> {
    Some(preparation::Lookup {
        field: "Email".parse().expect("a name"),
        values: 2,
        matched,
        ids: matched,
    })
}

#[test]
fn a_job_is_stored_for_programs_that_do_with_it_what_is_meant() {
    let stored = |job: &Job| {
        let (request, state) = (stored::request(job), stored::state(job));
        (request.expect("a document"), state.expect("a document"))
    };
    for (method, version) in [("mass_update", 1), ("records", 2), ("auto", 2)] {
        let request =
            json!({"module": "Leads", "fields": {"A": 1}, "ids": ["7"], "method": method});
        let job = planned(UpdateRequest::parse(&request).expect("a request"), None);
        let (request, state) = stored(&job);
        let start = format!(r#"{{"v":{version},"#);
        assert!(
            request.starts_with(&start) && state.starts_with(&start),
            "{request}"
        );
        assert_eq!(stored::job(&job.id, &request, &state).expect("a job"), job);
        // Jobs of before say nothing of a method.
        assert_eq!(request.contains("method"), version == 2, "{request}");
    }
}

#[test]
fn what_was_found_out_of_the_fields_decides_about_the_calls() {
    let request = json!({"module": "Leads", "fields": {"A": 1}, "ids": ["7"], "method": "auto"});
    let mut job = unprepared(UpdateRequest::parse(&request).expect("a request"), None);
    let ready = Outcome::Ready {
        fields: None,
        records: None,
        method: Some(Method::Records),
    };
    job.prepared(ready.into(), 0, start()).expect("allowed");
    assert_eq!(job.calls[0].call.target, Target::Records(0..1));
    assert_eq!(job.request.method, Method::Records);
    let (asked, counts) = (job.asked.clone(), job.counts());
    assert_eq!((counts.total, counts.pending), (1, 1));
    job.apply(1, Event::Settled(vec![failure(7)]), start())
        .expect("allowed");
    assert_eq!((job.status(), job.counts().failed), (JobStatus::Failed, 1));
    assert_eq!(job.asked, asked, "what was asked stays what it was");
}

#[test]
fn a_job_has_its_calls_once_its_records_are_known() {
    let mut job = matching();
    let window = later(start(), Duration::from_secs(2));
    job.not_before(window);
    assert_eq!(job.next(start()), Next::Wait(window));
    assert_eq!(
        (job.status(), job.next(window)),
        (JobStatus::Queued, Next::Prepare)
    );
    let why = Refusal::with(Cause::TooManyRequests, "later");
    let wait = Duration::from_secs(30);
    let postponed = Outcome::Postponed { why, wait };
    job.prepared(postponed.into(), 1, window).expect("allowed");
    assert_eq!(
        (job.status(), job.next(window)),
        (JobStatus::Running, Next::Wait(later(window, wait)))
    );

    let ids: Vec<RecordId> = vec!["7".parse().expect("an id")];
    let ready = Prepared {
        lookup: lookup(1),
        notes: Vec::new(),
        outcome: Outcome::Ready {
            fields: None,
            records: Some(Records::Ids(ids)),
            method: None,
        },
    };
    let asked = job.asked.clone();
    job.prepared(ready.clone(), 1, window).expect("allowed");

    assert_eq!(job.next(window), Next::Submit(vec![1]));
    assert_eq!((job.error.as_ref(), job.preparation.attempts), (None, 2));
    assert_eq!(job.asked, asked, "what was asked is not forgotten");
    assert_eq!(matching().asked, asked);
    assert_ne!(view().asked, asked);
    assert_eq!(job.counts().total, 1);
    assert!(job.prepared(ready, 1, window).is_err(), "once");
    job.apply(1, Event::Settled(Vec::new()), window)
        .expect("allowed");
    assert_eq!(job.status(), JobStatus::Succeeded);
}

#[test]
fn no_record_may_be_as_it_should_be() {
    let mut job = matching();
    let nothing = Prepared {
        lookup: lookup(0),
        notes: Vec::new(),
        outcome: Outcome::Nothing,
    };
    job.prepared(nothing, 1, start()).expect("allowed");
    assert_eq!(
        (job.status(), job.next(start()), job.counts()),
        (JobStatus::Succeeded, Next::Notify, Counts::default())
    );
    assert_eq!(job.finished_at, Some(start()));
}

#[test]
fn what_cannot_be_prepared_fails_with_all_its_records() {
    let request = json!({"module": "Leads", "fields": {"A": 1}, "ids": ["1", "2"]});
    let mut job = unprepared(UpdateRequest::parse(&request).expect("a request"), None);
    let counts = |pending, failed| Counts {
        total: 2,
        updated: 0,
        failed,
        pending,
    };
    assert_eq!(job.counts(), counts(2, 0));
    let refusal = Refusal::of(Cause::NoSuchField);
    job.prepared(Outcome::Refused(refusal.clone()).into(), 0, start())
        .expect("allowed");
    assert_eq!(
        (job.status(), job.counts(), job.error.as_ref()),
        (JobStatus::Failed, counts(0, 2), Some(&refusal))
    );
    assert_eq!(job.next(start()), Next::Nothing);
}

#[test]
fn a_preparation_is_given_up_after_a_day() {
    let mut job = matching();
    let postponed = || {
        let why = Refusal::with(Cause::TooManyRequests, "later");
        let wait = Duration::ZERO;
        Outcome::Postponed { why, wait }.into()
    };
    let almost = later(start(), PATIENCE - Duration::from_secs(1));
    job.prepared(postponed(), 1, almost).expect("allowed");
    assert_eq!(job.status(), JobStatus::Running);
    job.prepared(postponed(), 1, later(start(), PATIENCE))
        .expect("allowed");
    assert_eq!(job.status(), JobStatus::Failed);
    let error = job.error.expect("a reason");
    assert!(error.message.contains("after a day"), "{error}");
}

#[test]
fn field_groups_run_one_after_the_other() {
    let mut job = job("Contacts", 2, 1200);
    assert_eq!(job.next(start()), Next::Submit(vec![1, 2, 3]));
    for seq in 1..=3 {
        job.sent(seq, 1);
        job.apply(seq, Event::Settled(Vec::new()), start())
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
    assert_eq!(job.next(start()), Next::Submit(vec![4, 5, 6]));
    for seq in 4..=6 {
        job.apply(seq, Event::Settled(vec![]), start())
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
        (JobStatus::Succeeded, Next::Notify)
    );
}

#[test]
fn a_scheduled_call_is_polled_until_it_ends() {
    let mut job = view();
    job.sent(1, 1);
    job.apply(
        1,
        Event::Accepted {
            zoho_job_id: "9".to_owned(),
        },
        start(),
    )
    .expect("allowed");
    let Next::Wait(first) = job.next(start()) else {
        panic!("waits")
    };
    assert_eq!(job.next(first), Next::Poll(1));
    job.apply(1, Event::Unknown, first)
        .expect("a young job may be unknown");
    let Next::Wait(second) = job.next(first) else {
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
        Event::Ended {
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
fn a_zoho_job_that_is_gone_is_lost_after_a_grace() {
    let mut job = view();
    job.sent(1, 1);
    job.apply(
        1,
        Event::Accepted {
            zoho_job_id: "9".to_owned(),
        },
        start(),
    )
    .expect("allowed");
    job.apply(1, Event::Unknown, later(start(), Duration::from_secs(61)))
        .expect("allowed");
    assert_eq!(job.status(), JobStatus::Failed);
    assert_eq!(
        job.error.map(|error| error.code),
        Some("JOB_NOT_FOUND".to_owned())
    );
}

#[test]
fn a_failed_zoho_job_without_counts_is_failed() {
    let mut job = view();
    job.sent(1, 1);
    job.apply(
        1,
        Event::Accepted {
            zoho_job_id: "9".to_owned(),
        },
        start(),
    )
    .expect("allowed");
    job.apply(
        1,
        Event::Ended {
            counts: Progress::default(),
            completed: false,
        },
        start(),
    )
    .expect("allowed");
    assert_eq!(job.status(), JobStatus::Failed);
}

#[test]
fn what_zoho_never_takes_is_given_up_after_a_day() {
    let mut job = view();
    let why = Refusal::with(Cause::TooManyRequests, "later");
    let wait = Duration::from_secs(30);
    let postponed = Event::Postponed { why, wait };
    job.apply(1, postponed.clone(), start()).expect("allowed");
    assert_eq!(job.next(start()), Next::Wait(later(start(), wait)));
    job.apply(1, postponed, later(start(), PATIENCE))
        .expect("allowed");
    assert_eq!(job.status(), JobStatus::Failed);
}

#[test]
fn what_zoho_never_ends_is_given_up_in_time_with_its_last_counts() {
    let time = Duration::from_secs(600);
    let mut job = view().tracked_for(time);
    let submitted = later(start(), Duration::from_secs(3600));
    let accepted = Event::Accepted {
        zoho_job_id: "9".to_owned(),
    };
    job.sent(1, 1);
    job.apply(1, accepted, submitted).expect("allowed");
    let told = Progress {
        total: 50,
        updated: 20,
        not_updated: 1,
        failed: 2,
    };
    let mut polls = 0;
    while let Next::Wait(at) = job.next(submitted) {
        assert_eq!(job.status(), JobStatus::Running);
        assert!(at <= later(submitted, time), "{at}");
        let last = at == later(submitted, time);
        let progressed = Event::Progressed {
            counts: (polls == 0 || last).then_some(told),
            wait: Duration::from_secs(1),
        };
        job.apply(1, progressed, at).expect("allowed");
        polls += 1;
    }
    assert_eq!(job.finished_at, Some(later(submitted, time)));
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
    let (begun, end) = (now, later(now, time));
    while let Next::Wait(at) = job.next(now) {
        if at > end {
            break;
        }
        now = at;
        let wait = Duration::from_secs(1);
        job.apply(1, Event::Progressed { counts, wait }, now)
            .expect("allowed");
    }
    Duration::try_from(now.duration_since(begun)).expect("later")
}

/// A custom view's job that Zoho has taken, and is at work on.
fn tracked(time: Duration) -> Job {
    let mut job = view().tracked_for(time);
    let zoho_job_id = "9".to_owned();
    job.sent(1, 1);
    job.apply(1, Event::Accepted { zoho_job_id }, start())
        .expect("allowed");
    job
}

#[test]
fn time_in_which_nobody_looked_is_not_time_that_zoho_took() {
    let (hour, day) = (Duration::from_secs(3600), Duration::from_secs(24 * 3600));
    let running = Some(Progress::default());
    let mut job = tracked(day);
    look(&mut job, start(), hour, running);
    // The program was down, or the clock has jumped.
    let again = later(start(), 3 * day);
    let wait = Duration::from_secs(1);
    let progressed = Event::Progressed {
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
    while let Next::Wait(at) = job.next(now) {
        now = later(at, Duration::from_secs(30));
        let progressed = Event::Progressed {
            counts: running,
            wait,
        };
        job.apply(1, progressed, now).expect("allowed");
    }
    assert_eq!(now, later(start(), hour + Duration::from_secs(30)));
    // Nor is a Zoho job lost because it was not looked for.
    let mut job = tracked(hour);
    job.apply(1, Event::Unknown, again).expect("allowed");
    assert_eq!(job.status(), JobStatus::Running);
}

#[test]
fn a_zoho_job_is_not_given_up_before_zoho_was_asked_at_the_end() {
    let hour = Duration::from_secs(3600);
    let mut job = tracked(hour);
    // From shortly before its time is over nobody can ask Zoho.
    let before = look(
        &mut job,
        start(),
        hour - PATIENCE / 1_000,
        Some(Progress::default()),
    );
    let unasked = later(start(), before);
    let asked = later(unasked, look(&mut job, unasked, 2 * hour, None));
    assert_eq!(job.status(), JobStatus::Running);
    let mut answered = job.clone();
    let counts = Progress {
        total: 5,
        updated: 5,
        ..Progress::default()
    };
    let ended = Event::Ended {
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
fn a_view_never_counts_more_than_zoho_does() {
    let mut job = view();
    job.apply(
        1,
        Event::Accepted {
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
        Event::Progressed {
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
        Event::Ended {
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
fn a_final_call_takes_nothing_more() {
    let mut job = job("Leads", 1, 1);
    job.sent(1, 1);
    job.apply(1, Event::Settled(Vec::new()), start())
        .expect("allowed");
    let before = job.clone();
    assert!(
        job.apply(1, Event::Settled(vec![failure(1)]), start())
            .is_err()
    );
    assert_eq!(job, before);
}

proptest! {
    #[test]
    fn counts_always_add_up(
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
                0 => Event::Settled(bad),
                1 => Event::Refused(Refusal { code: "X".to_owned(), message: String::new(), advice: None }),
                _ => continue,
            };
            job.sent(seq, 1);
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

fn reporting(on: CallbackOn) -> Job {
    let request = json!({"module": "Leads", "fields": {"A": 1}, "cvid": "7"});
    let request = UpdateRequest::parse(&request).expect("a request");
    let callback = "https://ops.example.com/zoho".parse().ok();
    let id = JobId::derive("r", "d", 1);
    let job = Job::new(id, None, "default".to_owned(), request, callback, start());
    let mut job = job.reporting(on);
    let prepared = job.prepared(Outcome::AS_ASKED.into(), 0, start());
    prepared.expect("allowed");
    job
}

fn kind(notification: &Notification) -> String {
    let body: Value = serde_json::from_slice(&notification.body).expect("JSON");
    assert_eq!(
        body["type"],
        format!("job.{}", body["data"]["status"].as_str().expect("a status"))
    );
    body["type"].as_str().expect("a type").to_owned()
}

fn again() -> Notified {
    Notified::Again {
        why: "the receiver answered 503".to_owned(),
        wait: Duration::from_secs(60),
    }
}

fn seconds(after: u64) -> Timestamp {
    later(start(), Duration::from_secs(after))
}

fn accept(job: &mut Job, at: Timestamp) {
    let zoho_job_id = "9".to_owned();
    job.sent(1, 1);
    job.apply(1, Event::Accepted { zoho_job_id }, at)
        .expect("allowed");
}

fn progress(job: &mut Job, updated: u64, at: Timestamp) {
    let counts = Progress {
        total: 50,
        updated,
        not_updated: 50 - updated,
        failed: 0,
    };
    let wait = Duration::ZERO;
    let counts = Some(counts);
    job.apply(1, Event::Progressed { counts, wait }, at)
        .expect("allowed");
}

fn end(job: &mut Job, at: Timestamp) {
    let counts = Progress {
        total: 50,
        updated: 50,
        not_updated: 0,
        failed: 0,
    };
    let completed = true;
    job.apply(1, Event::Ended { counts, completed }, at)
        .expect("allowed");
}

#[test]
fn by_default_the_end_alone_is_told() {
    let mut job = reporting(CallbackOn::Finished);
    assert_eq!(
        (job.news_at(start()), job.notification(start())),
        (None, None)
    );
    accept(&mut job, start());
    assert_eq!(job.notification(start()), None);
    end(&mut job, seconds(9));
    let told = job.notification(seconds(9)).expect("the end");
    assert!(told.is_end());
    assert_eq!(
        (told.id.as_str(), kind(&told).as_str()),
        (&*format!("msg_{}", job.id), "job.succeeded")
    );
}

#[test]
fn the_acceptance_is_told_once_and_is_overtaken_by_the_end() {
    let mut job = reporting(CallbackOn::Accepted);
    let accepted = job.notification(start()).expect("the acceptance");
    assert_eq!(kind(&accepted), "job.queued");
    job.notified(&accepted, again(), start());
    accept(&mut job, start());
    progress(&mut job, 7, seconds(2));
    assert_eq!(job.notification(seconds(59)), None);
    let tried_again = job.notification(seconds(60)).expect("the acceptance");
    assert_eq!(
        (&tried_again.id, &tried_again.body, tried_again.tries),
        (&accepted.id, &accepted.body, 1)
    );
    let mut other = job.clone();
    other.notified(&tried_again, Notified::Delivered, seconds(60));
    assert_eq!(other.news_at(seconds(600)), None, "progress is not told");
    job.notified(&tried_again, again(), seconds(60));
    end(&mut job, seconds(61));
    let last = job
        .notification(seconds(61))
        .expect("the end waits for nothing");
    assert!(last.is_end() && last.tries == 0);
}

#[test]
fn progress_is_told_when_something_has_changed_and_not_too_often() {
    let mut job = reporting(CallbackOn::Progress);
    let accepted = job.notification(start()).expect("the acceptance");
    job.notified(&accepted, Notified::Delivered, start());
    assert_eq!(job.news_at(seconds(1)), None, "nothing has changed");
    accept(&mut job, seconds(1));
    assert_eq!(job.news_at(seconds(1)), Some(seconds(5)));
    assert_eq!(
        job.due(seconds(1)),
        Some(seconds(3)),
        "the first poll comes sooner"
    );
    assert_eq!(job.notification(seconds(4)), None);
    let running = job.notification(seconds(5)).expect("news");
    assert_eq!(kind(&running), "job.running");
    assert_eq!(
        job.notification(seconds(6)).as_ref(),
        Some(&running),
        "one state, one notification"
    );
    job.notified(&running, Notified::Delivered, seconds(6));
    let first = job.clone();
    progress(&mut job, 0, seconds(20));
    let total_known = job
        .notification(seconds(20))
        .expect("the total is known now");
    job.notified(&total_known, Notified::Delivered, seconds(20));
    for poll in 1..20 {
        progress(&mut job, 0, seconds(20 + poll));
    }
    assert_eq!(job.news_at(seconds(60)), None, "polls that changed nothing");
    progress(&mut job, 30, seconds(60));
    let more = job.notification(seconds(60)).expect("news");
    assert_ne!(more.id, running.id);
    assert_ne!(first, job);
}

#[test]
fn the_latest_takes_the_place_of_what_was_not_delivered() {
    let mut job = reporting(CallbackOn::Progress);
    let accepted = job.notification(start()).expect("the acceptance");
    job.notified(&accepted, again(), start());
    accept(&mut job, seconds(1));
    assert_eq!(
        job.notification(seconds(59)),
        None,
        "a receiver in trouble is left alone"
    );
    let latest = job.notification(seconds(60)).expect("news");
    assert_eq!((kind(&latest).as_str(), latest.tries), ("job.running", 1));
    assert_ne!(latest.id, accepted.id);
    job.notified(&latest, again(), seconds(60));
    let tried_again = job.notification(seconds(120)).expect("the same");
    assert_eq!(
        (&tried_again.id, &tried_again.body),
        (&latest.id, &latest.body)
    );
    // Attempts alone are no news, so what is sent again is what was sent.
    job.sent(1, 1);
    let unchanged = job.notification(seconds(120)).expect("the same");
    assert_eq!(unchanged, tried_again);
    job.notified(
        &tried_again,
        Notified::GivenUp("410 Gone".to_owned()),
        seconds(120),
    );
    progress(&mut job, 30, seconds(130));
    assert_eq!(
        job.news_at(seconds(500)),
        None,
        "nothing more before the end"
    );
    end(&mut job, seconds(500));
    assert!(
        job.notification(seconds(500))
            .is_some_and(|told| told.is_end())
    );
}

proptest! {
    /// Whatever is lost: of a job as it is stored, an id never stands over two bodies, and the end is told.
    #[test]
    fn an_id_has_one_body(steps in prop::collection::vec((0..6_u8, 0..40_u64), 1..60)) {
        let mut job = reporting(CallbackOn::Progress);
        let mut bodies: BTreeMap<String, bytes::Bytes> = BTreeMap::new();
        let mut now = start();
        for (step, number) in steps {
            now = later(now, Duration::from_secs(number / 4));
            if let Some(told) = job.notification(now) {
                let known = bodies.entry(told.id.clone()).or_insert_with(|| told.body.clone());
                prop_assert_eq!(&*known, &told.body);
                match step {
                    0 => job.notified(&told, Notified::Delivered, now),
                    1 => job.notified(&told, again(), now),
                    // It may have been delivered, and the process is gone before it is written down.
                    _ => {}
                }
            }
            match (step, job.call(1).map(|call| call.status)) {
                (2, Some(CallStatus::Pending)) => accept(&mut job, now),
                (3, Some(CallStatus::Submitted)) => progress(&mut job, number, now),
                (4, _) => job.sent(1, 1),
                _ => {}
            }
            let stored = serde_json::to_string(&job.callback).expect("stored");
            job.callback = serde_json::from_str(&stored).expect("read");
        }
        if job.call(1).is_some_and(|call| call.status == CallStatus::Pending) {
            accept(&mut job, now);
        }
        end(&mut job, now);
        let told = job.notification(now).expect("the end");
        prop_assert!(told.is_end());
    }
}

fn adding(ids: &[u64]) -> Job {
    let request = json!({"module": "Leads", "fields": {"Topics": ["CRM"]}, "ids": ids});
    planned(UpdateRequest::parse(&request).expect("a request"), None)
}

fn record(id: u64) -> RecordId {
    id.to_string().parse().expect("an id")
}

fn broken() -> Refusal {
    Refusal::of(Cause::BrokenAnswer)
}

#[test]
fn only_a_call_that_adds_options_is_in_doubt_while_it_is_under_way() {
    let mut plain = job("Leads", 1, 2);
    assert!(!plain.sending(1));
    assert_eq!(plain.next(start()), Next::Submit(vec![1]));
    let mut adding = adding(&[1, 2]);
    assert!(adding.sending(1));
    assert_eq!(adding.next(start()), Next::Clarify(vec![1]));
    assert!(adding.unsent(1));
    assert_eq!(adding.next(start()), Next::Submit(vec![1]));
    assert!(!adding.unsent(1));
    // Any clear answer ends the doubt.
    adding.sending(1);
    let why = Refusal::of(Cause::TooManyRequests);
    let wait = Duration::ZERO;
    let postponed = Event::Postponed { why, wait };
    adding.apply(1, postponed, start()).expect("allowed");
    assert_eq!(adding.next(start()), Next::Submit(vec![1]));
}

#[test]
fn a_job_says_what_is_done_about_its_doubts() {
    let mut reporting = adding(&[1, 2]);
    reporting.sending(1);
    let event = reporting.in_doubt(1, broken());
    reporting.apply(1, event, start()).expect("allowed");
    assert_eq!(reporting.status(), JobStatus::Failed);
    let codes: Vec<&str> = reporting
        .failures
        .iter()
        .map(|failure| failure.code.as_str())
        .collect();
    assert_eq!(codes, ["OUTCOME_UNKNOWN", "OUTCOME_UNKNOWN"]);

    let mut rereading = adding(&[1, 2]).when_unclear(Unclear::Reread);
    rereading.sending(1);
    let event = rereading.in_doubt(1, broken());
    rereading.apply(1, event, start()).expect("allowed");
    let Next::Wait(at) = rereading.next(start()) else {
        panic!("Zoho is given some time");
    };
    assert_eq!(rereading.next(at), Next::Clarify(vec![1]));
    let stored = serde_json::to_string(&rereading.calls).expect("JSON");
    rereading.calls = serde_json::from_str(&stored).expect("the same");
    let found = Event::Found([record(2)].into());
    rereading.apply(1, found, at).expect("allowed");
    assert_eq!(rereading.next(at), Next::Submit(vec![1]));
    assert_eq!(rereading.left(&rereading.calls[0]), [record(1)]);
    // Refused for good, the rest alone has failed.
    let refusal = Event::Refused(Refusal::of(Cause::FieldHidden));
    rereading.apply(1, refusal, at).expect("allowed");
    assert_eq!(rereading.status(), JobStatus::PartiallySucceeded);
    let counts = rereading.counts();
    assert_eq!((counts.updated, counts.failed, counts.pending), (1, 1, 0));
}

#[test]
fn all_found_is_all_done_and_a_doubt_does_not_last_for_ever() {
    let doubtful = || {
        let mut job = adding(&[1, 2]).when_unclear(Unclear::Reread);
        job.sending(1);
        job
    };
    let mut done = doubtful();
    let found = Event::Found([record(1), record(2)].into());
    done.apply(1, found, start()).expect("allowed");
    assert_eq!(
        (done.status(), done.counts().updated),
        (JobStatus::Succeeded, 2)
    );

    let mut never = doubtful();
    let wait = Duration::ZERO;
    let unread = Event::InDoubt {
        why: broken(),
        wait,
    };
    never
        .apply(1, unread, later(start(), PATIENCE))
        .expect("allowed");
    assert_eq!(
        never.error.map(|error| error.code),
        Some("OUTCOME_UNKNOWN".to_owned())
    );

    // What ends the job leaves the doubt what it is.
    let mut denied = doubtful();
    denied.abandon(&Refusal::of(Cause::ScopeMissing), start());
    assert_eq!(denied.failures.len(), 2);
    assert_eq!(denied.failures[0].code, "OUTCOME_UNKNOWN");
}
