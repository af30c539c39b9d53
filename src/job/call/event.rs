//! The events that change the state of a call.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::codes::Cause;
use crate::outcome::{Failure, NewRecordOutcome, Progress, Refusal};
use crate::update::RecordId;

/// Records that a call leaves to a newer delivery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SupersededRecords {
    /// Known records.
    pub ids: BTreeSet<RecordId>,
    /// Records that the call would create, by their numbers in the request.
    pub new_records: BTreeSet<usize>,
}

impl SupersededRecords {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of records.
    pub fn len(&self) -> usize {
        self.ids.len() + self.new_records.len()
    }
}

/// An event of a call, for [`Job::apply`](crate::job::Job::apply).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallEvent {
    /// Zoho answered record by record: these records were refused, all others of the call updated.
    Settled(Vec<Failure>),
    /// Zoho answered row by row: the outcome of each new record of the call, by its number in the request.
    Upserted(Vec<(usize, NewRecordOutcome)>),
    /// Zoho accepted the call as a job of its own.
    Accepted {
        /// The id of Zoho's job.
        zoho_job_id: String,
    },
    /// The call could not be sent now. It is sent again later.
    Postponed {
        /// Why.
        reason: Refusal,
        /// The shortest wait.
        wait: Duration,
    },
    /// The call was sent, with an unknown outcome. Its records are read before it is sent again.
    NeedsReread {
        /// The error that came instead of an answer, or instead of the records.
        reason: Refusal,
        /// The shortest wait before the records are read.
        wait: Duration,
    },
    /// A reread found these records updated, after an unknown outcome.
    FoundUpdated(BTreeSet<RecordId>),
    /// A newer delivery has updated these records, and the call leaves them alone.
    Superseded(SupersededRecords),
    /// The call was sent, and its outcome will never be known.
    OutcomeUnknown(Refusal),
    /// Zoho's job is not finished, or its status could not be read now.
    Progressed {
        /// The counts, if the status was read.
        counts: Option<Progress>,
        /// The shortest wait before the next poll.
        wait: Duration,
        /// Why the status could not be read now.
        refusal: Option<Refusal>,
    },
    /// The status of Zoho's job can never be read.
    TrackingFailed(Refusal),
    /// Zoho's job has ended.
    Ended {
        /// The final counts.
        counts: Progress,
        /// Whether Zoho reports that the job completed, rather than failed.
        completed: bool,
    },
    /// Zoho's job was not finished at the end of `track_for`.
    TimedOut {
        /// The last counts, if the status was read.
        counts: Option<Progress>,
        /// The error that is reported.
        reason: Refusal,
    },
    /// Zoho does not know the job, or not yet.
    JobNotFound,
    /// Zoho refused the call, and a retry does not help.
    Refused(Refusal),
}

impl CallEvent {
    /// The event of a call whose outcome will never be known.
    pub fn outcome_unknown(reason: &str) -> Self {
        let row = Cause::AppendOutcomeUnknown.row();
        Self::OutcomeUnknown(Refusal::with(
            Cause::AppendOutcomeUnknown,
            format!("{} ({reason})", row.happened),
        ))
    }
}
