//! Signs deliveries of our own, so that a scheme can be tried out without its sender.

use std::borrow::Cow;
use std::fmt;

use base64::Engine;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::age::write_time;
use super::encoding::{BASE64, encode, key_bytes, text_key};
use super::mac::{AnyMac, digest};
use super::refusal::BadSecret;
use super::request::debug_delivery;
use crate::inbound::scheme::{
    Algorithm, Layout, Message, Proof, Scheme, Segment, Selector, TimestampAt, TimestampRule,
};

/// A delivery that we send ourselves.
#[derive(Clone, Copy)]
pub struct Outgoing<'a> {
    /// Its id; set in the scheme's id header, if the scheme has one.
    pub id: &'a str,
    /// Its body.
    pub body: &'a [u8],
    /// Headers that it has anyway; needed only if the scheme signs one of them.
    pub headers: &'a HeaderMap,
}

impl fmt::Debug for Outgoing<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_delivery("Outgoing", self.headers, self.body, formatter)
    }
}

/// Why a delivery cannot be signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotSign {
    /// The scheme signs a header that is not there.
    #[error("the scheme signs header {0}, which is not set")]
    MissingHeader(String),
    /// The id, or a text of the scheme, cannot stand in a header.
    #[error("what header {0} would hold cannot stand in a header")]
    NotAHeaderValue(String),
    /// Only the sender can sign like this, or the proof does not stand in the headers.
    #[error("a proof by {0} cannot be made here")]
    Unsupported(String),
    /// There is no secret to sign with.
    #[error("no secret is configured")]
    MissingSecret,
    /// A secret cannot be a key.
    #[error("secret {position} cannot be used: {cause}")]
    BadSecret {
        /// Which of the secrets, from 1.
        position: usize,
        /// What is wrong with it.
        cause: BadSecret,
    },
}

/// The headers that make a delivery verify under `scheme` at the time `now`: signature, time and id. Of several recipes
/// the first is used; of several secrets all, where the scheme's format has room for more than one signature.
///
/// # Errors
/// The cause.
pub fn sign(
    scheme: &Scheme,
    secrets: &[SecretString],
    now: Timestamp,
    delivery: &Outgoing<'_>,
) -> Result<HeaderMap, CannotSign> {
    let Some(recipe) = scheme.recipes().first() else {
        return Ok(HeaderMap::new());
    };
    let mut added = HeaderMap::new();
    for selector in &recipe.delivery_id {
        if let Selector::Header(name) = selector {
            added.insert(name, header_value(name, delivery.id)?);
        }
    }
    let unsupported = || Err(CannotSign::Unsupported(scheme.describe()));
    match &recipe.proof {
        Proof::Hmac(hashed) => {
            let kind = Kind::Hmac(hashed.algorithm);
            sign_message(kind, &hashed.message, secrets, now, delivery, added)
        }
        Proof::Digest(hashed) => {
            let kind = Kind::Digest(hashed.algorithm);
            sign_message(kind, &hashed.message, secrets, now, delivery, added)
        }
        Proof::Equals(equals) => {
            let Selector::Header(name) = &equals.token.at else {
                return unsupported();
            };
            let prefix = equals.token.prefix.as_deref().unwrap_or_default();
            let value = format!("{prefix}{}", first_text(secrets)?);
            added.insert(name, header_value(name, &value)?);
            Ok(added)
        }
        Proof::Basic => {
            let value = format!("Basic {}", BASE64.encode(first_text(secrets)?));
            added.insert(AUTHORIZATION, header_value(&AUTHORIZATION, &value)?);
            Ok(added)
        }
        Proof::Bearer => {
            let value = format!("Bearer {}", first_text(secrets)?);
            added.insert(AUTHORIZATION, header_value(&AUTHORIZATION, &value)?);
            Ok(added)
        }
        Proof::Ed25519(_) | Proof::Ecdsa(_) | Proof::Rsa(_) | Proof::Jws(_) | Proof::Sns => {
            unsupported()
        }
    }
}

fn first_text(secrets: &[SecretString]) -> Result<&str, CannotSign> {
    let secret = secrets.first().ok_or(CannotSign::MissingSecret)?;
    let position = 1;
    text_key(secret).map_err(|cause| CannotSign::BadSecret { position, cause })
}

#[derive(Clone, Copy)]
enum Kind {
    Hmac(Algorithm),
    Digest(Algorithm),
}

