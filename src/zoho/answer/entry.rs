//! The entries of an answer: `{code, details, message, status}`, in any of Zoho's three envelopes.

use std::borrow::Cow;
use std::collections::HashSet;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::RawAnswer;
use crate::codes::{self, Cause, Class, FailureScope};
use crate::outcome::{Failure, NewRecordOutcome, Refusal};
use crate::retry;
use crate::update::{FieldName, RecordId};
use crate::zoho::Error;

/// One `{code, details, message, status}`.
#[derive(Debug)]
pub(super) struct Entry {
    code: String,
    message: String,
    details: Value,
    pub(super) success: bool,
    /// The place of the record in the call, which partial answers name.
    pub(super) index: Option<usize>,
    upsert: UpsertAction,
}

/// What an upsert did with a row; empty in the entry of another call.
#[derive(Debug, Default)]
struct UpsertAction {
    action: Option<String>,
    duplicate_field: Option<String>,
}

/// What an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// The entry names this record of the call.
    Record(RecordId),
    /// The entry names something else: a job, or a record that the call does not have.
    Other,
    /// The entry names nothing.
    Unnamed,
}

/// Keys of `details` with which `id` names the value of a field or of a parameter instead of a record.
const FIELD_KEYS: [&str; 3] = ["api_name", "json_path", "param_name"];

impl Entry {
    /// An entry that cannot be read.
    fn unreadable() -> Self {
        Self {
            code: String::new(),
            message: String::new(),
            details: Value::Null,
            success: false,
            index: None,
            upsert: UpsertAction::default(),
        }
    }

    /// An entry with these parts; `None` without a code.
    fn of(code: &str, status: &str, message: &str, details: Value) -> Option<Self> {
        let success =
            status.eq_ignore_ascii_case("success") || (status.is_empty() && code == "SUCCESS");
        (!code.is_empty()).then(|| Self {
            code: code.to_owned(),
            message: message.to_owned(),
            details,
            success,
            index: None,
            upsert: UpsertAction::default(),
        })
    }

    fn at(self, index: Option<u64>) -> Self {
        Self {
            index: index.and_then(|index| usize::try_from(index).ok()),
            ..self
        }
    }

    fn read(value: &Value) -> Option<Self> {
        let text = |key| value.get(key).and_then(Value::as_str);
        let details = value.get("details").cloned().unwrap_or_default();
        let or_empty = |key| text(key).unwrap_or_default();
        let index = value.get("index").and_then(Value::as_u64);
        let entry = Self::of(
            text("code")?,
            or_empty("status"),
            or_empty("message"),
            details,
        )?;
        let upsert = UpsertAction {
            action: text("action").map(str::to_owned),
            duplicate_field: text("duplicate_field").map(str::to_owned),
        };
        Some(Self { upsert, ..entry }.at(index))
    }

