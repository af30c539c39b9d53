//! Tells events apart by their shape.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::InvokeError;
use super::batch::Message;
use super::http::HttpEvent;
use super::sns;
use crate::api::few_headers;
use crate::app::{Arrival, Notice};
use crate::inbound::trigger::{Origin, Trigger};

/// Characters of a message about an event. What stands in it may be a stranger's.
const LONGEST: usize = 1_000;

/// What an event is.
#[derive(Debug)]
pub enum Event {
    /// A request by HTTP API v2, REST API v1, Function URL or load balancer.
    Http(HttpEvent),
    /// A direct invocation with an update request, as it was sent.
    Update(Box<RawValue>),
    /// A direct invocation with a delivery.
    Delivery(Arrival),
    /// EventBridge's, or SNS's: a rule, a partner bus, a schedule, a topic.
    Notices(Vec<Notice>),
    /// A batch of a queue.
    Queue(Vec<Message>),
    /// The schedule that looks for due jobs which nobody woke.
    Sweep,
}

/// The keys by which events differ.
#[derive(Deserialize)]
struct Shape<'a> {
    #[serde(rename = "requestContext")]
    request_context: Option<IgnoredAny>,
    #[serde(rename = "Records", borrow)]
    records: Option<&'a RawValue>,
    #[serde(rename = "detail-type")]
    detail_type: Option<IgnoredAny>,
    source: Option<IgnoredAny>,
    detail: Option<IgnoredAny>,
    route: Option<IgnoredAny>,
    module: Option<IgnoredAny>,
    #[serde(borrow)]
    sweep: Option<&'a RawValue>,
}

/// Tells an event by its shape.
///
/// # Errors
/// [`InvokeError::UnknownEvent`], which says what was seen.
pub fn detect(event: &RawValue) -> Result<Event, InvokeError> {
    let shape: Shape<'_> = serde_json::from_str(event.get()).map_err(|error| {
        let why = match event.get().starts_with('{') {
            true => error.to_string(),
            false => format!("it is {}", kind_of(event.get())),
        };
        unknown(format!(
            "the event is not a JSON object ({why}); send an HTTP event, an update request or a delivery"
        ))
    })?;
    if shape.request_context.is_some() {
        return HttpEvent::read(event).map(Event::Http);
    }
    if let Some(records) = shape.records {
        return of_records(records);
    }
    if shape.detail_type.is_some() && shape.source.is_some() && shape.detail.is_some() {
        return of_event_bridge(event).map(|notice| Event::Notices(vec![notice]));
    }
    if shape.sweep.is_some_and(|sweep| sweep.get() == "true") {
        return Ok(Event::Sweep);
    }
    if shape.route.is_some() {
        return delivery(event).map(Event::Delivery);
    }
    if shape.module.is_some() {
        return Ok(Event::Update(event.to_owned()));
    }
    let keys: BTreeMap<String, IgnoredAny> = serde_json::from_str(event.get())?;
    let keys = keys.keys().take(12).map(|key| clip(key));
    let keys: Vec<String> = keys.collect();
    Err(unknown(format!(
        "the event has the keys [{}], which is nothing that masshook knows: send an HTTP event (with `requestContext`), an event of EventBridge (with `detail-type`, `source` and `detail`), SNS or SQS (with `Records`), an update request (with `module`), a delivery (with `route`; that is also what a schedule's own input needs), or a sweep (with `sweep`: true)",
        keys.join(", ")
    )))
}

/// An event that is nothing known, with as much of the reason as a message holds: parsers quote what they met, however
/// long it is.
pub(super) fn unknown(why: String) -> InvokeError {
    InvokeError::UnknownEvent(why.chars().take(LONGEST).collect())
}

/// The start of what a stranger wrote, short enough for a message.
fn clip(text: &str) -> String {
    text.chars().take(80).collect()
}

fn kind_of(text: &str) -> &'static str {
    match text.bytes().next() {
        Some(b'[') => "a list",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "true or false",
        Some(b'n') => "null",
        Some(_) | None => "a number",
    }
}

/// `Records` come from many services, each with a name for itself; SNS alone writes it with a capital.
fn of_records(records: &RawValue) -> Result<Event, InvokeError> {
    #[derive(Deserialize)]
    struct Record<'a> {
        #[serde(rename = "eventSource", alias = "EventSource")]
        source: Option<String>,
        #[serde(rename = "Sns", borrow)]
        sns: Option<&'a RawValue>,
    }
    let unreadable = |error: serde_json::Error| {
        unknown(format!(
            "the event has `Records` that cannot be read: {error}"
        ))
    };
    let list: Vec<Record<'_>> = serde_json::from_str(records.get()).map_err(unreadable)?;
    let sources: Vec<&str> = list
        .iter()
        .map(|record| record.source.as_deref().unwrap_or("nowhere"))
        .collect();
    let all = |wanted: &str| !sources.is_empty() && sources.iter().all(|source| *source == wanted);
    if all("aws:sqs") {
        let messages = serde_json::from_str(records.get()).map_err(unreadable)?;
        return Ok(Event::Queue(messages));
    }
    if all("aws:sns") {
        let notices = list.iter().map(|record| {
            let text = record.sns.map_or("null", RawValue::get);
            let notification = sns::Notification::read(text).map_err(unreadable)?;
            Ok(notification.notice(Origin::of(Trigger::Sns)))
        });
        return notices
            .collect::<Result<_, InvokeError>>()
            .map(Event::Notices);
    }
    let mut seen: Vec<&str> = sources;
    seen.sort_unstable();
    seen.dedup();
    let seen: Vec<String> = seen.iter().take(12).map(|source| clip(source)).collect();
    Err(unknown(format!(
        "the event has `Records` from [{}]; masshook takes those of aws:sqs and aws:sns, one source at a time. Others can come through EventBridge",
        seen.join(", ")
    )))
}

/// The whole event is what a route sees: its source and its type say as much as its detail.
fn of_event_bridge(event: &RawValue) -> Result<Notice, InvokeError> {
    #[derive(Deserialize)]
    struct Wire {
        id: Option<String>,
    }
    let wire: Wire = serde_json::from_str(event.get())
        .map_err(|error| unknown(format!("the event of EventBridge cannot be read: {error}")))?;
    Ok(Notice {
        origin: Origin::of(Trigger::EventBridge).with("id", wire.id.as_deref()),
        body: Bytes::copy_from_slice(event.get().as_bytes()),
    })
}

/// A delivery by direct invocation: `{route, headers, query, body, isBase64Encoded}`. A body that is not a string is taken
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
    let unreadable = |why: &str| unknown(format!("the delivery cannot be read: {why}"));
    let wire: Wire<'_> =
        serde_json::from_str(event.get()).map_err(|error| unreadable(&error.to_string()))?;
    few_headers(wire.headers.len()).map_err(InvokeError::Rejected)?;
    let mut headers = HeaderMap::new();
    for (name, value) in wire.headers {
        let name = HeaderName::try_from(&name)
            .map_err(|_| unreadable(&format!("`{name}` is not a header name")))?;
        let value = HeaderValue::try_from(value)
            .map_err(|_| unreadable(&format!("the value of `{name}` is no header value")))?;
        headers.append(name, value);
    }
    let text = wire.body.map_or("", RawValue::get);
    let body = match serde_json::from_str::<String>(text) {
        Ok(body) if wire.is_base64_encoded => {
            let decoded = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, body);
            decoded
                .map_err(|_| unreadable("its body is not base64"))?
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
        origin: Origin::of(Trigger::Direct),
        ..Arrival::post(wire.route, headers, body)
    })
}
