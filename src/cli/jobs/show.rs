//! `masshook jobs show`: one job as text, with its timeline.

use std::collections::BTreeSet;

use super::timeline::{Timeline, text_between};
use crate::cli::text::{count_of, truncated};
use crate::job::history::HistoryEntry;
use crate::job::view::{FailureView, JobView, StepView};
use crate::job::{CallbackStatus, Counts, Job, JobId, JobStatus, Lookup};
use crate::printable::single_line;
use crate::update::{UpdateRequest, UserReference};

/// Failures that are listed.
const FAILURES_LISTED: usize = 20;

/// Created records that are listed.
const NEW_RECORDS_LISTED: usize = 20;

/// The longest text of a sender or of Zoho in a line.
const MAX_TEXT: usize = 200;

/// A job in full. `arguments` are those of commands on the same store; `replay` is the job that repeats it, if there is one.
pub(super) fn job_text(job: &Job, replay: Option<&JobId>, arguments: &str) -> String {
    let view = JobView::in_full(job);
    let mut lines = head(job, &view);
    lines.extend(timeline(view.history.as_deref().unwrap_or_default()));
    lines.extend(new_records(&view));
    lines.extend(failures(&view));
    lines.extend(notes(&view));
    lines.extend(shared_jobs(view.history.as_deref().unwrap_or_default()));
    lines.extend(next_steps(job, replay, arguments));
    lines.join("\n")
}

/// The status and the counts in one line.
pub(super) fn result_line(job: &Job) -> String {
    let status = job.status().as_str().replace('_', " ");
    let callback = job.callback.as_ref().map(|callback| callback.status);
    let callback = match callback {
        Some(CallbackStatus::Undeliverable) => ", callback undeliverable",
        Some(CallbackStatus::Delivered) => ", callback delivered",
        Some(CallbackStatus::Pending) | None => "",
    };
    let matched = job.preparation.lookup.as_ref().map(Lookup::match_count);
    let counts = job.counts();
    let matched = matched.filter(|count| !count.is_complete(counts.created));
    let matched = matched.map_or(String::new(), |count| format!("{count}, "));
    format!(
        "{}  {status}: {matched}{}{callback}",
        job.id,
        counts_text(&counts)
    )
}

fn counts_text(counts: &Counts) -> String {
    let Counts {
        total,
        updated,
        created,
        failed,
        pending,
        superseded,
    } = counts;
    let others = [
        (created.unwrap_or_default(), "created"),
        (*failed, "failed"),
        (superseded.unwrap_or_default(), "left to a newer delivery"),
        (*pending, "pending"),
    ];
    let others = others.iter().filter(|(count, _)| *count > 0);
    let others: String = others
        .map(|(count, what)| format!(", {count} {what}"))
        .collect();
    format!(
        "{updated} of {} updated{others}",
        count_of(*total, "record")
    )
}

fn head(job: &Job, view: &JobView) -> Vec<String> {
    let mut lines = vec![format!(
        "{}  {}",
        job.id,
        view.status.as_str().replace('_', " ")
    )];
    let mut add = |name: &str, text: String| lines.push(format!("  {name:<11} {text}"));
    add(
        "route",
        view.route.clone().unwrap_or_else(|| "/jobs".to_owned()),
    );
    add("connection", job.connection.clone());
    let changes = truncated(&changes(&job.request).join(", "), MAX_TEXT);
    add("module", format!("{} ({changes})", view.module));
    if let Some(reference) = &view.reference {
        add("reference", truncated(&reference.to_string(), MAX_TEXT));
    }
    if let Some(delivery) = &view.delivery {
        add("delivery", delivery.clone());
    }
    if let Some(lookup) = &view.lookup {
        let (count, field) = (lookup.match_count(), &lookup.field);
        add("lookup", format!("{count} by {field}"));
    }
    if let Some(order) = &view.order {
        add("order", order.clone());
    }
    add("records", counts_text(&view.counts));
    for step in view.steps.iter().flatten() {
        add("step", step_text(step));
    }
    if !view.calls.is_empty() {
        let requests: u32 = view.calls.iter().map(|call| call.attempts).sum();
        add(
            "calls",
            format!(
                "{}, {} sent",
                view.calls.len(),
                count_of(requests, "request")
            ),
        );
    }
    let format = "%Y-%m-%d %H:%M:%S UTC";
    add("accepted", view.created_at.strftime(format).to_string());
    if let Some(finished) = view.finished_at {
        let after = text_between(view.created_at, finished);
        add(
            "finished",
            format!("{}, after {after}", finished.strftime(format)),
        );
    }
    if let Some(callback) = &view.callback {
        let status = match callback.status {
            CallbackStatus::Pending => "pending",
            CallbackStatus::Delivered => "delivered",
            CallbackStatus::Undeliverable => "undeliverable",
        };
        let host = job
            .callback
            .as_ref()
            .and_then(|callback| callback.url.host_str());
        let host = host.unwrap_or_default();
        let attempts = count_of(callback.attempts, "attempt");
        add("callback", format!("{status}, {host}, {attempts}"));
        if let Some(error) = &callback.error {
            add("", truncated(error, MAX_TEXT));
        }
    }
    if let Some(error) = &view.error {
        add(
            "error",
            truncated(&format!("{}: {}", error.code, error.message), MAX_TEXT),
        );
        if let Some(advice) = &error.advice {
            add("", advice.clone());
        }
    }
    lines
}

