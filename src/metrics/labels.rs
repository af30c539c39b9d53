//! The values of labels that do not come from the config: fixed sets.

use std::sync::LazyLock;

use super::OTHER;
use super::emf::{self, EmfMetric};
use crate::codes;
pub use crate::outcome::DeliveryOutcome;

/// The label `code` of a request that Zoho performed, which is Zoho's own word for it.
pub const SUCCESS: &str = "SUCCESS";

/// The metric of CloudWatch that counts deliveries with an outcome.
pub(super) fn emf_metric_of(outcome: DeliveryOutcome) -> &'static EmfMetric {
    match outcome {
        DeliveryOutcome::Accepted => &emf::ACCEPTED_DELIVERIES,
        DeliveryOutcome::Duplicate => &emf::DUPLICATE_DELIVERIES,
        DeliveryOutcome::Ignored => &emf::IGNORED_DELIVERIES,
        DeliveryOutcome::Refused => &emf::REFUSED_DELIVERIES,
    }
}

/// The outcome of an attempt to deliver a callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallbackOutcome {
    /// The receiver accepted it.
    Delivered,
    /// It failed, and is sent again or replaced by a later one.
    Failed,
    /// It failed, and the final callback of its job is given up.
    Undeliverable,
}

impl CallbackOutcome {
    pub(super) const ALL: [Self; 3] = [Self::Delivered, Self::Failed, Self::Undeliverable];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Undeliverable => "undeliverable",
        }
    }

    pub(super) fn emf_metric(self) -> &'static EmfMetric {
        match self {
            Self::Delivered => &emf::DELIVERED_CALLBACKS,
            Self::Failed => &emf::FAILED_CALLBACKS,
            Self::Undeliverable => &emf::UNDELIVERABLE_CALLBACKS,
        }
    }
}

/// The kind of a request to Zoho.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    /// A mass update of ids.
    Immediate,
    /// A mass update of a custom view.
    Scheduled,
    /// A record update.
    Records,
    /// An upsert of new records.
    Upsert,
    /// A change of tags.
    Tags,
    /// A change of owners.
    Owner,
    /// A read of the status of a Zoho job.
    Poll,
    /// A COQL query.
    Query,
    /// A search.
    Search,
    /// A read of the org's metadata.
    Metadata,
    /// A request for an access token.
    Token,
}

impl RequestKind {
    pub(super) const ALL: [Self; 11] = [
        Self::Immediate,
        Self::Scheduled,
        Self::Records,
        Self::Upsert,
        Self::Tags,
        Self::Owner,
        Self::Poll,
        Self::Query,
        Self::Search,
        Self::Metadata,
        Self::Token,
    ];

    /// The name in labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Immediate => "immediate",
            Self::Scheduled => "scheduled",
            Self::Records => "records",
            Self::Upsert => "upsert",
            Self::Tags => "tags",
            Self::Owner => "owner",
            Self::Poll => "poll",
            Self::Query => "query",
            Self::Search => "search",
            Self::Metadata => "metadata",
            Self::Token => "token",
        }
    }
}

/// The values of the label `code`, sorted: the codes of the table, and the two that stand for all others.
pub(super) static CODES: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let mut codes: Vec<&str> = codes::rows().map(|row| row.code).collect();
    codes.extend([SUCCESS, OTHER]);
    codes.sort_unstable();
    codes.dedup();
    codes
});

/// The place of a code in [`CODES`].
pub(super) fn code_index(code: &str) -> usize {
    let find = |code: &str| CODES.binary_search(&code).ok();
    let known = find(code).or_else(|| find(codes::find(code, "")?.code));
    known.or_else(|| find(OTHER)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_code_counts_as_other() {
        let label = |code: &str| CODES[code_index(code)];
        assert_eq!(label(SUCCESS), SUCCESS);
        assert_eq!(label("INVALID_DATA"), "INVALID_DATA");
        assert_eq!(label("CODE_OF_TOMORROW"), OTHER);
        assert_eq!(label("a\nb\"c"), OTHER);
        let wild = CODES.iter().find(|code| code.ends_with("xx"));
        let wild = wild.expect("a code for any two digits");
        assert_eq!(label(&wild.replace("xx", "42")), *wild);
    }
}
