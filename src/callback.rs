//! Signs and sends the callbacks of jobs (`job/callback.rs`).

pub mod key;
pub mod permission;
pub mod signature;

use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_TYPE, DATE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use jiff::Timestamp;
use tokio::time::Instant;
use url::Url;

use crate::http::target::{Policy, is_this_machine};
use crate::http::{Http, HttpRequest, SendError};
use crate::job::{CallbackAttempt, Notification};
use crate::retry::{http_date, retry_after};
use crate::secrets::{SecretRef, Secrets};
use permission::Permissions;
use signature::CannotSign;

/// How long one attempt may take: name resolution, connection, TLS, and the head of the answer.
pub const ATTEMPT_TIME: Duration = Duration::from_secs(10);

/// How long an attempt may take that must not wait for a slow receiver. An attempt that fails after that time counts as
/// timed out.
pub const BRIEF_TIME: Duration = Duration::from_secs(3);

/// The result of sending a callback once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallbackResult {
    /// The receiver answered 2xx.
    Delivered,
    /// The receiver did not accept it; a retry may succeed.
    Failed {
        /// What happened.
        why: String,
        /// The wait that the receiver asked for.
        asked: Option<Duration>,
        /// Whether the receiver let the attempt wait.
        timed_out: bool,
    },
    /// No retry will succeed.
    Undeliverable(String),
}

impl CallbackResult {
    /// A failure that is not the receiver's.
    fn failed(why: String) -> Self {
        Self::Failed {
            why,
            asked: None,
            timed_out: false,
        }
    }
}

/// One attempt at a callback, and its result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallbackReply {
    /// When it was sent, how long it took, and the status of the answer.
    pub attempt: CallbackAttempt,
    /// The result.
    pub result: CallbackResult,
}

/// The waits between attempts at one callback.
#[derive(Clone, Copy, Debug)]
pub struct RetrySchedule {
    /// The waits after the first attempt, the second, and so on. When they are used up, the callback is abandoned.
    waits: &'static [Duration],
}

impl RetrySchedule {
    /// Three attempts within one invocation.
    pub const INLINE: Self = Self {
        waits: &[Duration::from_secs(1), Duration::from_secs(3)],
    };

    /// The example schedule of Standard Webhooks 1.0.0: ten attempts over 75 hours and 35 minutes.
    pub const STANDARD: Self = Self {
        waits: &[
            Duration::from_secs(5),
            Duration::from_secs(5 * 60),
            Duration::from_secs(30 * 60),
            Duration::from_secs(2 * 3600),
            Duration::from_secs(5 * 3600),
            Duration::from_secs(10 * 3600),
            Duration::from_secs(14 * 3600),
            Duration::from_secs(20 * 3600),
            Duration::from_secs(24 * 3600),
        ],
    };

    /// The wait after so many attempts; `None` if the callback is to be abandoned. `random` (0 to 1) adds up to a fifth, so
    /// that a receiver that was down does not get all callbacks at once. The wait that the receiver asks for at most
    /// doubles the wait, so that it cannot delay a callback forever.
    pub fn wait(&self, attempts: u32, asked: Option<Duration>, random: f64) -> Option<Duration> {
        let base = *self
            .waits
            .get(usize::try_from(attempts).ok()?.checked_sub(1)?)?;
        let jittered = base.mul_f64(1.0 + random.clamp(0.0, 1.0) / 5.0);
        Some(asked.map_or(jittered, |asked| asked.clamp(base, base * 2).max(jittered)))
    }
}

/// The header with the URL that a job names, if its callback is sent to another receiver.
pub const INTENDED_URL: HeaderName = HeaderName::from_static("masshook-intended-url");

/// Sends callbacks.
#[derive(Debug)]
pub struct CallbackSender {
    http: Http,
    secrets: Arc<Secrets>,
    signing: Vec<SecretRef>,
    policy: Policy,
    /// Where callbacks to other machines are sent instead.
    receiver: Option<Url>,
    /// Asks the hosts of receivers first.
    permissions: Option<Permissions>,
}

impl CallbackSender {
    /// Creates a sender that signs with the secrets `signing`, and sends to addresses that `policy` allows.
    pub fn new(http: Http, secrets: Arc<Secrets>, signing: Vec<SecretRef>, policy: Policy) -> Self {
        Self {
            http,
            secrets,
            signing,
            policy,
            receiver: None,
            permissions: None,
        }
    }

    /// Sends all callbacks to other machines to `receiver` instead, if there is one. No other machine is called then.
    #[must_use]
    pub fn with_receiver(self, receiver: Option<Url>) -> Self {
        Self { receiver, ..self }
    }

    /// Asks the hosts of receivers for permission first, if there are `permissions`.
    #[must_use]
    pub fn with_permissions(self, permissions: Option<Permissions>) -> Self {
        Self {
            permissions,
            ..self
        }
    }

    /// Checks whether callbacks may be sent to `url`, without a DNS query.
    ///
    /// # Errors
    /// The reason why not.
    pub fn accepts(&self, url: &Url) -> Result<(), String> {
        if self.signing.is_empty() {
            return Err(
                "callbacks are always signed, and the config has no `callbacks.signing_secret`"
                    .to_owned(),
            );
        }
        self.policy.check_callback(url)
    }

