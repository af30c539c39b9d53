//! The HTTP API. The same router runs behind Lambda's HTTP triggers and on a local port.

use std::sync::Arc;

use ::http::header::{
    AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use ::http::{HeaderMap, HeaderValue, StatusCode};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, RawQuery, Request, State};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::app::rejection::Rejection;
use crate::app::{Accepted, Answered, App, Arrival};
use crate::config::MAX_BODY_BYTES;
use crate::inbound::handshake::Handshake;
use crate::inbound::trigger::{Origin, Trigger};
use crate::job::Job;
use crate::job::view::JobView;
use crate::mapping::Document;
use strict_reader::{Node, Problems};

/// Headers that a request may have: as many as hyper reads, which refuses more before they get here. API Gateway adds a
/// dozen of its own to the sender's.
const MAX_HEADERS: usize = 100;

/// When the caller stops listening; an extension of requests that come through Lambda.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(pub Timestamp);

/// The API over an app.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/hooks/{route}", any(hook))
        .route("/hooks/{route}/{*rest}", any(hook_below))
        .route("/jobs", post(submit))
        .route("/jobs/{id}", get(show))
        .route(
            "/health",
            get(|| async { json_response(StatusCode::OK, &json!({"status": "ok"})) }),
        )
        .fallback(|| async { Rejection::NoSuchPath })
        .method_not_allowed_fallback(|| async { Rejection::MethodNotAllowed })
        .layer(from_fn(with_few_headers))
        .with_state(app)
}

/// Nobody needs so many headers, and everything that looks at them takes its time.
async fn with_few_headers(request: Request, next: Next) -> Response {
    match few_headers(request.headers().len()) {
        Ok(()) => next.run(request).await,
        Err(rejection) => rejection.into_response(),
    }
}

/// Whether a request with so many headers is read.
///
/// # Errors
/// [`Rejection::TooManyHeaders`].
pub fn few_headers(count: usize) -> Result<(), Rejection> {
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

/// Some senders prove themselves by a token in the path.
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
    let deadline = deadline(&request);
    let (parts, body) = request.into_parts();
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let body = read(body, app.max_body_bytes()).await?;
    let origin = Origin::of(Trigger::Http).with("method", Some(parts.method.as_str()));
    let arrival = Arrival {
        route,
        method: parts.method,
        rest,
        headers: parts.headers,
        query,
        body,
        origin,
    };
    match app.deliver(arrival, deadline).await? {
        Answered::Handshake(handshake) => Ok(handshake_response(&handshake)),
        Answered::Delivery(accepted, reply) => {
            let response = accepted_response(&accepted);
            // A sender that wants to hear something of its own hears it once its delivery is safe.
            Ok(match reply.filter(|_| response.status().is_success()) {
                Some(reply) => handshake_response(&reply),
                None => response,
            })
        }
    }
}

