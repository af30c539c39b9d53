//! One way of proving where a delivery comes from.

use std::collections::BTreeMap;

use http::header::AUTHORIZATION;
use schemars::JsonSchema;

use super::keywords::{Algorithm, JwsAlgorithm, UrlVariant};
use super::selector::{Pointer, ValueSelector};
use super::signature::{SecretFormat, Signature, TimestampRule};
use super::template::{SignedSegment, SignedTemplate, params_of};

/// One way of proving where a delivery comes from, and what names the delivery.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
pub struct SchemeSpec {
    /// The proof.
    #[schemars(flatten)]
    pub proof: ProofKind,
    /// What names the delivery, the same for every retry: one part of it, or several that do so together. Empty: the
    /// sender has none.
    #[schemars(default, with = "OneOrMany<ValueSelector>")]
    pub delivery_id: Vec<ValueSelector>,
}

/// One value or a list of them; only its JSON Schema is used.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "it only shapes the JSON Schema")]
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
    /// A plain hash with the secret inside. For senders that offer nothing better.
    Digest(HashedMessage),
    /// Ed25519 (RFC 8032); the secret is the sender's public key.
    Ed25519(SignedMessage),
    /// ECDSA over P-256 with SHA-256, signature in DER; the secret is the sender's public key.
    Ecdsa(SignedMessage),
    /// RSA PKCS #1 v1.5; the secret is the sender's public key or certificate.
    Rsa(HashedMessage),
    /// A JSON Web Token (RFC 7519) beside the body.
    Jws(Jws),
    /// The secret itself, sent along.
    Equals(SharedSecret),
    /// HTTP Basic (RFC 7617); the secret is `user:password`.
    Basic,
    /// An HTTP bearer token (RFC 6750).
    Bearer,
    /// Amazon SNS: certificate by URL over named fields. Needs the route's parameter `topic`, and no secret; one that is
    /// there holds the certificate, which is not fetched then.
    Sns,
}

/// The types, for messages.
const TYPES: &[&str] = &[
    "hmac", "digest", "ed25519", "ecdsa", "rsa", "jws", "equals", "basic", "bearer", "sns",
];

/// The types, as a message lists them.
pub(super) fn types() -> String {
    TYPES.join(", ")
}

/// A message and the hash function of its signature.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
pub struct HashedMessage {
    /// The hash function.
    pub algorithm: Algorithm,
    /// What is signed, and where the signature stands.
    #[schemars(flatten)]
    pub message: SignedMessage,
}

/// A signed text and its signature.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
pub struct SignedMessage {
    /// Where the signature stands and how it is written.
    pub signature: Signature,
    /// What is signed.
    #[schemars(with = "String")]
    pub signed: SignedTemplate,
    /// The signed time; absent: the sender signs none.
    pub timestamp: Option<TimestampRule>,
    /// How the secret's text becomes the key.
    #[schemars(default)]
    pub secret_format: SecretFormat,
    /// Other spellings of the public URL that count too.
    #[schemars(default)]
    pub url_variants: Vec<UrlVariant>,
    /// Where the body's SHA-256 stands in hexadecimal, for bodies that the signed text does not contain (Twilio).
    pub body_hash: Option<ValueSelector>,
    /// The list in the body of which every item is signed on its own; JSON pointers then start at the item.
    #[schemars(with = "Option<String>")]
    pub each: Option<Pointer>,
    /// Says that the signature covers only a part of the body, and that this is known.
    #[schemars(default)]
    pub partial: bool,
}

impl SignedMessage {
    /// Whether a change of the body makes the signature wrong.
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
    /// The one algorithm that counts.
    #[schemars(rename = "algorithm")]
    pub algorithm: JwsAlgorithm,
    /// Where the token stands.
    pub token: TokenLocation,
    /// Claims that must be there with this value; `{param:name}` stands for one of the route's parameters.
    #[schemars(default)]
    pub claims: BTreeMap<String, String>,
    /// The claim that holds the body's SHA-256 in hexadecimal.
    pub body_hash_claim: Option<String>,
    /// Whether a token without an expiry is refused. An expiry that is there always counts.
    #[schemars(default)]
    pub must_expire: bool,
    /// Where the sender publishes its keys (RFC 7517), for routes without a secret. `{param:name}` as above.
    pub jwks_url: Option<String>,
    /// Says that the token does not cover the body, and that this is known.
    #[schemars(default)]
    pub partial: bool,
}

/// Where a token stands.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct TokenLocation {
    /// Where it stands.
    #[schemars(flatten)]
    pub at: ValueSelector,
    /// What stands before it, in any case.
    pub prefix: Option<String>,
}

/// The secret itself, sent along.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
pub struct SharedSecret {
    /// Where it stands. With `*` in a JSON pointer, every place must hold it.
    pub token: TokenLocation,
}

impl SchemeSpec {
    /// The route's parameters that this recipe needs.
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
                    .flat_map(|text| params_of(text).unwrap_or_default())
                    .collect()
            }
            ProofKind::Sns => vec!["topic".to_owned()],
            ProofKind::Equals(_) | ProofKind::Basic | ProofKind::Bearer => Vec::new(),
        }
    }

    /// Whether it can do without a secret, because the sender publishes its keys.
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

    /// The message that is signed, for recipes that sign one.
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