/// The outcome of a step.
fn step_text(step: &StepView) -> String {
    let status = step.status.as_str().replace('_', " ");
    let counts = counts_text(&step.counts);
    let error = step.error.as_ref();
    let error = error.map(|error| format!(" ({})", error.code));
    let error = error.unwrap_or_default();
    format!("{}: {status}, {counts}{error}", step.step.label())
}

/// What a request changes, each in a word.
fn changes(request: &UpdateRequest) -> Vec<String> {
    let fields = request.fields.iter().map(|set| set.field.to_string());
    let added = request.tags.add.iter().map(|tag| format!("+{tag}"));
    let removed = request.tags.remove.iter().map(|tag| format!("-{tag}"));
    let owner = request.owner.as_ref().map(|owner| match &owner.user {
        UserReference::Id(id) => format!("owner {id}"),
        UserReference::Email(email) => format!("owner {email}"),
    });
    fields.chain(added).chain(removed).chain(owner).collect()
}

fn timeline(history: &[HistoryEntry]) -> Vec<String> {
    let mut timeline = Timeline::default();
    let entries = history.iter().flat_map(|entry| timeline.lines(entry));
    let entries: Vec<String> = entries.collect();
    match entries.is_empty() {
        true => Vec::new(),
        false => section("Timeline", entries),
    }
}

fn failures(view: &JobView) -> Vec<String> {
    let listed = view.failures.iter().take(FAILURES_LISTED);
    let lines = listed.flat_map(|failure: &FailureView| {
        let message = truncated(&failure.message, MAX_TEXT);
        let step = failure.step.map(|step| format!("  {}", step.label()));
        let step = step.unwrap_or_default();
        let id = failure.id.map(|id| id.to_string());
        let value = failure
            .value
            .as_ref()
            .map(|value| single_line(value.as_str()).into_owned());
        let record = id.or(value).unwrap_or_default();
        let line = format!("  {record}{step}  {}: {message}", failure.code);
        [line, format!("      {}", failure.advice)]
    });
    let mut lines: Vec<String> = lines.collect();
    let total = view.failures.len() as u64 + view.failures_omitted;
    let omitted = total.saturating_sub(FAILURES_LISTED as u64);
    if omitted > 0 {
        lines.push(format!("  and {omitted} more"));
    }
    match total {
        0 => Vec::new(),
        _ => section(&format!("Failures ({total})"), lines),
    }
}

fn new_records(view: &JobView) -> Vec<String> {
    let records = view.new_records.iter().flatten();
    let lines = records.take(NEW_RECORDS_LISTED).map(|record| {
        let (id, action) = (record.id, record.action.as_str());
        let by = record.found_by.iter();
        let by: String = by.map(|field| format!(", found by {field}")).collect();
        format!(
            "  {id}  {}: {action}{by}",
            single_line(record.value.as_str())
        )
    });
    let mut lines: Vec<String> = lines.collect();
    let listed = view.new_records.as_ref().map_or(0, Vec::len) as u64;
    let total = listed + view.new_records_omitted.unwrap_or_default();
    let omitted = total.saturating_sub(NEW_RECORDS_LISTED as u64);
    if omitted > 0 {
        lines.push(format!("  and {omitted} more"));
    }
    match total {
        0 => Vec::new(),
        _ => section(&format!("New records ({total})"), lines),
    }
}

fn notes(view: &JobView) -> Vec<String> {
    let notes = view.notes.iter().map(|note| format!("  {note}"));
    let notes: Vec<String> = notes.collect();
    match notes.is_empty() {
        true => Vec::new(),
        false => section("Notes", notes),
    }
}

fn shared_jobs(history: &[HistoryEntry]) -> Vec<String> {
    let shared = history.iter().flat_map(|entry| &entry.shared_with);
    let shared: BTreeSet<&String> = shared.collect();
    match shared.is_empty() {
        true => Vec::new(),
        false => section(
            "Shared calls with",
            shared.into_iter().map(|id| format!("  {id}")).collect(),
        ),
    }
}

fn next_steps(job: &Job, replay: Option<&JobId>, arguments: &str) -> Vec<String> {
    let id = &job.id;
    let callback = job.callback.as_ref().map(|callback| callback.status);
    let mut steps = Vec::new();
    let is_failed = matches!(
        job.status(),
        JobStatus::Failed | JobStatus::PartiallySucceeded
    );
    if is_failed && replay.is_none() {
        steps.push(format!(
            "  masshook jobs replay {id}{arguments}   # with its original mapping; only the event, sent again, is mapped again"
        ));
    }
    if callback == Some(CallbackStatus::Undeliverable) {
        steps.push(format!("  masshook jobs redeliver {id}{arguments}"));
    }
    let mut sections = match steps.is_empty() {
        true => Vec::new(),
        false => section("Once the cause is mended", steps),
    };
    if let Some(replay) = replay {
        let show = format!("  masshook jobs show {replay}{arguments}");
        sections.extend(section("Replayed as", vec![show]));
    }
    sections
}

fn section(title: &str, lines: Vec<String>) -> Vec<String> {
    let mut section = vec![String::new(), title.to_owned()];
    section.extend(lines);
    section
}
