//! The filters and pages of list commands, and of commands on all entries that match.

use std::collections::BTreeMap;
use std::io::{BufRead as _, IsTerminal as _, Write as _};

use clap::Args;
use serde_json::{Value, json};

use super::store_location::{CommandOutput, StoreCommandError, StoreLocation};
use super::terminal::ExitStatus;
use super::text::count_of;
use crate::app::operations::{
    BulkOutcome, BulkResult, CursorForm, DELIVERY_PARAMETERS, InvalidParameter, JOB_PARAMETERS,
    Parameters,
};
use crate::clock::{Clock, SystemClock};
use crate::store::delivery_log::DeliveryFilter;
use crate::store::{JobFilter, Page, PageRequest, StoreError};

/// Entries that are read at once.
const PAGE: usize = 1_000;

/// The filters of jobs.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct JobFilterArgs {
    /// Status: queued, running, succeeded, partially_succeeded, failed, undeliverable or parked.
    #[arg(long)]
    status: Option<String>,
    /// Route; `/jobs` for jobs without one.
    #[arg(long)]
    route: Option<String>,
    /// Connection.
    #[arg(long)]
    connection: Option<String>,
    /// The caller's own reference.
    #[arg(long)]
    reference: Option<String>,
    /// Code of the failure.
    #[arg(long)]
    code: Option<String>,
    #[command(flatten)]
    times: TimeArgs,
}

/// The filters of deliveries.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct DeliveryFilterArgs {
    /// Outcome: accepted, duplicate, ignored, refused or dead_letter.
    #[arg(long)]
    outcome: Option<String>,
    /// Route.
    #[arg(long)]
    route: Option<String>,
    /// Code of the refusal or of the dead letter.
    #[arg(long)]
    code: Option<String>,
    /// Trigger: http, eventbridge, sns, sqs or direct.
    #[arg(long)]
    trigger: Option<String>,
    #[command(flatten)]
    times: TimeArgs,
}

/// The filters of every list.
#[derive(Clone, Debug, Default, Args)]
struct TimeArgs {
    /// Earliest time, such as 2026-01-31T08:00:00Z, or an age such as 30m, 24h or 7d.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Time before which entries are listed, or an age.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Text that the id, route, code, reason or another text contains.
    #[arg(long = "search", value_name = "TEXT")]
    q: Option<String>,
}

/// Which part of a list to print.
#[derive(Clone, Debug, Args)]
pub(super) struct PageArgs {
    /// Maximum number of entries.
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// Continue below this position: `next` of another list.
    #[arg(long)]
    cursor: Option<String>,
    /// List everything.
    #[arg(long, conflicts_with = "limit")]
    all: bool,
}

fn pairs(values: [(&str, &Option<String>); 8]) -> Vec<(String, String)> {
    let given = values.into_iter().filter_map(|(name, value)| {
        let value = value.clone()?;
        (!name.is_empty()).then(|| (name.to_owned(), value))
    });
    given.collect()
}

impl JobFilterArgs {
    /// The filter, parsed as the HTTP API does.
    pub(super) fn filter(&self) -> Result<JobFilter, StoreCommandError> {
        let times = &self.times;
        let given = pairs([
            ("status", &self.status),
            ("route", &self.route),
            ("connection", &self.connection),
            ("reference", &self.reference),
            ("code", &self.code),
            ("since", &times.since),
            ("until", &times.until),
            ("q", &times.q),
        ]);
        let parameters = Parameters::of_pairs(given, &JOB_PARAMETERS);
        let filter = parameters.and_then(|parameters| parameters.job_filter(SystemClock.now()));
        filter.map_err(|error| usage(&error))
    }
}

