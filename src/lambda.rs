//! The Lambda edge: every event that the function may be sent, told apart by its shape.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use jiff::Timestamp;
use lambda_http::request::{LambdaRequest, RequestContext};
use lambda_http::{Adapter, RequestExt};
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::api::{Deadline, accepted_json, log, router};
use crate::app::rejection::Rejection;
use crate::app::{Accepted, Answered, App, Arrival};
use crate::engine::{DriveError, Driven};
use crate::job::{JobId, wakeup};

/// Why an invocation failed. The runtime shows it as `errorType` and `errorMessage`.
#[derive(Debug, thiserror::Error)]
pub enum InvokeError {
    /// The event has no shape that is known here.
    #[error("{0}")]
    UnknownEvent(String),
    /// The event was understood and refused.
    #[error("{}", refused(.0))]
    Rejected(Rejection),
    /// The answer could not be written.
    #[error("the answer cannot be written as JSON: {0}")]
    Unwritable(#[from] serde_json::Error),
}

fn refused(rejection: &Rejection) -> String {
    let errors = rejection.errors();
    if errors.is_empty() {
        rejection.to_string()
    } else {
        format!("{rejection}: {}", Value::Array(errors))
    }
}

impl From<InvokeError> for Diagnostic {
    fn from(error: InvokeError) -> Self {
        let error_type = match &error {
            InvokeError::UnknownEvent(_) => "unknown_event",
            InvokeError::Rejected(rejection) => rejection.code(),
            InvokeError::Unwritable(_) => "unwritable",
        };
        Self {
            error_type: error_type.to_owned(),
            error_message: error.to_string(),
        }
    }
}

/// What an event is.
#[derive(Debug)]
pub enum Trigger {
    /// An HTTP API v2, REST v1, Function URL or ALB request.
    Http(Box<LambdaRequest>),
    /// A direct invoke with an update request.
    Update(Value),
    /// A direct invoke with a delivery.
    Delivery(Arrival),
    /// A batch of wake-ups from the queue.
    WakeUps(Vec<Record>),
    /// The schedule that looks for due jobs which nobody woke.
    Sweep,
}

/// One message of an SQS batch.
#[derive(Clone, Debug, Deserialize)]
pub struct Record {
    /// Names the message in the answer.
    #[serde(rename = "messageId")]
    pub message_id: String,
    /// What it says.
    pub body: String,
    #[serde(rename = "eventSource")]
    source: String,
}

/// Tells an event by its shape.
///
/// # Errors
/// [`InvokeError::UnknownEvent`], which says what was seen.
pub fn detect(event: &RawValue) -> Result<Trigger, InvokeError> {
    #[derive(Deserialize)]
    struct Shape {
        #[serde(rename = "requestContext")]
        request_context: Option<Value>,
        route: Option<Value>,
        module: Option<Value>,
        sweep: Option<bool>,
        #[serde(rename = "Records")]
        records: Option<Value>,
        body: Option<Value>,
        #[serde(rename = "isBase64Encoded")]
        is_base64_encoded: Option<bool>,
    }
    let unknown = |why: String| InvokeError::UnknownEvent(why);
    let shape: Shape = serde_json::from_str(event.get()).map_err(|_| {
        unknown(
            "the event is not a JSON object; send an HTTP event, an update request or a delivery"
                .to_owned(),
        )
    })?;
    if shape.request_context.is_some() {
        // The events crate takes AWS at its word here, and would panic.
        if shape.is_base64_encoded == Some(true)
            && let Some(body) = shape.body.as_ref().and_then(Value::as_str)
            && base64::Engine::decode(&base64::engine::general_purpose::STANDARD, body).is_err()
        {
            return Err(unknown(
                "the event says that its body is base64, and it is not".to_owned(),
            ));
        }
        let request = serde_json::from_str(event.get());
        return request.map(|request| Trigger::Http(Box::new(with_usable_host(request)))).map_err(|_| {
            unknown("the event has a `requestContext`, but is no HTTP API v2, REST v1, Function URL or ALB request".to_owned())
        });
    }
    if let Some(records) = shape.records {
        let records: Result<Vec<Record>, _> = serde_json::from_value(records);
        return match records {
            Ok(records) if records.iter().all(|record| record.source == "aws:sqs") => {
                Ok(Trigger::WakeUps(records))
            }
            Ok(_) | Err(_) => Err(unknown(
                "the event has `Records` that are no SQS messages".to_owned(),
            )),
        };
    }
    if shape.sweep == Some(true) {
        return Ok(Trigger::Sweep);
    }
    if shape.route.is_some() {
        return delivery(event).map(Trigger::Delivery);
    }
    if shape.module.is_some() {
        return Ok(Trigger::Update(serde_json::from_str(event.get())?));
    }
    let keys: BTreeMap<String, serde::de::IgnoredAny> = serde_json::from_str(event.get())?;
    let keys: Vec<String> = keys.into_keys().take(12).collect();
    Err(unknown(format!(
        "the event has the keys [{}], which is nothing that masshook knows: send an HTTP event (with `requestContext`), an update request (with `module`), a delivery (with `route`), wake-ups from SQS, or a sweep (with `sweep`: true)",
        keys.join(", ")
    )))
}

/// The request without a host that is none, which a stranger may send: the events crate makes a URL of it, and would panic.
/// Nothing here goes by the host.
fn with_usable_host(mut request: LambdaRequest) -> LambdaRequest {
    fn tidy(headers: &mut HeaderMap) {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let scheme = text(HeaderName::from_static("x-forwarded-proto")).unwrap_or("https");
        let host = text(http::header::HOST).unwrap_or("localhost");
        if url::Url::parse(&format!("{scheme}://{host}/")).is_err() {
            headers.remove(http::header::HOST);
            headers.remove("x-forwarded-proto");
        }
    }
    match &mut request {
        LambdaRequest::ApiGatewayV2(request) => tidy(&mut request.headers),
        LambdaRequest::ApiGatewayV1(request) => {
            tidy(&mut request.headers);
            tidy(&mut request.multi_value_headers);
        }
        LambdaRequest::Alb(request) => {
            tidy(&mut request.headers);
            tidy(&mut request.multi_value_headers);
        }
        _ => {}
    }
    request
}

/// A delivery by direct invoke: `{route, headers, query, body, isBase64Encoded}`. A body that is not a string is taken
/// as its JSON text.
fn delivery(event: &RawValue) -> Result<Arrival, InvokeError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wire<'a> {
        route: String,
        #[serde(default)]
        headers: BTreeMap<String, String>,
        #[serde(default)]
        query: BTreeMap<String, String>,
        #[serde(borrow)]
        body: Option<&'a RawValue>,
        #[serde(rename = "isBase64Encoded", default)]
        is_base64_encoded: bool,
    }
    let unknown =
        |why: &str| InvokeError::UnknownEvent(format!("the delivery cannot be read: {why}"));
    let wire: Wire<'_> =
        serde_json::from_str(event.get()).map_err(|error| unknown(&error.to_string()))?;
    let mut headers = HeaderMap::new();
    for (name, value) in wire.headers {
        let name = HeaderName::try_from(&name)
            .map_err(|_| unknown(&format!("`{name}` is not a header name")))?;
        let value = HeaderValue::try_from(value)
            .map_err(|_| unknown(&format!("the value of `{name}` is no header value")))?;
        headers.append(name, value);
    }
    let text = wire.body.map_or("", RawValue::get);
    let body = match serde_json::from_str::<String>(text) {
        Ok(body) if wire.is_base64_encoded => {
            let decoded = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, body);
            decoded
                .map_err(|_| unknown("its body is not base64"))?
                .into()
        }
        Ok(body) => Bytes::from(body),
        Err(_) => Bytes::copy_from_slice(text.as_bytes()),
    };
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(&wire.query)
        .finish();
    Ok(Arrival {
        query,
        ..Arrival::post(wire.route, headers, body)
    })
}

