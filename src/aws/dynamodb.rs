//! The store in DynamoDB: one table, with conditional writes.
//!
//! | item | `pk` | `sk` |
//! | --- | --- | --- |
//! | a job | `job#ID` | `head` |
//! | a part of its request or state | `job#ID` | `part#GENERATION#NUMBER` |
//! | the order of a record | `order#CONNECTION/ROUTE/RECORD` | `head` |
//! | a lock, a shared value | `lock#NAME`, `value#KEY` | `head` |
//! | a delivery, a part of its body | `delivery#ID` | as above |
//!
//! A small delivery with only one job is in the job's item, unless it is a dead letter: it then costs no write of its own.
//!
//! Index `due` (`due_shard`, `due`) contains only unfinished jobs, under the moment when they are due. A lease does not change
//! the entry, so the reader of the index reads the leases from the head items. Index `listed` (`list_shard`, `listed`) contains
//! jobs in the order of acceptance, and dead letters in the order in which they became dead letters. Both contain keys only:
//! AWS charges for each change of an entry as for a write. `ends` is the table's TTL attribute. Readers check it too, because
//! DynamoDB deletes expired items late.

mod change;
mod deliveries;
mod index;
mod item;
mod job_summary;
mod job_writes;
mod jobs;
mod lists;
mod locks;
mod packing;
mod parts;
mod record_order;

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, Put, ReturnValue, ReturnValuesOnConditionCheckFailure,
    TransactWriteItem,
};
use tokio::sync::{OnceCell, watch};

use self::change::Change;
use self::item::Item;
use super::failure::AwsFailure;
use crate::store::{Retention, StoreError};

/// Time limits of one attempt and of all attempts together. Without them the SDK would wait until the function times out, and
/// the log would not contain the reason.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
const TOTAL_TIMEOUT: Duration = Duration::from_secs(15);

/// A store in one DynamoDB table. The AWS configuration is loaded with the first request. The SDK's environment variables
/// (region, credentials, `AWS_ENDPOINT_URL`) apply.
#[derive(Debug)]
pub struct DynamoStore {
    table: String,
    retention: Retention,
    config: Option<SdkConfig>,
    client: OnceCell<Client>,
    /// Counts what lists show as new.
    changes: watch::Sender<u64>,
}

/// The result of a conditional update.
enum UpdateResult {
    /// The item after the update.
    Done(Item),
    /// The condition was false: the item as it is, empty if there is none.
    Refused(Item),
}

impl DynamoStore {
    /// A store with the AWS configuration from the environment.
    pub fn new(table: &str) -> Self {
        Self {
            table: table.to_owned(),
            retention: Retention::default(),
            config: None,
            client: OnceCell::new(),
            changes: watch::Sender::new(0),
        }
    }

    /// A store with this AWS configuration.
    pub fn with_config(table: &str, config: SdkConfig) -> Self {
        Self {
            config: Some(config),
            ..Self::new(table)
        }
    }

    /// Replaces the retention and its clock.
    #[must_use]
    pub fn with_retention(self, retention: Retention) -> Self {
        Self { retention, ..self }
    }

    async fn client(&self) -> &Client {
        self.client.get_or_init(|| self.connect()).await
    }

    async fn connect(&self) -> Client {
        let config = super::sdk_config(self.config.as_ref(), ATTEMPT_TIMEOUT, TOTAL_TIMEOUT).await;
        Client::from_conf((&config).into())
    }

    /// Reads the head item of a partition key, consistently.
    async fn head(&self, pk: &str) -> Result<Option<Item>, StoreError> {
        let get = self
            .client()
            .await
            .get_item()
            .table_name(&self.table)
            .set_key(Some(item::key(pk)))
            .consistent_read(true);
        let got = get.send().await.map_err(|error| self.failed(&error))?;
        Ok(got.item)
    }

