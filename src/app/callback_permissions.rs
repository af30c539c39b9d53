//! The permissions of callback receivers in the store, where all processes find them.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use crate::callback::permission::SharedPermissions;
use crate::clock::after;
use crate::store::{LockHolder, Store, StoreError};

/// How long a write may take.
const WRITE_TIME: Duration = Duration::from_secs(10);

/// The permissions in a store.
#[derive(Debug)]
pub(super) struct StoredPermissions(pub(super) Arc<dyn Store>);

fn key(origin: &str, host: &str) -> String {
    format!("callback_permission/{origin}/{host}")
}

#[async_trait]
impl SharedPermissions for StoredPermissions {
    async fn granted_at(&self, origin: &str, host: &str) -> Option<Timestamp> {
        let value = self.0.value(&key(origin, host)).await.ok()??;
        let milliseconds = value.expose_secret().parse().ok()?;
        Timestamp::from_millisecond(milliseconds).ok()
    }

    async fn record(&self, origin: &str, host: &str, at: Timestamp) {
        if let Err(error) = self.write(origin, host, at).await {
            tracing::warn!(
                host,
                "a permission of a callback receiver is not stored: {error}"
            );
        }
    }
}

impl StoredPermissions {
    async fn write(&self, origin: &str, host: &str, at: Timestamp) -> Result<(), StoreError> {
        let (key, holder) = (key(origin, host), LockHolder::unique());
        let until = after(at, WRITE_TIME);
        let Some(lock) = self.0.lock(&key, &holder, at, until).await? else {
            // Another process writes it.
            return Ok(());
        };
        let value = SecretString::from(at.as_millisecond().to_string());
        let written = self.0.put_value(&key, &value, &lock).await;
        self.0.unlock(&key, &holder).await?;
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permission_is_kept_per_origin_and_host() {
        let host = "https://a.example.com";
        let one = key("one.example.com", host);
        assert_ne!(one, key("two.example.com", host));
        assert_ne!(one, key("one.example.com", "https://b.example.com"));
        assert_eq!(
            one,
            "callback_permission/one.example.com/https://a.example.com"
        );
    }
}
