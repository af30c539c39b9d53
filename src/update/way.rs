//! By which of Zoho's calls records are updated.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::FieldName;
use strict_reader::nearest;

/// The calls that records are updated by.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Mass updates: 500 records and one field a call, three fields in Deals.
    #[default]
    MassUpdate,
    /// Updates of the records themselves: 100 records a call, with all fields, and with fields that a mass update cannot
    /// set. A custom view is always mass-updated.
    Records,
    /// Whichever takes fewer calls, mass updates if both take as many; updates of the records where a field needs them.
    Auto,
}

/// By which calls a field can be set to a value. Only what holds for every org stands here, from Zoho's page on mass
/// update and the `mass_update` flags of its field metadata; the rest is the org's own metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settable {
    /// By either, as far as is known.
    Either,
    /// Only by an update of the records; what the field is.
    RecordsOnly(&'static str),
    /// By neither; what the field is.
    Never(&'static str),
}

impl Settable {
    pub(super) fn of(field: &FieldName, value: &Value) -> Self {
        match field.as_str() {
            "id" => Self::Never("is the record's own id: name records in `ids`"),
            "Email" | "Secondary_Email" => Self::RecordsOnly("is an e-mail field"),
            "Owner" => Self::Never(
                "is the record's owner, and Zoho changes owners through its change-owner calls",
            ),
            "Tag" => Self::Never("is a tag list, and Zoho changes tags through its tag calls"),
            "Description" => Self::RecordsOnly("is a multi-line field"),
            "First_Name" | "Last_Name" => Self::RecordsOnly("is part of a person's name"),
            "Full_Name" => Self::Never("is put together by Zoho, of `First_Name` and `Last_Name`"),
            "Created_Time" | "Modified_Time" | "Created_By" | "Modified_By"
            | "Last_Activity_Time" => Self::Never("is kept by Zoho itself"),
            "Layout" => Self::Either,
            _ => Self::of_value(value),
        }
    }

    fn of_value(value: &Value) -> Self {
        match value {
            Value::Object(_) => Self::RecordsOnly("has an object as its value, so it is a lookup"),
            Value::Array(items) if items.iter().any(Value::is_object) => {
                match items.iter().all(|item| item.get("id").is_some()) {
                    true => Self::RecordsOnly(
                        "has objects in its list: line items, a subform or a multi-lookup",
                    ),
                    // The one thing that would not be harmless to send twice.
                    false => Self::Never(
                        "has objects without an `id` in its list (line items, a subform, a multi-lookup), which would be \
                         added once more each time the call is repeated",
                    ),
                }
            }
            Value::Array(items) if !items.iter().all(Value::is_string) => {
                Self::Never("is a list, so a multi-select picklist, whose options are strings")
            }
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => Self::Either,
        }
    }

    /// Why the field cannot be set: `way` is how it would be, and `view` whether that is all that the selector allows.
    pub(super) fn refusal(self, field: &FieldName, way: Method, view: bool) -> Option<String> {
        match (self, way) {
            (Self::Either, _) | (Self::RecordsOnly(_), Method::Records | Method::Auto) => None,
            (Self::Never(why), _) => Some(format!("`{field}` {why}; leave it out")),
            (Self::RecordsOnly(why), Method::MassUpdate) if view => Some(format!(
                "`{field}` {why}, and no mass update sets it, which is all that a custom view takes; name the records by `ids` \
                 or `match` with `update_by: records`, or leave it out"
            )),
            (Self::RecordsOnly(why), Method::MassUpdate) => Some(format!(
                "`{field}` {why}, and no mass update sets it; write `update_by: records` (or `auto`) in the route, or leave it out"
            )),
        }
    }
}

/// Not one of the words that are known in its place.
#[derive(Debug, thiserror::Error)]
#[error("`{word}` is not known here; {hint}")]
pub struct UnknownWord {
    word: String,
    hint: String,
}

macro_rules! words {
    ($name:ident { $($variant:ident = $word:literal),* }) => {
        impl $name {
            /// Every one, with its word.
            pub const ALL: &[(Self, &str)] = &[$((Self::$variant, $word)),*];

            /// Its word in configs and JSON.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(word: &str) -> Result<Self, UnknownWord> {
                let words = || Self::ALL.iter().map(|(_, word)| *word);
                match Self::ALL.iter().find(|(_, known)| *known == word) {
                    Some((found, _)) => Ok(*found),
                    None => Err(UnknownWord {
                        word: word.chars().take(40).collect(),
                        hint: nearest(word, words()).map_or_else(
                            || format!("write {}", words().collect::<Vec<_>>().join(" or ")),
                            |near| format!("did you mean `{near}`?"),
                        ),
                    }),
                }
            }
        }
    };
}

impl Method {
    /// Whether it is what a route does that names none.
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

words!(Method { MassUpdate = "mass_update", Records = "records", Auto = "auto" });