    /// Puts an item unless there is one that has not expired. Returns the existing item in that case.
    async fn put_new(&self, item: Item) -> Result<Option<Item>, StoreError> {
        let put = self
            .client()
            .await
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk) OR #ends <= :now")
            .expression_attribute_names("#ends", "ends")
            .expression_attribute_values(":now", item::seconds(self.retention.clock.now()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match put {
            Ok(_) => Ok(None),
            Err(error) => {
                let existing = refused_item(&error).map_err(|()| self.failed(&error))?;
                Ok(Some(existing))
            }
        }
    }

    /// Updates an item if the change's condition is true. A `write_id` is stored in the item. It shows that the update was made
    /// when its answer is lost and the SDK sends it again.
    async fn update(
        &self,
        key: Item,
        change: Change,
        write_id: Option<String>,
    ) -> Result<UpdateResult, StoreError> {
        let change = match &write_id {
            Some(id) => change.set("write_id", item::text(id)),
            None => change,
        };
        let expression = change.expression();
        let (condition, names, values) = change.into_condition();
        let updated = self
            .client()
            .await
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key))
            .update_expression(expression)
            .condition_expression(condition)
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(Some(values).filter(|values| !values.is_empty()))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match updated {
            Ok(updated) => Ok(UpdateResult::Done(updated.attributes.unwrap_or_default())),
            Err(error) => {
                let item = refused_item(&error).map_err(|()| self.failed(&error))?;
                let ours =
                    write_id.is_some() && item::get(&item, "write_id") == write_id.as_deref();
                Ok(if ours {
                    UpdateResult::Done(item)
                } else {
                    UpdateResult::Refused(item)
                })
            }
        }
    }

    /// Puts an item if an attribute of another item has this value. Returns whether it has.
    async fn put_if(
        &self,
        item: Item,
        other: Item,
        (name, value): (&str, AttributeValue),
    ) -> Result<bool, StoreError> {
        let built = |error| StoreError::Failed(format!("the request could not be built: {error}"));
        let check = ConditionCheck::builder()
            .table_name(&self.table)
            .set_key(Some(other))
            .condition_expression("#name = :value")
            .expression_attribute_names("#name", name)
            .expression_attribute_values(":value", value)
            .build()
            .map_err(built)?;
        let put = Put::builder().table_name(&self.table).set_item(Some(item));
        let put = put.build().map_err(built)?;
        let written = self
            .client()
            .await
            .transact_write_items()
            .transact_items(TransactWriteItem::builder().condition_check(check).build())
            .transact_items(TransactWriteItem::builder().put(put).build())
            .send()
            .await;
        let Err(error) = written else {
            return Ok(true);
        };
        let reasons = match error.as_service_error() {
            Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                cancelled.cancellation_reasons()
            }
            Some(_) | None => &[],
        };
        let has = |code| reasons.iter().any(|reason| reason.code() == Some(code));
        if has("ConditionalCheckFailed") {
            Ok(false)
        } else if has("TransactionConflict") || has("ThrottlingError") {
            Err(StoreError::Unavailable("TransactionConflict".to_owned()))
        } else {
            Err(self.failed(&error))
        }
    }

    fn failed<E: ProvideErrorMetadata>(&self, error: &SdkError<E, HttpResponse>) -> StoreError {
        let AwsFailure { reason, retryable } = AwsFailure::of(error);
        let message = format!("DynamoDB table {}: {reason}", self.table);
        if retryable {
            StoreError::Unavailable(message)
        } else {
            StoreError::Failed(message)
        }
    }
}

/// A random id for one write.
fn write_id() -> String {
    format!("{:016x}", fastrand::u64(..))
}

/// An error of a conditional write.
trait ConditionalError {
    /// The item for which the condition was false, empty if there is none. None for any other error.
    fn refused_item(&self) -> Option<Item>;
}

macro_rules! conditional {
    ($($module:ident :: $error:ident),*) => {$(
        impl ConditionalError for aws_sdk_dynamodb::operation::$module::$error {
            fn refused_item(&self) -> Option<Item> {
                match self {
                    Self::ConditionalCheckFailedException(refused) => {
                        Some(refused.item().cloned().unwrap_or_default())
                    }
                    _ => None,
                }
            }
        }
    )*};
}

conditional!(
    put_item::PutItemError,
    update_item::UpdateItemError,
    delete_item::DeleteItemError
);

fn refused_item<E: ConditionalError>(error: &SdkError<E, HttpResponse>) -> Result<Item, ()> {
    error
        .as_service_error()
        .and_then(ConditionalError::refused_item)
        .ok_or(())
}
