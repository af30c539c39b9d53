//! The notifications that a job sends to its callback URL.
//!
//! The **final** notification has one id and one body and is retried on the whole schedule. **Progress** notifications are about
//! an unfinished job: only the latest is sent. One that was not delivered is sent again unchanged until a later one, or the
//! final one, replaces it. The id of a progress notification contains a hash of its body, so that even after a crash no two
//! bodies have the same id.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use sha2::{Digest, Sha256};
use url::Url;

use super::callback::{
    CallbackFormat, CallbackOn, CallbackState, CallbackStatus, PendingNotification,
    ProgressCallbacks, ProgressSnapshot,
};
use super::history::{CallbackAttempt, WaitReason};
use super::model::Job;
use super::status::JobStatus;
use super::view::JobView;
use crate::clock::after;

/// The shortest time between two progress notifications of one job.
const PROGRESS_GAP: Duration = Duration::from_secs(5);

/// One notification. Every attempt sends the same id and body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// The header `webhook-id`.
    pub id: String,
    /// The receiver.
    pub url: Url,
    /// The JSON body.
    pub body: Bytes,
    /// The form of the body.
    pub format: CallbackFormat,
    /// How often this notification, or one that it replaces, was sent before.
    pub previous_attempts: u32,
    /// What it reports of an unfinished job; none for the final notification.
    snapshot: Option<ProgressSnapshot>,
}

impl Notification {
    /// The notification of the job's current state.
    fn of(job: &Job, url: Url, previous_attempts: u32) -> Self {
        let status = job.status();
        let timestamp = job.finished_at.or(job.changed_at).unwrap_or(job.created_at);
        let body = NotificationBody {
            kind: status.into(),
            timestamp,
            data: JobView::in_callback(job),
        };
        let snapshot = (!status.is_final()).then(|| ProgressSnapshot::of(job));
        let standard = json_text(&body);
        let id = match snapshot {
            None => format!("msg_{}", job.id),
            Some(_) => {
                let hash = hex::encode(Sha256::digest(&standard));
                format!("msg_{}_{}", job.id, &hash[..16])
            }
        };
        let format = job.callback.as_ref().map(|callback| callback.format);
        let format = format.unwrap_or_default();
        let body = match format {
            CallbackFormat::Standard => standard,
            CallbackFormat::CloudEvents => json_text(&CloudEventBody::of(body, &id)),
        };
        Self {
            id,
            url,
            body: body.into(),
            format,
            previous_attempts,
            snapshot,
        }
    }

    /// Whether this is the final notification.
    pub fn is_final(&self) -> bool {
        self.snapshot.is_none()
    }

    fn to_pending(&self, attempts: u32, due_at: Option<Timestamp>) -> Option<PendingNotification> {
        Some(PendingNotification {
            id: self.id.clone(),
            body: String::from_utf8_lossy(&self.body).into_owned(),
            snapshot: self.snapshot?,
            attempts,
            due_at,
        })
    }
}

impl ProgressSnapshot {
    fn of(job: &Job) -> Self {
        Self {
            status: job.status(),
            counts: job.counts(),
        }
    }
}

/// The type of a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub enum NotificationType {
    /// The job was accepted.
    #[serde(rename = "job.queued")]
    Queued,
    /// The job is running.
    #[serde(rename = "job.running")]
    Running,
    /// Every record was updated.
    #[serde(rename = "job.succeeded")]
    Succeeded,
    /// Some records were updated, some not.
    #[serde(rename = "job.partially_succeeded")]
    PartiallySucceeded,
    /// No record was updated.
    #[serde(rename = "job.failed")]
    Failed,
}

impl From<JobStatus> for NotificationType {
    fn from(status: JobStatus) -> Self {
        match status {
            JobStatus::Queued => Self::Queued,
            JobStatus::Running => Self::Running,
            JobStatus::Succeeded => Self::Succeeded,
            JobStatus::PartiallySucceeded => Self::PartiallySucceeded,
            JobStatus::Failed => Self::Failed,
        }
    }
}

/// The JSON of a callback.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "Callback")]
pub struct NotificationBody {
    /// `job.` and the status of the job.
    #[serde(rename = "type")]
    pub kind: NotificationType,
    /// When the job got this status.
    pub timestamp: Timestamp,
    /// The job.
    pub data: JobView,
}

fn json_text(body: &impl Serialize) -> String {
    // Unwrap safety: every key of a view is a string, which is all that JSON asks for.
    serde_json::to_string(body).expect("a view is JSON")
}

/// The version of CloudEvents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
enum SpecVersion {
    #[serde(rename = "1.0")]
    V1,
}

