//! Events of AWS's own triggers.

use std::fmt;

use bytes::Bytes;
use http::HeaderMap;

use super::InboundRequest;
use crate::trigger::Origin;

/// An event of EventBridge, SNS or SQS. It names no route and may be for several. AWS has checked by IAM that its sender may
/// send it.
#[derive(Clone)]
pub struct AwsEvent {
    /// The trigger, with the id under which AWS delivers the event.
    pub origin: Origin,
    /// The id with which the sender retries this event of a list alone.
    pub retry_id: Option<String>,
    /// Body, byte for byte.
    pub body: Bytes,
}

impl AwsEvent {
    /// The event as a request for a route. Only previews need it: [`super::Delivery::from_aws`] skips the verification.
    pub fn to_request(&self, route: String) -> InboundRequest {
        InboundRequest {
            origin: self.origin.clone(),
            ..InboundRequest::post(route, HeaderMap::new(), self.body.clone())
        }
    }
}

impl fmt::Debug for AwsEvent {
    /// Omits the body, which is personal data.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("AwsEvent")
            .field("origin", &self.origin)
            .field("body_bytes", &self.body.len())
            .finish()
    }
}
