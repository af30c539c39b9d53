//! Tests of jobs through their public methods.

mod calls;
mod counts;
mod history;
mod notifications;
mod preparation;
mod tracking;
mod unknown_outcome;

use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};
use url::Url;

use super::call::RETRY_PERIOD;
use super::*;
use crate::clock::after;
use crate::codes::Cause;
use crate::update::{RecordId, UpdateRequest};

/// A planned job for records 1 to `ids`, with a callback.
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

/// A planned job for a custom view.
fn view() -> Job {
    let request = json!({"module": "Leads", "fields": {"A": 1}, "cvid": "7"});
    let request = UpdateRequest::parse(&request).expect("a request");
    planned(request, None)
}

fn start() -> Timestamp {
    Timestamp::from_second(1_700_000_000).expect("a moment")
}

/// A moment so many seconds after the start.
fn seconds(count: u64) -> Timestamp {
    after(start(), Duration::from_secs(count))
}

/// Records that Zoho accepted the first call as a job.
fn accept(job: &mut Job, at: Timestamp) {
    let zoho_job_id = "9".to_owned();
    job.record_attempts(1, 1);
    job.apply(1, CallEvent::Accepted { zoho_job_id }, at)
        .expect("allowed");
}

/// A refusal of one record.
fn failure(id: u64) -> Failure {
    let id = id.to_string().parse().expect("an id");
    Failure {
        id,
        code: "INVALID_DATA".to_owned(),
        message: "the id given seems to be invalid".to_owned(),
        step: None,
    }
}
