//! Which record belongs to which value, and what that means for a job.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde_json::Value;

use super::{LITERAL_CHARS, Literal, MAX_SEARCHES, is_mail};
use crate::codes::Cause;
use crate::outcome::Refusal;
use crate::update::{FieldName, MAX_IDS, Match, OnMany, OnNone, RecordId};

/// A record of an answer, and the text of its field where it has one that can be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupRow {
    /// The record.
    pub id: RecordId,
    /// Its field's text.
    pub text: Option<String>,
    /// Whether its field holds a list, which is never compared.
    pub list: bool,
}

/// The records of an answer's `data`. An entry without an id that is a string, or a whole number, is none.
pub fn rows(data: &Value, field: &FieldName) -> Vec<LookupRow> {
    let entries = data.as_array().map_or(&[][..], |entries| entries);
    let read = |entry: &Value| {
        let id = match &entry["id"] {
            Value::String(id) => id.parse().ok()?,
            Value::Number(id) if id.is_u64() => id.to_string().parse().ok()?,
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_) => return None,
        };
        let cell = &entry[field.as_str()];
        Some(LookupRow {
            id,
            text: text_of(cell),
            list: cell.is_array(),
        })
    };
    entries.iter().filter_map(read).collect()
}

/// What a field's value is compared by: a number by its digits, another record by its id, a list never.
fn text_of(cell: &Value) -> Option<String> {
    match cell {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => {
            let text = number.to_string();
            Some(text.strip_suffix(".0").unwrap_or(&text).to_owned())
        }
        Value::Bool(is) => Some(is.to_string()),
        Value::Object(other) => other.get("id")?.as_str().map(str::to_owned),
        Value::Null | Value::Array(_) => None,
    }
}

/// What two values have in common that mean the same: the text, of an e-mail address without its case.
fn key(text: &str) -> String {
    match is_mail(text) {
        true => text.to_lowercase(),
        false => text.to_owned(),
    }
}

/// Records by the value of one field.
#[derive(Debug, Default)]
pub struct MatchIndex {
    by_value: HashMap<String, BTreeSet<RecordId>>,
    /// Whether some record's field holds a list.
    lists: bool,
}

impl MatchIndex {
    /// Adds what an answer has.
    pub fn add(&mut self, rows: Vec<LookupRow>) {
        for LookupRow { id, text, list } in rows {
            self.lists |= list;
            if let Some(text) = text {
                self.by_value.entry(key(&text)).or_default().insert(id);
            }
        }
    }

    /// Adds what is known from elsewhere.
    pub fn merge(&mut self, other: Self) {
        self.lists |= other.lists;
        for (key, ids) in other.by_value {
            self.by_value.entry(key).or_default().extend(ids);
        }
    }

    fn of(&self, value: &str) -> impl Iterator<Item = RecordId> {
        self.by_value
            .get(&key(value))
            .into_iter()
            .flatten()
            .copied()
    }
}

/// What a look-up came to for one job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedMatch {
    /// Values that some record has.
    pub matched: usize,
    /// The records, in the order of the values and then of their ids; none twice.
    pub ids: Vec<RecordId>,
    /// Why nothing of it may be updated, if so.
    pub refusal: Option<Refusal>,
}

/// Why this `match` is not even looked up, if so.
pub fn refuse(wanted: &Match) -> Option<Refusal> {
    let unwieldy = wanted
        .values
        .iter()
        .filter(|value| Literal::of(value).is_none());
    let count = unwieldy.count();
    (count > MAX_SEARCHES).then(|| {
        let message = format!(
            "{count} values of `{}` have characters other than letters, digits, spaces and `@ . _ + - / :`, or more than {LITERAL_CHARS} characters, and each of them is a search of its own: at most {MAX_SEARCHES} go into one job",
            wanted.field
        );
        Refusal::with(Cause::MatchTooWide, message)
    })
}

/// Says which records a `match` means. The values themselves are in no message: they are people's data.
pub fn settle(wanted: &Match, hits: &MatchIndex) -> ResolvedMatch {
    let (mut matched, mut several) = (0, 0);
    let mut seen = HashSet::new();
    let mut ids = Vec::new();
    for value in &wanted.values {
        let before = hits.of(value.as_str()).count();
        matched += usize::from(before > 0);
        several += usize::from(before > 1);
        ids.extend(hits.of(value.as_str()).filter(|id| seen.insert(*id)));
    }
    let field = &wanted.field;
    let all = wanted.values.len();
    let none = all - matched;
    let refusal = if matched == 0 && hits.lists {
        // Whether records are found then depends on their other options.
        let message = format!(
            "records cannot be found by `{field}`: it holds several values at once, and Zoho compares them as a whole; nothing was updated"
        );
        Some(Refusal::with(Cause::MatchUnsuitable, message))
    } else if several > 0 && wanted.on_many == OnMany::Fail {
        let message = format!(
            "{several} of {all} values of `{field}` are those of several records each, and `on_many` is `fail`; nothing was updated"
        );
        Some(Refusal::with(Cause::MatchAmbiguous, message))
    } else if none > 0 && wanted.on_none == OnNone::Fail {
        let message = format!(
            "{none} of {all} values of `{field}` are those of no record, and `on_none` is `fail`; nothing was updated"
        );
        Some(Refusal::with(Cause::MatchNotFound, message))
    } else if ids.len() > MAX_IDS {
        let message = format!(
            "{all} values of `{field}` are those of {} records, and at most {MAX_IDS} go into one job; nothing was updated",
            ids.len()
        );
        Some(Refusal::with(Cause::MatchTooWide, message))
    } else {
        None
    };
    ResolvedMatch {
        matched,
        ids,
        refusal,
    }
}
