//! `masshook erase`: erases what is stored about a person.

use clap::Args;
use serde_json::json;

use super::list_arguments::ConfirmArgs;
use super::store_location::{CommandOutput, StoreCommandError, StoreLocation, report};
use super::terminal::{ExitStatus, print_error};
use super::text::count_of;
use crate::app::operations::{Erasure, ErasureQuery};

/// Ids of each kind that are listed before the question.
const SHOWN: usize = 20;

/// Arguments of `masshook erase`.
#[derive(Debug, Args)]
pub(super) struct EraseArgs {
    /// Erase the jobs with this reference, and their deliveries.
    #[arg(
        long,
        value_name = "TEXT",
        required_unless_present = "value",
        conflicts_with = "value"
    )]
    reference: Option<String>,
    /// Erase the jobs and deliveries that contain this value, such as an e-mail address. Case does not count.
    #[arg(long = "match", id = "value", value_name = "VALUE")]
    value: Option<String>,
    /// Erase jobs too that have not finished.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    confirm: ConfirmArgs,
    #[command(flatten)]
    location: StoreLocation,
}

/// Runs the command.
pub(super) async fn run(args: EraseArgs) -> ExitStatus {
    report(args.location.output, erase(&args).await)
}

async fn erase(args: &EraseArgs) -> Result<CommandOutput, StoreCommandError> {
    let query = match (&args.reference, &args.value) {
        (Some(reference), _) => ErasureQuery::Reference(reference.clone()),
        (None, value) => ErasureQuery::Value(value.clone().unwrap_or_default()),
    };
    let (ErasureQuery::Reference(text) | ErasureQuery::Value(text)) = &query;
    if text.trim().is_empty() {
        let why = "the value is empty, which everything would contain";
        return Err(StoreCommandError::Usage(why.to_owned()));
    }
    let open = args.location.open()?;
    let found = Erasure::find(&*open.store, &query).await?;
    let summary = summary_text(&found);
    if !args.location.output.json {
        print_error(&found_text(&found, &open.place));
    }
    if found.is_empty() {
        let document = json!({"erased": false, "found": found.to_json()});
        return Ok(CommandOutput::new(
            document,
            "nothing was erased".to_owned(),
        ));
    }
    if !found.unfinished.is_empty() && !args.force {
        return Err(StoreCommandError::Failed(format!(
            "{} unfinished ({}), so nothing was erased; wait for them, or erase them too with --force",
            match found.unfinished.len() {
                1 => "1 job is".to_owned(),
                count => format!("{count} jobs are"),
            },
            first_of(found.unfinished.iter().map(ToString::to_string))
        )));
    }
    args.confirm
        .confirm(found.count(), &format!("Erase {summary}"))?;
    found.erase(&*open.store).await?;
    Ok(CommandOutput::new(
        json!({"erased": true, "found": found.to_json()}),
        format!("erased {summary}"),
    ))
}

/// What was found, with ids.
fn found_text(found: &Erasure, place: &str) -> String {
    let mut lines = vec![format!("in {place}: {}", summary_text(found))];
    let mut list = |name: &str, ids: Vec<String>| {
        if !ids.is_empty() {
            lines.push(format!("  {name}: {}", first_of(ids.into_iter())));
        }
    };
    list("jobs", found.jobs.iter().map(ToString::to_string).collect());
    list("deliveries", found.deliveries.iter().cloned().collect());
    list("log entries", found.log_entries.iter().cloned().collect());
    list(
        "jobs that this version cannot read, so they were not searched",
        found.unreadable.iter().map(ToString::to_string).collect(),
    );
    lines.join("\n")
}

fn summary_text(found: &Erasure) -> String {
    format!(
        "{}, {}, {}",
        count_of(found.jobs.len() as u64, "job"),
        count_of(found.deliveries.len() as u64, "stored delivery"),
        count_of(found.log_entries.len() as u64, "log entry"),
    )
}

/// The first ids of a list.
fn first_of(ids: impl ExactSizeIterator<Item = String>) -> String {
    let more = ids.len().saturating_sub(SHOWN);
    let mut shown: Vec<String> = ids.take(SHOWN).collect();
    if more > 0 {
        shown.push(format!("{more} more"));
    }
    shown.join(", ")
}
