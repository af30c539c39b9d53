//! Lists of jobs and of deliveries. DynamoDB has no log of deliveries, because strangers could cause writes that are billed. The
//! list of deliveries is made of what is stored in any case: the jobs of accepted deliveries, and dead letters.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde_json::Value;

use super::DynamoStore;
use super::deliveries;
use super::item::{self, Item};
use crate::job::{CallbackStatus, Counts, JobId, JobStatus};
use crate::store::delivery_log::{
    DeliveryFilter, DeliveryPage, DeliverySummary, LogEntry, StoredParts,
};
use crate::store::{JobFilter, JobPage, JobSummary, ListKey, PageRequest, StoreError};

/// The number of latest dead letters among which a shortened id is looked for.
const PREFIX_DELIVERIES: usize = 1_000;

/// The number of latest jobs among which a shortened id is looked for. The key of the table finds whole ids only.
const PREFIX_JOBS: usize = 1_000;

impl DynamoStore {
    pub(super) async fn list_jobs(
        &self,
        filter: &JobFilter,
        page: &PageRequest,
    ) -> Result<JobPage, StoreError> {
        let read = |item: &Item| summary(item).filter(|job| filter.matches(job));
        let after = page.below();
        let after = after.as_ref().map(ListKey::as_str);
        let (entries, next) = self.latest("jobs", page.limit, after, read).await?;
        Ok(JobPage {
            next: next.map(|next| ListKey::from_outside(&next).to_cursor()),
            latest: None,
            entries,
        })
    }

    /// The ids that begin with a text, among the latest jobs.
    pub(super) async fn latest_job_ids(
        &self,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<JobId>, StoreError> {
        let filter = JobFilter::default();
        let page = self
            .list_jobs(&filter, &PageRequest::first(PREFIX_JOBS))
            .await?;
        let ids = page.entries.into_iter().map(|job| job.id);
        let mut ids: Vec<_> = ids.filter(|id| id.as_str().starts_with(prefix)).collect();
        ids.truncate(limit);
        Ok(ids)
    }

    pub(super) async fn latest_deliveries(
        &self,
        filter: &DeliveryFilter,
        page: &PageRequest,
    ) -> Result<DeliveryPage, StoreError> {
        let after = page.below();
        let after = after.as_ref().map(ListKey::as_str);
        let read = |item: &_| {
            let dead = deliveries::summary(item)?;
            let entry = LogEntry::of_stored(&StoredParts {
                id: &dead.id,
                route: &dead.route,
                at: dead.at,
                dead_letter: Some(&dead.dead_letter),
                bytes: dead.body_bytes,
                trigger: None,
            });
            let dead_letter = Some(dead.dead_letter);
            Some(DeliverySummary { entry, dead_letter }).filter(|found| filter.matches(found))
        };
        let (entries, next) = self.latest("deliveries", page.limit, after, read).await?;
        Ok(DeliveryPage {
            next: next.map(|next| ListKey::from_outside(&next).to_cursor()),
            latest: None,
            entries,
        })
    }

    pub(super) async fn latest_delivery_ids(
        &self,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        let read = |item: &_| deliveries::summary(item).map(|dead| dead.id);
        let (ids, _) = self
            .latest("deliveries", PREFIX_DELIVERIES, None, read)
            .await?;
        let mut ids: Vec<_> = ids
            .into_iter()
            .filter(|id| id.starts_with(prefix))
            .collect();
        ids.truncate(limit);
        Ok(ids)
    }
}

/// The part of a job's summary that changes while the job runs, and its reference: status, callback, end, counts, code,
/// message and reference. It has no names, because AWS charges for every kilobyte written.
type Progress = (
    JobStatus,
    Option<CallbackStatus>,
    Option<i64>,
    [u64; 4],
    Option<String>,
    Option<String>,
    Option<Value>,
);

/// Encodes the part of a job's summary that changes while the job runs.
pub(super) fn progress_attribute(job: &JobSummary) -> Option<AttributeValue> {
    let ended = job.finished_at.map(Timestamp::as_millisecond);
    let counts = job.counts;
    let progress: Progress = (
        job.status,
        job.callback,
        ended,
        [counts.total, counts.updated, counts.failed, counts.pending],
        job.code.clone(),
        job.failure.clone(),
        job.reference.clone(),
    );
    serde_json::to_string(&progress).ok().map(item::text)
}

fn summary(item: &Item) -> Option<JobSummary> {
    let progress: Progress = serde_json::from_str(item::get(item, "progress")?).ok()?;
    let (status, callback, finished_at, counts, code, failure, reference) = progress;
    let [total, updated, failed, pending] = counts;
    Some(JobSummary {
        id: JobId::from_outside(item::get(item, "pk")?.strip_prefix("job#")?),
        route: item::get(item, "route").map(str::to_owned),
        connection: item::get(item, "connection")?.to_owned(),
        module: item::get(item, "module")?.to_owned(),
        status,
        callback,
        parked: item::get(item, "parked").map(str::to_owned),
        created_at: item::get_ms(item, "created_at")?,
        finished_at: finished_at.and_then(|at| Timestamp::from_millisecond(at).ok()),
        counts: Counts {
            total,
            updated,
            failed,
            pending,
        },
        code,
        failure,
        reference,
        delivery: item::get(item, "delivery").map(str::to_owned),
    })
}
