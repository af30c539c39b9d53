//! A connection's access token: kept while it is valid, shared with other processes, requested by one task at a time.

mod refresh;
mod shared;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;

use super::data_center::{ApiBase, DataCenter};
use super::headers::AnswerTimes;
use super::token::Token;
use super::token_cache::TokenCache;
use super::{Connection, Error, time_left};
use crate::clock::{Clock, after};
use crate::http::Http;
use crate::metrics::ConnectionMetrics;
use crate::outcome::Refusal;
use crate::secrets::Secrets;

/// How far this machine's clock may be off before a warning is logged. The dates of answers have whole seconds.
pub const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_secs(60);

/// A token's expiry is replaced by the one that Zoho reports if the two differ by more than this.
const EXPIRY_TOLERANCE: SignedDuration = SignedDuration::from_secs(30);

/// How long refused credentials are not tried again.
const REFUSED_FOR: Duration = Duration::from_secs(60);

/// The source of one connection's access tokens.
#[derive(Debug)]
pub(super) struct AccessTokens {
    /// The connection's name.
    name: String,
    connection: Arc<Connection>,
    http: Http,
    secrets: Arc<Secrets>,
    clock: Arc<dyn Clock>,
    /// Locked during a refresh: a task that waits for the lock finds the fresh token.
    state: Mutex<TokenState>,
    /// Attempts to get a token that have ended.
    attempts: AtomicU64,
    /// The cache that other processes share, if any.
    cache: Option<Arc<dyn TokenCache>>,
    /// Whether the cache has failed, and that is logged.
    cache_failed: AtomicBool,
    metrics: ConnectionMetrics,
}

/// The state of a connection's access token in this process.
#[derive(Debug, Default)]
struct TokenState {
    token: Option<Token>,
    /// When this process obtained the last token.
    obtained_at: Option<Timestamp>,
    /// The API host of the last token, for answers that name none.
    api: Option<ApiBase>,
    /// The last token that Zoho refused before its expiry. The cache may still contain it.
    refused: Option<SecretString>,
    /// Why no token is requested before a time. A request extends a throttle, and refused credentials are not tried again
    /// with every call.
    backoff: Option<(Timestamp, Error)>,
    /// The data centre of the last token, as its accounts server named it.
    center: Option<DataCenter>,
    /// The scopes of the last token that this process requested, if Zoho named them.
    scopes: Option<Vec<String>>,
    /// How far this machine's clock is ahead of Zoho's.
    clock_ahead: SignedDuration,
}

/// What is known of a connection's access token.
#[derive(Debug, Default)]
pub(super) struct TokenSnapshot {
    /// The API host.
    pub(super) api: Option<String>,
    /// When it was obtained, and when it expires.
    pub(super) times: Option<(Timestamp, Timestamp)>,
    /// Why there is none.
    pub(super) problem: Option<Refusal>,
    /// When the next attempt is made.
    pub(super) retry_at: Option<Timestamp>,
}

/// Where and for what a connection's access token is valid.
#[derive(Clone, Debug)]
pub struct TokenStatus {
    /// The API host: `https://www.zohoapis.eu`.
    pub api: String,
    /// The granted scopes, if Zoho named them.
    pub scopes: Option<Vec<String>>,
    /// How far this machine's clock is ahead of Zoho's; negative if it is behind.
    pub clock_ahead: SignedDuration,
}

