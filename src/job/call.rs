//! The state of one call of a job, and the events that change it.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::state::CallStatus;
use crate::clock::after;
use crate::codes::Cause;
use crate::outcome::{Failure, Progress, Refusal};
use crate::plan::Call;
use crate::update::RecordId;

/// How long after its submission a Zoho job may be unknown to Zoho before it counts as lost. Nothing documents such a
/// gap; nothing rules it out either.
const GRACE: Duration = Duration::from_secs(60);

/// How long after a job's acceptance a call that Zoho has never taken is sent again; longer for a job whose Zoho jobs are
/// tracked longer. An outage of Zoho's must not cost a job for which tracking is short.
pub(super) const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// The longest gap between two polls of a Zoho job. A later poll means that masshook was down, or that the clock jumped.
const GAP: Duration = Duration::from_secs(300);

/// How long a Zoho job is tracked unless the config says otherwise.
pub const TRACK_FOR: Duration = Duration::from_secs(24 * 3600);

/// The state of one call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallState {
    /// The call.
    pub call: Call,
    /// Its status.
    pub status: CallStatus,
    /// How often it was sent.
    pub attempts: u32,
    /// How often its Zoho job was asked for its status.
    pub polls: u32,
    /// The id of its Zoho job, once there is one.
    pub zoho_job_id: Option<String>,
    /// When Zoho took it.
    pub submitted_at: Option<Timestamp>,
    /// The last counts of its Zoho job.
    pub progress: Option<Progress>,
    /// Not before this moment is it to be sent or asked for again.
    pub due_at: Option<Timestamp>,
    /// Time since the submission in which the Zoho job was not polled. It does not count towards `track_for`.
    #[serde(default, skip_serializing_if = "SignedDuration::is_zero")]
    pub tracking_downtime: SignedDuration,
    /// The last thing that went wrong with it.
    pub error: Option<Refusal>,
    /// Whether it was, or was about to be, sent without that any answer was written down since. Only of calls that must
    /// not be sent twice; see [`super::doubt`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub outcome_unknown: bool,
    /// Records that a reread found updated. They are not sent again.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub updated_ids: BTreeSet<RecordId>,
}

