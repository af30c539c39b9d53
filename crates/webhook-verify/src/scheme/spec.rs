//! The spec of one way to verify a delivery.

use std::collections::BTreeMap;

use http::header::AUTHORIZATION;
use schemars::JsonSchema;

use super::keywords::{Algorithm, JwsAlgorithm, UrlVariant};
use super::selector::{Pointer, ValueSelector};
use super::signature::{SecretFormat, Signature, TimestampRule};
use super::template::{SignedSegment, SignedTemplate, param_names};

/// One way to verify a delivery, and the location of its id.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
pub struct SchemeSpec {
    /// The proof.
    #[schemars(flatten)]
    pub proof: ProofKind,
    /// The location of the delivery id, which is the same for every retry. Several values form the id together. Empty: the
    /// sender has no id.
    #[schemars(default, with = "OneOrMany<ValueSelector>")]
    pub delivery_id: Vec<ValueSelector>,
}

/// One value or a list of them; only its JSON Schema is used.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "stands for the value's shape in the JSON Schema")]
pub(super) enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

/// The proof, by its `type`.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(tag = "type", rename_all = "lowercase")]
pub enum ProofKind {
    /// A keyed hash (RFC 2104) over parts of the delivery.
    Hmac(HashedMessage),
    /// A hash over a text that contains the secret. For senders without a better method.
    Digest(HashedMessage),
    /// Ed25519 (RFC 8032); the secret is the sender's public key.
    Ed25519(SignedMessage),
    /// ECDSA over P-256 with SHA-256, signature in DER; the secret is the sender's public key.
    Ecdsa(SignedMessage),
    /// RSA PKCS #1 v1.5; the secret is the sender's public key or certificate.
    Rsa(HashedMessage),
    /// A JSON Web Token (RFC 7519) beside the body.
    Jws(Jws),
    /// The secret itself, sent with the delivery.
    Equals(SharedSecret),
    /// HTTP Basic (RFC 7617); the secret is `user:password`.
    Basic,
    /// An HTTP bearer token (RFC 6750).
    Bearer,
    /// Amazon SNS: a signature over selected fields, verified with a certificate from a URL. Needs the route's parameter
    /// `topic`, and no secret. If there is a secret, it contains the certificate, which is then not fetched.
    Sns,
}

/// The types of proofs, for error messages.
const TYPES: &[&str] = &[
    "hmac", "digest", "ed25519", "ecdsa", "rsa", "jws", "equals", "basic", "bearer", "sns",
];

/// The types of proofs, as an error message lists them.
pub(super) fn type_list() -> String {
    TYPES.join(", ")
}

/// A message and the hash function of its signature.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
pub struct HashedMessage {
    /// The hash function.
    pub algorithm: Algorithm,
    /// The signed text, and the location of the signature.
    #[schemars(flatten)]
    pub message: SignedMessage,
}

/// A signed text and its signature.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
pub struct SignedMessage {
    /// The location and format of the signature.
    pub signature: Signature,
    /// The signed text.
    pub signed: SignedTemplate,
    /// The signed time; absent: the sender signs no time.
    pub timestamp: Option<TimestampRule>,
    /// The format of the key in the secret.
    #[schemars(default)]
    pub secret_format: SecretFormat,
    /// Variants of the public URL that are accepted too.
    #[schemars(default)]
    pub url_variants: Vec<UrlVariant>,
    /// The location of the body's SHA-256 in hexadecimal, for bodies that the signed text does not contain (Twilio).
    pub body_hash: Option<ValueSelector>,
    /// A list in the body whose items are each signed separately; JSON pointers are then relative to the item.
    #[schemars(with = "Option<String>", regex(pattern = "^/"))]
    pub each: Option<Pointer>,
    /// Accepts that the signature covers only a part of the body.
    #[schemars(default)]
    pub partial: bool,
}

impl SignedMessage {
    /// Whether a change of the body invalidates the signature.
    pub fn covers_body(&self) -> bool {
        let covering = [
            SignedSegment::Body,
            SignedSegment::Sha256Body,
            SignedSegment::FormSorted,
        ];
        covering.iter().any(|segment| self.signed.has(segment))
    }
}

/// A JSON Web Token beside the body.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
pub struct Jws {
    /// The only accepted algorithm.
    #[schemars(rename = "algorithm")]
    pub algorithm: JwsAlgorithm,
    /// The location of the token.
    pub token: TokenLocation,
    /// Required claims with their values; `{param:name}` is replaced by a parameter of the route.
    #[schemars(default)]
    pub claims: BTreeMap<String, String>,
    /// The claim with the body's SHA-256 in hexadecimal.
    pub body_hash_claim: Option<String>,
    /// Whether a token without an expiry is rejected. An existing expiry is always checked.
    #[schemars(default)]
    pub must_expire: bool,
    /// URL of the sender's key set (RFC 7517), for routes without a secret. May contain `{param:name}`.
    #[schemars(regex(pattern = "^https://."))]
    pub jwks_url: Option<String>,
    /// Accepts that the token does not cover the body.
    #[schemars(default)]
    pub partial: bool,
}

/// The location of a token.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct TokenLocation {
    /// The location.
    #[schemars(flatten)]
    pub at: ValueSelector,
    /// Prefix of the token, case-insensitive.
    pub prefix: Option<String>,
}

/// The secret itself, sent with the delivery.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
pub struct SharedSecret {
    /// The location of the secret. With `*` in a JSON pointer, every item must contain it.
    pub token: TokenLocation,
}

