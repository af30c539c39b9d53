//! One module of the org with its records.
//!
//! A record's seeded values are a function of its index, so a module of 50,000 records needs no memory until records
//! are changed. Records that are created later follow the seeded ones.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::org::field::FieldType;
use crate::org::schema::{CONVERTED, MODIFIED_TIME, Schema, TAG};
use crate::org::seed_data::{
    MIN_RECORDS_FOR_CONDITIONS, RecordCondition, SEEDED_CONDITIONS, USER_ID, format_zoho_time,
    layout, seeded_at, seeded_value, user,
};
use crate::org::territories::territory_of;
use crate::org::users::CrmUser;
use crate::org::views::View;
use crate::response::{ApiResponse, EndpointResult, reject};

/// The changes of a record since it was seeded.
#[derive(Clone, Debug, Default)]
struct RecordChanges {
    values: BTreeMap<&'static str, Value>,
    /// The names of the tags, in the order in which they were added.
    tags: Vec<String>,
    modified: Option<Timestamp>,
}

/// A module of the org.
#[derive(Debug)]
pub(crate) struct Module {
    /// The name and the fields.
    pub(crate) schema: &'static Schema,
    /// The number of records, with the created ones.
    pub(crate) records: u64,
    /// The number of seeded records.
    seeded: u64,
    /// When the records after the seeded ones were created.
    created: Vec<Timestamp>,
    /// The custom views.
    pub(crate) views: Vec<View>,
    changes: BTreeMap<u64, RecordChanges>,
    /// Whether every number of 10 to 19 digits is the id of a record.
    pub(crate) any_record_id: bool,
}

/// The index of a record that is not seeded is its id above this number.
const ANY_RECORD: u64 = 1 << 63;

impl Module {
    /// The index of the record with this id.
    pub(crate) fn index_of(&self, id: &str) -> Option<u64> {
        let id: u64 = if id.starts_with('+') {
            None
        } else {
            id.parse().ok()
        }?;
        let seeded = id.checked_sub(self.schema.first_id);
        let seeded = seeded.filter(|index| *index < self.records);
        let is_id = self.any_record_id && (1_000_000_000..ANY_RECORD).contains(&id);
        seeded.or_else(|| is_id.then(|| ANY_RECORD + id))
    }

    /// The id of the record at an index.
    pub(crate) fn record_id(&self, index: u64) -> String {
        match index.checked_sub(ANY_RECORD) {
            Some(id) => id.to_string(),
            None => (self.schema.first_id + index).to_string(),
        }
    }

    /// The condition of the record at an index.
    pub(crate) fn condition(&self, index: u64) -> RecordCondition {
        let with_condition = SEEDED_CONDITIONS.len() as u64;
        let first = self.seeded.saturating_sub(with_condition);
        let is_seeded = index < self.seeded;
        if self.seeded < MIN_RECORDS_FOR_CONDITIONS || index < first || !is_seeded {
            return RecordCondition::Clean;
        }
        let condition = SEEDED_CONDITIONS[(index - first) as usize];
        if condition == RecordCondition::Converted && self.schema.name != "Leads" {
            return RecordCondition::Clean;
        }
        condition
    }

