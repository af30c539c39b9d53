//! The way from a request as it was asked to its plan: what has to be looked up in the CRM, and checked against it, before
//! anything can be sent. Once a job is planned its calls say how far it is.
//!
//! | from \ signal | `Planned` | `Nothing` | `Postponed` | `Refused` |
//! | --- | --- | --- | --- | --- |
//! | pending | planned | nothing | pending | refused |
//! | planned, nothing, refused | - | - | - | - |
//!
//! A dash is [`AlreadyPrepared`]: a job is prepared once.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::outcome::Refusal;
use crate::update::{Assignment, FieldName, Records, UpdateMethod};

/// How far the preparation of a job is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PreparationStatus {
    /// The job has no calls yet.
    #[default]
    Pending,
    /// The job has its calls.
    Planned,
    /// No record is meant, and that is as it should be.
    Nothing,
    /// The job cannot be done.
    Refused,
}

impl PreparationStatus {
    /// Every status, for tests over the whole table.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Planned, Self::Nothing, Self::Refused];
}

/// What a try at the preparation came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PreparationEvent {
    /// Everything is known.
    Planned,
    /// No record is meant.
    Nothing,
    /// It could not be done now.
    Postponed,
    /// It can never be done.
    Refused,
}

impl PreparationEvent {
    /// Every signal, for tests over the whole table.
    pub const ALL: [Self; 4] = [Self::Planned, Self::Nothing, Self::Postponed, Self::Refused];
}

/// The job is prepared already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a preparation that is {from:?} cannot take {signal:?}")]
pub struct AlreadyPrepared {
    /// How far it is.
    pub from: PreparationStatus,
    /// The signal.
    pub signal: PreparationEvent,
}

/// The table.
///
/// # Errors
/// [`AlreadyPrepared`] where the table has a dash.
pub fn advance(
    from: PreparationStatus,
    signal: PreparationEvent,
) -> Result<PreparationStatus, AlreadyPrepared> {
    match (from, signal) {
        (PreparationStatus::Pending, PreparationEvent::Planned) => Ok(PreparationStatus::Planned),
        (PreparationStatus::Pending, PreparationEvent::Nothing) => Ok(PreparationStatus::Nothing),
        (PreparationStatus::Pending, PreparationEvent::Postponed) => Ok(PreparationStatus::Pending),
        (PreparationStatus::Pending, PreparationEvent::Refused) => Ok(PreparationStatus::Refused),
        (
            PreparationStatus::Planned | PreparationStatus::Nothing | PreparationStatus::Refused,
            _,
        ) => Err(AlreadyPrepared { from, signal }),
    }
}

/// What is known of a job's preparation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preparation {
    /// How far it is.
    pub status: PreparationStatus,
    /// Requests that were sent for it.
    pub attempts: u32,
    /// Not before this moment is it to be tried (again).
    pub due_at: Option<Timestamp>,
    /// What its records were looked up by, and how many were found.
    pub lookup: Option<Lookup>,
    /// What somebody should know who wonders about the outcome.
    pub notes: Vec<String>,
}

/// What a look-up of records by the value of a field came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lookup {
    /// The field.
    pub field: FieldName,
    /// Values that were asked for.
    pub values: u64,
    /// Values that some record has.
    pub matched: u64,
    /// Records that have them.
    pub ids: u64,
}

/// The result of one attempt at the preparation; see [`super::Job::record_preparation`].
#[derive(Clone, Debug, PartialEq)]
pub struct PreparationResult {
    /// What its records were looked up by, if they were.
    pub lookup: Option<Lookup>,
    /// What somebody should know who wonders about the outcome.
    pub notes: Vec<String>,
    /// What it came to.
    pub outcome: PreparationOutcome,
}

/// What a preparation came to.
#[derive(Clone, Debug, PartialEq)]
pub enum PreparationOutcome {
    /// The job can be planned, with these fields, records and method where they differ from what was asked.
    Ready {
        /// The fields.
        fields: Option<Vec<Assignment>>,
        /// The records.
        records: Option<Records>,
        /// By which calls, if only some of those that were asked for can set every field.
        update_by: Option<UpdateMethod>,
    },
    /// No record is meant, and that is as it should be.
    Nothing,
    /// To be tried again later; why, and how long to wait at least.
    Postponed {
        /// The reason.
        why: Refusal,
        /// The wait.
        wait: Duration,
    },
    /// It can never be done.
    Refused(Refusal),
}

impl PreparationOutcome {
    /// Everything is as it was asked.
    pub const UNCHANGED: Self = Self::Ready {
        fields: None,
        records: None,
        update_by: None,
    };

    pub(super) fn signal(&self) -> PreparationEvent {
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
            for signal in PreparationEvent::ALL {
                match advance(from, signal) {
                    Ok(next) => grid.push_str(&format!("{from:?} + {signal:?} -> {next:?}\n")),
                    Err(refused) => assert_eq!(refused, AlreadyPrepared { from, signal }),
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
