//! `POST {module}/upsert` creates up to 100 records, or updates those that it finds by their unique fields
//! (<https://www.zoho.com/crm/developer/docs/api/v7/upsert-records.html>).
//!
//! Each row is looked up by the fields of `duplicate_check_fields` in their order, then by all other unique fields. Without
//! `duplicate_check_fields` the field that Zoho defines for the module comes first.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::endpoints::record_results::{self, RecordResult};
use crate::endpoints::update_records::{
    MAX_RECORDS, check_trigger, check_value, read_data, resolve_references, set_fields,
};
use crate::faults::{Faults, InputPolicy};
use crate::org::field::Field;
use crate::org::module::Module;
use crate::org::schema::Schema;
use crate::org::seed_data::RecordCondition;
use crate::request_body;
use crate::response::{ApiResponse, EndpointResult, error_object, reject};
use crate::state::State;

/// Modules that have no upsert.
const WITHOUT_UPSERT: [&str; 3] = ["Tasks", "Calls", "Events"];

/// Keys of the request and of a row that Zoho knows and the simulator does not.
const UNSIMULATED_KEYS: [&str; 2] = ["skip_feature_execution", "id"];

/// Handles `POST {module}/upsert`.
pub(super) fn post(
    state: &mut State,
    module: &str,
    body: &[u8],
    now: Timestamp,
) -> EndpointResult<ApiResponse> {
    let schema = state.org.require_module(module)?.schema;
    if WITHOUT_UPSERT.contains(&module) {
        let details = json!({"resource_path_index": 0});
        let message = "The given module is not supported in API";
        return reject(ApiResponse::error(400, "INVALID_MODULE", details, message));
    }
    let faults = &state.faults;
    if !faults.may_upsert {
        let message = "Permission denied to upsert";
        return reject(ApiResponse::error(403, "NO_PERMISSION", json!({}), message));
    }
    let body = request_body::parse_object(body)?;
    let mut data = read_data(&body, MAX_RECORDS)?;
    let rows = data.iter().filter_map(Value::as_object);
    let mut keys = rows.flat_map(Map::keys).chain(body.keys());
    if let Some(name) = keys.find(|name| UNSIMULATED_KEYS.contains(&name.as_str())) {
        return reject(ApiResponse::not_simulated(json!({"api_name": name})));
    }
    check_trigger(body.get("trigger"), faults)?;
    let checked = duplicate_check_fields(schema, body.get("duplicate_check_fields"))?;
    let references = resolve_references(&state.org, schema, &mut data);
    let module = state.org.require_module_mut(module)?;
    let mut unique_values = UniqueValues::of(module, &checked);
    let mut seen = BTreeSet::new();
    let mut results = Vec::with_capacity(data.len());
    for ((position, row), reference) in data.iter().enumerate().zip(references) {
        let repeated = checked
            .iter()
            .filter_map(|field| Some((field.name, folded(row.get(field.name)?)?)))
            .filter(|key| !seen.insert(key.clone()))
            .count()
            > 0;
        let result = match reference {
            Some(error) => Err(error),
            None if repeated && faults.duplicate_ids == InputPolicy::Refuse => Err(error_object(
                "DUPLICATE_DATA",
                json!({"json_path": format!("$.data[{position}]")}),
                "duplicate data",
            )),
            None => upsert_one(module, &mut unique_values, position, row, faults, now),
        };
        results.push(result.unwrap_or_else(RecordResult::Rejected));
    }
    Ok(record_results::respond(&results, faults))
}

/// The field by which Zoho looks for duplicates in a module unless another one is named.
fn system_field(module: &str) -> &'static str {
    match module {
        "Leads" | "Contacts" => "Email",
        "Accounts" => "Account_Name",
        "Deals" => "Deal_Name",
        "Campaigns" => "Campaign_Name",
        "Solutions" => "Solution_Title",
        "Products" => "Product_Name",
        "Vendors" => "Vendor_Name",
        "Price_Books" => "Price_Book_Name",
        "Cases" | "Quotes" | "Sales_Orders" | "Purchase_Orders" | "Invoices" => "Subject",
        _ => "Name",
    }
}

