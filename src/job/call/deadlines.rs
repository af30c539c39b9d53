//! The deadlines of a call: how long it is retried, and how long its Zoho job is tracked.

use std::time::Duration;

use jiff::Timestamp;

use super::event::CallEvent;
use super::{CallState, RETRY_PERIOD};
use crate::clock::after;
use crate::codes::Cause;
use crate::outcome::Refusal;

/// How long after its submission a Zoho job may be unknown to Zoho before it counts as lost. Zoho does not document whether
/// there is such a gap.
const GRACE_PERIOD: Duration = Duration::from_secs(60);

impl CallState {
    /// Replaces an event that comes after its deadline by the event that ends the call. `accepted_at` is when the job was
    /// accepted, `track_for` how long its Zoho jobs are tracked.
    pub(in crate::job) fn apply_deadlines(
        &self,
        event: CallEvent,
        accepted_at: Timestamp,
        track_for: Duration,
        now: Timestamp,
    ) -> CallEvent {
        let tracked_since = self.tracked_since().unwrap_or(accepted_at);
        let retry_period = RETRY_PERIOD.max(track_for);
        let hours = retry_period.as_secs() / 3600;
        let is_retry_over = now >= after(accepted_at, retry_period);
        match event {
            CallEvent::Postponed { reason, .. } if is_retry_over => CallEvent::Refused(Refusal {
                message: format!(
                    "given up after {hours} h and {} attempts: {}",
                    self.attempts, reason.message
                ),
                ..reason
            }),
            CallEvent::NeedsReread { reason, .. } if is_retry_over => {
                CallEvent::outcome_unknown(&format!("given up after {hours} h: {}", reason.message))
            }
            CallEvent::JobNotFound if now > after(tracked_since, GRACE_PERIOD) => {
                CallEvent::Refused(Refusal::of(Cause::JobLost))
            }
            // Tracking ends only with a poll that Zoho answered, because Zoho may have finished the job. Without an answer,
            // polling goes on for the retry period.
            CallEvent::Progressed { counts, .. }
                if now >= after(tracked_since, track_for)
                    && (counts.is_some()
                        || now >= after(tracked_since, track_for.saturating_add(RETRY_PERIOD))) =>
            {
                CallEvent::TimedOut {
                    counts,
                    reason: tracking_timed_out(track_for),
                }
            }
            CallEvent::TrackingFailed(refusal) => CallEvent::Refused(tracking_failed(refusal)),
            CallEvent::Settled(_)
            | CallEvent::Superseded(_)
            | CallEvent::Upserted(_)
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
}

fn tracking_timed_out(track_for: Duration) -> Refusal {
    let minutes = track_for.as_secs() / 60;
    Refusal::with(
        Cause::TrackingTimedOut,
        format!(
            "Zoho accepted the call, and its job has not ended within the {minutes} min of `track_for`; the counts are the last that Zoho reported"
        ),
    )
}

fn tracking_failed(refusal: Refusal) -> Refusal {
    let cure = Cause::JobLost.row().cure;
    Refusal {
        message: format!(
            "Zoho accepted the call, but its status cannot be read: {}",
            refusal.message
        ),
        advice: Some(match refusal.advice {
            Some(advice) => format!("{advice}; {cure}"),
            None => cure.to_owned(),
        }),
        ..refusal
    }
}
