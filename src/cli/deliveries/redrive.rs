//! `masshook deliveries redrive`: processes the events of the queue of failed events again.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::app;
use crate::app::operations::{BulkItem, BulkOutcome, BulkResult};
use crate::aws::failed_events::{
    FailedEventMessage, FailedEvents, FailedEventsError, failed_events_queue_url,
};
use crate::cli::config_file::{ConfigFile, report_config_error};
use crate::cli::list_arguments::{ConfirmArgs, bulk_output};
use crate::cli::store_location::{CommandOutput, StoreCommandError, StoreLocation, report};
use crate::cli::terminal::ExitStatus;
use crate::cli::text::count_of;
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::lambda::{FailedInvocation, Function};

/// How long one event may take.
const TIME_OF_EVENT: Duration = Duration::from_secs(60);

/// Arguments of `masshook deliveries redrive`.
#[derive(Debug, Args)]
pub(in crate::cli) struct RedriveArgs {
    #[command(flatten)]
    location: StoreLocation,
    /// URL of the queue; default: MASSHOOK_FAILED_EVENTS_QUEUE_URL, the output FailedEventsQueueUrl of the stack.
    #[arg(long, value_name = "URL")]
    queue: Option<String>,
    /// Show the events and why they failed, and change nothing.
    #[arg(long, conflicts_with_all = ["expect", "yes"])]
    dry_run: bool,
    #[command(flatten)]
    confirm: ConfirmArgs,
    #[command(flatten)]
    config: ConfigFile,
}

/// Runs the command.
pub(super) async fn run(args: &RedriveArgs) -> ExitStatus {
    let output = args.location.output;
    if args.dry_run {
        return report(output, list(args).await);
    }
    match args.config.load() {
        Ok(config) => report(output, redrive(args, config).await),
        Err(error) => report_config_error(&error, output),
    }
}

fn queue(args: &RedriveArgs) -> Result<FailedEvents, StoreCommandError> {
    let url = args.queue.clone().or_else(failed_events_queue_url);
    let url = url.ok_or_else(|| {
        let why = "which queue? Use --queue URL, or set MASSHOOK_FAILED_EVENTS_QUEUE_URL";
        StoreCommandError::Usage(why.to_owned())
    })?;
    Ok(FailedEvents::new(&url))
}

/// Shows the events.
async fn list(args: &RedriveArgs) -> Result<CommandOutput, StoreCommandError> {
    let queue = queue(args)?;
    let (mut events, mut lines) = (Vec::new(), Vec::new());
    let seen = for_each(&queue, async |message| {
        let (kind, reason) = match FailedInvocation::parse(&message.id, &message.body) {
            Ok(failed) => match failed.kind() {
                Ok(kind) => (Some(kind), failed.reason),
                Err(error) => (None, Some(error.to_string())),
            },
            Err(error) => (None, Some(error.to_string())),
        };
        let why = reason.as_deref().unwrap_or("no reason is recorded");
        lines.push(format!("{}  {}  {why}", message.id, kind.unwrap_or("?")));
        events.push(json!({"id": message.id, "kind": kind, "reason": reason}));
        false
    });
    let count = seen.await?;
    lines.push(count_of(count as u64, "failed event"));
    Ok(CommandOutput::new(
        json!({"events": events}),
        lines.join("\n"),
    ))
}

async fn redrive(args: &RedriveArgs, config: Config) -> Result<CommandOutput, StoreCommandError> {
    let queue = queue(args)?;
    let open = args.location.open()?;
    let found = queue.count().await?;
    let question = format!("Process {} again", count_of(found as u64, "failed event"));
    args.confirm.confirm(found, &question)?;
    let app = Arc::new(app(open, config));
    let function = Function::new(Arc::clone(&app), None);
    let mut result = BulkResult::default();
    for_each(&queue, async |message| {
        let item = process(&function, message).await;
        let is_done = item.outcome == BulkOutcome::Replayed;
        result.items.push(item);
        is_done
    })
    .await?;
    app.flush_delivery_log().await;
    Ok(bulk_output(&result, "processed"))
}

/// Visits each message once, until the queue is empty. Deletes it if `visit` returns true, or puts it back.
async fn for_each(
    queue: &FailedEvents,
    mut visit: impl AsyncFnMut(&FailedEventMessage) -> bool,
) -> Result<usize, FailedEventsError> {
    let mut visited = HashSet::new();
    let mut remaining = Vec::new();
    let end = loop {
        let messages = match queue.receive().await {
            Ok(messages) => messages,
            Err(error) => break Err(error),
        };
        let mut is_new = false;
        for message in messages {
            if visited.insert(message.id.clone()) {
                is_new = true;
                if visit(&message).await {
                    queue.delete(&message).await?;
                    continue;
                }
            }
            remaining.push(message);
        }
        if !is_new {
            break Ok(visited.len());
        }
    };
    for message in &remaining {
        queue.put_back(message).await?;
    }
    end
}

async fn process(function: &Function, message: &FailedEventMessage) -> BulkItem {
    let deadline = SystemClock.now() + TIME_OF_EVENT;
    let done = match FailedInvocation::parse(&message.id, &message.body) {
        Ok(failed) => function.invoke_again(&failed, deadline).await.map(drop),
        Err(error) => Err(error),
    };
    BulkItem {
        id: message.id.clone(),
        outcome: match done {
            Ok(()) => BulkOutcome::Replayed,
            Err(_) => BulkOutcome::Failed,
        },
        job: None,
        reason: done.err().map(|error| error.to_string()),
    }
}

impl From<FailedEventsError> for StoreCommandError {
    fn from(error: FailedEventsError) -> Self {
        Self::Failed(error.to_string())
    }
}
