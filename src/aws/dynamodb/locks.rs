//! Locks and shared values in DynamoDB.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use super::change::Change;
use super::item;
use super::{DynamoStore, UpdateResult};
use crate::clock::after;
use crate::store::{KeyValue, Lock, LockHolder, Locks, StoreError};

/// How long after its end an abandoned lock is deleted.
const ABANDONED_LOCK_TTL: Duration = Duration::from_secs(24 * 3600);

fn lock_pk(name: &str) -> String {
    format!("lock#{name}")
}

fn value_pk(key: &str) -> String {
    format!("value#{key}")
}

#[async_trait]
impl Locks for DynamoStore {
    async fn lock(
        &self,
        name: &str,
        holder: &LockHolder,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Lock>, StoreError> {
        let free = "attribute_not_exists(#pk) OR #lease <= :now OR #holder = :holder";
        let ends = after(until, ABANDONED_LOCK_TTL);
        let change = Change::when(free, &["pk", "lease", "holder"])
            .value("now", item::ms(now))
            .value("holder", item::text(holder.as_str()))
            .set("holder", item::text(holder.as_str()))
            .set("lease", item::ms(until))
            .set("ends", item::seconds(ends));
        let taken = self.update(item::key(&lock_pk(name)), change, None).await?;
        Ok(matches!(taken, UpdateResult::Done(_)).then(|| Lock {
            name: name.to_owned(),
            holder: holder.clone(),
            until,
        }))
    }

    async fn unlock(&self, name: &str, holder: &LockHolder) -> Result<(), StoreError> {
        let deleted = self
            .client()
            .await
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(item::key(&lock_pk(name))))
            .condition_expression("#holder = :holder")
            .expression_attribute_names("#holder", "holder")
            .expression_attribute_values(":holder", item::text(holder.as_str()))
            .send()
            .await;
        match deleted {
            Ok(_) => Ok(()),
            // Another holder has the lock, or it does not exist.
            Err(error) => super::refused_item(&error)
                .map(|_| ())
                .map_err(|()| self.failed(&error)),
        }
    }
}

#[async_trait]
impl KeyValue for DynamoStore {
    async fn value(&self, key: &str) -> Result<Option<SecretString>, StoreError> {
        let item = self.head(&value_pk(key)).await?.unwrap_or_default();
        Ok(item::get(&item, "value").map(|value| SecretString::from(value.to_owned())))
    }

    async fn put_value(
        &self,
        key: &str,
        value: &SecretString,
        lock: &Lock,
    ) -> Result<(), StoreError> {
        let held = item::key(&lock_pk(&lock.name));
        let condition = ("holder", item::text(lock.holder.as_str()));
        let text = item::text(value.expose_secret());
        let item = item::head_item(&value_pk(key), [("value", Some(text))]);
        match self.put_if(item, held, condition).await? {
            true => Ok(()),
            false => Err(StoreError::LockLost(lock.name.clone())),
        }
    }
}
