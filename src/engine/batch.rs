//! Batches: requests that perform calls of several jobs at once. Pure.
//!
//! Calls that make the same change to single records through the same connection share batches of up to 500 ids: they set the
//! same fields to the same values, add or remove the same tags, or name the same owner. Record updates have their own values, so they share batches of up to 100 records unless two rows for one record
//! differ, and only up to [`MAX_BYTES`]. A call is never split, so its answer comes in one piece. Equal calls on one custom
//! view share one Zoho job.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use serde_json::Value;

use crate::job::{CallState, Job};
use crate::outcome::Failure;
use crate::plan::{AnswerForm, Call, CallKind, Change, row, rows_body};
use crate::update::{ModuleName, RecordId, Records, Resolved, UpdateRequest};
use crate::zoho::Repeat;

/// Bytes of a request body that calls may share, so that a large call does not make those that share its batch fail. A call
/// that is larger has a batch of its own.
pub(super) const MAX_BYTES: usize = 1 << 20;

/// Bytes of an id in a request body: 20 digits, quotes and a comma.
const ID_BYTES: usize = 23;

/// A call of one of the turn's jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct CallRef {
    /// The job's place in the turn.
    pub(super) job: usize,
    /// The call's number in its job.
    pub(super) seq: usize,
}

/// One request to Zoho, for one or more calls.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Batch {
    pub(super) connection: String,
    pub(super) module: ModuleName,
    /// The kind of its calls.
    pub(super) kind: CallKind,
    payload: BatchPayload,
    /// Whether it may be sent again if its outcome is unknown.
    pub(super) repeat: Repeat,
    /// The calls that it performs.
    pub(super) calls: Vec<CallRef>,
    /// At least the bytes of its body.
    bytes: usize,
}

/// What a batch changes, and the records.
#[derive(Clone, Debug, PartialEq)]
enum BatchPayload {
    /// The same change to all records.
    Same { change: Change, records: Records },
    /// One row of values per record, in the order of the ids.
    Rows {
        ids: Vec<RecordId>,
        rows: Vec<Value>,
    },
}

impl Batch {
    /// The JSON of the request.
    pub(super) fn body(&self) -> Value {
        match &self.payload {
            BatchPayload::Same { change, records } => change.body(records),
            BatchPayload::Rows { rows, .. } => rows_body(rows.clone()),
        }
    }

    /// The ids in the request; none for a custom view.
    pub(super) fn ids(&self) -> &[RecordId] {
        match &self.payload {
            BatchPayload::Same {
                records: Records::Ids(ids),
                ..
            }
            | BatchPayload::Rows { ids, .. } => ids,
            BatchPayload::Same {
                records: Records::View { .. },
                ..
            } => &[],
        }
    }

    /// Whether its calls may be sent apart if Zoho refuses the batch as a whole. Equal calls on a custom view are one call.
    pub(super) fn can_be_split(&self) -> bool {
        self.calls.len() > 1 && self.kind.answer_form() != AnswerForm::Job
    }

    /// Whether its calls set the same values, so that a refusal of the values concerns all of them.
    pub(super) fn sets_same_values(&self) -> bool {
        matches!(self.payload, BatchPayload::Same { .. })
    }

    /// The part of this batch for one of its calls, with the call's records.
    pub(super) fn part(&self, call: CallRef, ids: &[RecordId]) -> Self {
        let own: HashSet<&RecordId> = ids.iter().collect();
        let payload = match &self.payload {
            BatchPayload::Same { change, .. } => BatchPayload::Same {
                change: change.clone(),
                records: Records::Ids(ids.to_vec()),
            },
            BatchPayload::Rows { ids, rows } => {
                let rows = ids.iter().zip(rows).filter(|(id, _)| own.contains(id));
                let (ids, rows) = rows.map(|(id, row)| (*id, row.clone())).unzip();
                BatchPayload::Rows { ids, rows }
            }
        };
        Self {
            payload,
            calls: vec![call],
            ..self.clone()
        }
    }

    /// The name of the lock on its custom view, if it has one: Zoho runs one job per view at a time.
    pub(super) fn view(&self) -> Option<String> {
        match &self.payload {
            BatchPayload::Same {
                records: Records::View { cvid, .. },
                ..
            } => Some(view_lock(&self.connection, &self.module, &cvid.to_string())),
            BatchPayload::Same {
                records: Records::Ids(_),
                ..
            }
            | BatchPayload::Rows { .. } => None,
        }
    }
}

/// The name of the lock on a custom view.
pub(super) fn view_lock(connection: &str, module: &ModuleName, cvid: &str) -> String {
    format!("view/{connection}/{module}/{cvid}")
}

/// Those of `failures` that concern records of this call.
pub(super) fn failures_of(failures: &[Failure], state: &CallState, job: &Job) -> Vec<Failure> {
    let own: HashSet<RecordId> = job.remaining_ids(state).into_iter().collect();
    failures
        .iter()
        .filter(|failure| own.contains(&failure.id))
        .cloned()
        .collect()
}

/// Puts calls into batches, first fit.
#[derive(Default)]
pub(super) struct Packer {
    pub(super) batches: Vec<Batch>,
    /// The batches of each key, and the row that each of them has for a record.
    open: HashMap<String, Vec<(usize, RowsById)>>,
}

