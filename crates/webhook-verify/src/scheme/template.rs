//! Templates: literals and `{tokens}`, parsed once.

use std::fmt;
use std::str::FromStr;

use http::HeaderName;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::clip;
use super::selector::{Pointer, ValueSelector};
use super::tokens::{REPLY_TOKENS, SIGNED_TOKENS, template_schema, token_list};

/// The template of a signed text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedTemplate {
    text: String,
    segments: Vec<SignedSegment>,
}

/// A segment of a signed text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignedSegment {
    /// Literal text.
    Literal(String),
    /// The body as received, byte for byte.
    Body,
    /// The signed time as received.
    Timestamp,
    /// A required part of the delivery.
    Part(ValueSelector),
    /// A value of a JSON body with a backslash before `\` and `:`; empty if it is absent (Adyen).
    Escaped(Pointer),
    /// The request's method, in upper case.
    Method,
    /// The public URL that the sender called.
    Url,
    /// One of the route's parameters.
    Param(String),
    /// The secret; only for hashes without a key.
    Secret,
    /// The body's CRC-32 as a decimal number (PayPal).
    Crc32Body,
    /// The body's SHA-256 in lower-case hexadecimal.
    Sha256Body,
    /// The names and values of all form fields, sorted and joined without separators (Twilio, Mandrill); empty if the body is
    /// not a form.
    FormSorted,
}

impl SignedTemplate {
    /// The segments in order.
    pub fn segments(&self) -> &[SignedSegment] {
        &self.segments
    }

    /// Whether it contains this segment.
    pub fn has(&self, segment: &SignedSegment) -> bool {
        self.segments.contains(segment)
    }
}

impl JsonSchema for SignedTemplate {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SignedTemplate".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        template_schema("The signed text.", SIGNED_TOKENS)
    }
}

impl fmt::Display for SignedTemplate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// An invalid template.
#[derive(Debug, thiserror::Error)]
pub enum InvalidTemplate {
    /// An unknown token.
    #[error("`{{{found}}}` is not a known token; known: {known}")]
    UnknownToken {
        /// The token.
        found: String,
        /// The tokens that are valid here.
        known: String,
    },
    /// A token with an invalid header name.
    #[error("`{0}` is not a header name")]
    HeaderName(String),
    /// An unmatched brace.
    #[error("`{0}` is unmatched; a token is written {{body}}, {{timestamp}} or {{header:Name}}")]
    Brace(char),
}

impl FromStr for SignedTemplate {
    type Err = InvalidTemplate;

    fn from_str(text: &str) -> Result<Self, InvalidTemplate> {
        let mut segments = Vec::new();
        for segment in split_segments(text)? {
            segments.push(match segment {
                TemplateSegment::Literal(text) => SignedSegment::Literal(text.to_owned()),
                TemplateSegment::Token(token) => signed_token(token)?,
            });
        }
        Ok(Self {
            text: text.to_owned(),
            segments,
        })
    }
}

fn signed_token(token: &str) -> Result<SignedSegment, InvalidTemplate> {
    let unknown = || InvalidTemplate::UnknownToken {
        found: clip(token),
        known: token_list(SIGNED_TOKENS),
    };
    let Some((kind, name)) = token.split_once(':') else {
        return Ok(match token {
            "body" => SignedSegment::Body,
            "timestamp" => SignedSegment::Timestamp,
            "method" => SignedSegment::Method,
            "url" => SignedSegment::Url,
            "secret" => SignedSegment::Secret,
            "crc32_body" => SignedSegment::Crc32Body,
            "sha256_body" => SignedSegment::Sha256Body,
            "form_sorted" => SignedSegment::FormSorted,
            _ => return Err(unknown()),
        });
    };
    match kind {
        "param" if !name.is_empty() => Ok(SignedSegment::Param(name.to_owned())),
        "json_escaped" => name
            .parse()
            .map(SignedSegment::Escaped)
            .map_err(|_| unknown()),
        _ => part(kind, name, unknown).map(SignedSegment::Part),
    }
}

fn part(
    kind: &str,
    name: &str,
    unknown: impl Fn() -> InvalidTemplate,
) -> Result<ValueSelector, InvalidTemplate> {
    if kind == "header" && HeaderName::from_str(name).is_err() {
        return Err(InvalidTemplate::HeaderName(clip(name)));
    }
    let selector = ValueSelector::of_token(kind, name).ok_or_else(&unknown)?;
    match selector.numbered_stem() {
        Some(_) => Err(InvalidTemplate::HeaderName(clip(name))),
        None => Ok(selector),
    }
}

