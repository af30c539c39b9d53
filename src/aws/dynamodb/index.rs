//! Queries on the two indexes: due jobs, and lists with the latest entry first. An index follows the table with a short delay,
//! so a result is a hint.

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::try_join_all;
use jiff::Timestamp;

use super::DynamoStore;
use super::item::{self, Item, SHARDS};
use crate::job::JobId;
use crate::store::{JobFilter, JobPage, JobSummary, StoreError};

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
const LISTED: &str = "listed";

/// The smallest page of a list query, because a filter may skip most entries.
const MIN_PAGE: usize = 50;

impl DynamoStore {
    pub(super) async fn due_jobs(
        &self,
        kind: DueKind,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<JobId>, StoreError> {
        let client = self.client().await;
        let shards = (0..SHARDS).map(|shard| async move {
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
                    .limit(page_size(limit))
                    .set_exclusive_start_key(from)
                    .send()
                    .await
                    .map_err(|error| self.failed(&error))?;
                let entries = page.items.unwrap_or_default();
                jobs.extend(entries.iter().filter_map(|item| {
                    let id = item::get(item, "pk")?.strip_prefix("job#")?;
                    let due: i64 = item::get_number(item, "due")?;
                    Some((due, id.to_owned()))
                }));
                from = page.last_evaluated_key;
                if from.is_none() || jobs.len() >= limit {
                    return Ok::<_, StoreError>(jobs);
                }
            }
        });
        let mut jobs: Vec<(i64, String)> = try_join_all(shards).await?.concat();
        jobs.sort();
        jobs.truncate(limit);
        let ids = jobs.iter().map(|(_, id)| JobId::from_outside(id));
        Ok(ids.collect())
    }

    pub(super) async fn list_jobs(
        &self,
        filter: JobFilter,
        limit: usize,
        after: Option<&str>,
    ) -> Result<JobPage, StoreError> {
        let read = |item: &Item| summary(item).filter(|job| filter.matches(job));
        let (jobs, next) = self.latest("jobs", limit, after, read).await?;
        Ok(JobPage { jobs, next })
    }

    /// The latest entries of a kind for which `read` returns a value, and the position of the next page.
    pub(super) async fn latest<T>(
        &self,
        kind: &str,
        limit: usize,
        after: Option<&str>,
        read: impl Fn(&Item) -> Option<T>,
    ) -> Result<(Vec<T>, Option<String>), StoreError> {
        let now = self.retention.clock.now();
        let read = |item: &Item| {
            let entry = read(item).filter(|_| !item::has_expired(item, now))?;
            Some((item::get(item, "listed")?.to_owned(), entry))
        };
        let shards = (0..SHARDS)
            .map(|shard| self.latest_in_shard(format!("{kind}#{shard}"), limit, after, &read));
        let mut entries: Vec<_> = try_join_all(shards).await?.into_iter().flatten().collect();
        entries.sort_by(|(one, _), (other, _)| other.cmp(one));
        entries.truncate(limit);
        let last = entries.last().filter(|_| entries.len() == limit);
        let next = last.map(|(listed, _)| listed.clone());
        Ok((entries.into_iter().map(|(_, entry)| entry).collect(), next))
    }

    async fn latest_in_shard<T>(
        &self,
        shard: String,
        limit: usize,
        after: Option<&str>,
        read: impl Fn(&Item) -> Option<T>,
    ) -> Result<Vec<T>, StoreError> {
        let client = self.client().await;
        let (mut entries, mut from): (Vec<T>, Option<Item>) = (Vec::new(), None);
        loop {
            let mut query = client
                .query()
                .table_name(&self.table)
                .index_name(LISTED)
                .scan_index_forward(false)
                .expression_attribute_names("#shard", "list_shard")
                .expression_attribute_values(":shard", AttributeValue::S(shard.clone()))
                .limit(page_size(limit.max(MIN_PAGE)))
                .set_exclusive_start_key(from);
            query = match after {
                None => query.key_condition_expression("#shard = :shard"),
                Some(after) => query
                    .key_condition_expression("#shard = :shard AND #listed < :after")
                    .expression_attribute_names("#listed", "listed")
                    .expression_attribute_values(":after", item::text(after)),
            };
            let page = query.send().await.map_err(|error| self.failed(&error))?;
            let items = page.items.unwrap_or_default();
            entries.extend(items.iter().filter_map(&read));
            from = page.last_evaluated_key;
            if from.is_none() || entries.len() >= limit {
                return Ok(entries);
            }
        }
    }
}

fn summary(item: &Item) -> Option<JobSummary> {
    Some(JobSummary {
        id: JobId::from_outside(item::get(item, "pk")?.strip_prefix("job#")?),
        route: item::get(item, "route").map(str::to_owned),
        connection: item::get(item, "connection")?.to_owned(),
        module: item::get(item, "module")?.to_owned(),
        status: item::get_named(item, "status")?,
        callback: item::get_named(item, "callback"),
        parked: item::get(item, "parked").map(str::to_owned),
        created_at: item::get_ms(item, "created_at")?,
        finished_at: item::get_ms(item, "finished_at"),
    })
}

fn page_size(limit: usize) -> i32 {
    i32::try_from(limit.clamp(1, 1_000)).unwrap_or(1_000)
}
