//! The one interpreter of schemes. Pure: time, secrets and the sender's published keys are arguments.
//!
//! The signature is checked over the bytes that came in, before anything is parsed, and the age after it: so "too old"
//! is only ever said about a delivery that is genuine. (Where a scheme has its signature inside the body, the body has
//! to be parsed first.)

mod age;
mod encoding;
mod fetch;
mod found;
mod jws;
pub(super) mod mac;
mod message;
mod outgoing;
mod public_key;
mod refusal;
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

pub use fetch::{Cached, Certificates, keys_url, verify_any_fetching, verify_fetching};
pub use outgoing::{Misplaced, Outgoing};
pub use refusal::{BadSecret, Refusal};
pub use request::Unverified;
pub use sign::{CannotSign, sign};
pub use sns::{sns_url, subscribe_url};
pub use url::called;

pub(super) use request::Parts;

use super::scheme::{Message, Proof, Recipe, Scheme, Segment, Selector};
use message::Method;
use public_key::{Kind, PublicKey};

/// The proof that a delivery came from who holds the secret. Only [`verify`] makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    delivery_id: Option<String>,
    delivery_id_is_signed: bool,
    signed_at: Option<Timestamp>,
}

impl Verified {
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
    request: &Unverified<'_>,
    secrets: &[SecretString],
    now: Timestamp,
) -> Result<Verified, Refusal> {
    if secrets.is_empty() && scheme.needs_secret() {
        return Err(Refusal::MissingSecret);
    }
    let parts = Parts::new(request);
    let mut refusals = Vec::new();
    for recipe in scheme.recipes() {
        match verify_one(recipe, scheme, &parts, secrets, now) {
            Ok(verified) => return Ok(verified),
            Err(refusal) => refusals.push(refusal),
        }
    }
    Err(Refusal::most_telling(refusals))
}

/// The same for a route with several schemes, each with secrets of its own, of which any may match.
///
/// # Errors
/// The cause, of the scheme that came furthest.
pub fn verify_any<'a>(
    schemes: impl IntoIterator<Item = (&'a Scheme, &'a [SecretString])>,
    request: &Unverified<'_>,
    now: Timestamp,
) -> Result<(&'a Scheme, Verified), Refusal> {
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
fn worst(refusals: Vec<Refusal>) -> Refusal {
    if refusals.is_empty() {
        return Refusal::MissingSecret;
    }
    Refusal::most_telling(refusals)
}

fn verify_one(
    recipe: &Recipe,
    scheme: &Scheme,
    parts: &Parts<'_>,
    secrets: &[SecretString],
    now: Timestamp,
) -> Result<Verified, Refusal> {
    let params = scheme.params();
    let signed_at = match (&recipe.proof, method_of(&recipe.proof)) {
        (Proof::Jws(jws), _) => jws::check(jws, parts, params, secrets, now)?,
        (Proof::Sns, _) => sns::check(parts, params, secrets).map(|()| None)?,
        (Proof::Equals(equals), _) => shared::equals(equals, parts, secrets).map(|()| None)?,
        (Proof::Basic, _) => shared::basic(parts, secrets).map(|()| None)?,
        (Proof::Bearer, _) => shared::bearer(parts, secrets).map(|()| None)?,
        (_, Some((method, message))) => {
            let time = message::check(method, message, parts, params, secrets)?;
            match (&message.timestamp, time) {
                (Some(rule), Some(text)) => Some(age::check_age(rule, &text, now)?),
                _ => None,
            }
        }
        (_, None) => return Err(Refusal::NoMatch),
    };
    Ok(Verified {
        delivery_id: delivery_id(recipe, parts)?,
        delivery_id_is_signed: !recipe.delivery_id.is_empty()
            && recipe
                .delivery_id
                .iter()
                .all(|part| is_signed(recipe, part)),
        signed_at,
    })
}

fn method_of(proof: &Proof) -> Option<(Method, &Message)> {
    match proof {
        Proof::Hmac(hashed) => Some((Method::Hmac(hashed.algorithm), &hashed.message)),
        Proof::Digest(hashed) => Some((Method::Digest(hashed.algorithm), &hashed.message)),
        Proof::Rsa(hashed) => {
            let kind = Kind::Rsa(hashed.algorithm);
            Some((Method::PublicKey(kind), &hashed.message))
        }
        Proof::Ed25519(message) => Some((Method::PublicKey(Kind::Ed25519), message)),
        Proof::Ecdsa(message) => Some((Method::PublicKey(Kind::EcdsaP256), message)),
        Proof::Jws(_) | Proof::Equals(_) | Proof::Basic | Proof::Bearer | Proof::Sns => None,
    }
}

/// The id, if all its parts are there. Parts do not run into each other: several are written as a JSON list.
fn delivery_id(recipe: &Recipe, parts: &Parts<'_>) -> Result<Option<String>, Refusal> {
    let mut texts: Vec<String> = Vec::new();
    for selector in &recipe.delivery_id {
        let found = if matches!(selector, Selector::Json(_)) {
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
fn is_signed(recipe: &Recipe, part: &Selector) -> bool {
    let in_body = matches!(part, Selector::Json(_) | Selector::Form(_));
    match &recipe.proof {
        Proof::Jws(jws) => in_body && jws.body_hash_claim.is_some(),
        Proof::Sns => in_body,
        Proof::Equals(_) | Proof::Basic | Proof::Bearer => false,
        Proof::Hmac(_) | Proof::Digest(_) | Proof::Ed25519(_) | Proof::Ecdsa(_) | Proof::Rsa(_) => {
            recipe.message().is_some_and(|message| {
                let by_url =
                    matches!(part, Selector::Query(_)) && message.signed.has(&Segment::Url);
                let itself = message.signed.has(&Segment::Part(part.clone()));
                itself || by_url || (in_body && message.covers_body())
            })
        }
    }
}

/// Whether a secret can be a key under every recipe of the scheme.
///
/// # Errors
/// What is wrong with it.
pub fn check_secret(scheme: &Scheme, secret: &SecretString) -> Result<(), BadSecret> {
    for recipe in scheme.recipes() {
        match &recipe.proof {
            Proof::Hmac(hashed) => {
                encoding::key_bytes(secret, &hashed.message.secret_format)?;
            }
            Proof::Jws(jws) if jws.algorithm == super::scheme::JwsAlgorithm::Rs256 => {
                PublicKey::rsa_of(secret)?;
            }
            Proof::Ed25519(_) | Proof::Ecdsa(_) | Proof::Rsa(_) => {
                if let Some((Method::PublicKey(kind), message)) = method_of(&recipe.proof) {
                    PublicKey::read(kind, secret, &message.secret_format)?;
                }
            }
            Proof::Digest(_) | Proof::Jws(_) | Proof::Equals(_) | Proof::Basic | Proof::Bearer => {
                encoding::text_key(secret)?;
            }
            Proof::Sns => {
                PublicKey::rsa_of(secret)?;
            }
        }
    }
    Ok(())
}

/// Whether one of the secrets is the one; what is wrong with the first that cannot be a key is told if none is.
fn any_of(
    secrets: &[SecretString],
    matches: impl Fn(&SecretString) -> Result<bool, BadSecret>,
) -> Result<(), Refusal> {
    let mut bad_secret = None;
    for (index, secret) in secrets.iter().enumerate() {
        match matches(secret) {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(cause) => {
                let position = index + 1;
                bad_secret.get_or_insert(Refusal::BadSecret { position, cause });
            }
        }
    }
    Err(bad_secret.unwrap_or(Refusal::NoMatch))
}
