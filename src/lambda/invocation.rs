//! Reads what invoked the function from the shape of the event.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::error::{InvokeError, quoted};
use super::event_bridge::{EventList, event_of_bus};
use super::http::HttpEvent;
use super::sns::SnsNotification;
use super::sqs::SqsMessage;
use crate::api::check_header_count;
use crate::inbound::{AwsEvent, InboundRequest};
use crate::trigger::{Origin, Trigger};

/// Maximum keys or event sources that a message about an unknown event lists.
const MAX_LISTED: usize = 12;

/// What invoked the function.
#[derive(Debug)]
pub enum Invocation {
    /// A request through an HTTP API, a REST API, a Function URL or a load balancer.
    Http(HttpEvent),
    /// A direct invocation with an update request, as received.
    UpdateRequest(Box<RawValue>),
    /// A direct invocation with a delivery for a route.
    Delivery(InboundRequest),
    /// Events of EventBridge (a rule, a partner bus, a schedule, a custom bus, a pipe) or SNS.
    AwsEvents(Vec<AwsEvent>),
    /// A batch of SQS messages.
    SqsBatch(Vec<SqsMessage>),
    /// The schedule that drives due jobs without a wake-up.
    Sweep,
}

/// The top-level keys by which events differ.
#[derive(Deserialize)]
struct EventKeys<'a> {
    #[serde(rename = "requestContext")]
    request_context: Option<IgnoredAny>,
    #[serde(rename = "Records", borrow)]
    records: Option<&'a RawValue>,
    route: Option<IgnoredAny>,
    module: Option<IgnoredAny>,
    #[serde(borrow)]
    sweep: Option<&'a RawValue>,
}

impl Invocation {
    /// Its kind, for logs and metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Http(_) => "http",
            Self::UpdateRequest(_) => "update_request",
            Self::Delivery(_) => "delivery",
            Self::AwsEvents(_) => "events",
            Self::SqsBatch(_) => "sqs",
            Self::Sweep => "sweep",
        }
    }

    /// Reads an event.
    ///
    /// # Errors
    /// [`InvokeError::UnknownEvent`], which names what was found and what is supported.
    pub fn parse(event: &RawValue) -> Result<Self, InvokeError> {
        if event.get().starts_with('[') {
            return Ok(match EventList::parse(event)? {
                EventList::Sqs(messages) => Self::SqsBatch(messages),
                EventList::Events(events) => Self::AwsEvents(events),
            });
        }
        let keys: EventKeys<'_> = serde_json::from_str(event.get()).map_err(|error| {
            let why = match event.get().starts_with('{') {
                true => error.to_string(),
                false => format!("it is {}", json_kind(event.get())),
            };
            InvokeError::unknown_event(format!(
                "the event is not a JSON object or list ({why}); send an HTTP event, an update request or a delivery"
            ))
        })?;
        if keys.request_context.is_some() {
            return HttpEvent::parse(event).map(Self::Http);
        }
        if let Some(records) = keys.records {
            return parse_records(records);
        }
        if let Some(event) = event_of_bus(event) {
            return Ok(Self::AwsEvents(vec![event]));
        }
        if keys.sweep.is_some_and(|sweep| sweep.get() == "true") {
            return Ok(Self::Sweep);
        }
        if keys.route.is_some() {
            return parse_delivery(event).map(Self::Delivery);
        }
        if keys.module.is_some() {
            return Ok(Self::UpdateRequest(event.to_owned()));
        }
        Err(unsupported_keys(event)?)
    }
}

fn unsupported_keys(event: &RawValue) -> Result<InvokeError, serde_json::Error> {
    let keys: BTreeMap<String, IgnoredAny> = serde_json::from_str(event.get())?;
    let keys: Vec<String> = keys
        .keys()
        .take(MAX_LISTED)
        .map(|key| quoted(key))
        .collect();
    Ok(InvokeError::unknown_event(format!(
        "the event has the keys [{}], which match no supported event: send an HTTP event (with `requestContext`), an event of EventBridge (with `detail-type`, `source` and `detail`, with `Data` and `SystemMetadata`, or in a list), SNS or SQS (with `Records`), an update request (with `module`), a delivery (with `route`, which a schedule's own input also needs), or a sweep (with `sweep`: true)",
        keys.join(", ")
    )))
}

