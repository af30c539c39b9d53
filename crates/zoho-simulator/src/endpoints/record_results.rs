//! The results of single records in a response: updated, created, or rejected with an error.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::faults::Faults;
use crate::org::module::Module;
use crate::org::seed_data::{RecordCondition, User, format_zoho_time, user};
use crate::response::{ApiResponse, error_object};

/// The index of a record whose fields can be updated, or the error object that rejects it.
pub(super) fn updatable_index<'a>(
    module: &Module,
    id: &str,
    fields: impl Iterator<Item = &'a String>,
    faults: &Faults,
) -> Result<u64, Value> {
    let Some(index) = module.index_of(id) else {
        let message = "the id given seems to be invalid";
        return Err(error_object("INVALID_DATA", json!({"id": id}), message));
    };
    if faults.owner_takes_access && module.is_owned_by_others(index) {
        let message = "no permission to perform an action on this record";
        let details = json!({"id": id});
        return Err(error_object("CANNOT_PERFORM_ACTION", details, message));
    }
    if module.accepts_update(index, fields) {
        return Ok(index);
    }
    let (code, message) = match module.condition(index) {
        RecordCondition::Clean => return Ok(index),
        RecordCondition::Locked => {
            return Err(error_object(
                "RECORD_LOCKED",
                json!({"action": "record_locking", "id": id}),
                &faults.record_locked_message,
            ));
        }
        RecordCondition::InBlueprint => ("RECORD_IN_BLUEPRINT", "The record is in blue print"),
        RecordCondition::NotApproved => ("NOT_APPROVED", faults.not_approved_message.as_str()),
        RecordCondition::StopProcessing => ("CANNOT_PROCESS", "The record is in stop processing"),
        RecordCondition::NoPermission => (
            "CANNOT_PERFORM_ACTION",
            "no permission to perform an action on this record",
        ),
        // The code is documented, its message is not.
        RecordCondition::Converted => ("CONVERTED_RECORD", "the record is converted"),
    };
    Err(error_object(code, json!({"id": id}), message))
}

/// The error object of a record that a request contains for the second time.
pub(super) fn duplicate_error(id: &str) -> Value {
    error_object("DUPLICATE_DATA", json!({"id": id}), "duplicate data")
}

/// The result of one record. Serialized without an intermediate [`Value`], as a response has up to 500 of them.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum RecordResult {
    Done {
        code: &'static str,
        #[serde(flatten)]
        upsert: Option<UpsertAction>,
        details: RecordDetails,
        message: &'static str,
        status: &'static str,
    },
    /// The entry of a record whose tags or owner were changed.
    Changed(Value),
    /// The error object.
    Rejected(Value),
}

impl RecordResult {
    pub(super) fn is_rejected(&self) -> bool {
        matches!(self, Self::Rejected(_))
    }
}

/// What an upsert did with a row.
#[derive(Serialize)]
pub(super) struct UpsertAction {
    /// The field by which a record was found.
    duplicate_field: Option<&'static str>,
    action: &'static str,
}

/// The `details` of a record.
#[derive(Serialize)]
pub(super) struct RecordDetails {
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

/// The result of an updated record.
pub(super) fn updated(module: &Module, index: u64) -> RecordResult {
    done(module, index, None, "record updated")
}

/// The result of a row of an upsert: a record that was found by a field and updated, or a record that was created.
pub(super) fn upserted(
    module: &Module,
    index: u64,
    duplicate_field: Option<&'static str>,
) -> RecordResult {
    let (action, message) = match duplicate_field {
        Some(_) => ("update", "record updated"),
        None => ("insert", "record added"),
    };
    let upsert = UpsertAction {
        duplicate_field,
        action,
    };
    done(module, index, Some(upsert), message)
}

fn done(
    module: &Module,
    index: u64,
    upsert: Option<UpsertAction>,
    message: &'static str,
) -> RecordResult {
    RecordResult::Done {
        code: "SUCCESS",
        upsert,
        details: RecordDetails {
            modified_time: format_zoho_time(module.modified_at(index)),
            modified_by: user(),
            created_time: format_zoho_time(module.created_at(index)),
            id: module.record_id(index),
            created_by: user(),
        },
        message,
        status: "success",
    }
}

/// The response with the results of all records. Its status depends on how many were rejected.
pub(super) fn respond(results: &[RecordResult], faults: &Faults) -> ApiResponse {
    respond_with(results, Map::new(), faults)
}

/// The same response with further keys beside the results.
pub(super) fn respond_with(
    results: &[RecordResult],
    more: Map<String, Value>,
    faults: &Faults,
) -> ApiResponse {
    #[derive(Serialize)]
    struct Body<'a> {
        data: &'a [RecordResult],
        #[serde(flatten)]
        more: Map<String, Value>,
    }
    let is_rejected = |result: &&RecordResult| result.is_rejected();
    let status = match results.iter().filter(is_rejected).count() {
        0 => 200,
        rejected if rejected == results.len() => faults.all_failed_status,
        _ => faults.mixed_status,
    };
    let body = Body {
        data: results,
        more,
    };
    match serde_json::to_string(&body) {
        Ok(json) => ApiResponse::from_json_text(status, json),
        Err(error) => ApiResponse::html(500, error.to_string()),
    }
}