impl DeliveryFilterArgs {
    /// The filter, parsed as the HTTP API does.
    pub(super) fn filter(&self) -> Result<DeliveryFilter, StoreCommandError> {
        let times = &self.times;
        let given = pairs([
            ("outcome", &self.outcome),
            ("route", &self.route),
            ("code", &self.code),
            ("trigger", &self.trigger),
            ("since", &times.since),
            ("until", &times.until),
            ("q", &times.q),
            ("", &None),
        ]);
        let parameters = Parameters::of_pairs(given, &DELIVERY_PARAMETERS);
        let now = SystemClock.now();
        let filter = parameters.and_then(|parameters| parameters.delivery_filter(now));
        filter.map_err(|error| usage(&error))
    }
}

fn usage(error: &InvalidParameter) -> StoreCommandError {
    let flag = match error.parameter.as_str() {
        "q" => "search",
        other => other,
    };
    StoreCommandError::Usage(format!("--{flag} {}", error.detail))
}

impl PageArgs {
    /// Reads pages until there are enough entries. `read` reads one page.
    pub(super) async fn read<T>(
        &self,
        cursors: CursorForm,
        read: impl AsyncFn(PageRequest) -> Result<Page<T>, StoreError>,
    ) -> Result<Page<T>, StoreCommandError> {
        // As in the API, an empty cursor is none.
        let cursor = self.cursor.as_deref().filter(|cursor| !cursor.is_empty());
        let position = cursor.map(|cursor| cursors.older_position(cursor));
        let position = position.transpose().map_err(|error| usage(&error))?;
        let limit = if self.all { usize::MAX } else { self.limit };
        let mut found = Page {
            next: position,
            ..Page::default()
        };
        loop {
            let count = limit.saturating_sub(found.entries.len()).clamp(1, PAGE);
            let page = read(PageRequest::at(count, found.next.as_deref())).await?;
            found.entries.extend(page.entries);
            found.next = page.next;
            found.latest = found.latest.or(page.latest);
            if found.next.is_none() || found.entries.len() >= limit {
                return Ok(cursors.encode(found));
            }
        }
    }
}

/// One entry, or all that match.
#[derive(Debug, Args)]
pub(super) struct ActionArgs<F: Args> {
    #[command(flatten)]
    pub(super) location: StoreLocation,
    /// Id, or its unique beginning.
    #[arg(required_unless_present = "every", conflicts_with = "every")]
    pub(super) id: Option<String>,
    /// Act on all entries that match the filters.
    #[arg(long = "all", id = "every")]
    all: bool,
    #[command(flatten)]
    pub(super) filter: F,
    #[command(flatten)]
    pub(super) confirm: ConfirmArgs,
}

/// How a command on all matching entries is confirmed.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct ConfirmArgs {
    /// Number of entries that must match; otherwise nothing happens.
    #[arg(long, value_name = "N")]
    expect: Option<usize>,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

impl ConfirmArgs {
    /// Checks that the user wants the action on `found` entries. `action` is what the question asks: `Replay 3 jobs`.
    pub(super) fn confirm(&self, found: usize, action: &str) -> Result<(), StoreCommandError> {
        if let Some(expected) = self.expect {
            return match found == expected {
                true => Ok(()),
                false => Err(StoreCommandError::Failed(format!(
                    "{} found and not {expected}, so nothing was done",
                    count_of(found as u64, "entry")
                ))),
            };
        }
        if self.yes || found == 0 {
            return Ok(());
        }
        if !std::io::stdin().is_terminal() {
            return Err(StoreCommandError::Usage(format!(
                "{action}? Confirm with --yes, or with --expect {found}"
            )));
        }
        let _ = write!(std::io::stderr(), "{action}? [y/N] ");
        let mut answer = String::new();
        let read = std::io::stdin().lock().read_line(&mut answer);
        match read.is_ok() && ["y", "yes"].contains(&answer.trim().to_lowercase().as_str()) {
            true => Ok(()),
            false => Err(StoreCommandError::Failed("nothing was done".to_owned())),
        }
    }
}

