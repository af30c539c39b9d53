//! The preparation of a job: reading from the CRM what must be looked up or validated before the job can be planned.
//!
//! | from \ event | `Planned` | `Nothing` | `Postponed` | `Refused` |
//! | --- | --- | --- | --- | --- |
//! | pending | planned | nothing | pending | refused |
//! | planned, nothing, refused | - | - | - | - |
//!
//! A dash is [`AlreadyPrepared`]: a job is prepared only once.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::codes::{Class, FailureScope};
use crate::outcome::Refusal;
use crate::update::{Assignment, FieldName, NewRecords, Records, UpdateMethod, UserId};

/// The status of a preparation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PreparationStatus {
    /// The job has no calls yet.
    #[default]
    Pending,
    /// The job has its calls.
    Planned,
    /// No record matches, and the job succeeds without calls.
    Nothing,
    /// The job failed before it had calls.
    Refused,
}

impl PreparationStatus {
    /// Every status, for tests of the whole table.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Planned, Self::Nothing, Self::Refused];
}

/// The kind of a [`PreparationOutcome`], for the transition table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PreparationEvent {
    /// The job can be planned.
    Planned,
    /// No record matches.
    Nothing,
    /// The preparation is tried again later.
    Postponed,
    /// The preparation failed, and a retry does not help.
    Refused,
}

impl PreparationEvent {
    /// Every event, for tests of the whole table.
    pub const ALL: [Self; 4] = [Self::Planned, Self::Nothing, Self::Postponed, Self::Refused];
}

/// An event of a preparation that has already ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("event {event:?} cannot happen to a preparation that is {from:?}")]
pub struct AlreadyPrepared {
    /// The status of the preparation.
    pub from: PreparationStatus,
    /// The event.
    pub event: PreparationEvent,
}

/// Looks up the next status in the transition table.
///
/// # Errors
/// [`AlreadyPrepared`] where the table has a dash.
pub fn advance(
    from: PreparationStatus,
    event: PreparationEvent,
) -> Result<PreparationStatus, AlreadyPrepared> {
    match (from, event) {
        (PreparationStatus::Pending, PreparationEvent::Planned) => Ok(PreparationStatus::Planned),
        (PreparationStatus::Pending, PreparationEvent::Nothing) => Ok(PreparationStatus::Nothing),
        (PreparationStatus::Pending, PreparationEvent::Postponed) => Ok(PreparationStatus::Pending),
        (PreparationStatus::Pending, PreparationEvent::Refused) => Ok(PreparationStatus::Refused),
        (
            PreparationStatus::Planned | PreparationStatus::Nothing | PreparationStatus::Refused,
            _,
        ) => Err(AlreadyPrepared { from, event }),
    }
}

/// The state of a job's preparation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preparation {
    /// The status.
    pub status: PreparationStatus,
    /// The number of requests that were sent.
    pub attempts: u32,
    /// When the preparation may start, or be tried again; none means at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Timestamp>,
    /// How the records were looked up, and how many were found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lookup: Option<Lookup>,
    /// Remarks that explain the outcome.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// The result of a look-up of records by the values of a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lookup {
    /// The field.
    pub field: FieldName,
    /// The number of values that were looked up.
    pub values: u64,
    /// The number of values that at least one record has.
    pub matched: u64,
    /// The number of records that were found.
    pub ids: u64,
}

impl Lookup {
    /// How many of the values have records.
    pub fn match_count(&self) -> MatchCount {
        MatchCount {
            values: self.values,
            matched: self.matched,
        }
    }
}

/// How many of the values that were looked up have records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MatchCount {
    /// The number of values.
    pub values: u64,
    /// The number of values that at least one record has.
    pub matched: u64,
}

impl MatchCount {
    /// Whether each value has a record now, if the job created this many.
    pub fn is_complete(self, created: Option<u64>) -> bool {
        self.matched + created.unwrap_or_default() >= self.values
    }

    /// Whether there are values, and none of them has a record now, if the job created this many.
    pub fn matched_none(self, created: Option<u64>) -> bool {
        self.matched + created.unwrap_or_default() == 0 && self.values > 0
    }
}

impl fmt::Display for MatchCount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} of {} matched", self.matched, self.values)
    }
}

/// The result of one attempt at a preparation, for [`Job::record_preparation`](super::Job::record_preparation).
#[derive(Clone, Debug, PartialEq)]
pub struct PreparationResult {
    /// How the records were looked up, if they were.
    pub lookup: Option<Lookup>,
    /// Remarks that explain the outcome.
    pub notes: Vec<String>,
    /// The outcome.
    pub outcome: PreparationOutcome,
    /// How long it took.
    pub took: Duration,
}

/// The outcome of one attempt at a preparation.
#[derive(Clone, Debug, PartialEq)]
pub enum PreparationOutcome {
    /// The job can be planned. None means that this part of the request stays as it is.
    Ready {
        /// The fields.
        fields: Option<Vec<Assignment>>,
        /// The records.
        records: Option<Records>,
        /// The records to create.
        new_records: Option<Box<NewRecords>>,
        /// The update method, if the requested one cannot set every field.
        update_by: Option<UpdateMethod>,
        /// The new owner, if it had to be looked up.
        owner: Option<UserId>,
    },
    /// No record matches, and the job succeeds without calls.
    Nothing,
    /// The preparation is tried again later.
    Postponed {
        /// Why.
        reason: Refusal,
        /// The shortest wait.
        wait: Duration,
    },
    /// The preparation failed, and a retry does not help.
    Refused(Refusal),
}

impl PreparationOutcome {
    /// The request can be planned as it is.
    pub const UNCHANGED: Self = Self::Ready {
        fields: None,
        records: None,
        new_records: None,
        update_by: None,
        owner: None,
    };

    /// Whether no call of the job will ever succeed through its connection: the fault is not the request's.
    pub fn is_denial(&self) -> bool {
        let Self::Refused(refusal) = self else {
            return false;
        };
        let class = refusal.cause().map(|cause| cause.row().class);
        class == Some(Class::Permanent(FailureScope::Job))
    }

    /// Why the job was not planned.
    pub(super) fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Postponed { reason, .. } | Self::Refused(reason) => Some(reason),
            Self::Ready { .. } | Self::Nothing => None,
        }
    }

    /// The kind of this outcome.
    pub(super) fn event(&self) -> PreparationEvent {
        match self {
            Self::Ready { .. } => PreparationEvent::Planned,
            Self::Nothing => PreparationEvent::Nothing,
            Self::Postponed { .. } => PreparationEvent::Postponed,
            Self::Refused(_) => PreparationEvent::Refused,
        }
    }
}

impl From<PreparationOutcome> for PreparationResult {
    fn from(outcome: PreparationOutcome) -> Self {
        Self {
            lookup: None,
            notes: Vec::new(),
            outcome,
            took: Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transition_table() {
        let mut grid = String::new();
        for from in PreparationStatus::ALL {
            for event in PreparationEvent::ALL {
                match advance(from, event) {
                    Ok(next) => grid.push_str(&format!("{from:?} + {event:?} -> {next:?}\n")),
                    Err(refused) => assert_eq!(refused, AlreadyPrepared { from, event }),
                }
            }
        }
        insta::assert_snapshot!(grid, @r"
        Pending + Planned -> Planned
        Pending + Nothing -> Nothing
        Pending + Postponed -> Pending
        Pending + Refused -> Refused
        ");
    }
}
