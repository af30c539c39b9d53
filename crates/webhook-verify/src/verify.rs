//! The interpreter of all schemes. Pure: time, secrets and the sender's published keys are arguments.
//!
//! The signature is checked over the bytes as received, before the body is parsed, and the age after the signature. So only
//! deliveries with a valid signature are reported as too old. (If the signature is inside the body, the body is parsed
//! first.)

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
mod forged_requests;
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
pub use fetch::{FetchError, KeyCache, KeyFetcher, keys_url, verify_any_fetching, verify_fetching};
pub use outgoing::{OutgoingWebhook, PlacementError};
pub use request::WebhookRequest;
pub use sign::{SignError, sign};
pub use sns::{sns_url, subscribe_url};
pub use url::{request_url, signed_urls};

pub(super) use request::RequestParts;

use super::scheme::{ProofKind, Scheme, SchemeSpec, SignedMessage, ValueSelector};
use message::SignatureMethod;
use public_key::{KeyKind, PublicKey};

/// Minimum bytes of an HMAC key that cannot be guessed.
const MIN_KEY_BYTES: usize = 16;

/// Proof that the sender of a delivery holds the secret. Only [`verify`] creates it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    delivery_id: Option<String>,
    delivery_id_is_signed: bool,
    signed_at: Option<Timestamp>,
}

impl Verification {
    /// The delivery id, if the scheme has its location and the sender sets it. An id with several parts is a JSON list.
    pub fn delivery_id(&self) -> Option<&str> {
        self.delivery_id.as_deref()
    }

    /// Whether the signature covers the delivery id. If not (GitHub, Shopify), a replayed delivery can have another id.
    pub fn delivery_id_is_signed(&self) -> bool {
        self.delivery_id_is_signed
    }

    /// The signed time, if the scheme has one.
    pub fn signed_at(&self) -> Option<Timestamp> {
        self.signed_at
    }
}

/// Verifies the signature and the age of a delivery. Any spec of the scheme may match, with any of the secrets and any of
/// the signatures.
///
/// # Errors
/// The most specific error of all specs.
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
    let mut errors = Vec::new();
    for spec in scheme.specs() {
        match verify_one(spec, scheme, &parts, secrets, now) {
            Ok(verified) => return Ok(verified),
            Err(error) => errors.push(error),
        }
    }
    Err(VerifyError::most_specific(errors))
}

/// Verifies a delivery with several schemes, each with its own secrets. Any scheme may match.
///
/// # Errors
/// The most specific error of all schemes.
pub fn verify_any<'a>(
    schemes: impl IntoIterator<Item = (&'a Scheme, &'a [SecretString])>,
    request: &WebhookRequest<'_>,
    now: Timestamp,
) -> Result<(&'a Scheme, Verification), VerifyError> {
    let mut errors = Vec::new();
    for (scheme, secrets) in schemes {
        match verify(scheme, request, secrets, now) {
            Ok(verified) => return Ok((scheme, verified)),
            Err(error) => errors.push(error),
        }
    }
    Err(most_specific_error(errors))
}

/// The most specific error of several schemes.
fn most_specific_error(errors: Vec<VerifyError>) -> VerifyError {
    if errors.is_empty() {
        return VerifyError::MissingSecret;
    }
    VerifyError::most_specific(errors)
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
            let time = message::check(method, message, parts, scheme, secrets)?;
            match (&message.timestamp, time) {
                (Some(rule), Some(text)) => Some(age::check_age(rule, &text, now)?),
                _ => None,
            }
        }
        (_, None) => return Err(VerifyError::NoMatch),
    };
    Ok(Verification {
        delivery_id: delivery_id(spec, parts)?,
        delivery_id_is_signed: spec.signs_delivery_id(),
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

/// The delivery id, if all its parts exist. Several parts are a JSON list, so that different parts give different ids.
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

/// Checks that a secret can be a key of every spec of a scheme.
///
/// # Errors
/// The reason why it cannot.
pub fn check_secret(scheme: &Scheme, secret: &SecretString) -> Result<(), InvalidSecret> {
    for spec in scheme.specs() {
        match &spec.proof {
            ProofKind::Hmac(hashed) => {
                encoding::key_bytes(secret, &hashed.message.secret_format)?;
            }
            ProofKind::Jws(jws) if jws.algorithm == super::scheme::JwsAlgorithm::Rs256 => {
                PublicKey::read_rsa(secret)?;
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
                PublicKey::read_rsa(secret)?;
            }
        }
    }
    Ok(())
}

/// The number of bytes of a key that is too short to withstand guessing: an HMAC key needs 16.
pub fn short_key(scheme: &Scheme, secret: &SecretString) -> Option<usize> {
    let mut specs = scheme.specs().iter();
    specs.find_map(|spec| {
        let ProofKind::Hmac(hashed) = &spec.proof else {
            return None;
        };
        let key = encoding::key_bytes(secret, &hashed.message.secret_format).ok()?;
        (key.len() < MIN_KEY_BYTES).then_some(key.len())
    })
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
