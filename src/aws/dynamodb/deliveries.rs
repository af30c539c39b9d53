//! Deliveries in DynamoDB. A large body is in part items. Only dead letters are in the index `listed`.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use jiff::Timestamp;
use tokio::sync::watch;

use super::change::Change;
use super::item::{self, Item};
use super::{DynamoStore, UpdateResult, jobs, packing};
use crate::clock::after;
use crate::job::{DeadLetterReason, JobId, JobSource};
use crate::store::delivery::{self, DeadLetterSummary, EncodedDelivery, StoredDelivery};
use crate::store::delivery_log::{DeliveryFilter, DeliveryPage, DeliverySummary};
use crate::store::{Deliveries, ItemLocation, ListKey, PageRequest, StoreError};

/// The largest envelope and body that share one item. The body of a larger delivery is in parts, which leaves the item to the
/// envelope.
const MAX_INLINE: usize = 200 * 1024;

/// How much longer than a dead letter a delivery in progress is stored. No job takes that long.
const IN_PROGRESS_EXTRA: Duration = Duration::from_secs(30 * 24 * 3600);

fn pk(id: &str) -> String {
    format!("delivery#{id}")
}

/// The attributes of a delivery that is in the item of its job.
pub(super) const OWN: [&str; 3] = ["at", "envelope", "body"];

/// The attributes of a delivery that is in the item of its job.
pub(super) fn own_attributes(delivery: &StoredDelivery) -> Result<Item, StoreError> {
    let envelope = packing::pack(delivery::encode_envelope(delivery)?.as_bytes());
    let body = packing::pack(&delivery.body);
    let values = [
        item::ms(delivery.at),
        item::bytes(envelope),
        item::bytes(body),
    ];
    Ok(OWN.map(str::to_owned).into_iter().zip(values).collect())
}

/// Whether a job's item contains its delivery.
pub(super) fn is_in(head: &Item) -> bool {
    head.contains_key("envelope")
}

