//! `/_sim/*`: looking into the simulator, and switching its faults and clock. Not counted, not logged, never faulty.

use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::accounts::{self, Accounts, CodeWish};
use crate::answer::Answer;
use crate::data_center::DataCenter;
use crate::state::State;
use crate::views;

/// Answers an admin request; `path` comes without `/_sim/`.
pub(crate) fn serve(state: &mut State, method: &str, path: &str, body: &[u8]) -> Answer {
    state.settle();
    let segments: Vec<&str> = path.split('/').collect();
    match (method, segments.as_slice()) {
        ("GET", ["stats"]) => Answer::json(200, state.stats()),
        ("GET", ["requests"]) => Answer::json(200, state.log.requests()),
        ("GET", ["records", module, id]) => record(state, module, id),
        ("GET", ["faults"]) => faults(state),
        ("POST", ["faults"]) => match parse(body).and_then(|posted| state.faults.merge(&posted)) {
            Ok(expire) => {
                if expire {
                    state.accounts.iter_mut().for_each(Accounts::expire_all);
                }
                faults(state)
            }
            Err(message) => problem(400, &message),
        },
        ("POST", ["clock"]) => match parse(body).and_then(|posted| advance(state, &posted)) {
            Ok(()) => Answer::json(200, json!({"now": state.now().to_string()})),
            Err(message) => problem(400, &message),
        },
        ("POST", ["grant_code"]) => {
            match parse(body).and_then(|posted| grant_code(state, posted)) {
                Ok(code) => Answer::json(200, json!({"code": code})),
                Err(message) => problem(400, &message),
            }
        }
        _ => problem(
            404,
            "there are GET stats, requests, records/{module}/{id}, faults; POST faults, clock, grant_code",
        ),
    }
}

fn record(state: &State, module: &str, id: &str) -> Answer {
    let Some(module) = state.world.module(module) else {
        return problem(404, "no such module");
    };
    let Some(place) = module.place(id) else {
        return problem(404, "no such record");
    };
    let mut record = module.record(place);
    record["$condition"] = json!(module.condition(place).name());
    record["$territory"] = json!(views::territory_of(place).to_string());
    Answer::json(200, record)
}

fn faults(state: &State) -> Answer {
    match serde_json::to_value(&state.faults) {
        Ok(switches) => Answer::json(200, switches),
        Err(error) => problem(500, &error.to_string()),
    }
}

fn advance(state: &mut State, posted: &Value) -> Result<(), String> {
    let seconds = posted
        .get("advance_s")
        .and_then(Value::as_i64)
        .ok_or("post {\"advance_s\": whole seconds}, less than none to go back")?;
    state.ahead = state
        .ahead
        .saturating_add(SignedDuration::from_secs(seconds));
    state.settle();
    Ok(())
}

/// What the API console's "Generate Code" asks for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Console {
    scope: String,
    #[serde(default = "first")]
    data_center: String,
    redirect_uri: Option<String>,
    /// The console offers 3, 5, 7 and 10.
    minutes: Option<u8>,
}

fn first() -> String {
    DataCenter::ALL[0].name().to_owned()
}

fn grant_code(state: &mut State, posted: Value) -> Result<String, String> {
    let console: Console = serde_json::from_value(posted).map_err(|error| error.to_string())?;
    let places = &state.places;
    let center = places
        .iter()
        .position(|place| place.center.name() == console.data_center)
        .ok_or("`data_center` is one of us, eu, in")?;
    let scopes = accounts::scopes(&console.scope)
        .ok_or("`scope` is a list of Zoho's scopes, separated by commas")?;
    let wish = CodeWish {
        scopes,
        redirect_uri: console.redirect_uri,
        life: console.minutes.map_or(accounts::CODE_LIFE, |minutes| {
            SignedDuration::from_mins(minutes.into())
        }),
    };
    let now = state.now();
    Ok(state.accounts[center].code(wish, now))
}

fn parse(body: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(body).map_err(|error| format!("not JSON: {error}"))
}

fn problem(status: u16, message: &str) -> Answer {
    Answer::json(status, json!({"error": message}))
}
