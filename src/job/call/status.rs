//! The status of one call, and the table of its transitions. The status of a job follows from those of its calls.
//!
//! | from \ event | `Settled` | `Accepted` | `Postponed` | `Progressed` | `Ended` | `Refused` |
//! | --- | --- | --- | --- | --- | --- | --- |
//! | pending | by tally | submitted | pending | - | - | failed |
//! | submitted | - | - | - | submitted | by tally | failed |
//! | succeeded, partially succeeded, failed | - | - | - | - | - | - |
//!
//! "By tally": all records updated is succeeded, none is failed, some is partially succeeded. A dash is
//! [`InvalidTransition`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The status of a call. The names are those of the job's JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CallStatus {
    /// Not sent, or sent without a definite answer. It is sent (again).
    Pending,
    /// Zoho runs the call as a job of its own, which is tracked.
    Submitted,
    /// Every record was updated.
    Succeeded,
    /// Some records were updated, some refused.
    PartiallySucceeded,
    /// No record was updated, or Zoho refused the call.
    Failed,
}

impl CallStatus {
    /// Every status, for tests of the whole table.
    pub const ALL: [Self; 5] = [
        Self::Pending,
        Self::Submitted,
        Self::Succeeded,
        Self::PartiallySucceeded,
        Self::Failed,
    ];

    /// Whether the status cannot change any more.
    pub fn is_final(self) -> bool {
        match self {
            Self::Pending | Self::Submitted => false,
            Self::Succeeded | Self::PartiallySucceeded | Self::Failed => true,
        }
    }
}

/// How many of its records a finished call updated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecordTally {
    /// Every one.
    All,
    /// At least one, but not every one.
    Some,
    /// No record.
    None,
}

impl RecordTally {
    /// The tally of `updated` records, with `others` that were not updated.
    pub fn of(updated: u64, others: u64) -> Self {
        match (updated, others) {
            (_, 0) => Self::All,
            (0, _) => Self::None,
            _ => Self::Some,
        }
    }
}

/// The kind of a [`CallEvent`](super::event::CallEvent), for the transition table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallEventKind {
    /// Zoho answered at once, record by record.
    Settled(RecordTally),
    /// Zoho accepted the call as a job.
    Accepted,
    /// The call is sent again later.
    Postponed,
    /// The Zoho job is still running.
    Progressed,
    /// The Zoho job has ended.
    Ended(RecordTally),
    /// Zoho refused the call and a retry does not help, or its job was lost.
    Refused,
}

impl CallEventKind {
    /// Every kind, for tests of the whole table.
    pub const ALL: [Self; 10] = [
        Self::Settled(RecordTally::All),
        Self::Settled(RecordTally::Some),
        Self::Settled(RecordTally::None),
        Self::Accepted,
        Self::Postponed,
        Self::Progressed,
        Self::Ended(RecordTally::All),
        Self::Ended(RecordTally::Some),
        Self::Ended(RecordTally::None),
        Self::Refused,
    ];
}

/// An event that cannot happen to a call with this status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("event {event:?} cannot happen to a call that is {from:?}")]
pub struct InvalidTransition {
    /// The status of the call.
    pub from: CallStatus,
    /// The event.
    pub event: CallEventKind,
}

/// Looks up the next status in the transition table.
///
/// # Errors
/// [`InvalidTransition`] where the table has a dash.
pub(in crate::job) fn advance(
    from: CallStatus,
    event: CallEventKind,
) -> Result<CallStatus, InvalidTransition> {
    use CallStatus::{Failed, PartiallySucceeded, Pending, Submitted, Succeeded};
    match (from, event) {
        (Pending, CallEventKind::Settled(tally)) | (Submitted, CallEventKind::Ended(tally)) => {
            Ok(match tally {
                RecordTally::All => Succeeded,
                RecordTally::Some => PartiallySucceeded,
                RecordTally::None => Failed,
            })
        }
        (Pending, CallEventKind::Accepted) | (Submitted, CallEventKind::Progressed) => {
            Ok(Submitted)
        }
        (Pending, CallEventKind::Postponed) => Ok(Pending),
        (Pending | Submitted, CallEventKind::Refused) => Ok(Failed),
        (Pending, CallEventKind::Progressed | CallEventKind::Ended(_))
        | (
            Submitted,
            CallEventKind::Settled(_) | CallEventKind::Accepted | CallEventKind::Postponed,
        )
        | (Succeeded | PartiallySucceeded | Failed, _) => Err(InvalidTransition { from, event }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transition_table() {
        let mut grid = String::new();
        for from in CallStatus::ALL {
            for event in CallEventKind::ALL {
                if let Ok(next) = advance(from, event) {
                    assert!(!from.is_final(), "a final call never moves");
                    grid.push_str(&format!("{from:?} + {event:?} -> {next:?}\n"));
                }
            }
        }
        insta::assert_snapshot!(grid, @r"
        Pending + Settled(All) -> Succeeded
        Pending + Settled(Some) -> PartiallySucceeded
        Pending + Settled(None) -> Failed
        Pending + Accepted -> Submitted
        Pending + Postponed -> Pending
        Pending + Refused -> Failed
        Submitted + Progressed -> Submitted
        Submitted + Ended(All) -> Succeeded
        Submitted + Ended(Some) -> PartiallySucceeded
        Submitted + Ended(None) -> Failed
        Submitted + Refused -> Failed
        ");
    }
}
