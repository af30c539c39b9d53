//! The job itself: its fields, its construction and its status.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use url::Url;

use super::call::{CallState, TRACK_FOR};
use super::callback::CallbackState;
use super::history::History;
use super::id::JobId;
use super::on_unknown_outcome::OnUnknownOutcome;
use super::order::JobOrder;
use super::preparation::{Preparation, PreparationStatus};
use super::status::JobStatus;
use crate::outcome::{Failure, NewRecordOutcome, Refusal};
use crate::plan::Call;
use crate::update::{ChangeKind, RecordId, StepKind, UpdateRequest};

/// The number of failures that a job stores in full. Further failures are only counted.
pub const FAILURES_KEPT: usize = 1_000;

/// One update request and its progress.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// The id.
    pub id: JobId,
    /// The route of the delivery; none for `POST /jobs` and direct invokes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// The connection.
    pub connection: String,
    /// The update request. Preparation may replace parts of it once, with names resolved and records found. It may be large,
    /// so stores keep it in a document of its own; see [`crate::store`].
    #[serde(skip_serializing)]
    pub request: UpdateRequest,
    /// A hash of the request as it was accepted, before preparation.
    pub request_hash: String,
    /// The delivery that the job came from, if it is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<JobSource>,
    /// The state of the preparation.
    pub preparation: Preparation,
    /// The calls, in the plan's order; none before the job is prepared.
    pub calls: Vec<CallState>,
    /// The first [`FAILURES_KEPT`] failures.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<Failure>,
    /// The number of failures beyond those.
    pub failures_omitted: u64,
    /// Every record that some call did not update.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub failed_ids: BTreeSet<RecordId>,
    /// The records that each step did not change, in a job that changes more than fields.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub failed_by_step: BTreeMap<StepKind, BTreeSet<RecordId>>,
    /// Its position among the jobs of its route that update the same records; none if the route has no `order_by`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<JobOrder>,
    /// Records of which a change was left to a newer delivery.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub superseded_ids: BTreeSet<RecordId>,
    /// These records by what was left. Jobs of earlier versions have none and left everything.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub superseded_by_change: BTreeMap<ChangeKind, BTreeSet<RecordId>>,
    /// The outcomes of the records to create, by their numbers in the request.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub new_records: BTreeMap<usize, NewRecordOutcome>,
    /// Why the job ended early, or waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Refusal>,
    /// The callback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback: Option<CallbackState>,
    /// How long each of the job's Zoho jobs is tracked. It is part of the job, so that a change of the config does not affect
    /// a job in progress.
    pub track_for: SignedDuration,
    /// What happens to calls whose outcome is unknown.
    pub on_unknown_outcome: OnUnknownOutcome,
    /// When the job was accepted.
    pub created_at: Timestamp,
    /// When its calls or its preparation changed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_at: Option<Timestamp>,
    /// When its last call became final.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// What happened to it. Jobs of earlier versions have none.
    #[serde(default, skip_serializing_if = "History::is_empty")]
    pub history: History,
}

/// The delivery that a job came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSource {
    /// The id of the stored delivery.
    pub delivery: String,
    /// Whether the delivery has other jobs too. If so, the delivery is stored for longer than this job runs.
    pub shared: bool,
}

