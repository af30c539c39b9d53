//! `POST /crm/v7/{module}/actions/mass_update`: what Zoho takes, what it refuses, and in which order it looks.
//!
//! The order is not documented; this one goes from the outside in: shape, selector, fields, values, view.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::answer::{Answer, entry};
use super::faults::{Edition, Faults, Verdict};
use super::fields::{Kind, Rule};
use super::jobs::{Jobs, NewJob};
use super::records;
use super::schema::Schema;
use super::values;
use super::views;
use super::world::World;

/// Ids in one immediate call.
const MOST_IDS: usize = 500;

/// Records in one scheduled job.
const MOST_RECORDS: usize = 50_000;

/// Keys that the body may have.
const KEYS: [&str; 5] = ["data", "ids", "cvid", "territory", "over_write"];

/// The org, and all that decides about an answer.
pub(super) struct Org<'a> {
    pub(super) world: &'a mut World,
    pub(super) jobs: &'a mut Jobs,
    pub(super) faults: &'a Faults,
    pub(super) job_duration: Duration,
    pub(super) now: Timestamp,
}

/// Answers a mass update of an existing module.
pub(super) fn post(org: &mut Org<'_>, module: &str, body: &[u8]) -> Answer {
    answer(org, module, body).unwrap_or_else(|refusal| *refusal)
}

type Checked<T> = Result<T, Box<Answer>>;

fn refuse<T>(answer: Answer) -> Checked<T> {
    Err(Box::new(answer))
}

fn answer(org: &mut Org<'_>, module: &str, body: &[u8]) -> Checked<Answer> {
    let Some(schema) = org.world.module(module).map(|module| module.schema) else {
        return refuse(records::invalid_module());
    };
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

fn check_keys(body: &Map<String, Value>, faults: &Faults) -> Checked<()> {
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

fn read_ids(ids: &Value, faults: &Faults) -> Checked<Vec<String>> {
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

fn read_territory(territory: Option<&Value>) -> Checked<Option<Vec<u64>>> {
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
    let Some(id) = id.as_str() else {
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
    match views::territories(id, include_child) {
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
fn read_fields(
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
        if let Some(error) = values::refuse(field, value) {
            return refuse(in_data(faults, 400, error));
        }
    }
    match values::refuse_mapping(&fields) {
        Some(error) => refuse(in_data(faults, 400, error)),
        None => Ok(fields),
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
    let mut failed = 0;
    let mut data = Vec::with_capacity(ids.len());
    for id in ids {
        let again = !seen.insert(id.as_str()) && org.faults.duplicate_ids == Verdict::Refuse;
        let refusal = if again {
            Some(entry("DUPLICATE_DATA", json!({"id": id}), "duplicate data"))
        } else {
            records::refuse(module, id)
        };
        match (refusal, module.place(id)) {
            (None, Some(place)) => {
                module.set(place, fields, over_write, org.now);
                data.push(records::updated(module, place));
            }
            (refusal, _) => {
                failed += 1;
                data.push(refusal.unwrap_or_else(|| records::invalid_id(id)));
            }
        }
    }
    let status = match failed {
        0 => 200,
        _ if failed == ids.len() => org.faults.all_failed_status,
        _ => org.faults.mixed_status,
    };
    Answer::json(status, json!({"data": data}))
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
    let Some(in_world) = org.world.module(module) else {
        return refuse(records::invalid_module());
    };
    let Some(view) = in_world
        .views
        .iter()
        .find(|view| view.id.to_string() == cvid)
    else {
        return refuse(Answer::error(
            400,
            "INVALID_DATA",
            json!({"api_name": "cvid", "json_path": "$.cvid"}),
            "the cvid given seems to be invalid",
        ));
    };
    if !view.accessible {
        return refuse(Answer::error(
            403,
            "NO_PERMISSION",
            json!({}),
            "Customview not accessible",
        ));
    }
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

/// Zoho's second envelope: the error in `data`; the third one is the same without the list.
fn in_data(faults: &Faults, status: u16, error: Value) -> Answer {
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

fn wrong_type(name: &str, path: &str, expected: &str) -> Answer {
    Answer::error(
        400,
        "INVALID_DATA",
        json!({"expected_data_type": expected, "api_name": name, "json_path": path}),
        "invalid data",
    )
}
