//! The state of a job's callback, and its next notification.
//!
//! There are two kinds of notifications. The one about the job's **end** has one id and one body, is tried on the whole
//! schedule, and nothing ever takes its place. Those about an **unfinished** job are for information: the latest wins. One
//! that could not be delivered is sent again as it was, until there is a next one to take its place; the end takes the place
//! of them all. The id of each is made of the job's and a hash of the body, so that no id ever stands
//! over two bodies, whatever was lost in a crash.

use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use url::Url;

use super::view::JobView;
use super::{Counts, Job, JobStatus};
use crate::clock::after;

/// The shortest time between two notifications about one unfinished job.
const PROGRESS_GAP: Duration = Duration::from_secs(5);

/// Which of a job's steps are forwarded.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum CallbackOn {
    /// Its end alone.
    #[default]
    Finished,
    /// Its end, and that it was taken up.
    Accepted,
    /// Both, and every change of its status and counts between them.
    Progress,
}

/// Not a step of a job.
#[derive(Debug, thiserror::Error)]
#[error("must be finished, accepted or progress")]
pub struct InvalidCallbackOn;

impl FromStr for CallbackOn {
    type Err = InvalidCallbackOn;

    fn from_str(text: &str) -> Result<Self, InvalidCallbackOn> {
        match text {
            "finished" => Ok(Self::Finished),
            "accepted" => Ok(Self::Accepted),
            "progress" => Ok(Self::Progress),
            _ => Err(InvalidCallbackOn),
        }
    }
}

/// How far the forwarding of a job's end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallbackStatus {
    /// Not delivered yet.
    Pending,
    /// A receiver answered 2xx.
    Delivered,
    /// Given up.
    Undeliverable,
}

/// The callback of a job. Status, attempts, moment and error are those of the notification about its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallbackState {
    /// Where it goes.
    pub url: Url,
    /// How far it is.
    pub status: CallbackStatus,
    /// How often it was sent.
    pub attempts: u32,
    /// Not before this moment is it to be sent again.
    #[serde(default)]
    pub due_at: Option<Timestamp>,
    /// The last thing that went wrong with it.
    pub error: Option<String>,
    /// Notifications before the job's end.
    #[serde(default)]
    pub progress: ProgressCallbacks,
}

/// Notifications before a job's end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgressCallbacks {
    /// Which steps are reported.
    on: CallbackOn,
    /// A notification that is to be sent, or sent again.
    waiting: Option<PendingNotification>,
    /// What the receiver knows, and since when.
    told: Option<(ProgressSnapshot, Timestamp)>,
}

/// A notification about an unfinished job that was not delivered yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct PendingNotification {
    id: String,
    body: String,
    said: ProgressSnapshot,
    /// How often it, and those whose place it took, were sent.
    tries: u32,
    due_at: Option<Timestamp>,
}

/// What a notification says, in short: with less than this nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgressSnapshot {
    status: JobStatus,
    counts: Counts,
}

/// One notification: what is sent, under which id, and where to. The same however often it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// `webhook-id`.
    pub id: String,
    /// The receiver.
    pub url: Url,
    /// The JSON body.
    pub body: Bytes,
    /// How often it, or one whose place it takes, was sent before.
    pub tries: u32,
    /// What it says of an unfinished job; nothing if it is about the end.
    said: Option<ProgressSnapshot>,
}

impl Notification {
    /// The notification of the job's status as it is.
    fn of(job: &Job, url: Url, tries: u32) -> Self {
        let status = job.status();
        let timestamp = job.finished_at.or(job.changed_at).unwrap_or(job.created_at);
        let kind = format!("job.{}", status.as_str());
        let body = json!({"type": kind, "timestamp": timestamp.to_string(), "data": JobView::in_callback(job)});
        let body = body.to_string();
        let said = (!status.is_final()).then(|| ProgressSnapshot::of(job));
        let id = match said {
            None => format!("msg_{}", job.id),
            Some(_) => format!(
                "msg_{}_{}",
                job.id,
                &hex::encode(Sha256::digest(&body))[..16]
            ),
        };
        Self {
            id,
            url,
            body: body.into(),
            tries,
            said,
        }
    }

    /// Whether it is about the job's end.
    pub fn is_final(&self) -> bool {
        self.said.is_none()
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

/// The result of one attempt to deliver a notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotificationResult {
    /// The receiver took it.
    Delivered,
    /// It did not, and is to be tried again after the wait.
    Retry {
        /// What happened.
        why: String,
        /// The wait.
        wait: Duration,
    },
    /// It did not, and never will.
    Abandoned(String),
}

impl Job {
    /// The same job, of which these steps are forwarded. That it was accepted is composed now, as nothing has happened to
    /// it yet.
    #[must_use]
    pub fn with_callback_on(mut self, on: CallbackOn) -> Self {
        let url = self.callback.as_ref().map(|callback| callback.url.clone());
        let accepted = url.map(|url| Notification::of(&self, url, 0));
        if let (Some(callback), Some(accepted)) = (&mut self.callback, accepted) {
            let waiting = (on > CallbackOn::Finished).then(|| accepted.waiting(0, None));
            callback.progress = ProgressCallbacks {
                on,
                waiting: waiting.flatten(),
                told: None,
            };
        }
        self
    }

