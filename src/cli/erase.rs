//! `masshook erase`: erases what is stored about a person.

use clap::Args;
use serde_json::json;

use super::list_arguments::ConfirmArgs;
use super::store_location::{CommandOutput, OpenStore, StoreCommandError, StoreLocation, report};
use super::terminal::{ExitStatus, print_error};
use super::text::count_of;
use crate::app::operations::{Erasure, ErasureQuery};
use crate::update::RecordId;

/// Ids of each kind that are listed before the question.
const SHOWN: usize = 20;

/// What the erasure of unfinished jobs does not stop.
const FORCED: &str = "a call that was under way is not taken back: Zoho may still update its records, and the server then logs \
                      that the lease on the job was lost";

/// Arguments of `masshook erase`.
#[derive(Debug, Args)]
pub(super) struct EraseArgs {
    /// Erase the jobs with this reference, and their deliveries.
    #[arg(long, value_name = "TEXT", conflicts_with = "value")]
    reference: Option<String>,
    /// Erase the jobs and deliveries that contain this value, such as an e-mail address. Case does not count.
    #[arg(long = "match", id = "value", value_name = "VALUE")]
    value: Option<String>,
    /// Erase jobs too that have not finished. A call that is under way still reaches Zoho.
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

/// What else contains data about a person whose value was searched for: a look-up replaces values by record ids.
fn looked_up(query: &ErasureQuery) -> Option<String> {
    match query {
        ErasureQuery::Value(value) if value.parse::<RecordId>().is_err() => Some(
            "A job whose look-up has ended contains the ids of its records instead of the values that it matched: erase \
             by the id of the record too."
                .to_owned(),
        ),
        ErasureQuery::Value(_) | ErasureQuery::Reference(_) => None,
    }
}

async fn erase(args: &EraseArgs) -> Result<CommandOutput, StoreCommandError> {
    let query = match (&args.reference, &args.value) {
        (Some(reference), _) => ErasureQuery::Reference(reference.clone()),
        (None, Some(value)) => ErasureQuery::Value(value.clone()),
        (None, None) => {
            let why = "nothing says what to erase: use --match VALUE or --reference TEXT";
            return Err(StoreCommandError::Usage(why.to_owned()));
        }
    };
    let (ErasureQuery::Reference(text) | ErasureQuery::Value(text)) = &query;
    if text.trim().is_empty() {
        let why = "the value is empty, which everything would contain";
        return Err(StoreCommandError::Usage(why.to_owned()));
    }
    let open = args.location.open_existing()?;
    let found = Erasure::find(&*open.store, &query).await?;
    let summary = summary_text(&found);
    if !args.location.output.json {
        print_error(&found_text(&found, &open.place));
    }
    if found.is_empty() {
        // An earlier run may have been kept from it, and deleted rows leave content in the file.
        scrub(&open, "nothing was found").await?;
        let document = json!({"erased": false, "found": found.to_json()});
        return Ok(CommandOutput::new(
            document,
            ["nothing was erased".to_owned()]
                .into_iter()
                .chain(looked_up(&query))
                .collect::<Vec<_>>()
                .join("\n"),
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
    scrub(&open, &format!("erased {summary}")).await?;
    let erased = format!("erased {summary}");
    let forced = (!found.unfinished.is_empty()).then(|| FORCED.to_owned());
    let remarks = [forced, looked_up(&query)];
    let lines = [erased].into_iter().chain(remarks.into_iter().flatten());
    let text = lines.collect::<Vec<_>>().join("\n");
    Ok(CommandOutput::new(
        json!({"erased": true, "found": found.to_json()}),
        text,
    ))
}

/// Overwrites what deleted entries have left in the store's files.
async fn scrub(open: &OpenStore, done: &str) -> Result<(), StoreCommandError> {
    open.store.scrub().await.map_err(|error| {
        StoreCommandError::Failed(format!(
            "{done}, but what was deleted can still be read in the files of {}: {error}; stop the server or what else uses \
             the store, then run the same command again",
            open.place
        ))
    })
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
    list("orders of records", found.orders.iter().cloned().collect());
    list(
        "jobs that this version cannot read, so they were not searched",
        found.unreadable.iter().map(ToString::to_string).collect(),
    );
    lines.join("\n")
}

fn summary_text(found: &Erasure) -> String {
    let text = format!(
        "{}, {}, {}",
        count_of(found.jobs.len() as u64, "job"),
        count_of(found.deliveries.len() as u64, "stored delivery"),
        count_of(found.log_entries.len() as u64, "log entry"),
    );
    match found.orders.len() as u64 {
        0 => text,
        count => format!("{text}, {} of records", count_of(count, "order")),
    }
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
