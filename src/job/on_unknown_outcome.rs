//! The setting `on_unknown_outcome`.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What happens to a call that adds options to multi-select picklists when its outcome is unknown: after a timeout, a broken
/// connection, a server error, or a crash of masshook.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnUnknownOutcome {
    /// The call is not sent again: its records are reported as `OUTCOME_UNKNOWN`. This needs no scope beyond that of updates,
    /// and repeats no update.
    #[default]
    Report,
    /// The records are read. Those that have the options count as updated, the others are sent again. The token needs the
    /// scopes `ZohoCRM.coql.READ` and `ZohoCRM.modules.READ`. Calls for a custom view are reported, because Zoho does not
    /// report which records the view contained.
    Reread,
}

/// A text that is not an [`OnUnknownOutcome`].
#[derive(Debug, thiserror::Error)]
#[error("must be `report` or `reread`")]
pub struct InvalidOnUnknownOutcome;

impl FromStr for OnUnknownOutcome {
    type Err = InvalidOnUnknownOutcome;

    fn from_str(text: &str) -> Result<Self, InvalidOnUnknownOutcome> {
        match text {
            "report" => Ok(Self::Report),
            "reread" => Ok(Self::Reread),
            _ => Err(InvalidOnUnknownOutcome),
        }
    }
}

impl fmt::Display for OnUnknownOutcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Report => "report",
            Self::Reread => "reread",
        })
    }
}
