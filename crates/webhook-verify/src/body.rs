//! Decodes the body of a delivery by its content type.

mod charset;
mod content_encoding;
mod form;
mod multipart;
mod parameters;
mod xml;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde_json::{Map, Value};

use charset::Charset;
pub use multipart::part_problems;
use parameters::HeaderParameters;
pub use parameters::percent_decoded;

/// Maximum pairs of a form. PHP's default is a tenth of it; no known sender has nearly as many.
const MAX_PAIRS: usize = 10_000;

/// Maximum nesting of bracket keys.
const MAX_DEPTH: usize = 16;

/// A decoded body.
#[derive(Clone, Debug, PartialEq)]
pub enum Body<'a> {
    /// JSON text in UTF-8, without a byte order mark. Not parsed yet, so that no number is rounded to a float.
    Json(&'a [u8]),
    /// The tree of a form or of XML, or the empty object for an empty body.
    Tree(Value),
}

/// Reason why a body cannot be decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// The content type is not supported.
    #[error(
        "content type `{0}` is not supported; supported: application/json (and other types that end in +json), \
         application/x-www-form-urlencoded, multipart/form-data, application/xml (and other types that end in +xml)"
    )]
    Unsupported(String),
    /// There is no content type, and the body does not look like JSON.
    #[error("no content type is given, and the body does not look like JSON")]
    Untyped,
    /// The charset is not supported.
    #[error("charset `{0}` is not supported; send UTF-8")]
    Charset(String),
    /// The text is not UTF-8.
    #[error(
        "the body is not UTF-8 text; text in Windows-1252 needs that charset in its content type"
    )]
    NotUtf8,
    /// The text is not in its charset.
    #[error("the body is not text in {0}")]
    NotInCharset(String),
    /// The multipart form has too many parts.
    #[error("the multipart form has more than {} parts", multipart::MAX_PARTS)]
    TooManyParts,
    /// The form has too many pairs.
    #[error("the form has more than {MAX_PAIRS} fields")]
    TooManyPairs,
    /// The form's bracket keys nest too deeply.
    #[error("a form key nests deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// A form key is used both for a value and for a group of values.
    #[error("form key `{0}` is used both as a field and as a group of fields")]
    Conflict(String),
    /// The multipart form is malformed.
    #[error("the body is not multipart/form-data: {0}")]
    Multipart(String),
    /// The XML is malformed.
    #[error("the body is not XML: {0}")]
    Xml(String),
    /// The XML has a document type declaration, which is not supported.
    #[error("the XML has a document type declaration; send it without")]
    DocumentType,
    /// The XML's elements nest too deeply.
    #[error("the XML nests deeper than is allowed")]
    ElementsTooDeep,
    /// The XML has too many elements.
    #[error("the XML has too many elements and attributes")]
    TooManyNodes,
    /// The content encoding is not supported.
    #[error("content encoding `{0}` is not supported; supported: gzip, deflate")]
    ContentEncoding(String),
    /// The compressed body cannot be decompressed.
    #[error("the body does not match its content encoding, or is incomplete")]
    Corrupt,
    /// The body without its content encoding is too large.
    #[error("the decoded body has more than {limit} bytes")]
    TooLarge {
        /// Maximum number of bytes.
        limit: usize,
    },
}

/// A body without its content encoding; JSON is converted to UTF-8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpacked<'a> {
    /// The bytes.
    pub bytes: Cow<'a, [u8]>,
    content_type: Option<&'a str>,
    converted: bool,
}

impl Unpacked<'_> {
    /// Decodes the bytes like [`decode`].
    ///
    /// # Errors
    /// As [`decode`].
    pub fn decode(&self) -> Result<Body<'_>, BodyError> {
        if self.converted {
            return Ok(Body::Json(strip_bom(&self.bytes)));
        }
        decode(self.content_type, &self.bytes)
    }
}

