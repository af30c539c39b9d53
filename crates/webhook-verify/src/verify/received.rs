//! Reads the signatures and the signed time of a delivery.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::encoding::decode;
use super::error::VerifyError;
use super::request::{RequestParts, missing};
use crate::scheme::{
    SignatureLayout, SignedMessage, TimestampLocation, TimestampRule, ValueSelector,
};

/// Maximum signatures to check, which bounds the cost of a header with thousands of them.
const MAX_SIGNATURES: usize = 16;

/// Maximum digits in the name of a numbered header.
const MAX_DIGITS: usize = 3;

/// The signatures and the signed time of a delivery.
pub(super) struct ReceivedSignatures {
    pub(super) signatures: Vec<Vec<u8>>,
    pub(super) time: Option<Vec<u8>>,
}

impl ReceivedSignatures {
    pub(super) fn read(
        message: &SignedMessage,
        parts: &RequestParts<'_>,
        item: Option<&Value>,
    ) -> Result<Self, VerifyError> {
        let signature = &message.signature;
        let lines = lines(&signature.at, message, parts, item)?;
        let lines: Vec<&str> = lines.iter().map(AsRef::as_ref).collect();
        let texts: Vec<&str> = match &signature.layout {
            // Each line is a signature. An added line is harmless, because it does not match without the key.
            SignatureLayout::Plain => lines.iter().map(|line| line.trim()).collect(),
            SignatureLayout::List { item_sep } => lines
                .iter()
                .flat_map(|line| line.split(item_sep.as_str()))
                .map(str::trim)
                .collect(),
            SignatureLayout::Kv { key, .. } => pairs_of(&signature.layout, &lines)
                .filter(|(name, _)| name == key)
                .map(|(_, value)| value)
                .collect(),
        };
        let signatures: Vec<Vec<u8>> = texts
            .into_iter()
            .filter_map(|text| without_prefix(message, text))
            .filter_map(|text| decode(signature.encoding, text))
            .take(MAX_SIGNATURES)
            .collect();
        if signatures.is_empty() {
            return Err(malformed(message));
        }
        let time = match message.timestamp.as_ref().map(|rule| &rule.at) {
            None => None,
            Some(TimestampLocation::Part(selector)) => {
                let value = parts.one_below(selector, item)?;
                Some(value.ok_or_else(|| missing(selector))?.into_owned())
            }
            Some(TimestampLocation::Kv(key)) => {
                let mut times: Vec<&str> = pairs_of(&signature.layout, &lines)
                    .filter(|(name, _)| name == key)
                    .map(|(_, value)| value)
                    .collect();
                times.dedup();
                let [time] = times[..] else {
                    return Err(malformed(message));
                };
                Some(time.as_bytes().to_vec())
            }
        };
        Ok(Self { signatures, time })
    }
}

/// The texts at the location of the signature.
fn lines<'a>(
    at: &ValueSelector,
    message: &SignedMessage,
    parts: &'a RequestParts<'_>,
    item: Option<&'a Value>,
) -> Result<Vec<Cow<'a, str>>, VerifyError> {
    if let ValueSelector::Header(name) = at {
        let headers = parts.request.headers;
        let values: Vec<&HeaderValue> = match at.numbered_stem() {
            Some(stem) => numbered(headers, stem).collect(),
            None => headers.get_all(name).iter().collect(),
        };
        let values = values.into_iter();
        let texts = values.map(|value| value.to_str().map(Cow::Borrowed));
        let texts: Vec<Cow<'_, str>> = texts
            .collect::<Result<_, _>>()
            .map_err(|_| malformed(message))?;
        return if texts.is_empty() {
            Err(missing(at))
        } else {
            Ok(texts)
        };
    }
    let value = parts.one_below(at, item)?.ok_or_else(|| missing(at))?;
    let text = String::from_utf8(value.into_owned()).map_err(|_| malformed(message))?;
    Ok(vec![Cow::Owned(text)])
}

/// The values of the headers whose names are the stem and a number.
fn numbered<'a>(headers: &'a HeaderMap, stem: &str) -> impl Iterator<Item = &'a HeaderValue> {
    let is_numbered = move |name: &HeaderName| {
        let number = name.as_str().strip_prefix(stem).unwrap_or_default();
        (1..=MAX_DIGITS).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit())
    };
    let entries = headers.iter();
    entries.filter_map(move |(name, value)| is_numbered(name).then_some(value))
}

/// The key-value pairs of all lines; none for other layouts.
fn pairs_of<'a>(
    layout: &SignatureLayout,
    lines: &[&'a str],
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let pairs: Vec<_> = match layout {
        SignatureLayout::Kv {
            pair_sep, kv_sep, ..
        } => lines
            .iter()
            .flat_map(|line| line.split(pair_sep.as_str()))
            .filter_map(|pair| pair.trim().split_once(kv_sep.as_str()))
            .collect(),
        SignatureLayout::Plain | SignatureLayout::List { .. } => Vec::new(),
    };
    pairs.into_iter()
}

fn without_prefix<'a>(message: &SignedMessage, text: &'a str) -> Option<&'a str> {
    let Some(prefix) = &message.signature.prefix else {
        return Some(text);
    };
    match strip_prefix_ignore_case(prefix, text) {
        None if message.signature.prefix_optional => Some(text),
        rest => rest,
    }
}

/// Removes a prefix, case-insensitive.
pub(super) fn strip_prefix_ignore_case<'a>(prefix: &str, text: &'a str) -> Option<&'a str> {
    match text.split_at_checked(prefix.len()) {
        Some((start, rest)) if start.eq_ignore_ascii_case(prefix) => Some(rest),
        _ => None,
    }
}

pub(super) fn malformed(message: &SignedMessage) -> VerifyError {
    let signature = &message.signature;
    let prefix = signature.prefix.as_deref().unwrap_or_default();
    let encoding = signature.encoding;
    let expected = match (&signature.layout, &message.timestamp) {
        (SignatureLayout::Plain, _) => format!("`{prefix}` and {encoding}"),
        (SignatureLayout::List { item_sep }, _) => {
            format!("`{prefix}` and {encoding}, with `{item_sep}` between several")
        }
        (
            SignatureLayout::Kv {
                pair_sep,
                kv_sep,
                key,
            },
            Some(TimestampRule {
                at: TimestampLocation::Kv(time),
                ..
            }),
        ) => format!(
            "one `{time}{kv_sep}` with the time and `{key}{kv_sep}{prefix}` with {encoding}, `{pair_sep}` between them"
        ),
        (
            SignatureLayout::Kv {
                pair_sep,
                kv_sep,
                key,
            },
            _,
        ) => {
            format!("`{key}{kv_sep}{prefix}` with {encoding}, `{pair_sep}` between several")
        }
    };
    VerifyError::MalformedSignature {
        part: signature.at.to_string(),
        expected: expected.replace("`` and ", ""),
    }
}
