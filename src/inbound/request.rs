//! A request for a route, before it is verified.

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, Method};
use webhook_verify::verify::{WebhookRequest, signed_urls};

use crate::config::Route;
use crate::trigger::Origin;

/// A request for a route, before it is verified. It cannot be mapped:
///
/// ```compile_fail,E0599
/// use masshook::mapping::Pool;
/// async fn map(request: masshook::inbound::InboundRequest, limits: &masshook::config::Limits, threads: &Pool) {
///     let _ = request.map(limits, threads).await;
/// }
/// ```
///
/// A verified delivery can:
///
/// ```
/// use masshook::mapping::Pool;
/// async fn map(delivery: masshook::inbound::Delivery<'_>, limits: &masshook::config::Limits, threads: &Pool) {
///     let _ = delivery.map(limits, threads).await;
/// }
/// ```
///
/// Nor can a delivery be made of it without [`InboundRequest::verify`]:
///
/// ```compile_fail,E0624
/// fn skip<'c>(
///     request: masshook::inbound::InboundRequest,
///     route: masshook::inbound::NamedRoute<'c>,
/// ) -> masshook::inbound::Delivery<'c> {
///     masshook::inbound::Delivery::verified(request, route, None, None, jiff::Timestamp::MIN)
/// }
/// ```
#[derive(Clone)]
pub struct InboundRequest {
    /// Name of the route that it was sent to.
    pub route: String,
    /// HTTP method.
    pub method: Method,
    /// Path below the route as sent, without the leading slash.
    pub rest: String,
    /// Headers.
    pub headers: HeaderMap,
    /// Query as sent, without the question mark.
    pub query: String,
    /// Body, byte for byte.
    pub body: Bytes,
    /// The trigger and what it reports about the request.
    pub origin: Origin,
}

impl InboundRequest {
    /// A POST request with a route, headers and a body.
    pub fn post(route: String, headers: HeaderMap, body: Bytes) -> Self {
        Self {
            route,
            method: Method::POST,
            rest: String::new(),
            headers,
            query: String::new(),
            body,
            origin: Origin::default(),
        }
    }

    /// The request as the verifier reads it. `urls` is [`Self::signed_urls`].
    pub(super) fn as_webhook<'a>(&'a self, urls: &'a [String]) -> WebhookRequest<'a> {
        WebhookRequest::new(&self.headers, &self.body)
            .method(self.method.as_str())
            .query(&self.query)
            .path(&self.rest)
            .urls(urls)
    }

    /// The URLs that the sender may have signed: the route's public URL with the path and query of this request. Empty if
    /// the route has no public URL.
    pub(super) fn signed_urls(&self, route: &Route) -> Vec<String> {
        let url = route.public_url.as_ref();
        url.map(|url| signed_urls(url.as_str(), &self.rest, &self.query))
            .unwrap_or_default()
    }
}

/// Headers carry signatures and keys, bodies carry personal data: neither is printed.
impl fmt::Debug for InboundRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("InboundRequest")
            .field("route", &self.route)
            .field("origin", &self.origin)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}
