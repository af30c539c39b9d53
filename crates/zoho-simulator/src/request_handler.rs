//! The path of one request: log and limits, accounts server or CRM, authentication, credits, endpoint.

use jiff::Timestamp;
use serde_json::json;

use crate::accounts;
use crate::authorization::{authenticate, check_scopes};
use crate::credits;
use crate::endpoint::Endpoint;
use crate::endpoints;
use crate::fault_injection::FaultDecision;
use crate::org::seed_data::format_zoho_time;
use crate::request::Request;
use crate::response::{ApiResponse, EndpointResult, reject};
use crate::state::State;
use crate::throttling;

/// Logs a request and decides which faults it meets. A CRM request counts as in flight from now on.
pub(crate) fn admit(state: &mut State, request: &Request) -> FaultDecision {
    let now = state.now();
    state.request_log.record(request, now);
    if !request.endpoint.is_accounts_server() && !state.in_flight.add(request, &state.faults) {
        return FaultDecision::respond(throttling::too_many_requests(&state.faults));
    }
    FaultDecision::decide(
        &request.endpoint,
        &mut state.faults,
        &mut state.rng,
        state.latency,
    )
}

/// Carries a request out.
pub(crate) fn handle(state: &mut State, request: &Request) -> ApiResponse {
    state.advance_jobs();
    let now = state.now();
    match &request.endpoint {
        Endpoint::Token => issue_token(state, request, now),
        Endpoint::TokenAlias => {
            let grant = request.form_parameters().remove("grant_type");
            if grant.is_none_or(|grant| grant != "client_credentials") {
                return ApiResponse::json(200, json!({"error": "unsupported_grant_type"}));
            }
            issue_token(state, request, now)
        }
        Endpoint::Revoke => state.accounts[request.data_center].revoke(&request.form_parameters()),
        Endpoint::ServerInfo => accounts::server_info(&state.hosts),
        Endpoint::Unknown => ApiResponse::error(
            404,
            "INVALID_URL_PATTERN",
            json!({}),
            "Please check if the URL trying to access is a correct one",
        ),
        // The status is not documented.
        Endpoint::OtherVersion => ApiResponse::error(
            400,
            "API_NOT_SUPPORTED",
            json!({"supported_version": 7}),
            "the API version given is not supported",
        ),
        Endpoint::WrongMethod => ApiResponse::error(
            400,
            "INVALID_REQUEST_METHOD",
            json!({}),
            "The http request method type is not a valid one",
        ),
        Endpoint::NotSimulated
        | Endpoint::MassUpdate(_)
        | Endpoint::MassUpdateStatus(_)
        | Endpoint::Fields(_)
        | Endpoint::Modules(_)
        | Endpoint::CustomViews(_)
        | Endpoint::Territories(_)
        | Endpoint::ChildTerritories(_)
        | Endpoint::Search(_)
        | Endpoint::Coql
        | Endpoint::Records(_)
        | Endpoint::Record(..)
        | Endpoint::PutRecords(_)
        | Endpoint::PutRecord(..)
        | Endpoint::Upsert(_)
        | Endpoint::AddTags(_)
        | Endpoint::RemoveTags(_)
        | Endpoint::ChangeOwner(_)
        | Endpoint::MassChangeOwner(_)
        | Endpoint::MassChangeOwnerStatus(_)
        | Endpoint::Apis
        | Endpoint::Org
        | Endpoint::Users
        | Endpoint::Count(_) => {
            handle_crm(state, request, now).unwrap_or_else(|rejection| *rejection)
        }
    }
}

fn issue_token(state: &mut State, request: &Request, now: Timestamp) -> ApiResponse {
    let host = &state.hosts[request.data_center];
    let accounts = &mut state.accounts[request.data_center];
    accounts.token(&request.form_parameters(), &state.faults, host, now)
}

fn handle_crm(state: &mut State, request: &Request, now: Timestamp) -> EndpointResult<ApiResponse> {
    let host = &state.hosts[request.data_center];
    if host.data_center.rejects_host(&request.headers) {
        return reject(ApiResponse::error(
            400,
            "INVALID_HOST",
            json!({}),
            "the host given seems to be invalid",
        ));
    }
    let grant = authenticate(state, request, now)?;
    let response = handle_authenticated(state, request, &grant.scopes, now)
        .unwrap_or_else(|rejection| *rejection)
        .with_header("X-ACCESSTOKEN-RESET", format_zoho_time(grant.expires_at));
    Ok(match state.credits.remaining_header(state.faults.credits) {
        Some(remaining) => response.with_header("X-API-CREDITS-REMAINING", remaining),
        None => response,
    })
}

fn handle_authenticated(
    state: &mut State,
    request: &Request,
    scopes: &[String],
    now: Timestamp,
) -> EndpointResult<ApiResponse> {
    if state.faults.no_api_access {
        return reject(ApiResponse::error(
            403,
            "NO_PERMISSION",
            json!({"permissions": ["Crm_Implied_Api_Access"]}),
            "permission denied",
        ));
    }
    check_scopes(state, &request.endpoint.required_scopes(), scopes)?;
    if request.endpoint == Endpoint::NotSimulated {
        let details = json!({"method": request.method, "path": request.path});
        return reject(ApiResponse::not_simulated(details));
    }
    // Zoho's own rejection goes before, but nothing may have changed.
    let is_read = request.method == "GET";
    if !is_read {
        check_parameters(request)?;
    }
    let cost = credits::cost(request, &state.faults);
    if !state.credits.spend(cost, state.faults.credits, now) {
        return reject(throttling::too_many_requests(&state.faults));
    }
    let response = endpoints::handle(state, request, scopes, now)?;
    if is_read {
        check_parameters(request)?;
    }
    Ok(response)
}

/// Rejects a parameter that the simulator does not honour.
fn check_parameters(request: &Request) -> EndpointResult<()> {
    let known = request.endpoint.parameters();
    let unknown = request
        .query
        .iter()
        .find(|(name, _)| !known.contains(&name.as_str()));
    match unknown {
        None => Ok(()),
        Some((name, _)) => reject(ApiResponse::not_simulated(json!({"param_name": name}))),
    }
}