impl SchemeSpec {
    /// The parameters of the route that this spec needs.
    pub(super) fn params(&self) -> Vec<String> {
        match &self.proof {
            ProofKind::Hmac(HashedMessage { message, .. })
            | ProofKind::Digest(HashedMessage { message, .. })
            | ProofKind::Rsa(HashedMessage { message, .. })
            | ProofKind::Ed25519(message)
            | ProofKind::Ecdsa(message) => {
                let segments = message.signed.segments().iter();
                let params = segments.filter_map(|segment| match segment {
                    SignedSegment::Param(name) => Some(name.clone()),
                    SignedSegment::Literal(_)
                    | SignedSegment::Body
                    | SignedSegment::Timestamp
                    | SignedSegment::Part(_)
                    | SignedSegment::Escaped(_)
                    | SignedSegment::Method
                    | SignedSegment::Url
                    | SignedSegment::Secret
                    | SignedSegment::Crc32Body
                    | SignedSegment::Sha256Body
                    | SignedSegment::FormSorted => None,
                });
                params.collect()
            }
            ProofKind::Jws(jws) => {
                let texts = jws.claims.values().chain(&jws.jwks_url);
                texts
                    .flat_map(|text| param_names(text).unwrap_or_default())
                    .collect()
            }
            ProofKind::Sns => vec!["topic".to_owned()],
            ProofKind::Equals(_) | ProofKind::Basic | ProofKind::Bearer => Vec::new(),
        }
    }

    /// Whether it needs no secret, because the sender publishes its keys.
    pub fn fetches_keys(&self) -> bool {
        match &self.proof {
            ProofKind::Sns => true,
            ProofKind::Jws(jws) => jws.jwks_url.is_some(),
            ProofKind::Hmac(_)
            | ProofKind::Digest(_)
            | ProofKind::Ed25519(_)
            | ProofKind::Ecdsa(_)
            | ProofKind::Rsa(_)
            | ProofKind::Equals(_)
            | ProofKind::Basic
            | ProofKind::Bearer => false,
        }
    }

    /// The location of a value that authenticates any delivery: the secret itself, or a token that does not cover the body.
    pub fn secret_location(&self) -> Option<ValueSelector> {
        match &self.proof {
            ProofKind::Equals(equals) => Some(equals.token.at.clone()),
            ProofKind::Jws(jws) if jws.body_hash_claim.is_none() => Some(jws.token.at.clone()),
            ProofKind::Basic | ProofKind::Bearer => Some(ValueSelector::Header(AUTHORIZATION)),
            ProofKind::Jws(_)
            | ProofKind::Hmac(_)
            | ProofKind::Digest(_)
            | ProofKind::Ed25519(_)
            | ProofKind::Ecdsa(_)
            | ProofKind::Rsa(_)
            | ProofKind::Sns => None,
        }
    }

    /// The location of what proves a delivery: its signature, or a secret or token.
    pub fn proof_location(&self) -> Option<ValueSelector> {
        match &self.proof {
            ProofKind::Hmac(HashedMessage { message, .. })
            | ProofKind::Digest(HashedMessage { message, .. })
            | ProofKind::Rsa(HashedMessage { message, .. })
            | ProofKind::Ed25519(message)
            | ProofKind::Ecdsa(message) => Some(message.signature.at.clone()),
            ProofKind::Jws(jws) => Some(jws.token.at.clone()),
            ProofKind::Equals(_) | ProofKind::Basic | ProofKind::Bearer | ProofKind::Sns => {
                self.secret_location()
            }
        }
    }

    /// Whether a change of this part of a delivery invalidates its signature.
    pub(crate) fn covers(&self, part: &ValueSelector) -> bool {
        let in_body = matches!(part, ValueSelector::Json(_) | ValueSelector::Form(_));
        match &self.proof {
            ProofKind::Jws(jws) => in_body && jws.body_hash_claim.is_some(),
            ProofKind::Sns => in_body,
            ProofKind::Equals(_) | ProofKind::Basic | ProofKind::Bearer => false,
            ProofKind::Hmac(_)
            | ProofKind::Digest(_)
            | ProofKind::Ed25519(_)
            | ProofKind::Ecdsa(_)
            | ProofKind::Rsa(_) => self.message().is_some_and(|message| {
                let by_url = matches!(part, ValueSelector::Query(_))
                    && message.signed.has(&SignedSegment::Url);
                let is_segment = message.signed.has(&SignedSegment::Part(part.clone()));
                is_segment || by_url || (in_body && message.covers_body())
            }),
        }
    }

    /// Whether a delivery has an id, and a change of it invalidates the signature.
    pub(crate) fn signs_delivery_id(&self) -> bool {
        !self.delivery_id.is_empty() && self.delivery_id.iter().all(|part| self.covers(part))
    }

    /// The signed message, for specs that have one.
    pub fn message(&self) -> Option<&SignedMessage> {
        match &self.proof {
            ProofKind::Hmac(hashed) | ProofKind::Digest(hashed) | ProofKind::Rsa(hashed) => {
                Some(&hashed.message)
            }
            ProofKind::Ed25519(message) | ProofKind::Ecdsa(message) => Some(message),
            ProofKind::Jws(_)
            | ProofKind::Equals(_)
            | ProofKind::Basic
            | ProofKind::Bearer
            | ProofKind::Sns => None,
        }
    }

    pub(super) fn message_mut(&mut self) -> Option<&mut SignedMessage> {
        match &mut self.proof {
            ProofKind::Hmac(hashed) | ProofKind::Digest(hashed) | ProofKind::Rsa(hashed) => {
                Some(&mut hashed.message)
            }
            ProofKind::Ed25519(message) | ProofKind::Ecdsa(message) => Some(message),
            ProofKind::Jws(_)
            | ProofKind::Equals(_)
            | ProofKind::Basic
            | ProofKind::Bearer
            | ProofKind::Sns => None,
        }
    }
}
