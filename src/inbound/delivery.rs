//! A verified delivery: the only type that can be mapped.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use webhook_verify::handshake::Handshake;

use super::cloud_events::ContentMode;
use super::credentials::{storable_headers, without_sender_secrets};
use super::{AwsEvent, InboundRequest};
use crate::config::{BinaryEventId, EVENT_IDENTITY, Route};
use crate::job::DeadLetterReason;
use crate::store::delivery::StoredDelivery;
use crate::trigger::{Origin, Trigger};

/// A route with its name in the config.
#[derive(Clone, Copy, Debug)]
pub struct NamedRoute<'c> {
    /// Key under `routes`.
    pub name: &'c str,
    /// Its settings.
    pub settings: &'c Route,
}

/// A verified delivery for a route. The secrets with which its sender authenticates are removed, and nothing of it changes
/// after construction.
pub struct Delivery<'c> {
    route: NamedRoute<'c>,
    content: Arc<DeliveryContent>,
    reply: Option<Handshake>,
}

/// What a delivery contains. The thread that maps the delivery shares it.
pub(super) struct DeliveryContent {
    pub(super) headers: HeaderMap,
    query: String,
    pub(super) body: Bytes,
    pub(super) origin: Origin,
    pub(super) received_at: Timestamp,
    /// Whether the route takes CloudEvents.
    pub(super) is_cloud_event: bool,
    /// Whether the id of the signature identifies CloudEvents in binary mode.
    prefers_signed_id: bool,
}

impl DeliveryContent {
    /// The query parameters; the last one of a repeated parameter.
    pub(super) fn parameters(&self) -> BTreeMap<String, String> {
        form_urlencoded::parse(self.query.as_bytes())
            .into_owned()
            .collect()
    }

    /// The id of a delivery without one: a hash of body and query.
    pub(super) fn fingerprint(&self) -> String {
        hex::encode(self.hash().finalize())
    }

    /// The id that the signature of a CloudEvent in binary mode covers, if it does not cover the event's own.
    pub(super) fn signed_event_id(&self) -> Option<&str> {
        let is_binary = self.is_cloud_event
            && self.origin.trigger.has_signatures()
            && matches!(ContentMode::of(&self.headers), Ok(ContentMode::Binary));
        self.origin
            .id()
            .filter(|_| is_binary && self.prefers_signed_id)
    }

    fn hash(&self) -> Sha256 {
        let mut hash = Sha256::new();
        hash.update(&self.body);
        for (key, value) in &self.parameters() {
            hash.update(format!("\n{}={key}{}={value}", key.len(), value.len()));
        }
        // Several events can have the same data.
        let is_identity = self.is_cloud_event && self.signed_event_id().is_none();
        let headers = EVENT_IDENTITY.into_iter().filter(|_| is_identity);
        for value in headers.filter_map(|name| self.headers.get(name)) {
            hash.update(format!("\n{}=", value.len()));
            hash.update(value.as_bytes());
        }
        hash
    }
}

/// Whether the id of the signature identifies the CloudEvents of a route in binary mode.
fn prefers_signed_id(route: &Route) -> bool {
    let takes_events = route.cloudevents.is_some();
    takes_events && matches!(route.verify.binary_event_id(), BinaryEventId::Signature)
}

impl<'c> Delivery<'c> {
    /// A request whose signature holds. `id` is the id from the scheme, `reply` the response that the sender expects.
    pub(super) fn verified(
        request: InboundRequest,
        route: NamedRoute<'c>,
        id: Option<String>,
        reply: Option<Handshake>,
        now: Timestamp,
    ) -> Self {
        let request = without_sender_secrets(request, &route.settings.verify);
        let mut origin = request.origin;
        origin.about.extend(id.map(|id| ("id".to_owned(), id)));
        Self {
            route,
            content: Arc::new(DeliveryContent {
                headers: request.headers,
                query: request.query,
                body: request.body,
                origin,
                received_at: now,
                is_cloud_event: route.settings.cloudevents.is_some(),
                prefers_signed_id: prefers_signed_id(route.settings),
            }),
            reply,
        }
    }

