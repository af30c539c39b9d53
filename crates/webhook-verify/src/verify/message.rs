//! Verifies signatures over a text that is assembled from the delivery.

use std::borrow::Cow;
use std::collections::BTreeMap;

use flate2::Crc;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::encoding::{key_bytes, text_key};
use super::error::{InvalidSecret, VerifyError};
use super::mac::{AnyMac, constant_time_eq, digest, is_hash_of};
use super::public_key::{KeyKind, PublicKey};
use super::received::{ReceivedSignatures, malformed};
use super::request::{RequestParts, missing};
use super::url;
use crate::scheme::{
    Algorithm, Pointer, Scheme, SignedMessage, SignedSegment, ValueSelector, is_token,
};

/// Maximum form fields to sort. They are sorted before they are verified.
const MAX_FIELDS: usize = 10_000;

/// Maximum items with a signature each.
const MAX_ITEMS: usize = 1_000;

/// The signature method of a message.
#[derive(Clone, Copy)]
pub(super) enum SignatureMethod {
    Hmac(Algorithm),
    Digest(Algorithm),
    PublicKey(KeyKind),
}

/// Checks the signatures of a message, or of each of its items. Returns the signed time as received.
pub(super) fn check(
    method: SignatureMethod,
    message: &SignedMessage,
    parts: &RequestParts<'_>,
    scheme: &Scheme,
    secrets: &[SecretString],
) -> Result<Option<Vec<u8>>, VerifyError> {
    check_body_hash(message, parts)?;
    let Some(each) = &message.each else {
        return check_one(method, message, parts, scheme, secrets, None);
    };
    let absent = || missing(&ValueSelector::Json(each.clone()));
    let items = list_at(each, parts).ok_or_else(absent)?;
    let mut time = None;
    for item in items {
        time = check_one(method, message, parts, scheme, secrets, Some(item))?;
    }
    Ok(time)
}

/// The items with a signature each.
pub(super) fn list_at<'a>(each: &Pointer, parts: &'a RequestParts<'_>) -> Option<&'a [Value]> {
    let [Value::Array(items)] = each.find(parts.json()?)?[..] else {
        return None;
    };
    // An empty list contains no signature.
    Some(items.as_slice()).filter(|items| (1..=MAX_ITEMS).contains(&items.len()))
}

/// Checks bodies that the signed text does not contain: their hash must be in the signed URL.
fn check_body_hash(message: &SignedMessage, parts: &RequestParts<'_>) -> Result<(), VerifyError> {
    let request = parts.request;
    let named = match &message.body_hash {
        None => None,
        Some(selector) => parts.one(selector)?,
    };
    if let Some(hash) = &named {
        return if is_hash_of(hash, request.body) {
            Ok(())
        } else {
            Err(VerifyError::OtherBody)
        };
    }
    let contained = [SignedSegment::Body, SignedSegment::Sha256Body];
    let contained = contained.iter().any(|segment| message.signed.has(segment));
    let by_form = message.signed.has(&SignedSegment::FormSorted);
    let sorts = url::is_plain_form(request);
    if by_form && !contained && !request.body.is_empty() && !sorts {
        return Err(VerifyError::UncoveredBody);
    }
    let fields = request.body.iter().filter(|byte| **byte == b'&').count();
    if by_form && sorts && fields >= MAX_FIELDS {
        return Err(VerifyError::UncoveredBody);
    }
    Ok(())
}

fn check_one(
    method: SignatureMethod,
    message: &SignedMessage,
    parts: &RequestParts<'_>,
    scheme: &Scheme,
    secrets: &[SecretString],
    item: Option<&Value>,
) -> Result<Option<Vec<u8>>, VerifyError> {
    let found = ReceivedSignatures::read(message, parts, item)?;
    let signs_url = message.signed.has(&SignedSegment::Url);
    let urls = if signs_url {
        let urls = parts.request.public_urls();
        if urls.is_empty() {
            return Err(VerifyError::MissingUrl);
        }
        url::variants(urls, &message.url_variants)
    } else {
        vec![String::new()]
    };
    let context = SignedText {
        message,
        parts,
        params: scheme.params(),
        item,
        time: found.time.as_deref(),
    };
    let is_hmac = matches!(method, SignatureMethod::Hmac(_));
    if is_hmac && scheme.reserves_tokens() {
        context.check_not_token(&urls)?;
    }
    let mut bad_secret = None;
    for (index, secret) in secrets.iter().enumerate() {
        for url in &urls {
            match context.matches(method, url, secret, &found.signatures)? {
                Ok(true) => return Ok(found.time),
                Ok(false) => {}
                Err(cause) => {
                    let position = index + 1;
                    bad_secret.get_or_insert(VerifyError::InvalidSecret { position, cause });
                    break;
                }
            }
        }
    }
    Err(bad_secret.unwrap_or(if signs_url {
        VerifyError::NoMatchWithUrl
    } else {
        VerifyError::NoMatch
    }))
}

