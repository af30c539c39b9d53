//! How events change the calls of a job.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::call::event::CallEvent;
use super::call::status::{CallEventKind, CallStatus, InvalidTransition, RecordTally, advance};
use super::history::WaitReason;
use super::model::{FAILURES_KEPT, Job};
use super::unknown_outcome;
use crate::codes::Cause;
use crate::outcome::{Failure, Refusal};
use crate::plan::CallKind;
use crate::update::{RecordId, StepKind};

/// What to do if the first calls of a job take its records out of the view.
const VIEW_EMPTIED: &str = "select a view that does not ask for a field that the job sets; for these records, send what is left by `ids` or `match`";

impl Job {
    /// Counts requests that were sent for a call.
    pub fn record_attempts(&mut self, seq: usize, attempts: u32) {
        if let Some(call) = self.call_mut(seq) {
            call.attempts += attempts;
        }
    }

    /// Applies an event to a call.
    ///
    /// # Errors
    /// [`InvalidTransition`] if the event cannot happen to a call in its state. The state stays unchanged then.
    pub fn apply(
        &mut self,
        seq: usize,
        event: CallEvent,
        now: Timestamp,
    ) -> Result<(), InvalidTransition> {
        let Some(index) = seq.checked_sub(1).filter(|index| *index < self.calls.len()) else {
            debug_assert!(false, "the job has no call {seq}");
            return Ok(());
        };
        let track_for = self.track_for.unsigned_abs();
        if let CallEvent::Progressed { .. } | CallEvent::JobNotFound = event {
            self.calls[index].record_late_poll(now);
        }
        if let CallEvent::Superseded(records) = &event {
            self.supersede(seq, records, now);
        }
        let event = self.calls[index].apply_deadlines(event, self.created_at, track_for, now);
        let event = self.settle_if_complete(index, event);
        let event = self.explain_empty_view(index, event);
        let kind = self.event_kind(index, &event);
        let call = &mut self.calls[index];
        call.status = advance(call.status, kind)?;
        self.changed_at = Some(now);
        call.record(&event, track_for, now);
        self.record_in_history(index, &event, now);
        self.record_failures(index, event);
        self.end_calls_without_records();
        if self.finished_at.is_none() && self.status().is_final() {
            self.finished_at = Some(now);
        }
        Ok(())
    }

    /// Records the refused records of an answer, or the wait that follows it.
    fn record_in_history(&mut self, index: usize, event: &CallEvent, now: Timestamp) {
        let state = &self.calls[index];
        let (seq, due_at) = (state.call.seq, state.due_at);
        let reason = match event {
            CallEvent::Settled(failures) if !failures.is_empty() => {
                return self.record_refused(seq, failures.len());
            }
            CallEvent::Upserted(outcomes) => {
                let refused = outcomes
                    .iter()
                    .filter(|(_, outcome)| outcome.id().is_none());
                return match refused.count() {
                    0 => {}
                    refused => self.record_refused(seq, refused),
                };
            }
            CallEvent::Postponed { reason, .. }
            | CallEvent::Progressed {
                refusal: Some(reason),
                ..
            } => WaitReason::of(reason),
            CallEvent::NeedsReread { .. } => WaitReason::Settling,
            CallEvent::Accepted { .. } | CallEvent::Progressed { .. } | CallEvent::JobNotFound => {
                WaitReason::Poll
            }
            CallEvent::Settled(_)
            | CallEvent::FoundUpdated(_)
            | CallEvent::Superseded(_)
            | CallEvent::OutcomeUnknown(_)
            | CallEvent::TrackingFailed(_)
            | CallEvent::Ended { .. }
            | CallEvent::TimedOut { .. }
            | CallEvent::Refused(_) => return,
        };
        self.record_wait(now, due_at, reason, Some(seq));
    }

    /// Settles a call once none of its records is left: rereads have found them updated, or a newer delivery has updated them.
    fn settle_if_complete(&self, index: usize, event: CallEvent) -> CallEvent {
        let state = &self.calls[index];
        let remaining = || self.remaining_ids(state);
        let is_found = |found: &BTreeSet<RecordId>| remaining().iter().all(|id| found.contains(id));
        let is_over = || remaining().is_empty() && self.remaining_new(&state.call).is_empty();
        let is_complete = matches!(&event, CallEvent::FoundUpdated(found) if is_found(found))
            || matches!(&event, CallEvent::Superseded(_) if is_over());
        match is_complete {
            true => CallEvent::Settled(Vec::new()),
            false => event,
        }
    }

    /// Says of a view without records that an earlier call of the job has taken them out of it.
    fn explain_empty_view(&self, index: usize, event: CallEvent) -> CallEvent {
        let before = self.calls[..index].iter();
        let mut before = before.filter_map(|call| call.progress);
        let CallEvent::Refused(refusal) = event else {
            return event;
        };
        let is_emptied =
            refusal.cause() == Some(Cause::NoRecords) && before.any(|counts| counts.updated > 0);
        if !is_emptied {
            return CallEvent::Refused(refusal);
        }
        let message = format!(
            "{}: the calls of this job before have changed the records, and the custom view holds none of them any more",
            refusal.message
        );
        CallEvent::Refused(Refusal {
            message,
            advice: Some(VIEW_EMPTIED.to_owned()),
            ..refusal
        })
    }

