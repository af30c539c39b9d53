//! A connection's token in a secret of its own, for processes that have no store in common.
//!
//! The secret is a chain: the id of each version is a hash of the id of the one before, so of all who want to add the next
//! one alone succeeds. Who may ask Zoho for a token is the one whose *lease* is the current version. The version after it is
//! the token, or, when its time is over, the lease of somebody else: a holder that comes too late writes nothing.
//!
//! Secrets Manager keeps every version for a day and about a hundred in all, so versions are spent on what others must
//! know: not on short waits, and a lease that brought no token is used again by its holder.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::{document, token};
use crate::failpoint::reach;
use crate::secrets::{Secrets, Version, WritableSecrets};
use crate::zoho::token_cache::{CachedToken, TokenCache};

/// Silence that is shorter is not worth a version.
const WORTH_TELLING: Duration = Duration::from_secs(60);

/// What tells the documents of this room from everything else that a secret may hold.
const MARK: &str = "masshook_token";

/// One secret.
#[derive(Debug)]
pub(in crate::app) struct SecretShelf {
    secrets: Arc<Secrets>,
    name: String,
    /// Leases of this process that have not become a token yet.
    held: Mutex<HashMap<String, CachedToken>>,
}

/// A version, read.
struct Current {
    id: String,
    shelved: CachedToken,
    leased_until: Option<Timestamp>,
}

impl SecretShelf {
    pub(in crate::app) fn new(secrets: Arc<Secrets>, name: String) -> Self {
        Self {
            secrets,
            name,
            held: Mutex::default(),
        }
    }

    fn place(&self) -> Result<&dyn WritableSecrets, String> {
        let place = self.secrets.writable();
        place.ok_or_else(|| "secrets cannot be written here".to_owned())
    }

    fn held(&self) -> MutexGuard<'_, HashMap<String, CachedToken>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn current(&self) -> Result<Current, String> {
        let current = self.place()?.current(&self.name).await;
        let Some(Version { id, value }) = current.map_err(|missing| missing.why)? else {
            return Ok(Current {
                id: String::new(),
                shelved: CachedToken::default(),
                leased_until: None,
            });
        };
        let stored: Value = serde_json::from_str(value.expose_secret()).unwrap_or_default();
        let empty = value.expose_secret().trim().is_empty() || stored == json!({});
        if !empty && stored[MARK].is_null() {
            // Never write over what somebody else keeps there.
            return Err(format!(
                "secretsmanager:{} holds something that is not a token of masshook's; give `token_cache` a secret of its own",
                self.name
            ));
        }
        let moment = |key: &str| Timestamp::from_millisecond(stored[key].as_i64()?).ok();
        let expires_at = moment("expires_at").unwrap_or(Timestamp::UNIX_EPOCH);
        Ok(Current {
            id,
            shelved: CachedToken {
                token: token(&stored[MARK], expires_at),
                throttled_until: moment("silent_until"),
            },
            leased_until: moment("leased_until"),
        })
    }

    /// Writes the version after `id`; false if somebody else has.
    async fn append(
        &self,
        id: &str,
        shelved: &CachedToken,
        leased_until: Option<Timestamp>,
    ) -> Result<bool, String> {
        let stored = json!({
            MARK: shelved.token.as_ref().map_or_else(|| json!({}), document),
            "expires_at": shelved.token.as_ref().map(|token| token.expires_at.as_millisecond()),
            "silent_until": shelved.throttled_until.map(Timestamp::as_millisecond),
            "leased_until": leased_until.map(Timestamp::as_millisecond),
            // Of two leases that end at one moment only one may be taken for the version that is there.
            "writer": format!("{:032x}", fastrand::u128(..)),
        });
        let version = Version {
            id: after(id),
            value: SecretString::from(stored.to_string()),
        };
        let put = self.place()?.put(&self.name, &version).await;
        put.map_err(|missing| missing.why)
    }
}

/// The id of the version after another.
fn after(id: &str) -> String {
    Version::id_after("token", id)
}

#[async_trait]
impl TokenCache for SecretShelf {
    async fn read(&self, _: &str) -> Result<CachedToken, String> {
        Ok(self.current().await?.shelved)
    }

    async fn lock(
        &self,
        _: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<String>, String> {
        let current = self.current().await?;
        if self.held().contains_key(&current.id) {
            return Ok(Some(current.id));
        }
        if current.leased_until.is_some_and(|until| now < until) {
            return Ok(None);
        }
        // The old token stays: to those whom Zoho has not refused it, it is still good.
        reach("shelf.leasing");
        let won = self.append(&current.id, &current.shelved, Some(until));
        if !won.await? {
            return Ok(None);
        }
        reach("shelf.leased");
        let lease = after(&current.id);
        let mut held = self.held();
        held.clear();
        held.insert(lease.clone(), current.shelved);
        Ok(Some(lease))
    }

    async fn write(
        &self,
        _: &str,
        shelved: &CachedToken,
        holder: &str,
        until: Timestamp,
    ) -> Result<(), String> {
        let told = shelved.token.is_some()
            || shelved.throttled_until.is_some_and(|silent| {
                silent >= until.saturating_add(WORTH_TELLING).unwrap_or(until)
            });
        if !told {
            return Ok(());
        }
        let known = self.held().remove(holder).unwrap_or_default();
        let shelved = CachedToken {
            token: shelved.token.clone().or(known.token),
            throttled_until: shelved.throttled_until,
        };
        reach("shelf.writing");
        let written = self.append(holder, &shelved, None).await?;
        reach("shelf.written");
        match written {
            true => Ok(()),
            false => Err("somebody else has taken over the right to write it".to_owned()),
        }
    }

    /// A lease that became a token is over by that. Another is kept for this process's next try, until its time is over.
    async fn unlock(&self, _: &str, _: &str) {}
}
