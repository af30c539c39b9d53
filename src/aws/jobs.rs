//! Jobs in DynamoDB: one table, every write of which is conditional.
//!
//! | item | `pk` | `sk` |
//! | --- | --- | --- |
//! | a job | `job#ID` | `head` |
//! | parts of its request or state | `job#ID` | `part#GENERATION#NUMBER` |
//! | a lock, a shared token | `lock#NAME`, `token#NAME` | `head` |
//! | a kept delivery, parts of its body | `delivery#ID` | as above |
//!
//! Index `due` (`due_shard`, `due`) holds only jobs that are to be driven: when they are free, by the moment when they are
//! due, and when they are held, by the end of the lease. Index `listed` (`list_shard`, `listed`) holds jobs in the order in
//! which they came, and dead letters in the order in which they died. `ends` is the table's time-to-live attribute; readers judge it themselves.

mod change;
mod deliveries;
mod index;
mod item;
mod job;
mod locks;
mod parts;

use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::{ReturnValue, ReturnValuesOnConditionCheckFailure};
use jiff::Timestamp;
use tokio::sync::OnceCell;

use self::change::Change;
use self::item::Item;
use super::refusal;
use crate::job::delivery::{DeadLetterSummary, StoredDelivery};
use crate::job::store::{
    AddResult, Claim, JobFilter, JobPage, JobStore, Lease, Lock, LockHolder, Retention,
    SharedToken, StoreError,
};
use crate::job::{Job, JobId};

/// How long one attempt, and all attempts together, may take. The SDK alone would wait until the function's own timeout
/// ends it, and then nobody learns why.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
const TOTAL_TIMEOUT: Duration = Duration::from_secs(15);

/// A job store in one DynamoDB table. Making one costs nothing: the AWS configuration and the client come with the first
/// request. The SDK's own environment variables (region, credentials, `AWS_ENDPOINT_URL`) count.
#[derive(Debug)]
pub struct DynamoStore {
    table: String,
    retention: Retention,
    config: Option<SdkConfig>,
    client: OnceCell<Client>,
}

/// What became of a conditional write.
enum Updated {
    /// It was made; the item as it is now.
    Done(Item),
    /// The condition did not hold; the item as it is, empty if there is none.
    Refused(Item),
}

impl DynamoStore {
    /// A store in this table, with its configuration from the environment.
    pub fn new(table: &str) -> Self {
        Self {
            table: table.to_owned(),
            retention: Retention::default(),
            config: None,
            client: OnceCell::new(),
        }
    }

    /// A store in this table, with its configuration from the caller.
    pub fn with_config(table: &str, config: SdkConfig) -> Self {
        Self {
            config: Some(config),
            ..Self::new(table)
        }
    }

    /// The same store with another retention or clock.
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

    /// The item with this partition key that is not a part, as of now.
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

    /// Puts an item where there is none, or one whose time is over. Returns the one that is there instead.
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
                let there = refused_for(&error).map_err(|()| self.failed(&error))?;
                Ok(Some(there))
            }
        }
    }

    /// Changes an item if the change's condition holds. With a `mark`, which goes into the item, a change is known as
    /// made even if the answer was lost and the SDK asked again.
    async fn update(
        &self,
        key: Item,
        change: Change,
        mark: Option<String>,
    ) -> Result<Updated, StoreError> {
        let change = match &mark {
            Some(mark) => change.set("mark", item::text(mark)),
            None => change,
        };
        let expression = change.expression();
        let (condition, names, values) = change.into_rest();
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
            Ok(updated) => Ok(Updated::Done(updated.attributes.unwrap_or_default())),
            Err(error) => {
                let item = refused_for(&error).map_err(|()| self.failed(&error))?;
                let ours = mark.is_some() && item::get(&item, "mark") == mark.as_deref();
                Ok(if ours {
                    Updated::Done(item)
                } else {
                    Updated::Refused(item)
                })
            }
        }
    }

    fn failed<E: ProvideErrorMetadata>(&self, error: &SdkError<E, HttpResponse>) -> StoreError {
        let refusal::Refusal { reason, retryable } = refusal::of(error);
        let why = format!("DynamoDB table {}: {reason}", self.table);
        if retryable {
            StoreError::Unavailable(why)
        } else {
            StoreError::Failed(why)
        }
    }
}

