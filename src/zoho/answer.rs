//! Judges Zoho's answers by their entries and codes, never by the HTTP status alone: a 202 may be a refusal, a 200 or a 207
//! may contain refusals, a 400 may contain refusals of single records only. Pure.

mod entry;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use serde_json::Value;

use super::Error;
use crate::codes::Cause;
use crate::outcome::{Failure, Progress};
use crate::update::RecordId;
use entry::{Entries, Entry, entries, parse, unreadable};

/// An answer as it came over the wire.
#[derive(Clone, Copy, Debug)]
pub struct RawAnswer<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: &'a [u8],
    /// The wait that a `Retry-After` header asks for.
    pub retry_after: Option<Duration>,
    /// The remaining API credits, if a header contains them.
    pub credits: Option<u64>,
}

impl<'a> RawAnswer<'a> {
    /// An answer without headers.
    pub fn new(status: u16, body: &'a [u8]) -> Self {
        Self {
            status,
            body,
            retry_after: None,
            credits: None,
        }
    }
}

/// The result of a call that updates records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpdateAnswer {
    /// Zoho updated the records except these.
    Settled(Vec<Failure>),
    /// Zoho scheduled a job.
    Accepted {
        /// The job's id.
        zoho_job_id: String,
    },
}

/// The status of a Zoho job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ZohoJobStatus {
    /// Not finished.
    Running(Progress),
    /// Finished.
    Ended {
        /// The final counts.
        counts: Progress,
        /// Whether it completed, rather than failed.
        completed: bool,
    },
    /// Zoho does not know the job.
    Unknown,
}

/// Judges the answer to a mass-update POST that named `ids`, or none for a custom view.
///
/// # Errors
/// Zoho updated nothing, or nothing for certain.
pub fn mass_update(raw: &RawAnswer<'_>, ids: &[RecordId]) -> Result<UpdateAnswer, Error> {
    let Entries { list, top_level } = entries(raw)?;
    match list.first() {
        Some(entry) if top_level => Err(entry.error(raw)),
        Some(entry) if ids.is_empty() => scheduled(raw, entry),
        Some(_) => by_record(raw, &list, ids, ids.len() > 1),
        None => Err(unreadable(raw)),
    }
}

/// Judges the answer to an update of records, those of `ids` in this order. Each entry concerns the record in its place,
/// even a single entry: a refusal of a field names no record. (In a mass update such an entry concerns the whole call.)
///
/// # Errors
/// Zoho updated nothing, or nothing for certain.
pub fn record_update(raw: &RawAnswer<'_>, ids: &[RecordId]) -> Result<UpdateAnswer, Error> {
    let Entries { list, top_level } = entries(raw)?;
    match list.first() {
        Some(entry) if top_level => Err(entry.error(raw)),
        Some(_) => by_record(raw, &list, ids, true),
        None => Err(unreadable(raw)),
    }
}

fn scheduled(raw: &RawAnswer<'_>, entry: &Entry) -> Result<UpdateAnswer, Error> {
    if !entry.success {
        return Err(entry.error(raw));
    }
    let zoho_job_id = entry.text("job_id").ok_or_else(|| unreadable(raw))?;
    Ok(UpdateAnswer::Accepted { zoho_job_id })
}

