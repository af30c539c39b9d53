//! Converts bytes to text.

use encoding_rs::{Encoding, UTF_8};

use super::{BodyError, clip};

/// A charset of the Encoding Standard. ISO-8859-1 is Windows-1252 there (section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Charset(&'static Encoding);

impl Charset {
    pub(super) const UTF_8: Self = Self(UTF_8);

    /// The charset with this name; UTF-8 without a name.
    pub(super) fn of(name: Option<&str>) -> Result<Self, BodyError> {
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            return Ok(Self::UTF_8);
        };
        // ASCII is a subset of UTF-8.
        if name.eq_ignore_ascii_case("us-ascii") || name.eq_ignore_ascii_case("ascii") {
            return Ok(Self::UTF_8);
        }
        let encoding = Encoding::for_label_no_replacement(name.as_bytes());
        encoding
            .map(Self)
            .ok_or_else(|| BodyError::Charset(clip(name)))
    }

    /// The charset of a document whose declaration could be read as ASCII. Some .NET programs declare UTF-16 and send
    /// UTF-8.
    pub(super) fn of_ascii_declaration(name: Option<&str>) -> Result<Self, BodyError> {
        let charset = Self::of(name)?;
        match charset.0.is_ascii_compatible() {
            true => Ok(charset),
            false => Ok(Self::UTF_8),
        }
    }

    /// Decodes bytes to text.
    pub(super) fn text(self, bytes: Vec<u8>) -> Result<String, BodyError> {
        if self == Self::UTF_8 {
            return String::from_utf8(bytes).map_err(|_| BodyError::NotUtf8);
        }
        let text = self
            .0
            .decode_without_bom_handling_and_without_replacement(&bytes);
        let text = text.ok_or_else(|| BodyError::NotInCharset(self.0.name().to_owned()))?;
        Ok(text.into_owned())
    }
}
