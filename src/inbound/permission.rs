//! The handshake of CloudEvents webhooks: a sender asks by an OPTIONS request whether it may deliver.

use http::header::ALLOW;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use webhook_verify::handshake::Handshake;

use super::InboundRequest;
use super::rejection::{Rejection, method_list};
use crate::config::Route;
use crate::trigger::Trigger;

/// The header with the name of the sender.
pub const REQUEST_ORIGIN: HeaderName = HeaderName::from_static("webhook-request-origin");

/// The header with the requests per minute that the sender would like to send.
pub const REQUEST_RATE: HeaderName = HeaderName::from_static("webhook-request-rate");

/// The header with the name of the sender that may deliver.
pub const ALLOWED_ORIGIN: HeaderName = HeaderName::from_static("webhook-allowed-origin");

/// The header with the requests per minute that the sender may send.
pub const ALLOWED_RATE: HeaderName = HeaderName::from_static("webhook-allowed-rate");

/// The answer to a sender that asks for permission; `None` if the request does not, or if the route does not answer.
///
/// # Errors
/// [`Rejection::OriginRefused`].
pub(super) fn answer(
    route: &Route,
    request: &InboundRequest,
) -> Result<Option<Handshake>, Rejection> {
    let Some(settings) = &route.cloudevents else {
        return Ok(None);
    };
    let is_question = request.method == Method::OPTIONS && request.origin.trigger == Trigger::Http;
    let origins = request.headers.get_all(REQUEST_ORIGIN).iter();
    let origins: Vec<&HeaderValue> = origins.filter(|_| is_question).collect();
    if origins.is_empty() || settings.allowed_origins.is_empty() {
        return Ok(None);
    }
    let names = origins
        .iter()
        .map(|origin| String::from_utf8_lossy(origin.as_bytes()));
    // Several names are no name, whether they are in one header or in several.
    let name = names.collect::<Vec<_>>().join(", ");
    let allowed = HeaderValue::from_str(name.trim()).ok();
    let Some(allowed) = allowed.filter(|_| settings.allows(name.trim())) else {
        return Err(Rejection::OriginRefused {
            route: request.route.clone(),
            origin: name.trim().chars().take(80).collect(),
        });
    };
    let rate = request.headers.get(REQUEST_RATE);
    let rate = rate.and_then(|rate| rate.to_str().ok()?.trim().parse().ok());
    let rate: Option<u32> = match (rate, settings.allowed_rate) {
        (Some(requested), Some(allowed)) => Some(allowed.min(requested)),
        (None, allowed) => allowed,
        (Some(_), None) => None,
    };
    let rate = rate.map_or(HeaderValue::from_static("*"), HeaderValue::from);
    let methods = HeaderValue::from_str(&method_list(&route.http_methods));
    let allow = methods.ok().map(|methods| (ALLOW, methods));
    let headers = [(ALLOWED_ORIGIN, allowed), (ALLOWED_RATE, rate)];
    Ok(Some(Handshake {
        status: StatusCode::OK,
        headers: headers.into_iter().chain(allow).collect(),
        ..Handshake::confirmed()
    }))
}
