//! Signs deliveries, so that a scheme can be tested without its sender. The verifier's code assembles the signed text; this
//! module only places the signature, the time and the id.

use base64::Engine;
use http::header::AUTHORIZATION;
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::age::write_timestamp;
use super::encoding::{BASE64, BASE64_URL, encode, key_bytes, text_key};
use super::error::{InvalidSecret, VerifyError};
use super::mac::{AnyMac, digest};
use super::message::{SignatureMethod, SignedText, list_at};
use super::outgoing::{OutgoingWebhook, PlacementError};
use super::request::RequestParts;
use super::{method_of, url};
use crate::scheme::{
    Algorithm, Jws, JwsAlgorithm, ProofKind, Scheme, SchemeSpec, SignatureLayout, SignedMessage,
    SignedSegment, TimestampLocation, TimestampRule, ValueSelector, fill_params,
};

/// Lifetime in seconds of a JSON Web Token, if the scheme requires an expiry.
const TOKEN_LIFETIME_S: i64 = 300;

/// Reason why a delivery cannot be signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// A signed part of the delivery is missing.
    #[error("the delivery lacks something that the scheme signs: {0}")]
    Incomplete(VerifyError),
    /// The signature cannot be placed in this delivery.
    #[error("the delivery has no place for the proof: {0}")]
    Placement(#[from] PlacementError),
    /// The scheme needs a private key that only the sender has.
    #[error("only the sender can make this proof, because its key stays with it: {0}")]
    PrivateKeyRequired(String),
    /// There is no secret.
    #[error("no secret is configured")]
    MissingSecret,
    /// A secret cannot be a key.
    #[error("secret {position} cannot be used: {cause}")]
    InvalidSecret {
        /// Which of the secrets, from 1.
        position: usize,
        /// The reason.
        cause: InvalidSecret,
    },
}

/// Signs a delivery: sets the signature, time and id with which it verifies under `scheme` at the time `now`. Uses the
/// first spec that fits the delivery, and all secrets if the format has several signatures.
///
/// # Errors
/// The error of the first spec. The delivery is unchanged then.
pub fn sign(
    scheme: &Scheme,
    secrets: &[SecretString],
    now: Timestamp,
    delivery: &mut OutgoingWebhook,
) -> Result<(), SignError> {
    let mut first = Ok(());
    for spec in scheme.specs() {
        let mut signed = delivery.clone();
        match sign_one(spec, scheme, secrets, now, &mut signed) {
            Ok(()) => {
                *delivery = signed;
                return Ok(());
            }
            Err(error) => first = first.and(Err(error)),
        }
    }
    first
}

fn sign_one(
    spec: &SchemeSpec,
    scheme: &Scheme,
    secrets: &[SecretString],
    now: Timestamp,
    delivery: &mut OutgoingWebhook,
) -> Result<(), SignError> {
    for part in &spec.delivery_id {
        if let ValueSelector::Header(name) = part {
            delivery.set_header(name, &delivery.id.clone())?;
        }
    }
    match (&spec.proof, method_of(&spec.proof)) {
        (ProofKind::Equals(equals), _) => {
            let prefix = equals.token.prefix.as_deref().unwrap_or_default();
            let text = format!("{prefix}{}", first_text(secrets)?);
            Ok(delivery.set(&equals.token.at, &text)?)
        }
        (ProofKind::Basic, _) => {
            let text = format!("Basic {}", BASE64.encode(first_text(secrets)?));
            Ok(delivery.set_header(&AUTHORIZATION, &text)?)
        }
        (ProofKind::Bearer, _) => {
            let text = format!("Bearer {}", first_text(secrets)?);
            Ok(delivery.set_header(&AUTHORIZATION, &text)?)
        }
        (ProofKind::Jws(jws), _) if jws.algorithm == JwsAlgorithm::Hs256 => {
            let text = token(jws, scheme, first_text(secrets)?, now, delivery)?;
            Ok(delivery.set(&jws.token.at, &text)?)
        }
        (_, Some((method @ (SignatureMethod::Hmac(_) | SignatureMethod::Digest(_)), message))) => {
            if secrets.is_empty() {
                return Err(SignError::MissingSecret);
            }
            sign_message(method, message, scheme, secrets, now, delivery)
        }
        (_, Some((SignatureMethod::PublicKey(_), _)) | None) => {
            Err(SignError::PrivateKeyRequired(scheme.describe()))
        }
    }
}

fn first_text(secrets: &[SecretString]) -> Result<&str, SignError> {
    let secret = secrets.first().ok_or(SignError::MissingSecret)?;
    text_key(secret).map_err(|cause| SignError::InvalidSecret { position: 1, cause })
}

/// A JSON Web Token with the claims of the scheme.
fn token(
    jws: &Jws,
    scheme: &Scheme,
    key: &str,
    now: Timestamp,
    delivery: &OutgoingWebhook,
) -> Result<String, SignError> {
    let mut claims = json!({ "iat": now.as_second() });
    for (claim, text) in &jws.claims {
        let filled = fill_params(text, scheme.params()).map_err(VerifyError::MissingParam);
        claims[claim] = Value::from(filled.map_err(SignError::Incomplete)?);
    }
    if jws.must_expire {
        claims["exp"] = Value::from(now.as_second().saturating_add(TOKEN_LIFETIME_S));
    }
    if let Some(claim) = &jws.body_hash_claim {
        claims[claim] = Value::from(hex::encode(Sha256::digest(&delivery.body)));
    }
    let head = json!({ "alg": jws.algorithm.to_string(), "typ": "JWT" });
    let [head, claims] = [head, claims].map(|part| BASE64_URL.encode(part.to_string()));
    let signed = format!("{head}.{claims}");
    let mut mac = AnyMac::new(Algorithm::Sha256, key.as_bytes());
    mac.update(signed.as_bytes());
    let prefix = jws.token.prefix.as_deref().unwrap_or_default();
    Ok(format!(
        "{prefix}{signed}.{}",
        BASE64_URL.encode(mac.finish())
    ))
}

