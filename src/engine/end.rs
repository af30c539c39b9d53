//! The log line about the end of a job.

use crate::job::{Counts, Job, JobStatus, Lookup, MatchCount};

/// Logs the end of a job: a warning unless all of its records were updated, and there were some.
pub(super) fn log_end(job: &Job) {
    let (status, route, counts) = (job.status(), job.route.as_deref(), job.counts());
    let code = code_of(job);
    let text = text_of(job, counts);
    let Counts {
        updated,
        failed,
        pending,
        superseded,
        ..
    } = counts;
    let matched_none = match_count(job).is_some_and(|count| count.matched_none(counts.created));
    match status {
        JobStatus::Succeeded if !matched_none => tracing::info!(
            job.id = %job.id,
            delivery.id = job.delivery(),
            route,
            connection = job.connection,
            status = status.as_str(),
            records.updated = updated,
            records.superseded = superseded,
            records.created = counts.created,
            "{text}"
        ),
        JobStatus::Succeeded
        | JobStatus::PartiallySucceeded
        | JobStatus::Failed
        | JobStatus::Queued
        | JobStatus::Running => tracing::warn!(
            job.id = %job.id,
            delivery.id = job.delivery(),
            route,
            connection = job.connection,
            status = status.as_str(),
            records.updated = updated,
            records.created = counts.created,
            records.failed = failed,
            records.superseded = superseded,
            records.unknown = (pending > 0).then_some(pending),
            code,
            "{text}"
        ),
    }
}

/// How many values of a look-up have records, if there was one.
fn match_count(job: &Job) -> Option<MatchCount> {
    job.preparation.lookup.as_ref().map(Lookup::match_count)
}

/// The code of the error that ended the job, or of its first failed record.
fn code_of(job: &Job) -> Option<&str> {
    let error = job.error.as_ref().map(|error| error.code.as_str());
    error.or_else(|| job.first_failure().map(|(code, _)| code))
}

fn text_of(job: &Job, counts: Counts) -> String {
    let Job { id, route, .. } = job;
    let of_route = route.iter().map(|route| format!(" of {route}"));
    let of_route: String = of_route.collect();
    let status = job.status().as_str().replace('_', " ");
    let matched = match_count(job).filter(|count| !count.is_complete(counts.created));
    let matched = matched.map(|count| count.to_string());
    let updated = (counts.total > 0 || matched.is_none())
        .then(|| format!("{} of {} updated", counts.updated, counts.total));
    let superseded = counts.superseded.filter(|count| *count > 0);
    let superseded = superseded.map(|count| format!("{count} left to a newer delivery"));
    let created = counts.created.filter(|created| *created > 0);
    let created = created.map(|created| format!("{created} created"));
    let results = [matched, updated, created, superseded]
        .into_iter()
        .flatten();
    let results = results.collect::<Vec<_>>().join(", ");
    let why = match (&job.error, job.first_failure()) {
        (Some(error), _) => format!(": {}: {}", error.code, error.message),
        (None, Some((code, message))) => format!(": {code}: {message}"),
        (None, None) => String::new(),
    };
    format!("{id}{of_route} {status}, {results}{why}")
}
