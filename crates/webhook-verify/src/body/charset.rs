//! Converts bytes to text.

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

use super::{BodyError, clip};

/// A supported charset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Charset {
    Utf8,
    /// Windows-1252, which is also the meaning of ISO-8859-1 (Encoding Standard, section 4.2).
    Windows1252,
}

impl Charset {
    /// The charset with this name; UTF-8 without a name.
    pub(super) fn of(name: Option<&str>) -> Result<Self, BodyError> {
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            return Ok(Self::Utf8);
        };
        // ASCII is a subset of UTF-8.
        if name.eq_ignore_ascii_case("us-ascii") || name.eq_ignore_ascii_case("ascii") {
            return Ok(Self::Utf8);
        }
        match Encoding::for_label(name.as_bytes()) {
            Some(encoding) if encoding == UTF_8 => Ok(Self::Utf8),
            Some(encoding) if encoding == WINDOWS_1252 => Ok(Self::Windows1252),
            Some(_) | None => Err(BodyError::Charset(clip(name))),
        }
    }

    /// Decodes bytes to text.
    pub(super) fn text(self, bytes: Vec<u8>) -> Result<String, BodyError> {
        match self {
            Self::Utf8 => String::from_utf8(bytes).map_err(|_| BodyError::NotUtf8),
            Self::Windows1252 => {
                let (text, _) = WINDOWS_1252.decode_without_bom_handling(&bytes);
                Ok(text.into_owned())
            }
        }
    }
}
