//! Reading the body of a mass update: each part is taken, or refused as Zoho refuses it.

use serde_json::{Map, Value, json};

use crate::answer::{Answer, entry};
use crate::faults::{Faults, Verdict};
use crate::fields::{Kind, Rule};
use crate::records;
use crate::schema::Schema;
use crate::values;
use crate::views;

/// Ids in one immediate call.
const MOST_IDS: usize = 500;

/// Keys that the body may have.
const KEYS: [&str; 5] = ["data", "ids", "cvid", "territory", "over_write"];

/// Something, or the answer that refuses it.
pub(crate) type Checked<T> = Result<T, Box<Answer>>;

/// Refuses with this answer.
pub(crate) fn refuse<T>(answer: Answer) -> Checked<T> {
    Err(Box::new(answer))
}

/// Refuses keys that Zoho does not document.
pub(crate) fn check_keys(body: &Map<String, Value>, faults: &Faults) -> Checked<()> {
    for key in body.keys() {
        let known =
            KEYS.contains(&key.as_str()) && (key != "over_write" || faults.over_write_known);
        if !known && faults.unknown_keys == Verdict::Refuse {
            return refuse(Answer::error(
                400,
                "INVALID_DATA",
                json!({"api_name": key, "json_path": format!("$.{key}")}),
                "invalid data",
            ));
        }
    }
    Ok(())
}

/// The ids, as strings of whatever is given.
pub(crate) fn read_ids(ids: &Value, faults: &Faults) -> Checked<Vec<String>> {
    let Value::Array(ids) = ids else {
        return refuse(wrong_type("ids", "$.ids", "jsonarray"));
    };
    if ids.is_empty() {
        return refuse(in_data(
            faults,
            400,
            entry("MANDATORY_NOT_FOUND", json!({}), "required field not found"),
        ));
    }
    // Not documented; `limit` is among the details that the specification lists.
    if ids.len() > MOST_IDS {
        return refuse(Answer::error(
            400,
            "INVALID_DATA",
            json!({"limit": MOST_IDS, "api_name": "ids", "json_path": "$.ids"}),
            "invalid data",
        ));
    }
    ids.iter()
        .enumerate()
        .map(|(index, id)| match id {
            Value::String(id) => Ok(id.clone()),
            Value::Number(id) if faults.numeric_ids == Verdict::Accept => Ok(id.to_string()),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_) => refuse(wrong_type("ids", &format!("$.ids[{index}]"), "string")),
        })
        .collect()
}

/// The territories that are meant, with their children if asked for.
pub(crate) fn read_territory(territory: Option<&Value>) -> Checked<Option<Vec<u64>>> {
    let Some(territory) = territory else {
        return Ok(None);
    };
    let Value::Object(keys) = territory else {
        return refuse(wrong_type("territory", "$.territory", "jsonobject"));
    };
    let Some(id) = keys.get("id") else {
        return refuse(Answer::error(
            400,
            "MANDATORY_NOT_FOUND",
            json!({"api_name": "id", "json_path": "$.territory.id"}),
            "required field not found",
        ));
    };
    let Some(id) = records::given_id(id) else {
        return refuse(wrong_type("id", "$.territory.id", "string"));
    };
    let include_child = match keys.get("include_child") {
        None => false,
        Some(Value::Bool(flag)) => *flag,
        Some(_) => {
            return refuse(wrong_type(
                "include_child",
                "$.territory.include_child",
                "boolean",
            ));
        }
    };
    match views::territories(&id, include_child) {
        Some(found) => Ok(Some(found)),
        None => refuse(Answer::error(
            400,
            "INVALID_DATA",
            json!({"api_name": "id", "json_path": "$.territory.id"}),
            "the id given seems to be invalid",
        )),
    }
}

/// The fields to set: exactly one data object, not too many, each known, shown, allowed and of the right value.
pub(crate) fn read_fields(
    body: &Map<String, Value>,
    schema: &Schema,
    faults: &Faults,
) -> Checked<Map<String, Value>> {
    let field_error = |name: &str, message: &str| entry("INVALID_DATA", field_place(name), message);
    let fields = match body.get("data") {
        None => None,
        Some(Value::Array(data)) if data.len() > 1 => {
            return refuse(Answer::error(
                400,
                "INVALID_DATA",
                json!({"limit": 1, "api_name": "data", "json_path": "$.data"}),
                "invalid data",
            ));
        }
        Some(Value::Array(data)) => match data.first() {
            None => None,
            Some(Value::Object(fields)) => Some(fields.clone()),
            Some(_) => return refuse(wrong_type("data", "$.data[0]", "jsonobject")),
        },
        Some(_) => return refuse(wrong_type("data", "$.data", "jsonarray")),
    };
    let Some(fields) = fields.filter(|fields| !fields.is_empty()) else {
        return refuse(in_data(
            faults,
            400,
            entry("INVALID_DATA", json!({}), "No field found"),
        ));
    };
    if fields.len() > schema.fields_per_call {
        let error = entry("INVALID_DATA", json!({}), "Max field limit exceeded");
        return refuse(in_data(faults, 400, error));
    }
    for (name, value) in &fields {
        let field = schema.field(name);
        if let Some(field) = field {
            if field.hidden {
                let error = field_error(name, "Field is not visible");
                return refuse(in_data(faults, faults.hidden_field_status, error));
            }
            if field.read_only {
                return refuse(Answer::error(
                    403,
                    "NO_PERMISSION",
                    field_place(name),
                    "Field Edit Permission not given",
                ));
            }
        }
        let Some(field) = field.filter(|field| {
            field.mass_update && (field.kind != Kind::Layout || faults.layout_updatable)
        }) else {
            let error = field_error(name, "This field cannot be updated in the Mass Update");
            return refuse(in_data(faults, 400, error));
        };
        let rule = match field.rule {
            Rule::None => None,
            Rule::Layout => Some("Field cannot be updated as it is associated with a layout rule"),
            Rule::Validation => {
                Some("Field cannot be updated as it is associated with a validation rule")
            }
        };
        if let Some(message) = rule {
            return refuse(in_data(faults, 400, field_error(name, message)));
        }
        if value.is_null() && faults.null_values == Verdict::Refuse {
            return refuse(in_data(faults, 400, field_error(name, "invalid data")));
        }
        if let Some(error) = values::refuse(field, value, 0) {
            return refuse(in_data(faults, 400, error));
        }
    }
    match values::refuse_mapping(&fields) {
        Some(error) => refuse(in_data(faults, 400, error)),
        None => Ok(fields),
    }
}

/// Zoho's second envelope: the error in `data`; the third one is the same without the list.
pub(crate) fn in_data(faults: &Faults, status: u16, error: Value) -> Answer {
    let data = if faults.errors_as_object {
        error
    } else {
        json!([error])
    };
    Answer::json(status, json!({"data": data}))
}

fn field_place(name: &str) -> Value {
    json!({"api_name": name, "json_path": format!("$.data[0].{name}")})
}

/// The refusal of a value of the wrong JSON type.
pub(crate) fn wrong_type(name: &str, path: &str, expected: &str) -> Answer {
    Answer::error(
        400,
        "INVALID_DATA",
        json!({"expected_data_type": expected, "api_name": name, "json_path": path}),
        "invalid data",
    )
}
