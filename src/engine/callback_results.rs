//! Counts, logs and records the results of callbacks.

use tracing::Span;

use super::callbacks::Patience;
use super::{Engine, ExecutionMode, LEASE_SLACK, LeasedJob};
use crate::callback::{CallbackReply, CallbackResult, RetrySchedule};
use crate::clock::after;
use crate::job::{CallbackAttempt, Job, JobId, Notification, NotificationResult};
use crate::metrics::CallbackOutcome;
use crate::store::Claim;

/// What the count and the line of an attempt name.
#[derive(Clone, Debug)]
pub(super) struct CallbackSubject {
    pub(super) id: JobId,
    route: Option<String>,
    connection: String,
    pub(super) delivery: Option<String>,
}

impl CallbackSubject {
    /// The subject of the callbacks of a job.
    pub(super) fn of(job: &Job) -> Self {
        Self {
            id: job.id.clone(),
            route: job.route.clone(),
            connection: job.connection.clone(),
            delivery: job.delivery().map(str::to_owned),
        }
    }

    /// The span of an attempt.
    pub(super) fn span(&self) -> Span {
        tracing::info_span!(
            "callback",
            job.id = self.id.as_str(),
            delivery.id = self.delivery,
        )
    }
}

impl Engine {
    /// Leases a job to record a progress callback. Its end may have overtaken the callback: then the driver of the final one has
    /// the lease for a moment. Without a lease nothing is recorded, and an unfinished job sends the callback once more.
    pub(super) async fn claim_to_record(
        &self,
        id: &JobId,
        patience: Patience,
    ) -> Option<LeasedJob> {
        let mut waits = patience.waits_for_lease().iter();
        loop {
            let now = self.clock.now();
            match self.store.claim(id, now, after(now, LEASE_SLACK)).await {
                Ok(Claim::Acquired(job, lease)) => return Some(LeasedJob::new(job, lease)),
                Ok(Claim::Busy { .. }) => self.clock.sleep(*waits.next()?).await,
                Ok(Claim::Parked { .. } | Claim::NotDue | Claim::NotFound) => return None,
                Err(error) => {
                    tracing::warn!(job.id = %id, "progress callback not recorded: {error}");
                    return None;
                }
            }
        }
    }

    /// Records the result of a callback in its job, and schedules a retry if one is due.
    pub(super) fn record_callback(
        &self,
        leased: &mut LeasedJob,
        notification: &Notification,
        reply: CallbackReply,
    ) {
        let subject = CallbackSubject::of(&leased.job);
        let (attempt, result) = self.judge_callback(&subject, notification, reply);
        let now = self.clock.now();
        leased
            .job
            .record_attempt(notification, attempt, result, now);
    }

    /// Decides what follows the reply to a callback, counts it and logs it.
    pub(super) fn judge_callback(
        &self,
        subject: &CallbackSubject,
        notification: &Notification,
        reply: CallbackReply,
    ) -> (CallbackAttempt, NotificationResult) {
        let CallbackReply { attempt, result } = reply;
        let schedule = match self.mode {
            ExecutionMode::Inline => &RetrySchedule::INLINE,
            ExecutionMode::Durable(_) => &RetrySchedule::STANDARD,
        };
        let attempts = notification.previous_attempts + 1;
        let notified = match result {
            CallbackResult::Delivered => NotificationResult::Delivered,
            CallbackResult::Undeliverable(why) => NotificationResult::Abandoned(why),
            CallbackResult::Failed { why, asked, .. } => {
                match schedule.wait(attempts, asked, fastrand::f64()) {
                    Some(wait) => NotificationResult::Retry { reason: why, wait },
                    None => NotificationResult::Abandoned(why),
                }
            }
        };
        let outcome = match &notified {
            NotificationResult::Delivered => CallbackOutcome::Delivered,
            NotificationResult::Abandoned(_) if notification.is_final() => {
                CallbackOutcome::Undeliverable
            }
            NotificationResult::Abandoned(_) | NotificationResult::Retry { .. } => {
                CallbackOutcome::Failed
            }
        };
        let CallbackSubject {
            id,
            route,
            connection,
            delivery,
        } = subject;
        self.metrics
            .count_callback(route.as_deref(), connection, outcome);
        match &notified {
            NotificationResult::Delivered => {
                tracing::info!(job.id = %id, delivery.id = delivery, attempts, "callback of {id} delivered");
            }
            NotificationResult::Abandoned(why) if notification.is_final() => {
                tracing::error!(job.id = %id, delivery.id = delivery, attempts, "callback of {id} undeliverable: {why}");
            }
            NotificationResult::Abandoned(why) => {
                tracing::warn!(job.id = %id, delivery.id = delivery, attempts, "progress callbacks stopped: {why}");
            }
            NotificationResult::Retry { reason: why, wait } => {
                let next = after(self.clock.now(), *wait);
                let next = next.round(jiff::Unit::Second).unwrap_or(next);
                tracing::warn!(job.id = %id, delivery.id = delivery, attempts, next_try = %next, "callback of {id} not delivered: {why}; next try at {next}");
            }
        }
        (attempt, notified)
    }
}
