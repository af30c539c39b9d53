//! Routes that take CloudEvents.

use http::HeaderName;
use schemars::JsonSchema;
use strict_reader::{Node, Problems};
use webhook_verify::scheme::ValueSelector;

use super::schema::OneOrMany;
use super::verify::{SchemeConfig, VerifyConfig};

/// The longest name of a host (RFC 1035).
const MAX_NAME: usize = 253;

/// The largest rate that can be allowed.
const MAX_RATE: u64 = 1_000_000;

/// How a route takes CloudEvents 1.0 (binary and structured mode).
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct CloudEvents {
    /// The senders that get permission in the handshake (`WebHook-Request-Origin` of an OPTIONS request), or `*` for every
    /// sender. Without it the handshake is not answered.
    #[schemars(default, with = "OneOrMany<OriginName>")]
    pub allowed_origins: Vec<String>,
    /// The requests per minute that a sender may send, as the handshake reports it. Default: any number.
    #[schemars(range(min = 1, max = MAX_RATE))]
    pub allowed_rate: Option<u32>,
}

/// The name of a sender.
#[derive(JsonSchema)]
#[schemars(inline)]
#[expect(dead_code, reason = "it only shapes the JSON Schema")]
struct OriginName(#[schemars(length(max = MAX_NAME), regex(pattern = "^[!-+.-~-]+$"))] String);

/// The headers that identify an event in binary mode.
pub const EVENT_IDENTITY: [HeaderName; 2] = [
    HeaderName::from_static("ce-source"),
    HeaderName::from_static("ce-id"),
];

/// Where the delivery id of a CloudEvent in binary mode comes from.
#[derive(Clone, Copy, Debug)]
pub enum BinaryEventId<'c> {
    /// The source and the id of the event. Only who knows the secret can set them.
    Event,
    /// The id that the signature covers, because it does not cover the headers of the event.
    Signature,
    /// The source and the id of the event, although this scheme covers neither them nor another id: a delivery that was
    /// seen can be sent again as another event.
    Unsigned(&'c SchemeConfig),
}

impl VerifyConfig {
    /// Where the delivery id of a CloudEvent in binary mode comes from.
    pub fn binary_event_id(&self) -> BinaryEventId<'_> {
        let identity = EVENT_IDENTITY.map(ValueSelector::Header);
        let identity: Vec<&ValueSelector> = identity.iter().collect();
        let schemes = self.schemes().iter();
        let mut uncovered = schemes.filter(|config| !config.scheme.covers_all(&identity));
        let Some(first) = uncovered.next() else {
            return BinaryEventId::Event;
        };
        let mut all = std::iter::once(first).chain(uncovered);
        match all.find(|config| !config.scheme.signs_delivery_id()) {
            Some(unsigned) => BinaryEventId::Unsigned(unsigned),
            None => BinaryEventId::Signature,
        }
    }
}

/// Whether a text can be the name of one sender: that of a host, or `*`.
fn is_name(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_graphic() && byte != b',';
    (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(is_part)
}

impl CloudEvents {
    /// Whether a sender with this name may deliver. What is no single name is refused.
    pub fn allows(&self, origin: &str) -> bool {
        let mut allowed = self.allowed_origins.iter();
        is_name(origin)
            && allowed.any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(origin))
    }

    pub(super) fn read(node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
        let mut object = node.object(problems)?;
        let origins = object.optional("allowed_origins");
        let origins = origins.map(|node| node.one_or_many()).unwrap_or_default();
        let origins = origins.iter().filter_map(|node| {
            let name = node.string(problems)?;
            if !is_name(name) {
                node.problem(
                    problems,
                    "is not the name of a sender, such as eventemitter.example.com, or `*` for every sender",
                );
            }
            Some(name.to_owned())
        });
        let allowed_origins = origins.collect();
        let rate = object.optional("allowed_rate");
        let rate = rate.and_then(|node| node.whole(1..=MAX_RATE, problems));
        object.finish(problems);
        Some(Self {
            allowed_origins,
            allowed_rate: rate.and_then(|rate| u32::try_from(rate).ok()),
        })
    }
}
