//! Batches: requests that perform calls of several jobs at once. Pure.
//!
//! Calls that make the same change to single records through the same connection share batches of up to 500 ids: they set the
//! same fields to the same values, add or remove the same tags, or name the same owner. Record updates have their own values,
//! so they share batches of up to 100 records unless two rows for one record differ, and only up to [`MAX_BYTES`]. Upserts by
//! the same field do so too; one value has one row in a round, so that no two calls create a record of it at once. A call is
//! never split, so its answer comes in one piece. Equal calls on one custom view share one Zoho job.

mod rows;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use serde_json::Value;

use crate::job::{CallState, Job};
use crate::outcome::{Failure, NewRecordOutcome};
use crate::plan::{AnswerForm, Call, CallKind, Change, json_text, rows_body, upsert_body};
use crate::update::{FieldName, ModuleName, RecordId, Records, Resolved};
use crate::zoho::Repeat;
pub(super) use rows::RemainingRecords;
use rows::{RowKey, RowsByKey, differs, row_bytes, rows_of};

/// Bytes of a request body that calls may share, so that a large call does not make those that share its batch fail. A call
/// that is larger has a batch of its own.
pub(super) const MAX_BYTES: usize = 1 << 20;

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
    /// One row of values per new record, in the order of the keys of their values.
    NewRows {
        /// The field by which Zoho finds duplicates.
        field: FieldName,
        keys: Vec<String>,
        rows: Vec<Value>,
    },
}

impl Batch {
    /// The JSON of the request.
    pub(super) fn body(&self) -> Value {
        match &self.payload {
            BatchPayload::Same { change, records } => change.body(records),
            BatchPayload::Rows { rows, .. } => rows_body(rows.clone()),
            BatchPayload::NewRows { field, rows, .. } => upsert_body(field, rows.clone()),
        }
    }

