//! A job's public JSON: in `GET /jobs/{id}`, in the answer to a webhook, and in callbacks. It is a contract, unlike the stored
//! form.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::call::CallState;
use super::call::status::CallStatus;
use super::callback::CallbackStatus;
use super::history::HistoryEntry;
use super::model::Job;
use super::preparation::Lookup;
use super::status::{Counts, JobStatus};
use crate::codes;
use crate::outcome::{Failure, NewRecordOutcome, Refusal};
use crate::plan::CallKind;
use crate::update::{
    FieldName, MatchValue, OwnerChange, RecordId, StepKind, TagName, UpdateRequest, UserId,
};

/// The number of failures in a view. Receivers of callbacks expect bodies of about 20 kB.
const FAILURES_SHOWN: usize = 100;

/// The number of new records in a view.
const NEW_RECORDS_SHOWN: usize = 100;

/// A job's JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JobView {
    /// The job's id.
    pub id: String,
    /// The route of the delivery.
    pub route: Option<String>,
    /// The caller's own reference.
    pub reference: Option<Value>,
    /// The module.
    pub module: String,
    /// The status.
    pub status: JobStatus,
    /// The counts of its records.
    pub counts: Counts,
    /// How the records were looked up, and how many were found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lookup: Option<Lookup>,
    /// Remarks that explain the outcome.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The steps with their own outcomes, in a job that changes more than fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<Vec<StepView>>,
    /// The calls; empty before the job is planned.
    pub calls: Vec<CallView>,
    /// The records that were not updated, and why.
    pub failures: Vec<FailureView>,
    /// The number of failures that are not listed.
    pub failures_omitted: u64,
    /// The records that were created, or found by Zoho and updated instead; only of jobs that can create records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_records: Option<Vec<NewRecordView>>,
    /// The number of such records that are not listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_records_omitted: Option<u64>,
    /// Why the job ended early, or waits.
    pub error: Option<Refusal>,
    /// When the job was accepted.
    pub created_at: Timestamp,
    /// When the job finished.
    pub finished_at: Option<Timestamp>,
    /// The state of the callback. It is not part of the callback itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback: Option<CallbackView>,
    /// The connection. This and the following are not part of callbacks and of answers to webhooks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// The stored delivery that the job came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<String>,
    /// The job that repeats this one, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<String>,
    /// The value of the route's `order_by` for its delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    /// What happened to the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<Vec<HistoryEntry>>,
    /// The number of steps that the history only counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history_omitted: Option<u64>,
}

/// A step's JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepView {
    /// `fields`, `add_tags`, `remove_tags` or `owner`.
    pub step: StepKind,
    /// The status of the step.
    pub status: JobStatus,
    /// The records that the step has changed and not changed.
    pub counts: Counts,
    /// Why the step failed, or waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Refusal>,
}

impl StepView {
    /// The steps of a job that changes more than fields. They are known once the job is planned.
    fn all(job: &Job) -> Option<Vec<Self>> {
        let view = |step: StepKind| {
            let calls = job.calls.iter();
            let calls = calls.filter(move |state| state.call.step() == step);
            let started = calls.clone().any(|state| state.attempts > 0);
            Self {
                step,
                status: JobStatus::of(calls.clone().map(|state| state.status), started),
                counts: job.counts_of_step(step),
                error: calls.clone().find_map(|state| state.error.clone()),
            }
        };
        let mut steps: Vec<StepKind> = job.calls.iter().map(|state| state.call.step()).collect();
        steps.dedup();
        let has_actions = job.request.has_actions();
        has_actions.then(|| steps.into_iter().map(view).collect())
    }
}

/// A call's JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CallView {
    /// The call's number.
    pub seq: usize,
    /// `immediate`, `scheduled` or `records` if it sets fields, `upsert` if it creates records, or else the name of the action.
    pub kind: CallKind,
    /// The fields that the call sets.
    pub fields: Vec<String>,
    /// The tags that the call adds or removes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<TagName>,
    /// The id of the new owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<UserId>,
    /// The number of its records; for a custom view, as Zoho last counted them.
    pub records: u64,
    /// The id of its Zoho job, if there is one.
    pub zoho_job_id: Option<String>,
    /// The status.
    pub status: CallStatus,
    /// How often the call was sent.
    pub attempts: u32,
    /// The last error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Refusal>,
}

/// A record's failure, with advice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FailureView {
    /// The record's id; none of a record that was to be created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<RecordId>,
    /// The value of which a record was to be created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<MatchValue>,
    /// Zoho's code.
    pub code: String,
    /// Zoho's message and its details.
    pub message: String,
    /// The step that failed, in a job with several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepKind>,
    /// What to do.
    #[serde(default)]
    pub advice: String,
}

impl FailureView {
    fn of(failure: &Failure) -> Self {
        Self {
            id: Some(failure.id),
            value: None,
            code: failure.code.clone(),
            message: failure.message.clone(),
            step: failure.step,
            advice: failure.advice().to_owned(),
        }
    }

    fn of_new_record(value: &MatchValue, code: &str, message: &str) -> Self {
        Self {
            id: None,
            value: Some(value.clone()),
            code: code.to_owned(),
            message: message.to_owned(),
            step: None,
            advice: codes::cure(code, message).to_owned(),
        }
    }
}