/// A text that no other write has.
fn mark() -> String {
    format!("{:016x}", fastrand::u64(..))
}

/// Errors that may say that a condition did not hold.
trait Conditional {
    /// The item that did not meet it, empty if there is none; nothing if the error is another one.
    fn refused_for(&self) -> Option<Item>;
}

macro_rules! conditional {
    ($($module:ident :: $error:ident),*) => {$(
        impl Conditional for aws_sdk_dynamodb::operation::$module::$error {
            fn refused_for(&self) -> Option<Item> {
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

fn refused_for<E: Conditional>(error: &SdkError<E, HttpResponse>) -> Result<Item, ()> {
    error
        .as_service_error()
        .and_then(Conditional::refused_for)
        .ok_or(())
}

#[async_trait]
impl JobStore for DynamoStore {
    async fn add(
        &self,
        job: &Job,
        delivery: Option<&StoredDelivery>,
    ) -> Result<AddResult, StoreError> {
        self.add_job(job, delivery).await
    }

    async fn get(&self, id: &JobId) -> Result<Option<Job>, StoreError> {
        self.get_job(id).await
    }

    async fn claim(
        &self,
        id: &JobId,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Claim, StoreError> {
        self.claim_job(id, now, until).await
    }

    async fn checkpoint(&self, job: &Job, lease: &mut Lease) -> Result<(), StoreError> {
        let until = lease.until;
        self.write_job(job, lease, Some(until), Some(until)).await
    }

    async fn release(
        &self,
        job: &Job,
        mut lease: Lease,
        due: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        self.write_job(job, &mut lease, None, due).await
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<JobId>, StoreError> {
        self.due_jobs(now, limit).await
    }

    async fn list(
        &self,
        filter: JobFilter,
        limit: usize,
        after: Option<&str>,
    ) -> Result<JobPage, StoreError> {
        self.list_jobs(filter, limit, after).await
    }

    async fn park(&self, id: &JobId, reason: &str) -> Result<(), StoreError> {
        self.park_job(id, reason).await
    }

    async fn unpark(&self, id: &JobId, due: Timestamp) -> Result<bool, StoreError> {
        self.unpark_job(id, due).await
    }

    async fn lock(
        &self,
        name: &str,
        holder: &LockHolder,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Lock>, StoreError> {
        self.take_lock(name, holder, now, until).await
    }

    async fn unlock(&self, name: &str, holder: &LockHolder) -> Result<(), StoreError> {
        self.give_lock(name, holder).await
    }

    async fn token(&self, name: &str) -> Result<Option<SharedToken>, StoreError> {
        self.read_token(name).await
    }

    async fn put_token(
        &self,
        name: &str,
        token: &SharedToken,
        lock: &Lock,
    ) -> Result<(), StoreError> {
        self.share_token(name, token, lock).await
    }

    async fn put_delivery(&self, delivery: &StoredDelivery) -> Result<(), StoreError> {
        self.keep_delivery(delivery).await
    }

    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetterSummary>, StoreError> {
        self.list_deliveries(limit).await
    }

    async fn delivery(&self, id: &str) -> Result<Option<StoredDelivery>, StoreError> {
        self.read_delivery(id).await
    }

    async fn restore(&self, id: &str, dead_since: Timestamp) -> Result<(), StoreError> {
        self.revive_delivery(id, dead_since).await
    }

    async fn delete_delivery(&self, id: &str) -> Result<bool, StoreError> {
        self.forget_delivery(id).await
    }
}
