//! Judges Zoho's answers by their entries and codes, never by the HTTP status alone: a 202 may be a refusal, a 200 or a 207
//! may contain refusals, a 400 may contain refusals of single records only. Pure.

#[cfg(test)]
mod attribution_tests;
mod entry;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use serde_json::Value;

use super::Error;
use crate::codes::Cause;
use crate::outcome::{Failure, NewRecordOutcome, Progress, Refusal};
use crate::update::RecordId;
use entry::{Entries, Entry, Subject, entries, mismatched, parse, unreadable};

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
    /// Zoho created or updated records: the outcome of each row, in their order.
    Upserted(Vec<NewRecordOutcome>),
}

impl UpdateAnswer {
    /// The code of the first record, if Zoho refused every one of `count` records.
    pub fn refusal_of(&self, count: usize) -> Option<&str> {
        match self {
            Self::Upserted(rows) => {
                let codes: Option<Vec<&str>> = rows.iter().map(NewRecordOutcome::code).collect();
                codes?.first().copied()
            }
            Self::Settled(failures) if failures.len() >= count => {
                failures.first().map(|failure| failure.code.as_str())
            }
            Self::Settled(_) | Self::Accepted { .. } => None,
        }
    }
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

/// Judges the answer to a mass update, or a change of tags or owners, that named `ids`, or none for a custom view.
///
/// # Errors
/// Zoho updated nothing, or nothing for certain.
pub fn mass_update(raw: &RawAnswer<'_>, ids: &[RecordId]) -> Result<UpdateAnswer, Error> {
    let Entries { list, top_level } = entries(raw)?;
    match list.first() {
        Some(entry) if top_level => Err(entry.error(raw)),
        Some(_) if ids.is_empty() => scheduled(raw, &list),
        Some(_) => by_record(raw, &list, ids, ids.len() > 1),
        None => Err(unreadable(raw)),
    }
}

/// The ids by which a mass update names a custom view.
#[derive(Clone, Copy, Debug)]
pub struct ViewSelection<'a> {
    /// The view's id.
    pub cvid: &'a str,
    /// The territory's id, if there is one.
    pub territory: Option<&'a str>,
    /// The id of the new owner, if the call changes it.
    pub owner: Option<&'a str>,
}

