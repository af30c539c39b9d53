//! One call to Zoho: its target, its fields and its JSON.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::update::{
    Assignment, FieldName, ModuleName, RecordId, Records, Resolved, UpdateMethod, UpdateRequest,
};

/// The records that a call updates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// A mass update of a range of the request's ids. Zoho reports the result of each record in its response.
    Immediate(Range<usize>),
    /// A mass update of a custom view, which Zoho runs as a job.
    Scheduled,
    /// A record update of a range of the request's ids, one row for each. Zoho reports the result of each record.
    Records(Range<usize>),
}

impl Target {
    /// The range of the request's ids; none for a custom view.
    pub fn named(&self) -> Option<&Range<usize>> {
        match self {
            Self::Immediate(range) | Self::Records(range) => Some(range),
            Self::Scheduled => None,
        }
    }

    /// The kind of the call.
    pub fn kind(&self) -> CallKind {
        match self {
            Self::Immediate(_) => CallKind::Immediate,
            Self::Scheduled => CallKind::Scheduled,
            Self::Records(_) => CallKind::Records,
        }
    }
}

/// Which Zoho endpoint a call uses, and whether Zoho answers it with results or with a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallKind {
    /// A mass update of ids, answered with the result of each record.
    Immediate,
    /// A mass update of a custom view, answered with a job that has to be tracked.
    Scheduled,
    /// A record update, answered with the result of each record.
    Records,
}

impl CallKind {
    /// The update method that sends such calls.
    pub fn method(self) -> UpdateMethod {
        match self {
            Self::Immediate | Self::Scheduled => UpdateMethod::MassUpdate,
            Self::Records => UpdateMethod::Records,
        }
    }

    /// The HTTP method.
    pub fn verb(self) -> &'static str {
        match self {
            Self::Immediate | Self::Scheduled => "POST",
            Self::Records => "PUT",
        }
    }

    /// The endpoint that such calls in `module` are sent to, as the rest of a path after the version.
    pub fn endpoint(self, module: &ModuleName) -> String {
        match self {
            Self::Immediate | Self::Scheduled => mass_update_endpoint(module),
            Self::Records => module.to_string(),
        }
    }
}

/// The endpoint of mass updates of `module`.
pub fn mass_update_endpoint(module: &ModuleName) -> String {
    format!("{module}/actions/mass_update")
}

impl fmt::Display for CallKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Immediate => "immediate",
            Self::Scheduled => "scheduled",
            Self::Records => "records",
        })
    }
}

/// One call to Zoho: a POST to `{module}/actions/mass_update`, or a PUT to `{module}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Number in the plan, from 1.
    pub seq: usize,
    /// Number of the field group, from 1. Groups run one after the other; calls of one group may run in parallel.
    pub group: usize,
    /// The fields to set.
    pub fields: Vec<FieldName>,
    /// The records to update.
    pub target: Target,
}

impl Call {
    /// The ids that this call updates; empty for a custom view.
    pub fn ids<'a>(&self, request: Resolved<'a>) -> &'a [RecordId] {
        match (self.target.named(), request.records()) {
            (Some(range), Records::Ids(ids)) => ids.get(range.clone()).unwrap_or_default(),
            (Some(_), Records::View { .. }) | (None, _) => &[],
        }
    }

    /// The fields that this call sets, with their values.
    pub fn data(&self, request: &UpdateRequest) -> Map<String, Value> {
        let set = request
            .fields
            .iter()
            .filter(|assignment| self.fields.contains(&assignment.field));
        set.map(|Assignment { field, value }| (field.to_string(), value.clone()))
            .collect()
    }

    /// Whether the call adds options to multi-select picklists, which may not be idempotent.
    pub fn adds_options(&self, request: &UpdateRequest) -> bool {
        let mut added = request.appended_fields();
        added.any(|field| self.fields.contains(field))
    }

    /// The exact JSON body.
    pub fn body(&self, request: Resolved<'_>) -> Value {
        let ids = self.ids(request);
        let update = request.request();
        let data = self.data(update);
        match self.target {
            Target::Immediate(_) => body(data, &Records::Ids(ids.to_vec()), update.over_write),
            Target::Scheduled => body(data, request.records(), update.over_write),
            Target::Records(_) => {
                let rows = ids.iter().map(|id| row(*id, &data, update.over_write));
                rows_body(rows.collect())
            }
        }
    }
}

/// The body of a mass update. A false `over_write` is left out: that is Zoho's default, and the newer specification does not
/// list the key.
pub fn body(data: Map<String, Value>, records: &Records, over_write: bool) -> Value {
    let mut body = Map::from_iter([("data".to_owned(), json!([data]))]);
    records.insert_into(&mut body);
    if over_write {
        body.insert("over_write".to_owned(), Value::Bool(true));
    }
    Value::Object(body)
}

/// One row of a record update. A mass update adds options to a multi-select picklist by default; a record update replaces
/// them unless `$append_values` names the field. The row sets it so that `over_write` has the same effect in both.
pub fn row(id: RecordId, data: &Map<String, Value>, over_write: bool) -> Value {
    let added = data
        .iter()
        .filter(|(_, value)| !over_write && are_options(value));
    let added: Map<String, Value> = added
        .map(|(field, _)| (field.clone(), Value::Bool(true)))
        .collect();
    let mut row = Map::from_iter([("id".to_owned(), json!(id.to_string()))]);
    row.extend(data.clone());
    if !added.is_empty() {
        row.insert("$append_values".to_owned(), Value::Object(added));
    }
    Value::Object(row)
}

/// Whether `value` can be the value of a multi-select picklist.
fn are_options(value: &Value) -> bool {
    let items = value.as_array();
    items.is_some_and(|items| items.iter().all(Value::is_string))
}

/// The body of a record update. `trigger` is left out: without it Zoho runs workflows, approvals and blueprints, as it does
/// for a mass update of ids.
pub fn rows_body(rows: Vec<Value>) -> Value {
    json!({"data": rows})
}
