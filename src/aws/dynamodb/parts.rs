//! Documents that are too large for their item. The parts are written first, under a new generation, and then the item that names
//! the generation. A reader therefore never sees a torn write.
//!
//! Parts are written with a TTL, so that those of a crashed writer expire. It is long enough that an item is usually deleted
//! before its parts, because a later change of the TTL writes every part anew.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::{join_all, try_join_all};
use jiff::Timestamp;

use super::DynamoStore;
use super::change::Change;
use super::item::{self, Item};
use crate::clock::after;
use crate::store::{ItemLocation, StoreError};

/// The size of a part. DynamoDB's limit is 400 KB for an item, including the names of its attributes.
const PART_BYTES: usize = 350 * 1024;

/// How much longer than a job that finishes now new parts of a job are stored. Few jobs take that long.
const UNFINISHED_EXTRA: Duration = Duration::from_secs(30 * 24 * 3600);

/// How much longer than their item parts are stored.
const PARTS_EXTRA: Duration = Duration::from_secs(24 * 3600);

impl DynamoStore {
    /// Stores a document: in its item if it has at most `max_inline` bytes, else in parts, which are written now. Returns its
    /// location, and the value for the item's attribute. The parts outlive an item that ends at `item_ends`.
    pub(super) async fn put_document(
        &self,
        pk: &str,
        document: Vec<u8>,
        max_inline: usize,
        item_ends: Timestamp,
    ) -> Result<(ItemLocation, Option<AttributeValue>), StoreError> {
        if document.len() <= max_inline {
            return Ok((ItemLocation::Inline, Some(item::bytes(document))));
        }
        let generation = super::write_id();
        let ends = after(item_ends, PARTS_EXTRA);
        let puts = document
            .chunks(PART_BYTES)
            .enumerate()
            .map(|(number, part)| {
                let mut item = part_key(pk, &generation, number);
                item.insert("data".to_owned(), item::bytes(part.to_vec()));
                item.insert("ends".to_owned(), item::seconds(ends));
                async move {
                    let client = self.client().await;
                    let put = client
                        .put_item()
                        .table_name(&self.table)
                        .set_item(Some(item));
                    put.send().await.map_err(|error| self.failed(&error))
                }
            });
        let count = try_join_all(puts).await?.len();
        let location = ItemLocation::Parts {
            generation,
            count: u32::try_from(count).unwrap_or(u32::MAX),
            ends: Some(ends),
        };
        Ok((location, None))
    }

    /// Reads a document, and the earliest TTL of its parts. The document is none if parts are missing.
    pub(super) async fn get_document(
        &self,
        pk: &str,
        item: &Item,
        document: &str,
    ) -> Result<(ItemLocation, Option<Vec<u8>>), StoreError> {
        let ItemLocation::Parts {
            generation, count, ..
        } = item::get_location(item, document)
        else {
            let inline = item::get_bytes(item, document).map(<[u8]>::to_vec);
            return Ok((ItemLocation::Inline, inline));
        };
        let mut pages = self
            .client()
            .await
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("pk = :pk AND begins_with(sk, :sk)")
            .expression_attribute_values(":pk", item::text(pk))
            .expression_attribute_values(":sk", item::text(format!("part#{generation}#")))
            .into_paginator()
            .send();
        let (mut whole, mut found, mut ends) = (Vec::new(), 0, None);
        while let Some(page) = pages.next().await {
            for part in page.map_err(|error| self.failed(&error))?.items() {
                whole.extend_from_slice(item::get_bytes(part, "data").unwrap_or_default());
                let part_ends = item::get_seconds(part, "ends");
                ends = [ends, part_ends].into_iter().flatten().min();
                found += 1;
            }
        }
        let location = ItemLocation::Parts {
            generation,
            count,
            ends,
        };
        Ok((location, (found == count).then_some(whole)))
    }

    /// Until when the parts of an unfinished job are stored, unless a claim prolongs it.
    pub(super) fn unfinished_until(&self) -> Timestamp {
        after(self.retention.expires_at(), UNFINISHED_EXTRA)
    }

    /// Prolongs the TTL of an unfinished job's parts, if the job would outlive them if it finished now.
    pub(super) async fn keep_parts(
        &self,
        pk: &str,
        location: &mut ItemLocation,
    ) -> Result<(), StoreError> {
        self.cover(
            pk,
            location,
            self.retention.expires_at(),
            self.unfinished_until(),
        )
        .await
    }

    /// Makes sure that the parts have a TTL and outlive an item that ends at `item_ends`.
    pub(super) async fn end_parts(
        &self,
        pk: &str,
        location: &mut ItemLocation,
        item_ends: Timestamp,
    ) -> Result<(), StoreError> {
        if matches!(location, ItemLocation::Parts { ends: None, .. }) {
            return self.set_ttl(pk, location, Some(item_ends)).await;
        }
        self.cover(pk, location, item_ends, item_ends).await
    }

    /// Sets the TTL of parts to a while after `until`, if it is before `needed`.
    async fn cover(
        &self,
        pk: &str,
        location: &mut ItemLocation,
        needed: Timestamp,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        match location {
            ItemLocation::Parts {
                ends: Some(ends), ..
            } if *ends < needed => self.set_ttl(pk, location, Some(until)).await,
            ItemLocation::Parts { .. } | ItemLocation::Inline => Ok(()),
        }
    }

    /// Sets the TTL of parts to a while after `item_ends`, or removes it.
    pub(super) async fn set_ttl(
        &self,
        pk: &str,
        location: &mut ItemLocation,
        item_ends: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let ItemLocation::Parts {
            generation,
            count,
            ends,
        } = location
        else {
            return Ok(());
        };
        let new = item_ends.map(|item_ends| after(item_ends, PARTS_EXTRA));
        if *ends == new {
            return Ok(());
        }
        let updates = (0..*count as usize).map(|number| {
            let value = new.map(item::seconds);
            let change =
                Change::when("attribute_exists(#pk)", &["pk"]).set_or_remove("ends", value);
            self.update(part_key(pk, generation, number), change, None)
        });
        try_join_all(updates).await?;
        *ends = new;
        Ok(())
    }

    /// Deletes parts that no item names any more. A failure is logged; the parts do no harm.
    pub(super) async fn delete_parts(&self, pk: &str, location: &ItemLocation) {
        let ItemLocation::Parts {
            generation, count, ..
        } = location
        else {
            return;
        };
        let client = self.client().await;
        let deletes = (0..*count as usize).map(|number| {
            let key = part_key(pk, generation, number);
            let delete = client.delete_item().table_name(&self.table);
            delete.set_key(Some(key)).send()
        });
        for deleted in join_all(deletes).await {
            if let Err(error) = deleted {
                let error = self.failed(&error);
                tracing::warn!("an old part of {pk} could not be deleted: {error}");
            }
        }
    }
}

fn part_key(pk: &str, generation: &str, number: usize) -> Item {
    Item::from([
        ("pk".to_owned(), item::text(pk)),
        (
            "sk".to_owned(),
            item::text(format!("part#{generation}#{number:05}")),
        ),
    ])
}
