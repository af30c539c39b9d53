//! Notifications, and when they are due.

use std::collections::BTreeMap;

use super::*;

fn job_with_callbacks(on: CallbackOn) -> Job {
    let request = json!({"module": "Leads", "fields": {"A": 1}, "cvid": "7"});
    let request = UpdateRequest::parse(&request).expect("a request");
    let callback = "https://ops.example.com/zoho".parse().ok();
    let id = JobId::derive("r", "d", 1);
    let job = Job::new(id, None, "default".to_owned(), request, callback, start());
    let mut job = job.with_callback_on(on);
    let prepared = job.record_preparation(PreparationOutcome::UNCHANGED.into(), 0, start());
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

fn retry() -> NotificationResult {
    NotificationResult::Retry {
        reason: "the receiver answered 503".to_owned(),
        wait: Duration::from_secs(60),
    }
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
    job.apply(
        1,
        CallEvent::Progressed {
            counts,
            wait,
            refusal: None,
        },
        at,
    )
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
    job.apply(1, CallEvent::Ended { counts, completed }, at)
        .expect("allowed");
}

#[test]
fn default_callback_is_final_only() {
    let mut job = job_with_callbacks(CallbackOn::Finished);
    assert_eq!(
        (job.progress_due_at(start()), job.notification(start())),
        (None, None)
    );
    accept(&mut job, start());
    assert_eq!(job.notification(start()), None);
    end(&mut job, seconds(9));
    let last = job.notification(seconds(9)).expect("the end");
    assert!(last.is_final());
    assert_eq!(
        (last.id.as_str(), kind(&last).as_str()),
        (&*format!("msg_{}", job.id), "job.succeeded")
    );
}

#[test]
fn acceptance_is_sent_once_until_final_callback() {
    let mut job = job_with_callbacks(CallbackOn::Accepted);
    let accepted = job.notification(start()).expect("the acceptance");
    assert_eq!(kind(&accepted), "job.queued");
    job.record_notification(&accepted, retry(), start());
    accept(&mut job, start());
    progress(&mut job, 7, seconds(2));
    assert_eq!(job.notification(seconds(59)), None);
    let second_attempt = job.notification(seconds(60)).expect("the acceptance");
    assert_eq!(
        (
            &second_attempt.id,
            &second_attempt.body,
            second_attempt.previous_attempts
        ),
        (&accepted.id, &accepted.body, 1)
    );
    let mut other = job.clone();
    other.record_notification(&second_attempt, NotificationResult::Delivered, seconds(60));
    assert_eq!(
        other.progress_due_at(seconds(600)),
        None,
        "no progress callbacks"
    );
    job.record_notification(&second_attempt, retry(), seconds(60));
    end(&mut job, seconds(61));
    let last = job
        .notification(seconds(61))
        .expect("the end is sent at once");
    assert!(last.is_final() && last.previous_attempts == 0);
}

#[test]
fn progress_is_sent_on_change_and_throttled() {
    let mut job = job_with_callbacks(CallbackOn::Progress);
    let accepted = job.notification(start()).expect("the acceptance");
    job.record_notification(&accepted, NotificationResult::Delivered, start());
    assert_eq!(job.progress_due_at(seconds(1)), None, "nothing has changed");
    accept(&mut job, seconds(1));
    assert_eq!(job.progress_due_at(seconds(1)), Some(seconds(5)));
    assert_eq!(
        job.due(seconds(1)),
        Some(seconds(3)),
        "the first poll is earlier"
    );
    assert_eq!(job.notification(seconds(4)), None);
    let running = job.notification(seconds(5)).expect("a change");
    assert_eq!(kind(&running), "job.running");
    assert_eq!(
        job.notification(seconds(6)).as_ref(),
        Some(&running),
        "one notification for one state"
    );
    job.record_notification(&running, NotificationResult::Delivered, seconds(6));
    let first = job.clone();
    progress(&mut job, 0, seconds(20));
    let total_known = job
        .notification(seconds(20))
        .expect("the total is known now");
    job.record_notification(&total_known, NotificationResult::Delivered, seconds(20));
    for poll in 1..20 {
        progress(&mut job, 0, seconds(20 + poll));
    }
    assert_eq!(
        job.progress_due_at(seconds(60)),
        None,
        "polls that changed nothing"
    );
    progress(&mut job, 30, seconds(60));
    let more = job.notification(seconds(60)).expect("a change");
    assert_ne!(more.id, running.id);
    assert_ne!(first, job);
}

#[test]
fn latest_progress_replaces_undelivered() {
    let mut job = job_with_callbacks(CallbackOn::Progress);
    let accepted = job.notification(start()).expect("the acceptance");
    job.record_notification(&accepted, retry(), start());
    accept(&mut job, seconds(1));
    assert_eq!(
        job.notification(seconds(59)),
        None,
        "the retry is not due yet"
    );
    let latest = job.notification(seconds(60)).expect("a change");
    assert_eq!(
        (kind(&latest).as_str(), latest.previous_attempts),
        ("job.running", 1)
    );
    assert_ne!(latest.id, accepted.id);
    job.record_notification(&latest, retry(), seconds(60));
    let second_attempt = job.notification(seconds(120)).expect("the same");
    assert_eq!(
        (&second_attempt.id, &second_attempt.body),
        (&latest.id, &latest.body)
    );
    // Attempts alone are no change, so the same notification is sent again.
    job.record_attempts(1, 1);
    let unchanged = job.notification(seconds(120)).expect("the same");
    assert_eq!(unchanged, second_attempt);
    job.record_notification(
        &second_attempt,
        NotificationResult::Abandoned("410 Gone".to_owned()),
        seconds(120),
    );
    progress(&mut job, 30, seconds(130));
    assert_eq!(
        job.progress_due_at(seconds(500)),
        None,
        "nothing more before the end"
    );
    end(&mut job, seconds(500));
    assert!(
        job.notification(seconds(500))
            .is_some_and(|last| last.is_final())
    );
}

proptest! {
    /// A notification id has one body even after a crash, and the final callback is sent.
    #[test]
    fn notification_id_has_one_body(steps in prop::collection::vec((0..6_u8, 0..40_u64), 1..60)) {
        let mut job = job_with_callbacks(CallbackOn::Progress);
        let mut bodies: BTreeMap<String, bytes::Bytes> = BTreeMap::new();
        let mut now = start();
        for (step, number) in steps {
            now = after(now, Duration::from_secs(number / 4));
            if let Some(sent) = job.notification(now) {
                let body = bodies.entry(sent.id.clone()).or_insert_with(|| sent.body.clone());
                prop_assert_eq!(&*body, &sent.body);
                match step {
                    0 => job.record_notification(&sent, NotificationResult::Delivered, now),
                    1 => job.record_notification(&sent, retry(), now),
                    // The process crashes before it records the result.
                    _ => {}
                }
            }
            match (step, job.call(1).map(|call| call.status)) {
                (2, Some(CallStatus::Pending)) => accept(&mut job, now),
                (3, Some(CallStatus::Submitted)) => progress(&mut job, number, now),
                (4, _) => job.record_attempts(1, 1),
                _ => {}
            }
            let stored = serde_json::to_string(&job.callback).expect("stored");
            job.callback = serde_json::from_str(&stored).expect("read");
        }
        if job.call(1).is_some_and(|call| call.status == CallStatus::Pending) {
            accept(&mut job, now);
        }
        end(&mut job, now);
        let last = job.notification(now).expect("the end");
        prop_assert!(last.is_final());
    }
}
