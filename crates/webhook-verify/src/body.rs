//! Decodes a delivery's body, by its content type, into a document for the mapping.

mod charset;
mod coding;
mod form;
mod multipart;
mod xml;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde_json::{Map, Value};

use charset::Charset;

/// Pairs that a form may have. PHP's default is a tenth of it; no known sender comes near.
const MAX_PAIRS: usize = 10_000;

/// Levels that bracket keys may nest.
const MAX_DEPTH: usize = 16;

/// A body, decoded as far as its content type goes.
#[derive(Clone, Debug, PartialEq)]
pub enum Body<'a> {
    /// UTF-8 text that is said to be JSON, without a byte order mark. Not parsed yet, so that no number has gone
    /// through a float.
    Json(&'a [u8]),
    /// A tree made from a form or from XML, or the empty object for an empty body.
    Tree(Value),
}

/// Why a body cannot be decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// The content type is none that we read.
    #[error(
        "content type `{0}` is not supported; supported: application/json (and other types that end in +json), \
         application/x-www-form-urlencoded, multipart/form-data, application/xml (and other types that end in +xml)"
    )]
    Unsupported(String),
    /// There is no content type, and the body does not look like JSON.
    #[error("no content type is given, and the body does not look like JSON")]
    Untyped,
    /// The text is in another charset.
    #[error("charset `{0}` is not supported; send UTF-8")]
    Charset(String),
    /// The text is not UTF-8.
    #[error("the body is not UTF-8 text")]
    NotUtf8,
    /// The form has too many pairs.
    #[error("the form has more than {MAX_PAIRS} fields")]
    TooManyPairs,
    /// The form's bracket keys nest too deeply.
    #[error("a form key nests deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// One form key is used both for a value and for a group of values.
    #[error("form key `{0}` is used both as a field and as a group of fields")]
    Conflict(String),
    /// The multipart form is broken.
    #[error("the body is not multipart/form-data: {0}")]
    Multipart(String),
    /// The XML is broken.
    #[error("the body is not XML: {0}")]
    Xml(String),
    /// The XML has a document type, which is never read.
    #[error("the XML has a document type declaration; send it without")]
    DocumentType,
    /// The XML's elements nest too deeply.
    #[error("the XML nests deeper than is allowed")]
    ElementsTooDeep,
    /// The XML has too many elements.
    #[error("the XML has too many elements and attributes")]
    TooManyNodes,
    /// The content encoding is none that we undo.
    #[error("content encoding `{0}` is not supported; supported: gzip, deflate")]
    ContentEncoding(String),
    /// What should be compressed cannot be decompressed.
    #[error("the body is not compressed as its content encoding says, or is cut off")]
    Corrupt,
    /// The body without its content encoding is too large.
    #[error("the decoded body has more than {limit} bytes")]
    TooLarge {
        /// Bytes allowed.
        limit: usize,
    },
}

/// A body without its content encoding, its text in UTF-8 if it is JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpacked<'a> {
    /// Its bytes.
    pub bytes: Cow<'a, [u8]>,
    content_type: Option<&'a str>,
    converted: bool,
}

impl Unpacked<'_> {
    /// The rest of the way, as [`decode`].
    ///
    /// # Errors
    /// As [`decode`].
    pub fn decode(&self) -> Result<Body<'_>, BodyError> {
        if self.converted {
            return Ok(Body::Json(without_mark(&self.bytes)));
        }
        decode(self.content_type, &self.bytes)
    }
}

/// Undoes the content encoding of `body` and converts JSON in another charset to UTF-8. Neither the body nor what
/// becomes of it may be longer than `limit`. Signatures are over the body as it came, so this comes after [`super::verify`].
///
/// # Errors
/// What is not supported, broken or too large.
pub fn unpack<'a>(
    content_type: Option<&'a str>,
    content_encoding: Option<&str>,
    body: &'a [u8],
    limit: usize,
) -> Result<Unpacked<'a>, BodyError> {
    if body.len() > limit {
        return Err(BodyError::TooLarge { limit });
    }
    let mut bytes = coding::undo(content_encoding, body, limit)?;
    let mut converted = false;
    if !bytes.is_empty()
        && let (BodyKind::Json, Some(charset)) = BodyKind::of(content_type, &bytes)?
        && Charset::of(Some(&charset))? == Charset::Windows1252
    {
        let text = Charset::Windows1252.text(bytes.into_owned())?;
        if text.len() > limit {
            return Err(BodyError::TooLarge { limit });
        }
        bytes = Cow::Owned(text.into_bytes());
        converted = true;
    }
    Ok(Unpacked {
        bytes,
        content_type,
        converted,
    })
}

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BodyKind {
    Json,
    Form,
    Multipart,
    Xml,
}

