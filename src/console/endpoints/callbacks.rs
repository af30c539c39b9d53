//! `GET /api/callbacks`: what the receiver of `masshook dev` got. Other servers have no such path.

use ::http::StatusCode;
use axum::response::Response;

use super::super::received_callbacks::ReceivedCallbacks;
use crate::api::json_response;

/// Entries of an answer.
const MAX_ENTRIES: usize = 50;

pub(super) fn list(received: &ReceivedCallbacks, query: &str) -> Response {
    let parameters: Vec<(_, _)> = form_urlencoded::parse(query.as_bytes()).collect();
    let value = |name: &str| {
        let found = parameters.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_ref())
    };
    let limit = value("limit").and_then(|limit| limit.parse().ok());
    let limit = limit.unwrap_or(MAX_ENTRIES).min(MAX_ENTRIES);
    json_response(StatusCode::OK, &received.to_json(value("job"), limit))
}
