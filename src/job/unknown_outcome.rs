//! Calls whose outcome is unknown, and that are therefore not just sent again.
//!
//! Setting the same values twice changes nothing. A call that *adds* options to multi-select picklists is different: Zoho
//! does not document what becomes of an option that is there already, and its workflows run once more. That such a call is
//! about to be sent is written down before it is, so that a crash between the call and its answer leaves the same doubt
//! behind as an answer that never came.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::call::poll_gap;
use super::{CallEvent, CallState, Job};
use crate::codes::Cause;
use crate::outcome::{Failure, Refusal};
use crate::update::{Assignment, RecordId};

/// What becomes of a call that adds options to multi-select picklists when no answer tells whether Zoho carried it out: a
/// time-out, a broken connection, a server error, or a crash of our own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnUnknownOutcome {
    /// It is not sent again: its records are reported as `OUTCOME_UNKNOWN`. This takes no scope beyond that of updates, and
    /// nothing is done twice behind anybody's back.
    #[default]
    Report,
    /// Its records are read. Those that have the options count as updated, the others are sent again. The token needs the
    /// scopes `ZohoCRM.coql.READ` and `ZohoCRM.modules.READ`. Of a custom view nobody knows which records it held, so its
    /// calls are reported.
    Reread,
}

/// Not one of the two words.
#[derive(Debug, thiserror::Error)]
#[error("must be `report` or `reread`")]
pub struct InvalidOnUnknownOutcome;

impl FromStr for OnUnknownOutcome {
    type Err = InvalidOnUnknownOutcome;

    fn from_str(text: &str) -> Result<Self, InvalidOnUnknownOutcome> {
        match text {
            "report" => Ok(Self::Report),
            "reread" => Ok(Self::Reread),
            _ => Err(InvalidOnUnknownOutcome),
        }
    }
}

impl fmt::Display for OnUnknownOutcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Report => "report",
            Self::Reread => "reread",
        })
    }
}

/// How long to let Zoho finish what it may be at before records are read.
const SETTLES: Duration = Duration::from_secs(15);

/// What is read to find out whether a call was carried out.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// The records.
    pub ids: Vec<RecordId>,
    /// What the call was to set on each of them.
    pub sets: Vec<Assignment>,
}

impl Job {
    /// The same job, with this remedy for calls whose outcome is unclear. It is part of the job, so that a change of the
    /// config does not confuse a job under way.
    #[must_use]
    pub fn with_on_unknown_outcome(self, on_unknown_outcome: OnUnknownOutcome) -> Self {
        Self {
            on_unknown_outcome,
            ..self
        }
    }

    /// Notes that a call is about to be sent, and says whether that has to be written down before it is.
    pub fn begin_send(&mut self, seq: usize) -> bool {
        let adds = self
            .call(seq)
            .is_some_and(|state| state.call.adds_options(&self.request));
        self.mark(seq, adds)
    }

    /// Notes that a call was not sent after all, and says whether that has to be written down.
    pub fn cancel_send(&mut self, seq: usize) -> bool {
        let marked = self.call(seq).is_some_and(|state| state.outcome_unknown);
        self.mark(seq, false);
        marked
    }

    fn mark(&mut self, seq: usize, outcome_unknown: bool) -> bool {
        let state = seq
            .checked_sub(1)
            .and_then(|index| self.calls.get_mut(index));
        let open = state.filter(|state| !state.status.is_final());
        open.is_some_and(|state| {
            state.outcome_unknown = outcome_unknown;
            outcome_unknown
        })
    }

    /// The records of a call that it has still to update.
    pub fn remaining_ids(&self, state: &CallState) -> Vec<RecordId> {
        let ids = self.ids(&state.call).iter();
        ids.filter(|id| !state.updated_ids.contains(id))
            .copied()
            .collect()
    }

    /// What happened to a call that was sent and whose answer does not tell whether it was carried out.
    pub fn unknown_outcome_event(&self, seq: usize, why: Refusal) -> CallEvent {
        let Some(state) = self.call(seq) else {
            return CallEvent::outcome_unknown(&why.message);
        };
        let wait = SETTLES.max(poll_gap(state.attempts));
        if !state.call.adds_options(&self.request) {
            // It travelled with one that does.
            return CallEvent::Postponed { why, wait };
        }
        match self.evidence(seq) {
            Some(_) => CallEvent::NeedsReread { why, wait },
            None => CallEvent::outcome_unknown(&format!("{}: {}", why.code, why.message)),
        }
    }

    /// What is to be read about a call in doubt; none if it is to be reported.
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

/// What is said of each record of such a call.
pub(super) fn failure(id: RecordId) -> Failure {
    let row = Cause::AppendOutcomeUnknown.row();
    Failure {
        id,
        code: row.code.to_owned(),
        message: row.message.to_owned(),
    }
}

/// Whether the records that were found updated, before and now, are all.
pub(super) fn complete(
    found: &BTreeSet<RecordId>,
    ids: &[RecordId],
    more: &BTreeSet<RecordId>,
) -> bool {
    ids.iter().all(|id| found.contains(id) || more.contains(id))
}
