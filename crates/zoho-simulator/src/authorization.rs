//! Authentication of CRM requests by access token, and the check of their OAuth scopes.

use jiff::Timestamp;
use serde_json::json;

use crate::request::Request;
use crate::response::{ApiResponse, EndpointResult, reject};
use crate::scope::RequiredScope;
use crate::state::State;

/// What the access token of a request allows.
pub(crate) struct TokenGrant {
    pub(crate) expires_at: Timestamp,
    pub(crate) scopes: Vec<String>,
}

/// Finds the access token of a request.
pub(crate) fn authenticate(
    state: &mut State,
    request: &Request,
    now: Timestamp,
) -> EndpointResult<TokenGrant> {
    let header = request.headers.get(http::header::AUTHORIZATION);
    let header = header.and_then(|value| value.to_str().ok());
    // The token response says `Bearer`, but Zoho accepts this prefix only.
    let Some(value) = header.and_then(|value| value.strip_prefix("Zoho-oauthtoken ")) else {
        return reject(ApiResponse::error(
            401,
            "AUTHENTICATION_FAILURE",
            json!({}),
            "Authentication failed",
        ));
    };
    let faults = &state.faults;
    let token = state.accounts[request.data_center].find(value.trim(), now);
    let Some(token) = token.filter(|_| !faults.foreign_data_center) else {
        let code = &faults.invalid_token_code;
        return reject(ApiResponse::error(
            401,
            code,
            json!({}),
            "invalid oauth token",
        ));
    };
    let granted = || faults.granted().into_iter().map(str::to_owned).collect();
    Ok(TokenGrant {
        expires_at: token.expires_at,
        scopes: token.scopes.clone().unwrap_or_else(granted),
    })
}

/// Rejects a request whose token lacks one of the required scopes.
pub(crate) fn check_scopes(
    state: &State,
    required: &[RequiredScope],
    granted: &[String],
) -> EndpointResult<()> {
    let is_custom = |scope: &RequiredScope| {
        let module = scope.module().and_then(|name| state.org.module(name));
        module.is_some_and(|module| module.schema.custom)
    };
    let is_granted = |scope: &RequiredScope| {
        scope.is_granted(granted.iter().map(String::as_str), is_custom(scope))
    };
    if required.iter().all(is_granted) {
        return Ok(());
    }
    let message = &state.faults.scope_message;
    reject(ApiResponse::error(
        401,
        "OAUTH_SCOPE_MISMATCH",
        json!({}),
        message,
    ))
}
