//! Asks the hosts of receivers for permission before callbacks are sent there, as the [abuse protection] of CloudEvents webhooks
//! asks: an OPTIONS request with `WebHook-Request-Origin`, once per origin, host and day.
//!
//! [abuse protection]: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/http-webhook.md

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use jiff::{SignedDuration, Timestamp};
use url::Url;

use super::{BRIEF_TIME, CallbackResult};
use crate::http::{Http, HttpRequest, SendError};
use crate::retry::{http_date, retry_after};
use crate::sync::lock;

/// How long a permission is used before the host is asked again.
const VALID: SignedDuration = SignedDuration::from_hours(24);

const REQUEST_ORIGIN: HeaderName = HeaderName::from_static("webhook-request-origin");
const ALLOWED_ORIGIN: HeaderName = HeaderName::from_static("webhook-allowed-origin");

/// The permissions that all processes share.
#[async_trait]
pub trait SharedPermissions: fmt::Debug + Send + Sync {
    /// When the host gave its permission to the sender `origin` last.
    async fn granted_at(&self, origin: &str, host: &str) -> Option<Timestamp>;

    /// Records that the host gave its permission to the sender `origin`. An error only means that another process asks again.
    async fn record(&self, origin: &str, host: &str, at: Timestamp);
}

/// Asks for permission to send callbacks.
#[derive(Debug)]
pub struct Permissions {
    /// The name of this sender.
    origin: String,
    known: Mutex<HashMap<String, Timestamp>>,
    shared: Arc<dyn SharedPermissions>,
}

impl Permissions {
    /// Asks under the name `origin`.
    pub fn new(origin: String, shared: Arc<dyn SharedPermissions>) -> Self {
        Self {
            origin,
            known: Mutex::default(),
            shared,
        }
    }

    /// Makes sure that the host of `url` permits callbacks.
    ///
    /// # Errors
    /// The result of the callback if the host does not, or cannot be asked within `time`.
    pub(super) async fn obtain(
        &self,
        http: &Http,
        url: &Url,
        now: Timestamp,
        time: Duration,
    ) -> Result<(), CallbackResult> {
        let host = url.origin().ascii_serialization();
        let is_valid = |at: &Timestamp| now.duration_since(*at) < VALID;
        if lock(&self.known).get(&host).is_some_and(is_valid) {
            return Ok(());
        }
        let granted_at = self.shared.granted_at(&self.origin, &host).await;
        if let Some(at) = granted_at.filter(is_valid) {
            lock(&self.known).insert(host, at);
            return Ok(());
        }
        self.ask(http, url, now, time).await?;
        lock(&self.known).insert(host.clone(), now);
        self.shared.record(&self.origin, &host, now).await;
        Ok(())
    }

    async fn ask(
        &self,
        http: &Http,
        url: &Url,
        now: Timestamp,
        time: Duration,
    ) -> Result<(), CallbackResult> {
        let origin = HeaderValue::try_from(&self.origin);
        let origin = origin.map_err(|error| CallbackResult::Undeliverable(error.to_string()))?;
        let mut request = HttpRequest::new(Method::OPTIONS, url.clone(), Bytes::new());
        request.headers.insert(REQUEST_ORIGIN, origin);
        // Half of the time is left to the callback.
        let time = time / 2;
        let start = Instant::now();
        let response = http.send_for_head(request, time).await;
        let timed_out = start.elapsed() >= time.min(BRIEF_TIME);
        let response =
            response.map_err(|error| match matches!(error, SendError::Refused { .. }) {
                true => CallbackResult::Undeliverable(error.to_string()),
                false => CallbackResult::Failed {
                    why: format!("asking for permission failed: {error}"),
                    asked: None,
                    timed_out,
                },
            })?;
        if response.status() == StatusCode::GONE {
            return Err(CallbackResult::Undeliverable(
                "the receiver answered 410 Gone to OPTIONS".to_owned(),
            ));
        }
        if response.status().is_success() && self.is_allowed(response.headers()) {
            return Ok(());
        }
        let header = |name| response.headers().get(name)?.to_str().ok();
        let now = header(DATE).and_then(http_date).unwrap_or(now);
        Err(CallbackResult::Failed {
            why: format!(
                "the receiver has not permitted callbacks: it answered {} to OPTIONS, without `WebHook-Allowed-Origin: {}`",
                response.status(),
                self.origin
            ),
            asked: header(RETRY_AFTER).and_then(|hint| retry_after(hint, now)),
            timed_out,
        })
    }

    /// Whether the headers of an answer name this sender, or all senders.
    fn is_allowed(&self, headers: &HeaderMap) -> bool {
        let values = headers.get_all(ALLOWED_ORIGIN).iter();
        let names = values.filter_map(|value| value.to_str().ok());
        let mut names = names.flat_map(|names| names.split(',')).map(str::trim);
        names.any(|name| name == "*" || name.eq_ignore_ascii_case(&self.origin))
    }
}
