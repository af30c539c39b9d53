//! By which of Zoho's calls records are updated.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::reader::nearest;

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
    /// Whichever takes fewer calls; mass updates if both take as many.
    Auto,
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

words!(Method { MassUpdate = "mass_update", Records = "records", Auto = "auto" });
