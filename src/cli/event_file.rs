//! Event files: a bare body or any Lambda event, read into what masshook would handle.

use axum::body::to_bytes;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::api::{HookPath, OtherQueries, parse_update_request};
use crate::app::{App, PreviewOutcome, RequestContent};
use crate::config::{BasePath, Config, Route};
use crate::inbound::cloud_events::{STRUCTURED_TYPE, is_structured};
use crate::inbound::rejection::{PathHint, Rejection};
use crate::inbound::{AwsEvent, InboundRequest};
use crate::lambda::{HttpEvent, Invocation, SqsMessage};
use crate::trigger::{Origin, Trigger};
use crate::update::UpdateRequest;

/// Reported for events that only wake jobs.
const WAKE_UP_NOTE: &str = "this event wakes existing jobs, so there is nothing to plan";

/// Why a file is no event for a route.
#[derive(Debug, thiserror::Error)]
pub(super) enum EventFileError {
    /// It is not JSON.
    #[error("is not JSON: {0}")]
    NotJson(serde_json::Error),
    /// It is a bare body, and no route is given.
    #[error("is a bare body; name its route with --route")]
    BareBody,
    /// It is an event that cannot be read.
    #[error("{0}")]
    Unreadable(String),
}

impl EventFileError {
    /// The reason for an example, whose folder names the route.
    fn of_example(&self) -> String {
        match self {
            Self::BareBody => "is a bare body, which names no route: move it and its expected.json to examples/ROUTE/, with the \
                               name of its route"
                .to_owned(),
            Self::NotJson(_) | Self::Unreadable(_) => self.to_string(),
        }
    }
}

/// Content of an event file.
pub(super) enum EventFile {
    /// A request for a route.
    Request(Box<InboundRequest>, RequestContent),
    /// AWS events, each for every route that listens to its trigger.
    AwsEvents(Vec<AwsEvent>),
    /// An update request.
    UpdateRequest(Value),
    /// An event that requests no update, with the reason.
    NoUpdate(String),
    /// A request that every route refuses.
    Refused(Rejection),
}

impl EventFile {
    /// Reads an event. `route` is the requested route, which a bare body needs; `body_trigger` is the trigger that a bare
    /// body is assumed to come from.
    ///
    /// # Errors
    /// Why the file is no event for the route.
    pub(super) async fn parse(
        text: &str,
        route: Option<&str>,
        body_trigger: Trigger,
        config: &Config,
    ) -> Result<Self, EventFileError> {
        let event: &RawValue = serde_json::from_str(text).map_err(EventFileError::NotJson)?;
        match Invocation::parse(event) {
            Ok(Invocation::UpdateRequest(request)) if route.is_none() => {
                let request = parse_update_request(request.get().as_bytes());
                request
                    .map(Self::UpdateRequest)
                    .map_err(|rejection| EventFileError::Unreadable(rejection.to_string()))
            }
            Ok(Invocation::Delivery(arrival))
                if route.is_none_or(|route| route == arrival.route) =>
            {
                let request = Box::new(arrival);
                Ok(Self::Request(request, RequestContent::DirectEvent))
            }
            Ok(Invocation::Http(event)) => {
                let base = config.base_path.as_ref();
                let read = Self::from_http(event, route, base).await;
                read.map_err(EventFileError::Unreadable)
            }
            // A list is the body of a route over HTTP, or else a list of events.
            Ok(Invocation::AwsEvents(events))
                if route.is_none()
                    || body_trigger != Trigger::Http
                    || !text.trim_start().starts_with('[') =>
            {
                Ok(Self::AwsEvents(events))
            }
            Ok(Invocation::SqsBatch(messages))
                if messages.iter().all(SqsMessage::is_wake_up_shaped) && route.is_none() =>
            {
                Ok(Self::NoUpdate(WAKE_UP_NOTE.to_owned()))
            }
            Ok(Invocation::SqsBatch(messages)) => {
                let events = messages.iter().map(SqsMessage::to_event).collect();
                Ok(Self::AwsEvents(events))
            }
            Ok(Invocation::Sweep) if route.is_none() => Ok(Self::NoUpdate(WAKE_UP_NOTE.to_owned())),
            // Anything else is a bare body if its route is given.
            Ok(
                Invocation::UpdateRequest(_)
                | Invocation::Delivery(_)
                | Invocation::Sweep
                | Invocation::AwsEvents(_),
            )
            | Err(_) => match route {
                Some(route) => {
                    let body = Bytes::copy_from_slice(text.as_bytes());
                    let headers = headers_of_body(config, route, &body);
                    let request = Box::new(InboundRequest {
                        origin: Origin::of(body_trigger),
                        ..InboundRequest::post(route.to_owned(), headers, body)
                    });
                    Ok(Self::Request(request, RequestContent::BodyOnly))
                }
                None => Err(EventFileError::BareBody),
            },
        }
    }

