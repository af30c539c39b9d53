//! The history: what it shows, that it is bounded, and that it survives being stored.

use super::*;
use crate::job::history::{HistoryEntry, HistoryEvent, MAX_ENTRIES, WaitReason};
use crate::store::document::{decode_job, encode_request, encode_state};

/// A moment so many milliseconds after the start.
fn millis(count: u64) -> Timestamp {
    after(start(), Duration::from_millis(count))
}

fn request(at: Timestamp, took: u64, status: u16) -> SentRequest {
    SentRequest {
        sent_at: at,
        took: Duration::from_millis(took),
        status: Some(status),
        error: None,
        throttled: Duration::ZERO,
        queued: Duration::ZERO,
        retry_in: None,
    }
}

fn refused(request: SentRequest, cause: Cause) -> SentRequest {
    SentRequest {
        error: Some(Refusal::of(cause)),
        ..request
    }
}

/// The entries as lines, with times in milliseconds since the start.
fn lines(job: &Job) -> String {
    let offset = |at: Timestamp| at.as_millisecond() - start().as_millisecond();
    let line = |entry: HistoryEntry| {
        let mut line = format!("{} {}", offset(entry.at), entry.event.as_str());
        let mut add = |text: String| line.push_str(&text);
        entry
            .took_ms
            .iter()
            .for_each(|took| add(format!(" took {took}")));
        entry
            .call
            .iter()
            .for_each(|call| add(format!(" call {call}")));
        entry
            .attempt
            .iter()
            .for_each(|number| add(format!(" attempt {number}")));
        entry
            .status
            .iter()
            .for_each(|status| add(format!(" {status}")));
        entry.code.iter().for_each(|code| add(format!(" {code}")));
        entry
            .records
            .iter()
            .for_each(|records| add(format!(" records {records}")));
        entry
            .shared_jobs
            .iter()
            .filter(|jobs| **jobs > 1)
            .for_each(|jobs| add(format!(" jobs {jobs}")));
        entry
            .shared_with
            .iter()
            .for_each(|id| add(format!(" {id}")));
        entry
            .until
            .iter()
            .for_each(|until| add(format!(" until {}", offset(*until))));
        entry.host.iter().for_each(|host| add(format!(" {host}")));
        entry
            .count
            .iter()
            .for_each(|count| add(format!(" count {count}")));
        entry
            .last_at
            .iter()
            .for_each(|last| add(format!(" last {}", offset(*last))));
        entry
            .detail
            .iter()
            .for_each(|detail| add(format!(" ({detail})")));
        line
    };
    let lines: Vec<String> = job.history_entries().into_iter().map(line).collect();
    lines.join("\n")
}

fn arrived(job: Job) -> Job {
    job.with_intake_times(IntakeTimes {
        elapsed: Duration::from_millis(31),
        verified: Some(Duration::from_millis(3)),
        mapped: Some(Duration::from_millis(27)),
    })
}

fn prepare(job: &mut Job, took: u64, now: Timestamp) {
    let result = PreparationResult {
        took: Duration::from_millis(took),
        ..PreparationOutcome::UNCHANGED.into()
    };
    job.record_preparation(result, 0, now).expect("allowed");
}

/// The job as it is read after it was stored.
fn stored(job: &Job) -> Job {
    let (request, state) = (encode_request(job), encode_state(job));
    let (request, state) = (request.expect("a document"), state.expect("a document"));
    decode_job(&job.id, &request, &state).expect("readable")
}

fn callback(job: &mut Job, at: Timestamp, status: Option<u16>, wait: Option<u64>) {
    let notification = job.notification(at).expect("due");
    let result = match wait {
        None => NotificationResult::Delivered,
        Some(wait) => NotificationResult::Retry {
            reason: "the receiver did not answer in time".to_owned(),
            wait: Duration::from_secs(wait),
        },
    };
    let attempt = CallbackAttempt {
        sent_at: at,
        took: Duration::from_millis(140),
        status,
    };
    job.record_attempt(&notification, attempt, result, after(at, attempt.took));
}

