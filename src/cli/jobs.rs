//! `masshook jobs`: lists, shows, follows, replays and redelivers jobs.

mod show;
mod timeline;
mod watch;

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::store_location::{CommandOutput, StoreCommandError, StoreLocation, report};
use super::terminal::ExitStatus;
use crate::clock::{Clock, SystemClock};
use crate::job::view::JobView;
use crate::job::{CallbackStatus, Job, JobId, JobStatus};
use crate::printable::single_line;
use crate::store::{AddResult, Claim, JobFilter, JobSummary, PageRequest, StatusFilter};

/// How long `redeliver` holds the lease of its job.
const LEASE_DURATION: Duration = Duration::from_secs(30);

/// A subcommand of `masshook jobs`.
#[derive(Debug, Subcommand)]
pub(super) enum JobsCommand {
    /// List jobs, newest first.
    List {
        #[command(flatten)]
        location: StoreLocation,
        /// Only list jobs with this status.
        #[arg(long, value_enum, default_value = "all")]
        only: ListedStatus,
        /// Maximum number of jobs.
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// Show a job with its timeline.
    Show(JobArgs),
    /// Follow a job until it ends, with its result as exit status, or follow all jobs.
    Watch(watch::WatchArgs),
    /// Run a failed job again as a new job, or resume a parked job.
    Replay(JobArgs),
    /// Send the callback of a finished job again, with its original id.
    Redeliver(JobArgs),
}

/// A job in a store.
#[derive(Debug, Args)]
pub(super) struct JobArgs {
    #[command(flatten)]
    location: StoreLocation,
    /// Job id.
    id: String,
}

impl JobArgs {
    fn id(&self) -> JobId {
        JobId::from_outside(&self.id)
    }
}

/// Which jobs to list.
#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(super) enum ListedStatus {
    /// All jobs.
    All,
    /// Not started.
    Queued,
    /// In progress.
    Running,
    /// All records updated.
    Succeeded,
    /// Some records updated.
    #[value(alias = "partially-succeeded")]
    PartiallySucceeded,
    /// No record updated.
    Failed,
    /// Callback given up.
    Undeliverable,
    /// Parked, because no running version can read or drive them.
    Parked,
}

impl From<ListedStatus> for JobFilter {
    fn from(status: ListedStatus) -> Self {
        let status = match status {
            ListedStatus::All => return Self::default(),
            ListedStatus::Queued => StatusFilter::Status(JobStatus::Queued),
            ListedStatus::Running => StatusFilter::Status(JobStatus::Running),
            ListedStatus::Succeeded => StatusFilter::Status(JobStatus::Succeeded),
            ListedStatus::PartiallySucceeded => StatusFilter::Status(JobStatus::PartiallySucceeded),
            ListedStatus::Failed => StatusFilter::Status(JobStatus::Failed),
            ListedStatus::Undeliverable => StatusFilter::Undeliverable,
            ListedStatus::Parked => StatusFilter::Parked,
        };
        Self::of_status(status)
    }
}

/// Runs `masshook jobs`.
pub(super) async fn run(command: JobsCommand) -> ExitStatus {
    let (output, result) = match command {
        JobsCommand::List {
            location,
            only,
            limit,
        } => (location.output, list(&location, only, limit).await),
        JobsCommand::Show(args) => (args.location.output, show(&args).await),
        JobsCommand::Watch(args) => return watch::watch(&args).await,
        JobsCommand::Replay(args) => (args.location.output, replay(&args).await),
        JobsCommand::Redeliver(args) => (args.location.output, redeliver(&args).await),
    };
    report(output, result)
}

async fn list(
    location: &StoreLocation,
    filter: ListedStatus,
    limit: usize,
) -> Result<CommandOutput, StoreCommandError> {
    let open = location.open()?;
    let page = open
        .store
        .list(&filter.into(), &PageRequest::first(limit))
        .await?;
    let entries: Vec<Value> = page.entries.iter().map(JobSummary::to_json).collect();
    let lines: Vec<String> = page
        .entries
        .iter()
        .map(summary_line)
        .map(|line| single_line(&line).into_owned())
        .collect();
    Ok(CommandOutput {
        document: json!({"jobs": entries, "more": page.next.is_some()}),
        text: lines.join("\n"),
    })
}

