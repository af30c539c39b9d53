//! The one interpreter of schemes. Pure: time, secrets and the sender's published keys are arguments.
//!
//! The signature is checked over the bytes that came in, before anything is parsed, and the age after it: so "too old"
//! is only ever said about a delivery that is genuine. (Where a scheme has its signature inside the body, the body has
//! to be parsed first.)

mod age;
mod encoding;
mod error;
mod fetch;
mod jws;
pub(super) mod mac;
mod message;
mod outgoing;
mod public_key;
mod received;
mod request;
mod shared;
mod sign;
mod sns;
mod url;

#[cfg(test)]
mod published;
#[cfg(test)]
mod shapes;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;

use jiff::Timestamp;
use secrecy::SecretString;

pub use error::{InvalidSecret, VerifyError};
pub use fetch::{KeyCache, KeyFetcher, keys_url, verify_any_fetching, verify_fetching};
pub use outgoing::{OutgoingWebhook, PlacementError};
pub use request::WebhookRequest;
pub use sign::{SignError, sign};
pub use sns::{sns_url, subscribe_url};
pub use url::request_url;

pub(super) use request::RequestParts;

use super::scheme::{ProofKind, Scheme, SchemeSpec, SignedMessage, SignedSegment, ValueSelector};
use message::SignatureMethod;
use public_key::{KeyKind, PublicKey};

/// The proof that a delivery came from who holds the secret. Only [`verify`] makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    delivery_id: Option<String>,
    delivery_id_is_signed: bool,
    signed_at: Option<Timestamp>,
}

impl Verification {
    /// The delivery's id, if the scheme says where it stands and the sender set it. Of an id in several parts, a JSON
    /// list of them.
    pub fn delivery_id(&self) -> Option<&str> {
        self.delivery_id.as_deref()
    }

    /// Whether the signature covers the delivery id. If not (GitHub, Shopify), who replays an intercepted delivery can
    /// give it another id.
    pub fn delivery_id_is_signed(&self) -> bool {
        self.delivery_id_is_signed
    }

    /// The time that the sender signed, if the scheme has one.
    pub fn signed_at(&self) -> Option<Timestamp> {
        self.signed_at
    }
}

/// Checks that a delivery is genuine and recent. Any of the scheme's recipes, with any of the secrets, may match any of
/// the signatures.
///
/// # Errors
/// The cause, of the recipe that came furthest.
pub fn verify(
    scheme: &Scheme,
    request: &WebhookRequest<'_>,
    secrets: &[SecretString],
    now: Timestamp,
) -> Result<Verification, VerifyError> {
    if secrets.is_empty() && scheme.needs_secret() {
        return Err(VerifyError::MissingSecret);
    }
    let parts = RequestParts::new(request);
    let mut refusals = Vec::new();
    for spec in scheme.specs() {
        match verify_one(spec, scheme, &parts, secrets, now) {
            Ok(verified) => return Ok(verified),
            Err(refusal) => refusals.push(refusal),
        }
    }
    Err(VerifyError::most_telling(refusals))
}

/// The same for a route with several schemes, each with secrets of its own, of which any may match.
///
/// # Errors
/// The cause, of the scheme that came furthest.
pub fn verify_any<'a>(
    schemes: impl IntoIterator<Item = (&'a Scheme, &'a [SecretString])>,
    request: &WebhookRequest<'_>,
    now: Timestamp,
) -> Result<(&'a Scheme, Verification), VerifyError> {
    let mut refusals = Vec::new();
    for (scheme, secrets) in schemes {
        match verify(scheme, request, secrets, now) {
            Ok(verified) => return Ok((scheme, verified)),
            Err(refusal) => refusals.push(refusal),
        }
    }
    Err(worst(refusals))
}

/// Of the refusals of several schemes the most telling.
fn worst(refusals: Vec<VerifyError>) -> VerifyError {
    if refusals.is_empty() {
        return VerifyError::MissingSecret;
    }
    VerifyError::most_telling(refusals)
}

fn verify_one(
    spec: &SchemeSpec,
    scheme: &Scheme,
    parts: &RequestParts<'_>,
    secrets: &[SecretString],
    now: Timestamp,
) -> Result<Verification, VerifyError> {
    let params = scheme.params();
    let signed_at = match (&spec.proof, method_of(&spec.proof)) {
        (ProofKind::Jws(jws), _) => jws::check(jws, parts, params, secrets, now)?,
        (ProofKind::Sns, _) => sns::check(parts, params, secrets).map(|()| None)?,
        (ProofKind::Equals(equals), _) => shared::equals(equals, parts, secrets).map(|()| None)?,
        (ProofKind::Basic, _) => shared::basic(parts, secrets).map(|()| None)?,
        (ProofKind::Bearer, _) => shared::bearer(parts, secrets).map(|()| None)?,
        (_, Some((method, message))) => {
            let time = message::check(method, message, parts, params, secrets)?;
            match (&message.timestamp, time) {
                (Some(rule), Some(text)) => Some(age::check_age(rule, &text, now)?),
                _ => None,
            }
        }
        (_, None) => return Err(VerifyError::NoMatch),
    };
    Ok(Verification {
        delivery_id: delivery_id(spec, parts)?,
        delivery_id_is_signed: !spec.delivery_id.is_empty()
            && spec.delivery_id.iter().all(|part| is_signed(spec, part)),
        signed_at,
    })
}