/// The row of each record of a batch; null if all records have the same values.
type RowsById = HashMap<RecordId, Value>;

impl Packer {
    /// Puts a call into a batch. `ids` are the records that it has still to update.
    pub(super) fn put(
        &mut self,
        call_ref: CallRef,
        connection: &str,
        request: Resolved<'_>,
        call: &Call,
        ids: Vec<RecordId>,
    ) {
        let about = request.request();
        let kind = call.target.kind();
        let change = call.change(request);
        let repeat = match call.adds_options(about) {
            true => Repeat::Never,
            false => Repeat::Safe,
        };
        let open = self
            .open
            .entry(key(connection, request, call, &change))
            .or_default();
        let rows = rows_of(call, about, ids);
        let capacity = kind.capacity();
        let bytes_of = |row: &Value| match row.is_null() {
            true => ID_BYTES,
            false => row.to_string().len() + 1,
        };
        let sizes: Vec<usize> = rows.iter().map(|(_, row)| bytes_of(row)).collect();
        let batches = &self.batches;
        let fits = |index: usize, known: &RowsById| {
            let more = rows.iter().zip(&sizes);
            let more = more.filter(|((id, _), _)| !known.contains_key(id));
            let bytes: usize = more.map(|(_, size)| size).sum();
            if batches[index].bytes + bytes > MAX_BYTES {
                return false;
            }
            let new = rows.iter().filter(|(id, _)| !known.contains_key(id));
            let free = capacity.saturating_sub(known.len());
            // In a full batch the first new record decides. There may be a hundred full batches before this one.
            new.take(free + 1).count() <= free
                && rows
                    .iter()
                    .all(|(id, row)| known.get(id).is_none_or(|known| known == row))
        };
        let place = match open.iter().position(|(index, known)| fits(*index, known)) {
            Some(place) => place,
            None => {
                open.push((self.batches.len(), RowsById::new()));
                let mut batch = Batch {
                    connection: connection.to_owned(),
                    module: about.module.clone(),
                    kind,
                    payload: BatchPayload::of(request, kind, change),
                    repeat,
                    calls: Vec::new(),
                    bytes: 0,
                };
                batch.bytes = batch.body().to_string().len();
                self.batches.push(batch);
                open.len() - 1
            }
        };
        let (index, known) = &mut open[place];
        let batch = &mut self.batches[*index];
        batch.calls.push(call_ref);
        if repeat == Repeat::Never {
            batch.repeat = Repeat::Never;
        }
        for ((id, row), size) in rows.into_iter().zip(sizes) {
            if let Entry::Vacant(vacant) = known.entry(id) {
                batch.bytes += size;
                batch.payload.put(id, &row);
                vacant.insert(row);
            }
        }
    }
}

/// The rows of a call for these records; null if they all have the same values.
fn rows_of(call: &Call, request: &UpdateRequest, ids: Vec<RecordId>) -> Vec<(RecordId, Value)> {
    let data = match call.target.kind().answer_form() {
        AnswerForm::Rows => Some(call.data(request)),
        AnswerForm::Results | AnswerForm::Job => None,
    };
    let row_of = |id| match &data {
        Some(data) => (id, row(id, data, request.over_write)),
        None => (id, Value::Null),
    };
    ids.into_iter().map(row_of).collect()
}

impl BatchPayload {
    /// The payload of calls of a kind, without the records that they name.
    fn of(request: Resolved<'_>, kind: CallKind, change: Change) -> Self {
        let records = match kind.answer_form() {
            AnswerForm::Rows => {
                let (ids, rows) = (Vec::new(), Vec::new());
                return Self::Rows { ids, rows };
            }
            AnswerForm::Results => Records::Ids(Vec::new()),
            AnswerForm::Job => request.records().clone(),
        };
        Self::Same { change, records }
    }

    fn put(&mut self, id: RecordId, row: &Value) {
        match self {
            Self::Same {
                records: Records::Ids(ids),
                ..
            } => ids.push(id),
            Self::Same {
                records: Records::View { .. },
                ..
            } => {}
            Self::Rows { ids, rows } => {
                ids.push(id);
                rows.push(row.clone());
            }
        }
    }
}

/// The properties that calls must share to be in one batch. The order of the fields and of the tags does not matter. Whether
/// two rows for one record agree is checked when they meet.
fn key(connection: &str, request: Resolved<'_>, call: &Call, change: &Change) -> String {
    let module = request.request().module.as_str();
    let kind = call.target.kind();
    let key = match (kind.answer_form(), request.records()) {
        // A call that must not be sent twice does not delay others.
        (AnswerForm::Rows, _) => {
            let once = call.adds_options(request.request());
            serde_json::json!([connection, module, kind, once])
        }
        (AnswerForm::Job, Records::View { cvid, territory }) => {
            let territory = territory.map(|territory| territory.to_json());
            let cvid = cvid.to_string();
            serde_json::json!([connection, module, kind, change.key(), cvid, territory])
        }
        (AnswerForm::Job, Records::Ids(_)) | (AnswerForm::Results, _) => {
            serde_json::json!([connection, module, kind, change.key()])
        }
    };
    key.to_string()
}
