//! The access token that processes share through a [`TokenCache`].

use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use secrecy::ExposeSecret;

use super::{AccessTokens, TokenState};
use crate::clock::after;
use crate::codes::Cause;
use crate::failpoint::fail_point;
use crate::outcome::Refusal;
use crate::zoho::attempt::NEXT_TURN;
use crate::zoho::token::Token;
use crate::zoho::token_cache::{CachedToken, TokenCache};
use crate::zoho::{Error, time_left};

/// How long one process may hold the lock on the cache while it requests a token.
const LOCK_TIMEOUT: Duration = Duration::from_secs(45);

/// How soon, and how often, a process checks whether another one has stored the token.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
const POLLS: u32 = 40;

impl TokenState {
    /// What the cache contains, if that makes a request needless: a valid token, or a throttle.
    fn cached(&self, entry: CachedToken, now: Timestamp) -> Option<Result<Token, Error>> {
        let refused = self.refused.as_ref().map(ExposeSecret::expose_secret);
        let is_valid =
            |token: &Token| token.is_fresh(now) && refused != Some(token.access.expose_secret());
        if let Some(token) = entry.token.filter(is_valid) {
            return Some(Ok(token));
        }
        let until = entry.throttled_until.filter(|until| now < *until)?;
        let message = "Zoho grants no tokens for now, as another process has found";
        Some(Err(Error::RetryLater(
            Refusal::with(Cause::TokenThrottled, message),
            time_left(now, until),
        )))
    }
}

impl AccessTokens {
    /// The cached token. If there is no valid one, exactly one process requests another.
    pub(super) async fn get_shared(
        &self,
        cache: &dyn TokenCache,
        state: &mut TokenState,
    ) -> Result<Token, Error> {
        for _ in 0..POLLS {
            let now = self.clock.now();
            let entry = match cache.read(&self.name).await {
                Ok(entry) => entry,
                Err(error) => {
                    self.record_outage(&error);
                    return self.refresh(state).await;
                }
            };
            if let Some(outcome) = state.cached(entry, now) {
                self.record_recovery();
                return outcome;
            }
            let until = after(now, LOCK_TIMEOUT);
            match cache.lock(&self.name, now, until).await {
                Ok(Some(holder)) => {
                    fail_point("token.locked");
                    let outcome = self.refresh_cache(cache, state, &holder, until).await;
                    cache.unlock(&self.name, &holder).await;
                    fail_point("token.unlocked");
                    return outcome;
                }
                // Another process is requesting the token.
                Ok(None) => self.clock.sleep(POLL_INTERVAL).await,
                Err(error) => {
                    self.record_outage(&error);
                    return self.refresh(state).await;
                }
            }
        }
        let refusal = Refusal::of(Cause::TokenPending);
        Err(Error::RetryLater(refusal, NEXT_TURN))
    }

    /// Requests a token under the cache's lock, and stores the result.
    async fn refresh_cache(
        &self,
        cache: &dyn TokenCache,
        state: &mut TokenState,
        holder: &str,
        until: Timestamp,
    ) -> Result<Token, Error> {
        // Between the read and the lock another process may have stored a token or a throttle.
        if let Ok(entry) = cache.read(&self.name).await
            && let Some(outcome) = state.cached(entry, self.clock.now())
        {
            return outcome;
        }
        let outcome = self.refresh(state).await;
        fail_point("token.granted");
        let entry = match &outcome {
            Ok(token) => CachedToken {
                token: Some(token.clone()),
                throttled_until: None,
            },
            Err(error) => {
                let Some(wait) = error.retry_after() else {
                    return outcome;
                };
                CachedToken {
                    token: None,
                    throttled_until: Some(after(self.clock.now(), wait)),
                }
            }
        };
        match cache.write(&self.name, &entry, holder, until).await {
            Ok(()) => self.record_recovery(),
            Err(error) => self.record_outage(&error),
        }
        fail_point("token.cached");
        outcome
    }

    /// Logs that the cache has failed, once per outage rather than with every token. An alarm watches for this text.
    fn record_outage(&self, error: &str) {
        if !self.cache_failed.swap(true, Ordering::Relaxed) {
            self.metrics.count_token_failure();
            tracing::warn!(connection = self.name, "tokens are not shared: {error}");
        }
    }

    /// Logs that the cache works again.
    fn record_recovery(&self) {
        if self.cache_failed.swap(false, Ordering::Relaxed) {
            tracing::info!(connection = self.name, "tokens are shared again");
        }
    }
}
