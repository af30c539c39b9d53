//! The HTTP API: one router for Lambda's HTTP triggers and for the local server.

mod body;
mod hook_path;
pub mod openapi;
mod operations;
pub mod operator;
mod path;
mod request_log;
mod response;
mod trace_id;

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use ::http::header::{AUTHORIZATION, CONTENT_TYPE};
use ::http::request::Parts;
use ::http::{HeaderMap, Method, StatusCode, Uri};
use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use bytes::Bytes;
use futures_util::FutureExt;
use jiff::Timestamp;
use serde_json::{Value, json};
use tower::Layer;
use tower::util::MapRequestLayer;

use crate::app::operations::Parameters;
use crate::app::{App, HookResponse};
pub use crate::config::is_api_path;
use crate::config::{BasePath, MAX_BODY_BYTES};
use crate::inbound::InboundRequest;
use crate::inbound::rejection::{PathHint, Rejection};
use crate::mapping::Document;
use crate::metrics::{NO_ROUTE, openmetrics};
use crate::trigger::{Origin, Trigger};
use body::read_body;
pub use body::{BodyBudget, BodyLimits};
pub(crate) use hook_path::HookPath;
pub use request_log::ClientAddress;
use request_log::{log_accepted, log_request};
pub(crate) use response::json_response;
pub use response::{AcceptedBody, StoreOutage, log_rejection, problem_headers};
use response::{accepted_response, handshake_response};
use strict_reader::{Node, Problems};
pub use trace_id::xray_trace_id;

/// Maximum number of request headers, equal to hyper's own limit. API Gateway adds about a dozen to the sender's.
pub const MAX_HEADERS: usize = 100;

/// When Lambda ends the invocation. An extension of requests that arrive through Lambda.
#[derive(Clone, Copy, Debug)]
pub struct InvocationDeadline(pub Timestamp);

/// The base path that an event of API Gateway has before the path of the API. An extension of requests.
#[derive(Clone, Debug)]
pub struct PublishedUnder(pub String);

/// Other queries that the sender may have sent, if the query was decoded on the way. An extension of requests.
#[derive(Clone, Debug)]
pub struct OtherQueries(pub Vec<String>);

/// Whether the process completes what it accepts.
pub trait HealthCheck: fmt::Debug + Send + Sync {
    /// Checks the process.
    ///
    /// # Errors
    /// [`Rejection::Unhealthy`] with the reason.
    fn check(&self) -> Result<(), Rejection>;
}

/// The health of a process that does nothing between requests.
#[derive(Debug)]
struct AlwaysHealthy;

impl HealthCheck for AlwaysHealthy {
    fn check(&self) -> Result<(), Rejection> {
        Ok(())
    }
}

/// Creates the router of the API.
pub fn router(app: Arc<App>) -> Router {
    router_with_health(app, Arc::new(AlwaysHealthy))
}

/// Creates the router of the API of a process whose health can change.
pub fn router_with_health(app: Arc<App>, health: Arc<dyn HealthCheck>) -> Router {
    let show_health = move || {
        let checked = health.check();
        async move { checked.map(|()| json_response(StatusCode::OK, &json!({"status": "ok"}))) }
    };
    let with_key = operations::router().route_layer(from_fn_with_state(app.clone(), require_key));
    let base = app.config().base_path.clone();
    let api = Router::new()
        .route("/hooks/{*path}", any(hook))
        .merge(with_key)
        .route("/health", get(show_health).fallback(readable))
        .route("/openapi.json", get(show_openapi).fallback(readable))
        .fallback(|uri: Uri| async move { Rejection::NoSuchPath(PathHint::of(uri.path())) })
        .with_state(app);
    let api = with_common_layers(api);
    match base {
        // A layer of the router itself would run after its routing.
        Some(base) => Router::new().fallback_service(
            MapRequestLayer::new(move |request| strip_base(&base, request)).layer(api),
        ),
        None => api,
    }
}

/// Adds what every router of the program has: a limit on headers, an answer if a handler panics, and what the log says about a
/// request.
pub fn with_common_layers(router: Router) -> Router {
    router
        .layer(from_fn(limit_headers))
        .layer(from_fn(catch_panic))
        .layer(from_fn(log_request))
}

/// The request without the base path.
fn strip_base(base: &BasePath, mut request: Request) -> Request {
    let uri = request.uri();
    let Some(rest) = base.strip(uri.path()) else {
        return request;
    };
    let target = match uri.query() {
        Some(query) => format!("{rest}?{query}"),
        None => rest.to_owned(),
    };
    // The end of a valid target is valid.
    if let Ok(stripped) = target.parse() {
        *request.uri_mut() = stripped;
        let base = PublishedUnder(base.as_str().to_owned());
        request.extensions_mut().insert(base);
    }
    request
}

async fn readable() -> Rejection {
    not_allowed(vec![Method::GET, Method::HEAD]).await
}

/// Shows the OpenAPI document of the API.
async fn show_openapi(request: Request) -> Response {
    let document = openapi::document(&base_path(&request));
    json_response(StatusCode::OK, &document)
}

