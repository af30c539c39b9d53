//! Jobs in DynamoDB. A job is a head item; a large request or state is in part items beside it.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;

use super::change::Change;
use super::index::{DueKind, progress_attribute};
use super::item::{self, Item};
use super::{DynamoStore, UpdateResult};
use crate::clock::after;
use crate::job::{DeadLetterReason, Job, JobId, JobSource};
use crate::store::delivery::StoredDelivery;
use crate::store::{
    AddResult, Claim, Deliveries, ItemLocation, JobFilter, JobPage, JobSummary, Jobs, Lease,
    ListKey, PageRequest, StoreError, StoredJob, document,
};

/// The largest request that stays in the head item. Every checkpoint writes the head, and AWS charges for its size.
const MAX_INLINE_REQUEST: usize = 8 * 1024;

/// The largest state that stays in the head item. DynamoDB's limit is 400 KB for an item.
const MAX_INLINE_STATE: usize = 300 * 1024;

/// How early a job may be claimed. Delays of messages are whole seconds.
pub(super) const NEAR: Duration = Duration::from_secs(1);

/// The condition under which a job can be leased.
const FREE: &str = "attribute_exists(#pk) AND #lease <= :now AND attribute_not_exists(#parked) \
                    AND (attribute_not_exists(#ends) OR #ends > :now_s)";