impl Job {
    /// A new job. It has no calls before it is prepared; see [`Job::record_preparation`].
    pub fn new(
        id: JobId,
        route: Option<String>,
        connection: String,
        request: UpdateRequest,
        callback_url: Option<Url>,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            route,
            connection,
            request_hash: hash(&request),
            source: None,
            preparation: Preparation::default(),
            calls: Vec::new(),
            request,
            failures: Vec::new(),
            failures_omitted: 0,
            failed_ids: BTreeSet::new(),
            failed_by_step: BTreeMap::new(),
            order: None,
            superseded_ids: BTreeSet::new(),
            superseded_by_change: BTreeMap::new(),
            new_records: BTreeMap::new(),
            error: None,
            callback: callback_url.map(CallbackState::new),
            track_for: signed(TRACK_FOR),
            on_unknown_outcome: OnUnknownOutcome::default(),
            created_at: now,
            changed_at: None,
            finished_at: None,
            history: History::default(),
        }
    }

    /// Sets how long each of the job's Zoho jobs is tracked. The default is [`TRACK_FOR`].
    #[must_use]
    pub fn with_track_for(self, time: Duration) -> Self {
        Self {
            track_for: signed(time),
            ..self
        }
    }

    /// Sets the stored delivery that the job came from.
    #[must_use]
    pub fn with_source(self, source: Option<JobSource>) -> Self {
        Self { source, ..self }
    }

    /// Sets what happens to calls whose outcome is unknown. It is part of the job, so that a change of the config does not
    /// affect a job in progress.
    #[must_use]
    pub fn with_on_unknown_outcome(self, on_unknown_outcome: OnUnknownOutcome) -> Self {
        Self {
            on_unknown_outcome,
            ..self
        }
    }

    /// The id of the stored delivery that the job came from.
    pub fn delivery(&self) -> Option<&str> {
        self.source.as_ref().map(|source| source.delivery.as_str())
    }

    /// The id of the job that repeats this one. It depends on when the job finished, so that two replays of the same end
    /// create one job.
    pub fn replay_id(&self) -> JobId {
        let end = self.finished_at.unwrap_or(self.created_at).to_string();
        JobId::derive(self.id.as_str(), &end, 1)
    }

    /// The job's status.
    pub fn status(&self) -> JobStatus {
        let started =
            self.preparation.attempts > 0 || self.calls.iter().any(|call| call.attempts > 0);
        match self.preparation.status {
            PreparationStatus::Pending if started => JobStatus::Running,
            PreparationStatus::Pending => JobStatus::Queued,
            PreparationStatus::Planned => {
                JobStatus::of(self.calls.iter().map(|call| call.status), started)
            }
            PreparationStatus::Nothing => JobStatus::Succeeded,
            PreparationStatus::Refused => JobStatus::Failed,
        }
    }

    /// A call by its number.
    pub fn call(&self, seq: usize) -> Option<&CallState> {
        self.calls.get(seq.checked_sub(1)?)
    }

    /// A call by its number, to change it.
    pub(super) fn call_mut(&mut self, seq: usize) -> Option<&mut CallState> {
        self.calls.get_mut(seq.checked_sub(1)?)
    }

    /// The ids of the records of a call, those among them that the job has created. Empty for a custom view, whose records Zoho
    /// finds.
    pub fn ids(&self, call: &Call) -> Cow<'_, [RecordId]> {
        let Some(request) = self.request.resolved() else {
            return Cow::default();
        };
        let known = call.ids(request);
        let mut new: Vec<RecordId> = Vec::new();
        for number in call.created_before(request) {
            let id = self.new_records.get(&number).and_then(NewRecordOutcome::id);
            // Zoho may have found one record for several values.
            new.extend(id.filter(|id| !known.contains(id) && !new.contains(id)));
        }
        match new.is_empty() {
            true => Cow::Borrowed(known),
            false => Cow::Owned([known, &new].concat()),
        }
    }

    /// The records of a call that are not known to be updated, and not left to a newer delivery.
    pub fn remaining_ids(&self, state: &CallState) -> Vec<RecordId> {
        let superseded = self.superseded_in(state.call.step());
        let ids = self.ids(&state.call);
        let ids = ids.iter().copied();
        ids.filter(|id| !state.updated_ids.contains(id) && !superseded.contains(id))
            .collect()
    }
}

/// A hash of a request. The order of keys does not matter.
fn hash(request: &UpdateRequest) -> String {
    let mut json = request.to_json();
    json.sort_all_objects();
    hex::encode(&Sha256::digest(json.to_string())[..16])
}

fn signed(time: Duration) -> SignedDuration {
    SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX)
}