/// The JSON of a callback as a CloudEvent.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "CloudEventCallback")]
pub struct CloudEventBody {
    /// The version of CloudEvents.
    specversion: SpecVersion,
    /// The id of the message, the same as `webhook-id`.
    id: String,
    /// `/hooks/` and the route, or `/jobs` for jobs without one.
    source: String,
    /// `job.` and the status of the job.
    #[serde(rename = "type")]
    kind: NotificationType,
    /// The id of the job.
    subject: String,
    /// When the job got this status.
    time: Timestamp,
    /// The content type of `data`.
    datacontenttype: &'static str,
    /// The job.
    data: JobView,
}

impl CloudEventBody {
    fn of(body: NotificationBody, id: &str) -> Self {
        let NotificationBody {
            kind,
            timestamp,
            data,
        } = body;
        let route = data.route.as_deref();
        Self {
            specversion: SpecVersion::V1,
            id: id.to_owned(),
            source: route.map_or("/jobs".to_owned(), |route| format!("/hooks/{route}")),
            kind,
            subject: data.id.clone(),
            time: timestamp,
            datacontenttype: "application/json",
            data,
        }
    }
}

/// The result of one attempt to deliver a notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotificationResult {
    /// The receiver accepted it.
    Delivered,
    /// It was not delivered. It is sent again after the wait.
    Retry {
        /// The error.
        reason: String,
        /// The wait.
        wait: Duration,
    },
    /// It was not delivered, and is given up. Contains the error.
    Abandoned(String),
}

impl Job {
    /// Sets the form of callbacks. Call it before [`Self::with_callback_on`].
    #[must_use]
    pub fn with_callback_format(mut self, format: CallbackFormat) -> Self {
        if let Some(callback) = &mut self.callback {
            callback.format = format;
        }
        self
    }

    /// Sets which events are sent as callbacks. Call it for a new job: the notification of the acceptance is made now.
    #[must_use]
    pub fn with_callback_on(mut self, on: CallbackOn) -> Self {
        let receiver = self.callback.as_ref().map(|callback| callback.url.clone());
        let receiver = receiver.filter(|_| on > CallbackOn::Finished);
        let accepted = receiver.map(|url| Notification::of(&self, url, 0));
        if let Some(callback) = &mut self.callback {
            callback.progress = ProgressCallbacks {
                on,
                pending: accepted.and_then(|accepted| accepted.to_pending(0, None)),
                delivered: None,
            };
        }
        self
    }

    /// Which events are sent as callbacks.
    pub fn callback_on(&self) -> CallbackOn {
        let callback = self.callback.as_ref();
        callback.map_or(CallbackOn::Finished, |callback| callback.progress.on)
    }

    /// When the next progress notification is due.
    pub fn progress_due_at(&self, now: Timestamp) -> Option<Timestamp> {
        let ProgressCallbacks {
            on,
            pending,
            delivered,
        } = &self.unfinished_callback()?.progress;
        let soonest = delivered.map_or(now, |(_, at)| after(at, PROGRESS_GAP).max(now));
        match (on, pending) {
            (_, Some(pending)) => Some(pending.due_at.map_or(soonest, |at| at.max(now))),
            (CallbackOn::Progress, None) => self.has_news().then_some(soonest),
            (CallbackOn::Finished | CallbackOn::Accepted, None) => None,
        }
    }

    /// Whether there is a notification to send now.
    pub fn is_notification_due(&self, now: Timestamp) -> bool {
        let Some(callback) = &self.callback else {
            return false;
        };
        match self.status().is_final() {
            true => {
                callback.status == CallbackStatus::Pending
                    && callback.due_at.is_none_or(|at| at <= now)
            }
            false => self.progress_due_at(now).is_some_and(|at| at <= now),
        }
    }

    /// The notification to send now.
    pub fn notification(&self, now: Timestamp) -> Option<Notification> {
        let callback = self.callback.as_ref()?;
        if !self.is_notification_due(now) {
            return None;
        }
        let current = |attempts| Notification::of(self, callback.url.clone(), attempts);
        if self.status().is_final() {
            return Some(current(callback.attempts));
        }
        let ProgressCallbacks { on, pending, .. } = &callback.progress;
        let Some(pending) = pending else {
            return Some(current(0));
        };
        // A notification that replaces another takes over its schedule, so that a failing receiver is not called more often.
        Some(match on {
            CallbackOn::Progress if pending.snapshot != ProgressSnapshot::of(self) => {
                current(pending.attempts)
            }
            CallbackOn::Progress | CallbackOn::Finished | CallbackOn::Accepted => Notification {
                id: pending.id.clone(),
                url: callback.url.clone(),
                body: pending.body.clone().into(),
                format: callback.format,
                previous_attempts: pending.attempts,
                snapshot: Some(pending.snapshot),
            },
        })
    }