/// The output of a bulk operation. Its exit status is negative if something failed.
pub(super) fn bulk_output(result: &BulkResult, done: &str) -> CommandOutput {
    CommandOutput {
        exit: ExitStatus::from_success(result.count(BulkOutcome::Failed) == 0),
        ..CommandOutput::new(result.to_json(), bulk_text(result, done))
    }
}

/// The text of a bulk result: what was done, and what was not. Items that were skipped for the same reason share a line.
fn bulk_text(result: &BulkResult, done: &str) -> String {
    let acted = result.count(BulkOutcome::Replayed) + result.count(BulkOutcome::Discarded);
    let mut lines = vec![format!(
        "{done} {acted}, skipped {}, failed {}",
        result.count(BulkOutcome::Skipped),
        result.count(BulkOutcome::Failed)
    )];
    let mut skipped: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for item in &result.items {
        let Some(reason) = &item.reason else {
            continue;
        };
        let reason = reason_without_id(reason, &item.id);
        match item.outcome == BulkOutcome::Failed {
            true => lines.push(format!("  failed {}: {reason}", item.id)),
            false => skipped.entry(reason).or_default().push(&item.id),
        }
    }
    lines.extend(skipped.iter().map(|(reason, ids)| match ids.as_slice() {
        [first, _, ..] => format!("  skipped {}, such as {first}: {reason}", ids.len()),
        one => format!("  skipped {}: {reason}", one.concat()),
    }));
    if result.remaining > 0 {
        let (more, them) = match result.remaining {
            1 => ("1 more entry matches".to_owned(), "it"),
            rest => (format!("{rest} more entries match"), "them"),
        };
        lines.push(format!("{more}; run the command again for {them}"));
    }
    lines.join("\n")
}

/// A reason without the item of which it is the reason.
fn reason_without_id(reason: &str, id: &str) -> String {
    let subjects = [format!("job {id} "), format!("delivery {id} ")];
    let mut rests = subjects
        .iter()
        .filter_map(|subject| reason.strip_prefix(subject));
    rests.next().unwrap_or(reason).to_owned()
}

/// The JSON of a list, as the HTTP API has it.
pub(super) fn list_json(name: &str, entries: Vec<Value>, page: &Page<impl Sized>) -> Value {
    json!({name: entries, "next": page.next, "latest": page.latest})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::operations::BulkItem;

    fn item(id: &str, outcome: BulkOutcome, reason: Option<&str>) -> BulkItem {
        BulkItem {
            id: id.to_owned(),
            outcome,
            job: None,
            reason: reason.map(str::to_owned),
        }
    }

    #[test]
    fn bulk_skips_with_one_reason_share_a_line() {
        let result = BulkResult {
            items: vec![
                item("job_1", BulkOutcome::Skipped, Some("job job_1 is running")),
                item("job_2", BulkOutcome::Skipped, Some("job job_2 is running")),
                item("job_3", BulkOutcome::Skipped, Some("job job_3 is queued")),
                item("job_4", BulkOutcome::Replayed, None),
            ],
            remaining: 0,
        };
        let output = bulk_output(&result, "replayed");
        assert_eq!(output.exit, ExitStatus::Success);
        insta::assert_snapshot!(output.text.rendered(false), @r"
        replayed 1, skipped 3, failed 0
          skipped job_3: is queued
          skipped 2, such as job_1: is running
        ");
    }

    #[test]
    fn bulk_with_a_failure_exits_negative() {
        let result = BulkResult {
            items: vec![
                item("dlv_1", BulkOutcome::Failed, Some("it cannot be mapped")),
                item("dlv_2", BulkOutcome::Replayed, None),
            ],
            remaining: 0,
        };
        let output = bulk_output(&result, "replayed");
        assert_eq!(output.exit, ExitStatus::Negative);
        assert!(
            output
                .text
                .rendered(false)
                .contains("failed dlv_1: it cannot be mapped")
        );
    }
}
