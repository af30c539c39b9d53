//! Something that came in for a route, and what can be told of it without believing it.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION};
use http::{HeaderMap, Method};
use sha2::{Digest, Sha256};

use crate::config::Verify;
use crate::inbound::trigger::Origin;
use webhook_verify::scheme::{SchemeSpec, ValueSelector};

/// What opens API Gateway and AWS's own authorization, where they stand before us.
const GATEWAY_KEYS: [&str; 2] = ["x-api-key", "x-amz-security-token"];

/// Something that came in for a route, before anything of it is believed.
#[derive(Clone)]
pub struct InboundRequest {
    /// The route that it was sent to.
    pub route: String,
    /// Its HTTP method.
    pub method: Method,
    /// What follows the route in the path, without the slash.
    pub rest: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its query, as it was sent, without the question mark.
    pub query: String,
    /// Its body, byte for byte as the sender wrote it.
    pub body: Bytes,
    /// What brought it.
    pub origin: Origin,
}

impl InboundRequest {
    /// A POST of nothing but a route, headers and a body.
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

    /// Notes the id under which its sender, or AWS, delivers it.
    pub(super) fn is_called(&mut self, id: Option<String>) {
        self.origin.about.extend(id.map(|id| ("id".to_owned(), id)));
    }

    /// Leaves out the secrets that its sender sends along in headers and query: they prove who sent it, and are of no use
    /// to anybody else. One in the body stays, as the body is kept as it came.
    pub(super) fn leave_out_secrets(&mut self, verify: &Verify) {
        let Verify::Schemes(proofs) = verify else {
            return;
        };
        let specs = proofs.iter().flat_map(|proof| proof.scheme.specs());
        for place in specs.filter_map(SchemeSpec::pass) {
            match place {
                ValueSelector::Header(name) => {
                    self.headers.remove(name);
                }
                ValueSelector::Query(name) => {
                    let pairs = form_urlencoded::parse(self.query.as_bytes());
                    self.query = form_urlencoded::Serializer::new(String::new())
                        .extend_pairs(pairs.filter(|(key, _)| key != name))
                        .finish();
                }
                ValueSelector::Form(_) | ValueSelector::Json(_) | ValueSelector::Path(_) => {}
            }
        }
    }

    /// Headers as jq sees them: lower-case names, repeated ones joined as HTTP joins them. A message has attributes
    /// instead, under their own names.
    pub(super) fn shown_headers(&self) -> BTreeMap<String, String> {
        let mut shown = self.origin.attributes.clone();
        for (name, value) in &self.headers {
            let value = String::from_utf8_lossy(value.as_bytes());
            shown
                .entry(name.as_str().to_owned())
                .and_modify(|known| {
                    known.push_str(", ");
                    known.push_str(&value);
                })
                .or_insert_with(|| value.into_owned());
        }
        shown
    }

    /// The id of a delivery that has none: a hash of its body, and of its query, which senders without bodies use instead.
    pub(super) fn fingerprint(&self) -> String {
        hex::encode(self.hashed().finalize())
    }

    /// The name under which it is kept if nothing comes of it: the same for the same delivery to the same route.
    pub(super) fn kept_name(&self) -> String {
        let mut hash = self.hashed();
        for part in [self.route.as_str(), self.origin.id().unwrap_or_default()] {
            hash.update(format!("\n{}={part}", part.len()));
        }
        format!("dlv_{}", &hex::encode(hash.finalize())[..32])
    }

    fn hashed(&self) -> Sha256 {
        let mut hash = Sha256::new();
        hash.update(&self.body);
        for (key, value) in &self.parameters() {
            hash.update(format!("\n{}={key}{}={value}", key.len(), value.len()));
        }
        hash
    }

    /// Headers that may be kept: a replay needs no proof of who sent it, and a store is no place for keys.
    pub(super) fn headers_to_keep(&self) -> HeaderMap {
        let mut kept = self.headers.clone();
        for name in [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION] {
            kept.remove(name);
        }
        for name in GATEWAY_KEYS {
            kept.remove(name);
        }
        kept
    }

    /// The query parameters; of a repeated one, the last.
    pub(super) fn parameters(&self) -> BTreeMap<String, String> {
        form_urlencoded::parse(self.query.as_bytes())
            .into_owned()
            .collect()
    }
}

/// Headers carry signatures and keys, bodies carry people's data: neither is printed.
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