    /// The notification of the unfinished job's current state, unless it was delivered already. For an inline run that ends
    /// before the job does.
    pub fn interim_notification(&self) -> Option<Notification> {
        let callback = self.unfinished_callback()?;
        self.has_news()
            .then(|| Notification::of(self, callback.url.clone(), 0))
    }

    /// Records one attempt to deliver a notification, and its result.
    pub fn record_attempt(
        &mut self,
        notification: &Notification,
        attempt: CallbackAttempt,
        result: NotificationResult,
        now: Timestamp,
    ) {
        let error = match &result {
            NotificationResult::Delivered => None,
            NotificationResult::Retry { reason, .. } | NotificationResult::Abandoned(reason) => {
                Some(reason.as_str())
            }
        };
        let is_final = notification.is_final();
        self.record_callback(attempt, notification.previous_attempts + 1, is_final, error);
        self.record_notification(notification, result, now);
        let callback = self.callback.as_ref();
        let next_at = callback.and_then(|callback| match is_final {
            true => callback.due_at,
            false => callback.progress.pending.as_ref()?.due_at,
        });
        self.record_wait(now, next_at, WaitReason::Receiver, None);
    }

    /// Records the result of one attempt to deliver a notification.
    pub fn record_notification(
        &mut self,
        notification: &Notification,
        result: NotificationResult,
        now: Timestamp,
    ) {
        let finished = self.status().is_final();
        let Some(callback) = &mut self.callback else {
            return;
        };
        let Some(snapshot) = notification.snapshot else {
            callback.attempts += 1;
            (callback.status, callback.due_at, callback.error) = match result {
                NotificationResult::Delivered => (CallbackStatus::Delivered, None, None),
                NotificationResult::Retry { reason, wait } => (
                    CallbackStatus::Pending,
                    Some(after(now, wait)),
                    Some(reason),
                ),
                NotificationResult::Abandoned(reason) => {
                    (CallbackStatus::Undeliverable, None, Some(reason))
                }
            };
            return;
        };
        let progress = &mut callback.progress;
        progress.pending = None;
        match result {
            NotificationResult::Delivered => progress.delivered = Some((snapshot, now)),
            // The final notification replaces it, or it was an interim notification, which is sent once.
            NotificationResult::Retry { .. } if finished || progress.on == CallbackOn::Finished => {
            }
            NotificationResult::Retry { wait, .. } => {
                let attempts = notification.previous_attempts + 1;
                progress.pending = notification.to_pending(attempts, Some(after(now, wait)));
            }
            NotificationResult::Abandoned(_) => progress.on = CallbackOn::Finished,
        }
    }

    /// Reserves a progress notification that is about to be sent: no other is due before `until`, unless its result is
    /// recorded earlier.
    pub fn reserve_progress(&mut self, notification: &Notification, until: Timestamp) {
        let pending = notification.to_pending(notification.previous_attempts, Some(until));
        if let (Some(callback), Some(pending)) = (&mut self.callback, pending) {
            callback.progress.pending = Some(pending);
        }
    }

    /// Delays the final callback, without an attempt.
    pub fn delay_callback_until(&mut self, at: Timestamp) {
        if let Some(callback) = &mut self.callback {
            callback.due_at = Some(at);
        }
    }

    /// Leaves the final callback to drivers that can wait for the receiver.
    pub fn leave_callback_to_patience(&mut self) {
        if let Some(callback) = &mut self.callback {
            callback.needs_patience = true;
        }
    }

    /// Whether what is left to do is a callback to a receiver that needs longer than a brief attempt.
    pub fn needs_patience(&self) -> bool {
        let callback = self.callback.as_ref();
        self.status().is_final() && callback.is_some_and(|callback| callback.needs_patience)
    }

    /// Delays the notification of the acceptance.
    pub(super) fn delay_progress_until(&mut self, at: Timestamp) {
        let callback = self.callback.as_mut();
        if let Some(pending) = callback.and_then(|callback| callback.progress.pending.as_mut()) {
            pending.due_at = Some(at);
        }
    }

    /// The callback of an unfinished job.
    fn unfinished_callback(&self) -> Option<&CallbackState> {
        let callback = self.callback.as_ref();
        callback.filter(|_| !self.status().is_final())
    }

    /// Whether the current state differs from what was delivered last.
    fn has_news(&self) -> bool {
        let callback = self.callback.as_ref();
        let delivered = callback.and_then(|callback| callback.progress.delivered);
        delivered.is_none_or(|(snapshot, _)| snapshot != ProgressSnapshot::of(self))
    }
}