fn handshake_response(handshake: &Handshake) -> Response {
    let mut response = (handshake.status, handshake.body.clone()).into_response();
    let headers = response.headers_mut();
    headers.remove(CONTENT_TYPE);
    if let Some(content_type) = handshake
        .content_type
        .as_deref()
        .and_then(|text| HeaderValue::from_str(text).ok())
    {
        headers.insert(CONTENT_TYPE, content_type);
    }
    headers.extend(handshake.headers.iter().cloned());
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

async fn submit(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, Rejection> {
    app.authorize(bearer(request.headers())).await?;
    let deadline = deadline(&request);
    let (parts, body) = request.into_parts();
    let body = read(body, usize::try_from(MAX_BODY_BYTES).unwrap_or(usize::MAX)).await?;
    let document = update_request(&body)?;
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

/// The JSON of an update request, strictly read: what stands twice in it is meant differently by different readers.
///
/// # Errors
/// [`Rejection::Invalid`].
pub fn update_request(text: &[u8]) -> Result<Value, Rejection> {
    let invalid = |why: String| {
        let mut problems = Problems::default();
        Node::root(&Value::Null).problem(&mut problems, why);
        Rejection::Invalid(problems.finish::<()>(None).err().unwrap_or_default())
    };
    let document = Document::from_json(text).map_err(|error| invalid(format!("is {error}")))?;
    serde_json::from_str(document.text()).map_err(|error| invalid(format!("is not JSON: {error}")))
}

async fn show(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Rejection> {
    app.authorize(bearer(&headers)).await?;
    let job = app.job(&id).await?;
    let view = serde_json::to_value(JobView::of(&job))
        .map_err(|error| Rejection::Drive(error.to_string()))?;
    Ok(json_response(StatusCode::OK, &view))
}

/// A structured-field string (draft-ietf-httpapi-idempotency-key-header); its quotes are not part of the key.
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

fn deadline(request: &Request) -> Option<Timestamp> {
    request
        .extensions()
        .get::<Deadline>()
        .map(|deadline| deadline.0)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
}

async fn read(body: Body, limit: usize) -> Result<Bytes, Rejection> {
    to_bytes(body, limit).await.map_err(|error| {
        let too_large = std::error::Error::source(&error)
            .is_some_and(|source| source.is::<http_body_util::LengthLimitError>());
        if too_large {
            Rejection::TooLarge { limit }
        } else {
            Rejection::Unreceived(error.to_string())
        }
    })
}

/// The answer to an accepted request: jobs that were driven are shown whole, jobs that are queued by name.
pub fn accepted_json(accepted: &Accepted) -> Value {
    let status_url = |job: &Job| json!(format!("/jobs/{}", job.id));
    let jobs: Vec<Value> = match accepted {
        Accepted::Driven(jobs) => jobs
            .iter()
            .map(|job| {
                let mut view = json!(JobView::of(job));
                view["status_url"] = status_url(job);
                view
            })
            .collect(),
        Accepted::Queued(jobs) => jobs
            .iter()
            .map(|job| json!({"id": job.id.as_str(), "status": job.status(), "status_url": status_url(job)}))
            .collect(),
    };
    json!({ "jobs": jobs })
}

/// Finished jobs are a 200. With a job that is not, the request has to come again: the answer asks for that, and the
/// same request finds the same job and goes on with it.
fn accepted_response(accepted: &Accepted) -> Response {
    let jobs = match accepted {
        Accepted::Queued(jobs) if jobs.is_empty() => {
            return json_response(StatusCode::OK, &accepted_json(accepted));
        }
        Accepted::Queued(_) => {
            return json_response(StatusCode::ACCEPTED, &accepted_json(accepted));
        }
        Accepted::Driven(jobs) => jobs,
    };
    if jobs.iter().all(|job| job.status().is_final()) {
        return json_response(StatusCode::OK, &accepted_json(accepted));
    }
    let mut response = json_response(StatusCode::SERVICE_UNAVAILABLE, &accepted_json(accepted));
    response
        .headers_mut()
        .insert(RETRY_AFTER, HeaderValue::from_static("60"));
    response
}

fn json_response(status: StatusCode, body: &Value) -> Response {
    (
        status,
        [(CONTENT_TYPE, HeaderValue::from_static("application/json"))],
        body.to_string(),
    )
        .into_response()
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        log(&self);
        if let Self::Unverified { bare: true, .. } = self {
            return self.status().into_response();
        }
        let content_type = HeaderValue::from_static("application/problem+json");
        let mut response = (
            self.status(),
            [(CONTENT_TYPE, content_type)],
            self.problem().to_string(),
        )
            .into_response();
        if self.status() == StatusCode::SERVICE_UNAVAILABLE {
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from_static("30"));
        }
        if matches!(self, Self::Unauthorized) {
            response
                .headers_mut()
                .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// Logs a refusal once, at the door.
pub fn log(rejection: &Rejection) {
    let (status, code) = (rejection.status().as_u16(), rejection.code());
    match rejection.internal() {
        Some(internal) => tracing::error!(
            http.status = status,
            code,
            "refused: {rejection}: {internal}"
        ),
        None => {
            tracing::warn!(http.status = status, code, errors = ?rejection.errors(), "refused: {rejection}")
        }
    }
}