/// The template of a response text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyTemplate {
    segments: Vec<ReplySegment>,
}

/// A segment of a response text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplySegment {
    /// Literal text.
    Literal(String),
    /// A part of the request, decoded.
    Part(ValueSelector),
    /// The HMAC-SHA256 of a part of the request, keyed with the secret, in lower-case hexadecimal.
    HmacHex(ValueSelector),
    /// The same HMAC in base64.
    HmacBase64(ValueSelector),
}

impl ReplyTemplate {
    /// The segments in order.
    pub fn segments(&self) -> &[ReplySegment] {
        &self.segments
    }

    /// Whether it contains a part of the request.
    pub(super) fn echoes_request(&self) -> bool {
        let is_part = |segment: &ReplySegment| matches!(segment, ReplySegment::Part(_));
        self.segments.iter().any(is_part)
    }
}

impl JsonSchema for ReplyTemplate {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ReplyTemplate".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        template_schema(
            "A text that may contain parts of the request.",
            REPLY_TOKENS,
        )
    }
}

impl FromStr for ReplyTemplate {
    type Err = InvalidTemplate;

    fn from_str(text: &str) -> Result<Self, InvalidTemplate> {
        let mut segments = Vec::new();
        for segment in split_segments(text)? {
            segments.push(match segment {
                TemplateSegment::Literal(text) => ReplySegment::Literal(text.to_owned()),
                TemplateSegment::Token(token) => reply_token(token)?,
            });
        }
        Ok(Self { segments })
    }
}

fn reply_token(token: &str) -> Result<ReplySegment, InvalidTemplate> {
    let unknown = || InvalidTemplate::UnknownToken {
        found: clip(token),
        known: token_list(REPLY_TOKENS),
    };
    let selector = |token: &str| {
        let (kind, name) = token.split_once(':').ok_or_else(unknown)?;
        part(kind, name, unknown)
    };
    match token.split_once(':') {
        Some(("hmac_hex", inner)) => selector(inner).map(ReplySegment::HmacHex),
        Some(("hmac_base64", inner)) => selector(inner).map(ReplySegment::HmacBase64),
        _ => selector(token).map(ReplySegment::Part),
    }
}

enum TemplateSegment<'a> {
    Literal(&'a str),
    Token(&'a str),
}

fn split_segments(text: &str) -> Result<Vec<TemplateSegment<'_>>, InvalidTemplate> {
    let mut segments = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (literal, after) = rest
            .split_once('{')
            .map_or((rest, None), |(literal, after)| (literal, Some(after)));
        if literal.contains('}') {
            return Err(InvalidTemplate::Brace('}'));
        }
        if !literal.is_empty() {
            segments.push(TemplateSegment::Literal(literal));
        }
        let Some(after) = after else { break };
        let (token, after) = after.split_once('}').ok_or(InvalidTemplate::Brace('{'))?;
        segments.push(TemplateSegment::Token(token));
        rest = after;
    }
    Ok(segments)
}

/// Replaces the `{param:name}` tokens of a text.
///
/// # Errors
/// The name of a parameter that is not set.
pub(crate) fn fill_params(
    text: &str,
    params: &std::collections::BTreeMap<String, String>,
) -> Result<String, String> {
    let mut filled = String::new();
    let segments = split_segments(text).map_err(|error| error.to_string())?;
    for segment in segments {
        match segment {
            TemplateSegment::Literal(text) => filled.push_str(text),
            TemplateSegment::Token(token) => {
                let name = token.strip_prefix("param:").unwrap_or(token);
                filled.push_str(params.get(name).ok_or_else(|| name.to_owned())?);
            }
        }
    }
    Ok(filled)
}

/// The names of the `{param:name}` tokens of a text.
///
/// # Errors
/// A token of another kind, or an unmatched brace.
pub(super) fn param_names(text: &str) -> Result<Vec<String>, InvalidTemplate> {
    let mut names = Vec::new();
    for segment in split_segments(text)? {
        if let TemplateSegment::Token(token) = segment {
            let name = token.strip_prefix("param:").filter(|name| !name.is_empty());
            let name = name.ok_or_else(|| InvalidTemplate::UnknownToken {
                found: clip(token),
                known: "{param:name}".to_owned(),
            })?;
            names.push(name.to_owned());
        }
    }
    Ok(names)
}
