//! How far the forwarding of a job's status is.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use url::Url;

/// How far the forwarding of a job's status is.
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

/// The callback of a job.
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
}

/// What became of one try at a callback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notified {
    /// The receiver took it.
    Delivered,
    /// It did not, and is to be tried again after the wait.
    Again {
        /// What happened.
        why: String,
        /// The wait.
        wait: Duration,
    },
    /// It did not, and never will.
    GivenUp(String),
}
