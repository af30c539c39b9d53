//! `PUT {module}` sets any fields of up to 100 records, each with its own values; `PUT {module}/{id}` those of one record.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::endpoint::known;
use crate::endpoints::record_results::{self, RecordResult};
use crate::faults::{Faults, InputPolicy};
use crate::org::CrmOrg;
use crate::org::field::Field;
use crate::org::field_values;
use crate::org::module::Module;
use crate::org::schema::Schema;
use crate::request_body;
use crate::response::{ApiResponse, EndpointResult, error_object, reject};
use crate::state::State;

/// The largest number of records in one request.
pub(super) const MAX_RECORDS: usize = 100;

/// The values of `trigger`.
const TRIGGERS: [&str; 5] = [
    "approval",
    "workflow",
    "blueprint",
    "pathfinder",
    "orchestration",
];

/// Handles `PUT {module}`, or `PUT {module}/{id}` with an id. It replaces multi-select values, unless `$append_values`
/// names the field.
pub(super) fn put(
    state: &mut State,
    module: &str,
    id: Option<&str>,
    body: &[u8],
    now: Timestamp,
) -> EndpointResult<ApiResponse> {
    let schema = state.org.require_module(module)?.schema;
    let faults = &state.faults;
    if !faults.may_update {
        let message = "Permission denied to update";
        return reject(ApiResponse::error(403, "NO_PERMISSION", json!({}), message));
    }
    let body = request_body::parse_object(body)?;
    let mut data = read_data(&body, if id.is_some() { 1 } else { MAX_RECORDS })?;
    let references = resolve_references(&state.org, schema, &mut data);
    if let (Some(id), [Value::Object(record)]) = (id, data.as_mut_slice()) {
        record.insert("id".to_owned(), json!(id));
    }
    let module = state.org.require_module_mut(module)?;
    check_trigger(body.get("trigger"), faults)?;
    let mut seen = BTreeSet::new();
    let results: Vec<RecordResult> = data
        .iter()
        .enumerate()
        .map(|(position, record)| {
            let id = record.get("id").and_then(request_body::read_id);
            let duplicate = id.filter(|id| !seen.insert(id.clone()));
            match duplicate.filter(|_| faults.duplicate_ids == InputPolicy::Refuse) {
                Some(id) => RecordResult::Rejected(record_results::duplicate_error(&id)),
                None => match &references[position] {
                    Some(error) => RecordResult::Rejected(error.clone()),
                    None => update_one(module, position, record, faults, now)
                        .unwrap_or_else(RecordResult::Rejected),
                },
            }
        })
        .collect();
    Ok(record_results::respond(&results, faults))
}

/// The records of a request, at most `max`.
pub(super) fn read_data(body: &Map<String, Value>, max: usize) -> EndpointResult<Vec<Value>> {
    let data = body.get("data").and_then(Value::as_array);
    let Some(data) = data.filter(|data| !data.is_empty()) else {
        return reject(ApiResponse::missing_field(json!({"api_name": "data"})));
    };
    if data.len() > max {
        let details = json!({"limit": max, "api_name": "data"});
        return reject(ApiResponse::invalid_data(details));
    }
    let keys = data.iter().filter_map(Value::as_object);
    let unsimulated = keys.flat_map(Map::keys).find(|name| known::is_field(name));
    match unsimulated {
        None => Ok(data.clone()),
        Some(name) => reject(ApiResponse::not_simulated(json!({"api_name": name}))),
    }
}

/// Replaces the values of lookup fields by references to the records that they name. Returns the error object of each
/// record that names one that does not exist.
pub(super) fn resolve_references(
    org: &CrmOrg,
    schema: &Schema,
    data: &mut [Value],
) -> Vec<Option<Value>> {
    let resolve = |(position, record): (usize, &mut Value)| {
        let values = record.as_object_mut()?;
        values.iter_mut().find_map(|(name, value)| {
            let module = schema.visible_field(name)?.lookup?;
            let id = request_body::read_id(value.get("id")?)?;
            match org.reference(module, &id) {
                Some(reference) => {
                    *value = reference;
                    None
                }
                None => {
                    let path = format!("$.data[{position}].{name}.id");
                    let details = json!({"api_name": "id", "json_path": path});
                    let message = "the id given seems to be invalid";
                    Some(error_object("INVALID_DATA", details, message))
                }
            }
        })
    };
    data.iter_mut().enumerate().map(resolve).collect()
}

