//! A request for a route, before it is verified.

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, Method};
use webhook_verify::verify::{WebhookRequest, signed_urls};

use crate::config::Route;
use crate::trigger::Origin;

/// The bytes that the checks of a signature over a decoded query may hash together, and the number of URLs that are checked
/// in any case.
const MAX_HASHED_BYTES: usize = 4 << 20;
const MIN_URLS: usize = 7;

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
    /// Other queries that may have been sent, if the query was decoded on the way.
    pub other_queries: Vec<String>,
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
            other_queries: Vec::new(),
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
    /// the route has no public URL. A query that was decoded on the way adds URLs; fewer for a large body, because each
    /// costs a hash of it.
    pub(super) fn signed_urls(&self, route: &Route) -> Vec<String> {
        let Some(public_url) = &route.public_url else {
            return Vec::new();
        };
        let affordable = MAX_HASHED_BYTES / self.body.len().max(1);
        let others = self.other_queries.iter().take(affordable.max(MIN_URLS));
        let queries = std::iter::once(&self.query).chain(others);
        let urls = queries.flat_map(|query| signed_urls(public_url.as_str(), &self.rest, query));
        urls.collect()
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
