//! Sends the callbacks of a turn's jobs, and records the results.

use std::time::Duration;

use super::{Engine, ExecutionMode, LeasedJob, TurnDeadlines};
use crate::callback::{CallbackResult, RetrySchedule};
use crate::job::{Notification, NotificationResult};

/// How long a receiver may take to answer a progress callback.
const PROGRESS_TIMEOUT: Duration = Duration::from_secs(5);

impl Engine {
    /// Sends a callback once. A slow receiver of progress callbacks must not delay its job for long.
    pub(super) async fn send_callback(
        &self,
        notification: &Notification,
        turn: TurnDeadlines,
    ) -> CallbackResult {
        let now = self.clock.now();
        let left = Duration::try_from(turn.end.duration_since(now)).unwrap_or_default();
        let time = match notification.is_final() {
            true => left,
            false => left.min(PROGRESS_TIMEOUT),
        };
        let sending = self.callbacks.send(notification, now);
        match tokio::time::timeout(time, sending).await {
            Ok(result) => result,
            Err(_) => CallbackResult::Failed {
                why: "the receiver did not answer in time".to_owned(),
                asked: None,
            },
        }
    }

    /// Records the result of a callback, and schedules a retry if one is due.
    pub(super) async fn record_callback(
        &self,
        leased: &mut LeasedJob,
        notification: &Notification,
        result: CallbackResult,
    ) {
        let schedule = match self.mode {
            ExecutionMode::Inline => &RetrySchedule::INLINE,
            ExecutionMode::Durable(_) => &RetrySchedule::STANDARD,
        };
        let attempts = notification.previous_attempts + 1;
        let notified = match result {
            CallbackResult::Delivered => NotificationResult::Delivered,
            CallbackResult::Undeliverable(why) => NotificationResult::Abandoned(why),
            CallbackResult::Failed { why, asked } => {
                match schedule.wait(attempts, asked, fastrand::f64()) {
                    Some(wait) => NotificationResult::Retry { reason: why, wait },
                    None => NotificationResult::Abandoned(why),
                }
            }
        };
        let id = &leased.job.id;
        match &notified {
            NotificationResult::Delivered => {}
            NotificationResult::Abandoned(why) if notification.is_final() => {
                tracing::error!(job.id = %id, attempts, "callback undeliverable: {why}");
            }
            NotificationResult::Abandoned(why) => {
                tracing::warn!(job.id = %id, attempts, "progress callbacks stopped: {why}");
            }
            NotificationResult::Retry { reason: why, .. } => {
                tracing::info!(job.id = %id, attempts, "callback not delivered: {why}");
            }
        }
        leased
            .job
            .record_notification(notification, notified, self.clock.now());
        self.checkpoint(leased).await;
    }

    /// Reports a job that did not finish in time to its receiver, whatever the route's `callback_on`. In inline mode the job
    /// continues only when its delivery is sent again.
    pub(super) async fn report_unfinished(&self, leased: &mut LeasedJob, turn: TurnDeadlines) {
        let status = leased.job.status();
        if status.is_final() {
            return;
        }
        tracing::warn!(job.id = %leased.job.id, status = status.as_str(), "job not finished in time");
        if let Some(notification) = leased.job.interim_notification() {
            let result = self.send_callback(&notification, turn).await;
            self.record_callback(leased, &notification, result).await;
        }
    }
}
