//! The words of a record: what may stand where one of a few is to be chosen.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;

use super::clip;

/// Not one of the words that may stand here.
#[derive(Debug, thiserror::Error)]
#[error("`{found}` is not known here; known: {known}")]
pub struct UnknownKeyword {
    found: String,
    known: String,
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
        pub enum $name {
            $($(#[$variant_doc])* #[schemars(rename = $word)] $variant,)+
        }

        impl FromStr for $name {
            type Err = UnknownKeyword;

            fn from_str(word: &str) -> Result<Self, UnknownKeyword> {
                match word {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(UnknownKeyword { found: clip(word), known: [$($word),+].join(", ") }),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(match self { $(Self::$variant => $word,)+ })
            }
        }
    };
}

words! {
    /// The hash function of a signature.
    Algorithm {
        /// SHA-256 (FIPS 180-4).
        Sha256 = "sha256",
        /// SHA-1. As a keyed hash it still holds; only for senders that offer nothing better.
        Sha1 = "sha1",
        /// SHA-512 (FIPS 180-4).
        Sha512 = "sha512",
    }
}

words! {
    /// How a signature's bytes are written.
    Encoding {
        /// Hexadecimal, in any case.
        Hex = "hex",
        /// Base64 with the standard alphabet (RFC 4648 section 4), padded or not.
        Base64 = "base64",
        /// Base64 with the URL-safe alphabet (RFC 4648 section 5), padded or not.
        Base64Url = "base64url",
    }
}

words! {
    /// How a key is written in its secret.
    SecretEncoding {
        /// The text itself is the key. The default.
        Utf8 = "utf8",
        /// Base64 with the standard alphabet, padded or not.
        Base64 = "base64",
        /// Hexadecimal, in any case.
        Hex = "hex",
    }
}

#[expect(clippy::derivable_impls, reason = "the macro writes the enum")]
impl Default for SecretEncoding {
    fn default() -> Self {
        Self::Utf8
    }
}

words! {
    /// How a signed time is written.
    TimestampUnit {
        /// Whole seconds since 1970. The default.
        Seconds = "s",
        /// Whole milliseconds since 1970.
        Milliseconds = "ms",
        /// RFC 3339.
        Iso = "iso",
    }
}

#[expect(clippy::derivable_impls, reason = "the macro writes the enum")]
impl Default for TimestampUnit {
    fn default() -> Self {
        Self::Seconds
    }
}

words! {
    /// Another spelling of the public URL that a sender may have signed.
    UrlVariant {
        /// Without its port.
        WithoutPort = "without_port",
        /// With the port that its scheme implies.
        WithDefaultPort = "with_default_port",
        /// With its percent escapes undone.
        PercentDecoded = "percent_decoded",
    }
}

words! {
    /// The one algorithm that a token may be signed with. What the token itself says is never believed.
    JwsAlgorithm {
        /// HMAC with SHA-256 (RFC 7518 section 3.2).
        Hs256 = "HS256",
        /// RSA PKCS #1 v1.5 with SHA-256 (RFC 7518 section 3.3).
        Rs256 = "RS256",
    }
}
