//! Describes specs in one sentence.

use super::keywords::SecretEncoding;
use super::signature::SignatureLayout;
use super::spec::{HashedMessage, Jws, ProofKind, SchemeSpec, SharedSecret, SignedMessage};

impl SchemeSpec {
    pub(super) fn describe(&self) -> String {
        match &self.proof {
            ProofKind::Hmac(hashed) => of_hashed("HMAC-", hashed),
            ProofKind::Digest(hashed) => of_hashed("plain ", hashed),
            ProofKind::Rsa(hashed) => of_hashed("RSA with ", hashed),
            ProofKind::Ed25519(message) => of_message("Ed25519", message),
            ProofKind::Ecdsa(message) => of_message("ECDSA P-256", message),
            ProofKind::Jws(jws) => of_jws(jws),
            ProofKind::Equals(SharedSecret { token }) => {
                let prefix = after(token.prefix.as_deref());
                format!("the secret itself in {}{prefix}, nothing is signed", token.at)
            }
            ProofKind::Basic => "user and password in header authorization, nothing is signed".into(),
            ProofKind::Bearer => "the secret itself in header authorization after `Bearer `, nothing is signed".into(),
            ProofKind::Sns => "RSA over the fields of an SNS message, key from the certificate that it names at amazonaws.com, \
                 for the topics in parameter topic".into(),
        }
    }
}

fn of_hashed(kind: &str, hashed: &HashedMessage) -> String {
    let algorithm = hashed.algorithm.to_string().to_uppercase();
    of_message(&format!("{kind}{algorithm}"), &hashed.message)
}

fn of_message(kind: &str, message: &SignedMessage) -> String {
    let signature = &message.signature;
    let place = match &signature.layout {
        SignatureLayout::Plain => format!("in {}", signature.at),
        SignatureLayout::Kv { key, .. } => format!("under key {key} of {}", signature.at),
        SignatureLayout::List { .. } => format!("listed in {}", signature.at),
    };
    let prefix = after(signature.prefix.as_deref());
    let age = match &message.timestamp {
        None => "no time is signed".to_owned(),
        Some(rule) if rule.tolerance_s == 0 => "the signed time is not checked".to_owned(),
        Some(rule) => format!("at most {} s old or ahead", rule.tolerance_s),
    };
    let each = message.each.as_ref();
    let each = each.map_or(String::new(), |each| format!(" for every item of {each}"));
    let partial = if message.covers_body() {
        ""
    } else {
        ", the rest of the body is not covered"
    };
    let key = match message.secret_format.encoding {
        SecretEncoding::Utf8 => String::new(),
        encoding @ (SecretEncoding::Base64 | SecretEncoding::Hex) => {
            format!(" with a key in {encoding}")
        }
    };
    format!(
        "{kind}{key} of `{}`{each}, {} {place}{prefix}, {age}{partial}",
        message.signed, signature.encoding,
    )
}

fn of_jws(jws: &Jws) -> String {
    let prefix = after(jws.token.prefix.as_deref());
    let body = match &jws.body_hash_claim {
        Some(claim) => format!("covers the body by its claim {claim}"),
        None => "the body is not covered".to_owned(),
    };
    let names: Vec<&str> = jws.claims.keys().map(String::as_str).collect();
    let claims = if names.is_empty() {
        String::new()
    } else {
        format!(" with fixed {}", names.join(", "))
    };
    format!(
        "JWT {} in {}{prefix}{claims}, {body}",
        jws.algorithm, jws.token.at
    )
}

fn after(prefix: Option<&str>) -> String {
    prefix.map_or(String::new(), |prefix| format!(" after `{prefix}`"))
}