    /// Whether the record at an index accepts an update of these fields. A blueprint controls its picklist only.
    pub(crate) fn accepts_update<'a>(
        &self,
        index: u64,
        mut fields: impl Iterator<Item = &'a String>,
    ) -> bool {
        match self.condition(index) {
            RecordCondition::Clean => true,
            RecordCondition::InBlueprint => !fields.any(|name| {
                let field = self.schema.field(name);
                field.is_some_and(|field| field.blueprint)
            }),
            RecordCondition::Locked
            | RecordCondition::NotApproved
            | RecordCondition::StopProcessing
            | RecordCondition::NoPermission
            | RecordCondition::Converted => false,
        }
    }

    /// The value of a field; `null` for an unknown field.
    pub(crate) fn value(&self, index: u64, field: &str) -> Value {
        let known = self.schema.field(field);
        if field == CONVERTED && known.is_some() {
            return json!(self.condition(index) == RecordCondition::Converted);
        }
        if field == MODIFIED_TIME {
            return json!(format_zoho_time(self.modified_at(index)));
        }
        if let Some(formula) = known.and_then(|field| field.formula)
            && let Some((dividend, divisor)) = formula.quotient
        {
            return quotient(&self.value(index, dividend), &self.value(index, divisor));
        }
        if let Some(value) = self
            .changes
            .get(&index)
            .and_then(|changes| changes.values.get(field))
        {
            return value.clone();
        }
        match self.created_index(index) {
            Some(_) => self.initial_value(index, field),
            None => seeded_value(self.schema, index, field),
        }
    }

    /// The place among the created records of the record at an index, if it is one of them.
    fn created_index(&self, index: u64) -> Option<usize> {
        let place = usize::try_from(index.checked_sub(self.seeded)?).ok()?;
        (place < self.created.len()).then_some(place)
    }

    /// When the record at an index was created.
    pub(crate) fn created_at(&self, index: u64) -> Timestamp {
        let place = self.created_index(index);
        place.map_or_else(seeded_at, |place| self.created[place])
    }

    /// The value of a field that a created record was not given: what Zoho sets itself, and nothing else.
    fn initial_value(&self, index: u64, name: &str) -> Value {
        let Some(field) = self.schema.field(name) else {
            return Value::Null;
        };
        match field.field_type {
            FieldType::Owner => json!(user()),
            FieldType::DateTime if field.system => json!(format_zoho_time(self.created_at(index))),
            FieldType::Layout
            | FieldType::Boolean
            | FieldType::AutoNumber
            | FieldType::RollupSummary
            | FieldType::Subform
            | FieldType::FileUpload => seeded_value(self.schema, index, name),
            FieldType::Text
            | FieldType::Phone
            | FieldType::Email
            | FieldType::Website
            | FieldType::Textarea
            | FieldType::Picklist
            | FieldType::Multiselect
            | FieldType::Integer
            | FieldType::BigInt
            | FieldType::Currency
            | FieldType::Percent
            | FieldType::Date
            | FieldType::DateTime
            | FieldType::Lookup
            | FieldType::Formula => Value::Null,
        }
    }

    /// Creates a record with these fields. Returns its index.
    pub(crate) fn create_record(&mut self, fields: &Map<String, Value>, now: Timestamp) -> u64 {
        let index = self.records;
        self.records += 1;
        self.created.push(now);
        self.changes.entry(index).or_default().modified = Some(now);
        self.update_record(index, fields, true, now);
        index
    }

    /// The reference to the record at an index, as lookup fields contain it. The name is the first mandatory text.
    pub(crate) fn reference(&self, index: u64) -> Value {
        let mut names = self.schema.fields.iter();
        let name = names.find(|field| field.required && field.field_type == FieldType::Text);
        let name = name.map(|field| self.value(index, field.name));
        json!({"name": name, "id": self.record_id(index)})
    }

    /// The time of the last change.
    pub(crate) fn modified_at(&self, index: u64) -> Timestamp {
        self.changes
            .get(&index)
            .and_then(|changes| changes.modified)
            .unwrap_or_else(seeded_at)
    }

    /// Sets fields of one record. With `over_write` a multi-select value is replaced, otherwise the new options are
    /// appended, which is the API's default and the opposite of the CRM's screens.
    pub(crate) fn update_record(
        &mut self,
        index: u64,
        fields: &Map<String, Value>,
        over_write: bool,
        now: Timestamp,
    ) {
        for (name, value) in fields {
            let Some(field) = self.schema.field(name) else {
                continue;
            };
            let value = match (field.field_type, value) {
                (FieldType::Multiselect, Value::Array(new)) if !over_write => {
                    let current = self.value(index, name);
                    let mut options = current.as_array().cloned().unwrap_or_default();
                    for option in new {
                        if !options.contains(option) {
                            options.push(option.clone());
                        }
                    }
                    Value::Array(options)
                }
                // A request names these by their id, and may add anything else.
                (FieldType::Layout, Value::Object(_)) => layout(),
                (FieldType::Owner, Value::Object(_)) => json!(user()),
                _ => value.clone(),
            };
            let changes = self.changes.entry(index).or_default();
            changes.values.insert(field.name, value);
            changes.modified = Some(now);
        }
    }

    /// The tags of a record.
    pub(crate) fn tags(&self, index: u64) -> &[String] {
        self.changes
            .get(&index)
            .map_or(&[][..], |changes| changes.tags.as_slice())
    }

    /// Adds tags that a record does not have yet. With `over_write` they replace the others.
    pub(crate) fn add_tags(
        &mut self,
        index: u64,
        names: &[String],
        over_write: bool,
        now: Timestamp,
    ) {
        let changes = self.changes.entry(index).or_default();
        if over_write {
            changes.tags.clear();
        }
        for name in names {
            if !changes.tags.contains(name) {
                changes.tags.push(name.clone());
            }
        }
        changes.modified = Some(now);
    }

    pub(crate) fn remove_tags(&mut self, index: u64, names: &[String], now: Timestamp) {
        let changes = self.changes.entry(index).or_default();
        changes.tags.retain(|name| !names.contains(name));
        changes.modified = Some(now);
    }

    /// The tags as records contain them.
    pub(crate) fn tags_json(&self, index: u64) -> Value {
        let tag =
            |name: &String| json!({"name": name, "id": "5725767000000500001", "color_code": null});
        self.tags(index).iter().map(tag).collect()
    }

    pub(crate) fn set_owner(&mut self, index: u64, owner: &CrmUser, now: Timestamp) {
        let Some(field) = self.schema.field("Owner") else {
            return;
        };
        let changes = self.changes.entry(index).or_default();
        changes.values.insert(field.name, owner.reference());
        changes.modified = Some(now);
    }

    /// Whether another user than the token's owns a record.
    pub(crate) fn is_owned_by_others(&self, index: u64) -> bool {
        let owner = self.value(index, "Owner");
        owner["id"].is_string() && owner["id"] != USER_ID
    }

    /// Whether a record has changed since it was seeded.
    pub(crate) fn is_changed(&self, index: u64) -> bool {
        self.changes.contains_key(&index)
    }

    /// The whole record, with the fields that the user's profile hides.
    pub(crate) fn record(&self, index: u64) -> Value {
        let mut record = Map::new();
        record.insert("id".to_owned(), json!(self.record_id(index)));
        for field in self.schema.fields {
            record.insert(field.name.to_owned(), self.value(index, field.name));
        }
        record.insert(TAG.name.to_owned(), self.tags_json(index));
        Value::Object(record)
    }

    /// The indexes of the view's current records, limited to some territories if given.
    pub(crate) fn view_members(&self, view: &View, territories: Option<&[u64]>) -> Vec<u64> {
        (0..self.records)
            .filter(|index| territories.is_none_or(|ids| ids.contains(&territory_of(*index))))
            .filter(|index| view.matches(|field| self.value(*index, field)))
            .collect()
    }

    /// The module with its seeded records and views.
    pub(crate) fn seeded(schema: &'static Schema, records: u64, views: Vec<View>) -> Self {
        Self {
            schema,
            records,
            seeded: records,
            created: Vec::new(),
            views,
            changes: BTreeMap::new(),
            any_record_id: false,
        }
    }

    /// The view with this id, if the token's user may use it.
    pub(crate) fn view(&self, cvid: &str) -> EndpointResult<&View> {
        let view = self.views.iter().find(|view| view.id.to_string() == cvid);
        match view {
            Some(view) if view.accessible => Ok(view),
            Some(_) => reject(ApiResponse::error(
                403,
                "NO_PERMISSION",
                json!({}),
                "Customview not accessible",
            )),
            None => reject(ApiResponse::error(
                400,
                "INVALID_DATA",
                json!({"api_name": "cvid", "json_path": "$.cvid"}),
                "the cvid given seems to be invalid",
            )),
        }
    }
}

/// The quotient of two numbers; null if one of them is missing or the divisor is zero.
fn quotient(dividend: &Value, divisor: &Value) -> Value {
    match (dividend.as_f64(), divisor.as_f64()) {
        (Some(dividend), Some(divisor)) if divisor != 0.0 => json!(dividend / divisor),
        _ => Value::Null,
    }
}
