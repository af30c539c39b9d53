//! The records that a job creates.

use std::collections::BTreeSet;

use super::call::status::CallStatus;
use super::model::Job;
use super::status::Counts;
use crate::codes::Cause;
use crate::outcome::{NewRecordOutcome, Refusal};
use crate::plan::Call;
use crate::update::{MatchValue, RecordId, Records, Selector, StepKind};

impl Job {
    /// The values of the records to create, each with its outcome once there is one.
    pub fn new_records(&self) -> impl Iterator<Item = (&MatchValue, Option<&NewRecordOutcome>)> {
        let values = self.request.new_records.iter().flat_map(|new| new.values());
        let with_outcome = |(number, value)| (value, self.new_records.get(&number));
        values.enumerate().map(with_outcome)
    }

    /// The numbers and values of the records that a call has still to create.
    pub fn remaining_new(&self, call: &Call) -> Vec<(usize, &MatchValue)> {
        let range = call.target.new_records().cloned().unwrap_or_default();
        let values = range.zip(call.new_values(&self.request));
        let is_open = |(number, _): &(usize, &MatchValue)| {
            self.new_records.get(number) != Some(&NewRecordOutcome::Superseded)
        };
        values.filter(is_open).collect()
    }

    /// Counts the records to create: what a step has changed of them, or all steps.
    pub(super) fn count_new_records(&self, step: Option<StepKind>) -> Counts {
        let known = match &self.request.selector {
            Selector::Records(Records::Ids(ids)) => ids.len(),
            Selector::Records(Records::View { .. }) | Selector::Match(_) | Selector::Named(_) => 0,
        };
        let open = self.calls_of(step).filter(|call| !call.status.is_final());
        let open: Vec<_> = open.filter_map(|call| call.call.target.named()).collect();
        let (failed, superseded) = self.unchanged_ids(step);
        let is_creation = step == Some(StepKind::Create);
        let (mut counts, mut created, mut left) = (Counts::default(), 0, 0);
        for (number, (_, outcome)) in self.new_records().enumerate() {
            counts.total += 1;
            let is_open = || open.iter().any(|range| range.contains(&(known + number)));
            let id = outcome.and_then(NewRecordOutcome::id);
            let in_set = |set: &BTreeSet<RecordId>| id.is_some_and(|id| set.contains(&id));
            match outcome {
                None => counts.pending += 1,
                Some(NewRecordOutcome::Refused { .. } | NewRecordOutcome::CallFailed) => {
                    counts.failed += 1;
                }
                Some(NewRecordOutcome::Superseded) => left += 1,
                Some(_) if !is_creation && in_set(failed) => counts.failed += 1,
                Some(_) if !is_creation && is_open() => counts.pending += 1,
                Some(_) if !is_creation && in_set(superseded) => left += 1,
                Some(NewRecordOutcome::Created { .. }) if is_creation || step.is_none() => {
                    created += 1;
                }
                Some(_) => counts.updated += 1,
            }
        }
        Counts {
            created: (is_creation || step.is_none()).then_some(created),
            superseded: self.order.map(|_| left),
            ..counts
        }
    }

    /// The number of records that a call would change, but that were not created.
    pub(super) fn count_absent(&self, call: &Call) -> u64 {
        let numbers = self
            .request
            .resolved()
            .map(|request| call.created_before(request));
        let outcomes = numbers.into_iter().flatten();
        let outcomes = outcomes.filter_map(|number| self.new_records.get(&number));
        let absent = outcomes.filter(|outcome| match outcome {
            NewRecordOutcome::Refused { .. } | NewRecordOutcome::CallFailed => true,
            NewRecordOutcome::Created { .. }
            | NewRecordOutcome::Updated { .. }
            | NewRecordOutcome::Superseded => false,
        });
        absent.count() as u64
    }

    /// Ends the calls that would change nothing but new records, if none of these exists.
    pub(super) fn end_calls_without_records(&mut self) {
        let Some(request) = self.request.resolved() else {
            return;
        };
        let mut ended = Vec::new();
        for (index, state) in self.calls.iter().enumerate() {
            let numbers = state.call.created_before(request);
            let mut outcomes = numbers.clone().map(|number| self.new_records.get(&number));
            if state.status == CallStatus::Pending
                && !numbers.is_empty()
                && outcomes.all(|outcome| outcome.is_some_and(|outcome| outcome.id().is_none()))
                && state.call.ids(request).is_empty()
            {
                ended.push((index, self.count_absent(&state.call) > 0));
            }
        }
        for (index, has_failed) in ended {
            let state = &mut self.calls[index];
            (state.due_at, state.error) = (None, None);
            state.status = CallStatus::Succeeded;
            if has_failed {
                state.status = CallStatus::Failed;
                state.error = Some(Refusal::of(Cause::RecordNotCreated));
            }
        }
    }

    /// Records that a call failed as a whole.
    pub(super) fn fail_new_records(&mut self, index: usize) {
        if let Some(range) = self.calls[index].call.target.new_records() {
            for number in range.clone() {
                let outcome = self.new_records.entry(number);
                outcome.or_insert(NewRecordOutcome::CallFailed);
            }
        }
    }

    /// Records that every record to create failed, because the job ended before it had any calls.
    pub(super) fn refuse_new_records(&mut self) {
        let count = self.new_records().count();
        let all = (0..count).map(|number| (number, NewRecordOutcome::CallFailed));
        self.new_records = all.collect();
    }

    /// The code and the message of the first record that was refused.
    pub fn first_failure(&self) -> Option<(&str, &str)> {
        let of_known = self.failures.first();
        let of_known = of_known.map(|failure| (failure.code.as_str(), failure.message.as_str()));
        let of_new = || {
            self.new_records.values().find_map(|outcome| match outcome {
                NewRecordOutcome::Refused { code, message } => {
                    Some((code.as_str(), message.as_str()))
                }
                NewRecordOutcome::Created { .. }
                | NewRecordOutcome::Updated { .. }
                | NewRecordOutcome::CallFailed
                | NewRecordOutcome::Superseded => None,
            })
        };
        of_known.or_else(of_new)
    }
}