/// Passes on requests that have the key of the API.
async fn require_key(
    State(app): State<Arc<App>>,
    request: Request,
    next: Next,
) -> Result<Response, Rejection> {
    let authorized = app.authorize(bearer_key(request.headers())).await;
    authorized.inspect_err(|rejection| {
        if request.method() == Method::POST && request.uri().path() == NO_ROUTE {
            app.count_refusal(NO_ROUTE, Trigger::Http, rejection);
        }
    })?;
    Ok(next.run(request).await)
}

pub(crate) async fn not_allowed(allowed: Vec<Method>) -> Rejection {
    Rejection::MethodNotAllowed { allowed }
}

/// Answers a request whose handler panics. Without an answer the sender would see a broken connection.
async fn catch_panic(request: Request, next: Next) -> Response {
    let running = AssertUnwindSafe(next.run(request)).catch_unwind();
    let response = running.await;
    // The panic hook has logged its message.
    response.unwrap_or_else(|_| Rejection::Defect.into_response())
}

/// Reads the body of a request, at most `limit` bytes of it.
///
/// # Errors
/// [`Rejection::TooLarge`], [`Rejection::BodyNotReceived`] and others.
pub(crate) async fn read_request_body(
    body: Body,
    limit: usize,
    parts: &Parts,
) -> Result<Bytes, Rejection> {
    let body = read_body(body, limit, parts.extensions.get()).await?;
    let (body, _reserved) = body.into_parts();
    Ok(body)
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

/// Handles `/hooks/{route}` with anything below it: some senders authenticate with a token there. Senders sign the path as
/// they send it, so it is not decoded.
async fn hook(State(app): State<Arc<App>>, request: Request) -> Result<Response, Rejection> {
    let path = HookPath::of(request.uri().path())?;
    deliver(app, path.route, path.rest, request).await
}

async fn deliver(
    app: Arc<App>,
    route: String,
    rest: String,
    request: Request,
) -> Result<Response, Rejection> {
    let deadline = invocation_deadline(&request);
    let base = base_path(&request);
    let (mut parts, body) = request.into_parts();
    let other_queries: Option<OtherQueries> = parts.extensions.remove();
    let sender = parts.extensions.get::<ClientAddress>();
    let sender = sender.map(|sender| sender.0.clone());
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let read = read_body(body, app.max_body_bytes(), parts.extensions.get()).await;
    let body = read.inspect_err(|rejection| app.count_refusal(&route, Trigger::Http, rejection))?;
    let (body, _reserved) = body.into_parts();
    let origin = Origin::of(Trigger::Http).with("method", Some(parts.method.as_str()));
    let arrival = InboundRequest {
        route: route.clone(),
        method: parts.method,
        rest,
        headers: parts.headers,
        query,
        other_queries: other_queries.map(|other| other.0).unwrap_or_default(),
        body,
        origin,
    };
    // Boxed, because each layer around this handler moves its future.
    match Box::pin(app.deliver_from(arrival, sender, deadline)).await? {
        HookResponse::Handshake(handshake) => Ok(handshake_response(&handshake)),
        HookResponse::Delivery {
            accepted,
            reply,
            id,
        } => {
            let response = accepted_response(&accepted, &base);
            log_accepted(Some(&route), response.status(), id.as_deref(), &accepted);
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
    if is_dry_run(&query.unwrap_or_default())? {
        let (parts, document) = read_update_request(request).await?;
        idempotency_key(&parts.headers)?;
        let plan = app.plan(&document)?;
        return Ok(json_response(StatusCode::OK, &json!({"plan": plan})));
    }
    let stored = store_update_request(&app, request).await;
    stored.inspect_err(|rejection| app.count_refusal(NO_ROUTE, Trigger::Http, rejection))
}

/// Whether a query asks for the plan only. A misspelled query must not start a job.
fn is_dry_run(query: &str) -> Result<bool, Rejection> {
    let parameters = Parameters::of_query(query, &["dry_run"])?;
    Ok(parameters.flag("dry_run")?.unwrap_or_default())
}

async fn store_update_request(app: &App, request: Request) -> Result<Response, Rejection> {
    let deadline = invocation_deadline(&request);
    let base = base_path(&request);
    let (parts, document) = read_update_request(request).await?;
    let key = idempotency_key(&parts.headers)?;
    let accepted = app
        .request(&document, key.as_deref(), Trigger::Http, deadline)
        .await?;
    let response = accepted_response(&accepted, &base);
    log_accepted(None, response.status(), None, &accepted);
    Ok(response)
}

async fn read_update_request(request: Request) -> Result<(Parts, Value), Rejection> {
    let (parts, body) = request.into_parts();
    let limit = usize::try_from(MAX_BODY_BYTES).unwrap_or(usize::MAX);
    let body = read_body(body, limit, parts.extensions.get()).await?;
    let (body, _reserved) = body.into_parts();
    Ok((parts, parse_update_request(&body)?))
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

/// Shows the numbers of the process as OpenMetrics text, for the listener of the console.
pub async fn show_metrics(State(app): State<Arc<App>>) -> Response {
    let text = app.openmetrics().await;
    ([(CONTENT_TYPE, openmetrics::CONTENT_TYPE)], text).into_response()
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

/// The base path under which the client reaches the API; empty if there is none.
fn base_path(request: &Request) -> String {
    let base = request.extensions().get::<PublishedUnder>();
    base.map(|base| base.0.clone()).unwrap_or_default()
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
