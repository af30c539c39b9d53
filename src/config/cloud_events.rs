//! Routes that take CloudEvents.

use schemars::JsonSchema;
use strict_reader::{Node, Problems};

use super::schema::OneOrMany;

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
struct OriginName(#[schemars(regex(pattern = "^[^ \\t\\r\\n,]+$"))] String);

impl CloudEvents {
    /// Whether a sender with this name may deliver.
    pub fn allows(&self, origin: &str) -> bool {
        let mut allowed = self.allowed_origins.iter();
        !origin.is_empty()
            && allowed.any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(origin))
    }

    pub(super) fn read(node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
        let mut object = node.object(problems)?;
        let origins = object.optional("allowed_origins");
        let origins = origins.map(|node| node.one_or_many()).unwrap_or_default();
        let origins = origins.iter().filter_map(|node| {
            let name = node.string(problems)?;
            if name.is_empty() || name.contains([' ', '\t', '\n', '\r', ',']) {
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