    /// A detail that is an id or a name: a string, or a whole number.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        match self.details.get(name)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) if number.is_u64() => Some(number.to_string()),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_) => None,
        }
    }

    /// What the entry is about, given the records of the call.
    pub(super) fn subject(&self, asked: &HashSet<RecordId>) -> Subject {
        let has = |key: &str| self.details.get(key).is_some_and(|value| !value.is_null());
        let id = self.text("id").and_then(|id| id.parse().ok());
        match id.filter(|id| asked.contains(id)) {
            Some(id) => Subject::Record(id),
            None if self.code.is_empty() || self.success && has("job_id") => Subject::Other,
            None if !has("id") => Subject::Unnamed,
            // The id of a field's value, not of a record.
            None if !self.success && FIELD_KEYS.iter().any(|key| has(key)) => Subject::Unnamed,
            None => Subject::Other,
        }
    }

    pub(super) fn failure(&self, id: RecordId) -> Failure {
        Failure {
            id,
            code: self.code.clone(),
            message: codes::wording(&self.message, &self.details),
            step: None,
        }
    }

    /// What the entry says about a row of an upsert that finds duplicates by `field`.
    pub(super) fn new_record(&self, field: &str) -> NewRecordOutcome {
        if !self.success {
            return match self.code.is_empty() {
                true => not_answered(),
                false => NewRecordOutcome::Refused {
                    code: self.code.clone(),
                    message: codes::wording(&self.message, &self.details),
                },
            };
        }
        let UpsertAction {
            action,
            duplicate_field,
        } = &self.upsert;
        let id = self.text("id").and_then(|id| id.parse().ok());
        let found_by = duplicate_field
            .as_deref()
            .and_then(|name| name.parse().ok());
        match (id, action.as_deref()) {
            (Some(id), Some("insert")) => NewRecordOutcome::Created { id },
            (Some(id), _) => NewRecordOutcome::Updated {
                id,
                found_by: found_by.filter(|name: &FieldName| name.as_str() != field),
            },
            (None, _) => not_answered(),
        }
    }

    pub(super) fn refusal(&self) -> Refusal {
        Refusal::zoho(
            self.code.clone(),
            codes::wording(&self.message, &self.details),
        )
    }

    pub(super) fn error(&self, raw: &RawAnswer<'_>) -> Error {
        if self.code.is_empty() {
            return unreadable(raw);
        }
        let asked = self.details.get("retry_after").and_then(|wait| match wait {
            Value::Number(seconds) => retry::seconds(&seconds.to_string()),
            Value::String(seconds) => retry::seconds(seconds),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        });
        let asked = asked.or(raw.retry_after);
        classify(self.refusal(), asked, raw)
    }

    /// Whether another attempt may have another result.
    pub(super) fn is_transient(&self, raw: &RawAnswer<'_>) -> bool {
        !self.success
            && matches!(
                self.error(raw),
                Error::RetryLater(..) | Error::Reauthenticate(_)
            )
    }
}

/// The entries of an answer.
pub(super) struct Entries {
    pub(super) list: Vec<Entry>,
    /// Whether the answer is one entry about the whole call, outside `data`.
    pub(super) top_level: bool,
}

/// The usual answer about records: a list of whole entries.
#[derive(Deserialize)]
struct UsualAnswer<'a> {
    #[serde(borrow)]
    data: Vec<UsualEntry<'a>>,
}

#[derive(Deserialize)]
struct UsualEntry<'a> {
    #[serde(borrow)]
    code: Cow<'a, str>,
    #[serde(borrow, default)]
    status: Cow<'a, str>,
    #[serde(borrow, default)]
    message: Cow<'a, str>,
    #[serde(borrow, default)]
    details: Option<&'a RawValue>,
    #[serde(default)]
    index: Value,
    #[serde(default)]
    action: Option<String>,
    #[serde(default)]
    duplicate_field: Option<String>,
}

/// The details of a success that are used. Zoho also sends who created and changed the record, and when.
#[derive(Deserialize)]
struct SuccessDetails<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    job_id: Option<&'a RawValue>,
}

/// Reads the details of an entry, as far as they are used.
fn read_details(details: &RawValue, success: bool) -> Value {
    let read = |text: &RawValue| serde_json::from_str(text.get()).unwrap_or_default();
    if !success {
        return read(details);
    }
    let Ok(SuccessDetails { id, job_id }) = serde_json::from_str(details.get()) else {
        return read(details);
    };
    let used = [("id", id), ("job_id", job_id)].into_iter();
    used.filter_map(|(key, text)| Some((key, read(text?))))
        .collect()
}

/// Reads the entries of a usual answer, which may be about 500 records, without a tree of the whole document.
fn usual_entries(text: &[u8]) -> Option<Entries> {
    let UsualAnswer { data } = serde_json::from_slice(text).ok()?;
    let entries = data.into_iter().map(|entry| {
        let UsualEntry {
            code,
            status,
            message,
            details,
            index,
            action,
            duplicate_field,
        } = entry;
        let mut entry = Entry::of(&code, &status, &message, Value::Null)?;
        if let Some(details) = details {
            entry.details = read_details(details, entry.success);
        }
        let upsert = UpsertAction {
            action,
            duplicate_field,
        };
        Some(Entry { upsert, ..entry }.at(index.as_u64()))
    });
    Some(Entries {
        list: entries.collect::<Option<_>>()?,
        top_level: false,
    })
}