/// A record that a job was to create, as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NewRecordView {
    /// The value of `match`.
    pub value: MatchValue,
    /// The record's id.
    pub id: RecordId,
    /// What Zoho did.
    pub action: NewRecordAction,
    /// The field by which Zoho found the record, if it is another one than the field of `match`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found_by: Option<FieldName>,
}

/// What Zoho did with a record that was to be created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NewRecordAction {
    /// Zoho created it.
    Created,
    /// Zoho found it and updated it.
    Updated,
}

impl NewRecordAction {
    /// The name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
        }
    }
}

impl NewRecordView {
    fn of(value: &MatchValue, outcome: &NewRecordOutcome) -> Option<Self> {
        let (id, action, found_by) = match outcome {
            NewRecordOutcome::Created { id } => (*id, NewRecordAction::Created, None),
            NewRecordOutcome::Updated { id, found_by } => {
                (*id, NewRecordAction::Updated, found_by.clone())
            }
            NewRecordOutcome::Refused { .. }
            | NewRecordOutcome::CallFailed
            | NewRecordOutcome::Superseded => return None,
        };
        Some(Self {
            value: value.clone(),
            id,
            action,
            found_by,
        })
    }

    /// The records of a job that exist now, and how many more there are; none if the job creates no records.
    fn all(job: &Job) -> Option<(Vec<Self>, u64)> {
        job.request.creation()?;
        let mut all = job
            .new_records()
            .filter_map(|(value, outcome)| Self::of(value, outcome?));
        let shown = all.by_ref().take(NEW_RECORDS_SHOWN).collect();
        Some((shown, all.count() as u64))
    }
}

/// A callback's JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CallbackView {
    /// The status.
    pub status: CallbackStatus,
    /// How often the callback was sent.
    pub attempts: u32,
    /// The last error.
    pub error: Option<String>,
}

impl JobView {
    /// The JSON of `GET /jobs/{id}`.
    pub fn in_full(job: &Job) -> Self {
        Self {
            connection: Some(job.connection.clone()),
            delivery: job.source.as_ref().map(|source| source.delivery.clone()),
            order: job.order.map(|order| order.key.value.to_string()),
            history: Some(job.history_entries()),
            history_omitted: Some(job.history.omitted()),
            ..Self::of(job)
        }
    }

    /// The JSON in the answer to a webhook.
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

    /// The JSON in a callback.
    pub fn in_callback(job: &Job) -> Self {
        let (failures, failures_omitted) = failures(job);
        let (new_records, new_records_omitted) = NewRecordView::all(job).unzip();
        Self {
            id: job.id.to_string(),
            route: job.route.clone(),
            reference: job.request.reference.clone(),
            module: job.request.module.to_string(),
            status: job.status(),
            counts: job.counts(),
            lookup: job.preparation.lookup.clone(),
            notes: job.preparation.notes.clone(),
            steps: StepView::all(job),
            calls: job
                .calls
                .iter()
                .map(|state| CallView::of(&job.request, state))
                .collect(),
            failures,
            failures_omitted,
            new_records,
            new_records_omitted,
            error: job.error.clone(),
            created_at: job.created_at,
            finished_at: job.finished_at,
            callback: None,
            connection: None,
            replay: None,
            delivery: None,
            order: None,
            history: None,
            history_omitted: None,
        }
    }
}

/// The failures of a job that are shown, and the number of the others.
fn failures(job: &Job) -> (Vec<FailureView>, u64) {
    let of_known = job.failures.iter().map(FailureView::of);
    let of_new = job
        .new_records()
        .filter_map(|(value, outcome)| match outcome? {
            NewRecordOutcome::Refused { code, message } => {
                Some(FailureView::of_new_record(value, code, message))
            }
            NewRecordOutcome::Created { .. }
            | NewRecordOutcome::Updated { .. }
            | NewRecordOutcome::CallFailed
            | NewRecordOutcome::Superseded => None,
        });
    let mut all = of_known.chain(of_new);
    let shown = all.by_ref().take(FAILURES_SHOWN).collect();
    (shown, job.failures_omitted + all.count() as u64)
}

impl CallView {
    fn of(request: &UpdateRequest, state: &CallState) -> Self {
        let target = &state.call.target;
        let owner = request.owner.as_ref().and_then(OwnerChange::resolved);
        let (tags, owner) = match state.call.step() {
            StepKind::Create | StepKind::Fields => (Vec::new(), None),
            StepKind::AddTags => (request.tags.add.clone(), None),
            StepKind::RemoveTags => (request.tags.remove.clone(), None),
            StepKind::Owner => (Vec::new(), owner.map(|owner| owner.id)),
        };
        let records = match target.records() {
            Some(records) => records as u64,
            None => state.progress.unwrap_or_default().total,
        };
        Self {
            seq: state.call.seq,
            kind: target.kind(),
            fields: state.call.fields.iter().map(ToString::to_string).collect(),
            tags,
            owner,
            records,
            zoho_job_id: state.zoho_job_id.clone(),
            status: state.status,
            attempts: state.attempts,
            error: state.error.clone(),
        }
    }
}
