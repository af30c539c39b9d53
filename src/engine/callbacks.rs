//! What a turn does about callbacks: a try at each notification, and what becomes of it.

use std::time::Duration;

use super::{Engine, ExecutionMode, LeasedJob, TurnDeadlines};
use crate::callback::{CallbackResult, Schedule};
use crate::job::{Notification, NotificationResult};

/// How long a receiver may take to hear of an unfinished job.
const NEWS_TIMEOUT: Duration = Duration::from_secs(5);

impl Engine {
    /// Sends a notification. A receiver that is slow to hear of an unfinished job must not hold that job up for long.
    pub(super) async fn tell(
        &self,
        notification: &Notification,
        turn: TurnDeadlines,
    ) -> CallbackResult {
        let now = self.clock.now();
        let left = Duration::try_from(turn.end.duration_since(now)).unwrap_or_default();
        let time = match notification.is_final() {
            true => left,
            false => left.min(NEWS_TIMEOUT),
        };
        let sending = self.callbacks.send(notification, now);
        match tokio::time::timeout(time, sending).await {
            Ok(delivery) => delivery,
            Err(_) => CallbackResult::Failed {
                why: "there was no more time for the receiver to answer in".to_owned(),
                asked: None,
            },
        }
    }

    /// Takes in what became of a try at a notification.
    pub(super) async fn told(
        &self,
        held: &mut LeasedJob,
        notification: &Notification,
        delivery: CallbackResult,
    ) {
        let schedule = match self.mode {
            ExecutionMode::Inline => &Schedule::INLINE,
            ExecutionMode::Durable(_) => &Schedule::STANDARD,
        };
        let attempts = notification.tries + 1;
        let notified = match delivery {
            CallbackResult::Delivered => NotificationResult::Delivered,
            CallbackResult::Undeliverable(why) => NotificationResult::Abandoned(why),
            CallbackResult::Failed { why, asked } => {
                match schedule.wait(attempts, asked, fastrand::f64()) {
                    Some(wait) => NotificationResult::Retry { why, wait },
                    None => NotificationResult::Abandoned(why),
                }
            }
        };
        let id = &held.job.id;
        match &notified {
            NotificationResult::Delivered => {}
            NotificationResult::Abandoned(why) if notification.is_final() => {
                tracing::error!(job.id = %id, attempts, "callback undeliverable: {why}");
            }
            NotificationResult::Abandoned(why) => {
                tracing::warn!(job.id = %id, attempts, "nothing more is told before the job's end: {why}");
            }
            NotificationResult::Retry { why, .. } => {
                tracing::info!(job.id = %id, attempts, "callback not delivered: {why}");
            }
        }
        held.job
            .record_notification(notification, notified, self.clock.now());
        self.checkpoint(held).await;
    }

    /// Time is up: tells the receiver what is known so far, whichever steps it is told otherwise. Inline nobody goes on with
    /// the job unless its delivery comes again.
    pub(super) async fn report_unfinished(&self, held: &mut LeasedJob, turn: TurnDeadlines) {
        let status = held.job.status();
        if status.is_final() {
            return;
        }
        tracing::warn!(job.id = %held.job.id, status = status.as_str(), "time is up before the job's end");
        if let Some(notification) = held.job.interim_notification() {
            let delivery = self.tell(&notification, turn).await;
            self.told(held, &notification, delivery).await;
        }
    }
}
