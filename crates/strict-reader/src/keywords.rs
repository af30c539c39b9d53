//! Enums that are written as one of a few keywords.

use std::error::Error;
use std::fmt;

use crate::nearest;

/// A word that is none of the keywords that may stand in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownKeyword {
    word: String,
    hint: String,
}

impl UnknownKeyword {
    /// Describes `word`: with the closest keyword if it looks like a typo, or else with all of them.
    pub fn new(word: &str, keywords: &[&str]) -> Self {
        let hint = match nearest(word, keywords.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("write {}", keywords.join(" or ")),
        };
        Self {
            word: word.chars().take(40).collect(),
            hint,
        }
    }
}

impl fmt::Display for UnknownKeyword {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "`{}` is not known here; {}",
            self.word, self.hint
        )
    }
}

impl Error for UnknownKeyword {}

/// Gives a field-less enum its keywords: `ALL` (each value with its keyword), `as_str`, `Display` and `FromStr`.
///
/// ```
/// #[derive(Clone, Copy, Debug, PartialEq)]
/// pub enum Color { Red, Blue }
/// strict_reader::keywords!(Color { Red = "red", Blue = "blue" });
///
/// assert_eq!("red".parse(), Ok(Color::Red));
/// assert_eq!("bleu".parse::<Color>().unwrap_err().to_string(), "`bleu` is not known here; did you mean `blue`?");
/// ```
#[macro_export]
macro_rules! keywords {
    ($name:ident { $($variant:ident = $keyword:literal),+ $(,)? }) => {
        impl $name {
            /// All values, each with its keyword.
            pub const ALL: &[(Self, &str)] = &[$((Self::$variant, $keyword)),+];

            /// The keyword in configs and JSON.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $keyword,)+
                }
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                formatter.pad(self.as_str())
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = $crate::UnknownKeyword;

            fn from_str(word: &str) -> Result<Self, Self::Err> {
                match word {
                    $($keyword => Ok(Self::$variant),)+
                    _ => Err($crate::UnknownKeyword::new(word, &[$($keyword),+])),
                }
            }
        }
    };
}
