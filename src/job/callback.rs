//! The state of a job's callback.

use std::str::FromStr;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::status::{Counts, JobStatus};

/// Which events of a job are sent as callbacks.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum CallbackOn {
    /// Only the end of the job.
    #[default]
    Finished,
    /// The acceptance and the end.
    Accepted,
    /// The acceptance, the end, and every change of status and counts between them.
    Progress,
}

/// A text that is not a [`CallbackOn`].
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

/// The form of callbacks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CallbackFormat {
    /// `type`, `timestamp` and `data`, as Standard Webhooks advises.
    #[default]
    Standard,
    /// A CloudEvent 1.0 in JSON (structured mode, `application/cloudevents+json`).
    #[serde(rename = "cloudevents")]
    CloudEvents,
}

strict_reader::keywords!(CallbackFormat { Standard = "standard", CloudEvents = "cloudevents" });

impl CallbackFormat {
    /// The content type of such callbacks.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Standard => "application/json",
            Self::CloudEvents => "application/cloudevents+json",
        }
    }

    /// Whether this is the default.
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// The status of a job's final callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CallbackStatus {
    /// Not delivered yet.
    Pending,
    /// The receiver answered 2xx.
    Delivered,
    /// Given up.
    Undeliverable,
}

/// The callback of a job. Status, attempts, due time and error are those of the final callback.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallbackState {
    /// The receiver.
    pub url: Url,
    /// The status.
    pub status: CallbackStatus,
    /// The form of its body.
    #[serde(default, skip_serializing_if = "CallbackFormat::is_default")]
    pub format: CallbackFormat,
    /// How often the callback was sent.
    pub attempts: u32,
    /// When the callback may be sent again; none means at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Timestamp>,
    /// The last error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Whether the receiver needs longer than a brief attempt. The callback is then left to drivers that can wait.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) needs_patience: bool,
    /// The callbacks before the end of the job.
    pub progress: ProgressCallbacks,
}

impl CallbackState {
    /// A callback that was not sent yet.
    pub(super) fn new(url: Url) -> Self {
        Self {
            url,
            status: CallbackStatus::Pending,
            format: CallbackFormat::default(),
            attempts: 0,
            due_at: None,
            error: None,
            needs_patience: false,
            progress: ProgressCallbacks::default(),
        }
    }
}

/// The callbacks before the end of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgressCallbacks {
    /// Which events are sent.
    pub(super) on: CallbackOn,
    /// A notification that is still to be delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) pending: Option<PendingNotification>,
    /// What was delivered last, and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) delivered: Option<(ProgressSnapshot, Timestamp)>,
}

/// A notification about an unfinished job that was not delivered yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PendingNotification {
    pub(super) id: String,
    pub(super) body: String,
    pub(super) snapshot: ProgressSnapshot,
    /// How often this notification, and those that it replaces, were sent.
    pub(super) attempts: u32,
    /// When it may be sent; none means at once.
    pub(super) due_at: Option<Timestamp>,
}

/// The part of a job's state whose change is worth a progress callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgressSnapshot {
    pub(super) status: JobStatus,
    pub(super) counts: Counts,
}
