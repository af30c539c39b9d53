//! The shared concurrency limit, as locks in the store.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::store::{LockHolder, Locks};
use crate::zoho::concurrency::SharedPermits;

/// Permits as locks in the store. This process is the holder of all of its locks.
#[derive(Debug)]
pub(super) struct StorePermits {
    locks: Arc<dyn Locks>,
    holder: LockHolder,
}

impl StorePermits {
    /// Permits in these locks.
    pub(super) fn new(locks: Arc<dyn Locks>) -> Self {
        Self {
            locks,
            holder: LockHolder::unique(),
        }
    }
}

#[async_trait]
impl SharedPermits for StorePermits {
    async fn acquire(
        &self,
        permit: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, String> {
        let lock = self.locks.lock(permit, &self.holder, now, until).await;
        lock.map(|lock| lock.is_some())
            .map_err(|error| error.to_string())
    }

    async fn release(&self, permit: &str) {
        if let Err(error) = self.locks.unlock(permit, &self.holder).await {
            tracing::warn!(
                permit,
                "a concurrency permit stays taken until it expires: {error}"
            );
        }
    }
}
