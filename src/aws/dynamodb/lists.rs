//! Lists with the latest entry first, from the index `listed`. One page reads a bounded number of items, because each read is
//! billed: a page that is not full has a position at which the next one goes on.
//!
//! DynamoDB has no log of deliveries, because strangers could cause writes that are billed. The list of deliveries is made of
//! what is stored in any case: the jobs of accepted deliveries, and dead letters.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::try_join_all;

use super::DynamoStore;
use super::deliveries;
use super::index::{LISTED, SUMMARY, page_size};
use super::item::{self, Item, SHARDS};
use super::job_summary::summary;
use crate::job::JobId;
use crate::store::delivery::DeadLetterSummary;
use crate::store::delivery_log::{
    DeliveryFilter, DeliveryPage, DeliverySummary, JOBS_SHOWN, LogEntry, StoredParts,
};
use crate::store::{
    JobFilter, JobPage, JobSummary, ListKey, ListPosition, PageRequest, StoreError,
};

/// The number of latest entries among which a shortened id is looked for. The key of the table finds whole ids only.
const PREFIX_ENTRIES: usize = 500;

/// Rounds of reads of one page.
const ROUNDS: usize = 4;

/// The fewest entries of one round.
const MIN_ROUND: usize = 50;

/// The fewest keys that one shard contributes to a round.
const MIN_SHARE: usize = 20;

/// A shard contributes this part of a round: twice the average.
const SHARE_OF_SHARDS: usize = 4;

/// Sorts behind all ids of one moment.
const AFTER_IDS: &str = "zzz";

/// Keys of a list, the latest first.
struct Keys {
    /// The position and the partition key of each entry.
    keys: Vec<(String, String)>,
    /// The position below which the next round reads, if there is more.
    next: Option<String>,
}

/// Entries with their positions, the latest first.
struct Entries<T> {
    entries: Vec<(String, T)>,
    /// The position below which the next page reads, if there is more.
    next: Option<String>,
    /// The position of the latest entry of the list, if it was read.
    latest: Option<String>,
}

/// The position below which a page reads, and the one above which its entries are.
struct Range {
    below: Option<String>,
    above: Option<String>,
}

impl Range {
    fn of(page: &PageRequest) -> Self {
        let key = |position: &str| ListKey::from_outside(position).as_str().to_owned();
        match &page.from {
            ListPosition::Start => Self {
                below: None,
                above: None,
            },
            ListPosition::Before(position) => Self {
                below: Some(key(position)),
                above: None,
            },
            ListPosition::Newer(position) => Self {
                below: None,
                above: Some(key(position)),
            },
        }
    }

    /// The cursor behind which entries are newer: the latest one that was read, or the one that was given.
    fn latest_cursor(&self, latest: Option<&str>) -> Option<String> {
        if self.below.is_some() {
            return None;
        }
        let latest = latest.or(self.above.as_deref()).unwrap_or("0");
        Some(ListKey::from_outside(latest).to_cursor())
    }
}

impl DynamoStore {
    pub(super) async fn list_jobs(
        &self,
        filter: &JobFilter,
        page: &PageRequest,
    ) -> Result<JobPage, StoreError> {
        let mut range = Range::of(page);
        if let Some(until) = filter.until {
            let until = ListKey::at(until).as_str().to_owned();
            range.below = Some(range.below.map_or(until.clone(), |below| below.min(until)));
        }
        if let Some(since) = filter.since {
            let since = ListKey::at(since).as_str().to_owned();
            range.above = Some(range.above.map_or(since.clone(), |above| above.max(since)));
        }
        let read = |item: &Item| summary(item).filter(|job| filter.matches(job));
        let found = self.entries("jobs", page.limit, &range, read).await?;
        Ok(JobPage {
            next: found.next.as_deref().map(cursor),
            latest: Range::of(page).latest_cursor(found.latest.as_deref()),
            entries: found.entries.into_iter().map(|(_, job)| job).collect(),
        })
    }

