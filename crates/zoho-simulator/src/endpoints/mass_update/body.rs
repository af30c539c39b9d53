//! Validation of a mass update's body.

use serde_json::{Map, Value, json};

use crate::faults::{Faults, InputPolicy};
use crate::org::field::{Field, FieldRule, FieldType};
use crate::org::field_values;
use crate::org::schema::Schema;
use crate::org::territories::with_children;
use crate::request_body;
use crate::response::{ApiResponse, EndpointResult, error_object, reject};

/// The largest number of ids in one immediate update.
const MAX_IDS: usize = 500;

/// The documented keys.
const KEYS: [&str; 5] = ["data", "ids", "cvid", "territory", "over_write"];

/// Rejects keys that Zoho does not document.
pub(in crate::endpoints) fn check_keys(
    body: &Map<String, Value>,
    faults: &Faults,
) -> EndpointResult<()> {
    let known = KEYS.into_iter();
    let known: Vec<&str> = known
        .filter(|key| *key != "over_write" || faults.over_write_known)
        .collect();
    check_known_keys(body, &known, faults)
}

/// Rejects keys that are not in a list.
pub(in crate::endpoints) fn check_known_keys(
    body: &Map<String, Value>,
    known: &[&str],
    faults: &Faults,
) -> EndpointResult<()> {
    match body.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) if faults.unknown_keys == InputPolicy::Refuse => {
            let details = json!({"api_name": key, "json_path": format!("$.{key}")});
            reject(ApiResponse::invalid_data(details))
        }
        _ => Ok(()),
    }
}

pub(in crate::endpoints) fn read_over_write(body: &Map<String, Value>) -> EndpointResult<bool> {
    match body.get("over_write") {
        None => Ok(false),
        Some(Value::Bool(over_write)) => Ok(*over_write),
        Some(_) => reject(ApiResponse::wrong_type(
            "over_write",
            "$.over_write",
            "boolean",
        )),
    }
}

/// The same for a call that also accepts ids as numbers: Zoho's own SDK for Python sends them.
pub(in crate::endpoints) fn read_numeric_ids(
    ids: &Value,
    faults: &Faults,
) -> EndpointResult<Vec<String>> {
    let as_text = |id: &Value| match id.as_u64() {
        Some(number) => Value::String(number.to_string()),
        None => id.clone(),
    };
    match ids.as_array() {
        Some(list) => read_ids(&list.iter().map(as_text).collect::<Value>(), faults),
        None => read_ids(ids, faults),
    }
}

pub(in crate::endpoints) fn read_ids(ids: &Value, faults: &Faults) -> EndpointResult<Vec<String>> {
    let Value::Array(ids) = ids else {
        return reject(ApiResponse::wrong_type("ids", "$.ids", "jsonarray"));
    };
    if ids.is_empty() {
        let error = error_object("MANDATORY_NOT_FOUND", json!({}), "required field not found");
        return reject(data_error(faults, 400, error));
    }
    // The response is not documented; `limit` is among the details that the specification lists.
    if ids.len() > MAX_IDS {
        return reject(ApiResponse::invalid_data(
            json!({"limit": MAX_IDS, "api_name": "ids", "json_path": "$.ids"}),
        ));
    }
    ids.iter()
        .enumerate()
        .map(|(index, id)| match id {
            Value::String(id) => Ok(id.clone()),
            Value::Number(id) if faults.numeric_ids == InputPolicy::Accept => Ok(id.to_string()),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_) => {
                let path = format!("$.ids[{index}]");
                reject(ApiResponse::wrong_type("ids", &path, "string"))
            }
        })
        .collect()
}

/// The ids of the selected territories, with their children if `include_child` is set.
pub(in crate::endpoints) fn read_territories(
    territory: Option<&Value>,
) -> EndpointResult<Option<Vec<u64>>> {
    let Some(territory) = territory else {
        return Ok(None);
    };
    let wrong_type = |name, expected| {
        let path = format!("$.territory.{name}");
        reject(ApiResponse::wrong_type(name, &path, expected))
    };
    let id_location = json!({"api_name": "id", "json_path": "$.territory.id"});
    let Value::Object(keys) = territory else {
        return reject(ApiResponse::wrong_type(
            "territory",
            "$.territory",
            "jsonobject",
        ));
    };
    let Some(id) = keys.get("id") else {
        return reject(ApiResponse::missing_field(id_location));
    };
    let Some(id) = request_body::read_id(id) else {
        return wrong_type("id", "string");
    };
    let include_child = match keys.get("include_child") {
        None => false,
        Some(Value::Bool(include)) => *include,
        Some(_) => return wrong_type("include_child", "boolean"),
    };
    match with_children(&id, include_child) {
        Some(territories) => Ok(Some(territories)),
        None => reject(ApiResponse::error(
            400,
            "INVALID_DATA",
            id_location,
            "the id given seems to be invalid",
        )),
    }
}