    /// Which of its steps are forwarded.
    pub fn callback_on(&self) -> CallbackOn {
        let callback = self.callback.as_ref();
        callback.map_or(CallbackOn::Finished, |callback| callback.progress.on)
    }

    /// When the next notification of the unfinished job is due.
    pub fn progress_due_at(&self, now: Timestamp) -> Option<Timestamp> {
        let callback = self
            .callback
            .as_ref()
            .filter(|_| !self.status().is_final())?;
        let ProgressCallbacks { on, waiting, told } = &callback.progress;
        let soonest = told.map_or(now, |(_, at)| after(at, PROGRESS_GAP).max(now));
        match (on, waiting) {
            (_, Some(waiting)) => Some(waiting.due_at.map_or(soonest, |at| at.max(now))),
            (CallbackOn::Progress, None) => {
                let news = told.is_none_or(|(said, _)| said != ProgressSnapshot::of(self));
                news.then_some(soonest)
            }
            (CallbackOn::Finished | CallbackOn::Accepted, None) => None,
        }
    }

    /// The notification to send now.
    pub fn notification(&self, now: Timestamp) -> Option<Notification> {
        let callback = self.callback.as_ref()?;
        if self.status().is_final() {
            let due = callback.status == CallbackStatus::Pending
                && callback.due_at.is_none_or(|at| at <= now);
            return due.then(|| Notification::of(self, callback.url.clone(), callback.attempts));
        }
        self.progress_due_at(now).filter(|at| *at <= now)?;
        let ProgressCallbacks { on, waiting, .. } = &callback.progress;
        let Some(waiting) = waiting else {
            return Some(Notification::of(self, callback.url.clone(), 0));
        };
        // The latest wins, and meets a receiver that does not answer no more often than the one before would have.
        Some(match on {
            CallbackOn::Progress if waiting.said != ProgressSnapshot::of(self) => {
                Notification::of(self, callback.url.clone(), waiting.tries)
            }
            CallbackOn::Progress | CallbackOn::Finished | CallbackOn::Accepted => Notification {
                id: waiting.id.clone(),
                url: callback.url.clone(),
                body: waiting.body.clone().into(),
                tries: waiting.tries,
                said: Some(waiting.said),
            },
        })
    }

    /// The notification of the unfinished job's current state, unless it was delivered already. For an inline run that ends
    /// before the job does.
    pub fn interim_notification(&self) -> Option<Notification> {
        let callback = self
            .callback
            .as_ref()
            .filter(|_| !self.status().is_final())?;
        let told = callback.progress.told;
        let news = told.is_none_or(|(said, _)| said != ProgressSnapshot::of(self));
        news.then(|| Notification::of(self, callback.url.clone(), 0))
    }

    /// Records the result of one attempt to deliver a notification.
    pub fn record_notification(
        &mut self,
        notification: &Notification,
        notified: NotificationResult,
        now: Timestamp,
    ) {
        let finished = self.status().is_final();
        let Some(callback) = &mut self.callback else {
            return;
        };
        let Some(said) = notification.said else {
            callback.attempts += 1;
            (callback.status, callback.due_at, callback.error) = match notified {
                NotificationResult::Delivered => (CallbackStatus::Delivered, None, None),
                NotificationResult::Retry { why, wait } => {
                    (CallbackStatus::Pending, Some(after(now, wait)), Some(why))
                }
                NotificationResult::Abandoned(why) => {
                    (CallbackStatus::Undeliverable, None, Some(why))
                }
            };
            return;
        };
        let before_end = &mut callback.progress;
        before_end.waiting = None;
        match notified {
            NotificationResult::Delivered => before_end.told = Some((said, now)),
            // What was told on no plan, or is overtaken, is not told again.
            NotificationResult::Retry { .. }
                if finished || before_end.on == CallbackOn::Finished => {}
            NotificationResult::Retry { wait, .. } => {
                let due_at = Some(after(now, wait));
                before_end.waiting = notification.waiting(notification.tries + 1, due_at);
            }
            NotificationResult::Abandoned(_) => before_end.on = CallbackOn::Finished,
        }
    }

    /// Delays the notification of the acceptance, too.
    pub(super) fn delay_progress_until(&mut self, at: Timestamp) {
        let callback = self.callback.as_mut();
        if let Some(waiting) = callback.and_then(|callback| callback.progress.waiting.as_mut()) {
            waiting.due_at = Some(at);
        }
    }
}

impl Notification {
    fn waiting(&self, tries: u32, due_at: Option<Timestamp>) -> Option<PendingNotification> {
        Some(PendingNotification {
            id: self.id.clone(),
            body: String::from_utf8_lossy(&self.body).into_owned(),
            said: self.said?,
            tries,
            due_at,
        })
    }
}
