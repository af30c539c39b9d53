//! `POST {module}/actions/mass_update`.
//!
//! Zoho does not document the order of its checks. The simulator checks the body's shape, then the selector, the fields,
//! the values and the view.

pub(super) mod body;

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use self::body::{
    check_keys, data_error, read_fields, read_ids, read_over_write, read_territories,
};
use crate::endpoints::record_results::{self, RecordResult};
use crate::faults::{Edition, Faults, InputPolicy};
use crate::jobs::{JobChange, NewJob};
use crate::org::module::Module;
use crate::request_body;
use crate::response::{ApiResponse, EndpointResult, error_object, reject};
use crate::state::State;

/// The largest number of records in one scheduled job.
const MAX_RECORDS_PER_JOB: usize = 50_000;

/// Handles a mass update of a module.
pub(super) fn post(
    state: &mut State,
    module: &str,
    body: &[u8],
    now: Timestamp,
) -> EndpointResult<ApiResponse> {
    let faults = &state.faults;
    let module = state.org.require_module_mut(module)?;
    if !faults.may_mass_update {
        return reject(ApiResponse::error(
            403,
            "NO_PERMISSION",
            json!({}),
            "permission denied",
        ));
    }
    let body = request_body::parse_object(body)?;
    check_keys(&body, faults)?;
    let over_write = read_over_write(&body)?;
    match read_selector(&body, faults)? {
        Selector::Ids(ids) => {
            let ids = read_ids(ids, faults)?;
            let fields = read_fields(&body, module.schema, faults)?;
            Ok(update_immediately(
                module, &ids, &fields, over_write, faults, now,
            ))
        }
        Selector::View(cvid) => {
            let territories = read_territories(body.get("territory"))?;
            let fields = read_fields(&body, module.schema, faults)?;
            check_may_schedule(faults)?;
            let view = module.view(cvid)?.id;
            if state.jobs.has_running_job(view) {
                return reject(already_scheduled(faults));
            }
            let job = NewJob {
                module: module.schema.name,
                view,
                records: view_records(module, cvid, territories.as_deref())?,
                change: JobChange::Fields { fields, over_write },
                duration: state.job_duration,
            };
            let id = state.jobs.schedule(job, faults, now);
            Ok(scheduled(&id, faults))
        }
    }
}

/// The records that a mass update is about.
enum Selector<'a> {
    /// The value of `ids`: an immediate update.
    Ids(&'a Value),
    /// The value of `cvid`: a scheduled update.
    View(&'a str),
}

fn read_selector<'a>(
    body: &'a Map<String, Value>,
    faults: &Faults,
) -> EndpointResult<Selector<'a>> {
    let location = |name: &str| json!({"api_name": name, "json_path": format!("$.{name}")});
    let has_territory = body.contains_key("territory");
    match (body.get("ids"), body.get("cvid")) {
        (Some(_), Some(_)) => reject(ApiResponse::invalid_data(location("cvid"))),
        (None, None) if has_territory => reject(ApiResponse::missing_field(location("cvid"))),
        (None, None) => {
            let error = error_object("MANDATORY_NOT_FOUND", json!({}), "required field not found");
            reject(data_error(faults, 400, error))
        }
        (Some(_), None) if has_territory => {
            reject(ApiResponse::invalid_data(location("territory")))
        }
        (Some(ids), None) => Ok(Selector::Ids(ids)),
        (None, Some(Value::String(cvid))) => Ok(Selector::View(cvid)),
        (None, Some(_)) => reject(ApiResponse::wrong_type("cvid", "$.cvid", "string")),
    }
}

/// Updates the records that can be updated. The response has one entry for each id, in the order of the request.
fn update_immediately(
    module: &mut Module,
    ids: &[String],
    fields: &Map<String, Value>,
    over_write: bool,
    faults: &Faults,
    now: Timestamp,
) -> ApiResponse {
    let mut seen = BTreeSet::new();
    let mut results = Vec::with_capacity(ids.len());
    for id in ids {
        let duplicate = !seen.insert(id.as_str());
        if duplicate && faults.duplicate_ids == InputPolicy::Refuse {
            results.push(RecordResult::Rejected(record_results::duplicate_error(id)));
            continue;
        }
        results.push(
            match record_results::updatable_index(module, id, fields.keys(), faults) {
                Ok(index) => {
                    module.update_record(index, fields, over_write, now);
                    record_results::updated(module, index)
                }
                Err(error) => RecordResult::Rejected(error),
            },
        );
    }
    record_results::respond(&results, faults)
}

/// Rejects a scheduled update that the edition or the user's profile does not allow.
pub(super) fn check_may_schedule(faults: &Faults) -> EndpointResult<()> {
    // Zoho does not document the response below Enterprise; this is its general one.
    if matches!(
        faults.edition,
        Edition::Free | Edition::Standard | Edition::Professional
    ) {
        let details = json!({"api_name": "cvid", "json_path": "$.cvid"});
        return reject(ApiResponse::error(
            403,
            "FEATURE_NOT_SUPPORTED",
            details,
            "feature is not supported in this edition",
        ));
    }
    if !faults.may_schedule {
        return reject(ApiResponse::error(
            400,
            "AUTHORIZATION_FAILED",
            json!({}),
            "User does not have sufficient privilege to schedule mass update.",
        ));
    }
    Ok(())
}

pub(super) fn already_scheduled(faults: &Faults) -> ApiResponse {
    let error = error_object(
        "ALREADY_SCHEDULED",
        json!({"api_name": "cvid"}),
        "Already a Mass Action scheduler is running for the given cvid",
    );
    let body = if faults.already_scheduled_in_data {
        json!({"data": [error]})
    } else {
        error
    };
    ApiResponse::json(faults.already_scheduled_status, body)
}

/// The indexes of the view's current records.
fn view_records(
    module: &Module,
    cvid: &str,
    territories: Option<&[u64]>,
) -> EndpointResult<Vec<u64>> {
    let records = module.view_members(module.view(cvid)?, territories);
    let rejection = |code, message| reject(ApiResponse::error(400, code, json!({}), message));
    match records.len() {
        0 => rejection("NO_RECORDS_FOUND", "no record found to update"),
        1..=MAX_RECORDS_PER_JOB => Ok(records),
        _ => rejection("LIMIT_EXCEEDED", "Record count exceeded"),
    }
}

fn scheduled(job: &str, faults: &Faults) -> ApiResponse {
    let scheduled = json!({
        "code": "SUCCESS",
        "details": {"job_id": job},
        "message": "mass update scheduled successfully",
        "status": "success",
    });
    let data = if faults.scheduled_as_object {
        scheduled
    } else {
        json!([scheduled])
    };
    ApiResponse::json(200, json!({"data": data}))
}
