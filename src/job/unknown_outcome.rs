//! Calls whose outcome is unknown, and which must not simply be sent again.
//!
//! Setting the same values twice changes nothing. A call that *adds* options to multi-select picklists is different: Zoho does not
//! document what happens to an option that is already there, and its workflows run again. Such a call is therefore marked in
//! the store before it is sent. After a crash the mark shows that the outcome is unknown, as after an answer that was lost.

use std::time::Duration;

use jiff::Timestamp;

use super::call::event::CallEvent;
use super::call::poll_gap;
use super::model::Job;
use super::on_unknown_outcome::OnUnknownOutcome;
use crate::codes::Cause;
use crate::outcome::{Failure, Refusal};
use crate::update::{Assignment, RecordId};

/// How long to wait before records are read, because Zoho may still be carrying out the call.
const SETTLING_TIME: Duration = Duration::from_secs(15);

/// What must be read to find out whether a call was carried out.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// The records.
    pub ids: Vec<RecordId>,
    /// What the call sets on each of them.
    pub sets: Vec<Assignment>,
}

impl Job {
    /// Marks a call that is about to be sent. Returns whether the mark must be stored before that.
    pub fn begin_send(&mut self, seq: usize, now: Timestamp) -> bool {
        let adds = self
            .call(seq)
            .is_some_and(|state| state.call.adds_options(&self.request));
        let marked = self.mark(seq, adds);
        if marked {
            self.record_announcement(seq, now);
        }
        marked
    }

    /// Removes the mark of a call that was not sent after all. Returns whether the removal must be stored.
    pub fn cancel_send(&mut self, seq: usize) -> bool {
        let marked = self.call(seq).is_some_and(|state| state.outcome_unknown);
        self.mark(seq, false);
        if marked {
            self.history.remove_announcement(seq);
        }
        marked
    }

    fn mark(&mut self, seq: usize, outcome_unknown: bool) -> bool {
        let state = self.call_mut(seq);
        let open = state.filter(|state| !state.status.is_final());
        open.is_some_and(|state| {
            state.outcome_unknown = outcome_unknown;
            outcome_unknown
        })
    }

    /// The event of a call that was sent and whose outcome is unknown.
    pub fn unknown_outcome_event(&self, seq: usize, reason: Refusal) -> CallEvent {
        let Some(state) = self.call(seq) else {
            return CallEvent::outcome_unknown(&reason.message);
        };
        let wait = SETTLING_TIME.max(poll_gap(state.attempts));
        if !state.call.adds_options(&self.request) {
            // It shared a request with a call that adds options, and may itself be repeated.
            return CallEvent::Postponed { reason, wait };
        }
        match self.evidence(seq) {
            Some(_) => CallEvent::NeedsReread { reason, wait },
            None => CallEvent::outcome_unknown(&format!("{}: {}", reason.code, reason.message)),
        }
    }

    /// What to read about a call whose outcome is unknown; none if it is reported.
    pub fn evidence(&self, seq: usize) -> Option<Evidence> {
        let state = self.call(seq)?;
        let ids = self.remaining_ids(state);
        if self.on_unknown_outcome == OnUnknownOutcome::Report || ids.is_empty() {
            return None;
        }
        let set = self.request.fields.iter();
        let sets = set.filter(|set| state.call.fields.contains(&set.field));
        Some(Evidence {
            ids,
            sets: sets.cloned().collect(),
        })
    }
}

/// The failure of one record of such a call.
pub(super) fn failure(id: RecordId) -> Failure {
    let row = Cause::AppendOutcomeUnknown.row();
    Failure {
        id,
        code: row.code.to_owned(),
        message: row.message.to_owned(),
        step: None,
    }
}
