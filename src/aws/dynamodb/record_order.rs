//! The order of records in DynamoDB: one item for each record of a route, `order#CONNECTION/ROUTE/RECORD`. A claim costs a read
//! and a write, and its end another write; the writes are conditional on the item that was read.

use std::collections::HashMap;

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt};
use jiff::Timestamp;

use super::change::Change;
use super::item::{self, Item};
use super::{DynamoStore, UpdateResult};
use crate::clock::after;
use crate::store::{
    ClaimResult, ClaimedRecord, Jobs, OrderSearch, RecordClaim, RecordOrder, RecordOrders,
    StoreError, document,
};

/// Attempts to write an item that other processes write too.
const ATTEMPTS: usize = 4;

/// Names of orders that are read at once.
const NAMES_AT_ONCE: usize = 1_000;

/// The attribute with the order.
const ORDER: &str = "record_order";

#[async_trait]
impl RecordOrders for DynamoStore {
    async fn claim_records(
        &self,
        claims: Vec<RecordClaim>,
        now: Timestamp,
    ) -> Result<Vec<ClaimResult>, StoreError> {
        let pks = claims.iter().map(|claim| pk(&claim.name)).collect();
        let mut known = self.heads(pks, &[ORDER, "ends"]).await?;
        let claims = claims.into_iter().map(|claim| {
            let item = known.remove(&pk(&claim.name)).unwrap_or_default();
            self.claim_record(claim, item, now)
        });
        let claims: Vec<_> = claims.collect();
        futures_util::stream::iter(claims)
            .buffered(self.concurrency())
            .try_collect()
            .await
    }

    async fn settle_records(
        &self,
        records: Vec<(ClaimedRecord, bool)>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let settling = records
            .into_iter()
            .map(|(record, was_sent)| self.settle_record(record, was_sent, now));
        let settling: Vec<_> = settling.collect();
        futures_util::stream::iter(settling)
            .buffer_unordered(self.concurrency())
            .try_collect()
            .await
    }

    /// An order can only be read by its name.
    async fn find_orders(&self, search: &OrderSearch) -> Result<Vec<String>, StoreError> {
        let names: Vec<String> = search.names().into_iter().collect();
        let mut found = Vec::new();
        for names in names.chunks(NAMES_AT_ONCE) {
            let pks = names.iter().map(|name| pk(name)).collect();
            let stored = self.heads(pks, &["ends"]).await?;
            let is_stored = |name: &&String| stored.contains_key(&pk(name));
            found.extend(names.iter().filter(is_stored).cloned());
        }
        Ok(found)
    }

    async fn delete_orders(&self, names: &[String]) -> Result<(), StoreError> {
        let client = self.client().await;
        let delete = |name: &String| {
            let delete = client.delete_item().table_name(&self.table);
            let delete = delete.set_key(Some(item::key(&pk(name)))).send();
            async move { delete.await.map_err(|error| self.failed(&error)).map(drop) }
        };
        let deleting: Vec<_> = names.iter().map(delete).collect();
        futures_util::stream::iter(deleting)
            .buffer_unordered(self.concurrency())
            .try_collect()
            .await
    }
}

impl DynamoStore {
    /// Claims a record whose item was read.
    async fn claim_record(
        &self,
        claim: RecordClaim,
        mut item: Item,
        now: Timestamp,
    ) -> Result<ClaimResult, StoreError> {
        for _ in 0..ATTEMPTS {
            let stored = match self.order_of(&item).claim(&claim, now) {
                Ok(stored) => stored,
                Err(refused) => return Ok(refused),
            };
            match self.write_order(&claim, &item, &stored, now).await? {
                UpdateResult::Done(_) => {
                    return Ok(ClaimResult::Claimed(Box::new(ClaimedRecord {
                        claim,
                        stored,
                    })));
                }
                UpdateResult::Refused(current) => item = current,
            }
        }
        // Others claim it all the time.
        Ok(ClaimResult::Busy)
    }

    /// Ends a claim. The item is as this process has written it, unless another job has taken the record over.
    async fn settle_record(
        &self,
        record: ClaimedRecord,
        was_sent: bool,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let ClaimedRecord { claim, stored } = record;
        let mut item = HashMap::from([(ORDER.to_owned(), item::text(encode(&stored)?))]);
        for _ in 0..ATTEMPTS {
            let Some(settled) = self.order_of(&item).settle(&claim.holder, was_sent) else {
                return Ok(());
            };
            match self.write_order(&claim, &item, &settled, now).await? {
                UpdateResult::Done(_) => return Ok(()),
                UpdateResult::Refused(current) => item = current,
            }
        }
        Err(StoreError::Unavailable(format!(
            "DynamoDB table {}: other processes write the order of the record all the time",
            self.table
        )))
    }

    /// Writes an order in place of that in `item`.
    async fn write_order(
        &self,
        claim: &RecordClaim,
        item: &Item,
        order: &RecordOrder,
        now: Timestamp,
    ) -> Result<UpdateResult, StoreError> {
        let change = match item::get(item, ORDER) {
            Some(known) => Change::when(&format!("#{ORDER} = :known"), &[ORDER])
                .value("known", item::text(known)),
            None => Change::when(&format!("attribute_not_exists(#{ORDER})"), &[ORDER]),
        };
        let ends = after(now, claim.lifetime(now));
        let change = change
            .set(ORDER, item::text(encode(order)?))
            .set("ends", item::seconds(ends));
        let key = item::key(&pk(&claim.name));
        self.update(key, change, Some(super::write_id())).await
    }

    /// The order in an item. One that has expired or cannot be read counts as absent.
    fn order_of(&self, item: &Item) -> RecordOrder {
        if item::has_expired(item, self.retention.clock.now()) {
            return RecordOrder::default();
        }
        let stored = item::get(item, ORDER).and_then(|stored| document::decode(stored).ok());
        stored.unwrap_or_default()
    }
}

fn pk(name: &str) -> String {
    format!("order#{name}")
}

fn encode(order: &RecordOrder) -> Result<String, StoreError> {
    document::encode(order)
}
