//! The records that a job creates.

use super::model::Job;
use crate::outcome::NewRecordOutcome;
use crate::update::MatchValue;

/// How many records a job has created, updated instead, and not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct NewRecordCounts {
    pub(super) total: u64,
    pub(super) created: u64,
    pub(super) updated: u64,
    pub(super) failed: u64,
    pub(super) pending: u64,
}

impl Job {
    /// The values of the records to create, each with its outcome once there is one.
    pub fn new_records(&self) -> impl Iterator<Item = (&MatchValue, Option<&NewRecordOutcome>)> {
        let values = self.request.new_records.iter().flat_map(|new| new.values());
        let with_outcome = |(number, value)| (value, self.new_records.get(&number));
        values.enumerate().map(with_outcome)
    }

    /// Counts the records to create.
    pub(super) fn count_new_records(&self) -> NewRecordCounts {
        let mut counts = NewRecordCounts::default();
        for (_, outcome) in self.new_records() {
            counts.total += 1;
            match outcome {
                Some(NewRecordOutcome::Created { .. }) => counts.created += 1,
                Some(NewRecordOutcome::Updated { .. }) => counts.updated += 1,
                Some(NewRecordOutcome::Refused { .. } | NewRecordOutcome::CallFailed) => {
                    counts.failed += 1;
                }
                None => counts.pending += 1,
            }
        }
        counts
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
                | NewRecordOutcome::CallFailed => None,
            })
        };
        of_known.or_else(of_new)
    }
}
