//! Pieces that are too large for their item. Their parts are written first, under a generation of their own, and only
//! then does the item name that generation: a torn write is never seen. Until they are known to be named, parts are
//! has_ttl, so that those of a lost writer go away.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::{join_all, try_join_all};
use jiff::Timestamp;

use super::DynamoStore;
use super::change::Change;
use super::item::{self, Item};
use crate::clock::after;
use crate::job::store::{ItemLocation, StoreError};

/// The size of a part; DynamoDB takes 400 KB with all names.
const PART_BYTES: usize = 350 * 1024;

/// When parts that no item names go away. It outlasts every turn by far.
const ORPHANED: Duration = Duration::from_secs(7 * 24 * 3600);

/// Parts outlast the item that names them.
const OUTLASTING: Duration = Duration::from_secs(24 * 3600);

impl DynamoStore {
    /// Finds a place for a piece: with its item if it is at most `inline` bytes, else in parts, which are written now.
    /// Returns what the item is to hold, too.
    pub(super) async fn place(
        &self,
        pk: &str,
        piece: Vec<u8>,
        inline: usize,
    ) -> Result<(ItemLocation, Option<AttributeValue>), StoreError> {
        if piece.len() <= inline {
            return Ok((ItemLocation::Inline, Some(item::bytes(piece))));
        }
        let generation = super::mark();
        let ends = after(self.retention.clock.now(), ORPHANED);
        let puts = piece.chunks(PART_BYTES).enumerate().map(|(number, part)| {
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
        let place = ItemLocation::Parts {
            generation,
            count: u32::try_from(count).unwrap_or(u32::MAX),
            has_ttl: true,
        };
        Ok((place, None))
    }

    /// A piece, wherever it is; none if it is not all there. Notes whether its parts are has_ttl.
    pub(super) async fn gather(
        &self,
        pk: &str,
        item: &Item,
        piece: &str,
    ) -> Result<(ItemLocation, Option<Vec<u8>>), StoreError> {
        let ItemLocation::Parts {
            generation, count, ..
        } = item::get_place(item, piece)
        else {
            let inline = item::get_bytes(item, piece).map(<[u8]>::to_vec);
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
        let (mut whole, mut found, mut has_ttl) = (Vec::new(), 0, false);
        while let Some(page) = pages.next().await {
            for part in page.map_err(|error| self.failed(&error))?.items() {
                whole.extend_from_slice(item::get_bytes(part, "data").unwrap_or_default());
                has_ttl |= part.contains_key("ends");
                found += 1;
            }
        }
        let place = ItemLocation::Parts {
            generation,
            count,
            has_ttl,
        };
        Ok((place, (found == count).then_some(whole)))
    }

    /// Makes parts immortal, or lets them go a while after `ends`.
    pub(super) async fn date(
        &self,
        pk: &str,
        place: &mut ItemLocation,
        ends: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let ItemLocation::Parts {
            generation,
            count,
            has_ttl,
        } = place
        else {
            return Ok(());
        };
        if ends.is_none() && !*has_ttl {
            return Ok(());
        }
        let ends = ends.map(|ends| item::seconds(after(ends, OUTLASTING)));
        let updates = (0..*count as usize).map(|number| {
            let change = Change::when("attribute_exists(#pk)", &["pk"]).put("ends", ends.clone());
            self.update(part_key(pk, generation, number), change, None)
        });
        try_join_all(updates).await?;
        *has_ttl = ends.is_some();
        Ok(())
    }

    /// Deletes parts that no item names any more. What cannot be deleted does no harm.
    pub(super) async fn discard(&self, pk: &str, place: &ItemLocation) {
        let ItemLocation::Parts {
            generation, count, ..
        } = place
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