/// Answers one invocation.
///
/// # Errors
/// [`InvokeError`]; HTTP events are always answered, with problem details if need be.
pub async fn invoke(
    app: &Arc<App>,
    http: &Router,
    event: LambdaEvent<Box<RawValue>>,
) -> Result<Box<RawValue>, InvokeError> {
    let LambdaEvent { payload, context } = event;
    let deadline = i64::try_from(context.deadline)
        .ok()
        .and_then(|at| Timestamp::from_millisecond(at).ok());
    match detect(&payload)? {
        Trigger::Http(request) => {
            let answer = |request: lambda_http::Request| {
                let http = http.clone();
                async move { http.oneshot(plain(request, deadline)).await }
            };
            let adapter = Adapter::from(service_fn(answer));
            let response = match adapter.oneshot(LambdaEvent::new(*request, context)).await {
                Ok(response) => response,
                Err(never) => match never {},
            };
            Ok(to_raw_value(&response)?)
        }
        Trigger::Update(request) => {
            let jobs = app
                .request(&request, Some(&context.request_id), deadline)
                .await;
            answer(jobs)
        }
        Trigger::WakeUps(records) => Ok(to_raw_value(&wake_ups(app, &records, deadline).await)?),
        Trigger::Sweep => {
            let driven = app
                .turn(&[], deadline)
                .await
                .map_err(|error| InvokeError::Rejected(Rejection::Store(error)))?;
            Ok(to_raw_value(&json!({"driven": driven.len()}))?)
        }
        Trigger::Delivery(arrival) => match app.deliver(arrival, deadline).await {
            Ok(Answered::Delivery(accepted, _)) => answer(Ok(accepted)),
            Ok(Answered::Handshake(handshake)) => {
                Ok(to_raw_value(&json!({"answer": handshake.body}))?)
            }
            Err(rejection) => answer(Err(rejection)),
        },
    }
}