fn sign_message(
    kind: Kind,
    message: &Message,
    secrets: &[SecretString],
    now: Timestamp,
    delivery: &Outgoing<'_>,
    mut added: HeaderMap,
) -> Result<HeaderMap, CannotSign> {
    let Selector::Header(header) = &message.signature.at else {
        let place = message.signature.at.to_string();
        return Err(CannotSign::Unsupported(place));
    };
    let rule = message.timestamp.as_ref();
    let time = rule.map(|rule| write_time(rule.unit, now));
    let time = time.as_deref();
    if let Some(TimestampAt::Part(Selector::Header(name))) = rule.map(|rule| &rule.at) {
        added.insert(name, header_value(name, time.unwrap_or_default())?);
    }
    if secrets.is_empty() {
        return Err(CannotSign::MissingSecret);
    }
    let prefix = message.signature.prefix.as_deref().unwrap_or_default();
    let mut signatures = Vec::new();
    for (index, secret) in secrets.iter().enumerate() {
        let position = index + 1;
        let pieces = pieces(message, &added, time, delivery, secret)?;
        let bytes = match kind {
            Kind::Hmac(algorithm) => key_bytes(secret, &message.secret_format).map(|key| {
                let mut mac = AnyMac::new(algorithm, &key);
                pieces.iter().for_each(|piece| mac.update(piece));
                mac.finish()
            }),
            Kind::Digest(algorithm) => text_key(secret).map(|_| digest(algorithm, &pieces)),
        };
        let bytes = bytes.map_err(|cause| CannotSign::BadSecret { position, cause })?;
        let encoded = encode(message.signature.encoding, &bytes);
        signatures.push(format!("{prefix}{encoded}"));
    }
    let value = lay_out(message, signatures, time);
    added.insert(header, header_value(header, &value)?);
    Ok(added)
}

fn pieces<'a>(
    message: &'a Message,
    added: &'a HeaderMap,
    time: Option<&'a str>,
    delivery: &Outgoing<'a>,
    secret: &'a SecretString,
) -> Result<Vec<Cow<'a, [u8]>>, CannotSign> {
    let piece = |segment: &'a Segment| -> Result<Cow<'a, [u8]>, CannotSign> {
        let borrowed = match segment {
            Segment::Literal(text) => text.as_bytes(),
            Segment::Body => delivery.body,
            Segment::Timestamp => time.unwrap_or_default().as_bytes(),
            Segment::Secret => secret.expose_secret().as_bytes(),
            Segment::Part(Selector::Header(name)) => added
                .get(name)
                .or_else(|| delivery.headers.get(name))
                .ok_or_else(|| CannotSign::MissingHeader(name.to_string()))?
                .as_bytes(),
            Segment::Sha256Body => {
                let hash = hex::encode(Sha256::digest(delivery.body));
                return Ok(Cow::Owned(hash.into_bytes()));
            }
            Segment::Part(_)
            | Segment::Escaped(_)
            | Segment::Method
            | Segment::Url
            | Segment::Param(_)
            | Segment::Crc32Body
            | Segment::FormSorted => {
                return Err(CannotSign::Unsupported(message.signed.to_string()));
            }
        };
        Ok(Cow::Borrowed(borrowed))
    };
    message.signed.segments().iter().map(piece).collect()
}

fn lay_out(message: &Message, signatures: Vec<String>, time: Option<&str>) -> String {
    match &message.signature.layout {
        Layout::Plain => signatures.into_iter().next().unwrap_or_default(),
        Layout::List { item_sep } => signatures.join(item_sep),
        Layout::Kv {
            pair_sep,
            kv_sep,
            key,
        } => {
            let time_pair = match (&message.timestamp, time) {
                (
                    Some(TimestampRule {
                        at: TimestampAt::Kv(name),
                        ..
                    }),
                    Some(time),
                ) => Some(format!("{name}{kv_sep}{time}")),
                _ => None,
            };
            let pairs = signatures
                .into_iter()
                .map(|signature| format!("{key}{kv_sep}{signature}"));
            time_pair
                .into_iter()
                .chain(pairs)
                .collect::<Vec<_>>()
                .join(pair_sep)
        }
    }
}

fn header_value(name: &HeaderName, text: &str) -> Result<HeaderValue, CannotSign> {
    HeaderValue::from_str(text).map_err(|_| CannotSign::NotAHeaderValue(name.to_string()))
}
