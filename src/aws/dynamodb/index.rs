//! Queries on the two indexes: due jobs, and lists with the latest entry first. An index follows the table with a short delay,
//! so a result is a hint.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use aws_sdk_dynamodb::types::{KeysAndAttributes, Select};
use futures_util::future::try_join_all;
use jiff::Timestamp;

use super::DynamoStore;
use super::item::{self, Item, SHARDS};
use crate::clock::after;
use crate::job::JobId;
use crate::store::StoreError;

/// The sparse index of due jobs: `due_shard`, `due`.
const DUE: &str = "due";

/// Which part of the index of due jobs a job is in.
#[derive(Clone, Copy, Debug)]
pub(super) enum DueKind {
    /// Every driver may take it.
    Any,
    /// Only a callback to a slow receiver is left to do. Drivers that cannot wait do not even read these jobs.
    SlowCallback,
}

impl DueKind {
    /// The prefix of its shards.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Any => "due",
            Self::SlowCallback => "slow_callback",
        }
    }
}

/// The index of lists: `list_shard`, `listed`.
pub(super) const LISTED: &str = "listed";

/// The attributes of a head item that lists show. An index contains keys only: each change of an entry would cost a write.
pub(super) const SUMMARY: [&str; 14] = [
    "at",
    "body_bytes",
    "code",
    "connection",
    "created_at",
    "dead_since",
    "delivery",
    "ends",
    "job",
    "module",
    "parked",
    "progress",
    "reason",
    "route",
];

/// Keys in one request; DynamoDB's limit.
const BATCH_KEYS: usize = 100;

/// How often items are requested that DynamoDB leaves out.
const BATCH_ATTEMPTS: u32 = 6;

/// A shard is read up to this part of a list: twice the average.
const SHARE_OF_SHARDS: usize = 4;

/// The part of a list up to which every shard is read.
const MIN_SHARE: usize = 100;
/// Entries of one shard that are counted. Counting costs as much as reading.
const MAX_COUNTED: i32 = 128;

/// The largest number of due jobs that a turn takes beside those that it was woken for. The others are left to the workers that
/// are woken for them. 100 records fit into one call, so shares of this size make hardly more calls than one turn would.
const TURN_SHARE: usize = 300;

