//! The endpoints around mass update: metadata, and single records.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::answer::{Answer, entry};
use super::endpoint::Endpoint;
use super::records;
use super::schema::MODULES;
use super::seeds::user;
use super::state::{Request, State};
use super::views::{TERRITORIES, Territory};
use super::world::Module;
use super::{coql, search, values};

/// Records that one `PUT {module}` takes.
const MOST_PUT: usize = 100;

/// Answers a request whose token and scopes are good.
pub(super) fn serve(
    state: &mut State,
    request: &Request,
    scopes: &[String],
    now: Timestamp,
) -> Answer {
    match &request.endpoint {
        Endpoint::Fields(id) => of_module(state, request, |module| fields(module, id.as_deref())),
        Endpoint::CustomViews(id) => {
            of_module(state, request, |module| custom_views(module, id.as_deref()))
        }
        Endpoint::Modules(name) => modules(name.as_deref()),
        Endpoint::Territories(None) => territories(TERRITORIES.iter()),
        Endpoint::Territories(Some(id)) => territories(
            TERRITORIES
                .iter()
                .filter(|territory| territory.id.to_string() == *id),
        ),
        Endpoint::ChildTerritories(id) => territories(TERRITORIES.iter().filter(|territory| {
            territory
                .reporting_to
                .is_some_and(|above| above.to_string() == *id)
        })),
        Endpoint::Search(module) => search::serve(state, request, module, now),
        Endpoint::Coql => coql::serve(state, &request.body, scopes),
        Endpoint::Record(module, id) => record(state, module, id),
        Endpoint::PutRecords(module) => put(state, module, &request.body, now),
        Endpoint::Apis => apis(state, request),
        Endpoint::Org => Answer::json(
            200,
            json!({"org": [{"company_name": "Simulated", "id": "5725767000000020005", "zgid": "60001234567", "time_zone": "Asia/Kolkata"}]}),
        ),
        Endpoint::Token
        | Endpoint::TokenAlias
        | Endpoint::Revoke
        | Endpoint::ServerInfo
        | Endpoint::MassUpdate(_)
        | Endpoint::MassUpdateStatus(_)
        | Endpoint::WrongMethod
        | Endpoint::Unknown => Answer::plain(500),
    }
}

/// For endpoints whose module is a parameter.
fn of_module(state: &State, request: &Request, answer: impl Fn(&Module) -> Answer) -> Answer {
    let Some(name) = request.parameter("module") else {
        return Answer::error(
            400,
            "REQUIRED_PARAM_MISSING",
            json!({"param_name": "module"}),
            "One of the expected parameter is missing",
        );
    };
    match state.world.module(name) {
        Some(module) => answer(module),
        None => records::invalid_module(),
    }
}

fn fields(module: &Module, id: Option<&str>) -> Answer {
    // Field ids follow from the module's records, so that no two modules share one.
    let first = module.schema.first_id - 1_000_000 + 100_000;
    let found: Vec<Value> = (first..)
        .zip(module.schema.fields)
        .filter(|(own, _)| id.is_none_or(|id| own.to_string() == id))
        .map(|(own, field)| field.json(own))
        .collect();
    or_nothing("fields", found, false)
}

fn custom_views(module: &Module, id: Option<&str>) -> Answer {
    let found: Vec<Value> = module
        .views
        .iter()
        .filter(|view| id.is_none_or(|id| view.id.to_string() == id))
        .map(|view| view.json())
        .collect();
    or_nothing("custom_views", found, true)
}

fn modules(name: Option<&str>) -> Answer {
    let found: Vec<Value> = MODULES
        .iter()
        .filter(|schema| name.is_none_or(|name| schema.name == name))
        .map(|schema| {
            json!({
                "api_name": schema.name,
                "module_name": schema.name,
                "plural_label": schema.name,
                "singular_label": schema.name.trim_end_matches('s'),
                "id": (schema.first_id - 999_000).to_string(),
                "api_supported": true,
                "generated_type": if schema.custom { "custom" } else { "default" },
                "editable": true,
                "viewable": true,
            })
        })
        .collect();
    or_nothing("modules", found, false)
}