/// Judges the answer to a mass update, or a change of owners, of a custom view.
///
/// # Errors
/// Zoho scheduled nothing, or nothing for certain.
pub fn view_update(
    raw: &RawAnswer<'_>,
    selection: ViewSelection<'_>,
) -> Result<UpdateAnswer, Error> {
    mass_update(raw, &[]).map_err(|error| {
        if error.refusal().cause() != Some(Cause::RecordUnknown) {
            return error;
        }
        // The call names no record, so the invalid id is that of the view or of the territory.
        let named = entries(raw)
            .ok()
            .and_then(|found| found.list.first()?.text("id"));
        let subject = match (named.as_deref(), selection.territory) {
            (Some(id), _) if selection.owner == Some(id) => "`owner`",
            (_, None) => "`cvid`",
            (Some(id), _) if id == selection.cvid => "`cvid`",
            (Some(id), Some(territory)) if id == territory => "`territory`",
            (Some(_) | None, Some(_)) => "`cvid` or `territory`",
        };
        error.with_refusal(|refusal| {
            let message = format!("{} ({subject})", refusal.message);
            Refusal::zoho(refusal.code, message)
        })
    })
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

/// Judges the answer to an upsert of `count` rows that finds duplicates by `field`. Each entry concerns the row in its place.
///
/// # Errors
/// Zoho created and updated nothing, or nothing for certain.
pub fn upsert(raw: &RawAnswer<'_>, count: usize, field: &str) -> Result<UpdateAnswer, Error> {
    let Entries { list, top_level } = entries(raw)?;
    match list.first() {
        Some(entry) if top_level => return Err(entry.error(raw)),
        // Nothing was done, and this one entry is about the whole call.
        Some(entry) if list.len() == 1 && count > 1 && !entry.success => {
            return Err(entry.error(raw));
        }
        Some(first) if list.iter().all(|entry| entry.is_transient(raw)) => {
            return Err(first.error(raw));
        }
        Some(_) if list.len() == count => {}
        Some(_) => return Err(mismatched(raw)),
        None => return Err(unreadable(raw)),
    }
    let rows = list.iter().map(|entry| entry.new_record(field)).collect();
    Ok(UpdateAnswer::Upserted(rows))
}

/// Judges the answer about a custom view: one entry with the id of Zoho's job.
fn scheduled(raw: &RawAnswer<'_>, list: &[Entry]) -> Result<UpdateAnswer, Error> {
    match list {
        [entry] if entry.success => {
            let zoho_job_id = entry.text("job_id").ok_or_else(|| unreadable(raw))?;
            Ok(UpdateAnswer::Accepted { zoho_job_id })
        }
        [entry, ..] if list.iter().all(|entry| !entry.success) => Err(entry.error(raw)),
        _ => Err(mismatched(raw)),
    }
}

/// What the entries say about one record.
enum Verdict {
    Updated,
    Failed(Failure),
    /// One entry confirms the update, another refuses it.
    Contradicted,
}

impl Verdict {
    fn of(entry: &Entry, id: RecordId) -> Self {
        match entry.success {
            true => Self::Updated,
            false => Self::Failed(entry.failure(id)),
        }
    }

    fn merge(self, other: Self) -> Self {
        match (self, other) {
            (Self::Updated, Self::Updated) => Self::Updated,
            (Self::Failed(first), Self::Failed(_)) => Self::Failed(first),
            (Self::Updated | Self::Failed(_) | Self::Contradicted, _) => Self::Contradicted,
        }
    }

    fn into_failure(self, id: RecordId) -> Option<Failure> {
        match self {
            Self::Updated => None,
            Self::Failed(failure) => Some(failure),
            Self::Contradicted => Some(not_answered(
                id,
                "Zoho's answer both confirms and refuses the update of this record",
            )),
        }
    }
}

/// Judges entries about records. If `positional`, a refusal that names no record concerns the record in its place.
fn by_record(
    raw: &RawAnswer<'_>,
    entries: &[Entry],
    ids: &[RecordId],
    positional: bool,
) -> Result<UpdateAnswer, Error> {
    let has_success = entries.iter().any(|entry| entry.success);
    let mut verdicts: HashMap<RecordId, Verdict> = HashMap::with_capacity(ids.len());
    for (entry, record) in entries.iter().zip(assign(entries, ids, positional)) {
        match record {
            Some(id) => {
                let verdict = Verdict::of(entry, id);
                let verdict = match verdicts.remove(&id) {
                    Some(earlier) => earlier.merge(verdict),
                    None => verdict,
                };
                verdicts.insert(id, verdict);
            }
            // Nothing was updated, and this entry is the reason.
            None if !has_success => return Err(entry.error(raw)),
            None => {}
        }
    }
    if verdicts.is_empty() {
        return Err(mismatched(raw));
    }
    // If every entry is transient, none of them is final for its record.
    if let Some(first) = entries.first()
        && entries.iter().all(|entry| entry.is_transient(raw))
    {
        return Err(first.error(raw));
    }
    let in_request_order = ids.iter().filter_map(|id| match verdicts.remove(id) {
        Some(verdict) => verdict.into_failure(*id),
        None => Some(not_answered(*id, Cause::NotAnswered.row().happened)),
    });
    Ok(UpdateAnswer::Settled(in_request_order.collect()))
}

/// Assigns each entry to a record of the call, if it concerns one. An entry that names a record concerns that record and
/// no other. An entry without a name concerns the record in its place, provided that the order of the entries is known, or
/// the record whose index it names.
fn assign(entries: &[Entry], ids: &[RecordId], positional: bool) -> Vec<Option<RecordId>> {
    let asked: HashSet<RecordId> = ids.iter().copied().collect();
    let subjects: Vec<Subject> = entries.iter().map(|entry| entry.subject(&asked)).collect();
    let is_in_order = entries.len() == ids.len()
        && subjects.iter().zip(ids).all(|(subject, id)| match subject {
            Subject::Unnamed => true,
            Subject::Record(named) => named == id,
            Subject::Other => false,
        });
    let place = |(index, entry): (usize, &Entry)| match subjects[index] {
        Subject::Record(id) => Some(id),
        // The refusal of a whole mass update is one entry that names no record. With a single id its position says nothing.
        Subject::Unnamed if is_in_order && (positional || entry.success) => ids.get(index).copied(),
        // An entry of a partial answer.
        Subject::Unnamed if !is_in_order => entry.index.and_then(|index| ids.get(index)).copied(),
        Subject::Unnamed | Subject::Other => None,
    };
    entries.iter().enumerate().map(place).collect()
}

/// The failure of a record whose outcome the answer leaves open.
fn not_answered(id: RecordId, message: &str) -> Failure {
    Failure {
        id,
        code: Cause::NotAnswered.row().code.to_owned(),
        message: message.to_owned(),
        step: None,
    }
}

/// Judges the answer to a status GET for a job.
///
/// # Errors
/// The answer contains no status, or that of another job.
pub fn job_status(raw: &RawAnswer<'_>, zoho_job_id: &str) -> Result<ZohoJobStatus, Error> {
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
    let items = data
        .as_array()
        .map_or(std::slice::from_ref(data), Vec::as_slice);
    let statuses: Vec<ZohoJobStatus> = items
        .iter()
        .filter(|item| names_job(item, zoho_job_id))
        .filter_map(counted_status)
        .collect();
    match <[ZohoJobStatus; 1]>::try_from(statuses) {
        Ok([status]) => return Ok(status),
        // The statuses of several jobs, or of another one.
        Err(_) if items.iter().any(|item| counted_status(item).is_some()) => {
            return Err(mismatched(raw));
        }
        Err(_) => {}
    }
    let Some(entry) = entries(raw)?.list.into_iter().next() else {
        return Err(unreadable(raw));
    };
    match entry.refusal().cause() {
        Some(Cause::NotFound | Cause::ZohoJobUnknown) => Ok(ZohoJobStatus::Unknown),
        Some(_) | None => Err(entry.error(raw)),
    }
}

/// Whether an item may be the status of this job. Zoho's own status names no job.
fn names_job(item: &Value, zoho_job_id: &str) -> bool {
    ["job_id", "id"].iter().all(|name| match key(item, name) {
        None | Some(Value::Null) => true,
        Some(Value::String(id)) => id == zoho_job_id,
        Some(other) => {
            let text = other.to_string();
            text == zoho_job_id
        }
    })
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
