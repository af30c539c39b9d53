//! Locks and the tokens that are shared under them.

use std::time::Duration;

use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{ConditionCheck, Put, TransactWriteItem};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use super::change::Change;
use super::item;
use super::{DynamoStore, Updated};
use crate::clock::after;
use crate::job::store::{Lock, LockHolder, SharedToken, StoreError};

/// When a lock that nobody gave back is deleted.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);

fn lock_pk(name: &str) -> String {
    format!("lock#{name}")
}

fn token_pk(name: &str) -> String {
    format!("token#{name}")
}

impl DynamoStore {
    pub(super) async fn take_lock(
        &self,
        name: &str,
        holder: &LockHolder,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Lock>, StoreError> {
        let free = "attribute_not_exists(#pk) OR #lease <= :now OR #holder = :holder";
        let ends = after(until, ABANDONED);
        let change = Change::when(free, &["pk", "lease", "holder"])
            .value("now", item::ms(now))
            .value("holder", item::text(holder.as_str()))
            .set("holder", item::text(holder.as_str()))
            .set("lease", item::ms(until))
            .set("ends", item::seconds(ends));
        let taken = self.update(item::key(&lock_pk(name)), change, None).await?;
        Ok(matches!(taken, Updated::Done(_)).then(|| Lock {
            name: name.to_owned(),
            holder: holder.clone(),
            until,
        }))
    }

    pub(super) async fn give_lock(
        &self,
        name: &str,
        holder: &LockHolder,
    ) -> Result<(), StoreError> {
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
            // Somebody else's, or nobody's.
            Err(error) => super::refused_for(&error)
                .map(|_| ())
                .map_err(|()| self.failed(&error)),
        }
    }

    pub(super) async fn read_token(&self, name: &str) -> Result<Option<SharedToken>, StoreError> {
        let Some(item) = self.head(&token_pk(name)).await? else {
            return Ok(None);
        };
        let value = item::get(&item, "value").map(|value| SecretString::from(value.to_owned()));
        Ok(Some(SharedToken {
            value,
            expires_at: item::get_ms(&item, "expires_at").unwrap_or(Timestamp::UNIX_EPOCH),
            throttled_until: item::get_ms(&item, "throttled_until"),
        }))
    }

    pub(super) async fn share_token(
        &self,
        name: &str,
        token: &SharedToken,
        lock: &Lock,
    ) -> Result<(), StoreError> {
        let built = |error| StoreError::Failed(format!("the request could not be built: {error}"));
        let held = ConditionCheck::builder()
            .table_name(&self.table)
            .set_key(Some(item::key(&lock_pk(&lock.name))))
            .condition_expression("#holder = :holder")
            .expression_attribute_names("#holder", "holder")
            .expression_attribute_values(":holder", item::text(lock.holder.as_str()))
            .build()
            .map_err(built)?;
        let mut item = item::key(&token_pk(name));
        item.insert("expires_at".to_owned(), item::ms(token.expires_at));
        if let Some(value) = &token.value {
            item.insert("value".to_owned(), item::text(value.expose_secret()));
        }
        if let Some(until) = token.throttled_until {
            item.insert("throttled_until".to_owned(), item::ms(until));
        }
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(item))
            .build()
            .map_err(built)?;
        let written = self
            .client()
            .await
            .transact_write_items()
            .transact_items(TransactWriteItem::builder().condition_check(held).build())
            .transact_items(TransactWriteItem::builder().put(put).build())
            .send()
            .await;
        let Err(error) = written else {
            return Ok(());
        };
        let reasons = match error.as_service_error() {
            Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                cancelled.cancellation_reasons()
            }
            Some(_) | None => &[],
        };
        let has = |code| reasons.iter().any(|reason| reason.code() == Some(code));
        if has("ConditionalCheckFailed") {
            Err(StoreError::LockLost(lock.name.clone()))
        } else if has("TransactionConflict") || has("ThrottlingError") {
            Err(StoreError::Unavailable("TransactionConflict".to_owned()))
        } else {
            Err(self.failed(&error))
        }
    }
}
