//! `POST /api/playground`: runs programs on an event. It changes nothing.

use std::sync::Arc;

use ::http::StatusCode;
use axum::extract::{Request, State};
use axum::response::Response;

use crate::api::{json_response, read_request_body};
use crate::app::{App, PlaygroundRequest};
use crate::inbound::rejection::Rejection;

/// Bytes of the programs and of the request around the event, beside the event itself.
const MAX_PROGRAM_BYTES: usize = 512 << 10;

pub(super) async fn run(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, Rejection> {
    // The text of an event is escaped in the request, so it may be longer there.
    let limit = app.max_body_bytes() * 2 + MAX_PROGRAM_BYTES;
    let (parts, body) = request.into_parts();
    let body = read_request_body(body, limit, &parts).await?;
    let request: PlaygroundRequest = serde_json::from_slice(&body).map_err(|error| {
        Rejection::PlaygroundInput(format!("the request is not valid: {error}"))
    })?;
    let result = app.playground(request).await?;
    Ok(json_response(StatusCode::OK, &result))
}
