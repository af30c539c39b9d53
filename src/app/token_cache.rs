//! Access tokens that processes share: through the store, or through a secret.

mod seal;
mod secret;

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::secrets::Secrets;
use crate::store::{KeyValue, Lock, LockHolder, Locks};
use crate::zoho::Connection;
use crate::zoho::token::Token;
use crate::zoho::token_cache::{CachedToken, TokenCache};
use seal::TokenSeal;
pub(super) use secret::SecretTokenCache;

/// A connection's token in the store, encrypted: one value and one lock.
#[derive(Debug)]
pub(super) struct StoreTokenCache {
    values: Arc<dyn KeyValue>,
    locks: Arc<dyn Locks>,
    connection: Arc<Connection>,
    seal: TokenSeal,
}

impl StoreTokenCache {
    /// The cache of a connection in these values, with these locks.
    pub(super) fn new(
        values: Arc<dyn KeyValue>,
        locks: Arc<dyn Locks>,
        connection: Arc<Connection>,
        secrets: Arc<Secrets>,
    ) -> Self {
        let seal = TokenSeal::new(secrets, connection.credentials.clone());
        Self {
            values,
            locks,
            connection,
            seal,
        }
    }
}

fn key(connection: &str) -> String {
    format!("token/{connection}")
}

/// Encodes a token without its expiry.
fn encode_token(token: &Token) -> Value {
    json!({"access": token.access.expose_secret(), "api": token.api.join("")})
}

/// Decodes a token, unless it is for a host to which the connection sends no token.
fn decode_token(stored: &Value, expires_at: Timestamp, connection: &Connection) -> Option<Token> {
    Some(Token {
        access: stored["access"].as_str()?.to_owned().into(),
        api: connection.stored_api(stored["api"].as_str()?)?,
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

fn decode(stored: &Value, token_key: &str, connection: &Connection) -> CachedToken {
    let expires_at = decode_moment(stored, "expires_at").unwrap_or(Timestamp::UNIX_EPOCH);
    CachedToken {
        token: decode_token(&stored[token_key], expires_at, connection),
        throttled_until: decode_moment(stored, "throttled_until"),
    }
}

#[async_trait]
impl TokenCache for StoreTokenCache {
    async fn read(&self, connection: &str) -> Result<CachedToken, String> {
        let key = key(connection);
        let value = self.values.value(&key).await;
        let Some(value) = value.map_err(|error| error.to_string())? else {
            return Ok(CachedToken::default());
        };
        let document = self.seal.open(&key, value.expose_secret()).await?;
        let stored = document.and_then(|document| serde_json::from_str(&document).ok());
        Ok(stored.map_or_else(CachedToken::default, |stored| {
            decode(&stored, "token", &self.connection)
        }))
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
        let key = key(connection);
        let document = encode(cached, "token").to_string();
        let value = self.seal.seal(&key, &document).await?;
        let lock = Lock {
            name: key.clone(),
            holder: LockHolder::from_name(holder),
            until,
        };
        self.values
            .put_value(&key, &value, &lock)
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