/// The fields by which rows are looked up, in their order. Only unique fields and Zoho's own can be named; how Zoho refuses
/// another one is not documented.
fn duplicate_check_fields(
    schema: &'static Schema,
    named: Option<&Value>,
) -> EndpointResult<Vec<&'static Field>> {
    let system = system_field(schema.name);
    let mut fields: Vec<&Field> = match named {
        None => schema.visible_field(system).into_iter().collect(),
        Some(named) => {
            let Some(names) = named.as_array() else {
                let details = json!({"api_name": "duplicate_check_fields", "expected_data_type": "jsonarray"});
                return reject(ApiResponse::invalid_data(details));
            };
            let mut fields = Vec::with_capacity(names.len());
            for (position, name) in names.iter().enumerate() {
                let field = name.as_str().and_then(|name| schema.visible_field(name));
                match field.filter(|field| field.unique || field.name == system) {
                    Some(field) => fields.push(field),
                    None => {
                        let path = format!("$.duplicate_check_fields[{position}]");
                        let details =
                            json!({"api_name": "duplicate_check_fields", "json_path": path});
                        return reject(ApiResponse::invalid_data(details));
                    }
                }
            }
            fields
        }
    };
    let named: BTreeSet<&str> = fields.iter().map(|field| field.name).collect();
    let unique = schema.visible_fields().filter(|field| field.unique);
    fields.extend(unique.filter(|field| !named.contains(field.name)));
    Ok(fields)
}

/// A value as duplicates are compared: without regard to case. Nothing has no duplicate.
fn folded(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(text.to_lowercase()),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Some(value.to_string())
        }
    }
}

/// The records by the values of the fields that are checked for duplicates.
struct UniqueValues<'a> {
    fields: &'a [&'static Field],
    indexes: HashMap<(&'static str, String), u64>,
}

impl<'a> UniqueValues<'a> {
    /// Those of a module's records; of equal values the first record counts.
    fn of(module: &Module, fields: &'a [&'static Field]) -> Self {
        let mut values = Self {
            fields,
            indexes: HashMap::new(),
        };
        for index in (0..module.records).rev() {
            if module.condition(index) != RecordCondition::Converted {
                values.add(module, index);
            }
        }
        values
    }

    fn add(&mut self, module: &Module, index: u64) {
        for field in self.fields {
            if let Some(value) = folded(&module.value(index, field.name)) {
                self.indexes.insert((field.name, value), index);
            }
        }
    }

    /// The record with a value of this row, and the field.
    fn find(&self, module: &Module, row: &Map<String, Value>) -> Option<(u64, &'static str)> {
        self.fields.iter().find_map(|field| {
            let key = (field.name, folded(row.get(field.name)?)?);
            let index = *self.indexes.get(&key)?;
            // An earlier row may have changed the record.
            let is_current = folded(&module.value(index, field.name)).as_ref() == Some(&key.1);
            is_current.then_some((index, field.name))
        })
    }
}

/// Creates or updates one record, or returns the error object that rejects the row.
fn upsert_one(
    module: &mut Module,
    unique_values: &mut UniqueValues<'_>,
    position: usize,
    row: &Value,
    faults: &Faults,
    now: Timestamp,
) -> Result<RecordResult, Value> {
    let Some(row) = row.as_object() else {
        let path = format!("$.data[{position}]");
        let details = json!({"expected_data_type": "jsonobject", "json_path": path});
        return Err(error_object("INVALID_DATA", details, "invalid data"));
    };
    let found = unique_values.find(module, row);
    if let Some((index, _)) = found {
        let id = module.record_id(index);
        record_results::updatable_index(module, &id, row.keys(), faults)?;
    }
    // Unknown fields are ignored, as by Zoho.
    let mut fields = Map::new();
    for (name, value) in row {
        let Some(field) = module.schema.field(name) else {
            continue;
        };
        check_value(
            module,
            field,
            position,
            found.map(|(index, _)| index),
            value,
        )?;
        fields.insert(name.clone(), value.clone());
    }
    let index = match found {
        Some((index, _)) => {
            set_fields(module, index, row, fields, now);
            index
        }
        None => {
            check_required(module.schema, position, &fields)?;
            module.create_record(&fields, now)
        }
    };
    unique_values.add(module, index);
    Ok(record_results::upserted(
        module,
        index,
        found.map(|(_, by)| by),
    ))
}

/// Checks that a new record has every mandatory field.
fn check_required(
    schema: &Schema,
    position: usize,
    fields: &Map<String, Value>,
) -> Result<(), Value> {
    let is_empty = |name: &str| fields.get(name).and_then(folded).is_none();
    let mut required = schema.fields.iter().filter(|field| field.required);
    match required.find(|field| is_empty(field.name)) {
        None => Ok(()),
        Some(Field { name, .. }) => {
            let path = format!("$.data[{position}].{name}");
            let details = json!({"api_name": name, "json_path": path});
            let message = "required field not found";
            Err(error_object("MANDATORY_NOT_FOUND", details, message))
        }
    }
}
