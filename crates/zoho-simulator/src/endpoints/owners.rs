//! `POST {module}/actions/change_owner` for up to 500 records, and `mass_change_owner` for a custom view
//! (<https://www.zoho.com/crm/developer/docs/api/v7/change-owner.html>,
//! <https://www.zoho.com/crm/developer/docs/api/v7/mass-change-owner.html>).

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::endpoints::mass_update::body::{
    check_known_keys, data_error, read_numeric_ids, read_territories,
};
use crate::endpoints::mass_update::{already_scheduled, check_may_schedule};
use crate::endpoints::record_results::{self, RecordResult};
use crate::faults::Faults;
use crate::jobs::{JobChange, NewJob};
use crate::org::module::Module;
use crate::org::users::CrmUser;
use crate::request_body;
use crate::response::{ApiResponse, EndpointResult, error_object, reject};
use crate::state::State;

/// The field with the owner of a record.
const OWNER: &str = "Owner";

/// The largest number of records in one job.
const MAX_RECORDS_PER_JOB: usize = 50_000;

/// Handles a change of the owner of single records.
pub(super) fn change(
    state: &mut State,
    module: &str,
    body: &[u8],
    now: Timestamp,
) -> EndpointResult<ApiResponse> {
    let faults = &state.faults;
    let users = state.org.users.clone();
    let module = state.org.require_module_mut(module)?;
    check_module(module)?;
    let body = request_body::parse_object(body)?;
    if let Some(key) = ["related_modules"]
        .into_iter()
        .find(|key| body.contains_key(*key))
    {
        return reject(ApiResponse::not_simulated(json!({"api_name": key})));
    }
    check_known_keys(&body, &["ids", "owner", "notify"], faults)?;
    if body
        .get("notify")
        .is_some_and(|notify| !notify.is_boolean())
    {
        return reject(ApiResponse::wrong_type("notify", "$.notify", "boolean"));
    }
    let owner = read_owner(&body, &users, faults)?;
    let Some(ids) = body.get("ids") else {
        return reject(missing("ids"));
    };
    let ids = read_numeric_ids(ids, faults)?;
    let mut results = Vec::with_capacity(ids.len());
    for id in &ids {
        results.push(
            match record_results::updatable_index(module, id, std::iter::empty(), faults) {
                Ok(index) => {
                    module.set_owner(index, owner, now);
                    RecordResult::Changed(json!({
                        "code": "SUCCESS",
                        "details": {"id": module.record_id(index)},
                        "message": "owner is successfully updated",
                        "status": "success",
                    }))
                }
                Err(error) => RecordResult::Rejected(error),
            },
        );
    }
    // With an index, as Zoho's partial answers have one.
    let results = results
        .into_iter()
        .enumerate()
        .map(|(index, result)| match result {
            RecordResult::Rejected(mut error) => {
                error["index"] = json!(index);
                RecordResult::Rejected(error)
            }
            RecordResult::Done { .. } | RecordResult::Changed(_) => result,
        });
    let results: Vec<RecordResult> = results.collect();
    Ok(record_results::respond(&results, faults))
}

/// Handles a change of the owner of a custom view's records.
pub(super) fn schedule(
    state: &mut State,
    module: &str,
    body: &[u8],
    now: Timestamp,
) -> EndpointResult<ApiResponse> {
    let faults = &state.faults;
    let users = state.org.users.clone();
    let module = state.org.require_module(module)?;
    check_module(module)?;
    let body = request_body::parse_object(body)?;
    if body.contains_key("criteria") {
        return reject(ApiResponse::not_simulated(json!({"api_name": "criteria"})));
    }
    check_known_keys(&body, &["cvid", "owner", "territory"], faults)?;
    let owner = read_owner(&body, &users, faults)?;
    let Some(cvid) = body.get("cvid") else {
        return reject(missing("cvid"));
    };
    let Some(cvid) = request_body::read_id(cvid) else {
        return reject(ApiResponse::wrong_type("cvid", "$.cvid", "string"));
    };
    let territories = read_territories(body.get("territory"))?;
    check_may_schedule(faults)?;
    let view = module.view(&cvid)?;
    if state.jobs.has_running_job(view.id) {
        return reject(already_scheduled(faults));
    }
    let records = module.view_members(view, territories.as_deref());
    if records.is_empty() {
        let message = "no record found to update";
        return reject(ApiResponse::error(
            400,
            "NO_RECORDS_FOUND",
            json!({}),
            message,
        ));
    }
    if records.len() > MAX_RECORDS_PER_JOB {
        let details = json!({"limit": MAX_RECORDS_PER_JOB});
        let message = "record limit exceeded";
        return reject(ApiResponse::error(
            400,
            "RECORD_LIMIT_EXCEEDED",
            details,
            message,
        ));
    }
    let job = NewJob {
        module: module.schema.name,
        view: view.id,
        records,
        change: JobChange::Owner(owner),
        duration: state.job_duration,
    };
    let is_new = faults.owner_job_as_scheduled;
    let id = state.jobs.schedule(job, faults, now);
    let (status, code) = match is_new {
        true => (202, "SCHEDULED"),
        false => (200, "SUCCESS"),
    };
    let scheduled = json!({
        "code": code,
        "details": {"job_id": id},
        "message": "change owner is successfully scheduled",
        "status": "success",
    });
    Ok(ApiResponse::json(status, json!({"data": [scheduled]})))
}

/// Rejects a module whose records have no owner.
pub(super) fn check_module(module: &Module) -> EndpointResult<()> {
    match module.schema.field(OWNER) {
        Some(_) => Ok(()),
        None => reject(ApiResponse::error(
            400,
            "NOT_SUPPORTED",
            json!({"resource_path_index": 0}),
            "the given module is not supported for this api",
        )),
    }
}

fn missing(key: &str) -> ApiResponse {
    let details = json!({"api_name": key, "json_path": format!("$.{key}")});
    ApiResponse::error(
        400,
        "EXPECTED_FIELD_MISSING",
        details,
        "expected field missing",
    )
}

/// Reads the new owner, who must be an active user.
fn read_owner(
    body: &Map<String, Value>,
    users: &[&'static CrmUser],
    faults: &Faults,
) -> EndpointResult<&'static CrmUser> {
    let owner = match body.get("owner") {
        None => return reject(missing("owner")),
        Some(Value::Object(owner)) => owner,
        Some(_) => return reject(ApiResponse::wrong_type("owner", "$.owner", "jsonobject")),
    };
    let Some(id) = owner.get("id") else {
        let location = json!({"api_name": "id", "json_path": "$.owner.id"});
        return reject(ApiResponse::missing_field(location));
    };
    let Some(id) = request_body::read_id(id) else {
        return reject(ApiResponse::wrong_type("id", "$.owner.id", "string"));
    };
    if !faults.may_change_owner {
        let message = "cannot assign the records to this user";
        return reject(ApiResponse::error(403, "CANNOT_ASSIGN", json!({}), message));
    }
    let user = users.iter().copied().find(|user| user.id == id);
    let status = user.map_or("not_crm_user", |user| user.status);
    match user.filter(|user| user.status == "active") {
        Some(user) => Ok(user),
        None => {
            let details =
                json!({"api_name": "id", "json_path": "$.owner.id", "owner_status": status});
            let error = error_object("INVALID_DATA", details, "invalid data");
            reject(data_error(faults, 400, error))
        }
    }
}
