//! `masshook deliveries show`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::ShowArgs;
use crate::api::operator::delivery_json;
use crate::app::operations::{DeliveryDetails, delivery_id};
use crate::cli::store_location::{CommandOutput, StoreCommandError};
use crate::cli::terminal::pretty_json;
use crate::store::delivery::StoredDelivery;
use crate::store::delivery_log::{DeliveryOutcome, LogEntry};
use crate::store::{NO_ROUTE, time_text};

pub(super) async fn show(args: &ShowArgs) -> Result<CommandOutput, StoreCommandError> {
    let open = args.location.open()?;
    let id = delivery_id(&*open.store, &args.id).await?;
    let details = DeliveryDetails::read(&*open.store, &id).await?;
    let mut document = delivery_json(&details);
    if let Some(stored) = &details.stored {
        document["content"] = content_json(stored);
    }
    Ok(CommandOutput::new(document, delivery_text(&details)))
}

/// The stored delivery as it was received. The HTTP API does not show its headers, which contain the signature.
fn content_json(stored: &StoredDelivery) -> Value {
    let headers: Vec<Value> = stored
        .headers
        .iter()
        .map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]))
        .collect();
    let mut content = json!({
        "trigger": stored.origin.variable(), "headers": headers, "query": stored.query,
    });
    match std::str::from_utf8(&stored.body) {
        Ok(text) => content["body"] = json!(text),
        Err(_) => content["body_base64"] = json!(STANDARD.encode(&stored.body)),
    }
    content
}

fn delivery_text(details: &DeliveryDetails) -> String {
    let entry = &details.summary.entry;
    let mut lines = vec![
        format!("Delivery {}", entry.id),
        format!(
            "  received  {} by route {}",
            time_text(entry.received_at),
            entry.route
        ),
        format!("  outcome   {}", entry.outcome.as_str()),
    ];
    if let Some(status) = entry.status {
        let took = entry
            .took_ms
            .map_or(String::new(), |took| format!(" after {took} ms"));
        lines.push(format!("  answer    {status}{took}"));
    }
    if let Some(sender) = &entry.sender {
        lines.push(format!("  sender    {sender}"));
    }
    if let Some(reason) = &entry.reason {
        lines.push(format!("  reason    {reason}"));
    }
    if let Some(dead) = &details.summary.dead_letter {
        let since = time_text(dead.since);
        lines.push(format!(
            "  dead letter since {since}: {}: {}",
            dead.code, dead.reason
        ));
    }
    for step in &entry.steps {
        let mark = match (step.ok, entry.outcome) {
            (true, _) => "ok",
            (false, DeliveryOutcome::Ignored) => "ignored",
            (false, _) => "FAILED",
        };
        let took = step
            .took_ms
            .map_or(String::new(), |took| format!(" ({took} ms)"));
        let name = json!(step.name);
        let name = name.as_str().unwrap_or_default();
        lines.push(format!("  {name:<9} {mark}: {}{took}", step.detail));
    }
    if let Some(error) = &entry.error
        && let (Some(program), Some(line), Some(column)) =
            (&error.program, error.line, error.column)
    {
        lines.push(format!(
            "  at        `{program}`, line {line}, column {column}"
        ));
        lines.extend(
            error
                .excerpt
                .iter()
                .map(|text| format!("            {text}")),
        );
    }
    for job in &details.jobs {
        let route = job.route.as_deref().unwrap_or(NO_ROUTE);
        let (status, counts) = (job.status.as_str(), job.counts);
        lines.push(format!(
            "  job       {} {status} {}/{} ({route})",
            job.id, counts.updated, counts.total
        ));
    }
    match &details.stored {
        Some(stored) => lines.push(pretty_json(&content_json(stored))),
        None => lines.push(format!("  {}", why_no_body(entry))),
    }
    lines.join("\n")
}

/// Why there is no body. That of an ignored delivery, and of one that is no dead letter, was never stored.
fn why_no_body(entry: &LogEntry) -> &'static str {
    match (entry.outcome, &entry.delivery) {
        (DeliveryOutcome::Ignored, _) | (DeliveryOutcome::Refused, None) => {
            "The body was not stored: only those of accepted deliveries and of dead letters are."
        }
        _ => "The body is not stored any more.",
    }
}
