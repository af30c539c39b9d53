//! One call to Zoho: its target, its fields and its JSON.

use std::fmt;
use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Change, PlanLimits};
use crate::update::{
    Assignment, FieldName, MatchValue, ModuleName, RecordId, Records, Resolved, StepKind,
    UpdateMethod, UpdateRequest,
};

/// The records that a call changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// A mass update of a range of the request's ids. Zoho reports the result of each record in its response.
    Immediate(Range<usize>),
    /// A mass update of a custom view, which Zoho runs as a job.
    Scheduled,
    /// A record update of a range of the request's ids, one row for each. Zoho reports the result of each record.
    Records(Range<usize>),
    /// An upsert of a range of the request's new records, one row for each. Zoho reports the result of each row.
    Upsert(Range<usize>),
    /// Adds tags to a range of the request's records: its ids, and then its new records.
    AddTags(Range<usize>),
    /// Removes tags from a range of the request's records.
    RemoveTags(Range<usize>),
    /// Changes the owner of a range of the request's records.
    ChangeOwner(Range<usize>),
    /// Changes the owner of the records of a custom view, which Zoho runs as a job.
    MassChangeOwner,
}

impl Target {
    /// The range of the request's records: its ids, and then its new records; none for a custom view and for calls that create
    /// records.
    pub fn named(&self) -> Option<&Range<usize>> {
        match self {
            Self::Immediate(range)
            | Self::Records(range)
            | Self::AddTags(range)
            | Self::RemoveTags(range)
            | Self::ChangeOwner(range) => Some(range),
            Self::Scheduled | Self::MassChangeOwner | Self::Upsert(_) => None,
        }
    }

    /// The range of the new records that the call creates; none for any other call.
    pub fn new_records(&self) -> Option<&Range<usize>> {
        match self {
            Self::Upsert(range) => Some(range),
            Self::Immediate(_)
            | Self::Scheduled
            | Self::Records(_)
            | Self::AddTags(_)
            | Self::RemoveTags(_)
            | Self::ChangeOwner(_)
            | Self::MassChangeOwner => None,
        }
    }

    /// The number of records; none for a custom view.
    pub fn records(&self) -> Option<usize> {
        let range = self.named().or_else(|| self.new_records());
        range.map(ExactSizeIterator::len)
    }

    /// The kind of the call.
    pub fn kind(&self) -> CallKind {
        match self {
            Self::Immediate(_) => CallKind::Immediate,
            Self::Scheduled => CallKind::Scheduled,
            Self::Records(_) => CallKind::Records,
            Self::Upsert(_) => CallKind::Upsert,
            Self::AddTags(_) => CallKind::AddTags,
            Self::RemoveTags(_) => CallKind::RemoveTags,
            Self::ChangeOwner(_) => CallKind::ChangeOwner,
            Self::MassChangeOwner => CallKind::MassChangeOwner,
        }
    }
}

/// Which Zoho endpoint a call uses, and whether Zoho answers it with results or with a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CallKind {
    /// A mass update of ids, answered with the result of each record.
    Immediate,
    /// A mass update of a custom view, answered with a job that has to be tracked.
    Scheduled,
    /// A record update, answered with the result of each record.
    Records,
    /// An upsert of new records, answered with the result of each of them.
    Upsert,
    /// Adds tags to ids, answered with the result of each record.
    AddTags,
    /// Removes tags from ids, answered with the result of each record.
    RemoveTags,
    /// Changes the owner of ids, answered with the result of each record.
    ChangeOwner,
    /// Changes the owner of a custom view's records, answered with a job that has to be tracked.
    MassChangeOwner,
}

/// How Zoho answers a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerForm {
    /// With the result of each record. An entry that names no record may concern the whole call.
    Results,
    /// With the result of each row, in the order of the rows.
    Rows,
    /// With the result of each row of new records, in their order.
    NewRows,
    /// With the id of a job that has to be tracked.
    Job,
}

