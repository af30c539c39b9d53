//! The spans of work on jobs: a line that is logged during the work has the ids of its jobs and deliveries.

use tracing::Span;

use super::LeasedJob;
use super::effect::Effect;
use crate::job::Job;

/// Ids that a span names.
const MAX_IDS: usize = 5;

impl Effect {
    /// The span of the effect.
    pub(super) fn span(&self, leased: &[LeasedJob]) -> Span {
        let (work, mut places): (_, Vec<usize>) = match self {
            Self::Prepare { inputs, .. } => {
                let places = inputs.iter().map(|input| input.place);
                ("prepare", places.collect())
            }
            Self::Poll(poll) => ("poll", poll.calls.iter().map(|call| call.job).collect()),
            Self::Resolve(unresolved) => ("resolve", vec![unresolved.call.job]),
            Self::Claim(calls) => {
                let places = calls.iter().map(|ordered| ordered.call.job);
                ("claim", places.collect())
            }
            Self::Send { batch, .. } => {
                let places = batch.calls.iter().map(|call| call.job);
                ("send", places.collect())
            }
        };
        places.dedup();
        let jobs = places.iter().filter_map(|place| leased.get(*place));
        let jobs: Vec<&Job> = jobs.map(|leased| leased.job.as_ref()).collect();
        span_of(work, &jobs)
    }
}

/// The span of work on jobs. Work on one job has its `job.id`, work on several has `job.ids`.
fn span_of(work: &'static str, jobs: &[&Job]) -> Span {
    let only = match jobs {
        [job] => Some(*job),
        _ => None,
    };
    tracing::info_span!(
        "job",
        work,
        job.id = only.map(|job| job.id.as_str()),
        delivery.id = only.and_then(Job::delivery),
        job.ids = only.is_none().then(|| ids_of(jobs)),
    )
}

/// The first ids, and how many more there are.
fn ids_of(jobs: &[&Job]) -> String {
    let ids = jobs.iter().take(MAX_IDS).map(|job| job.id.as_str());
    let ids = ids.collect::<Vec<_>>().join(", ");
    match jobs.len().saturating_sub(MAX_IDS) {
        0 => ids,
        more => format!("{ids} and {more} more"),
    }
}
