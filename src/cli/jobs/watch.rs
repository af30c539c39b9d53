//! `masshook jobs watch`: follows a job until it ends, or the list of jobs.

use std::collections::HashMap;
use std::time::Duration;

use clap::Args;

use super::show::{job_text, result_line};
use super::timeline::Timeline;
use crate::cli::store_location::{OpenStore, StoreCommandError, StoreLocation, report};
use crate::cli::terminal::{ExitStatus, print_json, print_line};
use crate::cli::text::truncated;
use crate::clock::{Clock, SystemClock};
use crate::job::history::HistoryEntry;
use crate::job::view::JobView;
use crate::job::{CallbackStatus, Job, JobId, JobStatus, NextStep};
use crate::printable::single_line;
use crate::store::{JobFilter, JobSummary, PageRequest};

/// How often the store is read.
const INTERVAL: Duration = Duration::from_secs(1);

/// After so many reads without a change, whether the job is parked is checked.
const READS_UNTIL_PARKED_CHECK: u32 = 5;

/// Jobs that are followed if no id is given.
const LISTED: usize = 50;

/// Arguments of `masshook jobs watch`.
#[derive(Debug, Args)]
pub(in crate::cli) struct WatchArgs {
    #[command(flatten)]
    location: StoreLocation,
    /// Job id; without it, all jobs are followed.
    id: Option<String>,
}

/// Runs `masshook jobs watch`.
pub(super) async fn watch(args: &WatchArgs) -> ExitStatus {
    let watched = async {
        let open = args.location.open()?;
        match &args.id {
            Some(id) => watch_job(&open, id, args.location.output.json).await,
            None => watch_list(&open, args.location.output.json).await,
        }
    };
    match watched.await {
        Ok(status) => status,
        Err(error) => report(args.location.output, Err(error)),
    }
}

/// Follows a job until it has finished and its callback is delivered or given up. The exit status is the job's result.
async fn watch_job(
    open: &OpenStore,
    id: &str,
    json: bool,
) -> Result<ExitStatus, StoreCommandError> {
    let id = open.jobs().find_job(id).await?;
    let mut progress = Progress::default();
    let mut last: Option<Job> = None;
    let mut unchanged = 0;
    loop {
        let job = open.job(&id).await?;
        if last.as_ref() == Some(&job) {
            unchanged += 1;
        } else {
            unchanged = 0;
            match json {
                true => print_json(&serde_json::to_value(JobView::in_full(&job))?),
                false => progress.print(&job),
            }
        }
        if job.next(SystemClock.now()) == NextStep::Done {
            if !json {
                print_line(&result_line(&job));
            }
            return Ok(result_of(&job));
        }
        if unchanged == READS_UNTIL_PARKED_CHECK {
            unchanged = 0;
            if let Some(reason) = parked_reason(open, &job).await? {
                return Err(StoreCommandError::Failed(format!(
                    "job {id} is parked: {reason}"
                )));
            }
        }
        last = Some(job);
        SystemClock.sleep(INTERVAL).await;
    }
}

/// A job of the list in one line.
fn listed_line(job: &JobSummary) -> String {
    let status = match &job.parked {
        Some(_) => "parked".to_owned(),
        None => job.status.as_str().replace('_', " "),
    };
    let at = job
        .finished_at
        .unwrap_or(job.created_at)
        .strftime("%H:%M:%S");
    let (updated, total) = (job.counts.updated, job.counts.total);
    let route = truncated(job.route.as_deref().unwrap_or("/jobs"), 24);
    let reason = job
        .parked
        .as_ref()
        .or(job.code.as_ref())
        .map(String::as_str);
    let line = format!(
        "{at}  {}  {status:<19}  {:>11}  {route}  {}",
        job.id,
        format!("{updated}/{total}"),
        truncated(reason.unwrap_or_default(), 60)
    );
    single_line(line.trim_end()).into_owned()
}

/// Success if every record was updated and the callback, if there is one, was delivered.
fn result_of(job: &Job) -> ExitStatus {
    let undelivered = job
        .callback
        .as_ref()
        .is_some_and(|callback| callback.status == CallbackStatus::Undeliverable);
    ExitStatus::from_success(job.status() == JobStatus::Succeeded && !undelivered)
}

async fn parked_reason(open: &OpenStore, job: &Job) -> Result<Option<String>, StoreCommandError> {
    let filter = JobFilter {
        search: Some(job.id.to_string()),
        ..JobFilter::default()
    };
    let page = open.store.list(&filter, &PageRequest::first(1)).await?;
    let found = page.entries.into_iter().find(|entry| entry.id == job.id);
    Ok(found.and_then(|entry| entry.parked))
}

/// The entries of a history that are printed already.
#[derive(Default)]
struct Progress {
    printed: Vec<HistoryEntry>,
    timeline: Timeline,
}

impl Progress {
    /// Prints the entries that are new. An entry that only counts more than before is not new.
    fn print(&mut self, job: &Job) {
        if self.printed.is_empty() {
            let text = job_text(job, None, "");
            let head = text.split("\n\n").next().unwrap_or_default();
            print_line(&format!("{head}\n"));
        }
        let entries = job.history_entries();
        for entry in &entries {
            let is_known = |known: &HistoryEntry| {
                (known.at, known.event, known.call, known.attempt)
                    == (entry.at, entry.event, entry.call, entry.attempt)
                    && known.until == entry.until
            };
            if !self.printed.iter().any(is_known) {
                self.timeline
                    .lines(entry)
                    .iter()
                    .for_each(|line| print_line(line));
            }
        }
        self.printed = entries;
    }
}

/// Follows the latest jobs: prints each that is new or has changed, until the command is stopped.
async fn watch_list(open: &OpenStore, json: bool) -> Result<ExitStatus, StoreCommandError> {
    let mut known: HashMap<JobId, JobSummary> = HashMap::new();
    loop {
        let page = open
            .store
            .list(&JobFilter::default(), &PageRequest::first(LISTED))
            .await?;
        let mut listed = HashMap::new();
        for job in page.entries.into_iter().rev() {
            if known.get(&job.id) != Some(&job) {
                match json {
                    true => print_json(&job.to_json()),
                    false => print_line(&listed_line(&job)),
                }
            }
            listed.insert(job.id.clone(), job);
        }
        known = listed;
        SystemClock.sleep(INTERVAL).await;
    }
}
