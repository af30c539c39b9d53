//! `POST /crm/v7/{module}/actions/mass_update`: what Zoho takes, what it refuses, and in which order it looks.
//!
//! The order is not documented; this one goes from the outside in: shape, selector, fields, values, view.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::answer::{Answer, entry};
use crate::body::{
    Checked, check_keys, in_data, read_fields, read_ids, read_territory, refuse, wrong_type,
};
use crate::faults::{Edition, Faults, Verdict};
use crate::jobs::{Jobs, NewJob};
use crate::records::{self, Entry};
use crate::views;
use crate::world::World;

/// Records in one scheduled job.
const MOST_RECORDS: usize = 50_000;

/// The org, and all that decides about an answer.
pub(crate) struct Org<'a> {
    pub(crate) world: &'a mut World,
    pub(crate) jobs: &'a mut Jobs,
    pub(crate) faults: &'a Faults,
    pub(crate) job_duration: Duration,
    pub(crate) now: Timestamp,
}

/// Answers a mass update of an existing module.
pub(crate) fn post(org: &mut Org<'_>, module: &str, body: &[u8]) -> Answer {
    answer(org, module, body).unwrap_or_else(|refusal| *refusal)
}

fn answer(org: &mut Org<'_>, module: &str, body: &[u8]) -> Checked<Answer> {
    let schema = records::module(org.world, module)?.schema;
    let body = records::object(body)?;
    check_keys(&body, org.faults)?;
    let over_write = match body.get("over_write") {
        None => false,
        Some(Value::Bool(flag)) => *flag,
        Some(_) => return refuse(wrong_type("over_write", "$.over_write", "boolean")),
    };
    match (body.get("ids"), body.get("cvid")) {
        (Some(_), Some(_)) => refuse(Answer::error(
            400,
            "INVALID_DATA",
            json!({"api_name": "cvid", "json_path": "$.cvid"}),
            "invalid data",
        )),
        (None, None) if body.contains_key("territory") => refuse(Answer::error(
            400,
            "MANDATORY_NOT_FOUND",
            json!({"api_name": "cvid", "json_path": "$.cvid"}),
            "required field not found",
        )),
        (None, None) => refuse(in_data(
            org.faults,
            400,
            entry("MANDATORY_NOT_FOUND", json!({}), "required field not found"),
        )),
        (Some(_), None) if body.contains_key("territory") => refuse(Answer::error(
            400,
            "INVALID_DATA",
            json!({"api_name": "territory", "json_path": "$.territory"}),
            "invalid data",
        )),
        (Some(ids), None) => {
            let ids = read_ids(ids, org.faults)?;
            let fields = read_fields(&body, schema, org.faults)?;
            Ok(update_now(org, schema.name, &ids, &fields, over_write))
        }
        (None, Some(cvid)) => {
            let Some(cvid) = cvid.as_str() else {
                return refuse(wrong_type("cvid", "$.cvid", "string"));
            };
            let territories = read_territory(body.get("territory"))?;
            let fields = read_fields(&body, schema, org.faults)?;
            schedule(
                org,
                schema.name,
                cvid,
                territories.as_deref(),
                fields,
                over_write,
            )
        }
    }
}

/// Immediate: every id gets its entry, in the order of the request, and the good ones are updated.
fn update_now(
    org: &mut Org<'_>,
    module: &str,
    ids: &[String],
    fields: &Map<String, Value>,
    over_write: bool,
) -> Answer {
    let Some(module) = org.world.module_mut(module) else {
        return records::invalid_module();
    };
    let mut seen = BTreeSet::new();
    let mut data = Vec::with_capacity(ids.len());
    for id in ids {
        let again = !seen.insert(id.as_str()) && org.faults.duplicate_ids == Verdict::Refuse;
        let refusal = if again {
            Some(records::given_twice(id))
        } else {
            records::refuse(module, id)
        };
        match (refusal, module.place(id)) {
            (None, Some(place)) => {
                module.set(place, fields, over_write, org.now);
                data.push(records::updated(module, place));
            }
            (refusal, _) => {
                let refusal = refusal.unwrap_or_else(|| records::invalid_id(id));
                data.push(Entry::Refused(refusal));
            }
        }
    }
    records::entries(&data, org.faults.mixed_status, org.faults.all_failed_status)
}

fn schedule(
    org: &mut Org<'_>,
    module: &'static str,
    cvid: &str,
    territories: Option<&[u64]>,
    fields: Map<String, Value>,
    over_write: bool,
) -> Checked<Answer> {
    // Zoho does not document the refusal below Enterprise; this is its general one.
    if matches!(
        org.faults.edition,
        Edition::Free | Edition::Standard | Edition::Professional
    ) {
        let details = json!({"api_name": "cvid", "json_path": "$.cvid"});
        return refuse(Answer::error(
            403,
            "FEATURE_NOT_SUPPORTED",
            details,
            "feature is not supported in this edition",
        ));
    }
    if !org.faults.may_schedule {
        return refuse(Answer::error(
            400,
            "AUTHORIZATION_FAILED",
            json!({}),
            "User does not have sufficient privilege to schedule mass update.",
        ));
    }
    let in_world = records::module(org.world, module)?;
    let view = views::find(in_world, cvid)?;
    if org.jobs.busy(view.id) {
        let error = entry(
            "ALREADY_SCHEDULED",
            json!({"api_name": "cvid"}),
            "Already a Mass Action scheduler is running for the given cvid",
        );
        let status = org.faults.already_scheduled_status;
        return refuse(if org.faults.already_scheduled_in_data {
            Answer::json(status, json!({"data": [error]}))
        } else {
            Answer::json(status, error)
        });
    }
    let members = in_world.members(view, territories);
    if members.is_empty() {
        return refuse(Answer::error(
            400,
            "NO_RECORDS_FOUND",
            json!({}),
            "no record found to update",
        ));
    }
    if members.len() > MOST_RECORDS {
        return refuse(Answer::error(
            400,
            "LIMIT_EXCEEDED",
            json!({}),
            "Record count exceeded",
        ));
    }
    let new = NewJob {
        module,
        view: view.id,
        records: members,
        fields,
        over_write,
        duration: org.job_duration,
    };
    let id = org.jobs.schedule(new, org.faults, org.now);
    let scheduled = json!({
        "code": "SUCCESS",
        "details": {"job_id": id},
        "message": "mass update scheduled successfully",
        "status": "success",
    });
    let data = if org.faults.scheduled_as_object {
        scheduled
    } else {
        json!([scheduled])
    };
    Ok(Answer::json(200, json!({"data": data})))
}
