//! Bounds on what one delivery may cost.

use std::time::Duration;

use schemars::JsonSchema;

use crate::mapping;
use strict_reader::{Node, Problems};

/// Bounds on what one delivery may cost.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Limits {
    /// The largest body of a delivery, in bytes.
    #[schemars(default, range(min = 1, max = MAX_BODY_BYTES))]
    pub max_body_bytes: usize,
    /// The longest that a route's jq program may run, in milliseconds.
    #[schemars(default, range(min = 1, max = 60_000))]
    pub mapping_timeout_ms: u64,
}

/// The most that a Lambda function can be sent in one request, less what base64 adds.
pub const MAX_BODY_BYTES: u64 = 4_500_000;

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_body_bytes: 1 << 20,
            mapping_timeout_ms: 1_000,
        }
    }
}

impl Limits {
    /// The same, as the mapping takes it.
    pub fn mapping(&self) -> mapping::Limits {
        mapping::Limits {
            input_bytes: self.max_body_bytes,
            time: Duration::from_millis(self.mapping_timeout_ms),
            ..mapping::Limits::default()
        }
    }

    pub(super) fn read(node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
        let mut object = node.object(problems)?;
        let default = Self::default();
        let max_body_bytes = object
            .optional("max_body_bytes")
            .map_or(Some(default.max_body_bytes as u64), |node| {
                node.whole(1..=MAX_BODY_BYTES, problems)
            });
        let mapping_timeout_ms = object
            .optional("mapping_timeout_ms")
            .map_or(Some(default.mapping_timeout_ms), |node| {
                node.whole(1..=60_000, problems)
            });
        object.finish(problems);
        Some(Self {
            max_body_bytes: usize::try_from(max_body_bytes?).ok()?,
            mapping_timeout_ms: mapping_timeout_ms?,
        })
    }
}
