//! `PUT {module}`: any fields of up to 100 records, each with values of its own.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::answer::{Answer, entry};
use crate::body::{Checked, refuse};
use crate::faults::{Faults, Verdict};
use crate::fields::Field;
use crate::records::{self, Entry};
use crate::state::State;
use crate::values;
use crate::world::Module;

/// Records that one call takes.
const MOST: usize = 100;

/// What `trigger` may name.
const AUTOMATION: [&str; 5] = [
    "approval",
    "workflow",
    "blueprint",
    "pathfinder",
    "orchestration",
];

/// `PUT {module}`: any fields of up to 100 records; here multi-selects are replaced unless `$append_values` says so.
pub(crate) fn serve(
    state: &mut State,
    module: &str,
    body: &[u8],
    now: Timestamp,
) -> Checked<Answer> {
    let Some(module) = state.world.module_mut(module) else {
        return refuse(records::invalid_module());
    };
    let body = records::object(body)?;
    let data = body
        .get("data")
        .and_then(Value::as_array)
        .filter(|data| !data.is_empty());
    let Some(data) = data else {
        return refuse(Answer::error(
            400,
            "MANDATORY_NOT_FOUND",
            json!({"api_name": "data"}),
            "required field not found",
        ));
    };
    if data.len() > MOST {
        return refuse(Answer::error(
            400,
            "INVALID_DATA",
            json!({"limit": MOST, "api_name": "data"}),
            "invalid data",
        ));
    }
    let faults = &state.faults;
    check_trigger(body.get("trigger"), faults)?;
    let mut seen = BTreeSet::new();
    let answers: Vec<Entry> = data
        .iter()
        .enumerate()
        .map(|(at, record)| {
            let id = record.get("id").and_then(records::given_id);
            let again = id.filter(|id| !seen.insert(id.clone()));
            match again.filter(|_| faults.duplicate_ids == Verdict::Refuse) {
                Some(id) => Entry::Refused(records::given_twice(&id)),
                None => put_one(module, at, record, now).unwrap_or_else(Entry::Refused),
            }
        })
        .collect();
    Ok(records::entries(
        &answers,
        faults.mixed_status,
        faults.all_failed_status,
    ))
}

/// What automation is to run: none of it for an empty list, all of it without one. Nothing documents how another word is
/// answered.
fn check_trigger(trigger: Option<&Value>, faults: &Faults) -> Checked<()> {
    let refused = |details| refuse(Answer::error(400, "INVALID_DATA", details, "invalid data"));
    let words = match trigger {
        None => return Ok(()),
        Some(Value::Array(words)) if words.iter().all(Value::is_string) => words,
        Some(_) => {
            let details = json!({"api_name": "trigger", "expected_data_type": "jsonarray"});
            return refused(details);
        }
    };
    let unknown = words
        .iter()
        .position(|word| !AUTOMATION.iter().any(|known| word == known));
    match unknown.filter(|_| faults.unknown_keys == Verdict::Refuse) {
        None => Ok(()),
        Some(at) => {
            let path = format!("$.trigger[{at}]");
            refused(
                json!({"api_name": "trigger", "json_path": path, "supported_values": AUTOMATION}),
            )
        }
    }
}

/// How many records a body has.
pub(crate) fn count(body: &[u8]) -> u64 {
    records::object(body)
        .ok()
        .and_then(|body| Some(body.get("data")?.as_array()?.len() as u64))
        .unwrap_or_default()
}

/// The entry of one record.
fn put_one(module: &mut Module, at: usize, record: &Value, now: Timestamp) -> Result<Entry, Value> {
    let given = record.as_object();
    let id = given.and_then(|given| records::given_id(given.get("id")?));
    let (Some(given), Some(id)) = (given, id) else {
        let details = json!({"api_name": "id", "json_path": format!("$.data[{at}].id")});
        return Err(entry(
            "MANDATORY_NOT_FOUND",
            details,
            "required field not found",
        ));
    };
    if let Some(refusal) = records::refuse(module, &id) {
        return Err(refusal);
    }
    let place = module.place(&id).ok_or_else(|| records::invalid_id(&id))?;
    // What is no field is ignored, as Zoho does.
    let mut fields = Map::new();
    for (name, value) in given {
        let Some(field) = module.schema.field(name) else {
            continue;
        };
        check(module, field, at, place, value)?;
        fields.insert(name.clone(), value.clone());
    }
    let appended = |name: &String| {
        given
            .get("$append_values")
            .is_some_and(|append| append[name.as_str()] == json!(true))
    };
    let (append, replace): (Map<_, _>, Map<_, _>) =
        fields.into_iter().partition(|(name, _)| appended(name));
    module.set(place, &append, false, now);
    module.set(place, &replace, true, now);
    Ok(records::updated(module, place))
}

fn check(
    module: &Module,
    field: &Field,
    at: usize,
    place: u64,
    value: &Value,
) -> Result<(), Value> {
    let refused = |code, message| {
        let details =
            json!({"api_name": field.name, "json_path": format!("$.data[{at}].{}", field.name)});
        Err(entry(code, details, message))
    };
    if field.hidden {
        return refused("INVALID_DATA", "Field is not visible");
    }
    if field.read_only || field.system {
        return refused("NO_PERMISSION", "Field Edit Permission not given");
    }
    if let Some(refusal) = values::refuse(field, value, at) {
        return Err(refusal);
    }
    let twin = field.unique
        && !value.is_null()
        && (0..module.records)
            .any(|other| other != place && module.value(other, field.name) == *value);
    if twin {
        return refused("DUPLICATE_DATA", "duplicate data");
    }
    Ok(())
}