    /// An event whose sender AWS has authenticated; `None` if the route does not listen to its trigger, or if the trigger
    /// brings requests that need a signature.
    pub(crate) fn from_aws(
        event: &AwsEvent,
        route: NamedRoute<'c>,
        now: Timestamp,
    ) -> Option<Self> {
        let trigger = event.origin.trigger;
        let is_authenticated = !trigger.has_signatures() && route.settings.accepts_trigger(trigger);
        is_authenticated.then(|| {
            Self::verified(
                event.to_request(route.name.to_owned()),
                route,
                None,
                None,
                now,
            )
        })
    }

    /// A stored delivery, which was verified before it was stored. It was received when it arrived first, so that it is mapped
    /// as it was then.
    pub(crate) fn replayed(stored: &StoredDelivery, route: NamedRoute<'c>) -> Self {
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&stored.query)
            .finish();
        // An earlier version has stored signatures.
        let headers = storable_headers(&stored.headers, &route.settings.verify);
        let body = stored.body.clone();
        let request = InboundRequest {
            query,
            origin: stored.origin.clone(),
            ..InboundRequest::post(stored.route.clone(), headers, body)
        };
        Self::verified(request, route, None, None, stored.at)
    }

    /// A request that is only previewed: no job is made of it, so its signature does not matter.
    pub(crate) fn for_preview(
        request: InboundRequest,
        route: NamedRoute<'c>,
        id: Option<String>,
        now: Timestamp,
    ) -> Self {
        Self::verified(request, route, id, None, now)
    }

    /// The route that the delivery is for.
    pub fn route(&self) -> NamedRoute<'c> {
        self.route
    }

    /// The id that the sender or AWS gave the delivery.
    pub fn id(&self) -> Option<&str> {
        self.content.origin.id()
    }

    /// The trigger that it came through.
    pub(crate) fn trigger(&self) -> Trigger {
        self.content.origin.trigger
    }

    /// The size of its body.
    pub(crate) fn body_bytes(&self) -> usize {
        self.content.body.len()
    }

    /// When the delivery was received.
    pub fn received_at(&self) -> Timestamp {
        self.content.received_at
    }

    /// The response that the sender expects once the delivery is stored, if it expects a particular one.
    pub(crate) fn into_reply(self) -> Option<Handshake> {
        self.reply
    }

    pub(super) fn content(&self) -> &Arc<DeliveryContent> {
        &self.content
    }

    /// The delivery as it is stored with its jobs.
    pub(crate) fn to_stored(&self, delivery_id: &str) -> StoredDelivery {
        self.stored(StoredDelivery::id_of(self.route.name, delivery_id), None)
    }

    /// The delivery as it is stored when no job could be made of it. Its id is the same for every redelivery.
    pub(crate) fn to_dead_letter(&self, reason: DeadLetterReason) -> StoredDelivery {
        let mut hash = self.content.hash();
        for part in [self.route.name, self.id().unwrap_or_default()] {
            hash.update(format!("\n{}={part}", part.len()));
        }
        let id = format!("dlv_{}", &hex::encode(hash.finalize())[..32]);
        self.stored(id, Some(reason))
    }

    fn stored(&self, id: String, dead_letter: Option<DeadLetterReason>) -> StoredDelivery {
        let content = &self.content;
        StoredDelivery {
            id,
            route: self.route.name.to_owned(),
            at: content.received_at,
            dead_letter,
            headers: storable_headers(&content.headers, &self.route.settings.verify),
            query: content.parameters(),
            body: content.body.clone(),
            origin: content.origin.clone(),
        }
    }
}

/// Bodies and headers may be personal data: neither is printed.
impl fmt::Debug for Delivery<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Delivery")
            .field("route", &self.route.name)
            .field("origin", &self.content.origin)
            .field("body_bytes", &self.content.body.len())
            .finish_non_exhaustive()
    }
}
