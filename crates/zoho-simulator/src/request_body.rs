//! Parsing of request bodies that several modules share.

use serde_json::{Map, Value, json};

use crate::response::{ApiResponse, EndpointResult, reject};

/// Parses a body that must be a JSON object.
pub(crate) fn parse_object(body: &[u8]) -> EndpointResult<Map<String, Value>> {
    serde_json::from_slice(body).map_err(|_| {
        Box::new(ApiResponse::error(
            400,
            "INVALID_DATA",
            json!({"expected_data_type": "jsonobject"}),
            "body",
        ))
    })
}

/// Reads an id. It is documented as a string of digits, but Zoho's SDK sends some as numbers.
pub(crate) fn read_id(id: &Value) -> Option<String> {
    match id {
        Value::String(id) => Some(id.clone()),
        Value::Number(id) => id.as_u64().map(|id| id.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The number of records in `data`.
pub(crate) fn record_count(body: &[u8]) -> u64 {
    parse_object(body)
        .ok()
        .and_then(|body| Some(body.get("data")?.as_array()?.len() as u64))
        .unwrap_or_default()
}

/// Reads the query of `POST coql`.
pub(crate) fn query_text(body: &[u8]) -> EndpointResult<String> {
    let body = parse_object(body)?;
    if body.contains_key("include_meta") {
        return reject(ApiResponse::not_simulated(
            json!({"api_name": "include_meta"}),
        ));
    }
    match body.get("select_query") {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) | None => reject(ApiResponse::error(
            400,
            "MANDATORY_NOT_FOUND",
            json!({"api_name": "select_query"}),
            "required field not found",
        )),
    }
}
