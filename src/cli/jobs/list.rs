//! `masshook jobs list`.

use serde_json::Value;

use super::ListArgs;
use crate::app::operations::CursorForm;
use crate::cli::list_arguments::list_json;
use crate::cli::store_location::{CommandOutput, StoreCommandError};
use crate::cli::styled::{StyledText, Tone};
use crate::cli::table::{Cell, listed_time, short_ids, table, terminal_width};
use crate::clock::{Clock, SystemClock};
use crate::job::{CallbackStatus, Counts, JobStatus};
use crate::store::{JobFilter, JobPage, JobSummary, NO_ROUTE};

/// The shortest id: `job_` and eight characters.
const MIN_ID: usize = 12;

pub(super) async fn list(args: &ListArgs) -> Result<CommandOutput, StoreCommandError> {
    let filter = args.filter.filter()?;
    let open = args.location.open()?;
    let store = &open.store;
    let read = async |request| store.list(&filter, &request).await;
    let page = args.page.read(CursorForm::of_jobs(&**store), read).await?;
    let entries: Vec<Value> = page.entries.iter().map(JobSummary::to_json).collect();
    let text = match page.entries.is_empty() {
        true => empty_text(&filter, &open.place, &args.location.repeated_arguments()).into(),
        false => page_text(&page),
    };
    Ok(CommandOutput::new(list_json("jobs", entries, &page), text))
}

fn empty_text(filter: &JobFilter, place: &str, arguments: &str) -> String {
    match *filter == JobFilter::default() {
        true => format!(
            "No jobs in {place} yet. A job appears here for each update request of an accepted delivery.\n\
             Send a sample with `masshook send SENDER --route ROUTE`; `masshook deliveries list{arguments}` shows what was refused or ignored."
        ),
        false => format!("No job in {place} matches. `masshook jobs list{arguments}` shows all."),
    }
}

fn page_text(page: &JobPage) -> StyledText {
    let (now, width) = (SystemClock.now(), terminal_width());
    let time = width.map_or("CREATED", |_| "AGE");
    let ids: Vec<&str> = page.entries.iter().map(|job| job.id.as_str()).collect();
    let rows = page.entries.iter().zip(short_ids(&ids, MIN_ID));
    let rows: Vec<[Cell; 7]> = rows
        .map(|(job, id)| {
            [
                id.into(),
                listed_time(job.created_at, now, width).into(),
                status_cell(job),
                job.route.as_deref().unwrap_or(NO_ROUTE).into(),
                records_text(&job.counts).into(),
                job.callback.map_or("-".into(), callback_cell),
                reason_text(job).into(),
            ]
        })
        .collect();
    let headers = [
        "ID", time, "STATUS", "ROUTE", "RECORDS", "CALLBACK", "REASON",
    ];
    let mut text = table(headers, &rows, width);
    if let Some(next) = &page.next {
        text.push_plain(format!("\nThere are more: --cursor {next}, or --all"));
    }
    text
}

fn status_cell(job: &JobSummary) -> Cell {
    if job.parked.is_some() {
        return Cell::toned(Tone::Doubtful, "parked");
    }
    let tone = match job.status {
        JobStatus::Queued | JobStatus::Running => Tone::Plain,
        JobStatus::Succeeded => Tone::Good,
        JobStatus::PartiallySucceeded => Tone::Doubtful,
        JobStatus::Failed => Tone::Bad,
    };
    Cell::toned(tone, job.status.as_str())
}

fn callback_cell(callback: CallbackStatus) -> Cell {
    match callback {
        CallbackStatus::Pending => "pending".into(),
        CallbackStatus::Delivered => Cell::toned(Tone::Good, "delivered"),
        CallbackStatus::Undeliverable => Cell::toned(Tone::Bad, "undeliverable"),
    }
}

/// The records that were updated or created, of all.
fn records_text(counts: &Counts) -> String {
    let done = counts.updated + counts.created.unwrap_or_default();
    format!("{done}/{}", counts.total)
}

fn reason_text(job: &JobSummary) -> String {
    let missing = job
        .lookup
        .filter(|count| !count.is_complete(job.counts.created));
    let created = job.counts.created.filter(|count| *count > 0);
    let superseded = job.counts.superseded.filter(|count| *count > 0);
    let parts = [
        missing.map(|count| count.to_string()),
        created.map(|count| format!("{count} created")),
        superseded.map(|count| format!("{count} left to a newer delivery")),
        Some(failure_text(job)).filter(|text| !text.is_empty()),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn failure_text(job: &JobSummary) -> String {
    match (&job.parked, &job.code, job.reason()) {
        (None, Some(code), Some(reason)) => format!("{code}: {reason}"),
        (_, _, reason) => reason.unwrap_or_default().to_owned(),
    }
}
