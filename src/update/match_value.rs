//! A value that a `match` looks records up by.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use strict_reader::{Node, Problems};

/// Most characters of a value. No field that can be looked up holds more.
pub const MAX_VALUE_CHARS: usize = 255;

/// A value to look records up by: 1 to [`MAX_VALUE_CHARS`] characters, none of them a control character.
#[derive(
    Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(inline)]
pub struct MatchValue(String);

/// Why a text is not a valid [`MatchValue`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidValue {
    /// It is empty, as most fields of most records are.
    #[error("is empty; leave it out, or most of the CRM would be meant")]
    Empty,
    /// It is longer than any field that can be looked up.
    #[error("has {0} characters; no field that can be looked up holds more than {MAX_VALUE_CHARS}")]
    TooLong(usize),
    /// It contains a control character, which neither COQL nor Search accepts.
    #[error("has a control character (a line break, a tab or the like), which Zoho cannot look up")]
    Control,
}

impl TryFrom<String> for MatchValue {
    type Error = InvalidValue;

    fn try_from(text: String) -> Result<Self, InvalidValue> {
        let characters = text.chars().count();
        match characters {
            0 => Err(InvalidValue::Empty),
            _ if characters > MAX_VALUE_CHARS => Err(InvalidValue::TooLong(characters)),
            _ if text.chars().any(char::is_control) => Err(InvalidValue::Control),
            _ => Ok(Self(text)),
        }
    }
}

impl From<MatchValue> for String {
    fn from(value: MatchValue) -> Self {
        value.0
    }
}

impl fmt::Display for MatchValue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl MatchValue {
    /// The value as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn read(node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
        let text = match node.value {
            Value::String(text) => text.clone(),
            Value::Number(number) if number.is_u64() || number.is_i64() => number.to_string(),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_) => {
                let kind = strict_reader::kind(node.value);
                let message = format!("must be a string or a whole number, but is {kind}");
                node.problem(problems, message);
                return None;
            }
        };
        match MatchValue::try_from(text) {
            Ok(value) => Some(value),
            Err(error) => {
                node.problem(problems, error.to_string());
                None
            }
        }
    }
}
