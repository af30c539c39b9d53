//! The one place that removes secrets from requests.

use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION};
use webhook_verify::scheme::{SchemeSpec, ValueSelector};

use super::InboundRequest;
use crate::config::VerifyConfig;

/// Headers with credentials for API Gateway and for AWS's own authorization.
const GATEWAY_HEADERS: [&str; 2] = ["x-api-key", "x-amz-security-token"];

/// Removes the secrets with which the sender authenticates from headers and query, so that no mapping sees them. A secret in
/// the body stays, because the body is kept byte for byte.
pub(super) fn without_sender_secrets(
    mut request: InboundRequest,
    verify: &VerifyConfig,
) -> InboundRequest {
    let VerifyConfig::Schemes(proofs) = verify else {
        return request;
    };
    let specs = proofs.iter().flat_map(|proof| proof.scheme.specs());
    for location in specs.filter_map(SchemeSpec::secret_location) {
        match location {
            ValueSelector::Header(name) => {
                request.headers.remove(name);
            }
            ValueSelector::Query(name) => {
                let pairs = form_urlencoded::parse(request.query.as_bytes());
                request.query = form_urlencoded::Serializer::new(String::new())
                    .extend_pairs(pairs.filter(|(key, _)| *key != name))
                    .finish();
            }
            ValueSelector::Form(_) | ValueSelector::Json(_) | ValueSelector::Path(_) => {}
        }
    }
    request
}

/// Headers that may be stored: a replay needs no credentials.
pub(super) fn storable_headers(headers: &HeaderMap) -> HeaderMap {
    let mut storable = headers.clone();
    for name in [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION] {
        storable.remove(name);
    }
    for name in GATEWAY_HEADERS {
        storable.remove(name);
    }
    storable
}
