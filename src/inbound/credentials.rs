//! The one place that removes secrets from requests.

use std::collections::HashSet;
use std::sync::LazyLock;

use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION};
use http::{HeaderMap, HeaderName};
use webhook_verify::scheme::{PRESETS, Scheme, SchemeSpec, ValueSelector};

use super::InboundRequest;
use crate::config::VerifyConfig;

/// Headers with credentials for API Gateway and for AWS's own authorization.
const GATEWAY_HEADERS: [&str; 2] = ["x-api-key", "x-amz-security-token"];

/// Removes the secrets with which the sender authenticates from headers and query, and signatures from the query, so that no
/// mapping sees them and none is stored. A secret in the body stays, because the body is kept byte for byte.
pub(super) fn without_sender_secrets(
    mut request: InboundRequest,
    verify: &VerifyConfig,
) -> InboundRequest {
    let VerifyConfig::Schemes(proofs) = verify else {
        return request;
    };
    let specs = || proofs.iter().flat_map(|proof| proof.scheme.specs());
    let in_query = proof_locations(verify).filter(|place| matches!(place, ValueSelector::Query(_)));
    for location in specs()
        .filter_map(SchemeSpec::secret_location)
        .chain(in_query)
    {
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

/// Headers in which the senders of all presets put their signatures and tokens.
static PROOF_HEADERS: LazyLock<HashSet<HeaderName>> = LazyLock::new(|| {
    let presets = PRESETS.iter().filter_map(|name| Scheme::preset(name));
    let locations = presets.flat_map(|preset| {
        let specs = preset.specs().iter();
        specs
            .filter_map(SchemeSpec::proof_location)
            .collect::<Vec<_>>()
    });
    locations.filter_map(header_of).collect()
});

fn header_of(location: ValueSelector) -> Option<HeaderName> {
    match location {
        ValueSelector::Header(name) => Some(name),
        ValueSelector::Query(_)
        | ValueSelector::Form(_)
        | ValueSelector::Json(_)
        | ValueSelector::Path(_) => None,
    }
}

/// Headers that may be stored: without credentials and signatures, because a replay needs none. Access to a stored
/// delivery does not allow to send it again.
pub(super) fn storable_headers(headers: &HeaderMap, verify: &VerifyConfig) -> HeaderMap {
    let mut storable = headers.clone();
    for name in [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION] {
        storable.remove(name);
    }
    for name in GATEWAY_HEADERS {
        storable.remove(name);
    }
    for name in PROOF_HEADERS.iter() {
        storable.remove(name);
    }
    for name in proof_locations(verify).filter_map(header_of) {
        // `x-sig-*` stands for `x-sig-1`, `x-sig-2` and so on.
        match name.as_str().strip_suffix('*') {
            None => drop(storable.remove(name)),
            Some(prefix) => {
                let numbered: Vec<HeaderName> = storable.keys().cloned().collect();
                for name in numbered {
                    if name.as_str().starts_with(prefix) {
                        storable.remove(name);
                    }
                }
            }
        }
    }
    storable
}

fn proof_locations(verify: &VerifyConfig) -> impl Iterator<Item = ValueSelector> {
    let proofs = match verify {
        VerifyConfig::Schemes(proofs) => proofs.as_slice(),
        VerifyConfig::Disabled(_) | VerifyConfig::ByAws => &[],
    };
    let specs = proofs.iter().flat_map(|proof| proof.scheme.specs());
    specs.filter_map(SchemeSpec::proof_location)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_headers_prove_no_delivery() {
        let proofs = [
            "stripe-signature",
            "x-hub-signature-256",
            "x-gitlab-token",
            "x-shopify-hmac-sha256",
            "webhook-signature",
            "x-twilio-signature",
            "authorization",
            "cookie",
        ];
        let kept = ["webhook-id", "content-type", "x-github-event"];
        let mut headers = HeaderMap::new();
        for name in proofs.into_iter().chain(kept) {
            headers.insert(name, "value".parse().expect("a value"));
        }
        let stored = storable_headers(&headers, &VerifyConfig::Disabled(Vec::new()));
        let mut names: Vec<&str> = stored.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["content-type", "webhook-id", "x-github-event"]);
    }
}
