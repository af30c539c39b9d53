//! `/_sim/*`: inspects the simulator and controls its faults and clock. These requests are not counted or logged, and
//! have no faults.

use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::accounts::{self, Accounts, GrantCodeRequest};
use crate::data_center::DataCenter;
use crate::org::territories;
use crate::response::ApiResponse;
use crate::state::State;

/// Handles an admin request. `path` has no prefix `/_sim/`.
pub(crate) fn handle(state: &mut State, method: &str, path: &str, body: &[u8]) -> ApiResponse {
    state.advance_jobs();
    let segments: Vec<&str> = path.split('/').collect();
    match (method, segments.as_slice()) {
        ("GET", ["stats"]) => ApiResponse::json(200, state.stats()),
        ("GET", ["requests"]) => ApiResponse::json(200, state.request_log.requests()),
        ("GET", ["records", module, id]) => record(state, module, id),
        ("GET", ["faults"]) => current_faults(state),
        ("POST", ["faults"]) => {
            match parse_json(body).and_then(|posted| state.faults.merge(&posted)) {
                Ok(expire) => {
                    if expire {
                        state.accounts.iter_mut().for_each(Accounts::expire_all);
                    }
                    current_faults(state)
                }
                Err(message) => error_response(400, &message),
            }
        }
        ("POST", ["clock"]) => match parse_json(body).and_then(|posted| advance(state, &posted)) {
            Ok(()) => ApiResponse::json(200, json!({"now": state.now().to_string()})),
            Err(message) => error_response(400, &message),
        },
        ("POST", ["grant_code"]) => {
            match parse_json(body).and_then(|posted| grant_code(state, posted)) {
                Ok(code) => ApiResponse::json(200, json!({"code": code})),
                Err(message) => error_response(400, &message),
            }
        }
        _ => error_response(
            404,
            "there are GET stats, requests, records/{module}/{id}, faults; POST faults, clock, grant_code",
        ),
    }
}

fn record(state: &State, module: &str, id: &str) -> ApiResponse {
    let Some(module) = state.org.module(module) else {
        return error_response(404, "no such module");
    };
    let Some(index) = module.index_of(id) else {
        return error_response(404, "no such record");
    };
    let mut record = module.record(index);
    record["$condition"] = json!(module.condition(index).name());
    record["$territory"] = json!(territories::territory_of(index).to_string());
    ApiResponse::json(200, record)
}

fn current_faults(state: &State) -> ApiResponse {
    match serde_json::to_value(&state.faults) {
        Ok(switches) => ApiResponse::json(200, switches),
        Err(error) => error_response(500, &error.to_string()),
    }
}

fn advance(state: &mut State, posted: &Value) -> Result<(), String> {
    let seconds = posted
        .get("advance_s")
        .and_then(Value::as_i64)
        .ok_or("post {\"advance_s\": whole seconds}, negative to go back")?;
    state.advance_clock(seconds);
    Ok(())
}

/// The body of `POST /_sim/grant_code`: the input of the API console's "Generate Code".
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GrantCodeForm {
    scope: String,
    #[serde(default = "default_data_center")]
    data_center: String,
    redirect_uri: Option<String>,
    /// The lifetime; the console offers 3, 5, 7 and 10.
    minutes: Option<u8>,
}

fn default_data_center() -> String {
    DataCenter::ALL[0].name().to_owned()
}

fn grant_code(state: &mut State, posted: Value) -> Result<String, String> {
    let form: GrantCodeForm = serde_json::from_value(posted).map_err(|error| error.to_string())?;
    let data_center = state
        .hosts
        .iter()
        .position(|host| host.data_center.name() == form.data_center)
        .ok_or("`data_center` is one of us, eu, in")?;
    let scopes = accounts::parse_scopes(&form.scope)
        .ok_or("`scope` is a list of Zoho's scopes, separated by commas")?;
    let request = GrantCodeRequest {
        scopes,
        redirect_uri: form.redirect_uri,
        lifetime: form
            .minutes
            .map_or(accounts::GRANT_CODE_LIFETIME, |minutes| {
                SignedDuration::from_mins(minutes.into())
            }),
    };
    let now = state.now();
    Ok(state.accounts[data_center].create_code(request, now))
}

fn parse_json(body: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(body).map_err(|error| format!("not JSON: {error}"))
}

fn error_response(status: u16, message: &str) -> ApiResponse {
    ApiResponse::json(status, json!({"error": message}))
}
