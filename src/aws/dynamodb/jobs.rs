//! Jobs in DynamoDB. A job is a head item; a large request or state is in part items beside it.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use jiff::Timestamp;

use super::change::Change;
use super::index::DueKind;
use super::item::{self, Item};
use super::job_summary::progress_attribute;
use super::job_writes::JobWrite;
use super::{DynamoStore, UpdateResult, deliveries, packing};
use crate::clock::after;
use crate::job::{DeadLetterReason, Job, JobId, JobSource};
use crate::store::StoreKind;
use crate::store::delivery::StoredDelivery;
use crate::store::{
    AddResult, Claim, Deliveries, ItemLocation, JobFilter, JobPage, JobSummary, Jobs, Lease,
    ListKey, PageRequest, StoreError, StoredJob, document,
};

/// The largest request that stays in the head item. Every checkpoint writes the head, and AWS charges for its size.
pub(super) const MAX_INLINE_REQUEST: usize = 8 * 1024;

/// The largest state that stays in the head item. DynamoDB's limit is 400 KB for an item.
pub(super) const MAX_INLINE_STATE: usize = 300 * 1024;

/// How early a job may be claimed. Delays of messages are whole seconds.
pub(super) const NEAR: Duration = Duration::from_secs(1);

/// The condition under which a job can be leased.
const FREE: &str = "attribute_exists(#pk) AND #lease <= :now AND attribute_not_exists(#parked) \
                    AND (attribute_not_exists(#ends) OR #ends > :now_s)";

/// How much an item grows until its job has finished: the state of calls and of the callback, and the history.
const GROWTH: usize = 128;

/// A job that was read, and where its documents are.
struct LoadedJob {
    job: Result<Job, StoreError>,
    request_at: ItemLocation,
    state_at: ItemLocation,
}

pub(super) fn pk(id: &JobId) -> String {
    format!("job#{id}")
}

/// Sets the lease of a job that meets a condition based on [`FREE`].
fn claim_change(condition: &str, now: Timestamp, until: Timestamp) -> Change {
    Change::when(condition, &["pk", "lease", "parked", "ends"])
        .value("now", item::ms(now))
        .value("now_s", item::seconds(now))
        .increment("version")
        .set("lease", item::ms(until))
        .remove("ends")
}