fn method_of(proof: &ProofKind) -> Option<(SignatureMethod, &SignedMessage)> {
    match proof {
        ProofKind::Hmac(hashed) => Some((SignatureMethod::Hmac(hashed.algorithm), &hashed.message)),
        ProofKind::Digest(hashed) => {
            Some((SignatureMethod::Digest(hashed.algorithm), &hashed.message))
        }
        ProofKind::Rsa(hashed) => {
            let kind = KeyKind::Rsa(hashed.algorithm);
            Some((SignatureMethod::PublicKey(kind), &hashed.message))
        }
        ProofKind::Ed25519(message) => {
            Some((SignatureMethod::PublicKey(KeyKind::Ed25519), message))
        }
        ProofKind::Ecdsa(message) => {
            Some((SignatureMethod::PublicKey(KeyKind::EcdsaP256), message))
        }
        ProofKind::Jws(_)
        | ProofKind::Equals(_)
        | ProofKind::Basic
        | ProofKind::Bearer
        | ProofKind::Sns => None,
    }
}

/// The id, if all its parts are there. RequestParts do not run into each other: several are written as a JSON list.
fn delivery_id(spec: &SchemeSpec, parts: &RequestParts<'_>) -> Result<Option<String>, VerifyError> {
    let mut texts: Vec<String> = Vec::new();
    for selector in &spec.delivery_id {
        let found = if matches!(selector, ValueSelector::Json(_)) {
            let all = parts.all(selector).unwrap_or_default();
            all.into_iter().map(String::from).collect()
        } else {
            let one = parts.one(selector)?;
            let text = one.and_then(|bytes| String::from_utf8(bytes.into_owned()).ok());
            Vec::from_iter(text)
        };
        if found.is_empty() || found.iter().any(String::is_empty) {
            return Ok(None);
        }
        texts.extend(found);
    }
    Ok(match &texts[..] {
        [] => None,
        [one] => Some(one.clone()),
        several => serde_json::to_string(several).ok(),
    })
}

/// Whether who changes this part of a delivery makes its proof wrong.
fn is_signed(spec: &SchemeSpec, part: &ValueSelector) -> bool {
    let in_body = matches!(part, ValueSelector::Json(_) | ValueSelector::Form(_));
    match &spec.proof {
        ProofKind::Jws(jws) => in_body && jws.body_hash_claim.is_some(),
        ProofKind::Sns => in_body,
        ProofKind::Equals(_) | ProofKind::Basic | ProofKind::Bearer => false,
        ProofKind::Hmac(_)
        | ProofKind::Digest(_)
        | ProofKind::Ed25519(_)
        | ProofKind::Ecdsa(_)
        | ProofKind::Rsa(_) => spec.message().is_some_and(|message| {
            let by_url =
                matches!(part, ValueSelector::Query(_)) && message.signed.has(&SignedSegment::Url);
            let itself = message.signed.has(&SignedSegment::Part(part.clone()));
            itself || by_url || (in_body && message.covers_body())
        }),
    }
}

/// Whether a secret can be a key under every recipe of the scheme.
///
/// # Errors
/// What is wrong with it.
pub fn check_secret(scheme: &Scheme, secret: &SecretString) -> Result<(), InvalidSecret> {
    for spec in scheme.specs() {
        match &spec.proof {
            ProofKind::Hmac(hashed) => {
                encoding::key_bytes(secret, &hashed.message.secret_format)?;
            }
            ProofKind::Jws(jws) if jws.algorithm == super::scheme::JwsAlgorithm::Rs256 => {
                PublicKey::rsa_of(secret)?;
            }
            ProofKind::Ed25519(_) | ProofKind::Ecdsa(_) | ProofKind::Rsa(_) => {
                if let Some((SignatureMethod::PublicKey(kind), message)) = method_of(&spec.proof) {
                    PublicKey::read(kind, secret, &message.secret_format)?;
                }
            }
            ProofKind::Digest(_)
            | ProofKind::Jws(_)
            | ProofKind::Equals(_)
            | ProofKind::Basic
            | ProofKind::Bearer => {
                encoding::text_key(secret)?;
            }
            ProofKind::Sns => {
                PublicKey::rsa_of(secret)?;
            }
        }
    }
    Ok(())
}

/// Checks that one of the secrets matches. If none does, the first secret that cannot be a key is reported.
fn any_of(
    secrets: &[SecretString],
    matches: impl Fn(&SecretString) -> Result<bool, InvalidSecret>,
) -> Result<(), VerifyError> {
    let mut bad_secret = None;
    for (index, secret) in secrets.iter().enumerate() {
        match matches(secret) {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(cause) => {
                let position = index + 1;
                bad_secret.get_or_insert(VerifyError::InvalidSecret { position, cause });
            }
        }
    }
    Err(bad_secret.unwrap_or(VerifyError::NoMatch))
}
