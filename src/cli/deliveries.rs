//! `masshook deliveries`: lists, shows, replays, discards and redrives deliveries.

mod list;
mod redrive;
mod show;

use std::sync::Arc;

use clap::{Args, Subcommand};
use serde_json::json;

use super::config_file::{ConfigFile, report_config_error};
use super::list_arguments::{ActionArgs, DeliveryFilterArgs, PageArgs, bulk_output};
use super::store_location::{CommandOutput, OpenStore, StoreCommandError, StoreLocation, report};
use super::terminal::{ExitStatus, OutputFormat};
use super::text::count_of;
use crate::api::AcceptedBody;
use crate::app::operations::{
    BulkRequest, delivery_id, discard_deliveries, discard_delivery, matching_deliveries,
    only_dead_letters,
};
use crate::app::{App, Dependencies};
use crate::aws::secrets::SecretsManager;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::engine::ExecutionMode;
use crate::metrics::Metrics;
use crate::store::delivery_log::DeliveryFilter;

/// A subcommand of `masshook deliveries`.
#[derive(Debug, Subcommand)]
pub(super) enum DeliveriesCommand {
    /// List deliveries, newest first: accepted, duplicate, ignored and refused ones. `--outcome dead_letter` lists dead letters.
    List(ListArgs),
    /// Show a delivery in full, as received. The secrets and the signatures of its sender are left out.
    Show(ShowArgs),
    /// Map dead letters again with the current config. Jobs that already succeeded are not repeated.
    Replay(ReplayArgs),
    /// Delete dead letters.
    Discard(DeliveryActionArgs),
    /// Process again the events of EventBridge, SNS and schedules that the deployed function failed to process.
    ///
    /// They wait in the queue of failed events of the stack. Events that succeeded partly are not repeated. Those that fail
    /// again stay in the queue.
    Redrive(redrive::RedriveArgs),
}

/// Arguments of `masshook deliveries list`.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    location: StoreLocation,
    #[command(flatten)]
    filter: DeliveryFilterArgs,
    #[command(flatten)]
    page: PageArgs,
}

/// Arguments of `masshook deliveries show`.
#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    #[command(flatten)]
    location: StoreLocation,
    /// Delivery id, or its unique beginning.
    id: String,
}

/// Arguments of `masshook deliveries replay`.
#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    #[command(flatten)]
    action: DeliveryActionArgs,
    #[command(flatten)]
    config: ConfigFile,
}

type DeliveryActionArgs = ActionArgs<DeliveryFilterArgs>;

/// Runs `masshook deliveries`.
pub(super) async fn run(command: DeliveriesCommand) -> ExitStatus {
    let (output, result) = match command {
        DeliveriesCommand::List(args) => (args.location.output, list::list(&args).await),
        DeliveriesCommand::Show(args) => (args.location.output, show::show(&args).await),
        DeliveriesCommand::Discard(args) => (args.location.output, discard(&args).await),
        DeliveriesCommand::Replay(args) => return replay(&args).await,
        DeliveriesCommand::Redrive(args) => return redrive::run(&args).await,
    };
    report(output, result)
}

async fn replay(args: &ReplayArgs) -> ExitStatus {
    let output: OutputFormat = args.action.location.output;
    let config = match args.config.load() {
        Ok(config) => config,
        Err(error) => return report_config_error(&error, output),
    };
    report(output, replay_with(&args.action, config).await)
}

async fn replay_with(
    args: &DeliveryActionArgs,
    config: Config,
) -> Result<CommandOutput, StoreCommandError> {
    let open = args.location.open()?;
    let Some(id) = &args.id else {
        let request = selected(args, &open, "Replay").await?;
        let done = app(open, config).replay_deliveries(&request).await?;
        return Ok(bulk_output(&done, "replayed"));
    };
    check_no_filter(args)?;
    let id = delivery_id(&*open.store, id).await?;
    let accepted = app(open, config).replay_delivery(&id).await?;
    let jobs = accepted.jobs().len();
    Ok(CommandOutput::new(
        json!(AcceptedBody::of(&accepted, "")),
        format!(
            "created {} from delivery {id}",
            count_of(jobs as u64, "job")
        ),
    ))
}

async fn discard(args: &DeliveryActionArgs) -> Result<CommandOutput, StoreCommandError> {
    let open = args.location.open()?;
    let Some(id) = &args.id else {
        let request = selected(args, &open, "Delete").await?;
        let done = discard_deliveries(&*open.store, &request).await?;
        return Ok(bulk_output(&done, "discarded"));
    };
    check_no_filter(args)?;
    let id = delivery_id(&*open.store, id).await?;
    args.confirm
        .confirm(1, &format!("Delete dead letter {id}"))?;
    discard_delivery(&*open.store, &id).await?;
    Ok(CommandOutput::new(
        json!({"discarded": id}),
        format!("discarded {id}"),
    ))
}

/// The matching dead letters, once the user has confirmed the action on them.
async fn selected(
    args: &DeliveryActionArgs,
    open: &OpenStore,
    action: &str,
) -> Result<BulkRequest<DeliveryFilter>, StoreCommandError> {
    let filter = only_dead_letters(args.filter.filter()?);
    let filter =
        filter.map_err(|error| StoreCommandError::Usage(format!("--outcome {}", error.detail)))?;
    let found = matching_deliveries(&*open.store, &filter).await?.len();
    let question = format!("{action} {}", count_of(found as u64, "dead letter"));
    args.confirm.confirm(found, &question)?;
    Ok(BulkRequest {
        filter,
        expected: found,
    })
}

fn check_no_filter(args: &DeliveryActionArgs) -> Result<(), StoreCommandError> {
    match args.filter.filter()? == DeliveryFilter::default() {
        true => Ok(()),
        false => {
            let why = "filters select deliveries together with --all only";
            Err(StoreCommandError::Usage(why.to_owned()))
        }
    }
}

/// An app that maps deliveries and stores their jobs.
fn app(open: OpenStore, config: Config) -> App {
    App::new(
        config,
        Dependencies {
            clock: Arc::new(SystemClock),
            store: open.store,
            secrets_manager: Arc::new(SecretsManager::new()),
            mode: ExecutionMode::Durable(open.wakeups),
            runtime_api: None,
            sns_endpoint: None,
            metrics: Metrics::default(),
        },
    )
}
