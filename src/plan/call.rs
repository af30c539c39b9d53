//! One request to Zoho: which records it updates, how that is answered, and the JSON that it carries.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Way;
use crate::update::{Assignment, FieldName, RecordId, Records, Resolved, UpdateRequest};

/// Which records a call updates, and how Zoho answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Named records, answered at once, record by record: a range of the request's ids.
    Immediate(Range<usize>),
    /// A custom view, run by Zoho as a job of its own.
    Scheduled,
    /// Named records, each a row of its own in an update of records, answered as [`Target::Immediate`] is: a range of the
    /// request's ids.
    Records(Range<usize>),
}

impl Target {
    /// By what call they are updated.
    pub fn way(&self) -> Way {
        match self {
            Self::Immediate(_) | Self::Scheduled => Way::MassUpdate,
            Self::Records(_) => Way::Records,
        }
    }

    /// The records that it names, as a range of the request's ids.
    pub fn named(&self) -> Option<&Range<usize>> {
        match self {
            Self::Immediate(range) | Self::Records(range) => Some(range),
            Self::Scheduled => None,
        }
    }

    /// What the call is called in JSON.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Immediate(_) => Kind::Immediate,
            Self::Scheduled => Kind::Scheduled,
            Self::Records(_) => Kind::Records,
        }
    }
}

/// How Zoho takes and answers a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A mass update of named records: at once, record by record.
    Immediate,
    /// A mass update of a custom view: with a job that has to be tracked.
    Scheduled,
    /// An update of records: at once, record by record.
    Records,
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Immediate => "immediate",
            Self::Scheduled => "scheduled",
            Self::Records => "records",
        })
    }
}

/// One request to Zoho: a POST to `/crm/v7/{module}/actions/mass_update`, or a PUT to `/crm/v7/{module}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Its number in the plan, from 1.
    pub seq: usize,
    /// The number of its field group, from 1. Groups run one after the other; the calls of a group may run at once.
    pub group: usize,
    /// The fields that it sets.
    pub fields: Vec<FieldName>,
    /// The records that it sets them on.
    pub target: Target,
}

impl Call {
    /// The ids of this call; empty when Zoho finds the records itself.
    pub fn ids<'a>(&self, request: Resolved<'a>) -> &'a [RecordId] {
        match (self.target.named(), request.records()) {
            (Some(range), Records::Ids(ids)) => ids.get(range.clone()).unwrap_or_default(),
            (Some(_), Records::View { .. }) | (None, _) => &[],
        }
    }

    /// The fields that this call sets, and their values.
    pub fn data(&self, request: &UpdateRequest) -> Map<String, Value> {
        let set = request
            .fields
            .iter()
            .filter(|assignment| self.fields.contains(&assignment.field));
        set.map(|Assignment { field, value }| (field.to_string(), value.clone()))
            .collect()
    }

    /// Whether it adds options to multi-select picklists, which is not known to be the same done once and done twice.
    pub fn adds_options(&self, request: &UpdateRequest) -> bool {
        let mut added = request.added();
        added.any(|field| self.fields.contains(field))
    }

    /// The exact JSON that is sent.
    pub fn body(&self, request: Resolved<'_>) -> Value {
        let ids = self.ids(request);
        let about = request.request();
        let data = self.data(about);
        match self.target {
            Target::Immediate(_) => body(data, &Records::Ids(ids.to_vec()), about.over_write),
            Target::Scheduled => body(data, request.records(), about.over_write),
            Target::Records(_) => {
                let rows = ids.iter().map(|id| row(*id, &data, about.over_write));
                rows_body(rows.collect())
            }
        }
    }
}

/// The JSON of a mass update. `over_write` is left out when false, as that is Zoho's default and the newer specification
/// does not list the key.
pub fn body(data: Map<String, Value>, records: &Records, over_write: bool) -> Value {
    let mut body = Map::from_iter([("data".to_owned(), json!([data]))]);
    records.insert_into(&mut body);
    if over_write {
        body.insert("over_write".to_owned(), Value::Bool(true));
    }
    Value::Object(body)
}

/// One record of an update of records. Such an update replaces the options of a multi-select picklist unless it is told to
/// add to them, which a mass update does by itself: `over_write` means the same for both.
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

/// Whether it is what a multi-select picklist is set to.
fn are_options(value: &Value) -> bool {
    let items = value.as_array();
    items.is_some_and(|items| items.iter().all(Value::is_string))
}

/// The JSON of an update of records. `trigger` is left out: without it Zoho runs workflows, approvals and blueprints, as
/// it does for a mass update of named records.
pub fn rows_body(rows: Vec<Value>) -> Value {
    json!({"data": rows})
}
