//! The log of deliveries.

use schemars::JsonSchema;

use super::values::read_or;
use strict_reader::{Node, Object, Problems};

/// The most entries that the log keeps.
const MAX_KEEP: u64 = 100_000;

/// The log of deliveries: the outcome of each request to a route, without its body. It needs SQLite; a DynamoDB table has no
/// such log, because each entry would be a write that is billed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct DeliveryLogSettings {
    /// The number of entries that are kept; 0 turns the log off.
    #[schemars(default = "default_keep", range(min = 0, max = MAX_KEEP))]
    pub keep: usize,
}

impl Default for DeliveryLogSettings {
    fn default() -> Self {
        Self {
            keep: default_keep(),
        }
    }
}

const fn default_keep() -> usize {
    10_000
}

impl DeliveryLogSettings {
    /// Reads the key `delivery_log` of the config.
    pub(super) fn read_key(object: &mut Object<'_>, problems: &mut Problems) -> Option<Self> {
        read_or(
            object,
            "delivery_log",
            Self::default(),
            problems,
            Self::read,
        )
    }

    fn read(node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
        let mut object = node.object(problems)?;
        let keep = read_or(
            &mut object,
            "keep",
            default_keep() as u64,
            problems,
            |node, problems| node.whole(0..=MAX_KEEP, problems),
        );
        object.finish(problems);
        Some(Self {
            keep: usize::try_from(keep?).ok()?,
        })
    }
}