/// Judges entries about records. If `positional`, an entry that names no record concerns the record in its place.
fn by_record(
    raw: &RawAnswer<'_>,
    entries: &[Entry],
    ids: &[RecordId],
    positional: bool,
) -> Result<UpdateAnswer, Error> {
    let by_id: HashMap<String, RecordId> = ids.iter().map(|id| (id.to_string(), *id)).collect();
    let in_order = entries.len() == ids.len();
    let mut failures: HashMap<RecordId, Failure> = HashMap::new();
    let mut answered: HashSet<RecordId> = HashSet::with_capacity(ids.len());
    for (index, entry) in entries.iter().enumerate() {
        let named = entry.text("id").and_then(|id| by_id.get(&id).copied());
        // The refusal of a whole mass update is one entry that names none of the records. With a single id its position
        // says nothing; only a named record does.
        let placed = if in_order && positional {
            ids.get(index).copied()
        } else {
            None
        };
        match named.or(placed) {
            Some(id) => {
                answered.insert(id);
                if !entry.success {
                    failures.insert(id, entry.failure(id));
                }
            }
            None if entry.success && in_order => answered.extend(ids.get(index)),
            None if entry.success => {}
            None => return Err(entry.error(raw)),
        }
    }
    if answered.is_empty() {
        return Err(unreadable(raw));
    }
    // If every entry is transient, none of them is final for its record.
    if let Some(first) = entries.first()
        && entries.iter().all(|entry| entry.is_transient(raw))
    {
        return Err(first.error(raw));
    }
    let in_request_order = ids.iter().filter_map(|id| {
        failures
            .remove(id)
            .or_else(|| (!answered.contains(id)).then(|| not_answered(*id)))
    });
    Ok(UpdateAnswer::Settled(in_request_order.collect()))
}

/// The failure of a record that the answer does not mention.
fn not_answered(id: RecordId) -> Failure {
    let row = Cause::NotAnswered.row();
    Failure {
        id,
        code: row.code.to_owned(),
        message: row.happened.to_owned(),
    }
}

/// Judges the answer to a status GET.
///
/// # Errors
/// The answer contains no status.
pub fn job_status(raw: &RawAnswer<'_>) -> Result<ZohoJobStatus, Error> {
    // Unknown jobs: 404 with an empty body (v3 to v7 pages), 400 naming `job_id` (2026 specification), and Zoho's general
    // "no content", 204.
    if raw.status == 204 {
        return Ok(ZohoJobStatus::Unknown);
    }
    let document: Value = match parse(raw) {
        Ok(document) => document,
        Err(_) if raw.status == 404 => return Ok(ZohoJobStatus::Unknown),
        Err(error) => return Err(error),
    };
    let data = &document["data"];
    if let Some(status) = counted_status(data.get(0).unwrap_or(data)) {
        return Ok(status);
    }
    let Some(entry) = entries(raw)?.list.into_iter().next() else {
        return Err(unreadable(raw));
    };
    match entry.refusal().cause() {
        Some(Cause::NotFound | Cause::ZohoJobUnknown) => Ok(ZohoJobStatus::Unknown),
        Some(_) | None => Err(entry.error(raw)),
    }
}

/// The status with its counts; `None` if the item has none.
fn counted_status(item: &Value) -> Option<ZohoJobStatus> {
    let status = key(item, "status")?.as_str()?;
    key(item, "total_count")?;
    let count = |name| key(item, name).and_then(Value::as_u64).unwrap_or_default();
    let counts = Progress {
        total: count("total_count"),
        updated: count("updated_count"),
        not_updated: count("not_updated_count"),
        failed: count("failed_count"),
    };
    let ended = |completed| ZohoJobStatus::Ended { counts, completed };
    Some(match status.to_ascii_uppercase().as_str() {
        "COMPLETED" => ended(true),
        "FAILED" => ended(false),
        // SCHEDULED, QUEUED, RUNNING, SUSPENDED, and any status that Zoho may add.
        _ => ZohoJobStatus::Running(counts),
    })
}

/// A key of the status answer. Zoho's APIs do not agree on its case.
fn key<'a>(item: &'a Value, name: &str) -> Option<&'a Value> {
    item.as_object()?
        .iter()
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

/// Judges the answer to a read: the whole document if it has `key`, or null for a 204, which means that there is nothing.
///
/// # Errors
/// The answer is a refusal or cannot be read.
pub fn document(raw: &RawAnswer<'_>, key: &str) -> Result<Value, Error> {
    if raw.status == 204 {
        return Ok(Value::Null);
    }
    let document = parse(raw)?;
    if (200..300).contains(&raw.status) && document.get(key).is_some() {
        return Ok(document);
    }
    match entries(raw)?.list.into_iter().find(|entry| !entry.success) {
        Some(entry) => Err(entry.error(raw)),
        None => Err(unreadable(raw)),
    }
}
