//! Outcomes: of deliveries, and the parts of Zoho's answers that a job stores (refusals, failures of records, counts of Zoho
//! jobs, requests).

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::codes::{self, Cause};
use crate::update::{FieldName, RecordId, StepKind};

/// Why Zoho or masshook refused a request: a code, a message and advice. Every code of masshook is in the table of codes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refusal {
    /// Zoho's code, verbatim, or one of masshook's.
    pub code: String,
    /// What happened.
    pub message: String,
    /// What to do about it, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl Refusal {
    /// Creates the refusal for a cause, with the message and advice of the table.
    pub fn of(cause: Cause) -> Self {
        Self::with(cause, cause.row().happened)
    }

    /// Creates the refusal for a cause, with a message of its own and the advice of the table.
    pub fn with(cause: Cause, message: impl Into<String>) -> Self {
        let row = cause.row();
        Self {
            code: row.code.to_owned(),
            message: message.into(),
            advice: Some(row.cure.to_owned()),
        }
    }

    /// Creates a refusal by Zoho, with the advice of the table.
    pub fn zoho(code: String, message: String) -> Self {
        let advice = Some(codes::cure(&code, &message).to_owned());
        Self {
            code,
            message,
            advice,
        }
    }

    /// The cause, if the code is in the table.
    pub fn cause(&self) -> Option<Cause> {
        codes::find(&self.code, &self.message).map(|row| row.cause)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.code, self.message)?;
        self.advice
            .iter()
            .try_for_each(|advice| write!(formatter, " ({advice})"))
    }
}

/// A record that was not updated, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// The record's id.
    pub id: RecordId,
    /// Zoho's code.
    pub code: String,
    /// Zoho's message and its details.
    pub message: String,
    /// The step that failed, in a job that changes more than fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepKind>,
}

impl Failure {
    /// Returns what to do about it. The advice comes from the table of codes and is not stored.
    pub fn advice(&self) -> &'static str {
        codes::cure(&self.code, &self.message)
    }
}

/// The outcome of a record that was to be created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NewRecordOutcome {
    /// Zoho created it.
    Created {
        /// Its id.
        id: RecordId,
    },
    /// Zoho found a record with one of the unique values, and updated it.
    Updated {
        /// Its id.
        id: RecordId,
        /// The field by which Zoho found it, if it is another one than the field of the `match`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        found_by: Option<FieldName>,
    },
    /// Zoho refused it.
    Refused {
        /// Zoho's code.
        code: String,
        /// Zoho's message and its details.
        message: String,
    },
    /// The call that was to create it failed as a whole; the job's error tells why.
    CallFailed,
    /// It was left to a newer delivery.
    Superseded,
}

impl NewRecordOutcome {
    /// The id of the record, if it exists now.
    pub fn id(&self) -> Option<RecordId> {
        match self {
            Self::Created { id } | Self::Updated { id, .. } => Some(*id),
            Self::Refused { .. } | Self::CallFailed | Self::Superseded => None,
        }
    }

    /// Zoho's code, if Zoho refused the record.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            Self::Created { .. } | Self::Updated { .. } | Self::CallFailed | Self::Superseded => {
                None
            }
        }
    }
}

/// The counts of a Zoho job. `failed + updated + not_updated = total`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Records in the job.
    pub total: u64,
    /// Records updated so far.
    pub updated: u64,
    /// Records not yet updated.
    pub not_updated: u64,
    /// Records refused.
    pub failed: u64,
}

/// The outcome of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryOutcome {
    /// It has new jobs.
    Accepted,
    /// All of its jobs existed already.
    Duplicate,
    /// Its route ignores it.
    Ignored,
    /// It was refused.
    Refused,
}

impl DeliveryOutcome {
    /// All outcomes.
    pub const ALL: [Self; 4] = [
        Self::Accepted,
        Self::Duplicate,
        Self::Ignored,
        Self::Refused,
    ];

    /// The name in JSON and in labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::Ignored => "ignored",
            Self::Refused => "refused",
        }
    }
}

/// One request to Zoho, as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentRequest {
    /// When it was sent.
    pub sent_at: Timestamp,
    /// The time until its answer, or until it was given up.
    pub took: Duration,
    /// The status of the answer.
    pub status: Option<u16>,
    /// Why it did not succeed.
    pub error: Option<Refusal>,
    /// How long it waited before, because Zoho had asked for a pause.
    pub throttled: Duration,
    /// How long it waited before, because other calls of the connection had every permit.
    pub queued: Duration,
    /// The wait until it is repeated, if it is repeated in the same turn.
    pub retry_in: Option<Duration>,
}

impl SentRequest {
    /// The code of its error.
    pub fn code(&self) -> Option<&str> {
        self.error.as_ref().map(|error| error.code.as_str())
    }
}