fn summary_line(job: &JobSummary) -> String {
    let route = job.route.as_deref().unwrap_or("/jobs");
    let parked = job.parked.as_ref().map(|why| format!("  parked: {why}"));
    format!(
        "{}  {:<20} {route:<24} {}{}",
        job.created_at,
        job.status.as_str(),
        job.id,
        parked.unwrap_or_default()
    )
}

async fn show(args: &JobArgs) -> Result<CommandOutput, StoreCommandError> {
    let open = args.location.open()?;
    let job = open.job(&args.id()).await?;
    let view = serde_json::to_value(JobView::in_full(&job))?;
    Ok(CommandOutput {
        text: show::job_text(&job),
        document: view,
    })
}

async fn replay(args: &JobArgs) -> Result<CommandOutput, StoreCommandError> {
    let open = args.location.open()?;
    let now = SystemClock.now();
    let id = args.id();
    if open.store.unpark(&id, now).await? {
        open.wake(&id).await?;
        return Ok(CommandOutput {
            document: json!({"resumed": id.as_str()}),
            text: format!("resumed {id}"),
        });
    }
    let mut job = open.job(&id).await?;
    if !can_be_replayed(&job) {
        let status = job.status().as_str();
        return Err(StoreCommandError::Failed(format!(
            "job {id} is {status}; only a job of which records failed can be replayed"
        )));
    }
    // A replay that failed too is replayed in its turn.
    while let Some(replay) = open.store.get(&job.replay_id()).await? {
        if !can_be_replayed(&replay) {
            let (other, status) = (&replay.id, replay.status().as_str());
            return Err(StoreCommandError::Failed(format!(
                "job {id} was replayed already: the replay, job {other}, is {status}"
            )));
        }
        job = replay;
    }
    let dead_letter = open.dead_letter_of(&job).await?;
    let (replayed, new_id) = (job.id.clone(), job.replay_id());
    let reports = job.callback_on();
    let callback = job.callback.map(|callback| callback.url);
    let new = Job::new(
        new_id,
        job.route,
        job.connection,
        job.request,
        callback,
        now,
    )
    .with_source(job.source)
    .with_track_for(job.track_for.unsigned_abs())
    .with_on_unknown_outcome(job.on_unknown_outcome)
    .with_callback_on(reports);
    let added = open.store.add(&new, None).await?;
    // An existing replay may have finished. Then the delivery has no running job and stays a dead letter.
    open.restore(dead_letter.filter(|_| added == AddResult::New))
        .await?;
    open.wake(&new.id).await?;
    Ok(CommandOutput {
        document: json!({"job": new.id.as_str(), "replays": replayed.as_str()}),
        text: format!("created {}, a replay of {replayed}", new.id),
    })
}

async fn redeliver(args: &JobArgs) -> Result<CommandOutput, StoreCommandError> {
    let open = args.location.open()?;
    let now = SystemClock.now();
    let id = args.id();
    let failed = |why: String| Err(StoreCommandError::Failed(why));
    let lease_end = now.saturating_add(LEASE_DURATION)?;
    let (mut job, lease) = match open.store.claim(&id, now, lease_end).await? {
        Claim::Acquired(job, lease) => (job, lease),
        Claim::NotFound => return failed(format!("there is no job {id}")),
        Claim::Busy { .. } | Claim::NotDue => {
            return failed(format!("job {id} is being driven; try again in a minute"));
        }
        Claim::Parked { reason } => return failed(format!("job {id} is parked: {reason}")),
    };
    let is_reset = reset_callback(&mut job);
    let due = job.due(now);
    let dead_letter = open.dead_letter_of(&job).await?;
    open.store.release(&job, lease, due).await?;
    open.restore(dead_letter.filter(|_| is_reset)).await?;
    if !is_reset {
        return failed(format!("job {id} has no callback, or is not finished"));
    }
    open.wake(&id).await?;
    Ok(CommandOutput {
        document: json!({"redelivers": id.as_str()}),
        text: format!("redelivering the callback of {id}"),
    })
}

fn can_be_replayed(job: &Job) -> bool {
    matches!(
        job.status(),
        JobStatus::Failed | JobStatus::PartiallySucceeded
    )
}

/// Makes the callback of a finished job pending again. Returns whether there is one.
fn reset_callback(job: &mut Job) -> bool {
    let is_finished = job.status().is_final();
    let Some(callback) = job.callback.as_mut().filter(|_| is_finished) else {
        return false;
    };
    callback.status = CallbackStatus::Pending;
    callback.attempts = 0;
    callback.due_at = None;
    true
}
