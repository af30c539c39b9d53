//! The state of one call of a job.

mod deadlines;
pub(super) mod event;
mod polls;
pub(super) mod status;

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::clock::after;
use crate::outcome::{Progress, Refusal};
use crate::plan::Call;
use crate::update::RecordId;
use event::CallEvent;
use polls::MAX_POLL_GAP;
pub(super) use polls::poll_gap;
use status::CallStatus;

/// How long a job is retried after its acceptance: its preparation, and calls that Zoho has not accepted. A call is retried for
/// longer if the job's Zoho jobs are tracked for longer. The period does not depend on a short `track_for`, so that a job
/// survives an outage of Zoho.
pub(super) const RETRY_PERIOD: Duration = Duration::from_secs(24 * 3600);

/// How long a Zoho job is tracked by default.
pub const TRACK_FOR: Duration = Duration::from_secs(24 * 3600);

/// The state of one call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallState {
    /// The call.
    pub call: Call,
    /// The status.
    pub status: CallStatus,
    /// How often the call was sent.
    pub attempts: u32,
    /// How often the status of its Zoho job was polled.
    pub polls: u32,
    /// The id of its Zoho job, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zoho_job_id: Option<String>,
    /// When Zoho accepted the call as a job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submitted_at: Option<Timestamp>,
    /// The last counts of its Zoho job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// When the call may be sent, reread or polled next; none means at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Timestamp>,
    /// Time since the submission in which the Zoho job was not polled. It does not count towards `track_for`.
    #[serde(default, skip_serializing_if = "SignedDuration::is_zero")]
    pub tracking_downtime: SignedDuration,
    /// The last error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Refusal>,
    /// Whether the call may have been sent without a recorded answer. Set only for calls that must not be repeated blindly; see
    /// [`Job::begin_send`](super::Job::begin_send).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub outcome_unknown: bool,
    /// Records that a reread found updated. They are not sent again.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub updated_ids: BTreeSet<RecordId>,
}

impl CallState {
    /// A call that was not sent yet.
    pub(super) fn new(call: Call) -> Self {
        Self {
            call,
            status: CallStatus::Pending,
            attempts: 0,
            polls: 0,
            zoho_job_id: None,
            submitted_at: None,
            progress: None,
            due_at: None,
            tracking_downtime: SignedDuration::ZERO,
            error: None,
            outcome_unknown: false,
            updated_ids: BTreeSet::new(),
        }
    }

    /// Records an event, except for the status. `track_for` is how long the job's Zoho jobs are tracked.
    pub(super) fn record(&mut self, event: &CallEvent, track_for: Duration, now: Timestamp) {
        self.due_at = None;
        self.outcome_unknown = matches!(event, CallEvent::NeedsReread { .. });
        match event {
            CallEvent::Settled(_) | CallEvent::Upserted(_) => self.error = None,
            CallEvent::Accepted { zoho_job_id } => {
                self.zoho_job_id = Some(zoho_job_id.clone());
                self.submitted_at = Some(now);
                self.due_at = Some(after(now, poll_gap(0)));
                self.error = None;
            }
            CallEvent::Postponed { reason, wait } | CallEvent::NeedsReread { reason, wait } => {
                self.due_at = Some(after(now, *wait));
                self.error = Some(reason.clone());
            }
            CallEvent::FoundUpdated(found) => self.updated_ids.extend(found),
            CallEvent::Superseded(_) => {}
            CallEvent::Progressed { counts, wait, .. } => {
                self.progress = counts.or(self.progress);
                self.polls += 1;
                // The last poll is at the end of `track_for`, not after it.
                let end = after(self.tracked_since().unwrap_or(now), track_for);
                let since = self.tracked_since().unwrap_or(now);
                let elapsed = Duration::try_from(now.duration_since(since)).unwrap_or_default();
                let gap = polls::next_gap(self.polls, elapsed, *counts);
                let next = after(now, gap.max(*wait));
                self.due_at = Some(if end > now { next.min(end) } else { next });
            }
            CallEvent::JobNotFound => {
                self.polls += 1;
                self.due_at = Some(after(now, poll_gap(self.polls)));
            }
            CallEvent::Ended { counts, .. } => {
                self.progress = Some(*counts);
                self.polls += 1;
                self.error = None;
            }
            CallEvent::TimedOut { counts, reason } => {
                self.progress = counts.or(self.progress);
                self.polls += 1;
                self.error = Some(reason.clone());
            }
            CallEvent::OutcomeUnknown(refusal)
            | CallEvent::Refused(refusal)
            | CallEvent::TrackingFailed(refusal) => self.error = Some(refusal.clone()),
        }
    }

    /// Adds the delay of a poll that is far too late to the downtime.
    pub(super) fn record_late_poll(&mut self, now: Timestamp) {
        let due = self.due_at.filter(|due| now > after(*due, MAX_POLL_GAP));
        if let Some(due) = due {
            let late = now.duration_since(due);
            self.tracking_downtime = self.tracking_downtime.saturating_add(late);
        }
    }

    /// When tracking of the Zoho job started, moved by the downtime; none if there is no Zoho job.
    fn tracked_since(&self) -> Option<Timestamp> {
        let since = self.submitted_at?;
        Some(after(since, self.tracking_downtime.unsigned_abs()))
    }

    /// Whether Zoho accepted the call as a job whose result will never be known.
    pub(super) fn has_lost_tracking(&self) -> bool {
        self.status.is_final() && self.submitted_at.is_some() && self.error.is_some()
    }

    /// Whether Zoho has ended the job of the call, with counts of its records and without failing as a whole.
    pub(super) fn has_ended_with_counts(&self) -> bool {
        self.status.is_final()
            && self.status != CallStatus::Failed
            && self.progress.is_some()
            && !self.has_lost_tracking()
    }
}
