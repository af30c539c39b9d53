//! Why a delivery becomes a dead letter.

use jiff::Timestamp;
use serde::Serialize;

use super::callback::CallbackStatus;
use super::id::JobId;
use super::model::Job;
use super::status::JobStatus;

/// The longest reason that is stored. A longer one is truncated.
const MAX_REASON_CHARS: usize = 2_000;

/// Why a delivery is a dead letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeadLetterReason {
    /// A code.
    pub code: String,
    /// A description.
    pub reason: String,
    /// The job that failed; none if the delivery never had one.
    pub job: Option<JobId>,
    /// When the delivery became a dead letter.
    pub since: Timestamp,
}

impl DeadLetterReason {
    /// The code of a delivery whose job is parked.
    pub const PARKED: &'static str = "JOB_PARKED";

    /// A reason. A long text is truncated.
    pub fn new(code: &str, reason: &str, job: Option<&JobId>, since: Timestamp) -> Self {
        let mut chars = reason.chars();
        let mut reason: String = chars.by_ref().take(MAX_REASON_CHARS).collect();
        if chars.next().is_some() {
            reason.push('…');
        }
        Self {
            code: code.to_owned(),
            reason,
            job: job.cloned(),
            since,
        }
    }

    /// The reason for a finished job, if it failed or its callback was given up. A job with single refused records is no dead
    /// letter: it succeeded partially, and its callback lists the records.
    pub fn for_job(job: &Job, now: Timestamp) -> Option<Self> {
        let failed = (job.status() == JobStatus::Failed).then(|| match &job.error {
            Some(error) => format!("{}: {}", error.code, error.message),
            None => format!("none of {} records was updated", job.counts().total),
        });
        let callback = job.callback.as_ref();
        let undelivered =
            callback.filter(|callback| callback.status == CallbackStatus::Undeliverable);
        let undelivered = undelivered.map(|callback| {
            let error = callback.error.as_deref().unwrap_or("no reason is known");
            format!("its callback was given up: {error}")
        });
        let (code, reason) = match (failed, undelivered) {
            (None, None) => return None,
            (None, Some(undelivered)) => ("CALLBACK_UNDELIVERABLE", undelivered),
            (Some(failed), None) => ("JOB_FAILED", failed),
            (Some(failed), Some(undelivered)) => ("JOB_FAILED", format!("{failed}; {undelivered}")),
        };
        Some(Self::new(code, &reason, Some(&job.id), now))
    }

    /// The reason for a parked job.
    pub fn for_parked_job(id: &JobId, reason: &str, now: Timestamp) -> Self {
        Self::new(Self::PARKED, reason, Some(id), now)
    }
}