fn sign_message(
    method: SignatureMethod,
    message: &SignedMessage,
    scheme: &Scheme,
    secrets: &[SecretString],
    now: Timestamp,
    delivery: &mut OutgoingWebhook,
) -> Result<(), SignError> {
    let rule = message.timestamp.as_ref();
    let time = rule.map(|rule| write_timestamp(rule.unit, now));
    let time = time.as_deref();
    if let Some(TimestampLocation::Part(part)) = rule.map(|rule| &rule.at) {
        delivery.set(part, time.unwrap_or_default())?;
    }
    // The signed text contains sorted form fields, or else the URL with the body's hash. An existing hash is corrected.
    let request = delivery.received(&[]);
    let sorted = message.signed.has(&SignedSegment::FormSorted)
        && (url::is_plain_form(&request) || request.body.is_empty());
    if let Some(part) = &message.body_hash
        && (!sorted || !matches!(RequestParts::new(&request).one(part), Ok(None)))
    {
        let hash = hex::encode(Sha256::digest(&delivery.body));
        delivery.set(part, &hash)?;
    }
    let signer = Signer {
        method,
        message,
        scheme,
        secrets,
        time,
    };
    let urls = Vec::from_iter(delivery.url());
    if message.signed.has(&SignedSegment::Url) && urls.is_empty() {
        return Err(SignError::Incomplete(VerifyError::MissingUrl));
    }
    let request = delivery.received(&urls);
    let parts = RequestParts::new(&request);
    let Some(each) = &message.each else {
        let text = signer.signature(&parts, None)?;
        return Ok(delivery.set(&message.signature.at, &text)?);
    };
    let no_place = |part: &ValueSelector| PlacementError::NoPlace(part.to_string());
    let list = ValueSelector::Json(each.clone());
    let items = list_at(each, &parts).ok_or_else(|| no_place(&list))?;
    let ValueSelector::Json(place) = &message.signature.at else {
        return Err(no_place(&message.signature.at).into());
    };
    let mut signed = Vec::with_capacity(items.len());
    for item in items {
        let text = signer.signature(&parts, Some(item))?;
        let mut item = item.clone();
        if !place.set(&mut item, &Value::from(text)) {
            return Err(no_place(&message.signature.at).into());
        }
        signed.push(item);
    }
    Ok(delivery.set_json(each, &Value::from(signed))?)
}

/// Signs the messages of a delivery.
struct Signer<'a> {
    method: SignatureMethod,
    message: &'a SignedMessage,
    scheme: &'a Scheme,
    secrets: &'a [SecretString],
    time: Option<&'a str>,
}

impl Signer<'_> {
    /// The text with all signatures, for the location of the signature.
    fn signature(
        &self,
        parts: &RequestParts<'_>,
        item: Option<&Value>,
    ) -> Result<String, SignError> {
        let message = self.message;
        let context = SignedText {
            message,
            parts,
            params: self.scheme.params(),
            item,
            time: self.time.map(str::as_bytes),
        };
        let url = parts.request.public_urls().first();
        let url = url.map_or("", String::as_str);
        let prefix = message.signature.prefix.as_deref().unwrap_or_default();
        let mut signatures = Vec::with_capacity(self.secrets.len());
        for (index, secret) in self.secrets.iter().enumerate() {
            let pieces = context.pieces(url, secret).map_err(SignError::Incomplete)?;
            let bytes = match self.method {
                SignatureMethod::Hmac(algorithm) => {
                    key_bytes(secret, &message.secret_format).map(|key| {
                        let mut mac = AnyMac::new(algorithm, &key);
                        pieces.iter().for_each(|piece| mac.update(piece));
                        mac.finish()
                    })
                }
                SignatureMethod::Digest(algorithm) => {
                    text_key(secret).map(|_| digest(algorithm, &pieces))
                }
                SignatureMethod::PublicKey(_) => {
                    return Err(SignError::PrivateKeyRequired(self.scheme.describe()));
                }
            };
            let position = index + 1;
            let bytes = bytes.map_err(|cause| SignError::InvalidSecret { position, cause })?;
            let encoded = encode(message.signature.encoding, &bytes);
            signatures.push(format!("{prefix}{encoded}"));
        }
        Ok(format_signatures(message, signatures, self.time))
    }
}

fn format_signatures(
    message: &SignedMessage,
    signatures: Vec<String>,
    time: Option<&str>,
) -> String {
    match &message.signature.layout {
        SignatureLayout::Plain => signatures.into_iter().next().unwrap_or_default(),
        SignatureLayout::List { item_sep } => signatures.join(item_sep),
        SignatureLayout::Kv {
            pair_sep,
            kv_sep,
            key,
        } => {
            let time_pair = match (&message.timestamp, time) {
                (
                    Some(TimestampRule {
                        at: TimestampLocation::Kv(name),
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
