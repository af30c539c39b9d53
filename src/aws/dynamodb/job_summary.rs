//! Summaries of jobs in their items.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde_json::Value;

use super::item::{self, Item};
use crate::job::{CallbackStatus, Counts, JobId, JobStatus, MatchCount};
use crate::store::JobSummary;

/// The part of a job's summary that changes while the job runs, and its reference: status, callback, end, counts, code,
/// message, reference and look-up. It has no names, because AWS charges for every kilobyte written.
type Progress = (
    JobStatus,
    Option<CallbackStatus>,
    Option<i64>,
    Vec<Option<u64>>,
    Option<String>,
    Option<String>,
    Option<Value>,
    Option<MatchCount>,
);

/// The counts as a list. Those that most jobs do not have are last and left out.
fn counts_list(counts: Counts) -> Vec<Option<u64>> {
    let Counts {
        total,
        updated,
        created,
        failed,
        pending,
        superseded,
    } = counts;
    let mut list = vec![Some(total), Some(updated), Some(failed), Some(pending)];
    list.extend([superseded, created]);
    while list.last() == Some(&None) {
        list.pop();
    }
    list
}

/// The counts of a list as [`counts_list`] makes it.
fn counts_of_list(list: &[Option<u64>]) -> Option<Counts> {
    let &[
        Some(total),
        Some(updated),
        Some(failed),
        Some(pending),
        ref more @ ..,
    ] = list
    else {
        return None;
    };
    let more = |place: usize| more.get(place).copied().flatten();
    Some(Counts {
        total,
        updated,
        created: more(1),
        failed,
        pending,
        superseded: more(0),
    })
}

/// Encodes the part of a job's summary that changes while the job runs.
pub(super) fn progress_attribute(job: &JobSummary) -> Option<AttributeValue> {
    let ended = job.finished_at.map(Timestamp::as_millisecond);
    let progress: Progress = (
        job.status,
        job.callback,
        ended,
        counts_list(job.counts),
        job.code.clone(),
        job.failure.clone(),
        job.reference.clone(),
        job.lookup,
    );
    serde_json::to_string(&progress).ok().map(item::text)
}

/// The summary of a job in its item.
pub(super) fn summary(item: &Item) -> Option<JobSummary> {
    let progress: Progress = serde_json::from_str(item::get(item, "progress")?).ok()?;
    let (status, callback, finished_at, counts, code, failure, reference, lookup) = progress;
    let counts = counts_of_list(&counts)?;
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
        counts,
        code,
        failure,
        reference,
        lookup,
        delivery: item::get(item, "delivery").map(str::to_owned),
    })
}