impl BodyKind {
    /// The kind by the content type, or by the look of the body, and the charset if one is named.
    fn of(content_type: Option<&str>, body: &[u8]) -> Result<(Self, Option<String>), BodyError> {
        let declared = content_type.map(str::trim).filter(|text| !text.is_empty());
        let (essence, charset) = declared.map_or((String::new(), None), split_type);
        let looks_like_json = || {
            let text = without_mark(body).trim_ascii_start();
            matches!(text.first(), Some(b'{' | b'['))
        };
        let kind = match essence.as_str() {
            "application/x-www-form-urlencoded" => Self::Form,
            "multipart/form-data" => Self::Multipart,
            "application/json" | "text/json" => Self::Json,
            "application/xml" | "text/xml" => Self::Xml,
            "" | "text/plain" if looks_like_json() => Self::Json,
            other if other.ends_with("+json") => Self::Json,
            other if other.ends_with("+xml") => Self::Xml,
            "" => return Err(BodyError::Untyped),
            other => return Err(BodyError::Unsupported(clip(other))),
        };
        Ok((kind, charset))
    }
}

/// Decodes `body` as its `content_type` says. An empty body is the empty object, whatever its type.
///
/// Form fields become strings under their keys; a repeated key, and a key that ends in `[]`, becomes a list; brackets
/// make nested objects: `data[merges][FNAME]` (Mailchimp, PHP, Rails). A number in brackets is a key like any other.
/// Files of a multipart form are ignored, but named in the list `$files`: `{"name", "filename", "content_type", "bytes"}`.
///
/// XML becomes an object with the root element: attributes under `@name`, text beside them under `#text`, repeated
/// elements as a list, elements with nothing but text as a string. Names keep their prefixes.
///
/// # Errors
/// What is not supported, or what is wrong with the body.
pub fn decode<'a>(content_type: Option<&str>, body: &'a [u8]) -> Result<Body<'a>, BodyError> {
    if body.is_empty() {
        return Ok(Body::Tree(Value::Object(Map::new())));
    }
    let (kind, name) = BodyKind::of(content_type, body)?;
    let charset = Charset::of(name.as_deref())?;
    match kind {
        BodyKind::Json if charset != Charset::Utf8 => {
            Err(BodyError::Charset(clip(&name.unwrap_or_default())))
        }
        BodyKind::Json => {
            std::str::from_utf8(body).map_err(|_| BodyError::NotUtf8)?;
            Ok(Body::Json(without_mark(body)))
        }
        BodyKind::Form => {
            let tree = form::tree(form::pairs(body, charset)?)?;
            Ok(Body::Tree(Value::Object(tree)))
        }
        BodyKind::Multipart => {
            let content_type = content_type.unwrap_or_default();
            let tree = multipart::MultipartForm::read(content_type, body, charset)?.tree()?;
            Ok(Body::Tree(Value::Object(tree)))
        }
        BodyKind::Xml => xml::tree(body, name.map(|_| charset)).map(Body::Tree),
    }
}

/// The fields of a form of either kind, under their keys as they are written; `None` if the body is none.
pub(super) fn fields(content_type: Option<&str>, body: &[u8]) -> Option<Vec<(String, String)>> {
    let (kind, name) = BodyKind::of(content_type, body).ok()?;
    let charset = Charset::of(name.as_deref()).ok()?;
    match kind {
        BodyKind::Form => form::pairs(body, charset).ok(),
        BodyKind::Multipart => {
            let parts = multipart::MultipartForm::read(content_type?, body, charset).ok()?;
            Some(parts.fields)
        }
        BodyKind::Json | BodyKind::Xml => None,
    }
}

/// Some .NET senders put it before their JSON, where it does not belong (RFC 8259 section 8.1).
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// The text without a byte order mark.
pub(super) fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body)
}

/// The lower-case type, and the charset if one is named.
fn split_type(text: &str) -> (String, Option<String>) {
    let mut parts = text.split(';');
    let essence = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
    let charset = parts
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))
        .map(|(_, value)| value.trim().trim_matches('"').to_ascii_lowercase());
    (essence, charset)
}

/// The start of what a stranger wrote, short enough for a message.
fn clip(text: &str) -> String {
    text.chars().take(80).collect()
}