/// Drives the jobs of a batch of wake-ups. Messages that could not be used stay in the queue, each on its own; the others
/// are done with, whatever became of their jobs: the store knows when those are due again.
async fn wake_ups(app: &Arc<App>, records: &[Record], deadline: Option<Timestamp>) -> Value {
    let mut failed: BTreeSet<&str> = BTreeSet::new();
    let mut jobs: Vec<JobId> = Vec::new();
    let mut messages: BTreeMap<JobId, Vec<&str>> = BTreeMap::new();
    for record in records {
        match wakeup::parse(&record.body) {
            Ok(ids) => {
                for id in ids {
                    messages
                        .entry(id.clone())
                        .or_default()
                        .push(&record.message_id);
                    jobs.push(id);
                }
            }
            Err(error) => {
                tracing::error!(
                    message.id = record.message_id,
                    "a message of the queue {error}"
                );
                failed.insert(&record.message_id);
            }
        }
    }
    match app.turn(&jobs, deadline).await {
        Ok(driven) => {
            for Driven { id, outcome } in driven {
                // What the store could not do now is worth another wake-up; anything else would fail again.
                if let Err(DriveError::Store(error)) = outcome
                    && error.is_retryable()
                {
                    failed.extend(messages.get(&id).into_iter().flatten());
                }
            }
        }
        Err(error) => {
            tracing::error!("what is due cannot be read: {error}");
            // Nobody knows what became of the jobs either. Waking them twice does no harm.
            if error.is_retryable() {
                failed.extend(messages.values().flatten());
            }
        }
    }
    let failures: Vec<Value> = failed
        .into_iter()
        .map(|id| json!({"itemIdentifier": id}))
        .collect();
    json!({ "batchItemFailures": failures })
}

fn answer(accepted: Result<Accepted, Rejection>) -> Result<Box<RawValue>, InvokeError> {
    match accepted {
        Ok(accepted) => Ok(to_raw_value(&accepted_json(&accepted))?),
        Err(rejection) => {
            log(&rejection);
            Err(InvokeError::Rejected(rejection))
        }
    }
}

/// The request of an HTTP event, as the router takes it.
pub fn request_of(request: LambdaRequest) -> http::Request<Body> {
    plain(lambda_http::Request::from(request), None)
}

/// A request as the router takes it: the path without the API's stage, the body decoded, the deadline attached.
fn plain(request: lambda_http::Request, deadline: Option<Timestamp>) -> http::Request<Body> {
    let path = own_path(&request);
    let query = request
        .uri()
        .query()
        .map(|query| format!("?{query}"))
        .unwrap_or_default();
    let (mut parts, body) = request.into_parts();
    if let Ok(uri) = Uri::try_from(format!("{path}{query}")) {
        parts.uri = uri;
    }
    parts.extensions.clear();
    if let Some(deadline) = deadline {
        parts.extensions.insert(Deadline(deadline));
    }
    let body = match body {
        lambda_http::Body::Empty => Body::empty(),
        lambda_http::Body::Text(text) => Body::from(text),
        lambda_http::Body::Binary(bytes) => Body::from(bytes),
        _ => Body::empty(),
    };
    http::Request::from_parts(parts, body)
}

/// The path as the API's owner knows it: named stages of HTTP APIs stand in the raw path, `$default` does not.
fn own_path(request: &lambda_http::Request) -> String {
    let path = request.raw_http_path();
    let path = if path.is_empty() {
        request.uri().path()
    } else {
        path
    };
    let stage = match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV2(context)) => context.stage.as_deref(),
        _ => None,
    };
    let without = stage.and_then(|stage| path.strip_prefix('/')?.strip_prefix(stage));
    match without {
        Some(rest) if rest.starts_with('/') => rest.to_owned(),
        Some(_) | None => path.to_owned(),
    }
}

/// The router and the app that [`invoke`] takes.
pub fn http(app: &Arc<App>) -> Router {
    router(app.clone())
}
