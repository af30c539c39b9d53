//! One way of proving where a delivery comes from.

use std::collections::BTreeMap;

use schemars::JsonSchema;

use super::selector::{Pointer, Selector};
use super::signature::{SecretFormat, Signature, TimestampRule};
use super::template::{Segment, Signed, params_of};
use super::words::{Algorithm, JwsAlgorithm, UrlVariant};

/// One way of proving where a delivery comes from, and what names the delivery.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
pub struct Recipe {
    /// The proof.
    #[schemars(flatten)]
    pub proof: Proof,
    /// What names the delivery, the same for every retry: one part of it, or several that do so together. Empty: the
    /// sender has none.
    #[schemars(default, with = "OneOrMany<Selector>")]
    pub delivery_id: Vec<Selector>,
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
pub enum Proof {
    /// A keyed hash (RFC 2104) over parts of the delivery.
    Hmac(Hashed),
    /// A plain hash with the secret inside. For senders that offer nothing better.
    Digest(Hashed),
    /// Ed25519 (RFC 8032); the secret is the sender's public key.
    Ed25519(Message),
    /// ECDSA over P-256 with SHA-256, signature in DER; the secret is the sender's public key.
    Ecdsa(Message),
    /// RSA PKCS #1 v1.5; the secret is the sender's public key or certificate.
    Rsa(Hashed),
    /// A JSON Web Token (RFC 7519) beside the body.
    Jws(Jws),
    /// The secret itself, sent along.
    Equals(Equals),
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
pub struct Hashed {
    /// The hash function.
    pub algorithm: Algorithm,
    /// What is signed, and where the signature stands.
    #[schemars(flatten)]
    pub message: Message,
}

/// A signed text and its signature.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
pub struct Message {
    /// Where the signature stands and how it is written.
    pub signature: Signature,
    /// What is signed.
    #[schemars(with = "String")]
    pub signed: Signed,
    /// The signed time; absent: the sender signs none.
    pub timestamp: Option<TimestampRule>,
    /// How the secret's text becomes the key.
    #[schemars(default)]
    pub secret_format: SecretFormat,
    /// Other spellings of the public URL that count too.
    #[schemars(default)]
    pub url_variants: Vec<UrlVariant>,
    /// Where the body's SHA-256 stands in hexadecimal, for bodies that the signed text does not contain (Twilio).
    pub body_hash: Option<Selector>,
    /// The list in the body of which every item is signed on its own; JSON pointers then start at the item.
    #[schemars(with = "Option<String>")]
    pub each: Option<Pointer>,
    /// Says that the signature covers only a part of the body, and that this is known.
    #[schemars(default)]
    pub partial: bool,
}

impl Message {
    /// Whether a change of the body makes the signature wrong.
    pub fn covers_body(&self) -> bool {
        let covering = [Segment::Body, Segment::Sha256Body, Segment::FormSorted];
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
    pub token: Token,
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
pub struct Token {
    /// Where it stands.
    #[schemars(flatten)]
    pub at: Selector,
    /// What stands before it, in any case.
    pub prefix: Option<String>,
}

/// The secret itself, sent along.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
pub struct Equals {
    /// Where it stands. With `*` in a JSON pointer, every place must hold it.
    pub token: Token,
}

impl Recipe {
    /// The route's parameters that this recipe needs.
    pub(super) fn params(&self) -> Vec<String> {
        match &self.proof {
            Proof::Hmac(Hashed { message, .. })
            | Proof::Digest(Hashed { message, .. })
            | Proof::Rsa(Hashed { message, .. })
            | Proof::Ed25519(message)
            | Proof::Ecdsa(message) => {
                let segments = message.signed.segments().iter();
                let params = segments.filter_map(|segment| match segment {
                    Segment::Param(name) => Some(name.clone()),
                    Segment::Literal(_)
                    | Segment::Body
                    | Segment::Timestamp
                    | Segment::Part(_)
                    | Segment::Escaped(_)
                    | Segment::Method
                    | Segment::Url
                    | Segment::Secret
                    | Segment::Crc32Body
                    | Segment::Sha256Body
                    | Segment::FormSorted => None,
                });
                params.collect()
            }
            Proof::Jws(jws) => {
                let texts = jws.claims.values().chain(&jws.jwks_url);
                texts
                    .flat_map(|text| params_of(text).unwrap_or_default())
                    .collect()
            }
            Proof::Sns => vec!["topic".to_owned()],
            Proof::Equals(_) | Proof::Basic | Proof::Bearer => Vec::new(),
        }
    }

    /// Whether it can do without a secret, because the sender publishes its keys.
    pub fn fetches_keys(&self) -> bool {
        match &self.proof {
            Proof::Sns => true,
            Proof::Jws(jws) => jws.jwks_url.is_some(),
            Proof::Hmac(_)
            | Proof::Digest(_)
            | Proof::Ed25519(_)
            | Proof::Ecdsa(_)
            | Proof::Rsa(_)
            | Proof::Equals(_)
            | Proof::Basic
            | Proof::Bearer => false,
        }
    }

    /// Where stands what lets whoever reads it send anything: the secret itself, or a token that does not cover the body.
    pub fn pass(&self) -> Option<&Selector> {
        match &self.proof {
            Proof::Equals(equals) => Some(&equals.token.at),
            Proof::Jws(jws) if jws.body_hash_claim.is_none() => Some(&jws.token.at),
            Proof::Jws(_)
            | Proof::Hmac(_)
            | Proof::Digest(_)
            | Proof::Ed25519(_)
            | Proof::Ecdsa(_)
            | Proof::Rsa(_)
            | Proof::Basic
            | Proof::Bearer
            | Proof::Sns => None,
        }
    }

    /// The message that is signed, for recipes that sign one.
    pub fn message(&self) -> Option<&Message> {
        match &self.proof {
            Proof::Hmac(hashed) | Proof::Digest(hashed) | Proof::Rsa(hashed) => {
                Some(&hashed.message)
            }
            Proof::Ed25519(message) | Proof::Ecdsa(message) => Some(message),
            Proof::Jws(_) | Proof::Equals(_) | Proof::Basic | Proof::Bearer | Proof::Sns => None,
        }
    }

    pub(super) fn message_mut(&mut self) -> Option<&mut Message> {
        match &mut self.proof {
            Proof::Hmac(hashed) | Proof::Digest(hashed) | Proof::Rsa(hashed) => {
                Some(&mut hashed.message)
            }
            Proof::Ed25519(message) | Proof::Ecdsa(message) => Some(message),
            Proof::Jws(_) | Proof::Equals(_) | Proof::Basic | Proof::Bearer | Proof::Sns => None,
        }
    }
}
