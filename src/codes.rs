//! The meaning of Zoho's codes: one table (`codes/table.rs`) from a code to a typed cause, a class and a cure. If one code
//! has several meanings, the message and its details decide. Pure; every judge of an answer uses it.
//!
//! A row is found by a code and a text. The text is Zoho's message with its `details` ([`wording`]). A job stores both, so
//! the advice for a record is looked up when the job is shown.

#[cfg(test)]
mod tests;

mod table;

use std::time::Duration;

use serde_json::Value;

pub use table::Cause;

/// How masshook reacts to a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Briefly broken or busy: the same call is sent again.
    Retry,
    /// Not before this wait, unless Zoho names a time.
    Wait(Duration),
    /// The access token is not accepted: another one is fetched, once.
    Reauthenticate,
    /// Never, for everything in the [`FailureScope`].
    Permanent(FailureScope),
    /// One record was not updated. The other records of the call have entries of their own.
    Partial,
}

/// What a permanent refusal ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureScope {
    /// This call.
    Call,
    /// Every call of the job: the module, the scope, the credentials.
    Job,
}

impl Class {
    /// Its name in the error reference.
    pub fn name(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Wait(_) => "wait",
            Self::Reauthenticate => "re-authenticate",
            Self::Permanent(_) => "permanent",
            Self::Partial => "partial",
        }
    }

    /// The wait if Zoho names no time.
    pub fn wait(self) -> Option<Duration> {
        match self {
            Self::Wait(wait) => Some(wait),
            Self::Retry | Self::Reauthenticate | Self::Permanent(_) | Self::Partial => None,
        }
    }
}

/// The source of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The CRM API, as `{code, details, message, status}`.
    Crm,
    /// The accounts server, as `{"error": code}`.
    Accounts,
    /// masshook itself, where Zoho sends no code.
    Masshook,
}

/// One meaning of one code.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    /// The meaning, as a type.
    pub cause: Cause,
    /// The code; `xx` at its end stands for any two digits.
    pub code: &'static str,
    /// Texts of which one must occur, in any case, for this meaning. An empty list is the meaning in all other cases.
    pub says: &'static [&'static str],
    /// The source of the code.
    pub origin: Origin,
    /// The HTTP statuses that were seen or are documented with it.
    pub statuses: &'static [u16],
    /// How masshook reacts.
    pub class: Class,
    /// What happened.
    pub happened: &'static str,
    /// What to do.
    pub cure: &'static str,
    /// Zoho's message, as it is documented or was seen.
    pub message: &'static str,
    /// Zoho's `details` with that message, as JSON.
    pub details: &'static str,
}

/// The cure of a code that is in no row.
const UNKNOWN: &str =
    "masshook does not know this code and does not retry; look it up in Zoho's documentation";

/// The whole table, in the order in which it is searched.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    table::ROWS.iter()
}

/// The meaning of a code with a text; none for a code that is in no row.
pub fn find(code: &str, text: &str) -> Option<&'static Row> {
    let text = text.to_lowercase();
    rows().find(|row| {
        let says = row.says.is_empty() || row.says.iter().any(|said| text.contains(said));
        row.is_for(code) && says
    })
}

/// What to do about a code with a text; for an unknown code, a text that says so.
pub fn cure(code: &str, text: &str) -> &'static str {
    find(code, text).map_or(UNKNOWN, |row| row.cure)
}

impl Row {
    fn is_for(&self, code: &str) -> bool {
        match self.code.strip_suffix("xx") {
            None => self.code == code,
            Some(start) => code
                .strip_prefix(start)
                .is_some_and(|rest| rest.len() == 2 && rest.bytes().all(|b| b.is_ascii_digit())),
        }
    }
}

impl Cause {
    /// The first row with this cause.
    pub fn row(self) -> &'static Row {
        // Causes and rows are written by the same macro, in the same order.
        &table::ROWS[self as usize]
    }
}

/// The maximum length of a quoted detail, in characters.
const QUOTED: usize = 160;

/// Zoho's keys of `details` that name the subject.
const SUBJECTS: [&str; 5] = [
    "api_name",
    "param_name",
    "param_names",
    "column_name",
    "mapped_field",
];

/// Zoho's keys of `details` that describe valid values, with their labels.
const BOUNDS: [(&str, &str); 14] = [
    ("maximum_length", "maximum length"),
    ("maximum_decimal_place", "maximum decimal places"),
    ("range", "allowed range"),
    ("expected_data_type", "expected data type"),
    ("supported_values", "supported values"),
    ("limit", "allowed limit"),
    ("regex", "required pattern"),
    ("permissions", "missing permissions"),
    ("supported_version", "supported version"),
    ("clause", "clause"),
    ("operator", "operator"),
    ("near", "near"),
    ("reason", "reason"),
    ("owner_status", "owner status"),
];

/// A message with its `details`: the field, and what Zoho would accept.
pub fn wording(message: &str, details: &Value) -> String {
    let text_of = |key: &str| details.get(key).and_then(Value::as_str);
    let path_text = text_of("json_path").unwrap_or_default();
    // The record itself is no field of the call.
    let is_record = match text_of("api_name") {
        Some("id") => path_text.starts_with("$.data") && path_text.matches('.').count() == 2,
        Some("ids") => path_text.starts_with("$.ids["),
        Some(_) | None => false,
    };
    let mut added: Vec<String> = SUBJECTS
        .iter()
        .filter(|key| **key != "api_name" || !is_record)
        .filter_map(|key| details.get(*key).map(quoted))
        .map(|name| format!("`{name}`"))
        .collect();
    // A path that only repeats the field's name is left out.
    let path = details.get("json_path").map(quoted);
    let repeats = |path: &String| {
        let name = details.get("api_name").and_then(Value::as_str);
        name.is_some_and(|name| {
            path.starts_with("$.data")
                && path.ends_with(&format!(".{name}"))
                && path.matches('.').count() < 3
        })
    };
    added.extend(
        path.filter(|path| !repeats(path))
            .map(|path| format!("at {path}")),
    );
    let bounds = BOUNDS.iter();
    added.extend(
        bounds.filter_map(|(key, name)| Some(format!("{name} {}", quoted(details.get(*key)?)))),
    );
    match (message.trim(), added.as_slice()) {
        (message, []) => message.to_owned(),
        ("", added) => added.join(", "),
        (message, added) => format!("{message} ({})", added.join(", ")),
    }
}

fn quoted(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(quoted).collect::<Vec<_>>().join(", "),
        Value::Object(map) => match (map.get("from"), map.get("to")) {
            (Some(from), Some(to)) => format!("{} to {}", quoted(from), quoted(to)),
            _ => value.to_string(),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    };
    let mut text: String = text.chars().filter(|c| !c.is_control()).collect();
    if let Some((end, _)) = text.char_indices().nth(QUOTED) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// The error reference: the table as Markdown.
pub fn reference() -> String {
    let mut out = String::from(
        "| code | message contains | class | cause | cure |\n| --- | --- | --- | --- | --- |\n",
    );
    let says = |row: &Row| match row.says {
        [] => String::new(),
        [one, ..] => format!("“{one}”").replace('|', "\\|"),
    };
    for row in rows() {
        let class = row.class.name();
        out.push_str(&format!(
            "| `{}` | {} | {class} | {} | {} |\n",
            row.code,
            says(row),
            row.happened,
            row.cure
        ));
    }
    out
}