impl DynamoStore {
    pub(super) async fn due_jobs(
        &self,
        kind: DueKind,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<JobId>, StoreError> {
        let mut jobs = self
            .due_in(kind, (0..SHARDS).collect(), now, limit, 0)
            .await?;
        jobs.sort();
        jobs.truncate(limit);
        Ok(jobs.into_iter().map(|(_, id)| id).collect())
    }

    /// The woken jobs that can be leased, and a share of the other due jobs. One query is enough for an isolated job: the other
    /// shards are read only if a woken job's shard has another due job.
    pub(super) async fn due_with_woken(
        &self,
        woken: &[JobId],
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<JobId>, StoreError> {
        let limit = limit.min(2 * TURN_SHARE);
        let woken: BTreeSet<&JobId> = woken.iter().collect();
        let near: BTreeSet<u32> = woken
            .iter()
            .map(|id| item::shard_number(id.as_str()))
            .collect();
        // A claim costs no more than a look at the head, so the only job of a turn is claimed at once.
        let unread = usize::from(woken.len() == 1);
        let mut jobs = self
            .due_in(
                DueKind::Any,
                near.iter().copied().collect(),
                now,
                limit,
                unread,
            )
            .await?;
        if woken.is_empty() || jobs.iter().any(|(_, id)| !woken.contains(id)) {
            let others = (0..SHARDS).filter(|shard| !near.contains(shard)).collect();
            jobs.extend(self.due_in(DueKind::Any, others, now, limit, 0).await?);
        }
        jobs.sort();
        let ids = jobs.into_iter().map(|(_, id)| id);
        let (mut ids, mut others): (Vec<JobId>, Vec<JobId>) =
            ids.partition(|id| woken.contains(id));
        others.truncate(limit);
        if others.len() > TURN_SHARE {
            // Workers that are woken together take different shares. Neighbours are likely to share calls.
            let start = fastrand::usize(..others.len());
            others.rotate_left(start);
            others.truncate(TURN_SHARE);
        }
        let found: BTreeSet<&JobId> = ids.iter().collect();
        // An index may lag behind, and a job may be due in a moment.
        let missing = woken.into_iter().filter(|id| !found.contains(id)).cloned();
        ids.extend(self.free(missing.collect(), now).await?);
        ids.append(&mut others);
        Ok(ids)
    }

    /// The due jobs in these shards that are not leased. If there are at most `unread`, their leases are not read.
    async fn due_in(
        &self,
        kind: DueKind,
        shards: Vec<u32>,
        now: Timestamp,
        limit: usize,
        unread: usize,
    ) -> Result<Vec<(i64, JobId)>, StoreError> {
        let client = self.client().await;
        // Ids are spread evenly over the shards, so no shard has much more than its share of a long list.
        let share = limit.div_ceil(SHARE_OF_SHARDS).max(limit.min(MIN_SHARE));
        let shards = shards.into_iter().map(|shard| async move {
            let (mut jobs, mut from) = (Vec::new(), None);
            loop {
                let page = client
                    .query()
                    .table_name(&self.table)
                    .index_name(DUE)
                    .key_condition_expression("#shard = :shard AND #due <= :now")
                    .expression_attribute_names("#shard", "due_shard")
                    .expression_attribute_names("#due", "due")
                    .expression_attribute_values(
                        ":shard",
                        item::text(format!("{}#{shard}", kind.name())),
                    )
                    .expression_attribute_values(":now", item::ms(now))
                    .limit(page_size(share))
                    .set_exclusive_start_key(from)
                    .send()
                    .await
                    .map_err(|error| self.failed(&error))?;
                let entries = page.items.unwrap_or_default();
                let due: BTreeMap<JobId, i64> = entries
                    .iter()
                    .filter_map(|item| {
                        let id = item::get(item, "pk")?.strip_prefix("job#")?;
                        Some((JobId::from_outside(id), item::get_number(item, "due")?))
                    })
                    .collect();
                let mut free: Vec<JobId> = due.keys().cloned().collect();
                if free.len() > unread {
                    free = self.free(free, now).await?;
                }
                jobs.extend(free.into_iter().filter_map(|id| Some((*due.get(&id)?, id))));
                from = page.last_evaluated_key;
                if from.is_none() || jobs.len() >= share {
                    return Ok::<_, StoreError>(jobs);
                }
            }
        });
        Ok(try_join_all(shards).await?.concat())
    }

    /// Those of the jobs that can be leased, and those that are not stored yet.
    async fn free(&self, ids: Vec<JobId>, now: Timestamp) -> Result<Vec<JobId>, StoreError> {
        let pks = ids.iter().map(super::jobs::pk).collect();
        let heads = self.heads(pks, &["lease", "due"]).await?;
        let latest = after(now, super::jobs::NEAR);
        let is_free = |id: &JobId| {
            heads.get(&super::jobs::pk(id)).is_none_or(|head| {
                item::get_ms(head, "lease").is_none_or(|lease| lease <= now)
                    && item::get_ms(head, "due").is_some_and(|due| due <= latest)
            })
        };
        Ok(ids.into_iter().filter(is_free).collect())
    }

    /// Reads some attributes of head items by partition key, consistently. Items that do not exist are left out.
    pub(super) async fn heads(
        &self,
        pks: Vec<String>,
        attributes: &[&str],
    ) -> Result<HashMap<String, Item>, StoreError> {
        let names: Vec<String> = (0..=attributes.len())
            .map(|number| format!("#a{number}"))
            .collect();
        let projected = names.iter().zip(["pk"].iter().chain(attributes));
        let requested = KeysAndAttributes::builder()
            .consistent_read(true)
            .projection_expression(names.join(", "))
            .set_expression_attribute_names(Some(
                projected
                    .map(|(name, attribute)| (name.clone(), (*attribute).to_owned()))
                    .collect(),
            ));
        let mut chunks = Vec::new();
        for pks in pks.chunks(BATCH_KEYS) {
            let keys = pks.iter().map(|pk| item::key(pk)).collect();
            let requested = requested.clone().set_keys(Some(keys)).build();
            let requested = requested.map_err(|error| StoreError::Failed(error.to_string()))?;
            chunks.push(self.batch(requested));
        }
        let items = try_join_all(chunks).await?.concat();
        let by_pk = items
            .into_iter()
            .filter_map(|item| Some((item::get(&item, "pk")?.to_owned(), item)));
        Ok(by_pk.collect())
    }

    /// Reads items until all of them are read.
    async fn batch(&self, requested: KeysAndAttributes) -> Result<Vec<Item>, StoreError> {
        let (mut items, mut remaining) = (Vec::new(), requested);
        for attempt in 0..BATCH_ATTEMPTS {
            let client = self.client().await;
            let read = client
                .batch_get_item()
                .request_items(&self.table, remaining)
                .send()
                .await
                .map_err(|error| self.failed(&error))?;
            items.extend(
                read.responses
                    .into_iter()
                    .flat_map(HashMap::into_values)
                    .flatten(),
            );
            let unread = read
                .unprocessed_keys
                .into_iter()
                .flat_map(HashMap::into_values)
                .next();
            let Some(unread) = unread else {
                return Ok(items);
            };
            remaining = unread;
            // DynamoDB throttles, or the items of one answer are too large together.
            tokio::time::sleep(Duration::from_millis(20 << attempt)).await;
        }
        let message = format!("DynamoDB table {}: items stay unprocessed", self.table);
        Err(StoreError::Unavailable(message))
    }

    /// When the job was due that waits longest. Reads one entry of each shard.
    pub(super) async fn oldest_due_job(
        &self,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        let client = self.client().await;
        let shards = (0..SHARDS).map(|shard| async move {
            let shard = format!("{}#{shard}", DueKind::Any.name());
            let page = client
                .query()
                .table_name(&self.table)
                .index_name(DUE)
                .key_condition_expression("#shard = :shard AND #due <= :now")
                .expression_attribute_names("#shard", "due_shard")
                .expression_attribute_names("#due", "due")
                .expression_attribute_values(":shard", item::text(shard))
                .expression_attribute_values(":now", item::ms(now))
                .limit(1)
                .send()
                .await
                .map_err(|error| self.failed(&error))?;
            let items = page.items.unwrap_or_default();
            let due = items.iter().filter_map(|item| item::get_ms(item, "due"));
            Ok::<_, StoreError>(due.min())
        });
        let oldest = try_join_all(shards).await?;
        Ok(oldest.into_iter().flatten().min())
    }

    /// The number of entries of a kind, up to [`MAX_COUNTED`] in each shard.
    pub(super) async fn count_listed(&self, kind: &str) -> Result<u64, StoreError> {
        let client = self.client().await;
        let shards = (0..SHARDS).map(|shard| async move {
            let page = client
                .query()
                .table_name(&self.table)
                .index_name(LISTED)
                .select(Select::Count)
                .key_condition_expression("#shard = :shard")
                .expression_attribute_names("#shard", "list_shard")
                .expression_attribute_values(":shard", item::text(format!("{kind}#{shard}")))
                .limit(MAX_COUNTED)
                .send()
                .await
                .map_err(|error| self.failed(&error))?;
            Ok::<_, StoreError>(page.count.unsigned_abs())
        });
        let counts = try_join_all(shards).await?;
        Ok(counts.into_iter().map(u64::from).sum())
    }
}

pub(super) fn page_size(limit: usize) -> i32 {
    i32::try_from(limit.clamp(1, 1_000)).unwrap_or(1_000)
}