    /// The ids that begin with a text, among the latest jobs.
    pub(super) async fn latest_job_ids(
        &self,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<JobId>, StoreError> {
        let keys = self.keys("jobs", PREFIX_ENTRIES, None).await?;
        let ids = keys
            .keys
            .iter()
            .filter_map(|(_, pk)| pk.strip_prefix("job#"));
        let ids = ids.filter(|id| id.starts_with(prefix)).take(limit);
        Ok(ids.map(JobId::from_outside).collect())
    }

    /// The ids that begin with a text, among the latest dead letters and the deliveries of the latest jobs.
    pub(super) async fn latest_delivery_ids(
        &self,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        let keys = self.keys("deliveries", PREFIX_ENTRIES, None).await?;
        let ids = keys
            .keys
            .iter()
            .filter_map(|(_, pk)| pk.strip_prefix("delivery#"));
        let mut ids: Vec<String> = ids
            .filter(|id| id.starts_with(prefix))
            .map(str::to_owned)
            .collect();
        if ids.is_empty() {
            let (filter, page) = (JobFilter::default(), PageRequest::first(PREFIX_ENTRIES));
            let jobs = self.list_jobs(&filter, &page).await?;
            let of_jobs = jobs.entries.into_iter().filter_map(|job| job.delivery);
            ids = of_jobs.filter(|id| id.starts_with(prefix)).collect();
            ids.sort_unstable();
            ids.dedup();
        }
        ids.truncate(limit);
        Ok(ids)
    }

    /// The latest dead letters.
    pub(super) async fn latest_dead_letters(
        &self,
        limit: usize,
    ) -> Result<Vec<DeadLetterSummary>, StoreError> {
        let range = Range::of(&PageRequest::first(limit));
        let found = self.entries("deliveries", limit, &range, deliveries::summary);
        Ok(found
            .await?
            .entries
            .into_iter()
            .map(|(_, dead)| dead)
            .collect())
    }

    pub(super) async fn latest_deliveries(
        &self,
        filter: &DeliveryFilter,
        page: &PageRequest,
    ) -> Result<DeliveryPage, StoreError> {
        let range = Range::of(page);
        let read_dead = |item: &Item| dead_letter_summary(item);
        let dead = self
            .entries("deliveries", page.limit, &range, read_dead)
            .await?;
        if filter.is_of_dead_letters() {
            let latest = range.latest_cursor(dead.latest.as_deref());
            let entries = dead.entries.into_iter().map(|(_, summary)| summary);
            return Ok(DeliveryPage {
                entries: entries.filter(|summary| filter.matches(summary)).collect(),
                next: dead.next.as_deref().map(cursor),
                latest,
            });
        }
        let jobs = self.entries("jobs", page.limit, &range, summary).await?;
        let latest = dead.latest.clone().max(jobs.latest.clone());
        // Below the end of either list, entries of the other are not known to be the next.
        let end = dead.next.clone().max(jobs.next.clone());
        let (mut found, next) = merge(jobs, dead, end);
        found.sort_by(|(one, _), (other, _)| other.cmp(one));
        let entries = found.into_iter().map(|(_, summary)| summary);
        Ok(DeliveryPage {
            entries: entries.filter(|summary| filter.matches(summary)).collect(),
            next: next.as_deref().map(cursor),
            latest: range.latest_cursor(latest.as_deref()),
        })
    }

    /// The latest entries of a kind in a range for which `read` returns a value.
    async fn entries<T>(
        &self,
        kind: &str,
        limit: usize,
        range: &Range,
        read: impl Fn(&Item) -> Option<T>,
    ) -> Result<Entries<T>, StoreError> {
        let now = self.retention.clock.now();
        let mut below = range.below.clone();
        let (mut entries, mut latest) = (Vec::new(), None);
        for _ in 0..ROUNDS {
            let Keys { mut keys, next } = self
                .keys(kind, limit.max(MIN_ROUND), below.as_deref())
                .await?;
            latest = latest.or_else(|| keys.first().map(|(listed, _)| listed.clone()));
            let read_keys = keys.len();
            if let Some(above) = &range.above {
                keys.retain(|(listed, _)| listed > above);
            }
            let is_end = next.is_none() || keys.len() < read_keys;
            let pks = keys.iter().map(|(_, pk)| pk.clone()).collect();
            let mut heads = self.heads(pks, &SUMMARY).await?;
            for (listed, pk) in keys {
                let head = heads
                    .remove(&pk)
                    .filter(|head| !item::has_expired(head, now));
                let Some(entry) = head.as_ref().and_then(&read) else {
                    continue;
                };
                entries.push((listed.clone(), entry));
                if entries.len() >= limit {
                    let next = Some(listed);
                    return Ok(Entries {
                        entries,
                        next,
                        latest,
                    });
                }
            }
            if is_end {
                return Ok(Entries {
                    entries,
                    next: None,
                    latest,
                });
            }
            below = next;
        }
        Ok(Entries {
            entries,
            next: below,
            latest,
        })
    }

    /// The next keys of a kind. Each shard is read once.
    async fn keys(
        &self,
        kind: &str,
        count: usize,
        below: Option<&str>,
    ) -> Result<Keys, StoreError> {
        let share = count.div_ceil(SHARE_OF_SHARDS).max(count.min(MIN_SHARE));
        let shards = (0..SHARDS).map(|shard| self.keys_in(format!("{kind}#{shard}"), share, below));
        let shards: Vec<Keys> = try_join_all(shards).await?;
        // What is below the end of a shard that has more is not known to be the next.
        let end = shards.iter().filter_map(|shard| shard.next.clone()).max();
        let keys = shards.into_iter().flat_map(|shard| shard.keys);
        let mut keys: Vec<_> = keys
            .filter(|(listed, _)| end.as_ref().is_none_or(|end| listed >= end))
            .collect();
        keys.sort_unstable_by(|one, other| other.cmp(one));
        let is_cut = keys.len() > count;
        keys.truncate(count);
        let next = match is_cut {
            true => keys.last().map(|(listed, _)| listed.clone()),
            false => end,
        };
        Ok(Keys { keys, next })
    }

    async fn keys_in(
        &self,
        shard: String,
        count: usize,
        below: Option<&str>,
    ) -> Result<Keys, StoreError> {
        let query = self
            .client()
            .await
            .query()
            .table_name(&self.table)
            .index_name(LISTED)
            .scan_index_forward(false)
            .expression_attribute_names("#shard", "list_shard")
            .expression_attribute_values(":shard", AttributeValue::S(shard))
            .limit(page_size(count));
        let query = match below {
            None => query.key_condition_expression("#shard = :shard"),
            Some(below) => query
                .key_condition_expression("#shard = :shard AND #listed < :below")
                .expression_attribute_names("#listed", "listed")
                .expression_attribute_values(":below", item::text(below)),
        };
        let page = query.send().await.map_err(|error| self.failed(&error))?;
        let items = page.items.unwrap_or_default();
        let keys = items.iter().filter_map(|item| {
            let (listed, pk) = (item::get(item, "listed")?, item::get(item, "pk")?);
            Some((listed.to_owned(), pk.to_owned()))
        });
        let keys: Vec<_> = keys.collect();
        let has_more = page.last_evaluated_key.is_some();
        let last = keys.last().filter(|_| has_more);
        let next = last.map(|(listed, _)| listed.clone());
        Ok(Keys { keys, next })
    }
}

fn cursor(position: &str) -> String {
    ListKey::from_outside(position).to_cursor()
}

/// The moment of a position.
fn moment_of(position: &str) -> &str {
    position.split('#').next().unwrap_or(position)
}

/// Makes deliveries of jobs and of dead letters without a job, down to `end`. All jobs of a delivery have one moment, so a page
/// ends between two moments.
fn merge(
    jobs: Entries<JobSummary>,
    dead: Entries<DeliverySummary>,
    end: Option<String>,
) -> (Vec<(String, DeliverySummary)>, Option<String>) {
    let last = end.as_deref().map(moment_of).map(str::to_owned);
    let all_moments = jobs.entries.iter().map(|(listed, _)| listed);
    let all_moments = all_moments.chain(dead.entries.iter().map(|(listed, _)| listed));
    // A single moment that fills the page is shown as it is.
    let has_other = all_moments
        .clone()
        .any(|listed| Some(moment_of(listed)) > last.as_deref());
    let is_shown = |listed: &str| match &last {
        None => true,
        Some(last) if has_other => moment_of(listed) > last.as_str(),
        Some(_) => true,
    };
    let mut groups: BTreeMap<String, (String, Vec<JobSummary>)> = BTreeMap::new();
    for (listed, job) in jobs.entries {
        if let Some(delivery) = job.delivery.clone().filter(|_| is_shown(&listed)) {
            let group = groups.entry(delivery).or_insert((listed, Vec::new()));
            group.1.push(job);
        }
    }
    let mut found: Vec<(String, DeliverySummary)> = groups
        .into_iter()
        .map(|(delivery, (listed, jobs))| (listed, delivery_of_jobs(delivery, &jobs)))
        .collect();
    let refused = dead.entries.into_iter().filter(|(listed, summary)| {
        let job = summary
            .dead_letter
            .as_ref()
            .and_then(|dead| dead.job.as_ref());
        job.is_none() && is_shown(listed)
    });
    found.extend(refused);
    let next = match (end, last) {
        (Some(_), Some(last)) if has_other => Some(format!("{last}#{AFTER_IDS}")),
        (end, _) => end,
    };
    (found, next)
}

/// The delivery of which these jobs were made.
fn delivery_of_jobs(delivery: String, jobs: &[JobSummary]) -> DeliverySummary {
    let first = jobs.first();
    let route = first.and_then(|job| job.route.clone()).unwrap_or_default();
    let at = first.map(|job| job.created_at).unwrap_or_default();
    let entry = LogEntry::of_stored(&StoredParts {
        id: &delivery,
        route: &route,
        at,
        dead_letter: None,
        bytes: None,
        trigger: None,
    });
    let totals: Vec<u64> = jobs.iter().map(|job| job.counts.total).collect();
    let is_known = totals.iter().all(|total| *total > 0);
    let ids = jobs.iter().take(JOBS_SHOWN).map(|job| job.id.to_string());
    DeliverySummary {
        entry: LogEntry {
            jobs: ids.collect(),
            jobs_count: jobs.len() as u64,
            records: is_known.then(|| totals.iter().sum()),
            ..entry
        },
        dead_letter: None,
    }
}

fn dead_letter_summary(item: &Item) -> Option<DeliverySummary> {
    let dead = deliveries::summary(item)?;
    let entry = LogEntry::of_stored(&StoredParts {
        id: &dead.id,
        route: &dead.route,
        at: dead.at,
        dead_letter: Some(&dead.dead_letter),
        bytes: Some(dead.body_bytes),
        trigger: None,
    });
    let dead_letter = Some(dead.dead_letter);
    Some(DeliverySummary { entry, dead_letter })
}
