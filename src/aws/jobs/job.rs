//! Jobs as items: the head holds what changes, and whatever is large is in parts beside it.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;

use super::change::Change;
use super::item::{self, Item};
use super::{DynamoStore, Updated};
use crate::job::delivery::{DeadLetterReason, StoredDelivery};
use crate::job::store::{AddResult, Claim, ItemLocation, JobSummary, Lease, StoreError, StoredJob};
use crate::job::stored::{self, ListKey};
use crate::job::{Job, JobId};

/// The largest request that stays in the head: the head is written, and paid for, with every checkpoint.
const REQUEST_INLINE: usize = 8 * 1024;

/// The largest state that stays in the head; DynamoDB takes 400 KB in all.
const STATE_INLINE: usize = 300 * 1024;

/// A job as it was read, and where its pieces are.
struct Loaded {
    job: Result<Job, StoreError>,
    request_at: ItemLocation,
    state_at: ItemLocation,
}

fn pk(id: &JobId) -> String {
    format!("job#{id}")
}

/// The attributes that place a job in the index of due jobs, which holds only what has them.
fn due_attributes(
    id: &JobId,
    due: Option<Timestamp>,
) -> [(&'static str, Option<AttributeValue>); 2] {
    let shard = due.map(|_| item::text(item::shard("due", id.as_str())));
    [("due_shard", shard), ("due", due.map(item::ms))]
}

/// The attributes of a list entry that change.
fn listed_attributes(job: &JobSummary) -> [(&'static str, Option<AttributeValue>); 4] {
    [
        ("module", Some(item::text(&job.module))),
        ("status", item::name(&job.status)),
        ("callback", job.callback.as_ref().and_then(item::name)),
        ("finished_at", job.finished_at.map(item::ms)),
    ]
}

impl DynamoStore {
    pub(super) async fn add_job(
        &self,
        job: &Job,
        delivery: Option<&StoredDelivery>,
    ) -> Result<AddResult, StoreError> {
        let (pk, summary) = (pk(&job.id), JobSummary::of(job));
        let request = item::pack(stored::request(job)?.as_bytes());
        let state = item::pack(stored::state(job)?.as_bytes());
        let now = self.retention.clock.now();
        // A delivery that comes again is cheaper found than written.
        let large = request.len() > REQUEST_INLINE || state.len() > STATE_INLINE;
        if large || delivery.is_some() {
            let known = self.head(&pk).await?;
            if known.is_some_and(|item| !item::has_ended(&item, now)) {
                return Ok(AddResult::Existing);
            }
        }
        // Before the job: if we go no further, it goes by itself.
        if let Some(delivery) = delivery {
            self.keep_new_delivery(delivery).await?;
        }
        let (mut request_at, request) = self.place(&pk, request, REQUEST_INLINE).await?;
        let (mut state_at, state) = self.place(&pk, state, STATE_INLINE).await?;
        let due = job.due(job.created_at);
        let ends = due.is_none().then(|| self.retention.expires_at());
        let mark = super::mark();
        let listed = ListKey::new(job.created_at, job.id.as_str());
        let attributes = [
            ("version", Some(item::number(1))),
            ("lease", Some(item::number(0))),
            ("mark", Some(item::text(&mark))),
            ("route", job.route.as_ref().map(item::text)),
            ("connection", Some(item::text(&job.connection))),
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
            ("request_parts", item::place_text(&request_at)),
            ("state", state),
            ("state_parts", item::place_text(&state_at)),
            ("ends", ends.map(item::seconds)),
        ];
        let attributes = attributes
            .into_iter()
            .chain(due_attributes(&job.id, due))
            .chain(listed_attributes(&summary));
        if let Some(there) = self.put_new(item::whole(&pk, attributes)).await? {
            // The SDK tries again when an answer is lost: then the job that is there already is ours.
            if item::get(&there, "mark") != Some(mark.as_str()) {
                self.discard(&pk, &request_at).await;
                self.discard(&pk, &state_at).await;
                return Ok(AddResult::Existing);
            }
        }
        self.date(&pk, &mut request_at, ends).await?;
        self.date(&pk, &mut state_at, ends).await?;
        Ok(AddResult::New)
    }

    pub(super) async fn get_job(&self, id: &JobId) -> Result<Option<Job>, StoreError> {
        let pk = pk(id);
        let mut before = None;
        loop {
            let now = self.retention.clock.now();
            let item = self.head(&pk).await?;
            let Some(item) = item.filter(|item| !item::has_ended(item, now)) else {
                return Ok(None);
            };
            // Parts that are missing were replaced while we read, or are really missing if the job is as it was.
            let version: u64 = item::get_number(&item, "version").unwrap_or_default();
            if before == Some(version) {
                return Err(incomplete(id));
            }
            if let Some(loaded) = self.load(id, &item).await? {
                return loaded.job.map(Some);
            }
            before = Some(version);
        }
    }

    pub(super) async fn claim_job(
        &self,
        id: &JobId,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Claim, StoreError> {
        let pk = pk(id);
        let free = "attribute_exists(#pk) AND #lease <= :now AND attribute_not_exists(#parked) \
                    AND (attribute_not_exists(#ends) OR #ends > :now_s)";
        let mut change = Change::when(free, &["pk", "lease", "parked", "ends"])
            .value("now", item::ms(now))
            .value("now_s", item::seconds(now))
            .raise("version")
            .set("lease", item::ms(until))
            .remove("ends");
        // A lease that nobody ends makes the job due when it is over.
        for (name, value) in due_attributes(id, Some(until)) {
            change = change.put(name, value);
        }
        let item = match self
            .update(item::key(&pk), change, Some(super::mark()))
            .await?
        {
            Updated::Done(item) => item,
            Updated::Refused(item) if item.is_empty() || item::has_ended(&item, now) => {
                return Ok(Claim::NotFound);
            }
            Updated::Refused(item) => {
                if let Some(reason) = item::get(&item, "parked") {
                    let reason = reason.to_owned();
                    return Ok(Claim::Parked { reason });
                }
                let until = item::get_ms(&item, "lease").unwrap_or(Timestamp::MAX);
                return Ok(Claim::Busy { until });
            }
        };
        let Some(mut loaded) = self.load(id, &item).await? else {
            return Err(incomplete(id));
        };
        self.date(&pk, &mut loaded.request_at, None).await?;
        self.date(&pk, &mut loaded.state_at, None).await?;
        let job = loaded.job?;
        let lease = Lease {
            version: item::get_number(&item, "version").unwrap_or_default(),
            until,
            written: Box::new(StoredJob {
                request: job.request.clone(),
                request_at: loaded.request_at,
                state_at: loaded.state_at,
            }),
        };
        Ok(Claim::Acquired(Box::new(job), lease))
    }

    /// Writes a job with its lease, which is over if `leased` is none.
    pub(super) async fn write_job(
        &self,
        job: &Job,
        lease: &mut Lease,
        leased: Option<Timestamp>,
        due: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let (pk, summary) = (pk(&job.id), JobSummary::of(job));
        let ends = due.is_none().then(|| self.retention.expires_at());
        let leased_until = leased.map_or(item::number(0), item::ms);
        let mut change = Change::when("#version = :version", &["version"])
            .value("version", item::number(lease.version))
            .raise("version")
            .set("lease", leased_until)
            .put("ends", ends.map(item::seconds));
        let attributes = due_attributes(&job.id, due).into_iter();
        for (name, value) in attributes.chain(listed_attributes(&summary)) {
            change = change.put(name, value);
        }
        let state = item::pack(stored::state(job)?.as_bytes());
        let (mut state_at, state) = self.place(&pk, state, STATE_INLINE).await?;
        change = change
            .put("state", state)
            .put("state_parts", item::place_text(&state_at));
        let mut request_at = lease.written.request_at.clone();
        let changed = lease.written.request != job.request;
        if changed {
            let request = item::pack(stored::request(job)?.as_bytes());
            let (place, request) = self.place(&pk, request, REQUEST_INLINE).await?;
            change = change
                .put("request", request)
                .put("request_parts", item::place_text(&place));
            request_at = place;
        }
        if leased.is_none() {
            // Before the head: once it is released, nobody looks after its parts until the next claim.
            self.date(&pk, &mut request_at, ends).await?;
            self.date(&pk, &mut state_at, ends).await?;
        }
        let last = due.is_none().then_some(job.source.as_ref()).flatten();
        let death = last.and_then(|_| DeadLetterReason::for_job(job, self.retention.clock.now()));
        // Before the head: nobody comes back to a job that is never due. Whoever has taken it over has the last word.
        if let (Some(source), Some(death)) = (last, &death) {
            let there = self.head(&pk).await?.unwrap_or_default();
            if item::get_number(&there, "version") == Some(lease.version) {
                self.dead_letter(&source.delivery, death, ends).await?;
            }
        }
        let updated = self
            .update(item::key(&pk), change, Some(super::mark()))
            .await?;
        if let Updated::Refused(_) = updated {
            self.discard(&pk, &state_at).await;
            if changed {
                self.discard(&pk, &request_at).await;
            }
            return Err(StoreError::LeaseLost(job.id.clone()));
        }
        lease.version += 1;
        let old_state = std::mem::replace(&mut lease.written.state_at, state_at);
        self.discard(&pk, &old_state).await;
        let old_request = std::mem::replace(&mut lease.written.request_at, request_at);
        if changed {
            lease.written.request = job.request.clone();
            self.discard(&pk, &old_request).await;
        }
        // After the head: until then somebody else may have taken the job over.
        if let (Some(source), None) = (last, death) {
            self.release_delivery(source).await;
        }
        Ok(())
    }

    pub(super) async fn park_job(&self, id: &JobId, reason: &str) -> Result<(), StoreError> {
        let pk = pk(id);
        let item = self.head(&pk).await?.unwrap_or_default();
        if let Some(delivery) = item::get(&item, "delivery") {
            let death = DeadLetterReason::for_parked_job(id, reason, self.retention.clock.now());
            self.dead_letter(delivery, &death, None).await?;
        }
        let change = Change::when("attribute_exists(#pk)", &["pk"])
            .raise("version")
            .set("lease", item::number(0))
            .set("parked", item::text(reason))
            .remove("due")
            .remove("due_shard")
            .remove("ends");
        let parked = self.update(item::key(&pk), change, Some(super::mark()));
        parked.await.map(|_| ())
    }

    pub(super) async fn unpark_job(&self, id: &JobId, due: Timestamp) -> Result<bool, StoreError> {
        // Before the job goes on: it may be put aside anew at once, and its delivery is then dead since another moment.
        let item = self.head(&pk(id)).await?.unwrap_or_default();
        let dead = match item::get(&item, "delivery") {
            Some(delivery) => self.death_by(delivery, id).await?,
            None => None,
        };
        let mut change = Change::when("attribute_exists(#parked)", &["parked"])
            .raise("version")
            .remove("parked");
        for (name, value) in due_attributes(id, Some(due)) {
            change = change.put(name, value);
        }
        let unparked = self.update(item::key(&pk(id)), change, Some(super::mark()));
        let Updated::Done(item) = unparked.await? else {
            return Ok(false);
        };
        if let (Some(delivery), Some(dead)) = (item::get(&item, "delivery"), dead) {
            self.revive_delivery(delivery, dead.since).await?;
        }
        Ok(true)
    }

    /// The job of its head; none if parts of it are missing.
    async fn load(&self, id: &JobId, item: &Item) -> Result<Option<Loaded>, StoreError> {
        let pk = pk(id);
        let (request_at, request) = self.gather(&pk, item, "request").await?;
        let (state_at, state) = self.gather(&pk, item, "state").await?;
        let (Some(request), Some(state)) = (request, state) else {
            return Ok(None);
        };
        let unreadable = |why| StoreError::Unreadable {
            id: id.clone(),
            why,
        };
        let job = item::unpack_text(&request)
            .and_then(|request| Ok((request, item::unpack_text(&state)?)))
            .map_err(unreadable)
            .and_then(|(request, state)| stored::job(id, &request, &state));
        Ok(Some(Loaded {
            job,
            request_at,
            state_at,
        }))
    }
}

fn incomplete(id: &JobId) -> StoreError {
    StoreError::Unreadable {
        id: id.clone(),
        why: "parts of it are missing".to_owned(),
    }
}