/// The sources of a signed text.
#[derive(Clone, Copy)]
pub(super) struct SignedText<'a> {
    pub(super) message: &'a SignedMessage,
    pub(super) parts: &'a RequestParts<'a>,
    pub(super) params: &'a BTreeMap<String, String>,
    pub(super) item: Option<&'a Value>,
    pub(super) time: Option<&'a [u8]>,
}

impl SignedText<'_> {
    /// Whether one of the signatures is valid. The inner error is about the secret.
    fn matches(
        &self,
        method: SignatureMethod,
        url: &str,
        secret: &SecretString,
        signatures: &[Vec<u8>],
    ) -> Result<Result<bool, InvalidSecret>, VerifyError> {
        let format = &self.message.secret_format;
        match method {
            SignatureMethod::Hmac(algorithm) => {
                let key = match key_bytes(secret, format) {
                    Ok(key) => key,
                    Err(cause) => return Ok(Err(cause)),
                };
                // One pass over the body per secret, for any number of signatures in the header.
                let mut mac = AnyMac::new(algorithm, &key);
                let pieces = self.pieces(url, secret)?;
                pieces.iter().for_each(|piece| mac.update(piece));
                Ok(Ok(signatures
                    .iter()
                    .any(|signature| mac.matches(signature))))
            }
            SignatureMethod::Digest(algorithm) => {
                if let Err(cause) = text_key(secret) {
                    return Ok(Err(cause));
                }
                let hash = digest(algorithm, &self.pieces(url, secret)?);
                Ok(Ok(signatures
                    .iter()
                    .any(|signature| constant_time_eq(&hash, signature))))
            }
            SignatureMethod::PublicKey(kind) => {
                let key = match PublicKey::read(kind, secret, format) {
                    Ok(key) => key,
                    Err(cause) => return Ok(Err(cause)),
                };
                let text = self.pieces(url, secret)?.concat();
                let verifies = |signature: &Vec<u8>| key.verifies(kind, &text, signature);
                Ok(Ok(signatures.iter().any(verifies)))
            }
        }
    }

    /// Refuses a token, which a handshake of the scheme signs for anybody who asks.
    fn check_not_token(&self, urls: &[String]) -> Result<(), VerifyError> {
        // Only a digest contains the secret.
        let none = SecretString::from("");
        for url in urls {
            if is_token(&self.pieces(url, &none)?.concat()) {
                return Err(VerifyError::SignedToken);
            }
        }
        Ok(())
    }

    /// The signed text, as pieces to concatenate.
    pub(super) fn pieces<'b>(
        &'b self,
        url: &'b str,
        secret: &'b SecretString,
    ) -> Result<Vec<Cow<'b, [u8]>>, VerifyError> {
        let segments = self.message.signed.segments().iter();
        segments
            .map(|segment| self.piece(segment, url, secret))
            .collect()
    }

    fn piece<'b>(
        &'b self,
        segment: &'b SignedSegment,
        url: &'b str,
        secret: &'b SecretString,
    ) -> Result<Cow<'b, [u8]>, VerifyError> {
        let request = self.parts.request;
        Ok(match segment {
            SignedSegment::Literal(text) => Cow::Borrowed(text.as_bytes()),
            SignedSegment::Body => Cow::Borrowed(request.body),
            SignedSegment::Timestamp => {
                Cow::Borrowed(self.time.ok_or_else(|| malformed(self.message))?)
            }
            SignedSegment::Part(selector) => self
                .parts
                .one_below(selector, self.item)?
                .ok_or_else(|| missing(selector))?,
            SignedSegment::Escaped(pointer) => {
                let text = self.parts.optional_text(pointer, self.item);
                Cow::Owned(text.replace('\\', "\\\\").replace(':', "\\:").into_bytes())
            }
            SignedSegment::Method => {
                Cow::Owned(request.method_name().to_ascii_uppercase().into_bytes())
            }
            SignedSegment::Url => Cow::Borrowed(url.as_bytes()),
            SignedSegment::Param(name) => {
                let value = self.params.get(name);
                let value = value.ok_or_else(|| VerifyError::MissingParam(name.clone()))?;
                Cow::Borrowed(value.as_bytes())
            }
            SignedSegment::Secret => Cow::Borrowed(secret.expose_secret().as_bytes()),
            SignedSegment::Crc32Body => {
                let mut crc = Crc::new();
                crc.update(request.body);
                Cow::Owned(crc.sum().to_string().into_bytes())
            }
            SignedSegment::Sha256Body => {
                Cow::Owned(hex::encode(Sha256::digest(request.body)).into_bytes())
            }
            SignedSegment::FormSorted => Cow::Owned(url::form_sorted(request)),
        })
    }
}
