//! Tokens, and slots for calls, shared through the job store; tokens also through a secret.

mod secret;

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::job::store::{JobStore, Lock, LockHolder, SharedToken};
use crate::zoho::concurrency::SharedPermits;
use crate::zoho::data_center::ApiBase;
use crate::zoho::token::Token;
use crate::zoho::token_cache::{CachedToken, TokenCache};
pub(super) use secret::SecretShelf;

/// The store's own row for each connection.
#[derive(Debug)]
pub(super) struct StoreShelf(pub(super) Arc<dyn JobStore>);

fn name(connection: &str) -> String {
    format!("token/{connection}")
}

fn shelved(shared: SharedToken) -> CachedToken {
    let token = shared.value.as_ref().and_then(|value| {
        let stored = serde_json::from_str(value.expose_secret()).ok()?;
        token(&stored, shared.expires_at)
    });
    CachedToken {
        token,
        throttled_until: shared.throttled_until,
    }
}

/// A token as it is stored, but for its end.
fn document(token: &Token) -> Value {
    json!({"access": token.access.expose_secret(), "api": token.api.join("")})
}

fn token(stored: &Value, expires_at: Timestamp) -> Option<Token> {
    let api = stored["api"].as_str()?.parse().ok()?;
    Some(Token {
        access: stored["access"].as_str()?.to_owned().into(),
        api: ApiBase::configured(&api),
        expires_at,
    })
}

#[async_trait]
impl TokenCache for StoreShelf {
    async fn read(&self, connection: &str) -> Result<CachedToken, String> {
        let shared = self
            .0
            .token(&name(connection))
            .await
            .map_err(|error| error.to_string())?;
        Ok(shared.map(shelved).unwrap_or_default())
    }

    async fn lock(
        &self,
        connection: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<String>, String> {
        let holder = LockHolder::unique();
        let lock = self.0.lock(&name(connection), &holder, now, until).await;
        let won = lock.map_err(|error| error.to_string())?.is_some();
        Ok(won.then(|| holder.as_str().to_owned()))
    }

    async fn write(
        &self,
        connection: &str,
        shelved: &CachedToken,
        holder: &str,
        until: Timestamp,
    ) -> Result<(), String> {
        let value = shelved.token.as_ref().map(document);
        let value = value.map(|stored| SecretString::from(stored.to_string()));
        let shared = SharedToken {
            value,
            expires_at: shelved
                .token
                .as_ref()
                .map_or(Timestamp::UNIX_EPOCH, |token| token.expires_at),
            throttled_until: shelved.throttled_until,
        };
        let lock = Lock {
            name: name(connection),
            holder: LockHolder::named(holder),
            until,
        };
        self.0
            .put_token(&name(connection), &shared, &lock)
            .await
            .map_err(|error| error.to_string())
    }

    async fn unlock(&self, connection: &str, holder: &str) {
        if let Err(error) = self
            .0
            .unlock(&name(connection), &LockHolder::named(holder))
            .await
        {
            tracing::warn!(
                connection,
                "the lock on the token stays until it runs out: {error}"
            );
        }
    }
}

/// Slots as locks of the store, all of them with one holder: this process.
#[derive(Debug)]
pub(super) struct StoreSlots {
    store: Arc<dyn JobStore>,
    holder: LockHolder,
}

impl StoreSlots {
    pub(super) fn over(store: Arc<dyn JobStore>) -> Self {
        Self {
            store,
            holder: LockHolder::unique(),
        }
    }
}

#[async_trait]
impl SharedPermits for StoreSlots {
    async fn acquire(&self, slot: &str, now: Timestamp, until: Timestamp) -> Result<bool, String> {
        let lock = self.store.lock(slot, &self.holder, now, until).await;
        lock.map(|lock| lock.is_some())
            .map_err(|error| error.to_string())
    }

    async fn release(&self, slot: &str) {
        if let Err(error) = self.store.unlock(slot, &self.holder).await {
            tracing::warn!(slot, "a slot stays taken until it runs out: {error}");
        }
    }
}
