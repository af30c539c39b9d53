//! Responses of the token endpoint.

use serde_json::json;

use super::grant::{ACCESS_TOKEN_LIFETIME, AccessToken};
use crate::data_center::DataCenterHost;
use crate::faults::Faults;
use crate::response::ApiResponse;

/// An error of the token endpoint, which has HTTP status 200.
pub(crate) fn oauth_error(error: &str) -> ApiResponse {
    ApiResponse::json(200, json!({"error": error}))
}

/// The response when a refresh token's quota is used up. The bodies are recorded: even `error` follows the account's
/// language.
pub(crate) fn throttled(faults: &Faults) -> ApiResponse {
    let (description, error) = if faults.localised_error {
        ("您已连续提出过多请求，请稍后再试。", "拒绝访问")
    } else {
        (
            "You have made too many requests continuously. Please try again after some time.",
            "Access Denied",
        )
    };
    ApiResponse::json(
        faults.throttle_status,
        json!({"error_description": description, "error": error, "status": "failure"}),
    )
}

/// The response with a new access token.
pub(crate) fn token(
    access: &AccessToken,
    refresh_token: Option<String>,
    faults: &Faults,
    host: &DataCenterHost,
) -> ApiResponse {
    let mut body = json!({"access_token": access.value});
    if let Some(refresh_token) = refresh_token.filter(|_| !faults.omit_refresh_token) {
        body["refresh_token"] = json!(refresh_token);
    }
    if !faults.omit_scope {
        // Requests separate scopes with commas, responses with spaces.
        body["scope"] = match &access.scopes {
            Some(scopes) => json!(scopes.join(" ")),
            None => json!(faults.granted().join(" ")),
        };
    }
    if !faults.omit_api_domain {
        body["api_domain"] = json!(faults.api_domain.as_deref().unwrap_or(&host.url));
    }
    // Zoho responds with `Bearer`, although the header must be `Zoho-oauthtoken`.
    body["token_type"] = json!("Bearer");
    let seconds = ACCESS_TOKEN_LIFETIME.as_secs();
    if faults.expires_in_ms {
        body["expires_in_sec"] = json!(seconds);
        body["expires_in"] = json!(seconds * 1000);
    } else {
        body["expires_in"] = json!(seconds);
    }
    ApiResponse::json(200, body)
}
