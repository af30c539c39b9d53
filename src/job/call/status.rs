//! The life of one call, as a pure table. What happens to a job follows from its calls.
//!
//! | from \ signal | `Settled` | `Accepted` | `Postponed` | `Progressed` | `Ended` | `Refused` |
//! | --- | --- | --- | --- | --- | --- | --- |
//! | pending | by tally | submitted | pending | - | - | failed |
//! | submitted | - | - | - | submitted | by tally | failed |
//! | succeeded, partially succeeded, failed | - | - | - | - | - | - |
//!
//! "By tally": all records updated is succeeded, none is failed, some is partially succeeded. A dash is
//! [`InvalidTransition`]: the signal has no meaning there, and nothing changes.

use serde::{Deserialize, Serialize};

/// How far a call is. Its names are those of the job's JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallStatus {
    /// Not sent, or sent without a certain answer; it is to be sent (again).
    Pending,
    /// Zoho runs it as a job of its own, which is being tracked.
    Submitted,
    /// Every record was updated.
    Succeeded,
    /// Some records were updated, some refused.
    PartiallySucceeded,
    /// No record was updated, or Zoho refused the call.
    Failed,
}

impl CallStatus {
    /// Every status, for tests over the whole table.
    pub const ALL: [Self; 5] = [
        Self::Pending,
        Self::Submitted,
        Self::Succeeded,
        Self::PartiallySucceeded,
        Self::Failed,
    ];

    /// Whether nothing more happens to the call.
    pub fn is_final(self) -> bool {
        match self {
            Self::Pending | Self::Submitted => false,
            Self::Succeeded | Self::PartiallySucceeded | Self::Failed => true,
        }
    }
}

/// How many of the records a finished call updated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecordTally {
    /// Every one.
    All,
    /// At least one, and not every one.
    Some,
    /// Not one.
    None,
}

impl RecordTally {
    /// The tally of `updated` records beside `others` that were not updated.
    pub fn of(updated: u64, others: u64) -> Self {
        match (updated, others) {
            (_, 0) => Self::All,
            (0, _) => Self::None,
            _ => Self::Some,
        }
    }
}

/// What was learnt about a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallEventKind {
    /// Zoho answered at once, record by record.
    Settled(RecordTally),
    /// Zoho made a job of it.
    Accepted,
    /// It could not be sent now and is to be sent later.
    Postponed,
    /// Its Zoho job is still running.
    Progressed,
    /// Its Zoho job has ended.
    Ended(RecordTally),
    /// Zoho refused it for good, or its job was lost.
    Refused,
}

impl CallEventKind {
    /// Every signal, for tests over the whole table.
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

/// The signal means nothing in this state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a call that is {from:?} cannot take {signal:?}")]
pub struct InvalidTransition {
    /// The state.
    pub from: CallStatus,
    /// The signal.
    pub signal: CallEventKind,
}

/// The table.
///
/// # Errors
/// [`InvalidTransition`] where the table has a dash.
pub fn advance(from: CallStatus, signal: CallEventKind) -> Result<CallStatus, InvalidTransition> {
    use CallStatus::{Failed, PartiallySucceeded, Pending, Submitted, Succeeded};
    match (from, signal) {
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
        | (Succeeded | PartiallySucceeded | Failed, _) => Err(InvalidTransition { from, signal }),
    }
}

/// How far a job is. Its names are those of the job's JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobStatus {
    /// Nothing was sent yet.
    Queued,
    /// Some calls are not final.
    Running,
    /// Every call succeeded.
    Succeeded,
    /// Some records were updated, some not.
    PartiallySucceeded,
    /// No record was updated.
    Failed,
}

impl JobStatus {
    /// Whether nothing more happens to the records of the job.
    pub fn is_final(self) -> bool {
        match self {
            Self::Queued | Self::Running => false,
            Self::Succeeded | Self::PartiallySucceeded | Self::Failed => true,
        }
    }

    /// The name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::PartiallySucceeded => "partially_succeeded",
            Self::Failed => "failed",
        }
    }

    /// The status of a job with these calls, `touched` if any of them was ever sent.
    pub fn of(calls: impl Iterator<Item = CallStatus> + Clone, touched: bool) -> Self {
        let mut statuses = calls.clone();
        if statuses.any(|status| !status.is_final()) {
            return if touched { Self::Running } else { Self::Queued };
        }
        let mut statuses = calls.clone();
        if statuses.all(|status| status == CallStatus::Succeeded) {
            return Self::Succeeded;
        }
        let mut statuses = calls;
        if statuses.all(|status| status == CallStatus::Failed) {
            Self::Failed
        } else {
            Self::PartiallySucceeded
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transition_table() {
        let mut grid = String::new();
        for from in CallStatus::ALL {
            for signal in CallEventKind::ALL {
                if let Ok(next) = advance(from, signal) {
                    assert!(!from.is_final(), "a final call never moves");
                    grid.push_str(&format!("{from:?} + {signal:?} -> {next:?}\n"));
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

    #[test]
    fn job_status_follows_calls() {
        use CallStatus::{Failed, PartiallySucceeded, Pending, Submitted, Succeeded};
        let of = |calls: &[CallStatus], touched| JobStatus::of(calls.iter().copied(), touched);
        assert_eq!(of(&[Pending, Pending], false), JobStatus::Queued);
        assert_eq!(of(&[Pending, Pending], true), JobStatus::Running);
        assert_eq!(of(&[Succeeded, Submitted], true), JobStatus::Running);
        assert_eq!(of(&[Succeeded, Succeeded], true), JobStatus::Succeeded);
        assert_eq!(
            of(&[Succeeded, Failed], true),
            JobStatus::PartiallySucceeded
        );
        assert_eq!(
            of(&[PartiallySucceeded], true),
            JobStatus::PartiallySucceeded
        );
        assert_eq!(of(&[Failed, Failed], true), JobStatus::Failed);
    }
}