/// The attributes of the index `due`. A job without them is not in the index.
pub(super) fn due_attributes(
    id: &JobId,
    due: Option<Timestamp>,
    kind: DueKind,
) -> [(&'static str, Option<AttributeValue>); 2] {
    let shard = due.map(|_| item::text(item::shard(kind.name(), id.as_str())));
    [("due_shard", shard), ("due", due.map(item::ms))]
}

/// Whether the delivery has only this job, so that both can share an item.
fn is_delivery_of(delivery: &StoredDelivery, job: &Job) -> bool {
    let is_source = |source: &JobSource| source.delivery == delivery.id && !source.shared;
    job.source.as_ref().is_some_and(is_source)
        && delivery.id == StoredDelivery::id_for(&job.id)
        && job.route.as_ref() == Some(&delivery.route)
        && delivery.dead_letter.is_none()
}

/// Whether so many bytes more make no write of an item of this size more expensive.
fn is_free_of_charge(more: usize, size: usize) -> bool {
    let size = size + GROWTH;
    item::write_units(size + more) == item::write_units(size)
}

#[async_trait]
impl Jobs for DynamoStore {
    fn kind(&self) -> StoreKind {
        StoreKind::DynamoDb
    }

    async fn add(
        &self,
        job: &Job,
        delivery: Option<&StoredDelivery>,
    ) -> Result<AddResult, StoreError> {
        let pk = pk(&job.id);
        let request = packing::pack(document::encode_request(job)?.as_bytes());
        let state = packing::pack(document::encode_state(job)?.as_bytes());
        let sizes = [
            (request.len(), MAX_INLINE_REQUEST),
            (state.len(), MAX_INLINE_STATE),
        ];
        let inline = sizes.iter().filter(|(size, max)| size <= max);
        let write_id = super::write_id();
        let mut head = self.new_head(job, &write_id);
        let free = item::size(&head) + inline.map(|(size, _)| size).sum::<usize>();
        let own = delivery.filter(|delivery| is_delivery_of(delivery, job));
        let own = own.map(deliveries::own_attributes).transpose()?;
        let own = own.filter(|own| is_free_of_charge(item::size(own), free));
        // Of a delivery that is sent again, a read is cheaper than several writes.
        let is_large = sizes.iter().any(|(size, max)| size > max);
        if is_large || (delivery.is_some() && own.is_none()) {
            let now = self.retention.clock.now();
            let known = self.head(&pk).await?;
            if known.is_some_and(|item| !item::has_expired(&item, now)) {
                return Ok(AddResult::Existing);
            }
        }
        match (own, delivery) {
            (Some(own), _) => head.extend(own),
            // The delivery is written before the job. If the process stops here, the delivery expires.
            (None, Some(delivery)) => self.put_new_delivery(delivery).await?,
            (None, None) => {}
        }
        let until = self.unfinished_until();
        let request = self.put_document(&pk, request, MAX_INLINE_REQUEST, until);
        let (request_at, request) = request.await?;
        let state = self.put_document(&pk, state, MAX_INLINE_STATE, until);
        let (state_at, state) = state.await?;
        let documents = [
            ("request", request),
            ("request_parts", item::location_text(&request_at)),
            ("state", state),
            ("state_parts", item::location_text(&state_at)),
        ];
        head.extend(item::attributes(documents));
        if let Some(existing) = self.put_new(head).await? {
            // The existing job is ours if the SDK sent the write again after its answer was lost.
            if item::get(&existing, "write_id") != Some(write_id.as_str()) {
                self.delete_parts(&pk, &request_at).await;
                self.delete_parts(&pk, &state_at).await;
                return Ok(AddResult::Existing);
            }
        }
        Ok(AddResult::New)
    }

    async fn get(&self, id: &JobId) -> Result<Option<Job>, StoreError> {
        let pk = pk(id);
        let mut previous = None;
        loop {
            let now = self.retention.clock.now();
            let item = self.head(&pk).await?;
            let Some(item) = item.filter(|item| !item::has_expired(item, now)) else {
                return Ok(None);
            };
            // Parts may be replaced during the read. They are missing for good if the version is unchanged.
            let version: u64 = item::get_number(&item, "version").unwrap_or_default();
            if previous == Some(version) {
                return Err(incomplete(id));
            }
            if let Some(loaded) = self.load(id, &item).await? {
                return loaded.job.map(Some);
            }
            previous = Some(version);
        }
    }

    async fn claim(
        &self,
        id: &JobId,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Claim, StoreError> {
        // The entry of a job in the index stays. If there is none and the driver crashes, the job is due when the lease ends.
        let mut change = claim_change(FREE, now, until);
        for (name, value) in due_attributes(id, Some(until), DueKind::Any) {
            change = value
                .into_iter()
                .fold(change, |change, value| change.set_if_absent(name, value));
        }
        self.claim_with(id, change, now, until).await
    }

    async fn claim_due(
        &self,
        id: &JobId,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Claim, StoreError> {
        let condition = format!("{FREE} AND #due <= :near");
        let change = claim_change(&condition, now, until)
            .name("due")
            .value("near", item::ms(after(now, NEAR)));
        self.claim_with(id, change, now, until).await
    }

    async fn checkpoint(&self, job: &Job, lease: &mut Lease) -> Result<(), StoreError> {
        self.write_job(job, lease, JobWrite::Checkpoint).await
    }

    async fn release(
        &self,
        job: &Job,
        mut lease: Lease,
        due: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        self.write_job(job, &mut lease, JobWrite::Release(due))
            .await
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<JobId>, StoreError> {
        self.due_jobs(DueKind::Any, now, limit).await
    }

    async fn due_with(
        &self,
        woken: &[JobId],
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<JobId>, StoreError> {
        self.due_with_woken(woken, now, limit).await
    }

    async fn oldest_due(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        self.oldest_due_job(now).await
    }

    async fn due_slow_callbacks(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<JobId>, StoreError> {
        self.due_jobs(DueKind::SlowCallback, now, limit).await
    }

    async fn list(&self, filter: &JobFilter, page: &PageRequest) -> Result<JobPage, StoreError> {
        self.list_jobs(filter, page).await
    }

    async fn job_ids(&self, prefix: &str, limit: usize) -> Result<Vec<JobId>, StoreError> {
        self.latest_job_ids(prefix, limit).await
    }

    async fn delete_job(&self, id: &JobId) -> Result<bool, StoreError> {
        let pk = pk(id);
        let delete = self
            .client()
            .await
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(item::key(&pk)))
            .return_values(ReturnValue::AllOld);
        let deleted = delete.send().await.map_err(|error| self.failed(&error))?;
        let Some(old) = deleted.attributes else {
            return Ok(false);
        };
        for document in ["request", "state", "body"] {
            self.delete_parts(&pk, &item::get_location(&old, document))
                .await;
        }
        Ok(true)
    }

    async fn park(&self, id: &JobId, reason: &str) -> Result<(), StoreError> {
        let pk = pk(id);
        let item = self.head(&pk).await?.unwrap_or_default();
        if let Some(delivery) = item::get(&item, "delivery") {
            let now = self.retention.clock.now();
            let dead_letter = DeadLetterReason::for_parked_job(id, reason, now);
            self.dead_letter_of_job(&item, delivery, &dead_letter, None, None)
                .await?;
        }
        let change = Change::when("attribute_exists(#pk)", &["pk"])
            .increment("version")
            .set("lease", item::number(0))
            .set("parked", item::text(reason))
            .remove("due")
            .remove("due_shard")
            .remove("ends");
        let change = deliveries::OWN.into_iter().fold(change, Change::remove);
        // A parked job waits for an operator for as long as it takes.
        for document in ["request", "state"] {
            let (mut parts_at, _) = self.get_document(&pk, &item, document).await?;
            self.set_ttl(&pk, &mut parts_at, None).await?;
        }
        let parked = self.update(item::key(&pk), change, Some(super::write_id()));
        parked.await.map(|_| ())
    }

    async fn unpark(&self, id: &JobId, due: Timestamp) -> Result<bool, StoreError> {
        // Read before the job is unparked: it may be parked again at once, and its dead letter would then have another moment.
        let item = self.head(&pk(id)).await?.unwrap_or_default();
        let dead_letter = match item::get(&item, "delivery") {
            Some(delivery) => self.dead_letter_of(delivery, id).await?,
            None => None,
        };
        let mut change = Change::when("attribute_exists(#parked)", &["parked"])
            .increment("version")
            .remove("parked");
        for (name, value) in due_attributes(id, Some(due), DueKind::Any) {
            change = change.set_or_remove(name, value);
        }
        let unparked = self.update(item::key(&pk(id)), change, Some(super::write_id()));
        let UpdateResult::Done(item) = unparked.await? else {
            return Ok(false);
        };
        if let (Some(delivery), Some(dead_letter)) = (item::get(&item, "delivery"), dead_letter) {
            self.restore(delivery, dead_letter.since).await?;
        }
        Ok(true)
    }
}

impl DynamoStore {
    /// Takes a lease with a change that was made for it.
    async fn claim_with(
        &self,
        id: &JobId,
        change: Change,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Claim, StoreError> {
        let pk = pk(id);
        let item = match self
            .update(item::key(&pk), change, Some(super::write_id()))
            .await?
        {
            UpdateResult::Done(item) => item,
            UpdateResult::Refused(item) if item.is_empty() || item::has_expired(&item, now) => {
                return Ok(Claim::NotFound);
            }
            UpdateResult::Refused(item) => {
                if let Some(reason) = item::get(&item, "parked") {
                    let reason = reason.to_owned();
                    return Ok(Claim::Parked { reason });
                }
                let until = item::get_ms(&item, "lease").unwrap_or(Timestamp::MAX);
                return Ok(match until > now {
                    true => Claim::Busy { until },
                    false => Claim::NotDue,
                });
            }
        };
        let Some(mut loaded) = self.load(id, &item).await? else {
            return Err(incomplete(id));
        };
        self.keep_parts(&pk, &mut loaded.request_at).await?;
        self.keep_parts(&pk, &mut loaded.state_at).await?;
        let job = loaded.job?;
        let lease = Lease {
            version: item::get_number(&item, "version").unwrap_or_default(),
            until,
            stored: Box::new(StoredJob {
                request: job.request.clone(),
                request_at: loaded.request_at,
                state_at: loaded.state_at,
                has_delivery: deliveries::is_in(&item),
            }),
        };
        Ok(Claim::Acquired(Box::new(job), lease))
    }

    /// Everything in the head item of a new job but its documents.
    fn new_head(&self, job: &Job, write_id: &str) -> Item {
        let summary = JobSummary::of(job);
        let due = job.due(job.created_at);
        let ends = due.is_none().then(|| self.retention.expires_at());
        let listed = ListKey::new(job.created_at, job.id.as_str());
        let list_shard = item::shard("jobs", job.id.as_str());
        let delivery = job.source.as_ref().map(|source| &source.delivery);
        let attributes = [
            ("version", Some(item::number(1))),
            ("lease", Some(item::number(0))),
            ("write_id", Some(item::text(write_id))),
            ("route", job.route.as_ref().map(item::text)),
            ("connection", Some(item::text(&job.connection))),
            ("module", Some(item::text(&summary.module))),
            ("progress", progress_attribute(&summary)),
            ("created_at", Some(item::ms(job.created_at))),
            ("delivery", delivery.map(item::text)),
            ("list_shard", Some(item::text(list_shard))),
            ("listed", Some(item::text(listed.as_str()))),
            ("ends", ends.map(item::seconds)),
        ];
        let due = due_attributes(&job.id, due, DueKind::Any);
        item::head_item(&pk(&job.id), attributes.into_iter().chain(due))
    }

    /// Loads the job of a head item. Returns none if parts are missing.
    async fn load(&self, id: &JobId, item: &Item) -> Result<Option<LoadedJob>, StoreError> {
        let pk = pk(id);
        let (request_at, request) = self.get_document(&pk, item, "request").await?;
        let (state_at, state) = self.get_document(&pk, item, "state").await?;
        let (Some(request), Some(state)) = (request, state) else {
            return Ok(None);
        };
        let unreadable = |reason| StoreError::Unreadable {
            id: id.clone(),
            reason,
        };
        let job = packing::unpack_text(&request)
            .and_then(|request| Ok((request, packing::unpack_text(&state)?)))
            .map_err(unreadable)
            .and_then(|(request, state)| document::decode_job(id, &request, &state));
        Ok(Some(LoadedJob {
            job,
            request_at,
            state_at,
        }))
    }
}

fn incomplete(id: &JobId) -> StoreError {
    StoreError::Unreadable {
        id: id.clone(),
        reason: "parts of it are missing".to_owned(),
    }
}
