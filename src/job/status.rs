//! The status of a job, and its counts of records.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::call::status::CallStatus;

/// The status of a job. The names are those of the job's JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobStatus {
    /// No request was sent yet.
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

/// Counts of records. `created + updated + failed + pending + superseded = total`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// The job's records; for a custom view, as Zoho last counted them.
    pub total: u64,
    /// Records on which every field was set and every other step was carried out.
    pub updated: u64,
    /// Records that were created; only of jobs that can create records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<u64>,
    /// Records on which at least one field or another step was refused.
    pub failed: u64,
    /// All other records.
    pub pending: u64,
    /// Records that were left to a newer delivery; only of jobs with an order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub superseded: Option<u64>,
}

impl Counts {
    /// The counts of these and of other records.
    #[must_use]
    pub(super) fn plus(self, other: Self) -> Self {
        let sum = |one: Option<u64>, other: Option<u64>| {
            let all = one.into_iter().chain(other);
            all.reduce(|one, other| one + other)
        };
        Self {
            total: self.total + other.total,
            updated: self.updated + other.updated,
            created: sum(self.created, other.created),
            failed: self.failed + other.failed,
            pending: self.pending + other.pending,
            superseded: sum(self.superseded, other.superseded),
        }
    }
}

impl JobStatus {
    /// Whether the job updates no more records.
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

    /// The status of a job with these calls. `started` is whether any request was sent for the job.
    pub fn of(calls: impl Iterator<Item = CallStatus> + Clone, started: bool) -> Self {
        let mut statuses = calls.clone();
        if statuses.any(|status| !status.is_final()) {
            return if started { Self::Running } else { Self::Queued };
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
    fn job_status_follows_calls() {
        use CallStatus::{Failed, PartiallySucceeded, Pending, Submitted, Succeeded};
        let of = |calls: &[CallStatus], started| JobStatus::of(calls.iter().copied(), started);
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
