//! `masshook jobs`: lists, shows, follows, replays and redelivers jobs.

mod list;
mod show;
mod timeline;
mod watch;

use clap::{Args, Subcommand};
use serde_json::json;

use super::list_arguments::{ActionArgs, JobFilterArgs, PageArgs, bulk_output};
use super::store_location::{CommandOutput, StoreCommandError, StoreLocation, report};
use super::terminal::ExitStatus;
use super::text::count_of;
use crate::app::operations::{BulkRequest, JobReplay, matching_jobs};
use crate::job::view::JobView;
use crate::store::JobFilter;

/// A subcommand of `masshook jobs`.
#[derive(Debug, Subcommand)]
pub(super) enum JobsCommand {
    /// List jobs, newest first.
    List(ListArgs),
    /// Show a job with its timeline.
    Show(JobArgs),
    /// Follow a job until it ends, with its result as exit status, or follow all jobs.
    Watch(watch::WatchArgs),
    /// Run failed jobs again as new jobs, or resume parked jobs.
    Replay(JobActionArgs),
    /// Send the callbacks of finished jobs again, with their original ids.
    Redeliver(JobActionArgs),
}

/// Arguments of `masshook jobs list`.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    location: StoreLocation,
    #[command(flatten)]
    filter: JobFilterArgs,
    #[command(flatten)]
    page: PageArgs,
}

/// A job in a store.
#[derive(Debug, Args)]
pub(super) struct JobArgs {
    #[command(flatten)]
    location: StoreLocation,
    /// Job id, or its unique beginning.
    id: String,
}

type JobActionArgs = ActionArgs<JobFilterArgs>;

/// An action on jobs.
#[derive(Clone, Copy)]
enum Action {
    Replay,
    Redeliver,
}

/// Runs `masshook jobs`.
pub(super) async fn run(command: JobsCommand) -> ExitStatus {
    let (output, result) = match command {
        JobsCommand::List(args) => (args.location.output, list::list(&args).await),
        JobsCommand::Show(args) => (args.location.output, show(&args).await),
        JobsCommand::Watch(args) => return watch::watch(&args).await,
        JobsCommand::Replay(args) => (args.location.output, act(&args, Action::Replay).await),
        JobsCommand::Redeliver(args) => (args.location.output, act(&args, Action::Redeliver).await),
    };
    report(output, result)
}

async fn show(args: &JobArgs) -> Result<CommandOutput, StoreCommandError> {
    let open = args.location.open()?;
    let jobs = open.jobs();
    let job = jobs.job(&jobs.find_job(&args.id).await?).await?;
    let replay = jobs.replay_of(&job).await?;
    let view = JobView {
        replay: replay.as_ref().map(ToString::to_string),
        ..JobView::in_full(&job)
    };
    let document = serde_json::to_value(view)?;
    let arguments = args.location.repeated_arguments();
    let text = show::job_text(&job, replay.as_ref(), &arguments);
    Ok(CommandOutput::new(document, text))
}

async fn act(args: &JobActionArgs, action: Action) -> Result<CommandOutput, StoreCommandError> {
    match &args.id {
        Some(id) => act_on_one(args, id, action).await,
        None => act_on_all(args, action).await,
    }
}

async fn act_on_one(
    args: &JobActionArgs,
    id: &str,
    action: Action,
) -> Result<CommandOutput, StoreCommandError> {
    if args.filter.filter()? != JobFilter::default() {
        let why = "filters select jobs together with --all only";
        return Err(StoreCommandError::Usage(why.to_owned()));
    }
    let open = args.location.open()?;
    let jobs = open.jobs();
    let id = jobs.find_job(id).await?;
    match action {
        Action::Redeliver => {
            jobs.redeliver(&id).await?;
            Ok(CommandOutput::new(
                json!({"status": "queued", "id": id}),
                format!("redelivering the callback of {id}"),
            ))
        }
        Action::Replay => {
            let replay = jobs.replay(&id).await?;
            let text = match &replay {
                JobReplay::Resumed(id) => format!("resumed {id}"),
                JobReplay::Created { job, replays } => {
                    format!("created {job}, a replay of {replays}")
                }
            };
            Ok(CommandOutput::new(json!(replay.view()), text))
        }
    }
}

async fn act_on_all(
    args: &JobActionArgs,
    action: Action,
) -> Result<CommandOutput, StoreCommandError> {
    let filter = args.filter.filter()?;
    let open = args.location.open()?;
    let found = matching_jobs(&*open.store, &filter).await?.len();
    let question = match action {
        Action::Replay => format!("Replay {}", count_of(found as u64, "job")),
        Action::Redeliver => format!(
            "Send the callbacks of {} again",
            count_of(found as u64, "job")
        ),
    };
    args.confirm.confirm(found, &question)?;
    let request = BulkRequest {
        filter,
        expected: found,
    };
    let (done, text) = match action {
        Action::Replay => (open.jobs().replay_all(&request).await?, "replayed"),
        Action::Redeliver => (open.jobs().redeliver_all(&request).await?, "redelivering"),
    };
    Ok(bulk_output(&done, text))
}