    async fn from_http(
        event: HttpEvent,
        route: Option<&str>,
        base: Option<&BasePath>,
    ) -> Result<Self, String> {
        let request = match event.into_request() {
            Ok(request) => request,
            Err(rejection) => return Ok(Self::Refused(rejection)),
        };
        let (mut parts, body) = request.into_parts();
        let body = to_bytes(body, usize::MAX)
            .await
            .map_err(|error| error.to_string())?;
        let other_queries: Option<OtherQueries> = parts.extensions.remove();
        let path = parts.uri.path();
        let full_path = base.and_then(|base| base.strip(path)).unwrap_or(path);
        let path = full_path.trim_start_matches('/');
        let (first, below) = path.split_once('/').unwrap_or((path, ""));
        let hook = HookPath::of(full_path).ok();
        let route = match (
            route.or(hook.as_ref().map(|hook| hook.route.as_str())),
            first,
            &parts.method,
        ) {
            (Some(route), _, _) => route.to_owned(),
            (None, "jobs", &Method::POST) if below.is_empty() => {
                let request = parse_update_request(&body);
                return Ok(request.map_or_else(Self::Refused, Self::UpdateRequest));
            }
            (None, "jobs", &Method::GET) if !below.is_empty() => {
                let note = format!("GET /{path} reads a job, so there is nothing to plan");
                return Ok(Self::NoUpdate(note));
            }
            (None, "health", &Method::GET) if below.is_empty() => {
                let note = "GET /health reads the server's state, so there is nothing to plan";
                return Ok(Self::NoUpdate(note.to_owned()));
            }
            (None, "jobs" | "health", _) => {
                let allowed = match (first, below.is_empty()) {
                    ("jobs", true) => vec![Method::POST],
                    _ => vec![Method::GET, Method::HEAD],
                };
                return Ok(Self::Refused(Rejection::MethodNotAllowed { allowed }));
            }
            (None, _, _) => {
                return Ok(Self::Refused(Rejection::NoSuchPath(PathHint::of(
                    parts.uri.path(),
                ))));
            }
        };
        let request = Box::new(InboundRequest {
            route,
            rest: hook.map(|hook| hook.rest).unwrap_or_default(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            other_queries: other_queries.map(|other| other.0).unwrap_or_default(),
            origin: Origin::of(Trigger::Http).with("method", Some(parts.method.as_str())),
            method: parts.method,
            headers: parts.headers,
            body,
        });
        Ok(Self::Request(request, RequestContent::Complete))
    }
}

/// The headers with which a bare body arrives: a CloudEvent is one in structured mode if its route takes CloudEvents.
fn headers_of_body(config: &Config, route: &str, body: &[u8]) -> HeaderMap {
    let takes_events = |route: &Route| route.cloudevents.is_some();
    let is_event = config.routes.get(route).is_some_and(takes_events) && is_structured(body);
    let content_type = HeaderValue::from_static(STRUCTURED_TYPE);
    let content_type = is_event.then_some((CONTENT_TYPE, content_type));
    content_type.into_iter().collect()
}

/// The trigger that a bare body of a route is assumed to come from.
pub(super) fn first_trigger(config: &Config, route: &str) -> Trigger {
    let route = config.routes.get(route);
    let trigger = route.and_then(|route| route.on.first().copied());
    trigger.unwrap_or(Trigger::Http)
}

/// The update requests that a route makes of an event. An update request that was sent directly has no route.
pub(super) struct RouteOutput {
    pub(super) route: Option<String>,
    pub(super) updates: Result<Vec<UpdateRequest>, Rejection>,
    /// How the server answers the event, if it does not map it.
    pub(super) unmapped: Option<String>,
}

/// Maps an event for every route that accepts it, without verification. A bare body is for the route `body_route`.
///
/// # Errors
/// Why the event is for no route.
pub(super) async fn map_for_all_routes(
    app: &App,
    text: &str,
    body_route: Option<&str>,
) -> Result<Vec<RouteOutput>, String> {
    let http = Trigger::Http;
    let config = app.config();
    let event = match (EventFile::parse(text, None, http, config).await, body_route) {
        (Err(_), Some(route)) => EventFile::parse(text, Some(route), http, config).await,
        (Ok(EventFile::AwsEvents(_)), Some(route)) => {
            let trigger = first_trigger(config, route);
            EventFile::parse(text, Some(route), trigger, config).await
        }
        (event, _) => event,
    };
    let event = event.map_err(|error| error.of_example())?;
    let mut previews = Vec::new();
    match event {
        EventFile::NoUpdate(why) => return Err(why),
        EventFile::Refused(rejection) => return Err(rejection.to_string()),
        EventFile::UpdateRequest(request) => {
            let updates = app.check(&request).map(|update| vec![update]);
            let route = None;
            return Ok(vec![RouteOutput {
                route,
                updates,
                unmapped: None,
            }]);
        }
        EventFile::Request(request, _) => {
            let outcome = app.preview_unverified(&request).await;
            previews.push((request.route, outcome));
        }
        EventFile::AwsEvents(events) => {
            for event in &events {
                let mapped = app.preview_aws_event(event).await.into_iter();
                previews.extend(
                    mapped.map(|(route, outcome)| (route, outcome.map(PreviewOutcome::Delivery))),
                );
            }
        }
    }
    if previews.is_empty() {
        return Err(
            "no route listens to its trigger: add the trigger to a route's `on`".to_owned(),
        );
    }
    let outputs = previews.into_iter().map(|(route, outcome)| RouteOutput {
        route: Some(route),
        unmapped: outcome.as_ref().ok().and_then(PreviewOutcome::unmapped),
        updates: outcome.map(PreviewOutcome::into_updates),
    });
    Ok(outputs.collect())
}