/// The fields to set: one object in `data` with a limited number of fields, each of them updatable and with a valid value.
pub(in crate::endpoints) fn read_fields(
    body: &Map<String, Value>,
    schema: &Schema,
    faults: &Faults,
) -> EndpointResult<Map<String, Value>> {
    let invalid = |message| {
        data_error(
            faults,
            400,
            error_object("INVALID_DATA", json!({}), message),
        )
    };
    let fields = read_data_object(body)?.filter(|fields| !fields.is_empty());
    let Some(fields) = fields else {
        return reject(invalid("No field found"));
    };
    if fields.len() > schema.fields_per_call {
        return reject(invalid("Max field limit exceeded"));
    }
    for (name, value) in fields {
        let field = check_field(name, schema, faults)?;
        if value.is_null() && faults.null_values == InputPolicy::Refuse {
            return reject(field_error(faults, 400, name, "invalid data"));
        }
        if let Some(error) = field_values::value_error(field, value, 0) {
            return reject(data_error(faults, 400, error));
        }
    }
    match field_values::mapping_error(fields) {
        Some(error) => reject(data_error(faults, 400, error)),
        None => Ok(fields.clone()),
    }
}

/// The only object in `data`, if there is one.
fn read_data_object(body: &Map<String, Value>) -> EndpointResult<Option<&Map<String, Value>>> {
    let data = match body.get("data") {
        None => return Ok(None),
        Some(Value::Array(data)) => data,
        Some(_) => return reject(ApiResponse::wrong_type("data", "$.data", "jsonarray")),
    };
    match data.as_slice() {
        [] => Ok(None),
        [Value::Object(fields)] => Ok(Some(fields)),
        [_] => reject(ApiResponse::wrong_type("data", "$.data[0]", "jsonobject")),
        _ => reject(ApiResponse::invalid_data(
            json!({"limit": 1, "api_name": "data", "json_path": "$.data"}),
        )),
    }
}

/// Returns the field if a mass update may set it.
fn check_field<'a>(name: &str, schema: &'a Schema, faults: &Faults) -> EndpointResult<&'a Field> {
    let not_updatable = "This field cannot be updated in the Mass Update";
    let Some(field) = schema.field(name) else {
        return reject(field_error(faults, 400, name, not_updatable));
    };
    if field.hidden {
        let status = faults.hidden_field_status;
        return reject(field_error(faults, status, name, "Field is not visible"));
    }
    if field.read_only {
        return reject(ApiResponse::error(
            403,
            "NO_PERMISSION",
            field_location(name),
            "Field Edit Permission not given",
        ));
    }
    let is_layout = field.field_type == FieldType::Layout;
    if !field.mass_update || is_layout && !faults.layout_updatable {
        return reject(field_error(faults, 400, name, not_updatable));
    }
    let message = match field.rule {
        FieldRule::None => return Ok(field),
        FieldRule::Layout => "Field cannot be updated as it is associated with a layout rule",
        FieldRule::Validation => {
            "Field cannot be updated as it is associated with a validation rule"
        }
    };
    reject(field_error(faults, 400, name, message))
}

/// An error in `data`: Zoho's envelope for errors of the selector and the fields.
pub(in crate::endpoints) fn data_error(faults: &Faults, status: u16, error: Value) -> ApiResponse {
    let data = if faults.errors_as_object {
        error
    } else {
        json!([error])
    };
    ApiResponse::json(status, json!({"data": data}))
}

fn field_error(faults: &Faults, status: u16, name: &str, message: &str) -> ApiResponse {
    let error = error_object("INVALID_DATA", field_location(name), message);
    data_error(faults, status, error)
}

fn field_location(name: &str) -> Value {
    json!({"api_name": name, "json_path": format!("$.data[0].{name}")})
}
