//! A job as others see it: in `GET /jobs/{id}`, in the answer to a webhook, and in callbacks. This is a contract; the
//! stored shape is not.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::preparation::Lookup;
use super::{CallStatus, CallbackStatus, Counts, Failure, Job, JobStatus, Refusal};
use crate::plan::CallKind;

/// Failures that a view shows; receivers of callbacks expect bodies of some 20 kB.
const FAILURES_SHOWN: usize = 100;

/// A job's JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobView {
    /// The job's id.
    pub id: String,
    /// The route that it came by.
    pub route: Option<String>,
    /// What the caller wanted back.
    pub reference: Option<Value>,
    /// The module.
    pub module: String,
    /// How far it is.
    pub status: JobStatus,
    /// Its records by their fate.
    pub counts: Counts,
    /// What its records were looked up by, and how many were found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lookup: Option<Lookup>,
    /// What somebody should know who wonders about the outcome.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Its calls; none before its records are known.
    pub calls: Vec<CallView>,
    /// Records that were not updated, and why.
    pub failures: Vec<FailureView>,
    /// Failures that are not listed.
    pub failures_omitted: u64,
    /// Why it could not do more.
    pub error: Option<Refusal>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// How far the forwarding is; not part of the callback itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback: Option<CallbackView>,
}

/// A call's JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallView {
    /// Its number.
    pub seq: usize,
    /// `immediate`, `scheduled` or `records`.
    pub kind: CallKind,
    /// The fields that it sets.
    pub fields: Vec<String>,
    /// Its records; for a custom view, as far as Zoho has counted them.
    pub records: u64,
    /// The id of its Zoho job.
    pub zoho_job_id: Option<String>,
    /// How far it is.
    pub status: CallStatus,
    /// How often it was sent.
    pub attempts: u32,
    /// The last thing that went wrong with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Refusal>,
}

/// A record's failure, and what to do about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FailureView {
    /// The failure.
    #[serde(flatten)]
    pub failure: Failure,
    /// What to do.
    #[serde(default)]
    pub advice: String,
}

impl FailureView {
    fn of(failure: &Failure) -> Self {
        Self {
            failure: failure.clone(),
            advice: failure.advice().to_owned(),
        }
    }
}

/// A callback's JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallbackView {
    /// How far it is.
    pub status: CallbackStatus,
    /// How often it was sent.
    pub attempts: u32,
    /// The last thing that went wrong with it.
    pub error: Option<String>,
}

impl JobView {
    /// The job as `GET /jobs/{id}` shows it.
    pub fn of(job: &Job) -> Self {
        let callback = job.callback.as_ref().map(|callback| CallbackView {
            status: callback.status,
            attempts: callback.attempts,
            error: callback.error.clone(),
        });
        Self {
            callback,
            ..Self::in_callback(job)
        }
    }

    /// The job as a callback carries it.
    pub fn in_callback(job: &Job) -> Self {
        let shown = job.failures.len().min(FAILURES_SHOWN);
        Self {
            id: job.id.to_string(),
            route: job.route.clone(),
            reference: job.request.reference.clone(),
            module: job.request.module.to_string(),
            status: job.status(),
            counts: job.counts(),
            lookup: job.preparation.lookup.clone(),
            notes: job.preparation.notes.clone(),
            calls: job.calls.iter().map(CallView::of).collect(),
            failures: job.failures[..shown].iter().map(FailureView::of).collect(),
            failures_omitted: job.failures_omitted + (job.failures.len() - shown) as u64,
            error: job.error.clone(),
            created_at: job.created_at,
            finished_at: job.finished_at,
            callback: None,
        }
    }
}

impl CallView {
    fn of(state: &super::CallState) -> Self {
        let target = &state.call.target;
        let records = match target.named() {
            Some(range) => range.len() as u64,
            None => state.progress.unwrap_or_default().total,
        };
        Self {
            seq: state.call.seq,
            kind: target.kind(),
            fields: state.call.fields.iter().map(ToString::to_string).collect(),
            records,
            zoho_job_id: state.zoho_job_id.clone(),
            status: state.status,
            attempts: state.attempts,
            error: state.error.clone(),
        }
    }
}