#[test]
fn history_shows_each_step_of_a_job() {
    let update = json!({"module": "Deals", "fields": {"Stage": "Won"}, "ids": (1..=1_200).collect::<Vec<_>>()});
    let update = UpdateRequest::parse(&update).expect("a request");
    let receiver = "https://ops.example.com/zoho?key=secret".parse().ok();
    let mut job = arrived(unprepared(update, receiver));
    job.delay_until(millis(2_000));
    prepare(&mut job, 210, millis(2_210));
    let others: Vec<JobId> = (2..=3).map(|n| JobId::derive("r", "d", n)).collect();
    let jobs: Vec<JobId> = others.into_iter().chain([job.id.clone()]).collect();
    let sharing = Sharing::of(&job.id, &jobs);

    let throttled = SentRequest {
        retry_in: Some(Duration::from_secs(3)),
        ..refused(request(millis(2_220), 180, 429), Cause::TooManyRequests)
    };
    job.record_requests(1, &[request(millis(2_220), 412, 200)], &Sharing::default());
    job.apply(1, CallEvent::Settled(vec![]), millis(2_632))
        .expect("allowed");
    job.record_requests(3, &[request(millis(2_220), 388, 200)], &sharing);
    job.apply(3, CallEvent::Settled(vec![]), millis(2_640))
        .expect("allowed");
    job.record_requests(
        2,
        &[throttled, request(millis(5_400), 468, 207)],
        &Sharing::default(),
    );
    job.apply(
        2,
        CallEvent::Settled(vec![failure(501), failure(502)]),
        millis(5_868),
    )
    .expect("allowed");
    callback(&mut job, millis(5_868), None, Some(5));
    callback(&mut job, millis(11_100), Some(204), None);

    insta::assert_snapshot!(lines(&job), @r"
        -31 received
        -31 verified took 3
        -28 mapped took 27
        0 queued
        0 waiting until 2000 (batch window)
        2000 planned took 210 records 1200 (3 calls)
        2220 call took 412 call 1 200 records 500
        2220 call took 388 call 3 200 records 200 jobs 3 job_30d8465c4338 job_b74d0d0aa029
        2220 call took 180 call 2 429 TOO_MANY_REQUESTS records 500
        2400 throttled call 2 until 5400 (Retry-After)
        5400 call took 468 call 2 207 records 500 (2 refused)
        5868 finished records 1198 (partially succeeded)
        5868 callback took 140 attempt 1 until 11008 ops.example.com (the receiver did not answer in time)
        6008 waiting until 11008 (receiver)
        11100 callback took 140 attempt 2 204 ops.example.com
        ");
    assert_eq!(stored(&job), job);
}

#[test]
fn polls_in_succession_are_one_entry() {
    let mut job = view();
    accept(&mut job, start());
    let mut now = seconds(2);
    for polls in 1..=40_u64 {
        job.record_poll(1, &[request(now, 80, 200)]);
        let counts = Progress {
            total: 100,
            updated: polls,
            not_updated: 100 - polls,
            failed: 0,
        };
        let progressed = CallEvent::Progressed {
            counts: Some(counts),
            wait: Duration::ZERO,
            refusal: None,
        };
        job.apply(1, progressed, now).expect("allowed");
        now = job.due(now).expect("the next poll");
    }
    job.record_poll(1, &[refused(request(now, 80, 500), Cause::InternalError)]);
    let progressed = CallEvent::Progressed {
        counts: None,
        wait: Duration::ZERO,
        refusal: None,
    };
    job.apply(1, progressed, now).expect("allowed");
    insta::assert_snapshot!(lines(&job), @r"
        0 queued
        0 planned took 0 records 100 (1 call)
        0 waiting call 1 until 2000 (next poll)
        2000 poll took 3200 call 1 200 count 40 last 8874478
        8874478 waiting call 1 until 9174478 (next poll)
        9174478 poll took 80 call 1 500 INTERNAL_ERROR
        9174478 waiting call 1 until 9474478 (next poll)
        ");
    assert_eq!(stored(&job), job);
}

/// A poll that could not be sent, for example without an access token, does not wait for "the next poll" only.
#[test]
fn refused_poll_waits_for_its_reason() {
    for (cause, reason) in [
        (Cause::ConnectionThrottled, "Retry-After"),
        (Cause::TimedOut, "retry"),
        (Cause::ConnectionBusy, "concurrency limit"),
    ] {
        let mut job = view();
        accept(&mut job, start());
        let progressed = CallEvent::Progressed {
            counts: None,
            wait: Duration::from_secs(30),
            refusal: Some(Refusal::of(cause)),
        };
        job.apply(1, progressed, seconds(2)).expect("allowed");
        let lines = lines(&job);
        let last = lines.lines().last().expect("an entry");
        assert!(last.ends_with(&format!("({reason})")), "{lines}");
    }
}

/// A request needs a moment for its permits even if nobody else has one.
#[test]
fn short_wait_for_permits_is_no_step() {
    for (queued, is_step) in [(12, false), (99, false), (100, true)] {
        let mut job = planned(
            UpdateRequest::parse(
                &json!({"module": "Leads", "fields": {"Rating": "Hot"}, "ids": [1]}),
            )
            .expect("a request"),
            None,
        );
        let sent = SentRequest {
            queued: Duration::from_millis(queued),
            ..request(seconds(1), 20, 200)
        };
        job.record_requests(1, &[sent], &Sharing::default());
        let lines = lines(&job);
        assert_eq!(
            lines.contains("concurrency limit"),
            is_step,
            "{queued}: {lines}"
        );
    }
}

#[test]
fn crash_leaves_a_call_without_answer() {
    let update = json!({"module": "Leads", "fields": {"Topics": ["CRM"]}, "ids": [1, 2]});
    let update = UpdateRequest::parse(&update).expect("a request");
    let mut job = planned(update, None).with_on_unknown_outcome(OnUnknownOutcome::Reread);
    assert!(job.begin_send(1, millis(5)));
    let mut job = stored(&job);
    assert_eq!(job.next(seconds(60)), NextStep::Resolve(vec![1]));
    job.record_reread(1, &[request(seconds(60), 90, 200)], Ok(1));
    let found = ["1".parse().expect("an id")].into();
    job.apply(1, CallEvent::FoundUpdated(found), seconds(60))
        .expect("allowed");
    assert!(job.begin_send(1, seconds(61)));
    job.record_requests(1, &[request(seconds(61), 120, 200)], &Sharing::default());
    job.apply(1, CallEvent::Settled(vec![]), seconds(61))
        .expect("allowed");
    insta::assert_snapshot!(lines(&job), @r"
    0 queued
    0 planned took 0 records 2 (1 call)
    5 call call 1 OUTCOME_UNKNOWN records 2 (sent; its answer was not recorded)
    60000 looked_up took 90 call 1 records 1 (records of the call read: 1 updated)
    61000 call took 120 call 1 200 records 2
    61000 finished records 2 (succeeded)
    ");
}

#[test]
fn large_job_keeps_its_beginning_failures_and_end() {
    let update =
        json!({"module": "Leads", "fields": {"A": 1}, "ids": (1..=50_000).collect::<Vec<_>>()});
    let update = UpdateRequest::parse(&update).expect("a request");
    let receiver = "https://ops.example.com/zoho".parse().ok();
    let mut job = arrived(unprepared(update, receiver));
    prepare(&mut job, 90, millis(100));
    for seq in 1..=100_u64 {
        let at = millis(200 + 40 * seq);
        let failures = match seq {
            7 => vec![failure(3_001)],
            _ => Vec::new(),
        };
        let place = usize::try_from(seq).expect("small");
        job.record_requests(place, &[request(at, 35, 200)], &Sharing::default());
        job.apply(place, CallEvent::Settled(failures), at)
            .expect("allowed");
    }
    let mut now = seconds(5);
    for _ in 0..8 {
        callback(&mut job, now, None, Some(36_000));
        now = job.due(now).expect("a retry");
    }
    let entries = job.history_entries();
    assert!(entries.len() <= MAX_ENTRIES && entries.len() >= MAX_ENTRIES - 1);
    let of = |event| entries.iter().filter(move |entry| entry.event == event);
    let shown = of(HistoryEvent::Call).count() as u64;
    let summary = of(HistoryEvent::Summary).next().expect("a summary");
    assert_eq!(summary.count, Some(job.history.omitted()));
    assert_eq!(shown + job.history.omitted(), 100);
    assert!(of(HistoryEvent::Call).any(|call| call.detail.as_deref() == Some("1 refused")));
    assert_eq!(of(HistoryEvent::Callback).count(), 8);
    for event in [
        HistoryEvent::Received,
        HistoryEvent::Verified,
        HistoryEvent::Mapped,
        HistoryEvent::Planned,
        HistoryEvent::Finished,
    ] {
        assert_eq!(of(event).count(), 1, "{event:?}");
    }
    assert_eq!(stored(&job), job);
}

#[test]
fn job_of_earlier_version_has_no_history() {
    let mut job = job("Leads", 1, 1);
    let (request, state) = (encode_request(&job), encode_state(&job));
    let (request, state) = (request.expect("a document"), state.expect("a document"));
    let (before, _) = state
        .split_once(",\"history\":")
        .expect("the history is last");
    let earlier = decode_job(&job.id, &request, &format!("{before}}}}}")).expect("readable");
    job.history = History::default();
    assert_eq!(earlier, job);
    assert!(earlier.history_entries().is_empty());
}

#[test]
fn rows_of_later_versions_are_counted() {
    let rows = r#"[["r",-5,1],["z",7,{"a":[1]},true,1.5],["w",1,10,"?"],["c",2,10,200]]"#;
    let mut job = job("Leads", 1, 1);
    job.history = serde_json::from_str(rows).expect("readable");
    insta::assert_snapshot!(lines(&job), @r"
        -5 received
        -5 verified took 1
        0 queued
        2 summary count 2 last 3 (2 other steps)
        5 call took 10 call 1 200 records 1
        ");
}

/// One step of a generated job: which, for which call, when, and with which outcome.
type GeneratedStep = (u8, usize, u64, u8);

/// Records a step, and returns how many requests for calls, polls and callbacks it adds.
fn record_generated(job: &mut Job, (kind, seq, at, outcome): GeneratedStep) -> [u64; 3] {
    let now = millis(at);
    let answer = match outcome % 3 {
        0 => request(now, 20, 200),
        1 => refused(request(now, 20, 429), Cause::TooManyRequests),
        _ => SentRequest {
            status: None,
            retry_in: Some(Duration::from_millis(500)),
            throttled: Duration::from_secs(1),
            queued: Duration::from_millis(110),
            ..refused(request(now, 20, 0), Cause::TimedOut)
        },
    };
    let jobs: Vec<JobId> = (0..usize::from(outcome))
        .map(|n| JobId::derive("other", "d", n))
        .chain([job.id.clone()])
        .collect();
    match kind {
        0 => {
            let requests = vec![answer; usize::from(outcome % 4)];
            job.record_requests(seq, &requests, &Sharing::of(&job.id.clone(), &jobs));
            [requests.len() as u64, 0, 0]
        }
        1 => {
            job.record_poll(seq, &[answer]);
            job.record_wait(
                now,
                Some(after(now, Duration::from_secs(5))),
                WaitReason::Poll,
                Some(seq),
            );
            [0, 1, 0]
        }
        2 => {
            let attempt = CallbackAttempt {
                sent_at: now,
                took: Duration::from_millis(9),
                status: answer.status,
            };
            job.record_callback(
                attempt,
                u32::from(outcome),
                outcome % 2 == 0,
                Some("\u{1f600}no answer"),
            );
            [0, 0, 1]
        }
        _ => {
            job.record_reread(seq, &[answer], Ok(u64::from(outcome)));
            job.record_announcement(seq, now);
            job.history.remove_announcement(seq);
            [0, 0, 0]
        }
    }
}

proptest! {
    /// Whatever happens, the history is bounded, in order, loses no count and survives being stored.
    #[test]
    fn history_is_bounded_ordered_and_complete(
        steps in prop::collection::vec((0_u8..4, 1_usize..4, 0_u64..100_000, 0_u8..20), 0..400),
    ) {
        let mut job = arrived(unprepared(
            UpdateRequest::parse(&json!({"module": "Leads", "fields": {"A": 1}, "ids": (1..=1_500).collect::<Vec<_>>()})).expect("a request"),
            "https://ops.example.com/zoho".parse().ok(),
        ));
        prepare(&mut job, 3, millis(3));
        let mut expected = [0; 3];
        for (number, step) in steps.into_iter().enumerate() {
            let added = record_generated(&mut job, step);
            for (sum, added) in expected.iter_mut().zip(added) {
                *sum += added;
            }
            if number % 50 == 0 {
                job = stored(&job);
            }
        }
        prop_assert_eq!(&stored(&job), &job);
        let entries = job.history_entries();
        prop_assert!(entries.len() <= MAX_ENTRIES, "{} entries", entries.len());
        prop_assert!(entries.is_sorted_by_key(|entry| entry.at), "{}", lines(&job));
        let shown = |event| {
            let of = entries.iter().filter(move |entry| entry.event == event);
            of.map(|entry| entry.count.unwrap_or(1)).sum::<u64>()
        };
        let summary = entries.iter().find(|entry| entry.event == HistoryEvent::Summary);
        let omitted = |noun: &str| {
            let detail = summary.and_then(|summary| summary.detail.as_deref()).unwrap_or_default();
            let texts = detail.split(", ").filter_map(|text| text.split_once(' '));
            let mut of_noun = texts.filter(|(_, name)| name.trim_end_matches('s') == noun);
            of_noun.next().map_or(0, |(count, _)| count.parse::<u64>().expect("a number"))
        };
        let counted = [
            shown(HistoryEvent::Call) + omitted("call"),
            shown(HistoryEvent::Poll) + omitted("poll"),
            shown(HistoryEvent::Callback) + omitted("callback"),
        ];
        prop_assert_eq!(counted, expected);
        let attempts: u32 = job.calls.iter().map(|call| call.attempts).sum();
        prop_assert_eq!(counted[0], u64::from(attempts));
        for event in [HistoryEvent::Received, HistoryEvent::Queued, HistoryEvent::Planned] {
            prop_assert_eq!(entries.iter().filter(|entry| entry.event == event).count(), 1);
        }
    }
}
