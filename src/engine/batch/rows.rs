//! The rows of a batch: what each record gets, and when two rows of one record are the same. Pure.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::job::{CallState, Job};
use crate::plan::{AnswerForm, Call, row};
use crate::update::{MatchValue, RecordId, UpdateRequest};

/// Bytes of an id in a request body: 20 digits, quotes and a comma.
const ID_BYTES: usize = 23;

/// What a call has still to do.
pub(in crate::engine) enum RemainingRecords {
    /// To change these records, or those of its custom view.
    Known(Vec<RecordId>),
    /// To create records of these values.
    New(Vec<MatchValue>),
}

impl RemainingRecords {
    /// What a call of a job has still to do.
    pub(in crate::engine) fn of(job: &Job, state: &CallState) -> Self {
        match state.call.target.new_records() {
            Some(_) => {
                let values = job.remaining_new(&state.call).into_iter();
                Self::New(values.map(|(_, value)| value.clone()).collect())
            }
            None => Self::Known(job.remaining_ids(state)),
        }
    }
}

/// What a row of a batch is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum RowKey {
    /// A record.
    Record(RecordId),
    /// The key of the value of a new record.
    Value(Box<str>),
}

/// The row of a record; none if all records have the same values. Boxed, because a job may have 50,000 records.
pub(super) type Row = Option<Box<Value>>;

/// The row of each record of a batch.
pub(super) type RowsByKey = HashMap<RowKey, Row>;

/// The rows of a call, each with its key.
pub(super) fn rows_of(
    request: &UpdateRequest,
    call: &Call,
    remaining: RemainingRecords,
) -> Vec<(RowKey, Row)> {
    let data = match call.target.kind().answer_form() {
        AnswerForm::Rows | AnswerForm::NewRows => call.data(request),
        AnswerForm::Results | AnswerForm::Job => Map::new(),
    };
    match (remaining, &request.new_records) {
        (RemainingRecords::Known(ids), _) => {
            let row_of = |id| {
                let row = || Box::new(row(id, &data, request.over_write));
                (!data.is_empty()).then(row)
            };
            let rows = ids.into_iter().map(|id| (RowKey::Record(id), row_of(id)));
            rows.collect()
        }
        (RemainingRecords::New(values), Some(new)) => {
            let rows = values.iter().map(|value| {
                let key = RowKey::Value(new.key(value).into());
                (key, Some(Box::new(new.row(value, &data))))
            });
            rows.collect()
        }
        (RemainingRecords::New(_), None) => Vec::new(),
    }
}

/// Whether two rows of one key are the same; of new records, apart from the letter case of the value.
fn is_same_row(one: &Row, other: &Row, key: &RowKey) -> bool {
    let (one, other) = (one.as_deref(), other.as_deref());
    let (RowKey::Value(key), Some(Value::Object(one)), Some(Value::Object(other))) =
        (key, one, other)
    else {
        return one == other;
    };
    let key = key.to_lowercase();
    let is_value = |value: &Value| {
        value
            .as_str()
            .is_some_and(|text| text.to_lowercase() == key)
    };
    one.len() == other.len()
        && one.iter().all(|(name, value)| {
            let same = other.get(name);
            same == Some(value) || is_value(value) && same.is_some_and(is_value)
        })
}

/// Whether one of `rows` differs from the row that `known` has for its record.
pub(super) fn differs(rows: &[(RowKey, Row)], known: &RowsByKey) -> bool {
    rows.iter().any(|(key, row)| {
        let known = known.get(key);
        known.is_some_and(|known| !is_same_row(known, row, key))
    })
}

/// Bytes of a row in a request body.
pub(super) fn row_bytes(row: &Row) -> usize {
    row.as_ref()
        .map_or(ID_BYTES, |row| row.to_string().len() + 1)
}
