//! The event that the playground runs programs on.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::PlaygroundRequest;
use crate::app::App;
use crate::app::operations::{DeliveryDetails, delivery_id};
use crate::app::sample::{SampleDelivery, sample_for};
use crate::config::Route;
use crate::inbound::rejection::Rejection;
use crate::inbound::{InboundRequest, NamedRoute};
use crate::store::delivery::StoredDelivery;
use crate::trigger::{Origin, Trigger};
use webhook_verify::scheme::{PRESETS, Scheme};

/// The delivery id of samples.
const SAMPLE_ID: &str = "sample-1";

/// The event, and the route that it names.
pub(super) struct PlaygroundEvent {
    pub(super) route: Option<String>,
    source: Source,
}

enum Source {
    Stored(Box<StoredDelivery>),
    Request {
        /// `sample`, `body` or `text`.
        kind: &'static str,
        headers: HeaderMap,
        query: String,
        body: Bytes,
        delivery_id: Option<String>,
    },
}

fn refused(why: impl Into<String>) -> Rejection {
    Rejection::PlaygroundInput(why.into())
}

impl App {
    /// The event of a request.
    pub(super) async fn playground_event(
        &self,
        request: &PlaygroundRequest,
    ) -> Result<PlaygroundEvent, Rejection> {
        let route = request.route.clone();
        let named = [
            request.delivery.is_some(),
            request.sample.is_some(),
            request.body.is_some(),
            request.text.is_some(),
        ];
        if named.iter().filter(|named| **named).count() != 1 {
            return Err(refused(
                "name one event: `delivery`, `sample`, `body` or `text`",
            ));
        }
        if let Some(id) = &request.delivery {
            let stored = self.stored_delivery(id).await?;
            return Ok(PlaygroundEvent {
                route: route.or_else(|| Some(stored.route.clone())),
                source: Source::Stored(Box::new(stored)),
            });
        }
        let mut headers = given_headers(request)?;
        let default = HeaderValue::from_static("application/json");
        let (kind, body, delivery_id) = if let Some(name) = &request.sample {
            let settings = route.as_ref().and_then(|name| self.config.routes.get(name));
            let delivery = sample_of(name, settings, self.clock.now())?;
            let id = delivery.id.clone();
            for (name, value) in &delivery.headers {
                headers.entry(name).or_insert_with(|| value.clone());
            }
            ("sample", Bytes::from(delivery.body), Some(id))
        } else if let Some(body) = &request.body {
            headers.entry(CONTENT_TYPE).or_insert(default);
            ("body", Bytes::copy_from_slice(body.get().as_bytes()), None)
        } else {
            headers.entry(CONTENT_TYPE).or_insert(default);
            let text = request.text.clone().unwrap_or_default();
            ("text", Bytes::from(text), None)
        };
        Ok(PlaygroundEvent {
            route,
            source: Source::Request {
                kind,
                headers,
                query: request.query.clone(),
                body,
                delivery_id,
            },
        })
    }
}

impl App {
    /// The stored delivery of an id, a unique beginning of one, or the id of a duplicate.
    async fn stored_delivery(&self, text: &str) -> Result<StoredDelivery, Rejection> {
        let details = match delivery_id(self.store(), text).await {
            Ok(id) => DeliveryDetails::read(self.store(), &id).await,
            Err(error) => Err(error),
        };
        let stored = match details {
            Ok(details) => details.stored,
            Err(Rejection::NoSuchDelivery(_)) => None,
            Err(error) => return Err(error),
        };
        stored.ok_or_else(|| {
            let id: String = text.chars().take(80).collect();
            refused(format!(
                "delivery {id} is not stored: a delivery is kept while its jobs are in progress and as a dead letter"
            ))
        })
    }
}

/// The sample of a sender.
fn sample_of(
    name: &str,
    route: Option<&Route>,
    now: Timestamp,
) -> Result<SampleDelivery, Rejection> {
    if !PRESETS.contains(&name) && name != "custom" {
        let hint = Scheme::nearest_preset(name);
        let hint = hint.map_or_else(String::new, |known| format!("; did you mean `{known}`?"));
        let name: String = name.chars().take(80).collect();
        return Err(refused(format!("there is no sender `{name}`{hint}")));
    }
    let mut delivery = sample_for(route, name, SAMPLE_ID, now).map_err(refused)?;
    if let Some(scheme) = Scheme::preset(name) {
        let replaced = delivery.replace_delivery_id(&scheme);
        replaced.map_err(|error| refused(error.to_string()))?;
    }
    Ok(delivery)
}

fn given_headers(request: &PlaygroundRequest) -> Result<HeaderMap, Rejection> {
    let mut headers = HeaderMap::new();
    for (name, value) in &request.headers {
        let shown: String = name.chars().take(80).collect();
        let parsed = name.parse::<HeaderName>().ok();
        let name = parsed.ok_or_else(|| refused(format!("`{shown}` is not a header name")))?;
        let value = value.parse::<HeaderValue>();
        let value = value
            .map_err(|_| refused(format!("the value of the header `{shown}` is not valid")))?;
        headers.insert(name, value);
    }
    Ok(headers)
}

impl PlaygroundEvent {
    pub(super) fn is_stored(&self) -> bool {
        self.stored().is_some()
    }

    pub(super) fn stored(&self) -> Option<&StoredDelivery> {
        match &self.source {
            Source::Stored(stored) => Some(stored),
            Source::Request { .. } => None,
        }
    }

    /// The id from the sender's header.
    pub(super) fn delivery_id(&self) -> Option<&str> {
        match &self.source {
            Source::Stored(_) => None,
            Source::Request { delivery_id, .. } => delivery_id.as_deref(),
        }
    }

    /// The event as a request for a route. Its trigger is the first one that the route listens to.
    pub(super) fn request(&self, route: NamedRoute<'_>) -> InboundRequest {
        let name = route.name.to_owned();
        let trigger = route.settings.on.first().copied();
        let origin = Origin::of(trigger.unwrap_or(Trigger::Http));
        let request = match &self.source {
            Source::Stored(stored) => {
                InboundRequest::post(name, stored.headers.clone(), stored.body.clone())
            }
            Source::Request {
                headers,
                query,
                body,
                ..
            } => InboundRequest {
                query: query.clone(),
                ..InboundRequest::post(name, headers.clone(), body.clone())
            },
        };
        InboundRequest { origin, ..request }
    }

    /// The event, without its content.
    pub(super) fn to_json(&self) -> Value {
        let (kind, headers, body) = match &self.source {
            Source::Stored(stored) => ("delivery", &stored.headers, &stored.body),
            Source::Request {
                kind,
                headers,
                body,
                ..
            } => (*kind, headers, body),
        };
        let content_type = headers.get(CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok());
        json!({"source": kind, "content_type": content_type, "bytes": body.len()})
    }
}
