//! A job: one update request, its calls and their states, and its next step. Pure: no I/O, no clock.

pub mod call;
pub mod callback;
mod dead_letter;
pub mod preparation;
pub mod state;
mod unknown_outcome;
pub mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use url::Url;

use crate::clock::after;
use crate::codes::Cause;
pub use crate::outcome::{Failure, Progress, Refusal};
use crate::plan::{Call, Plan, PlanLimits};
use crate::update::{RecordId, Records, Selector, UpdateRequest};
pub use call::{CallEvent, CallState, TRACK_FOR};
use call::{PATIENCE, poll_gap};
use callback::ProgressCallbacks;
pub use callback::{CallbackOn, CallbackState, CallbackStatus, Notification, NotificationResult};
pub use dead_letter::{DeadLetterReason, JobSource};
pub use preparation::{
    AlreadyPrepared, Preparation, PreparationOutcome, PreparationResult, PreparationStatus,
};
pub use state::{CallEventKind, CallStatus, InvalidTransition, JobStatus, RecordTally};
pub use unknown_outcome::{Evidence, OnUnknownOutcome};

/// Per-record refusals that a job keeps in full; the others are only counted.
pub const FAILURES_KEPT: usize = 1_000;

/// A job's id. The same delivery always yields the same id, so a redelivered webhook finds its job.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(String);

impl JobId {
    /// The id of the `output`-th update request of a delivery; `scope` is the route, or the API.
    pub fn derive(scope: &str, delivery_id: &str, output: usize) -> Self {
        let mut hash = Sha256::new();
        for part in [scope.as_bytes(), delivery_id.as_bytes()] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.update((output as u64).to_be_bytes());
        Self(format!("job_{}", hex::encode(&hash.finalize()[..16])))
    }

    /// An id as it came from outside; it need not name any job.
    pub fn from_outside(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The id's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A job's next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NextStep {
    /// Prepare the job, so that it can be planned.
    Prepare,
    /// Send these calls, concurrently if possible.
    Submit(Vec<usize>),
    /// Resolve the unknown outcome of these calls: read their records, or report them.
    Resolve(Vec<usize>),
    /// Poll the status of this call's Zoho job.
    Poll(usize),
    /// Wait until this moment.
    Wait(Timestamp),
    /// Send the final callback.
    Notify,
    /// Nothing: the job is done.
    Done,
}

/// One update request and its progress.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// The route of its delivery; none for `POST /jobs` and direct invokes.
    pub route: Option<String>,
    /// Its connection.
    pub connection: String,
    /// What is to be done: as it was asked, until its preparation has put what it found in its place. It may be large
    /// and changes at most once, so stores keep it apart from the rest; see `stored`.
    #[serde(skip_serializing)]
    pub request: UpdateRequest,
    /// A hash of the request as it was accepted.
    #[serde(default)]
    pub request_hash: String,
    /// The delivery that it came from, if it is stored.
    #[serde(default)]
    pub source: Option<JobSource>,
    /// The state of its preparation.
    #[serde(default)]
    pub preparation: Preparation,
    /// Its calls, in the plan's order; none before it is prepared.
    pub calls: Vec<CallState>,
    /// Records that were refused, the first [`FAILURES_KEPT`] of them.
    pub failures: Vec<Failure>,
    /// Refusals beyond those.
    pub failures_omitted: u64,
    /// Every record that some call did not update.
    pub failed_ids: BTreeSet<RecordId>,
    /// Why the job could not do more than it did.
    pub error: Option<Refusal>,
    /// Its callback.
    pub callback: Option<CallbackState>,
    /// How long each of its Zoho jobs is tracked. It is part of the job, so that a change of the config does not confuse
    /// a job under way.
    #[serde(default = "track_for")]
    pub track_for: SignedDuration,
    /// What to do about calls whose outcome is unknown.
    #[serde(default)]
    pub on_unknown_outcome: OnUnknownOutcome,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When its calls changed last.
    #[serde(default)]
    pub changed_at: Option<Timestamp>,
    /// When its last call became final.
    pub finished_at: Option<Timestamp>,
}

/// Counts of records. `updated + failed + pending = total`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Records that the job is about; for a custom view, as Zoho last counted them.
    pub total: u64,
    /// Records on which every field was set.
    pub updated: u64,
    /// Records on which at least one field was refused.
    pub failed: u64,
    /// The others.
    pub pending: u64,
}

