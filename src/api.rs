//! The HTTP API: one router for Lambda's HTTP triggers and for the local server.

mod response;

use std::sync::Arc;

use ::http::header::AUTHORIZATION;
use ::http::{HeaderMap, StatusCode};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, RawQuery, Request, State};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::app::{App, HookResponse};
use crate::config::MAX_BODY_BYTES;
use crate::inbound::InboundRequest;
use crate::inbound::rejection::Rejection;
use crate::job::view::JobView;
use crate::mapping::Document;
use crate::trigger::{Origin, Trigger};
pub use response::{accepted_json, log_rejection};
use response::{accepted_response, handshake_response, json_response};
use strict_reader::{Node, Problems};

/// Maximum number of request headers, equal to hyper's own limit. API Gateway adds about a dozen to the sender's.
const MAX_HEADERS: usize = 100;

/// When Lambda ends the invocation. An extension of requests that arrive through Lambda.
#[derive(Clone, Copy, Debug)]
pub struct InvocationDeadline(pub Timestamp);

/// Creates the router of the API.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/hooks/{route}", any(hook))
        .route("/hooks/{route}/{*rest}", any(hook_below))
        .route("/jobs", post(submit_update_request))
        .route("/jobs/{id}", get(show_job))
        .route(
            "/health",
            get(|| async { json_response(StatusCode::OK, &json!({"status": "ok"})) }),
        )
        .fallback(|| async { Rejection::NoSuchPath })
        .method_not_allowed_fallback(|| async { Rejection::MethodNotAllowed })
        .layer(from_fn(limit_headers))
        .with_state(app)
}

/// Refuses requests with too many headers before any code scans them.
async fn limit_headers(request: Request, next: Next) -> Response {
    match check_header_count(request.headers().len()) {
        Ok(()) => next.run(request).await,
        Err(rejection) => rejection.into_response(),
    }
}

/// Checks the number of a request's headers.
///
/// # Errors
/// [`Rejection::TooManyHeaders`].
pub fn check_header_count(count: usize) -> Result<(), Rejection> {
    match count <= MAX_HEADERS {
        true => Ok(()),
        false => Err(Rejection::TooManyHeaders {
            count,
            limit: MAX_HEADERS,
        }),
    }
}

async fn hook(
    State(app): State<Arc<App>>,
    Path(route): Path<String>,
    request: Request,
) -> Result<Response, Rejection> {
    deliver(app, route, String::new(), request).await
}

/// Some senders authenticate with a token in the path below the route.
async fn hook_below(
    State(app): State<Arc<App>>,
    Path((route, rest)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Rejection> {
    deliver(app, route, rest, request).await
}

async fn deliver(
    app: Arc<App>,
    route: String,
    rest: String,
    request: Request,
) -> Result<Response, Rejection> {
    let deadline = invocation_deadline(&request);
    let (parts, body) = request.into_parts();
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let body = read_body(body, app.max_body_bytes()).await?;
    let origin = Origin::of(Trigger::Http).with("method", Some(parts.method.as_str()));
    let arrival = InboundRequest {
        route,
        method: parts.method,
        rest,
        headers: parts.headers,
        query,
        body,
        origin,
    };
    match app.deliver(arrival, deadline).await? {
        HookResponse::Handshake(handshake) => Ok(handshake_response(&handshake)),
        HookResponse::Delivery(accepted, reply) => {
            let response = accepted_response(&accepted);
            // A scheme with its own response format gets it only after the delivery is stored.
            Ok(match reply.filter(|_| response.status().is_success()) {
                Some(reply) => handshake_response(&reply),
                None => response,
            })
        }
    }
}

async fn submit_update_request(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, Rejection> {
    app.authorize(bearer_key(request.headers())).await?;
    let deadline = invocation_deadline(&request);
    let (parts, body) = request.into_parts();
    let body = read_body(body, usize::try_from(MAX_BODY_BYTES).unwrap_or(usize::MAX)).await?;
    let document = parse_update_request(&body)?;
    let query = query.unwrap_or_default();
    if form_urlencoded::parse(query.as_bytes())
        .any(|(key, value)| key == "dry_run" && value == "true")
    {
        return Ok(json_response(
            StatusCode::OK,
            &json!({"plan": app.plan(&document)?}),
        ));
    }
    let key = idempotency_key(&parts.headers)?;
    Ok(accepted_response(
        &app.request(&document, key.as_deref(), deadline).await?,
    ))
}

/// Parses the JSON of an update request. Duplicate keys are errors, because parsers disagree about which of them counts.
///
/// # Errors
/// [`Rejection::Invalid`].
pub fn parse_update_request(text: &[u8]) -> Result<Value, Rejection> {
    let invalid = |why: String| {
        let mut problems = Problems::default();
        Node::root(&Value::Null).problem(&mut problems, why);
        Rejection::Invalid(problems.finish::<()>(None).err().unwrap_or_default())
    };
    let document = Document::from_json(text).map_err(|error| invalid(format!("is {error}")))?;
    serde_json::from_str(document.text()).map_err(|error| invalid(format!("is not JSON: {error}")))
}

async fn show_job(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Rejection> {
    app.authorize(bearer_key(&headers)).await?;
    let job = app.job(&id).await?;
    let view = serde_json::to_value(JobView::of(&job))
        .map_err(|error| Rejection::Drive(error.to_string()))?;
    Ok(json_response(StatusCode::OK, &view))
}

/// Reads the idempotency key: a structured-field string (draft-ietf-httpapi-idempotency-key-header), without its quotes.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Rejection> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let key = value
        .to_str()
        .map_err(|_| Rejection::KeyInvalid)?
        .trim()
        .trim_matches('"');
    let visible = key
        .bytes()
        .all(|byte| byte.is_ascii_graphic() || byte == b' ');
    if key.is_empty() || key.len() > 255 || !visible {
        return Err(Rejection::KeyInvalid);
    }
    Ok(Some(key.to_owned()))
}

fn invocation_deadline(request: &Request) -> Option<Timestamp> {
    request
        .extensions()
        .get::<InvocationDeadline>()
        .map(|deadline| deadline.0)
}

fn bearer_key(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
}

async fn read_body(body: Body, limit: usize) -> Result<Bytes, Rejection> {
    to_bytes(body, limit).await.map_err(|error| {
        let too_large = std::error::Error::source(&error)
            .is_some_and(|source| source.is::<http_body_util::LengthLimitError>());
        if too_large {
            Rejection::TooLarge { limit }
        } else {
            Rejection::BodyNotReceived(error.to_string())
        }
    })
}