/// An event of a call, as [`super::Job::apply`] takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallEvent {
    /// Zoho answered record by record: these were refused, all others of the call updated.
    Settled(Vec<Failure>),
    /// Zoho made a job of the call.
    Accepted {
        /// The id of Zoho's job.
        zoho_job_id: String,
    },
    /// To be sent again later; why, and how long to wait at least.
    Postponed {
        /// The reason.
        why: Refusal,
        /// The wait.
        wait: Duration,
    },
    /// Sent, with an unknown outcome. Its records are read before it is sent again.
    NeedsReread {
        /// What came instead of an answer, or of what was read.
        why: Refusal,
        /// How long to wait at least before they are.
        wait: Duration,
    },
    /// The records of a call in doubt were read: these are as it was to make them.
    FoundUpdated(BTreeSet<RecordId>),
    /// Sent, and its outcome will never be known.
    OutcomeUnknown(Refusal),
    /// Zoho's job is not finished, or its status could not be had now.
    Progressed {
        /// The counts, if it could.
        counts: Option<Progress>,
        /// How long to wait at least before asking again.
        wait: Duration,
    },
    /// Zoho's job will never tell its status.
    TrackingFailed(Refusal),
    /// Zoho's job has ended.
    Ended {
        /// Its last counts.
        counts: Progress,
        /// Whether Zoho says that it completed, rather than failed.
        completed: bool,
    },
    /// Zoho's job was not finished when its time to be tracked was over.
    TimedOut {
        /// The last counts, if they could be had.
        counts: Option<Progress>,
        /// What is said of it.
        why: Refusal,
    },
    /// Zoho does not know the job (yet).
    JobNotFound,
    /// Refused for good.
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

    /// Takes note of a look that comes much too late.
    pub(super) fn record_late_poll(&mut self, now: Timestamp) {
        let due = self.due_at.filter(|due| now > after(*due, GAP));
        if let Some(due) = due {
            let late = now.duration_since(due);
            self.tracking_downtime = self.tracking_downtime.saturating_add(late);
        }
    }

    /// When tracking of the Zoho job started, moved by the downtime; none if there is no Zoho job.
    pub(super) fn tracked_since(&self) -> Option<Timestamp> {
        let since = self.submitted_at?;
        Some(after(since, self.tracking_downtime.unsigned_abs()))
    }

    /// Turns patience that has run out into a refusal. `accepted_at` is when the job was, `track_for` how long its Zoho
    /// jobs are tracked.
    pub(super) fn apply_deadlines(
        &self,
        event: CallEvent,
        accepted_at: Timestamp,
        track_for: Duration,
        now: Timestamp,
    ) -> CallEvent {
        let tracked_since = self.tracked_since().unwrap_or(accepted_at);
        let patience = PATIENCE.max(track_for);
        match event {
            CallEvent::Postponed { why, .. } if now >= after(accepted_at, patience) => {
                CallEvent::Refused(Refusal {
                    message: format!(
                        "given up after {} h and {} attempts: {}",
                        patience.as_secs() / 3600,
                        self.attempts,
                        why.message
                    ),
                    ..why
                })
            }
            CallEvent::NeedsReread { why, .. } if now >= after(accepted_at, patience) => {
                let hours = patience.as_secs() / 3600;
                CallEvent::outcome_unknown(&format!("given up after {hours} h: {}", why.message))
            }
            CallEvent::JobNotFound if now > after(tracked_since, GRACE) => {
                CallEvent::Refused(Refusal::of(Cause::JobLost))
            }
            // Zoho was asked at the end. Where it could not be, it is asked on: it may well have ended the job.
            CallEvent::Progressed { counts, .. }
                if now >= after(tracked_since, track_for)
                    && (counts.is_some()
                        || now >= after(tracked_since, track_for.saturating_add(PATIENCE))) =>
            {
                let minutes = track_for.as_secs() / 60;
                CallEvent::TimedOut {
                    counts,
                    why: Refusal::with(
                        Cause::TrackingTimedOut,
                        format!(
                            "Zoho took the call, and its job has not ended within the {minutes} min of `track_for`; the counts are the last that Zoho told"
                        ),
                    ),
                }
            }
            CallEvent::TrackingFailed(why) => CallEvent::Refused(Refusal {
                message: format!(
                    "Zoho took the call, but its status cannot be read: {}",
                    why.message
                ),
                advice: Some(match why.advice {
                    Some(advice) => format!("{advice}; {}", Cause::JobLost.row().cure),
                    None => Cause::JobLost.row().cure.to_owned(),
                }),
                ..why
            }),
            CallEvent::Settled(_)
            | CallEvent::Accepted { .. }
            | CallEvent::Postponed { .. }
            | CallEvent::NeedsReread { .. }
            | CallEvent::FoundUpdated(_)
            | CallEvent::OutcomeUnknown(_)
            | CallEvent::Progressed { .. }
            | CallEvent::Ended { .. }
            | CallEvent::TimedOut { .. }
            | CallEvent::JobNotFound
            | CallEvent::Refused(_) => event,
        }
    }

    /// Whether Zoho took the call and its end is not known, and never will be.
    pub(super) fn has_lost_tracking(&self) -> bool {
        self.status.is_final() && self.submitted_at.is_some() && self.error.is_some()
    }
}

/// The gap before the poll after `polls` polls: from two seconds, half as long again each time, to five minutes.
pub(super) fn poll_gap(polls: u32) -> Duration {
    let steps = polls.min(15);
    Duration::from_secs_f64(2.0 * 1.5_f64.powi(steps.cast_signed())).min(GAP)
}