impl Job {
    /// A new job. It has no calls before it is [prepared](Job::prepared).
    pub fn new(
        id: JobId,
        route: Option<String>,
        connection: String,
        request: UpdateRequest,
        callback_url: Option<Url>,
        now: Timestamp,
    ) -> Self {
        let callback = |url| CallbackState {
            url,
            status: CallbackStatus::Pending,
            attempts: 0,
            due_at: None,
            error: None,
            progress: ProgressCallbacks::default(),
        };
        Self {
            id,
            route,
            connection,
            request_hash: fingerprint(&request),
            source: None,
            preparation: Preparation::default(),
            calls: Vec::new(),
            request,
            failures: Vec::new(),
            failures_omitted: 0,
            failed_ids: BTreeSet::new(),
            error: None,
            callback: callback_url.map(callback),
            track_for: track_for(),
            on_unknown_outcome: OnUnknownOutcome::default(),
            created_at: now,
            changed_at: None,
            finished_at: None,
        }
    }

    /// The same job, each of whose Zoho jobs is tracked for so long; [`TRACK_FOR`] otherwise.
    #[must_use]
    pub fn with_track_for(self, time: Duration) -> Self {
        Self {
            track_for: SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX),
            ..self
        }
    }

    /// Sets the stored delivery that the job came from.
    #[must_use]
    pub fn with_source(self, source: Option<JobSource>) -> Self {
        Self { source, ..self }
    }

    /// The id of the job that does this one again. There is one for each end of the job: asking twice does it once.
    pub fn replay_id(&self) -> JobId {
        let end = self.finished_at.unwrap_or(self.created_at).to_string();
        JobId::derive(self.id.as_str(), &end, 1)
    }

    /// The job's status.
    pub fn status(&self) -> JobStatus {
        let touched =
            self.preparation.attempts > 0 || self.calls.iter().any(|call| call.attempts > 0);
        match self.preparation.status {
            PreparationStatus::Pending if touched => JobStatus::Running,
            PreparationStatus::Pending => JobStatus::Queued,
            PreparationStatus::Planned => {
                JobStatus::of(self.calls.iter().map(|call| call.status), touched)
            }
            PreparationStatus::Nothing => JobStatus::Succeeded,
            PreparationStatus::Refused => JobStatus::Failed,
        }
    }

    /// The job's next step.
    pub fn next(&self, now: Timestamp) -> NextStep {
        if self.preparation.status == PreparationStatus::Pending {
            return match self.preparation.due_at {
                Some(at) if at > now => NextStep::Wait(at),
                Some(_) | None => NextStep::Prepare,
            };
        }
        let Some(group) = self
            .calls
            .iter()
            .find(|call| !call.status.is_final())
            .map(|call| call.call.group)
        else {
            return match &self.callback {
                Some(callback) if callback.status == CallbackStatus::Pending => {
                    match callback.due_at {
                        Some(at) if at > now => NextStep::Wait(at),
                        Some(_) | None => NextStep::Notify,
                    }
                }
                Some(_) | None => NextStep::Done,
            };
        };
        let open = self
            .calls
            .iter()
            .filter(|call| call.call.group == group && !call.status.is_final());
        let (due, waiting): (Vec<_>, Vec<_>) =
            open.partition(|call| call.due_at.is_none_or(|at| at <= now));
        if let Some(call) = due.iter().find(|call| call.status == CallStatus::Submitted) {
            return NextStep::Poll(call.call.seq);
        }
        let (outcome_unknown, due): (Vec<_>, Vec<_>) =
            due.into_iter().partition(|call| call.outcome_unknown);
        if !outcome_unknown.is_empty() {
            return NextStep::Resolve(outcome_unknown.iter().map(|call| call.call.seq).collect());
        }
        if !due.is_empty() {
            return NextStep::Submit(due.iter().map(|call| call.call.seq).collect());
        }
        waiting
            .iter()
            .filter_map(|call| call.due_at)
            .min()
            .map_or(NextStep::Done, NextStep::Wait)
    }

    /// When the job is to be driven next; none if never. Pass it to [`Jobs::release`](crate::store::Jobs::release).
    pub fn due(&self, now: Timestamp) -> Option<Timestamp> {
        let next = match self.next(now) {
            NextStep::Done => None,
            NextStep::Wait(at) => Some(at),
            NextStep::Prepare
            | NextStep::Submit(_)
            | NextStep::Resolve(_)
            | NextStep::Poll(_)
            | NextStep::Notify => Some(now),
        };
        next.into_iter().chain(self.progress_due_at(now)).min()
    }

    /// A call by its number.
    pub fn call(&self, seq: usize) -> Option<&CallState> {
        self.calls.get(seq.checked_sub(1)?)
    }

    /// The ids of one of the job's calls; none when Zoho finds the records itself.
    pub fn ids(&self, call: &Call) -> &[RecordId] {
        let request = self.request.resolved();
        request.map_or(&[], |request| call.ids(request))
    }

    /// Records the result of one attempt at the preparation, for which `attempts` requests were sent. The plan is made here,
    /// once, so that a later version of the planner cannot confuse a job under way.
    ///
    /// # Errors
    /// [`AlreadyPrepared`] if the job is prepared already; nothing is changed then.
    pub fn record_preparation(
        &mut self,
        prepared: PreparationResult,
        attempts: u32,
        now: Timestamp,
    ) -> Result<(), AlreadyPrepared> {
        let PreparationResult {
            lookup,
            notes,
            mut outcome,
        } = prepared;
        if let PreparationOutcome::Postponed { why, .. } = &outcome
            && now >= after(self.created_at, PATIENCE)
        {
            outcome = PreparationOutcome::Refused(Refusal {
                message: format!("given up after a day: {}", why.message),
                ..why.clone()
            });
        }
        let status = preparation::advance(self.preparation.status, outcome.signal())?;
        self.changed_at = Some(now);
        self.preparation.status = status;
        self.preparation.attempts += attempts;
        self.preparation.due_at = None;
        self.preparation.lookup = lookup;
        self.preparation.notes = notes;
        match outcome {
            PreparationOutcome::Ready {
                fields,
                records,
                update_by,
            } => {
                if let Some(fields) = fields {
                    self.request.fields = fields;
                }
                if let Some(update_by) = update_by {
                    self.request.update_by = update_by;
                }
                if let Some(records) = records {
                    self.request.selector = Selector::Records(records);
                }
                match self.request.resolved() {
                    Some(request) => {
                        let calls = Plan::new(request, &PlanLimits::ZOHO).into_calls();
                        self.calls = calls.into_iter().map(CallState::new).collect();
                        self.error = None;
                    }
                    None => self.refuse(Refusal::of(Cause::NotResolved)),
                }
            }
            PreparationOutcome::Nothing => self.error = None,
            PreparationOutcome::Postponed { why, wait } => {
                self.preparation.due_at = Some(after(now, wait));
                self.error = Some(why);
            }
            PreparationOutcome::Refused(refusal) => self.refuse(refusal),
        }
        if self.status().is_final() {
            self.finished_at = Some(now);
        }
        Ok(())
    }

    /// Ends the job before it has any calls.
    fn refuse(&mut self, refusal: Refusal) {
        self.preparation.status = PreparationStatus::Refused;
        self.error = Some(refusal);
        if let Selector::Records(Records::Ids(ids)) = &self.request.selector {
            self.failed_ids.extend(ids);
        }
    }

    /// Records that a call was sent, `attempts` times.
    pub fn record_attempts(&mut self, seq: usize, attempts: u32) {
        if let Some(call) = seq
            .checked_sub(1)
            .and_then(|index| self.calls.get_mut(index))
        {
            call.attempts += attempts;
        }
    }

    /// Applies an event to a call.
    ///
    /// # Errors
    /// [`InvalidTransition`] if that cannot happen to a call in its state; nothing is changed then.
    pub fn apply(
        &mut self,
        seq: usize,
        event: CallEvent,
        now: Timestamp,
    ) -> Result<(), InvalidTransition> {
        let Some(index) = seq.checked_sub(1).filter(|index| *index < self.calls.len()) else {
            debug_assert!(false, "call {seq} is not of this job");
            return Ok(());
        };
        let track_for = self.track_for.unsigned_abs();
        if let CallEvent::Progressed { .. } | CallEvent::JobNotFound = event {
            self.calls[index].record_late_poll(now);
        }
        let event = self.calls[index].apply_deadlines(event, self.created_at, track_for, now);
        let ids = self.ids(&self.calls[index].call);
        let records = ids.len() as u64;
        let found = self.calls[index].updated_ids.len() as u64;
        let complete = |more| unknown_outcome::complete(&self.calls[index].updated_ids, ids, more);
        let event = match matches!(&event, CallEvent::FoundUpdated(more) if complete(more)) {
            true => CallEvent::Settled(Vec::new()),
            false => event,
        };
        let signal = match &event {
            CallEvent::Settled(failures) => {
                let failed: BTreeSet<RecordId> =
                    failures.iter().map(|failure| failure.id).collect();
                let failed = failed.len() as u64;
                CallEventKind::Settled(RecordTally::of(records.saturating_sub(failed), failed))
            }
            CallEvent::Accepted { .. } => CallEventKind::Accepted,
            CallEvent::Postponed { .. }
            | CallEvent::NeedsReread { .. }
            | CallEvent::FoundUpdated(_) => CallEventKind::Postponed,
            CallEvent::Refused(_) | CallEvent::OutcomeUnknown(_) if found > 0 => {
                CallEventKind::Settled(RecordTally::of(found, records.saturating_sub(found)))
            }
            CallEvent::Progressed { .. } | CallEvent::JobNotFound => CallEventKind::Progressed,
            CallEvent::Ended { counts, completed } => {
                let others = counts
                    .failed
                    .saturating_add(counts.not_updated)
                    .saturating_add(u64::from(!completed));
                CallEventKind::Ended(RecordTally::of(counts.updated, others))
            }
            CallEvent::Refused(_)
            | CallEvent::OutcomeUnknown(_)
            | CallEvent::TrackingFailed(_)
            | CallEvent::TimedOut { .. } => CallEventKind::Refused,
        };
        let call = &mut self.calls[index];
        call.status = state::advance(call.status, signal)?;
        self.changed_at = Some(now);
        call.due_at = None;
        call.outcome_unknown = matches!(event, CallEvent::NeedsReread { .. });
        match event {
            CallEvent::Settled(failures) => {
                call.error = None;
                failures.into_iter().for_each(|failure| self.fail(failure));
            }
            CallEvent::Accepted { zoho_job_id } => {
                call.zoho_job_id = Some(zoho_job_id);
                call.submitted_at = Some(now);
                call.due_at = Some(after(now, poll_gap(0)));
                call.error = None;
            }
            CallEvent::Postponed { why, wait } | CallEvent::NeedsReread { why, wait } => {
                call.due_at = Some(after(now, wait));
                call.error = Some(why);
            }
            CallEvent::FoundUpdated(more) => call.updated_ids.extend(more),
            CallEvent::OutcomeUnknown(refusal) => {
                call.error = Some(refusal.clone());
                self.error.get_or_insert(refusal);
                let left = self.remaining_ids(&self.calls[index]);
                left.into_iter()
                    .for_each(|id| self.fail(unknown_outcome::failure(id)));
            }
            CallEvent::Progressed { counts, wait } => {
                call.progress = counts.or(call.progress);
                call.polls += 1;
                // The last look is not later than the time is over.
                let over = after(call.tracked_since().unwrap_or(now), track_for);
                let next = after(now, poll_gap(call.polls).max(wait));
                call.due_at = Some(if over > now { next.min(over) } else { next });
            }
            CallEvent::JobNotFound => {
                call.polls += 1;
                call.due_at = Some(after(now, poll_gap(call.polls)));
            }
            CallEvent::Ended { counts, .. } => {
                call.progress = Some(counts);
                call.polls += 1;
                call.error = None;
            }
            CallEvent::TimedOut { counts, why } => {
                call.progress = counts.or(call.progress);
                call.polls += 1;
                call.error = Some(why.clone());
                self.error.get_or_insert(why);
            }
            CallEvent::Refused(refusal) | CallEvent::TrackingFailed(refusal) => {
                call.error = Some(refusal.clone());
                self.error.get_or_insert(refusal);
                let left = self.remaining_ids(&self.calls[index]);
                self.failed_ids.extend(left);
            }
        }
        if self.finished_at.is_none() && self.status().is_final() {
            self.finished_at = Some(now);
        }
        Ok(())
    }

    /// Delays the job until `at`, so that it can share calls with other jobs.
    pub fn delay_until(&mut self, at: Timestamp) {
        self.preparation.due_at = Some(at);
        self.delay_progress_until(at);
    }

    /// Ends every call that is not yet sent: no call of this job can succeed now, for this one reason.
    pub fn abandon(&mut self, refusal: &Refusal, now: Timestamp) {
        let pending: Vec<(usize, CallEvent)> = self
            .calls
            .iter()
            .filter(|call| call.status == CallStatus::Pending)
            .map(|call| match call.outcome_unknown {
                true => (call.call.seq, CallEvent::outcome_unknown(&refusal.message)),
                false => (call.call.seq, CallEvent::Refused(refusal.clone())),
            })
            .collect();
        for (seq, event) in pending {
            let refused = self.apply(seq, event, now);
            debug_assert!(refused.is_ok(), "a pending call can always be refused");
        }
    }

    fn fail(&mut self, failure: Failure) {
        self.failed_ids.insert(failure.id);
        if self.failures.len() < FAILURES_KEPT {
            self.failures.push(failure);
        } else {
            self.failures_omitted += 1;
        }
    }

    /// The job's counts of records.
    ///
    /// Of named records every one is known. Of a custom view only Zoho's counts are, and with several field groups only
    /// one count for each: `updated` is then the smallest and `failed` the largest, so that nothing is claimed that is
    /// not so. Of a Zoho job that was lost sight of the last counts stay, with what was pending then. Of records that are
    /// still to be looked up nothing is known.
    pub fn counts(&self) -> Counts {
        match &self.request.selector {
            Selector::Match(_) | Selector::Named(_) => Counts::default(),
            Selector::Records(Records::Ids(ids)) => {
                let outcome_unknown: BTreeMap<usize, Range<usize>> = self
                    .calls
                    .iter()
                    .filter(|call| !call.status.is_final())
                    .filter_map(|call| call.call.target.named())
                    .map(|range| (range.start, range.clone()))
                    .collect();
                let open = outcome_unknown.into_values().flat_map(|range| &ids[range]);
                let pending = match self.preparation.status {
                    PreparationStatus::Pending => ids.len() as u64,
                    PreparationStatus::Planned
                    | PreparationStatus::Nothing
                    | PreparationStatus::Refused => {
                        open.filter(|id| !self.failed_ids.contains(id)).count() as u64
                    }
                };
                let (total, failed) = (ids.len() as u64, self.failed_ids.len() as u64);
                Counts {
                    total,
                    updated: total - failed - pending,
                    failed,
                    pending,
                }
            }
            Selector::Records(Records::View { .. }) => {
                let of = |call: &CallState| call.progress.unwrap_or_default();
                let total = self.calls.iter().map(|call| of(call).total).max();
                let failed = self.calls.iter().map(|call| of(call).failed).max();
                let updated = self.calls.iter().map(|call| of(call).updated).min();
                let total = total.unwrap_or_default();
                // Zoho's counts need not add up, and nothing of ours may break on them.
                let updated = updated.unwrap_or_default().min(total);
                let failed = failed.unwrap_or_default().min(total - updated);
                let rest = total - updated - failed;
                let lost = self.calls.iter().any(CallState::has_lost_tracking);
                if self.status().is_final() && !lost {
                    Counts {
                        total,
                        updated,
                        failed: failed + rest,
                        pending: 0,
                    }
                } else {
                    Counts {
                        total,
                        updated,
                        failed,
                        pending: rest,
                    }
                }
            }
        }
    }
}

/// A hash of what was asked. The order of keys does not matter.
fn fingerprint(request: &UpdateRequest) -> String {
    let mut json = request.to_json();
    json.sort_all_objects();
    hex::encode(&Sha256::digest(json.to_string())[..16])
}

fn track_for() -> SignedDuration {
    SignedDuration::try_from(TRACK_FOR).unwrap_or(SignedDuration::MAX)
}

#[cfg(test)]
mod tests;
