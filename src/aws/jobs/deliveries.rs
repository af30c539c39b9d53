//! Kept deliveries: the body may be large and then lies in parts. Only dead letters are in the index `listed`.

use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use jiff::Timestamp;

use super::DynamoStore;
use super::Updated;
use super::change::Change;
use super::item::{self, Item};
use crate::clock::after;
use crate::job::delivery::{self, DeadLetterReason, DeadLetterSummary, Parts, StoredDelivery};
use crate::job::store::{ItemLocation, StoreError};
use crate::job::stored::ListKey;
use crate::job::{JobId, JobSource};

/// The most of a delivery that is one item; with more, its body is in parts, and the headers may take up the rest.
const INLINE: usize = 200 * 1024;

/// How much longer than a dead letter a delivery is kept whose jobs are under way. No job takes as long.
const UNDER_WAY: Duration = Duration::from_secs(30 * 24 * 3600);

fn pk(id: &str) -> String {
    format!("delivery#{id}")
}

/// The attributes that say why a delivery is dead, and list it.
fn death_attributes(
    id: &str,
    death: Option<&DeadLetterReason>,
) -> [(&'static str, Option<AttributeValue>); 6] {
    let listed = death.map(|death| ListKey::new(death.since, id));
    let job = death.and_then(|death| death.job.as_ref());
    [
        ("code", death.map(|death| item::text(&death.code))),
        ("reason", death.map(|death| item::text(&death.reason))),
        ("job", job.map(|job| item::text(job.as_str()))),
        ("dead_since", death.map(|death| item::ms(death.since))),
        (
            "list_shard",
            death.map(|_| item::text(item::shard("deliveries", id))),
        ),
        ("listed", listed.map(|key| item::text(key.as_str()))),
    ]
}

impl DynamoStore {
    /// Keeps a delivery, in place of one with the same id.
    pub(super) async fn keep_delivery(&self, delivery: &StoredDelivery) -> Result<(), StoreError> {
        let pk = pk(&delivery.id);
        let (item, body_at) = self
            .delivery_item(delivery, self.retention.expires_at())
            .await?;
        let put = self
            .client()
            .await
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .return_values(ReturnValue::AllOld)
            .send()
            .await
            .map_err(|error| self.failed(&error))?;
        if let Some(old) = put.attributes {
            let old = item::get_place(&old, "body");
            // The SDK tries again when an answer is lost: then what was replaced is ours.
            if item::place_text(&old) != item::place_text(&body_at) {
                self.discard(&pk, &old).await;
            }
        }
        Ok(())
    }

    /// Keeps a delivery whose jobs are under way, unless it is kept already.
    pub(super) async fn keep_new_delivery(
        &self,
        delivery: &StoredDelivery,
    ) -> Result<(), StoreError> {
        let pk = pk(&delivery.id);
        let (item, body_at) = self.delivery_item(delivery, self.under_way()).await?;
        if let Some(there) = self.put_new(item).await? {
            let there = item::get_place(&there, "body");
            // The one that is there is ours if only the answer was lost.
            if item::place_text(&there) != item::place_text(&body_at) {
                self.discard(&pk, &body_at).await;
            }
        }
        Ok(())
    }

    /// The item of a delivery, and where its body is.
    async fn delivery_item(
        &self,
        delivery: &StoredDelivery,
        ends: Timestamp,
    ) -> Result<(Item, ItemLocation), StoreError> {
        let pk = pk(&delivery.id);
        let envelope = item::pack(delivery::envelope(delivery)?.as_bytes());
        let body = item::pack(&delivery.body);
        let (mut body_at, body) = self
            .place(&pk, body, INLINE.saturating_sub(envelope.len()))
            .await?;
        let attributes = [
            ("route", Some(item::text(&delivery.route))),
            ("at", Some(item::ms(delivery.at))),
            ("envelope", Some(item::bytes(envelope))),
            ("body", body),
            ("body_parts", item::place_text(&body_at)),
            ("body_bytes", Some(item::number(delivery.body.len()))),
            ("ends", Some(item::seconds(ends))),
        ];
        let attributes = attributes.into_iter().chain(death_attributes(
            &delivery.id,
            delivery.dead_letter.as_ref(),
        ));
        // The parts outlast the item from the start; nothing is lost if we go no further.
        self.date(&pk, &mut body_at, Some(ends)).await?;
        Ok((item::whole(&pk, attributes), body_at))
    }

    /// Makes a delivery a dead letter, which is forgotten at `ends`.
    pub(super) async fn dead_letter(
        &self,
        id: &str,
        death: &DeadLetterReason,
        ends: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let change = Change::when("attribute_exists(#pk)", &["pk"]);
        self.set_death(id, change, Some(death), ends).await
    }

    /// Makes a dead letter that died at this moment a delivery under way.
    pub(super) async fn revive_delivery(
        &self,
        id: &str,
        dead_since: Timestamp,
    ) -> Result<(), StoreError> {
        let change = Change::when("#dead_since = :then", &["dead_since"])
            .value("then", item::ms(dead_since));
        self.set_death(id, change, None, Some(self.under_way()))
            .await
    }

    /// Why a delivery is dead, if it is by this job.
    pub(super) async fn death_by(
        &self,
        id: &str,
        job: &JobId,
    ) -> Result<Option<DeadLetterReason>, StoreError> {
        let item = self.head(&pk(id)).await?.unwrap_or_default();
        Ok(death(&item).filter(|death| death.job.as_ref() == Some(job)))
    }

    async fn set_death(
        &self,
        id: &str,
        mut change: Change,
        death: Option<&DeadLetterReason>,
        ends: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let pk = pk(id);
        for (name, value) in death_attributes(id, death) {
            change = change.put(name, value);
        }
        change = change.put("ends", ends.map(item::seconds));
        if let Updated::Done(item) = self.update(item::key(&pk), change, None).await? {
            let mut body_at = item::get_place(&item, "body");
            if let ItemLocation::Parts { has_ttl, .. } = &mut body_at {
                *has_ttl = true;
            }
            self.date(&pk, &mut body_at, ends).await?;
        }
        Ok(())
    }

    /// Lets go of the delivery of a job that ended well. If that fails, it goes by itself later.
    pub(super) async fn release_delivery(&self, source: &JobSource) {
        if source.shared {
            return;
        }
        if let Err(error) = self.forget_delivery(&source.delivery).await {
            tracing::warn!("delivery {} could not be deleted: {error}", source.delivery);
        }
    }

    fn under_way(&self) -> Timestamp {
        after(self.retention.expires_at(), UNDER_WAY)
    }

    pub(super) async fn list_deliveries(
        &self,
        limit: usize,
    ) -> Result<Vec<DeadLetterSummary>, StoreError> {
        let (deliveries, _) = self.latest("deliveries", limit, None, summary).await?;
        Ok(deliveries)
    }

    pub(super) async fn read_delivery(
        &self,
        id: &str,
    ) -> Result<Option<StoredDelivery>, StoreError> {
        let pk = pk(id);
        let item = self.head(&pk).await?;
        let now = self.retention.clock.now();
        let Some(item) = item.filter(|item| !item::has_ended(item, now)) else {
            return Ok(None);
        };
        let broken = |why: &str| StoreError::Failed(format!("delivery {id} cannot be read: {why}"));
        let (_, body) = self.gather(&pk, &item, "body").await?;
        let body = body.ok_or_else(|| broken("parts of it are missing"))?;
        let envelope = item::get_bytes(&item, "envelope").unwrap_or_default();
        let parts = || {
            let envelope = item::unpack_text(envelope)?;
            Ok(Parts {
                id: id.to_owned(),
                route: item::get(&item, "route")
                    .ok_or("it names no route")?
                    .to_owned(),
                at: item::get_ms(&item, "at").ok_or("it has no moment")?,
                dead_letter: death(&item),
                envelope,
                body: item::unpack(&body)?,
            })
        };
        let parts: Result<Parts, String> = parts();
        delivery::restore(parts.map_err(|why| broken(&why))?).map(Some)
    }

    pub(super) async fn forget_delivery(&self, id: &str) -> Result<bool, StoreError> {
        let pk = pk(id);
        let deleted = self
            .client()
            .await
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(item::key(&pk)))
            .return_values(ReturnValue::AllOld)
            .send()
            .await
            .map_err(|error| self.failed(&error))?;
        let Some(old) = deleted.attributes else {
            return Ok(false);
        };
        self.discard(&pk, &item::get_place(&old, "body")).await;
        Ok(true)
    }
}

fn summary(item: &Item) -> Option<DeadLetterSummary> {
    Some(DeadLetterSummary {
        id: item::get(item, "pk")?.strip_prefix("delivery#")?.to_owned(),
        route: item::get(item, "route")?.to_owned(),
        at: item::get_ms(item, "at")?,
        dead_letter: death(item)?,
        body_bytes: item::get_number(item, "body_bytes")?,
    })
}

/// Why a delivery is dead, if it is.
fn death(item: &Item) -> Option<DeadLetterReason> {
    Some(DeadLetterReason {
        code: item::get(item, "code")?.to_owned(),
        reason: item::get(item, "reason")?.to_owned(),
        job: item::get(item, "job").map(JobId::from_outside),
        since: item::get_ms(item, "dead_since")?,
    })
}
