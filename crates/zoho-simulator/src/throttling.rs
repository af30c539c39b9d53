//! The 429 response and the header `Retry-After`.

use serde_json::json;

use crate::faults::{Faults, TooManyRequestsBody};
use crate::response::ApiResponse;

/// The 429 response, with the body that the switch `too_many_body` selects.
pub(crate) fn too_many_requests(faults: &Faults) -> ApiResponse {
    let body = match faults.too_many_body {
        TooManyRequestsBody::Crm => {
            return with_retry_after(ApiResponse::default_for(429), faults);
        }
        TooManyRequestsBody::Short => {
            json!({"code": "TOO_MANY_REQUESTS", "message": "You have exceeded the API limit"})
        }
        TooManyRequestsBody::RetryAfter => json!({
            "code": "TOO_MANY_REQUESTS",
            "message": "Rate limit exceeded. Please retry after the specified time.",
            "status": "error",
            "details": {"trace_id": "9f2c7e", "retry_after": faults.retry_after_s.unwrap_or(60), "limit": 100, "window": 60},
        }),
        TooManyRequestsBody::RateLimit => json!({
            "code": "RATE_LIMIT_EXCEEDED",
            "details": {},
            "message": "Too many requests. Please try again later.",
            "status": "error",
        }),
    };
    with_retry_after(ApiResponse::json(429, body), faults)
}

/// Adds `Retry-After` if the switch `retry_after_s` is set.
pub(crate) fn with_retry_after(response: ApiResponse, faults: &Faults) -> ApiResponse {
    match faults.retry_after_s {
        Some(seconds) => response.with_header("Retry-After", seconds),
        None => response,
    }
}