fn territories(found: impl Iterator<Item = &'static Territory>) -> Answer {
    let found = found
        .map(|territory| {
            let above = TERRITORIES
                .iter()
                .find(|above| Some(above.id) == territory.reporting_to)
                .map(|above| json!({"name": above.name, "id": above.id.to_string()}));
            json!({
                "id": territory.id.to_string(),
                "name": territory.name,
                "api_name": territory.name,
                "description": null,
                "permission_type": "read_only",
                "manager": user(),
                "reporting_to": above,
            })
        })
        .collect();
    or_nothing("territories", found, true)
}

/// A list, or Zoho's 204 without a body if it is empty.
fn or_nothing(key: &str, found: Vec<Value>, paged: bool) -> Answer {
    if found.is_empty() {
        return Answer::empty(204);
    }
    let mut body = Map::new();
    if paged {
        let info = json!({"per_page": 200, "count": found.len(), "page": 1, "more_records": false});
        body.insert("info".to_owned(), info);
    }
    body.insert(key.to_owned(), Value::Array(found));
    Answer::json(200, Value::Object(body))
}

fn record(state: &State, module: &str, id: &str) -> Answer {
    let Some(module) = state.world.module(module) else {
        return records::invalid_module();
    };
    match module.place(id) {
        Some(place) => Answer::json(200, json!({"data": [module.record(place)]})),
        None => Answer::empty(204),
    }
}

/// `PUT {module}`: any fields of up to 100 records; here multi-selects are replaced unless `$append_values` says so.
fn put(state: &mut State, module: &str, body: &[u8], now: Timestamp) -> Answer {
    let Some(module) = state.world.module_mut(module) else {
        return records::invalid_module();
    };
    let body = match records::object(body) {
        Ok(body) => body,
        Err(refusal) => return *refusal,
    };
    let data = body
        .get("data")
        .and_then(Value::as_array)
        .filter(|data| !data.is_empty());
    let Some(data) = data else {
        return Answer::error(
            400,
            "MANDATORY_NOT_FOUND",
            json!({"api_name": "data"}),
            "required field not found",
        );
    };
    if data.len() > MOST_PUT {
        return Answer::error(
            400,
            "INVALID_DATA",
            json!({"limit": MOST_PUT, "api_name": "data"}),
            "invalid data",
        );
    }
    let answers: Vec<Value> = data
        .iter()
        .map(|record| put_one(module, record, now))
        .collect();
    let failed = answers
        .iter()
        .filter(|answer| answer["status"] == "error")
        .count();
    let status = match failed {
        0 => 200,
        _ if failed == answers.len() => 400,
        _ => 207,
    };
    Answer::json(status, json!({"data": answers}))
}

fn put_one(module: &mut Module, record: &Value, now: Timestamp) -> Value {
    let missing = || {
        entry(
            "MANDATORY_NOT_FOUND",
            json!({"api_name": "id"}),
            "required field not found",
        )
    };
    let Some(given) = record.as_object() else {
        return missing();
    };
    let Some(id) = given.get("id").and_then(Value::as_str) else {
        return missing();
    };
    if let Some(refusal) = records::refuse(module, id) {
        return refusal;
    }
    let Some(place) = module.place(id) else {
        return records::invalid_id(id);
    };
    let fields: Map<String, Value> = given
        .iter()
        .filter(|(name, _)| module.schema.field(name).is_some())
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    for (name, value) in &fields {
        if let Some(refusal) = module
            .schema
            .field(name)
            .and_then(|field| values::refuse(field, value))
        {
            return refusal;
        }
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
    records::updated(module, place)
}

/// `GET __apis`: which of the modules have mass update, and its price; a filter is taken but not narrowed by.
fn apis(state: &State, request: &Request) -> Answer {
    let filter = request.parameter("filters").unwrap_or("mass_update");
    if !filter.contains("mass_update") {
        return Answer::empty(204);
    }
    let price = state.faults.mass_update_credits;
    let found: Vec<Value> = MODULES
        .iter()
        .map(|schema| {
            let module = if schema.custom {
                "custom".to_owned()
            } else {
                schema.name.to_lowercase()
            };
            let operation = |method: &str, name: &str| {
                json!({
                    "method": method,
                    "oauth_scope": format!("ZohoCRM.mass_update.{module}.{name}"),
                    "max_credits": price,
                    "min_credits": price,
                })
            };
            json!({
                "path": format!("/crm/v7/{}/actions/mass_update", schema.name),
                "operation_types": [operation("POST", "UPDATE"), operation("GET", "READ")],
            })
        })
        .collect();
    Answer::json(200, json!({"__apis": found}))
}
