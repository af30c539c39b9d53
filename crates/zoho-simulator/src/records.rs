//! Single records in an answer: updated, or refused with the reason; and what all endpoints of a module share.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::answer::{Answer, entry};
use crate::body::Checked;
use crate::seeds::{Condition, User, created, user, zoho_time};
use crate::world::{Module, World};

/// An id as it is given. It is documented as a string of digits, and Zoho's own SDK sends some as numbers.
pub(crate) fn given_id(id: &Value) -> Option<String> {
    match id {
        Value::String(id) => Some(id.clone()),
        Value::Number(id) => id.as_u64().map(|id| id.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The refusal of one record, if it cannot be updated.
pub(crate) fn refuse(module: &Module, id: &str) -> Option<Value> {
    let Some(place) = module.place(id) else {
        return Some(invalid_id(id));
    };
    let (code, message) = match module.condition(place) {
        Condition::Clean => return None,
        Condition::Locked => {
            return Some(entry(
                "RECORD_LOCKED",
                json!({"action": "record_locking", "id": id}),
                "Sorry, you cannot perform this operation as the record is locked.",
            ));
        }
        Condition::InBlueprint => ("RECORD_IN_BLUEPRINT", "The record is in blue print"),
        Condition::NotApproved => ("NOT_APPROVED", "record not approved"),
        Condition::StopProcessing => ("CANNOT_PROCESS", "The record is in stop processing"),
        Condition::NoPermission => (
            "CANNOT_PERFORM_ACTION",
            "no permission to perform an action on this record",
        ),
        // The code is documented, its message is not.
        Condition::Converted => ("CONVERTED_RECORD", "the record is converted"),
    };
    Some(entry(code, json!({"id": id}), message))
}

/// The refusal of an id that names no record.
pub(crate) fn invalid_id(id: &str) -> Value {
    entry(
        "INVALID_DATA",
        json!({"id": id}),
        "the id given seems to be invalid",
    )
}

/// What became of one record of a request. It is written as it stands: an answer has up to 500 of them.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Entry {
    /// It was updated.
    Updated {
        code: &'static str,
        details: Updated,
        message: &'static str,
        status: &'static str,
    },
    /// It was refused.
    Refused(Value),
}

/// An updated record's details.
#[derive(Serialize)]
pub(crate) struct Updated {
    #[serde(rename = "Modified_Time")]
    modified_time: String,
    #[serde(rename = "Modified_By")]
    modified_by: User,
    #[serde(rename = "Created_Time")]
    created_time: String,
    id: String,
    #[serde(rename = "Created_By")]
    created_by: User,
}

/// The entry of an updated record.
pub(crate) fn updated(module: &Module, place: u64) -> Entry {
    Entry::Updated {
        code: "SUCCESS",
        details: Updated {
            modified_time: zoho_time(module.modified(place)),
            modified_by: user(),
            created_time: zoho_time(created()),
            id: module.id(place),
            created_by: user(),
        },
        message: "record updated",
        status: "success",
    }
}

/// The answer that tells of every record by itself: good, bad, or mixed.
pub(crate) fn entries(data: &[Entry], mixed: u16, all_failed: u16) -> Answer {
    #[derive(Serialize)]
    struct All<'a> {
        data: &'a [Entry],
    }
    let refused = |entry: &&Entry| matches!(entry, Entry::Refused(_));
    let status = match data.iter().filter(refused).count() {
        0 => 200,
        failed if failed == data.len() => all_failed,
        _ => mixed,
    };
    match serde_json::to_string(&All { data }) {
        Ok(json) => Answer::written(status, json),
        Err(error) => Answer::html(500, error.to_string()),
    }
}

/// The refusal of a record that a call names for the second time.
pub(crate) fn given_twice(id: &str) -> Value {
    entry("DUPLICATE_DATA", json!({"id": id}), "duplicate data")
}

/// The module with this API name.
pub(crate) fn module<'a>(world: &'a World, name: &str) -> Checked<&'a Module> {
    world.module(name).ok_or_else(|| Box::new(invalid_module()))
}

/// The refusal of a module that does not exist.
pub(crate) fn invalid_module() -> Answer {
    Answer::error(
        400,
        "INVALID_MODULE",
        json!({"resource_path_index": 0}),
        "the module name given seems to be invalid",
    )
}

/// The refusal of a module that exists but has no mass update.
pub(crate) fn unsupported_module() -> Answer {
    Answer::error(
        400,
        "NOT_SUPPORTED",
        json!({"resource_path_index": 0}),
        "the given module is not supported for this api",
    )
}

/// A body that is a JSON object; everything else is refused as Zoho refuses it.
pub(crate) fn object(body: &[u8]) -> Checked<Map<String, Value>> {
    serde_json::from_slice(body).map_err(|_| {
        Box::new(Answer::error(
            400,
            "INVALID_DATA",
            json!({"expected_data_type": "jsonobject"}),
            "body",
        ))
    })
}