fn json_kind(text: &str) -> &'static str {
    match text.bytes().next() {
        Some(b'"') => "a string",
        Some(b't' | b'f') => "true or false",
        Some(b'n') => "null",
        Some(_) | None => "a number",
    }
}

/// Reads `Records`, which many services send. Each record names its service in `eventSource`; SNS capitalizes the key.
fn parse_records(records: &RawValue) -> Result<Invocation, InvokeError> {
    #[derive(Deserialize)]
    struct Record<'a> {
        #[serde(rename = "eventSource", alias = "EventSource")]
        source: Option<String>,
        #[serde(rename = "Sns", borrow)]
        sns: Option<&'a RawValue>,
    }
    let unreadable = |error: serde_json::Error| {
        InvokeError::unknown_event(format!(
            "the event has `Records` that cannot be read: {error}"
        ))
    };
    let list: Vec<Record<'_>> = serde_json::from_str(records.get()).map_err(unreadable)?;
    let sources: Vec<&str> = list
        .iter()
        .map(|record| record.source.as_deref().unwrap_or("no source"))
        .collect();
    let all_from =
        |service: &str| !sources.is_empty() && sources.iter().all(|source| *source == service);
    if all_from("aws:sqs") {
        let messages = serde_json::from_str(records.get()).map_err(unreadable)?;
        return Ok(Invocation::SqsBatch(messages));
    }
    if all_from("aws:sns") {
        let events = list.iter().map(|record| {
            let text = record.sns.map_or("null", RawValue::get);
            let notification = SnsNotification::parse(text).map_err(unreadable)?;
            Ok(notification.into_event(Origin::of(Trigger::Sns)))
        });
        return events
            .collect::<Result<_, InvokeError>>()
            .map(Invocation::AwsEvents);
    }
    let distinct: BTreeSet<&str> = sources.into_iter().collect();
    let distinct: Vec<String> = distinct.into_iter().take(MAX_LISTED).map(quoted).collect();
    Err(InvokeError::unknown_event(format!(
        "the event has `Records` from [{}]; supported are aws:sqs and aws:sns, one source per event. Send events of other services through EventBridge",
        distinct.join(", ")
    )))
}

/// Reads a delivery by direct invocation: `{route, headers, query, body, isBase64Encoded}`. A body that is not a string
/// becomes its JSON text.
fn parse_delivery(event: &RawValue) -> Result<InboundRequest, InvokeError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct DirectDelivery<'a> {
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
    let unreadable =
        |why: &str| InvokeError::unknown_event(format!("the delivery cannot be read: {why}"));
    let parsed: DirectDelivery<'_> =
        serde_json::from_str(event.get()).map_err(|error| unreadable(&error.to_string()))?;
    check_header_count(parsed.headers.len()).map_err(InvokeError::Rejected)?;
    let mut headers = HeaderMap::new();
    for (name, value) in parsed.headers {
        let name = HeaderName::try_from(&name)
            .map_err(|_| unreadable(&format!("`{name}` is not a header name")))?;
        let value = HeaderValue::try_from(value)
            .map_err(|_| unreadable(&format!("the value of `{name}` is not a header value")))?;
        headers.append(name, value);
    }
    let text = parsed.body.map_or("", RawValue::get);
    let repaired = strict_reader::replace_lone_surrogates(text.as_bytes());
    let body = match serde_json::from_slice::<String>(&repaired.text) {
        Ok(body) if parsed.is_base64_encoded => {
            let decoded = STANDARD.decode(body);
            decoded
                .map_err(|_| unreadable("its body is not base64"))?
                .into()
        }
        Ok(body) => Bytes::from(body),
        Err(_) => Bytes::copy_from_slice(text.as_bytes()),
    };
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(&parsed.query)
        .finish();
    Ok(InboundRequest {
        query,
        origin: Origin::of(Trigger::Direct),
        ..InboundRequest::post(parsed.route, headers, body)
    })
}
