//! Access tokens that processes share: through the store, or through a secret.

mod secret;

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::store::{KeyValue, Lock, LockHolder, Locks};
use crate::zoho::data_center::ApiBase;
use crate::zoho::token::Token;
use crate::zoho::token_cache::{CachedToken, TokenCache};
pub(super) use secret::SecretTokenCache;

/// Tokens in the store: one value and one lock for each connection.
#[derive(Debug)]
pub(super) struct StoreTokenCache {
    values: Arc<dyn KeyValue>,
    locks: Arc<dyn Locks>,
}

impl StoreTokenCache {
    /// A cache in these values, with these locks.
    pub(super) fn new(values: Arc<dyn KeyValue>, locks: Arc<dyn Locks>) -> Self {
        Self { values, locks }
    }
}

fn key(connection: &str) -> String {
    format!("token/{connection}")
}

/// Encodes a token without its expiry.
fn encode_token(token: &Token) -> Value {
    json!({"access": token.access.expose_secret(), "api": token.api.join("")})
}

fn decode_token(stored: &Value, expires_at: Timestamp) -> Option<Token> {
    let api = stored["api"].as_str()?.parse().ok()?;
    Some(Token {
        access: stored["access"].as_str()?.to_owned().into(),
        api: ApiBase::configured(&api),
        expires_at,
    })
}

/// Reads a moment in milliseconds.
fn decode_moment(stored: &Value, key: &str) -> Option<Timestamp> {
    Timestamp::from_millisecond(stored[key].as_i64()?).ok()
}

/// Encodes what is cached; the token is in the value of `token_key`.
fn encode(cached: &CachedToken, token_key: &str) -> Value {
    json!({
        token_key: cached.token.as_ref().map_or_else(|| json!({}), encode_token),
        "expires_at": cached.token.as_ref().map(|token| token.expires_at.as_millisecond()),
        "throttled_until": cached.throttled_until.map(Timestamp::as_millisecond),
    })
}

fn decode(stored: &Value, token_key: &str) -> CachedToken {
    let expires_at = decode_moment(stored, "expires_at").unwrap_or(Timestamp::UNIX_EPOCH);
    CachedToken {
        token: decode_token(&stored[token_key], expires_at),
        throttled_until: decode_moment(stored, "throttled_until"),
    }
}

#[async_trait]
impl TokenCache for StoreTokenCache {
    async fn read(&self, connection: &str) -> Result<CachedToken, String> {
        let value = self.values.value(&key(connection)).await;
        let value = value.map_err(|error| error.to_string())?;
        let stored = value.and_then(|value| serde_json::from_str(value.expose_secret()).ok());
        Ok(stored.map_or_else(CachedToken::default, |stored| decode(&stored, "token")))
    }

    async fn lock(
        &self,
        connection: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<String>, String> {
        let holder = LockHolder::unique();
        let lock = self.locks.lock(&key(connection), &holder, now, until).await;
        let won = lock.map_err(|error| error.to_string())?.is_some();
        Ok(won.then(|| holder.as_str().to_owned()))
    }

    async fn write(
        &self,
        connection: &str,
        cached: &CachedToken,
        holder: &str,
        until: Timestamp,
    ) -> Result<(), String> {
        let value = SecretString::from(encode(cached, "token").to_string());
        let lock = Lock {
            name: key(connection),
            holder: LockHolder::from_name(holder),
            until,
        };
        self.values
            .put_value(&key(connection), &value, &lock)
            .await
            .map_err(|error| error.to_string())
    }

    async fn unlock(&self, connection: &str, holder: &str) {
        let holder = LockHolder::from_name(holder);
        if let Err(error) = self.locks.unlock(&key(connection), &holder).await {
            tracing::warn!(
                connection,
                "the lock on the access token stays until it expires: {error}"
            );
        }
    }
}

#[cfg(test)]
mod tests;
