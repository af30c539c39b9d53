//! The endpoints around mass update, and which room answers each.

use jiff::Timestamp;
use serde_json::json;

use crate::answer::Answer;
use crate::body::Checked;
use crate::endpoint::Endpoint;
use crate::records;
use crate::state::{Request, State};
use crate::{coql, metadata, org, put, search};

/// Answers a request whose token and scopes are good.
pub(crate) fn serve(
    state: &mut State,
    request: &Request,
    scopes: &[String],
    now: Timestamp,
) -> Checked<Answer> {
    let world = &state.world;
    let faults = &state.faults;
    match &request.endpoint {
        Endpoint::Fields(id) => metadata::fields(world, request, id.as_deref()),
        Endpoint::Modules(name) => Ok(metadata::modules(name.as_deref())),
        Endpoint::CustomViews(id) => metadata::custom_views(world, request, id.as_deref(), faults),
        Endpoint::Territories(None) => metadata::territories(request, faults, |_| true),
        Endpoint::Territories(Some(id)) => {
            metadata::territories(request, faults, |territory| territory.id.to_string() == *id)
        }
        Endpoint::ChildTerritories(id) => metadata::territories(request, faults, |territory| {
            territory
                .reporting_to
                .is_some_and(|above| above.to_string() == *id)
        }),
        Endpoint::Search(module) => search::serve(state, request, module, now),
        Endpoint::Count(module) => search::count(state, request, module, now),
        Endpoint::Coql => coql::serve(state, &request.body, scopes),
        Endpoint::Record(module, id) => record(state, module, id),
        Endpoint::PutRecords(module) => put::serve(state, module, &request.body, now),
        Endpoint::Apis => org::apis(request, faults),
        Endpoint::Org => Ok(org::org(faults)),
        Endpoint::Users => Ok(org::users()),
        Endpoint::Token
        | Endpoint::TokenAlias
        | Endpoint::Revoke
        | Endpoint::ServerInfo
        | Endpoint::MassUpdate(_)
        | Endpoint::MassUpdateStatus(_)
        | Endpoint::OtherVersion
        | Endpoint::WrongMethod
        | Endpoint::Unknown => Ok(Answer::plain(500)),
    }
}

fn record(state: &State, module: &str, id: &str) -> Checked<Answer> {
    let module = records::module(&state.world, module)?;
    Ok(match module.place(id) {
        Some(place) => Answer::json(200, json!({"data": [module.record(place)]})),
        None => Answer::empty(204),
    })
}
