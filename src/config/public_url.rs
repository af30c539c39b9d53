//! The URL that a sender calls.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use url::Url;

use strict_reader::{Node, Problems};

/// The URL that a sender calls and signs, to the letter: nothing of it is normalized.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl(String);

impl PublicUrl {
    /// The URL as written in the config.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn read(node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
        let text = node.string(problems)?;
        match Self::problem(text) {
            None => Some(Self(text.to_owned())),
            Some(message) => {
                node.problem(problems, message);
                None
            }
        }
    }

    fn problem(text: &str) -> Option<&'static str> {
        let Ok(url) = Url::parse(text) else {
            return Some("is not a URL");
        };
        if !matches!(url.scheme(), "https" | "http") || !text.contains("://") || !url.has_host() {
            return Some("is not a URL that a sender can call: it starts with https:// and a host");
        }
        if text
            .chars()
            .any(|letter| letter.is_whitespace() || letter.is_control())
        {
            return Some("contains white space; write the URL as it is registered with the sender");
        }
        (url.fragment().is_some())
            .then_some("contains a fragment, which no request has; leave out `#` and what follows")
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl JsonSchema for PublicUrl {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PublicUrl".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "uri",
            "pattern": "^[Hh][Tt][Tt][Pp][Ss]?://[^#\\s]+$",
        })
    }
}