/// What a write means for the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum JobWrite {
    /// The job stays leased.
    Checkpoint,
    /// The lease ends, and the job is due next at this moment, or never.
    Release(Option<Timestamp>),
}

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
fn due_attributes(
    id: &JobId,
    due: Option<Timestamp>,
    kind: DueKind,
) -> [(&'static str, Option<AttributeValue>); 2] {
    let shard = due.map(|_| item::text(item::shard(kind.name(), id.as_str())));
    [("due_shard", shard), ("due", due.map(item::ms))]
}

#[async_trait]
impl Jobs for DynamoStore {
    async fn add(
        &self,
        job: &Job,
        delivery: Option<&StoredDelivery>,
    ) -> Result<AddResult, StoreError> {
        let (pk, summary) = (pk(&job.id), JobSummary::of(job));
        let request = item::pack(document::encode_request(job)?.as_bytes());
        let state = item::pack(document::encode_state(job)?.as_bytes());
        let now = self.retention.clock.now();
        // For a redelivery, a read is cheaper than a write that is refused.
        let large = request.len() > MAX_INLINE_REQUEST || state.len() > MAX_INLINE_STATE;
        if large || delivery.is_some() {
            let known = self.head(&pk).await?;
            if known.is_some_and(|item| !item::has_expired(&item, now)) {
                return Ok(AddResult::Existing);
            }
        }
        // The delivery is written before the job. If the process stops here, the delivery expires.
        if let Some(delivery) = delivery {
            self.put_new_delivery(delivery).await?;
        }
        let until = self.unfinished_until();
        let request = self.put_document(&pk, request, MAX_INLINE_REQUEST, until);
        let (request_at, request) = request.await?;
        let state = self.put_document(&pk, state, MAX_INLINE_STATE, until);
        let (state_at, state) = state.await?;
        let due = job.due(job.created_at);
        let ends = due.is_none().then(|| self.retention.expires_at());
        let write_id = super::write_id();
        let listed = ListKey::new(job.created_at, job.id.as_str());
        let attributes = [
            ("version", Some(item::number(1))),
            ("lease", Some(item::number(0))),
            ("write_id", Some(item::text(&write_id))),
            ("route", job.route.as_ref().map(item::text)),
            ("connection", Some(item::text(&job.connection))),
            ("module", Some(item::text(&summary.module))),
            ("progress", progress_attribute(&summary)),
            ("created_at", Some(item::ms(job.created_at))),
            (
                "delivery",
                job.source
                    .as_ref()
                    .map(|source| item::text(&source.delivery)),
            ),
            (
                "list_shard",
                Some(item::text(item::shard("jobs", job.id.as_str()))),
            ),
            ("listed", Some(item::text(listed.as_str()))),
            ("request", request),
            ("request_parts", item::location_text(&request_at)),
            ("state", state),
            ("state_parts", item::location_text(&state_at)),
            ("ends", ends.map(item::seconds)),
        ];
        let attributes = attributes
            .into_iter()
            .chain(due_attributes(&job.id, due, DueKind::Any));
        if let Some(existing) = self.put_new(item::head_item(&pk, attributes)).await? {
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

    async fn park(&self, id: &JobId, reason: &str) -> Result<(), StoreError> {
        let pk = pk(id);
        let item = self.head(&pk).await?.unwrap_or_default();
        if let Some(delivery) = item::get(&item, "delivery") {
            let now = self.retention.clock.now();
            let dead_letter = DeadLetterReason::for_parked_job(id, reason, now);
            self.dead_letter(delivery, &dead_letter, None).await?;
        }
        let change = Change::when("attribute_exists(#pk)", &["pk"])
            .increment("version")
            .set("lease", item::number(0))
            .set("parked", item::text(reason))
            .remove("due")
            .remove("due_shard")
            .remove("ends");
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
            }),
        };
        Ok(Claim::Acquired(Box::new(job), lease))
    }

    /// Writes a job and its lease.
    async fn write_job(
        &self,
        job: &Job,
        lease: &mut Lease,
        write: JobWrite,
    ) -> Result<(), StoreError> {
        let pk = pk(&job.id);
        let (mut change, ends) = self.head_change(job, lease, write);
        let is_finished = write == JobWrite::Release(None);
        let state = item::pack(document::encode_state(job)?.as_bytes());
        let until = self.unfinished_until();
        let state = self.put_document(&pk, state, MAX_INLINE_STATE, until);
        let (mut state_at, state) = state.await?;
        change = change
            .set_or_remove("state", state)
            .set_or_remove("state_parts", item::location_text(&state_at));
        let mut request_at = lease.stored.request_at.clone();
        let changed = lease.stored.request != job.request;
        if changed {
            let request = item::pack(document::encode_request(job)?.as_bytes());
            let request = self.put_document(&pk, request, MAX_INLINE_REQUEST, until);
            let (location, request) = request.await?;
            change = change
                .set_or_remove("request", request)
                .set_or_remove("request_parts", item::location_text(&location));
            request_at = location;
        }
        if let Some(ends) = ends {
            // Before the head: after the last release nothing maintains the parts.
            self.end_parts(&pk, &mut request_at, ends).await?;
            self.end_parts(&pk, &mut state_at, ends).await?;
        }
        let finished_source = job.source.as_ref().filter(|_| is_finished);
        let dead_letter = finished_source
            .and_then(|_| DeadLetterReason::for_job(job, self.retention.clock.now()));
        if let (Some(source), Some(reason)) = (finished_source, &dead_letter) {
            self.dead_letter_if_current(&pk, lease, source, reason, ends)
                .await?;
        }
        let updated = self
            .update(item::key(&pk), change, Some(super::write_id()))
            .await?;
        if let UpdateResult::Refused(_) = updated {
            self.delete_parts(&pk, &state_at).await;
            if changed {
                self.delete_parts(&pk, &request_at).await;
            }
            return Err(StoreError::LeaseLost(job.id.clone()));
        }
        lease.version += 1;
        let old_state = std::mem::replace(&mut lease.stored.state_at, state_at);
        self.delete_parts(&pk, &old_state).await;
        let old_request = std::mem::replace(&mut lease.stored.request_at, request_at);
        if changed {
            lease.stored.request = job.request.clone();
            self.delete_parts(&pk, &old_request).await;
        }
        // After the head: until then another driver may have taken the job over.
        if let (Some(source), None) = (finished_source, dead_letter) {
            self.release_delivery(source).await;
        }
        Ok(())
    }

    /// The change of everything in a job's head item but its documents, and when the item expires.
    fn head_change(
        &self,
        job: &Job,
        lease: &Lease,
        write: JobWrite,
    ) -> (Change, Option<Timestamp>) {
        let summary = JobSummary::of(job);
        let change = Change::when("#version = :version", &["version"])
            .value("version", item::number(lease.version))
            .increment("version")
            .set_or_remove("progress", progress_attribute(&summary));
        // An index entry is a write of its own, so a checkpoint changes none.
        let due = match write {
            JobWrite::Checkpoint => return (change.set("lease", item::ms(lease.until)), None),
            JobWrite::Release(due) => due,
        };
        let ends = due.is_none().then(|| self.retention.expires_at());
        let kind = match job.needs_patience() {
            true => DueKind::SlowCallback,
            false => DueKind::Any,
        };
        let change = due_attributes(&job.id, due, kind).into_iter().fold(
            change.set("lease", item::number(0)),
            |change, (name, value)| change.set_or_remove(name, value),
        );
        (change.set_or_remove("ends", ends.map(item::seconds)), ends)
    }

    /// Turns the delivery of a finished job into a dead letter, unless another driver has taken the job over. This happens
    /// before the head is written, because a finished job is never driven again.
    async fn dead_letter_if_current(
        &self,
        pk: &str,
        lease: &Lease,
        source: &JobSource,
        reason: &DeadLetterReason,
        ends: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let current = self.head(pk).await?.unwrap_or_default();
        if item::get_number(&current, "version") == Some(lease.version) {
            self.dead_letter(&source.delivery, reason, ends).await?;
        }
        Ok(())
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
        let job = item::unpack_text(&request)
            .and_then(|request| Ok((request, item::unpack_text(&state)?)))
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
