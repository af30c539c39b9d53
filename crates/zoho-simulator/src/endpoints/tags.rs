//! `POST {module}/actions/add_tags` and `remove_tags`, for up to 500 records
//! (<https://www.zoho.com/crm/developer/docs/api/v7/add-tags.html>).

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::endpoints::mass_update::body::{check_known_keys, read_numeric_ids};
use crate::endpoints::record_results::{self, RecordResult};
use crate::faults::Faults;
use crate::request_body;
use crate::response::{ApiResponse, EndpointResult, error_object, reject};
use crate::state::State;

/// The most characters of a tag's name.
const MAX_NAME_CHARS: usize = 25;

/// What happens to the tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TagAction {
    Add,
    Remove,
}

impl TagAction {
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Add => &["tags", "ids", "over_write"],
            Self::Remove => &["tags", "ids"],
        }
    }
}

/// Handles a change of tags.
pub(super) fn post(
    state: &mut State,
    module: &str,
    action: TagAction,
    body: &[u8],
    now: Timestamp,
) -> EndpointResult<ApiResponse> {
    let faults = &state.faults;
    let module = state.org.require_module_mut(module)?;
    let body = request_body::parse_object(body)?;
    check_known_keys(&body, action.keys(), faults)?;
    let over_write = match body.get("over_write") {
        None => false,
        Some(Value::Bool(over_write)) => *over_write,
        Some(_) => {
            return reject(ApiResponse::wrong_type(
                "over_write",
                "$.over_write",
                "boolean",
            ));
        }
    };
    let names = read_names(&body, faults)?;
    let Some(ids) = body.get("ids") else {
        let location = json!({"api_name": "ids", "json_path": "$.ids"});
        return reject(ApiResponse::missing_field(location));
    };
    let ids = read_numeric_ids(ids, faults)?;
    let mut locked = 0;
    let mut results = Vec::with_capacity(ids.len());
    for id in &ids {
        match record_results::updatable_index(module, id, std::iter::empty(), faults) {
            Ok(index) => {
                match action {
                    TagAction::Add => module.add_tags(index, &names, over_write, now),
                    TagAction::Remove => module.remove_tags(index, &names, now),
                }
                results.push(RecordResult::Changed(json!({
                    "code": "SUCCESS",
                    "details": {"id": module.record_id(index), "tags": module.tags(index)},
                    "message": "tags updated successfully",
                    "status": "success",
                })));
            }
            Err(error) => {
                locked += usize::from(error["code"] == "RECORD_LOCKED");
                results.push(RecordResult::Rejected(error));
            }
        }
    }
    let rejected = results.iter().filter(|result| result.is_rejected()).count();
    let more = Map::from_iter([
        (
            "success_count".to_owned(),
            json!((results.len() - rejected).to_string()),
        ),
        ("locked_count".to_owned(), json!(locked.to_string())),
    ]);
    Ok(record_results::respond_with(&results, more, faults))
}

/// Reads the names of the tags. Errors of the tags come under `tags`.
fn read_names(body: &Map<String, Value>, faults: &Faults) -> EndpointResult<Vec<String>> {
    let location = json!({"api_name": "tags", "json_path": "$.tags"});
    let tags = match body.get("tags") {
        None => return reject(ApiResponse::missing_field(location)),
        Some(Value::Array(tags)) if !tags.is_empty() => tags,
        Some(Value::Array(_)) => return reject(ApiResponse::missing_field(location)),
        Some(_) => return reject(ApiResponse::wrong_type("tags", "$.tags", "jsonarray")),
    };
    let mut names = Vec::with_capacity(tags.len());
    let mut errors = Vec::new();
    for (index, tag) in tags.iter().enumerate() {
        let path = format!("$.tags[{index}].name");
        let Some(name) = tag.get("name").and_then(Value::as_str) else {
            return reject(ApiResponse::wrong_type("name", &path, "string"));
        };
        let mut details = json!({"api_name": "name", "json_path": path});
        if name.chars().count() > MAX_NAME_CHARS {
            details["maximum_length"] = json!(MAX_NAME_CHARS);
            errors.push(error_object("INVALID_DATA", details, "invalid data"));
        } else if name.is_empty() || name.contains(|c| faults.refused_tag_characters.contains(c)) {
            let message = "Please check whether the input values are correct";
            errors.push(error_object("PATTERN_NOT_MATCHED", details, message));
        } else {
            names.push(name.to_owned());
        }
    }
    match errors.is_empty() {
        true => Ok(names),
        false => reject(ApiResponse::json(400, json!({"tags": errors}))),
    }
}