impl AccessTokens {
    /// Creates a source without a token. The first call requests one.
    pub(super) fn new(
        name: String,
        connection: Arc<Connection>,
        http: Http,
        secrets: Arc<Secrets>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            name,
            connection,
            http,
            secrets,
            clock,
            state: Mutex::default(),
            attempts: AtomicU64::new(0),
            cache: None,
            cache_failed: AtomicBool::new(false),
            metrics: ConnectionMetrics::default(),
        }
    }

    /// Counts the requests for tokens.
    pub(super) fn with_metrics(self, metrics: ConnectionMetrics) -> Self {
        Self { metrics, ..self }
    }

    /// When the token expires; none if there is none, or while another task replaces it.
    pub(super) fn expires_at(&self) -> Option<Timestamp> {
        let state = self.state.try_lock().ok()?;
        state.token.as_ref().map(|token| token.expires_at)
    }

    /// Shares tokens with other processes.
    pub(super) fn with_cache(self, cache: Arc<dyn TokenCache>) -> Self {
        Self {
            cache: Some(cache),
            ..self
        }
    }

    /// The access token: the current one, or a new one. After a failure the next attempt is made after a pause. A caller
    /// within the pause waits for that attempt: what is remembered of a failure ends no job, as the cause may be mended.
    pub(super) async fn get(&self) -> Result<Token, Error> {
        let attempts = self.attempts.load(Ordering::Acquire);
        let mut state = self.state.lock().await;
        let now = self.clock.now();
        if let Some(token) = state.token.as_ref().filter(|token| token.is_fresh(now)) {
            return Ok(token.clone());
        }
        if let Some((until, error)) = state.backoff.as_ref().filter(|(until, _)| now < *until) {
            // This caller was waiting while the attempt was made, so the attempt was its own too.
            let is_own = self.attempts.load(Ordering::Acquire) > attempts;
            let error = error.clone();
            return Err(match is_own && matches!(error, Error::Denied(_)) {
                true => error,
                false => Error::RetryLater(error.into_refusal(), time_left(now, *until)),
            });
        }
        let outcome = match &self.cache {
            // Boxed, because these futures are large, and most callers find a fresh token.
            Some(cache) => Box::pin(self.get_shared(cache.as_ref(), &mut state)).await,
            None => Box::pin(self.refresh(&mut state)).await,
        };
        self.attempts.fetch_add(1, Ordering::AcqRel);
        match &outcome {
            Ok(token) => {
                state.api = Some(token.api.clone());
                state.obtained_at = Some(self.clock.now());
                state.token = Some(token.clone());
                state.refused = None;
                state.backoff = None;
            }
            Err(error) => {
                let wait = error.retry_after().unwrap_or(REFUSED_FOR);
                state.backoff = Some((after(self.clock.now(), wait), error.clone()));
            }
        }
        outcome
    }

    /// What is known of the access token. Requests none.
    pub(super) fn snapshot(&self) -> TokenSnapshot {
        // While the lock is held, a token is being requested.
        let Ok(state) = self.state.try_lock() else {
            return TokenSnapshot::default();
        };
        let now = self.clock.now();
        let backoff = state.backoff.as_ref().filter(|(until, _)| now < *until);
        TokenSnapshot {
            api: state.api.as_ref().map(|api| api.join("")),
            times: state
                .token
                .as_ref()
                .zip(state.obtained_at)
                .map(|(token, at)| (at, token.expires_at)),
            problem: backoff.map(|(_, error)| error.refusal().clone()),
            retry_at: backoff.map(|(until, _)| *until),
        }
    }

    /// Where and for what the access token is valid. Requests one if there is none.
    pub(super) async fn status(&self) -> Result<TokenStatus, Error> {
        let token = self.get().await?;
        let state = self.state.lock().await;
        Ok(TokenStatus {
            api: token.api.join(""),
            scopes: state.scopes.clone(),
            clock_ahead: state.clock_ahead,
        })
    }

    /// Corrects the token's expiry by the times of an answer. The expiry of a cached token comes from another machine's
    /// clock, that of any other token from this machine's clock, which may have been set since.
    pub(super) fn observe(&self, used: &Token, times: AnswerTimes) {
        // Another task holds the lock: it is about to replace the token.
        let Ok(mut state) = self.state.try_lock() else {
            return;
        };
        let now = self.clock.now();
        self.compare_clocks(&mut state, times.sent_at, now);
        let (Some(sent_at), Some(expires_at)) = (times.sent_at, times.token_expires_at) else {
            return;
        };
        let Some(token) = state.token.as_mut().filter(|token| token.is_same(used)) else {
            return;
        };
        // Both times are by Zoho's clock, so their difference does not depend on this machine's clock.
        let expires_at = after(now, expires_at.duration_since(sent_at));
        if expires_at.duration_since(token.expires_at).abs() > EXPIRY_TOLERANCE {
            tracing::info!(connection = self.name, %expires_at, "access token expiry corrected from Zoho's answer");
            token.expires_at = expires_at;
        }
    }

    /// Records how far this machine's clock is ahead of Zoho's, and logs a warning when the difference becomes too large.
    fn compare_clocks(&self, state: &mut TokenState, sent_at: Option<Timestamp>, now: Timestamp) {
        let Some(sent_at) = sent_at else { return };
        let ahead = now.duration_since(sent_at);
        if ahead.abs() > CLOCK_TOLERANCE && state.clock_ahead.abs() <= CLOCK_TOLERANCE {
            let which = if ahead.is_positive() {
                "ahead of"
            } else {
                "behind"
            };
            tracing::warn!(
                connection = self.name,
                off_s = ahead.as_secs(),
                "this machine's clock is {} s {which} Zoho's: set it, or signatures of deliveries and callbacks are refused",
                ahead.abs().as_secs()
            );
        }
        state.clock_ahead = ahead;
    }

    /// Drops a token that Zoho has refused, unless another task has replaced it already.
    pub(super) async fn invalidate(&self, refused: &Token) {
        let mut state = self.state.lock().await;
        if state
            .token
            .as_ref()
            .is_some_and(|token| token.is_same(refused))
        {
            state.refused = state.token.take().map(|token| token.access);
        }
    }

    /// Explains why Zoho refuses a token that its accounts server has just granted: the API host or the data centre is
    /// wrong, not the token.
    pub(super) async fn explain_rejection(&self, refusal: Refusal, token: &Token) -> Refusal {
        let used = token.api.data_center();
        let configured = self.connection.data_center;
        let mismatch = match self.state.lock().await.center {
            Some(center) if used != Some(center) || center != configured => {
                format!(": the token is for {center}, the connection says {configured}")
            }
            Some(_) | None => String::new(),
        };
        let message = format!(
            "{} refuses a token that its accounts server has just granted ({}){mismatch}",
            token.api.join(""),
            refusal.message
        );
        let advice = "the API host and the token are of different data centres or environments: check `data_center`, `environment` and `api_url` of the connection";
        Refusal {
            message,
            advice: Some(advice.to_owned()),
            ..refusal
        }
    }
}

impl Token {
    fn is_same(&self, other: &Self) -> bool {
        self.access.expose_secret() == other.access.expose_secret()
    }
}