impl CallKind {
    /// The update method that sends such calls; none if they set no fields.
    pub fn method(self) -> Option<UpdateMethod> {
        match self {
            Self::Immediate | Self::Scheduled => Some(UpdateMethod::MassUpdate),
            Self::Records => Some(UpdateMethod::Records),
            Self::Upsert
            | Self::AddTags
            | Self::RemoveTags
            | Self::ChangeOwner
            | Self::MassChangeOwner => None,
        }
    }

    /// The step that such calls belong to.
    pub fn step(self) -> StepKind {
        match self {
            Self::Upsert => StepKind::Create,
            Self::Immediate | Self::Scheduled | Self::Records => StepKind::Fields,
            Self::AddTags => StepKind::AddTags,
            Self::RemoveTags => StepKind::RemoveTags,
            Self::ChangeOwner | Self::MassChangeOwner => StepKind::Owner,
        }
    }

    /// How Zoho answers such calls.
    pub fn answer_form(self) -> AnswerForm {
        match self {
            Self::Immediate | Self::AddTags | Self::RemoveTags | Self::ChangeOwner => {
                AnswerForm::Results
            }
            Self::Records => AnswerForm::Rows,
            Self::Upsert => AnswerForm::NewRows,
            Self::Scheduled | Self::MassChangeOwner => AnswerForm::Job,
        }
    }

    /// The most records that one such call may name.
    pub fn capacity(self) -> usize {
        match self {
            Self::Records | Self::Upsert => PlanLimits::ZOHO.records_per_call,
            Self::Immediate
            | Self::Scheduled
            | Self::AddTags
            | Self::RemoveTags
            | Self::ChangeOwner
            | Self::MassChangeOwner => PlanLimits::ZOHO.ids_per_call,
        }
    }

    /// The HTTP method.
    pub fn verb(self) -> &'static str {
        match self {
            Self::Immediate
            | Self::Scheduled
            | Self::AddTags
            | Self::RemoveTags
            | Self::ChangeOwner
            | Self::MassChangeOwner
            | Self::Upsert => "POST",
            Self::Records => "PUT",
        }
    }

    /// The endpoint that such calls in `module` are sent to, as the rest of a path after the version.
    pub fn endpoint(self, module: &ModuleName) -> String {
        let action = match self {
            Self::Immediate | Self::Scheduled => "mass_update",
            Self::AddTags => "add_tags",
            Self::RemoveTags => "remove_tags",
            Self::ChangeOwner => "change_owner",
            Self::MassChangeOwner => "mass_change_owner",
            Self::Records => return module.to_string(),
            Self::Upsert => return format!("{module}/upsert"),
        };
        format!("{module}/actions/{action}")
    }

    /// The name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Immediate => "immediate",
            Self::Scheduled => "scheduled",
            Self::Records => "records",
            Self::Upsert => "upsert",
            Self::AddTags => "add_tags",
            Self::RemoveTags => "remove_tags",
            Self::ChangeOwner => "change_owner",
            Self::MassChangeOwner => "mass_change_owner",
        }
    }
}

impl fmt::Display for CallKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// One call to Zoho.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Number in the plan, from 1.
    pub seq: usize,
    /// Number of the group, from 1. Groups run one after the other; calls of one group may run in parallel. A step that sets
    /// fields may have several groups.
    pub group: usize,
    /// The fields to set; none if the call changes something else.
    pub fields: Vec<FieldName>,
    /// The records to change.
    pub target: Target,
}