    /// Sends a callback once, and waits up to `time` for the status of the answer, which alone decides.
    pub async fn send(
        &self,
        notification: &Notification,
        now: Timestamp,
        time: Duration,
    ) -> CallbackReply {
        let start = Instant::now();
        let mut status = None;
        let result = self.attempt(notification, now, time, &mut status).await;
        let took = start.elapsed();
        CallbackReply {
            attempt: CallbackAttempt {
                sent_at: now,
                took,
                status,
            },
            result,
        }
    }

    /// The headers with the signatures of a callback.
    async fn sign(
        &self,
        notification: &Notification,
        now: Timestamp,
    ) -> Result<HeaderMap, CallbackResult> {
        let secrets = self.secrets.all(&self.signing).await;
        let secrets = secrets.map_err(|error| CallbackResult::failed(error.to_string()))?;
        let signed = signature::sign(&secrets, &notification.id, now, &notification.body);
        signed.map_err(|error| match error {
            CannotSign::Secret { position, cause } => {
                let reference = self.signing.get(position.saturating_sub(1));
                let reference = reference.map(ToString::to_string).unwrap_or_default();
                let why = format!("the secret {reference} cannot sign callbacks: {cause}");
                CallbackResult::failed(why)
            }
            error @ (CannotSign::NoSecret | CannotSign::Id) => {
                CallbackResult::Undeliverable(error.to_string())
            }
        })
    }

    async fn attempt(
        &self,
        notification: &Notification,
        now: Timestamp,
        time: Duration,
        status: &mut Option<u16>,
    ) -> CallbackResult {
        if let Err(why) = self.accepts(&notification.url) {
            return CallbackResult::Undeliverable(why);
        }
        let headers = match self.sign(notification, now).await {
            Ok(headers) => headers,
            Err(result) => return result,
        };
        let is_local = notification
            .url
            .host()
            .is_some_and(|host| is_this_machine(&host));
        let receiver = self.receiver.as_ref().filter(|_| !is_local);
        let target = receiver.unwrap_or(&notification.url);
        let asked = Instant::now();
        if let (Some(permissions), None) = (&self.permissions, receiver)
            && let Err(refused) = Box::pin(permissions.obtain(&self.http, target, now, time)).await
        {
            return refused;
        }
        let time = time.saturating_sub(asked.elapsed());
        let body = notification.body.clone();
        let mut request = HttpRequest::new(Method::POST, target.clone(), body);
        request.headers = headers;
        let content_type = HeaderValue::from_static(notification.format.content_type());
        request.headers.insert(CONTENT_TYPE, content_type);
        if receiver.is_some() {
            match HeaderValue::try_from(notification.url.as_str()) {
                Ok(intended) => request.headers.insert(INTENDED_URL, intended),
                Err(error) => return CallbackResult::Undeliverable(error.to_string()),
            };
        }
        let answer = self.http.send_for_head(request, time).await;
        // The time of the question for permission is part of the attempt.
        let timed_out = asked.elapsed() >= BRIEF_TIME;
        *status = answer
            .as_ref()
            .ok()
            .map(|response| response.status().as_u16());
        match answer {
            Ok(response) if response.status().is_success() => CallbackResult::Delivered,
            Ok(response) if response.status() == StatusCode::GONE => {
                CallbackResult::Undeliverable("the receiver answered 410 Gone".to_owned())
            }
            Ok(response) => {
                let header = |name| response.headers().get(name)?.to_str().ok();
                // A date is by the receiver's clock.
                let now = header(DATE).and_then(http_date).unwrap_or(now);
                let asked = header(RETRY_AFTER).and_then(|hint| retry_after(hint, now));
                CallbackResult::Failed {
                    why: format!("the receiver answered {}", response.status()),
                    asked,
                    timed_out,
                }
            }
            Err(error @ SendError::Refused { .. }) => {
                CallbackResult::Undeliverable(error.to_string())
            }
            Err(error) => CallbackResult::Failed {
                why: error.to_string(),
                asked: None,
                timed_out,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedule_follows_standard_webhooks() {
        let waits: Vec<Duration> = (1..)
            .map_while(|attempts| RetrySchedule::STANDARD.wait(attempts, None, 0.0))
            .collect();
        assert_eq!(waits.len() + 1, 10);
        assert_eq!(
            waits.iter().sum::<Duration>(),
            Duration::from_secs(75 * 3600 + 35 * 60 + 5)
        );
        assert_eq!(RetrySchedule::INLINE.wait(3, None, 0.0), None);
    }

    #[test]
    fn receiver_wait_is_respected_up_to_double() {
        let wait = |asked| RetrySchedule::STANDARD.wait(2, Some(Duration::from_secs(asked)), 0.0);
        assert_eq!(wait(1), Some(Duration::from_secs(300)));
        assert_eq!(wait(400), Some(Duration::from_secs(400)));
        assert_eq!(wait(86_400), Some(Duration::from_secs(600)));
        let jittered = RetrySchedule::STANDARD.wait(2, None, 1.0);
        assert_eq!(jittered, Some(Duration::from_secs(360)));
    }
}
