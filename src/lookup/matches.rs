//! Assigns records to the values of a `match`, and decides whether the job may continue.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde_json::Value;

use super::{LITERAL_CHARS, Literal, MAX_SEARCHES, is_email};
use crate::codes::Cause;
use crate::outcome::Refusal;
use crate::update::{FieldName, MAX_IDS, Match, MatchValue, OnMany, OnNone, RecordId};

/// A returned record, with the text of its field if the field can be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupRow {
    /// The record's id.
    pub id: RecordId,
    /// The text of its field.
    pub text: Option<String>,
    /// Whether its field contains a list, which is never compared.
    pub list: bool,
}

/// Reads the records in the `data` of a response. An entry is skipped unless its id is a string or a whole number.
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

/// Returns the text by which a field's value is compared: the digits of a number, the id of a related record, no list.
fn text_of(cell: &Value) -> Option<String> {
    match cell {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => {
            let text = number.to_string();
            Some(text.strip_suffix(".0").unwrap_or(&text).to_owned())
        }
        Value::Bool(value) => Some(value.to_string()),
        Value::Object(related) => related.get("id")?.as_str().map(str::to_owned),
        Value::Null | Value::Array(_) => None,
    }
}

/// Returns the key under which equal values are stored: the text, in lower case for an e-mail address.
fn match_key(text: &str) -> String {
    match is_email(text) {
        true => text.to_lowercase(),
        false => text.to_owned(),
    }
}

/// Records by the value of one field.
#[derive(Debug, Default)]
pub struct MatchIndex {
    by_value: HashMap<String, BTreeSet<RecordId>>,
    /// The records by their texts in lower case, for fields whose values Zoho compares so.
    by_folded_value: HashMap<String, BTreeSet<RecordId>>,
    /// Whether the field of a record contains a list.
    has_lists: bool,
}

impl MatchIndex {
    /// Adds the rows of a response.
    pub fn add(&mut self, rows: Vec<LookupRow>) {
        for LookupRow { id, text, list } in rows {
            self.has_lists |= list;
            if let Some(text) = text {
                let folded = self.by_folded_value.entry(text.to_lowercase());
                folded.or_default().insert(id);
                self.by_value
                    .entry(match_key(&text))
                    .or_default()
                    .insert(id);
            }
        }
    }

    /// Adds the records of another index.
    pub fn merge(&mut self, other: Self) {
        self.has_lists |= other.has_lists;
        for (key, ids) in other.by_value {
            self.by_value.entry(key).or_default().extend(ids);
        }
        for (key, ids) in other.by_folded_value {
            self.by_folded_value.entry(key).or_default().extend(ids);
        }
    }

    /// The records with a value. With [`LetterCase::Ignored`] those that differ from it in letter case count if there is no
    /// other.
    fn records(&self, value: &str, letter_case: LetterCase) -> impl Iterator<Item = RecordId> {
        let exact = self.by_value.get(&match_key(value));
        let found = match letter_case {
            LetterCase::Exact => exact,
            LetterCase::Ignored => {
                exact.or_else(|| self.by_folded_value.get(&value.to_lowercase()))
            }
        };
        found.into_iter().flatten().copied()
    }
}

/// How values are compared other than e-mail addresses, whose letter case never counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LetterCase {
    /// Values that differ in letter case are different.
    #[default]
    Exact,
    /// A record whose value differs only in letter case is found too: Zoho would take it for a duplicate of a new one.
    Ignored,
}

/// The result of a look-up for one job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedMatch {
    /// The number of values with a record.
    pub matched: usize,
    /// The records without duplicates, in the order of the values and then of their ids.
    pub ids: Vec<RecordId>,
    /// The records of each value, by the place of the value.
    pub found: Vec<(usize, RecordId)>,
    /// The values without a record, in their order.
    pub missing: Vec<MatchValue>,
    /// Why no record may be updated, if so.
    pub refusal: Option<Refusal>,
}

/// Returns why a `match` is refused before any look-up, if so.
pub fn refuse(wanted: &Match) -> Option<Refusal> {
    let searched = wanted
        .values
        .iter()
        .filter(|value| Literal::of(value).is_none());
    let count = searched.count();
    (count > MAX_SEARCHES).then(|| {
        let message = format!(
            "{count} values of `{}` have characters other than letters, digits, spaces and `@ . _ + - / :`, or more than {LITERAL_CHARS} characters, and each of them is a search of its own: at most {MAX_SEARCHES} go into one job",
            wanted.field
        );
        Refusal::with(Cause::MatchTooWide, message)
    })
}

/// Resolves a `match` to records. No message contains the values, because they are personal data.
pub fn settle(wanted: &Match, hits: &MatchIndex, letter_case: LetterCase) -> ResolvedMatch {
    let (mut matched, mut several) = (0, 0);
    let mut seen = HashSet::new();
    let (mut ids, mut found, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    for (place, value) in wanted.values.iter().enumerate() {
        let records = hits.records(value.as_str(), letter_case);
        let records = records.collect::<Vec<_>>();
        let count = records.len();
        matched += usize::from(count > 0);
        several += usize::from(count > 1);
        if count == 0 {
            missing.push(value.clone());
        }
        found.extend(records.iter().map(|id| (place, *id)));
        ids.extend(records.into_iter().filter(|id| seen.insert(*id)));
    }
    let field = &wanted.field;
    let all = wanted.values.len();
    let none = missing.len();
    let refusal = if matched == 0 && hits.has_lists {
        // Zoho finds such a record only by all of its options together.
        let message = format!(
            "records cannot be found by `{field}`: it contains several values at once, and Zoho compares them as a whole; nothing was updated"
        );
        Some(Refusal::with(Cause::MatchUnsuitable, message))
    } else if several > 0 && wanted.on_many == OnMany::Fail {
        let message = format!(
            "{several} of {all} values of `{field}` match several records each, and `on_many` is `fail`; nothing was updated"
        );
        Some(Refusal::with(Cause::MatchAmbiguous, message))
    } else if none > 0 && wanted.on_none == OnNone::Fail {
        let message = format!(
            "{none} of {all} values of `{field}` match no record, and `on_none` is `fail`; nothing was updated"
        );
        Some(Refusal::with(Cause::MatchNotFound, message))
    } else if ids.len() > MAX_IDS {
        let message = format!(
            "{all} values of `{field}` match {} records, and at most {MAX_IDS} go into one job; nothing was updated",
            ids.len()
        );
        Some(Refusal::with(Cause::MatchTooWide, message))
    } else {
        None
    };
    ResolvedMatch {
        matched,
        ids,
        found,
        missing,
        refusal,
    }
}
