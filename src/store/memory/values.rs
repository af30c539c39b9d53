//! Locks and shared values in memory.

use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::SecretString;

use super::MemoryStore;
use crate::store::{KeyValue, Lock, LockHolder, Locks, StoreError};

#[async_trait]
impl Locks for MemoryStore {
    async fn lock(
        &self,
        name: &str,
        holder: &LockHolder,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Lock>, StoreError> {
        let mut state = self.state();
        let held = state.locks.get(name);
        if held.is_some_and(|held| held.until > now && held.holder != *holder) {
            return Ok(None);
        }
        let lock = Lock {
            name: name.to_owned(),
            holder: holder.clone(),
            until,
        };
        state.locks.insert(name.to_owned(), lock.clone());
        Ok(Some(lock))
    }

    async fn unlock(&self, name: &str, holder: &LockHolder) -> Result<(), StoreError> {
        let mut state = self.state();
        if state
            .locks
            .get(name)
            .is_some_and(|held| held.holder == *holder)
        {
            state.locks.remove(name);
        }
        Ok(())
    }
}

#[async_trait]
impl KeyValue for MemoryStore {
    async fn value(&self, key: &str) -> Result<Option<SecretString>, StoreError> {
        Ok(self.state().values.get(key).cloned())
    }

    async fn put_value(
        &self,
        key: &str,
        value: &SecretString,
        lock: &Lock,
    ) -> Result<(), StoreError> {
        let mut state = self.state();
        let held = state.locks.get(&lock.name);
        if held.is_none_or(|held| held.holder != lock.holder) {
            return Err(StoreError::LockLost(lock.name.clone()));
        }
        state.values.insert(key.to_owned(), value.clone());
        Ok(())
    }
}
