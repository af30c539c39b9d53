//! Kept deliveries: the body may be large and then lies in parts.

use aws_sdk_dynamodb::types::ReturnValue;

use super::DynamoStore;
use super::item::{self, Item};
use crate::job::delivery::{self, DeliverySummary, KeptDelivery};
use crate::job::store::StoreError;
use crate::job::stored::ListKey;

/// The largest body that stays with its delivery; headers may take up the rest of an item.
const BODY_INLINE: usize = 200 * 1024;

fn pk(id: &str) -> String {
    format!("delivery#{id}")
}

impl DynamoStore {
    pub(super) async fn keep_delivery(&self, delivery: &KeptDelivery) -> Result<(), StoreError> {
        let pk = pk(&delivery.id);
        let envelope = item::pack(&delivery::envelope(delivery)?);
        let body = delivery.body.to_vec();
        let body_bytes = body.len();
        let (mut body_at, body) = self.place(&pk, body, BODY_INLINE).await?;
        let ends = self.keeping.end();
        let listed = ListKey::new(delivery.at, &delivery.id);
        let attributes = [
            ("route", Some(item::text(&delivery.route))),
            ("at", Some(item::ms(delivery.at))),
            ("code", Some(item::text(&delivery.code))),
            ("reason", Some(item::text(&delivery.reason))),
            ("envelope", Some(item::bytes(envelope))),
            ("body", body),
            ("body_parts", item::place_text(&body_at)),
            ("body_bytes", Some(item::number(body_bytes))),
            (
                "list_shard",
                Some(item::text(item::shard("deliveries", &delivery.id))),
            ),
            ("listed", Some(item::text(listed.as_str()))),
            ("ends", Some(item::seconds(ends))),
        ];
        let mut item = item::key(&pk);
        let attributes = attributes.into_iter();
        item.extend(attributes.filter_map(|(name, value)| Some((name.to_owned(), value?))));
        // The parts outlast the item from the start; nothing is lost if we go no further.
        self.date(&pk, &mut body_at, Some(ends)).await?;
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

    pub(super) async fn list_deliveries(
        &self,
        limit: usize,
    ) -> Result<Vec<DeliverySummary>, StoreError> {
        let (deliveries, _) = self.latest("deliveries", limit, None, summary).await?;
        Ok(deliveries)
    }

    pub(super) async fn read_delivery(&self, id: &str) -> Result<Option<KeptDelivery>, StoreError> {
        let pk = pk(id);
        let item = self.head(&pk).await?;
        let now = self.keeping.clock.now();
        let Some(item) = item.filter(|item| !item::has_ended(item, now)) else {
            return Ok(None);
        };
        let broken = |why: &str| StoreError::Failed(format!("delivery {id} cannot be read: {why}"));
        let (_, body) = self.gather(&pk, &item, "body").await?;
        let body = body.ok_or_else(|| broken("parts of it are missing"))?;
        let summary = summary(&item).ok_or_else(|| broken("its attributes are incomplete"))?;
        let envelope = item::get_bytes(&item, "envelope").unwrap_or_default();
        let envelope = item::unpack(envelope).map_err(|why| broken(&why))?;
        delivery::restore(summary, &envelope, body).map(Some)
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

fn summary(item: &Item) -> Option<DeliverySummary> {
    Some(DeliverySummary {
        id: item::get(item, "pk")?.strip_prefix("delivery#")?.to_owned(),
        route: item::get(item, "route")?.to_owned(),
        at: item::get_ms(item, "at")?,
        code: item::get(item, "code")?.to_owned(),
        reason: item::get(item, "reason")?.to_owned(),
        body_bytes: item::get_number(item, "body_bytes")?,
    })
}