/// Reads the entries of an answer.
pub(super) fn entries(raw: &RawAnswer<'_>) -> Result<Entries, Error> {
    let repaired = strict_reader::replace_lone_surrogates(raw.body);
    if let Some(entries) = usual_entries(&repaired.text) {
        return Ok(entries);
    }
    let mut document = parse(raw)?;
    // Errors of the tags themselves.
    let is_about_tags = document.get("data").is_none() && document["tags"].is_array();
    if is_about_tags {
        document["data"] = document["tags"].take();
    }
    let list = match &document["data"] {
        // One entry that cannot be read does not hide the others.
        Value::Array(items) => {
            let read: Vec<Option<Entry>> = items.iter().map(Entry::read).collect();
            let is_readable = read.is_empty() || read.iter().any(Option::is_some);
            let placed = |entry: Option<Entry>| entry.unwrap_or_else(Entry::unreadable);
            is_readable.then(|| read.into_iter().map(placed).collect())
        }
        Value::Object(_) => Entry::read(&document["data"]).map(|entry| vec![entry]),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            Entry::read(&document).map(|entry| vec![entry])
        }
    };
    let top_level = is_about_tags || document.get("data").is_none();
    list.map(|list| Entries { list, top_level })
        .ok_or_else(|| unreadable(raw))
}

/// The outcome of a row whose entry does not tell it.
fn not_answered() -> NewRecordOutcome {
    let row = Cause::NotAnswered.row();
    NewRecordOutcome::Refused {
        code: row.code.to_owned(),
        message: row.happened.to_owned(),
    }
}

/// Reads the body as JSON.
pub(super) fn parse(raw: &RawAnswer<'_>) -> Result<Value, Error> {
    // Zoho's records contain what other programs wrote into them, such as texts cut within a character.
    let repaired = strict_reader::replace_lone_surrogates(raw.body);
    serde_json::from_slice(&repaired.text).map_err(|_| unreadable(raw))
}

/// The error of an answer that is not in Zoho's JSON: a gateway's page, an empty body. A 2xx without a readable result may
/// or may not have updated records. To set the same values again is harmless, to report success is not.
pub(super) fn unreadable(raw: &RawAnswer<'_>) -> Error {
    let code = format!("HTTP_{}", raw.status);
    let happened = codes::find(&code, "").map_or("Zoho sends no code", |row| row.happened);
    let refusal = Refusal::zoho(code, happened.to_owned());
    classify(refusal, raw.retry_after, raw)
}

/// The error of an answer that is not about the records or the job of the call. Its outcome is unknown.
pub(super) fn mismatched(raw: &RawAnswer<'_>) -> Error {
    classify(Refusal::of(Cause::AnswerMismatch), raw.retry_after, raw)
}

/// Classifies a refusal by the table of codes. If the table does not have the code, the HTTP status decides between a
/// retry and a final refusal.
fn classify(refusal: Refusal, asked: Option<Duration>, raw: &RawAnswer<'_>) -> Error {
    let later =
        |refusal, wait: Option<Duration>| Error::RetryLater(refusal, wait.unwrap_or_default());
    if raw.status == 429 && raw.credits == Some(0) {
        // The status is the same as for too many calls at once; the credits tell the two apart.
        let spent = Cause::CreditsSpent.row();
        let message = format!("{} ({})", refusal.message, spent.says.join(", "));
        let refusal = Refusal {
            code: refusal.code,
            ..Refusal::with(Cause::CreditsSpent, message)
        };
        return later(refusal, asked.or(spent.class.wait()));
    }
    match codes::find(&refusal.code, &refusal.message).map(|row| row.class) {
        Some(Class::Reauthenticate) => Error::Reauthenticate(refusal),
        Some(class @ Class::Wait(_)) => later(refusal, asked.or(class.wait())),
        Some(Class::Retry) => later(refusal, asked),
        None if raw.status == 429 || raw.status >= 500 => later(refusal, asked),
        Some(Class::Permanent(FailureScope::Job)) => Error::Denied(refusal),
        Some(Class::Permanent(FailureScope::Call) | Class::Partial) | None => {
            Error::Refused(refusal)
        }
    }
}
