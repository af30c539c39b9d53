//! A connection's access token in a secret of its own, for processes without a common store.
//!
//! The versions of the secret form a chain: the id of each version is a hash of the previous id. Of several processes that add
//! the next version, exactly one succeeds. A process may request a token from Zoho while its *lease* is the current version. The
//! next version is the token, or, after the lease has expired, the lease of another process. A holder that is too late
//! therefore writes nothing.
//!
//! Secrets Manager keeps every version for a day, and about a hundred in all. Versions are therefore written only for what other
//! processes must know: not for a short throttling, and a lease that yielded no token is used again by its holder.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::{decode, decode_moment, encode};
use crate::clock;
use crate::failpoint::fail_point;
use crate::secrets::{SecretVersion, Secrets, WritableSecrets};
use crate::sync;
use crate::zoho::Connection;
use crate::zoho::token_cache::{CachedToken, TokenCache};

/// A throttling is written only if it lasts this much longer than the lease.
const MIN_SHARED_THROTTLING: Duration = Duration::from_secs(60);

/// The key that distinguishes masshook's documents from other contents of a secret.
const TOKEN_KEY: &str = "masshook_token";

/// The token cache in one secret.
#[derive(Debug)]
pub(in crate::app) struct SecretTokenCache {
    secrets: Arc<Secrets>,
    name: String,
    connection: Arc<Connection>,
    /// Leases of this process that have not become a token yet, each with the token before it.
    leases: Mutex<HashMap<String, CachedToken>>,
}

/// The current version of the secret.
struct CurrentVersion {
    id: String,
    cached: CachedToken,
    leased_until: Option<Timestamp>,
}

impl SecretTokenCache {
    /// The cache of a connection in the secret with this name.
    pub(in crate::app) fn new(
        secrets: Arc<Secrets>,
        name: String,
        connection: Arc<Connection>,
    ) -> Self {
        Self {
            secrets,
            name,
            connection,
            leases: Mutex::default(),
        }
    }

    fn writable(&self) -> Result<&dyn WritableSecrets, String> {
        let writable = self.secrets.writable();
        writable.ok_or_else(|| "secrets cannot be written here".to_owned())
    }

    fn leases(&self) -> MutexGuard<'_, HashMap<String, CachedToken>> {
        sync::lock(&self.leases)
    }

    async fn current(&self) -> Result<CurrentVersion, String> {
        let current = self.writable()?.current(&self.name).await;
        let Some(SecretVersion { id, value }) = current.map_err(|missing| missing.why)? else {
            return Ok(CurrentVersion {
                id: String::new(),
                cached: CachedToken::default(),
                leased_until: None,
            });
        };
        let stored: Value = serde_json::from_str(value.expose_secret()).unwrap_or_default();
        let empty = value.expose_secret().trim().is_empty() || stored == json!({});
        if !empty && stored[TOKEN_KEY].is_null() {
            // Never overwrite a secret that is not masshook's.
            return Err(format!(
                "secretsmanager:{} contains something other than masshook's token; give `token_cache` a secret of its own",
                self.name
            ));
        }
        Ok(CurrentVersion {
            id,
            cached: decode(&stored, TOKEN_KEY, &self.connection),
            leased_until: decode_moment(&stored, "leased_until"),
        })
    }

    /// Writes the version after `id`. Returns false if another process has written it.
    async fn append(
        &self,
        id: &str,
        cached: &CachedToken,
        leased_until: Option<Timestamp>,
    ) -> Result<bool, String> {
        let mut stored = encode(cached, TOKEN_KEY);
        stored["leased_until"] = leased_until.map(Timestamp::as_millisecond).into();
        // Makes two leases with the same end different, so that only one of their writers sees its own version.
        stored["writer"] = format!("{:032x}", fastrand::u128(..)).into();
        let version = SecretVersion {
            id: id_after(id),
            value: SecretString::from(stored.to_string()),
        };
        let put = self.writable()?.put(&self.name, &version).await;
        put.map_err(|missing| missing.why)
    }
}

/// The id of the version after another.
fn id_after(id: &str) -> String {
    SecretVersion::id_after("token", id)
}

#[async_trait]
impl TokenCache for SecretTokenCache {
    async fn read(&self, _: &str) -> Result<CachedToken, String> {
        Ok(self.current().await?.cached)
    }

    async fn lock(
        &self,
        _: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<String>, String> {
        let current = self.current().await?;
        if self.leases().contains_key(&current.id) {
            return Ok(Some(current.id));
        }
        if current.leased_until.is_some_and(|until| now < until) {
            return Ok(None);
        }
        // The lease contains the old token too: it is still valid for processes that Zoho accepts it from.
        fail_point("token_cache.leasing");
        let won = self.append(&current.id, &current.cached, Some(until));
        if !won.await? {
            return Ok(None);
        }
        fail_point("token_cache.leased");
        let lease = id_after(&current.id);
        let mut leases = self.leases();
        leases.clear();
        leases.insert(lease.clone(), current.cached);
        Ok(Some(lease))
    }

    async fn write(
        &self,
        _: &str,
        cached: &CachedToken,
        holder: &str,
        until: Timestamp,
    ) -> Result<(), String> {
        let threshold = clock::after(until, MIN_SHARED_THROTTLING);
        let is_shared =
            cached.token.is_some() || cached.throttled_until.is_some_and(|end| end >= threshold);
        if !is_shared {
            return Ok(());
        }
        let previous = self.leases().remove(holder).unwrap_or_default();
        let cached = CachedToken {
            token: cached.token.clone().or(previous.token),
            throttled_until: cached.throttled_until,
        };
        fail_point("token_cache.writing");
        let written = self.append(holder, &cached, None).await?;
        fail_point("token_cache.written");
        match written {
            true => Ok(()),
            false => Err("another process has taken over the right to write it".to_owned()),
        }
    }

    /// Does nothing. A lease that became a token has ended. Any other lease is kept for this process's next attempt.
    async fn unlock(&self, _: &str, _: &str) {}
}