    /// The number of records of a call that need no request any more.
    fn done_records(&self, index: usize) -> u64 {
        let call = &self.calls[index];
        let superseded = self.superseded_in(call.call.step());
        let ids = self.ids(&call.call);
        let done = ids
            .iter()
            .filter(|id| call.updated_ids.contains(id) || superseded.contains(id));
        let new = call.call.target.new_records();
        let new = new.map_or(0, ExactSizeIterator::len) - self.remaining_new(&call.call).len();
        (done.count() + new) as u64
    }

    fn event_kind(&self, index: usize, event: &CallEvent) -> CallEventKind {
        let call = &self.calls[index];
        let new = call.call.target.new_records();
        let new = new.map_or(0, ExactSizeIterator::len);
        let records = (self.ids(&call.call).len() + new) as u64;
        let found = self.done_records(index);
        match event {
            CallEvent::Settled(failures) => {
                let failed: BTreeSet<RecordId> =
                    failures.iter().map(|failure| failure.id).collect();
                let failed = failed.len() as u64;
                let others = failed + self.count_absent(&call.call);
                CallEventKind::Settled(RecordTally::of(records.saturating_sub(failed), others))
            }
            CallEvent::Upserted(outcomes) => {
                let done = outcomes
                    .iter()
                    .filter(|(_, outcome)| outcome.id().is_some());
                let done = done.count() as u64;
                let others = outcomes.len() as u64 - done;
                CallEventKind::Settled(RecordTally::of(found + done, others))
            }
            CallEvent::Accepted { .. } => CallEventKind::Accepted,
            CallEvent::Postponed { .. }
            | CallEvent::NeedsReread { .. }
            | CallEvent::FoundUpdated(_)
            | CallEvent::Superseded(_) => CallEventKind::Postponed,
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
        }
    }

    /// Records the failures and the error of an event in the job.
    fn record_failures(&mut self, index: usize, event: CallEvent) {
        match event {
            CallEvent::Settled(failures) => {
                failures
                    .into_iter()
                    .for_each(|failure| self.fail(index, failure));
            }
            CallEvent::Upserted(outcomes) => self.new_records.extend(outcomes),
            CallEvent::OutcomeUnknown(refusal) => {
                self.error.get_or_insert(refusal);
                let remaining = self.remaining_ids(&self.calls[index]);
                let failures = remaining.into_iter().map(unknown_outcome::failure);
                failures.for_each(|failure| self.fail(index, failure));
            }
            CallEvent::TimedOut { reason, .. } => {
                self.error.get_or_insert(reason);
            }
            CallEvent::Refused(refusal) | CallEvent::TrackingFailed(refusal) => {
                self.error.get_or_insert(refusal);
                let remaining = self.remaining_ids(&self.calls[index]);
                self.fail_ids(index, remaining);
                self.fail_new_records(index);
            }
            CallEvent::Accepted { .. }
            | CallEvent::Postponed { .. }
            | CallEvent::NeedsReread { .. }
            | CallEvent::FoundUpdated(_)
            | CallEvent::Superseded(_)
            | CallEvent::Progressed { .. }
            | CallEvent::Ended { .. }
            | CallEvent::JobNotFound => {}
        }
    }

    /// The step of a call, in a job that changes more than fields.
    fn reported_step(&self, index: usize) -> Option<StepKind> {
        let step = self.calls[index].call.step();
        self.request.has_actions().then_some(step)
    }

    /// Adds records to those that a call did not change.
    fn fail_ids(&mut self, index: usize, ids: impl IntoIterator<Item = RecordId> + Clone) {
        if let Some(step) = self.reported_step(index) {
            let failed = self.failed_by_step.entry(step).or_default();
            failed.extend(ids.clone());
        }
        self.failed_ids.extend(ids);
    }

    fn fail(&mut self, index: usize, failure: Failure) {
        self.fail_ids(index, [failure.id]);
        let failure = Failure {
            step: self.reported_step(index),
            ..failure
        };
        if self.failures.len() < FAILURES_KEPT {
            self.failures.push(failure);
        } else {
            self.failures_omitted += 1;
        }
    }

    /// Ends every call of a kind that is not yet sent, because no such call of this job can succeed now. The other steps of the
    /// job have endpoints of their own, and go on.
    pub fn abandon(&mut self, kind: CallKind, refusal: &Refusal, now: Timestamp) {
        let pending: Vec<(usize, CallEvent)> = self
            .calls
            .iter()
            .filter(|call| call.status == CallStatus::Pending && call.call.target.kind() == kind)
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
}
