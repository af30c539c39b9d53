//! Ids of records, custom views, territories and users.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use strict_reader::{Node, Problems};

macro_rules! zoho_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// Zoho's ids have up to 19 digits, more than a float can hold. They are read from strings or whole numbers and
        /// written as strings.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schemars(inline)]
        pub struct $name(NonZeroU64);

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let digits = (1..=19).contains(&text.len())
                    && text.bytes().all(|byte| byte.is_ascii_digit())
                    && !text.starts_with('0');
                let number = if digits { text.parse().ok() } else { None };
                number.map(Self).ok_or_else(|| InvalidId(text.chars().take(40).collect()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "{}", self.0)
            }
        }

        impl $name {
            pub(super) fn read(node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
                let text = match node.value {
                    Value::String(text) => text.clone(),
                    Value::Number(number) if number.is_u64() => number.to_string(),
                    Value::Number(_) => {
                        node.problem(problems, "is not a whole positive number; send ids as strings, never through a float");
                        return None;
                    }
                    _ => {
                        node.problem(problems, "must be an id: a string of digits, or a whole number");
                        return None;
                    }
                };
                match text.parse() {
                    Ok(id) => Some(id),
                    Err(error) => {
                        node.problem(problems, error.to_string());
                        None
                    }
                }
            }
        }
    };
}

zoho_id! {
    /// The id of a CRM record.
    RecordId
}
zoho_id! {
    /// The id of a custom view (`cvid`).
    ViewId
}
zoho_id! {
    /// The id of a territory.
    TerritoryId
}
zoho_id! {
    /// The id of a user of the CRM.
    UserId
}

/// A text that is not an id.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not an id: an id is 1 to 19 digits without a leading zero")]
pub struct InvalidId(String);