/// Decodes the content encoding of `body` and converts JSON in another charset to UTF-8. `limit` is the maximum length of
/// the body and of the result. Signatures cover the body as received, so verify it first.
///
/// # Errors
/// [`BodyError`] if the body is not supported, malformed or too large.
pub fn unpack<'a>(
    content_type: Option<&'a str>,
    content_encoding: Option<&str>,
    body: &'a [u8],
    limit: usize,
) -> Result<Unpacked<'a>, BodyError> {
    if body.len() > limit {
        return Err(BodyError::TooLarge { limit });
    }
    let mut bytes = content_encoding::decode(content_encoding, body, limit)?;
    let mut converted = false;
    if !bytes.is_empty()
        && let (BodyKind::Json, Some(charset)) = BodyKind::of(content_type, &bytes)?
        && let charset = Charset::of(Some(&charset))?
        && charset != Charset::UTF_8
    {
        let text = charset.text(bytes.into_owned())?;
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

/// The format of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BodyKind {
    Json,
    Form,
    Multipart,
    Xml,
}

impl BodyKind {
    /// The format by the content type or, without one, by the first byte of the body; and the declared charset.
    fn of(content_type: Option<&str>, body: &[u8]) -> Result<(Self, Option<String>), BodyError> {
        let declared = content_type.map(str::trim).filter(|text| !text.is_empty());
        let (essence, charset) = declared.map_or((String::new(), None), split_type);
        let looks_like_json = || {
            let text = strip_bom(body).trim_ascii_start();
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

/// Decodes `body` by its `content_type`. An empty body of any type is the empty object.
///
/// Form fields become strings under their keys; a repeated key, and a key that ends in `[]`, becomes a list; brackets
/// make nested objects: `data[merges][FNAME]` (Mailchimp, PHP, Rails). A number in brackets is a key like any other.
/// The content of files in a multipart form is dropped; the list `$files` contains `{"name", "filename", "content_type", "bytes"}`
/// for each, and for each other part that is not a field, with the reason under `problem`.
///
/// XML becomes an object with the root element: attributes under `@name`, text beside them under `#text`, repeated
/// elements as a list, elements with only text as a string. Names keep their prefixes.
///
/// # Errors
/// [`BodyError`] if the body is not supported or malformed.
pub fn decode<'a>(content_type: Option<&str>, body: &'a [u8]) -> Result<Body<'a>, BodyError> {
    if body.is_empty() {
        return Ok(Body::Tree(Value::Object(Map::new())));
    }
    let (kind, name) = BodyKind::of(content_type, body)?;
    let charset = Charset::of(name.as_deref())?;
    match kind {
        BodyKind::Json if charset != Charset::UTF_8 => {
            Err(BodyError::Charset(clip(&name.unwrap_or_default())))
        }
        BodyKind::Json => {
            std::str::from_utf8(body).map_err(|_| BodyError::NotUtf8)?;
            Ok(Body::Json(strip_bom(body)))
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

/// The fields of a URL-encoded or multipart form, with their keys as sent; `None` if the body is not a form.
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

/// The boundary of a multipart form.
pub(super) fn multipart_boundary(content_type: &str, body: &[u8]) -> Option<String> {
    let is_multipart = HeaderParameters::read(content_type).essence == "multipart/form-data";
    let boundary = multipart::boundary(content_type, body).ok();
    boundary.filter(|_| is_multipart)
}

/// Some .NET senders add it to JSON, against RFC 8259 section 8.1.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// The text without a byte order mark.
pub(super) fn strip_bom(body: &[u8]) -> &[u8] {
    body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body)
}

/// The media type in lower case, and the charset if there is one.
fn split_type(text: &str) -> (String, Option<String>) {
    let parameters = HeaderParameters::read(text);
    let charset = parameters.get("charset");
    let charset = charset.map(|text| text.trim().trim_matches('\'').to_ascii_lowercase());
    (parameters.essence, charset)
}

/// The start of a text, short enough for an error message.
fn clip(text: &str) -> String {
    text.chars().take(80).collect()
}
