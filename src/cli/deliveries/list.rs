//! `masshook deliveries list`.

use serde_json::Value;

use super::ListArgs;
use crate::app::operations::CursorForm;
use crate::cli::list_arguments::list_json;
use crate::cli::store_location::{CommandOutput, StoreCommandError};
use crate::cli::styled::{StyledText, Tone};
use crate::cli::table::{Cell, listed_time, short_ids, table, terminal_width};
use crate::clock::{Clock, SystemClock};
use crate::store::delivery_log::{DeliveryFilter, DeliveryOutcome, DeliveryPage, DeliverySummary};

/// The shortest id: `dlv_` and eight characters.
const MIN_ID: usize = 12;

pub(super) async fn list(args: &ListArgs) -> Result<CommandOutput, StoreCommandError> {
    let filter = args.filter.filter()?;
    let open = args.location.open()?;
    let store = &open.store;
    let cursors = CursorForm::of_deliveries(&**store, &filter);
    let read = async |request| store.list_deliveries(&filter, &request).await;
    let page = args.page.read(cursors, read).await?;
    let entries: Vec<Value> = page.entries.iter().map(DeliverySummary::to_json).collect();
    let text = match page.entries.is_empty() {
        true => empty_text(&filter, &open.place).into(),
        false => page_text(&page),
    };
    Ok(CommandOutput::new(
        list_json("deliveries", entries, &page),
        text,
    ))
}

fn empty_text(filter: &DeliveryFilter, place: &str) -> String {
    if *filter == DeliveryFilter::default() {
        return format!(
            "No deliveries in {place} yet. Each request to /hooks/ROUTE appears here, with its outcome.\n\
             Send a sample with `masshook send SENDER --route ROUTE`."
        );
    }
    match *filter == DeliveryFilter::dead_letters() {
        true => format!(
            "No dead letters in {place}. A delivery becomes one if it cannot be mapped, or if a job of it fails."
        ),
        false => format!("No delivery in {place} matches. `masshook deliveries list` shows all."),
    }
}

fn page_text(page: &DeliveryPage) -> StyledText {
    let (now, width) = (SystemClock.now(), terminal_width());
    let time = width.map_or("RECEIVED", |_| "AGE");
    let ids: Vec<&str> = page
        .entries
        .iter()
        .map(|summary| summary.entry.id.as_str())
        .collect();
    let rows = page.entries.iter().zip(short_ids(&ids, MIN_ID));
    let rows: Vec<[Cell; 7]> = rows
        .map(|(summary, id)| {
            let entry = &summary.entry;
            let status = entry.status.map(|status| status.to_string());
            [
                id.into(),
                listed_time(entry.received_at, now, width).into(),
                outcome_cell(summary),
                entry.route.as_str().into(),
                status.as_deref().unwrap_or("-").into(),
                entry.jobs_count.to_string().into(),
                reason_text(summary).into(),
            ]
        })
        .collect();
    let headers = ["ID", time, "OUTCOME", "ROUTE", "STATUS", "JOBS", "REASON"];
    let mut text = table(headers, &rows, width);
    if let Some(next) = &page.next {
        text.push_plain(format!("\nThere are more: --cursor {next}, or --all"));
    }
    text
}

fn outcome_cell(summary: &DeliverySummary) -> Cell {
    if summary.dead_letter.is_some() {
        return Cell::toned(Tone::Bad, "dead letter");
    }
    let outcome = summary.entry.outcome;
    let tone = match outcome {
        DeliveryOutcome::Accepted => Tone::Good,
        DeliveryOutcome::Duplicate | DeliveryOutcome::Ignored => Tone::Plain,
        DeliveryOutcome::Refused => Tone::Bad,
    };
    Cell::toned(tone, outcome.as_str())
}

fn reason_text(summary: &DeliverySummary) -> String {
    let dead = summary.dead_letter.as_ref();
    let code = dead
        .map(|dead| dead.code.as_str())
        .or(summary.entry.code.as_deref());
    let reason = dead
        .map(|dead| dead.reason.as_str())
        .or(summary.entry.reason.as_deref());
    match (code, reason) {
        (Some(code), Some(reason)) => format!("{code}: {reason}"),
        (None, reason) => reason.unwrap_or_default().to_owned(),
        (Some(code), None) => code.to_owned(),
    }
}