impl Call {
    /// The ids of the request that this call updates; empty for a custom view and for new records.
    pub fn ids<'a>(&self, request: Resolved<'a>) -> &'a [RecordId] {
        match (self.target.named(), request.records()) {
            (Some(range), Records::Ids(ids)) => {
                let known = range.start.min(ids.len())..range.end.min(ids.len());
                ids.get(known).unwrap_or_default()
            }
            (Some(_), Records::View { .. }) | (None, _) => &[],
        }
    }

    /// The numbers of the new records that this call changes once they are created.
    pub fn created_before(&self, request: Resolved<'_>) -> Range<usize> {
        match (self.target.named(), request.records()) {
            (Some(range), Records::Ids(ids)) => {
                range.start.saturating_sub(ids.len())..range.end.saturating_sub(ids.len())
            }
            (Some(_), Records::View { .. }) | (None, _) => 0..0,
        }
    }

    /// The values of whose records this call creates; empty for any other call.
    pub fn new_values<'a>(&self, request: &'a UpdateRequest) -> &'a [MatchValue] {
        match (self.target.new_records(), &request.new_records) {
            (Some(range), Some(new)) => new.values().get(range.clone()).unwrap_or_default(),
            (Some(_), None) | (None, _) => &[],
        }
    }

    /// The step that the call belongs to.
    pub fn step(&self) -> StepKind {
        self.target.kind().step()
    }

    /// The fields that this call sets, with their values; of new records, those that all of them get.
    pub fn data(&self, request: &UpdateRequest) -> Map<String, Value> {
        if let (Target::Upsert(_), Some(new)) = (&self.target, &request.new_records) {
            return new.data(&request.fields);
        }
        let set = request
            .fields
            .iter()
            .filter(|assignment| self.fields.contains(&assignment.field));
        set.map(|Assignment { field, value }| (field.to_string(), value.clone()))
            .collect()
    }

    /// Whether the call adds options to multi-select picklists, which may not be idempotent. New records have none.
    pub fn adds_options(&self, request: &UpdateRequest) -> bool {
        if self.target.new_records().is_some() {
            return false;
        }
        let mut added = request.appended_fields();
        added.any(|field| self.fields.contains(field))
    }

    /// What the call changes on each of its records.
    pub fn change(&self, request: Resolved<'_>) -> Change {
        let update = request.request();
        match (&self.target, request.owner()) {
            (Target::AddTags(_), _) => Change::AddTags(update.tags.add.clone()),
            (Target::RemoveTags(_), _) => Change::RemoveTags(update.tags.remove.clone()),
            (Target::ChangeOwner(_) | Target::MassChangeOwner, Some(owner)) => Change::Owner(owner),
            // Only a request with an owner has calls that change it.
            (
                Target::Immediate(_)
                | Target::Scheduled
                | Target::Records(_)
                | Target::Upsert(_)
                | Target::ChangeOwner(_)
                | Target::MassChangeOwner,
                _,
            ) => Change::Fields {
                data: self.data(update),
                over_write: update.over_write,
            },
        }
    }

    /// The exact JSON body.
    pub fn body(&self, request: Resolved<'_>) -> Value {
        let ids = self.ids(request);
        let update = request.request();
        match self.target.kind().answer_form() {
            AnswerForm::Results => self.change(request).body(&Records::Ids(ids.to_vec())),
            AnswerForm::Job => self.change(request).body(request.records()),
            AnswerForm::Rows => {
                let data = self.data(update);
                let rows = ids.iter().map(|id| row(*id, &data, update.over_write));
                rows_body(rows.collect())
            }
            AnswerForm::NewRows => update.new_records.as_ref().map_or(Value::Null, |new| {
                let data = self.data(update);
                let values = self.new_values(update).iter();
                let rows = values.map(|value| new.row(value, &data)).collect();
                upsert_body(&new.query.field, rows)
            }),
        }
    }
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

/// The body of an upsert that finds duplicates by `field`. The rows replace the options of multi-select picklists, so that a
/// repeated call has the same effect.
pub fn upsert_body(field: &FieldName, rows: Vec<Value>) -> Value {
    json!({"data": rows, "duplicate_check_fields": [field.as_str()]})
}

/// The JSON text of a value. `Display` would write it in pieces of a few bytes.
///
/// # Panics
/// Never, because all keys of a value are strings.
pub fn json_text(value: &Value) -> String {
    serde_json::to_string(value).expect("all keys are strings")
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