/// Checks `trigger`, the automation to run: an empty list runs none, no list runs all. Zoho does not document the
/// response to an unknown value.
pub(super) fn check_trigger(trigger: Option<&Value>, faults: &Faults) -> EndpointResult<()> {
    let names = match trigger {
        None => return Ok(()),
        Some(Value::Array(names)) if names.iter().all(Value::is_string) => names,
        Some(_) => {
            let details = json!({"api_name": "trigger", "expected_data_type": "jsonarray"});
            return reject(ApiResponse::invalid_data(details));
        }
    };
    let unknown = names
        .iter()
        .position(|name| !TRIGGERS.iter().any(|known| name == known));
    match unknown.filter(|_| faults.unknown_keys == InputPolicy::Refuse) {
        None => Ok(()),
        Some(position) => {
            let path = format!("$.trigger[{position}]");
            reject(ApiResponse::invalid_data(
                json!({"api_name": "trigger", "json_path": path, "supported_values": TRIGGERS}),
            ))
        }
    }
}

/// Updates one record, or returns the error object that rejects it.
fn update_one(
    module: &mut Module,
    position: usize,
    record: &Value,
    faults: &Faults,
    now: Timestamp,
) -> Result<RecordResult, Value> {
    let record = record.as_object();
    let id = record.and_then(|record| request_body::read_id(record.get("id")?));
    let (Some(record), Some(id)) = (record, id) else {
        return Err(error_object(
            "MANDATORY_NOT_FOUND",
            json!({"api_name": "id", "json_path": format!("$.data[{position}].id")}),
            "required field not found",
        ));
    };
    let index = record_results::updatable_index(module, &id, record.keys(), faults)?;
    // Unknown fields are ignored, as by Zoho.
    let mut fields = Map::new();
    for (name, value) in record {
        let Some(field) = module.schema.field(name) else {
            continue;
        };
        check_value(module, field, position, Some(index), value)?;
        fields.insert(name.clone(), value.clone());
    }
    set_fields(module, index, record, fields, now);
    Ok(record_results::updated(module, index))
}

/// Sets fields of a record. It replaces multi-select values, unless `$append_values` of the row names the field.
pub(super) fn set_fields(
    module: &mut Module,
    index: u64,
    row: &Map<String, Value>,
    fields: Map<String, Value>,
    now: Timestamp,
) {
    let is_appended = |name: &String| {
        row.get("$append_values")
            .is_some_and(|append| append[name.as_str()] == json!(true))
    };
    let (append, replace): (Map<_, _>, Map<_, _>) =
        fields.into_iter().partition(|(name, _)| is_appended(name));
    module.update_record(index, &append, false, now);
    module.update_record(index, &replace, true, now);
}

/// Checks that a field of the record at this index may be set to a value; without an index, of a new record. `position` is
/// the record's in `data`.
pub(super) fn check_value(
    module: &Module,
    field: &Field,
    position: usize,
    index: Option<u64>,
    value: &Value,
) -> Result<(), Value> {
    let error = |code, message| {
        let path = format!("$.data[{position}].{}", field.name);
        let details = json!({"api_name": field.name, "json_path": path});
        Err(error_object(code, details, message))
    };
    if field.hidden {
        return error("INVALID_DATA", "Field is not visible");
    }
    if field.read_only || field.system {
        return error("NO_PERMISSION", "Field Edit Permission not given");
    }
    if let Some(error) = field_values::value_error(field, value, position) {
        return Err(error);
    }
    let is_duplicate = field.unique
        && !value.is_null()
        && (0..module.records)
            .any(|other| Some(other) != index && module.value(other, field.name) == *value);
    if is_duplicate {
        return error("DUPLICATE_DATA", "duplicate data");
    }
    Ok(())
}
