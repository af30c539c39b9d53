//! The callbacks that the receiver of `masshook dev` got.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::sync;

/// Callbacks that are kept.
const MAX_CALLBACKS: usize = 200;

/// Characters of a body that are shown.
const MAX_BODY_CHARS: usize = 20_000;

/// A received callback.
#[derive(Clone, Debug)]
pub struct ReceivedCallback {
    /// When it arrived.
    pub at: Timestamp,
    /// Its `webhook-id`.
    pub id: String,
    /// The URL that the job names.
    pub url: Option<String>,
    /// Why its signature is not valid, if it is not.
    pub problem: Option<String>,
    /// The status of the answer.
    pub status: u16,
    /// Its body.
    pub body: Value,
}

/// The latest callbacks. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct ReceivedCallbacks(Arc<Mutex<VecDeque<ReceivedCallback>>>);

impl ReceivedCallbacks {
    /// Adds a callback, and drops the oldest if there are too many.
    pub fn push(&self, callback: ReceivedCallback) {
        let mut callbacks = sync::lock(&self.0);
        callbacks.push_front(callback);
        callbacks.truncate(MAX_CALLBACKS);
    }

    /// The callbacks, the latest first; of one job, if it is named.
    pub(super) fn to_json(&self, job: Option<&str>, limit: usize) -> Value {
        let callbacks = sync::lock(&self.0);
        let wanted = callbacks
            .iter()
            .filter(|callback| job.is_none_or(|job| callback.body["data"]["id"] == job));
        let entries = wanted.take(limit).map(ReceivedCallback::to_json);
        json!({"callbacks": entries.collect::<Vec<_>>()})
    }
}

impl ReceivedCallback {
    fn to_json(&self) -> Value {
        let body = format!("{:#}", self.body);
        let shown: String = body.chars().take(MAX_BODY_CHARS).collect();
        json!({
            "at": format!("{:.3}", self.at),
            "id": self.id,
            "url": self.url,
            "type": self.body["type"],
            "job": self.body["data"]["id"],
            "job_status": self.body["data"]["status"],
            "problem": self.problem,
            "status": self.status,
            "is_complete": shown.len() == body.len(),
            "body": shown,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latest_callbacks_are_kept_and_can_be_those_of_a_job() {
        let received = ReceivedCallbacks::default();
        for number in 0..MAX_CALLBACKS + 3 {
            received.push(ReceivedCallback {
                at: Timestamp::UNIX_EPOCH,
                id: number.to_string(),
                url: None,
                problem: None,
                status: 204,
                body: json!({"type": "job.succeeded", "data": {"id": format!("job_{}", number % 2), "text": "x".repeat(30_000)}}),
            });
        }
        let all = received.to_json(None, 1_000);
        let all = all["callbacks"].as_array().expect("a list");
        assert_eq!(all.len(), MAX_CALLBACKS);
        assert_eq!(all[0]["id"], "202");
        assert_eq!(all[0]["is_complete"], false);
        let of_job = received.to_json(Some("job_1"), 3);
        let of_job = of_job["callbacks"].as_array().expect("a list");
        assert!(of_job.len() == 3 && of_job.iter().all(|one| one["job"] == "job_1"));
    }
}
