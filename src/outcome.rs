//! What Zoho said, in the words that a job keeps: a refusal, a record's failure, a Zoho job's counts.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::codes::{self, Cause};
use crate::update::RecordId;

/// Why Zoho, or masshook on its behalf, said no: Zoho's own code and message, and what to do about it. A code of ours has
/// a cause in the table of codes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Zoho's code, verbatim, or one of ours.
    pub code: String,
    /// What happened.
    pub message: String,
    /// What to do, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl Refusal {
    /// What the table of codes says of a cause.
    pub fn of(cause: Cause) -> Self {
        Self::with(cause, cause.row().happened)
    }

    /// The same, with a message that says more of this case.
    pub fn with(cause: Cause, message: impl Into<String>) -> Self {
        let row = cause.row();
        Self {
            code: row.code.to_owned(),
            message: message.into(),
            advice: Some(row.cure.to_owned()),
        }
    }

    /// Zoho's own words, with what the table of codes says to do about them.
    pub fn zoho(code: String, message: String) -> Self {
        let advice = Some(codes::cure(&code, &message).to_owned());
        Self {
            code,
            message,
            advice,
        }
    }

    /// What it comes from, if its code is in the table.
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The record.
    pub id: RecordId,
    /// Zoho's code.
    pub code: String,
    /// Zoho's message, with what its details add.
    pub message: String,
}

impl Failure {
    /// What to do about it. It is not stored, as the table of codes has it.
    pub fn advice(&self) -> &'static str {
        codes::cure(&self.code, &self.message)
    }
}

/// The counts that Zoho gives of one of its jobs. `failed + updated + not_updated = total`.
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
