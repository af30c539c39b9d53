//! Keywords: the values that a record's enumerated keys accept.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;

use super::clip;

/// An unknown keyword.
#[derive(Debug, thiserror::Error)]
#[error("`{found}` is not known here; known: {known}")]
pub struct UnknownKeyword {
    found: String,
    known: String,
}

macro_rules! keywords {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $keyword:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
        pub enum $name {
            $($(#[$variant_doc])* #[schemars(rename = $keyword)] $variant,)+
        }

        impl FromStr for $name {
            type Err = UnknownKeyword;

            fn from_str(keyword: &str) -> Result<Self, UnknownKeyword> {
                match keyword {
                    $($keyword => Ok(Self::$variant),)+
                    _ => Err(UnknownKeyword { found: clip(keyword), known: [$($keyword),+].join(", ") }),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(match self { $(Self::$variant => $keyword,)+ })
            }
        }
    };
}

keywords! {
    /// The hash function of a signature.
    Algorithm {
        /// SHA-256 (FIPS 180-4).
        Sha256 = "sha256",
        /// SHA-1. Still secure as a keyed hash; only for senders without a better one.
        Sha1 = "sha1",
        /// SHA-512 (FIPS 180-4).
        Sha512 = "sha512",
    }
}

keywords! {
    /// The encoding of a signature.
    Encoding {
        /// Hexadecimal, case-insensitive.
        Hex = "hex",
        /// Base64 with the standard alphabet (RFC 4648 section 4), padded or not.
        Base64 = "base64",
        /// Base64 with the URL-safe alphabet (RFC 4648 section 5), padded or not.
        Base64Url = "base64url",
    }
}

keywords! {
    /// The encoding of a key in its secret.
    SecretEncoding {
        /// The text is the key. The default.
        Utf8 = "utf8",
        /// Base64 with the standard alphabet, padded or not.
        Base64 = "base64",
        /// Hexadecimal, case-insensitive.
        Hex = "hex",
    }
}

#[expect(clippy::derivable_impls, reason = "the macro writes the enum")]
impl Default for SecretEncoding {
    fn default() -> Self {
        Self::Utf8
    }
}

keywords! {
    /// The format of a signed time.
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

keywords! {
    /// A variant of the public URL that a sender may sign.
    UrlVariant {
        /// Without the port.
        WithoutPort = "without_port",
        /// With the default port of the URL's scheme.
        WithDefaultPort = "with_default_port",
        /// Percent-decoded.
        PercentDecoded = "percent_decoded",
    }
}

keywords! {
    /// The only accepted signature algorithm of a token, independent of the token's own `alg`.
    JwsAlgorithm {
        /// HMAC with SHA-256 (RFC 7518 section 3.2).
        Hs256 = "HS256",
        /// RSA PKCS #1 v1.5 with SHA-256 (RFC 7518 section 3.3).
        Rs256 = "RS256",
    }
}
