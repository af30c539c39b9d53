//! Fault injection: decides which faults one request meets before it is handled.

use std::time::Duration;

use serde_json::json;

use crate::endpoint::Endpoint;
use crate::faults::Faults;
use crate::faults::scripted::ScriptedResponse;
use crate::response::ApiResponse;
use crate::throttling::{too_many_requests, with_retry_after};

/// A page that was observed instead of a token response.
const ACCOUNTS_HTML_PAGE: &str = "<!DOCTYPE html><html><head><title>Zoho Accounts</title></head><body><p>Sorry, please try again later.</p></body></html>";

/// The faults of one request.
#[derive(Debug)]
pub(crate) struct FaultDecision {
    /// Delay before the request is handled.
    pub(crate) delay_before: Duration,
    /// Delay between handling the request and responding.
    pub(crate) delay_after: Duration,
    /// Whether the request is handled.
    pub(crate) apply: bool,
    /// The response instead of the handler's.
    pub(crate) response: Option<ApiResponse>,
    /// Additional response headers.
    pub(crate) headers: Vec<(String, String)>,
    /// Whether the connection is reset instead of a response.
    pub(crate) reset_connection: bool,
}

impl FaultDecision {
    fn none() -> Self {
        Self {
            delay_before: Duration::ZERO,
            delay_after: Duration::ZERO,
            apply: true,
            response: None,
            headers: Vec::new(),
            reset_connection: false,
        }
    }

    /// Responds without handling the request.
    pub(crate) fn respond(response: ApiResponse) -> Self {
        Self {
            apply: false,
            response: Some(response),
            ..Self::none()
        }
    }

    fn reset(apply: bool) -> Self {
        Self {
            apply,
            reset_connection: true,
            ..Self::none()
        }
    }

    /// Decides the faults of a request. Scripted responses take precedence over random faults.
    pub(crate) fn decide(
        endpoint: &Endpoint,
        faults: &mut Faults,
        rng: &mut fastrand::Rng,
        latency: Duration,
    ) -> Self {
        let mut decision = match faults.take_scripted(endpoint.kind()) {
            Some(scripted) => Self::scripted(scripted, faults),
            None if endpoint.is_accounts_server() => Self::random_accounts(endpoint, faults, rng),
            None => Self::random_crm(faults, rng),
        };
        if !endpoint.is_accounts_server() {
            let jitter = match faults.latency_jitter_ms {
                0 => 0,
                max => rng.u64(0..=max),
            };
            decision.delay_before =
                latency + Duration::from_millis(faults.latency_ms.saturating_add(jitter));
        }
        decision
    }

    fn scripted(script: ScriptedResponse, faults: &Faults) -> Self {
        let response = script
            .status
            .map(|status| match (script.html, script.body) {
                (Some(page), _) => ApiResponse::html(status, page),
                (None, Some(body)) => ApiResponse::json(status, body),
                (None, None) if status == 429 => too_many_requests(faults),
                (None, None) if status == 503 => {
                    with_retry_after(ApiResponse::default_for(503), faults)
                }
                (None, None) => ApiResponse::default_for(status),
            });
        Self {
            delay_before: Duration::ZERO,
            delay_after: Duration::from_millis(script.delay_ms),
            apply: script.reset_after_apply
                || !script.reset && (script.apply || response.is_none()),
            response,
            headers: script.headers.into_iter().collect(),
            reset_connection: script.reset || script.reset_after_apply,
        }
    }

    fn random_accounts(endpoint: &Endpoint, faults: &Faults, rng: &mut fastrand::Rng) -> Self {
        let is_token = matches!(endpoint, Endpoint::Token | Endpoint::TokenAlias);
        if is_token && happens(rng, faults.rate_token_error) {
            return Self::respond(ApiResponse::json(200, json!({"error": "general_error"})));
        }
        if is_token && happens(rng, faults.rate_token_html) {
            return Self::respond(ApiResponse::html(200, ACCOUNTS_HTML_PAGE));
        }
        Self::none()
    }

    fn random_crm(faults: &Faults, rng: &mut fastrand::Rng) -> Self {
        if happens(rng, faults.reset_before_apply) {
            return Self::reset(false);
        }
        if happens(rng, faults.rate_429) {
            return Self::respond(too_many_requests(faults));
        }
        if happens(rng, faults.rate_5xx) {
            let status = [500, 502, 503][rng.usize(0..3)];
            let response = ApiResponse::default_for(status);
            return Self::respond(with_retry_after(response, faults));
        }
        if happens(rng, faults.reset_after_apply) {
            return Self::reset(true);
        }
        Self::none()
    }
}

/// Returns true with the probability `rate`. A rate of zero draws no random number, so that one switch does not change
/// the random sequence of another.
fn happens(rng: &mut fastrand::Rng, rate: f64) -> bool {
    rate > 0.0 && rng.f64() < rate
}