/// The attributes of a dead letter's reason and of its list entry.
fn reason_attributes(
    id: &str,
    reason: Option<&DeadLetterReason>,
) -> [(&'static str, Option<AttributeValue>); 6] {
    let listed = reason.map(|reason| ListKey::new(reason.since, id));
    let job = reason.and_then(|reason| reason.job.as_ref());
    [
        ("code", reason.map(|reason| item::text(&reason.code))),
        ("reason", reason.map(|reason| item::text(&reason.reason))),
        ("job", job.map(|job| item::text(job.as_str()))),
        ("dead_since", reason.map(|reason| item::ms(reason.since))),
        (
            "list_shard",
            reason.map(|_| item::text(item::shard("deliveries", id))),
        ),
        ("listed", listed.map(|key| item::text(key.as_str()))),
    ]
}

#[async_trait]
impl Deliveries for DynamoStore {
    async fn put_delivery(&self, delivery: &StoredDelivery) -> Result<(), StoreError> {
        let (item, body_at) = self
            .delivery_item(delivery, self.retention.expires_at())
            .await?;
        self.replace_delivery(&delivery.id, item, &body_at).await
    }

    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetterSummary>, StoreError> {
        self.latest_dead_letters(limit).await
    }

    async fn count_dead_letters(&self) -> Result<u64, StoreError> {
        self.count_listed("deliveries").await
    }

    fn kept_for(&self) -> Option<Duration> {
        Some(self.retention.period)
    }

    fn has_billed_reads(&self) -> bool {
        true
    }

    async fn list_deliveries(
        &self,
        filter: &DeliveryFilter,
        page: &PageRequest,
    ) -> Result<DeliveryPage, StoreError> {
        self.latest_deliveries(filter, page).await
    }

    async fn logged_delivery(&self, _id: &str) -> Result<Option<DeliverySummary>, StoreError> {
        Ok(None)
    }

    async fn delivery_ids(&self, prefix: &str, limit: usize) -> Result<Vec<String>, StoreError> {
        self.latest_delivery_ids(prefix, limit).await
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    async fn delivery(&self, id: &str) -> Result<Option<StoredDelivery>, StoreError> {
        let pk = pk(id);
        let now = self.retention.clock.now();
        let item = self.head(&pk).await?;
        let mut item = item.filter(|item| !item::has_expired(item, now));
        if let (None, Some(job)) = (&item, StoredDelivery::first_job(id)) {
            let head = self.head(&jobs::pk(&job)).await?;
            item = head.filter(|head| is_in(head) && !item::has_expired(head, now));
        }
        let Some(item) = item else {
            return Ok(None);
        };
        let unreadable =
            |reason: &str| StoreError::Failed(format!("delivery {id} cannot be read: {reason}"));
        let (_, body) = self.get_document(&pk, &item, "body").await?;
        let body = body.ok_or_else(|| unreadable("parts of it are missing"))?;
        let envelope = item::get_bytes(&item, "envelope").unwrap_or_default();
        let encoded = || {
            let envelope = packing::unpack_text(envelope)?;
            Ok(EncodedDelivery {
                id: id.to_owned(),
                route: item::get(&item, "route")
                    .ok_or("it has no route")?
                    .to_owned(),
                at: item::get_ms(&item, "at").ok_or("it has no arrival time")?,
                dead_letter: dead_letter_reason(&item),
                envelope,
                body: packing::unpack(&body)?,
            })
        };
        let encoded: Result<EncodedDelivery, String> = encoded();
        let encoded = encoded.map_err(|reason| unreadable(&reason))?;
        encoded.decode().map(Some)
    }

    async fn restore(&self, id: &str, since: Timestamp) -> Result<(), StoreError> {
        let change =
            Change::when("#dead_since = :then", &["dead_since"]).value("then", item::ms(since));
        self.set_reason(id, change, None, Some(self.in_progress_until()))
            .await
    }

    async fn delete_delivery(
        &self,
        id: &str,
        since: Option<Timestamp>,
    ) -> Result<bool, StoreError> {
        if self.delete_item(id, since).await? {
            return Ok(true);
        }
        // A delivery in the item of its job is no dead letter.
        let job = StoredDelivery::first_job(id).filter(|_| since.is_none());
        let Some(job) = job else {
            return Ok(false);
        };
        // The version stays, because the driver of the job keeps its lease.
        let change = Change::when("attribute_exists(#envelope)", &["envelope"]);
        let change = OWN.into_iter().fold(change, Change::remove);
        let deleted = self.update(item::key(&jobs::pk(&job)), change, None);
        Ok(matches!(deleted.await?, UpdateResult::Done(_)))
    }
}

impl DynamoStore {
    /// Puts the item of a delivery in place of the existing one.
    async fn replace_delivery(
        &self,
        id: &str,
        item: Item,
        body_at: &ItemLocation,
    ) -> Result<(), StoreError> {
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
            let old = item::get_location(&old, "body");
            // The replaced item is ours if the SDK sent the write again after its answer was lost.
            if item::location_text(&old) != item::location_text(body_at) {
                self.delete_parts(&pk(id), &old).await;
            }
        }
        Ok(())
    }

    /// Stores the delivery of a new job, unless it is stored already.
    pub(super) async fn put_new_delivery(
        &self,
        delivery: &StoredDelivery,
    ) -> Result<(), StoreError> {
        let pk = pk(&delivery.id);
        let (item, body_at) = self
            .delivery_item(delivery, self.in_progress_until())
            .await?;
        if let Some(existing) = self.put_new(item).await? {
            let existing = item::get_location(&existing, "body");
            // The existing item is ours if the SDK sent the write again after its answer was lost.
            if item::location_text(&existing) != item::location_text(&body_at) {
                self.delete_parts(&pk, &body_at).await;
            }
        }
        Ok(())
    }

    /// Makes the item of a delivery, and writes the parts of a large body. Returns where the body is, too.
    async fn delivery_item(
        &self,
        delivery: &StoredDelivery,
        ends: Timestamp,
    ) -> Result<(Item, ItemLocation), StoreError> {
        let pk = pk(&delivery.id);
        let envelope = packing::pack(delivery::encode_envelope(delivery)?.as_bytes());
        let body = packing::pack(&delivery.body);
        // The parts get a later TTL than the item, so that a crash between the two writes loses nothing.
        let max_inline = MAX_INLINE.saturating_sub(envelope.len());
        let (body_at, body) = self.put_document(&pk, body, max_inline, ends).await?;
        let attributes = [
            ("route", Some(item::text(&delivery.route))),
            ("at", Some(item::ms(delivery.at))),
            ("envelope", Some(item::bytes(envelope))),
            ("body", body),
            ("body_parts", item::location_text(&body_at)),
            ("body_bytes", Some(item::number(delivery.body.len()))),
            ("ends", Some(item::seconds(ends))),
        ];
        let attributes = attributes.into_iter().chain(reason_attributes(
            &delivery.id,
            delivery.dead_letter.as_ref(),
        ));
        Ok((item::head_item(&pk, attributes), body_at))
    }

    /// Turns a delivery into a dead letter, which expires at `ends`.
    pub(super) async fn dead_letter(
        &self,
        id: &str,
        reason: &DeadLetterReason,
        ends: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let change = Change::when("attribute_exists(#pk)", &["pk"]);
        self.set_reason(id, change, Some(reason), ends).await
    }

    /// The reason of a dead letter, if this job caused it.
    pub(super) async fn dead_letter_of(
        &self,
        id: &str,
        job: &JobId,
    ) -> Result<Option<DeadLetterReason>, StoreError> {
        let item = self.head(&pk(id)).await?.unwrap_or_default();
        Ok(dead_letter_reason(&item).filter(|reason| reason.job.as_ref() == Some(job)))
    }

    async fn set_reason(
        &self,
        id: &str,
        mut change: Change,
        reason: Option<&DeadLetterReason>,
        ends: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let pk = pk(id);
        for (name, value) in reason_attributes(id, reason) {
            change = change.set_or_remove(name, value);
        }
        change = change.set_or_remove("ends", ends.map(item::seconds));
        if let UpdateResult::Done(item) = self.update(item::key(&pk), change, None).await? {
            let mut body_at = item::get_location(&item, "body");
            if let ItemLocation::Parts { ends, .. } = &mut body_at {
                // Not known here, and not what it has to be.
                *ends = Some(Timestamp::UNIX_EPOCH);
            }
            self.set_ttl(&pk, &mut body_at, ends).await?;
        }
        Ok(())
    }

    /// Turns the delivery of a job into a dead letter, which expires at `ends`. `head` is the job's item, which may contain the
    /// delivery. With a `version`, the delivery is taken from the item only if the job still has this version.
    pub(super) async fn dead_letter_of_job(
        &self,
        head: &Item,
        id: &str,
        reason: &DeadLetterReason,
        ends: Option<Timestamp>,
        version: Option<u64>,
    ) -> Result<(), StoreError> {
        if !is_in(head) {
            return self.dead_letter(id, reason, ends).await;
        }
        let own = OWN.into_iter().chain(["route"]);
        let own = own.map(|name| (name, head.get(name).cloned()));
        let body = item::get_bytes(head, "body").map(packing::unpack);
        let body = body.and_then(Result::ok).unwrap_or_default();
        let others = [
            ("body_bytes", Some(item::number(body.len()))),
            ("ends", ends.map(item::seconds)),
        ];
        let attributes = own.chain(others).chain(reason_attributes(id, Some(reason)));
        let item = item::head_item(&pk(id), attributes);
        match (version, item::get(head, "pk")) {
            // If it does not, the job's last write is refused, too.
            (Some(version), Some(job)) => {
                let version = ("version", item::number(version));
                self.put_if(item, item::key(job), version).await.map(|_| ())
            }
            (Some(_) | None, _) => self.replace_delivery(id, item, &ItemLocation::Inline).await,
        }
    }

    /// Deletes the delivery of a job that needs no dead letter. If that fails, the delivery expires.
    pub(super) async fn release_delivery(&self, source: &JobSource, was_in_job: bool) {
        if source.shared {
            return;
        }
        let deleted = async {
            // The delivery was deleted with the job's last write. An earlier attempt of the sender may have left a dead letter,
            // and a read is cheaper than a deletion.
            match was_in_job && self.head(&pk(&source.delivery)).await?.is_none() {
                true => Ok(false),
                false => self.delete_item(&source.delivery, None).await,
            }
        };
        if let Err(error) = deleted.await {
            tracing::warn!("delivery {} could not be deleted: {error}", source.delivery);
        }
    }

    /// Deletes the item of a delivery; with `since`, only if it is a dead letter since that moment. Returns whether it was
    /// deleted.
    async fn delete_item(&self, id: &str, since: Option<Timestamp>) -> Result<bool, StoreError> {
        let pk = pk(id);
        let delete = self
            .client()
            .await
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(item::key(&pk)))
            .return_values(ReturnValue::AllOld);
        let delete = match since {
            None => delete,
            Some(since) => delete
                .condition_expression("#dead_since = :then")
                .expression_attribute_names("#dead_since", "dead_since")
                .expression_attribute_values(":then", item::ms(since)),
        };
        let deleted = match delete.send().await {
            Ok(deleted) => deleted.attributes,
            Err(error) => match super::refused_item(&error) {
                Ok(_) => None,
                Err(()) => return Err(self.failed(&error)),
            },
        };
        let Some(old) = deleted else {
            return Ok(false);
        };
        self.delete_parts(&pk, &item::get_location(&old, "body"))
            .await;
        Ok(true)
    }

    fn in_progress_until(&self) -> Timestamp {
        after(self.retention.expires_at(), IN_PROGRESS_EXTRA)
    }
}

pub(super) fn summary(item: &Item) -> Option<DeadLetterSummary> {
    Some(DeadLetterSummary {
        id: item::get(item, "pk")?.strip_prefix("delivery#")?.to_owned(),
        route: item::get(item, "route")?.to_owned(),
        at: item::get_ms(item, "at")?,
        dead_letter: dead_letter_reason(item)?,
        body_bytes: item::get_number(item, "body_bytes")?,
    })
}

/// The reason of a dead letter.
fn dead_letter_reason(item: &Item) -> Option<DeadLetterReason> {
    Some(DeadLetterReason {
        code: item::get(item, "code")?.to_owned(),
        reason: item::get(item, "reason")?.to_owned(),
        job: item::get(item, "job").map(JobId::from_outside),
        since: item::get_ms(item, "dead_since")?,
    })
}
