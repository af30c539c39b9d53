//! Limits on the size and processing time of one delivery.

use std::time::Duration;

use schemars::JsonSchema;

use super::values::read_or;
use crate::mapping;
use strict_reader::{Node, Problems};

/// Limits on the size and processing time of one delivery.
#[derive(Clone, Copy, Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Limits {
    /// The maximum body size of a delivery, in bytes.
    #[schemars(default = "default_body_bytes", range(min = 1, max = MAX_BODY_BYTES))]
    pub max_body_bytes: usize,
    /// The maximum processor time of the jq programs of one delivery together, in milliseconds. Time in which they wait for
    /// a processor does not count.
    #[schemars(default = "default_mapping_timeout", range(min = 1, max = 60_000))]
    pub mapping_timeout_ms: u64,
}

/// The maximum of `max_body_bytes`: Lambda's limit for one request, less the overhead of base64.
pub const MAX_BODY_BYTES: u64 = 4_500_000;

/// The maximum processor time of the programs of one run in the playground, in milliseconds. A program that is edited is
/// often unfinished, so a run without an end must not keep the others waiting.
const PLAYGROUND_TIME_MS: u64 = 3_000;

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_body_bytes: default_body_bytes(),
            mapping_timeout_ms: default_mapping_timeout(),
        }
    }
}

const fn default_body_bytes() -> usize {
    1 << 20
}

const fn default_mapping_timeout() -> u64 {
    1_000
}

impl Limits {
    /// Returns these limits as the mapping's type.
    pub fn mapping(&self) -> mapping::Limits {
        mapping::Limits {
            input_bytes: self.max_body_bytes,
            time: Duration::from_millis(self.mapping_timeout_ms),
            ..mapping::Limits::default()
        }
    }

    /// Returns these limits with at most [`PLAYGROUND_TIME_MS`] of processor time.
    pub fn of_playground(self) -> Self {
        Self {
            mapping_timeout_ms: self.mapping_timeout_ms.min(PLAYGROUND_TIME_MS),
            ..self
        }
    }

    pub(super) fn read(node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
        let mut object = node.object(problems)?;
        let default = Self::default();
        let max_body_bytes = read_or(
            &mut object,
            "max_body_bytes",
            default.max_body_bytes as u64,
            problems,
            |node, problems| node.whole(1..=MAX_BODY_BYTES, problems),
        );
        let mapping_timeout_ms = read_or(
            &mut object,
            "mapping_timeout_ms",
            default.mapping_timeout_ms,
            problems,
            |node, problems| node.whole(1..=60_000, problems),
        );
        object.finish(problems);
        Some(Self {
            max_body_bytes: usize::try_from(max_body_bytes?).ok()?,
            mapping_timeout_ms: mapping_timeout_ms?,
        })
    }
}