    /// The ids in the request; none for a custom view and for new records.
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
            }
            | BatchPayload::NewRows { .. } => &[],
        }
    }

    /// The number of rows or ids in the request; 0 for a custom view.
    pub(super) fn record_count(&self) -> usize {
        match &self.payload {
            BatchPayload::NewRows { rows, .. } => rows.len(),
            BatchPayload::Same { .. } | BatchPayload::Rows { .. } => self.ids().len(),
        }
    }

    /// The outcomes of the new records of one of its calls, given those of its rows.
    pub(super) fn new_records_of(
        &self,
        rows: &[NewRecordOutcome],
        job: &Job,
        call: &Call,
    ) -> Vec<(usize, NewRecordOutcome)> {
        let Some(new) = &job.request.new_records else {
            return Vec::new();
        };
        let by_key = self.outcomes_by_key(rows);
        let outcome = |(number, value)| {
            let outcome = by_key.get(new.key(value).as_str()).copied();
            let outcome = outcome.cloned();
            (number, outcome.unwrap_or(NewRecordOutcome::CallFailed))
        };
        job.remaining_new(call).into_iter().map(outcome).collect()
    }

    /// The outcomes of new records by the keys of their values, given those of its rows.
    pub(super) fn outcomes_by_key<'a>(
        &'a self,
        rows: &'a [NewRecordOutcome],
    ) -> HashMap<&'a str, &'a NewRecordOutcome> {
        match &self.payload {
            BatchPayload::NewRows { keys, .. } => {
                keys.iter().map(String::as_str).zip(rows).collect()
            }
            BatchPayload::Same { .. } | BatchPayload::Rows { .. } => HashMap::new(),
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
    pub(super) fn part(&self, call: CallRef, job: &Job, state: &CallState) -> Self {
        let payload = match &self.payload {
            BatchPayload::Same { change, .. } => BatchPayload::Same {
                change: change.clone(),
                records: Records::Ids(job.remaining_ids(state)),
            },
            BatchPayload::Rows { ids, rows } => {
                let own: HashSet<RecordId> = job.remaining_ids(state).into_iter().collect();
                let rows = ids.iter().zip(rows).filter(|(id, _)| own.contains(id));
                let (ids, rows) = rows.map(|(id, row)| (*id, row.clone())).unzip();
                BatchPayload::Rows { ids, rows }
            }
            BatchPayload::NewRows { field, keys, rows } => {
                let new = job.request.new_records.iter();
                let values = job.remaining_new(&state.call);
                let own: HashSet<String> = new
                    .flat_map(|new| values.iter().map(|(_, value)| new.key(value)))
                    .collect();
                let rows = keys.iter().zip(rows).filter(|(key, _)| own.contains(*key));
                let (keys, rows) = rows.map(|(key, row)| (key.clone(), row.clone())).unzip();
                BatchPayload::NewRows {
                    field: field.clone(),
                    keys,
                    rows,
                }
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
            | BatchPayload::Rows { .. }
            | BatchPayload::NewRows { .. } => None,
        }
    }
}

/// The name of the lock on a custom view.
pub(super) fn view_lock(connection: &str, module: &ModuleName, cvid: &str) -> String {
    format!("view/{connection}/{module}/{cvid}")
}

/// Those of `failures` that concern records of this call.
pub(super) fn failures_of(failures: &[Failure], state: &CallState, job: &Job) -> Vec<Failure> {
    if failures.is_empty() {
        return Vec::new();
    }
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
    open: HashMap<String, Vec<(usize, RowsByKey)>>,
}

impl Packer {
    /// Puts a call into a batch. `remaining` is what it has still to do. An upsert stays for a later round if another one
    /// creates a record of the same value with other fields.
    pub(super) fn put(
        &mut self,
        call_ref: CallRef,
        connection: &str,
        request: Resolved<'_>,
        call: &Call,
        remaining: RemainingRecords,
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
        let rows = rows_of(about, call, remaining);
        let differs = |known: &RowsByKey| differs(&rows, known);
        let is_upsert = kind.answer_form() == AnswerForm::NewRows;
        if is_upsert && open.iter().any(|(_, known)| differs(known)) {
            return;
        }
        let capacity = kind.capacity();
        let sizes: Vec<usize> = rows.iter().map(|(_, row)| row_bytes(row)).collect();
        let batches = &self.batches;
        let fits = |index: usize, known: &RowsByKey| {
            let more = rows.iter().zip(&sizes);
            let mut more = more.filter(|((key, _), _)| !known.contains_key(key));
            let (mut free, mut bytes) =
                (capacity.saturating_sub(known.len()), batches[index].bytes);
            // In a full batch the first new record decides. There may be a hundred full batches before this one.
            bytes <= MAX_BYTES
                && more.all(|(_, size)| {
                    bytes += size;
                    let fits = free > 0 && bytes <= MAX_BYTES;
                    free = free.saturating_sub(1);
                    fits
                })
                && !differs(known)
        };
        let place = match open.iter().position(|(index, known)| fits(*index, known)) {
            Some(place) => place,
            None => {
                open.push((self.batches.len(), RowsByKey::new()));
                let mut batch = Batch {
                    connection: connection.to_owned(),
                    module: about.module.clone(),
                    kind,
                    payload: BatchPayload::of(request, kind, change),
                    repeat,
                    calls: Vec::new(),
                    bytes: 0,
                };
                batch.bytes = json_text(&batch.body()).len();
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
        for ((key, row), size) in rows.into_iter().zip(sizes) {
            if let Entry::Vacant(vacant) = known.entry(key) {
                batch.bytes += size;
                batch.payload.put(vacant.key(), row.as_deref());
                vacant.insert(row);
            }
        }
    }
}

impl BatchPayload {
    /// The payload of calls of a kind, without the records that they name.
    fn of(request: Resolved<'_>, kind: CallKind, change: Change) -> Self {
        let records = match kind.answer_form() {
            AnswerForm::Rows => {
                let (ids, rows) = (Vec::new(), Vec::new());
                return Self::Rows { ids, rows };
            }
            AnswerForm::NewRows => {
                if let Some(new) = &request.request().new_records {
                    return Self::NewRows {
                        field: new.query.field.clone(),
                        keys: Vec::new(),
                        rows: Vec::new(),
                    };
                }
                Records::Ids(Vec::new())
            }
            AnswerForm::Results => Records::Ids(Vec::new()),
            AnswerForm::Job => request.records().clone(),
        };
        Self::Same { change, records }
    }

    fn put(&mut self, key: &RowKey, row: Option<&Value>) {
        match (self, key, row) {
            (
                Self::Same {
                    records: Records::Ids(ids),
                    ..
                },
                RowKey::Record(id),
                _,
            ) => ids.push(*id),
            (Self::Rows { ids, rows }, RowKey::Record(id), Some(row)) => {
                ids.push(*id);
                rows.push(row.clone());
            }
            (Self::NewRows { keys, rows, .. }, RowKey::Value(key), Some(row)) => {
                keys.push(key.to_string());
                rows.push(row.clone());
            }
            (Self::Same { .. } | Self::Rows { .. } | Self::NewRows { .. }, ..) => {}
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
        (AnswerForm::NewRows, _) => {
            let new = request.request().new_records.as_ref();
            let field = new.map(|new| new.query.field.as_str());
            serde_json::json!([connection, module, kind, field])
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
    json_text(&key)
}
