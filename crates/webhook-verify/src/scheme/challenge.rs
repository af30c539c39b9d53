//! What handshakes sign for strangers, and whether that can be the signed text of a delivery.
//!
//! A handshake that is not verified signs a part of anybody's request. Keyed with a secret that verifies deliveries, it must
//! not sign a text that could be a delivery's, or a stranger could have a delivery signed. Such handshakes sign only tokens
//! ([`is_token`]), so it is enough that no delivery has a token as its signed text.

use super::keywords::{Algorithm, JwsAlgorithm, SecretEncoding};
use super::template::{SignedSegment, SignedTemplate};
use super::{HandshakeSpec, ProofKind, ReplySpec, Scheme, SchemeSpec, ValueSelector};

/// Maximum bytes of a token. Zoom's have 22, those of X 48.
const MAX_TOKEN: usize = 128;

/// Whether a text is a token: 1 to 128 letters, digits, `-`, `_`, `+` and `/`.
pub fn is_token(text: &[u8]) -> bool {
    (1..=MAX_TOKEN).contains(&text.len()) && text.iter().copied().all(is_token_byte)
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'+' | b'/')
}

/// The texts that a handshake signs for anybody who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignedChallenge {
    /// Tokens: the handshake is keyed with the secret of the scheme.
    Token,
    /// Any text: the handshake is keyed with a secret of its own.
    AnyText,
}

impl Scheme {
    /// The part of a request that a handshake signs, although its sender does not prove that it knows the secret.
    pub fn part_signed_for_anybody(&self) -> Option<&ValueSelector> {
        let mut handshakes = self.handshakes.iter();
        let handshake = handshakes.find(|handshake| self.signs_for_anybody(handshake))?;
        handshake.signed_parts().first().copied()
    }

    /// The part that the response to an accepted delivery signs, although its signature does not cover the part: anybody
    /// could replace it in a delivery that was seen.
    pub fn uncovered_reply_part(&self) -> Option<&ValueSelector> {
        let parts = self.accepted.as_ref().map(ReplySpec::signed_parts)?;
        let first = parts.first().copied();
        first.filter(|_| !self.covers_all(&parts))
    }

    /// Whether a handshake signs a part of a request whose sender does not prove that it knows the secret.
    pub(crate) fn signs_for_anybody(&self, handshake: &HandshakeSpec) -> bool {
        let parts = handshake.signed_parts();
        let is_verified = handshake.verified && self.covers_all(&parts);
        !parts.is_empty() && !is_verified && !handshake.requires_secret()
    }

    /// Whether these parts of a verified request cannot be changed without the secret.
    pub fn covers_all(&self, parts: &[&ValueSelector]) -> bool {
        let covers = |spec: &SchemeSpec| {
            // A request that contains the secret proves that its sender can sign without masshook.
            spec.contains_secret() || parts.iter().all(|part| spec.covers(part))
        };
        self.specs.iter().all(covers)
    }

    /// Whether every delivery has an id that cannot be changed without the secret.
    pub fn signs_delivery_id(&self) -> bool {
        self.specs.iter().all(SchemeSpec::signs_delivery_id)
    }

    /// Whether deliveries with a token as their signed text are refused, because a handshake signs tokens.
    pub fn reserves_tokens(&self) -> bool {
        let mut handshakes = self.handshakes.iter();
        handshakes.any(|handshake| self.signs_for_anybody(handshake) && handshake.requires_tokens())
    }

    /// The spec whose deliveries could be signed by a handshake that has the same secret.
    pub fn spec_signed_by(&self, challenge: SignedChallenge) -> Option<&SchemeSpec> {
        let is_excluded = challenge == SignedChallenge::Token && self.reserves_tokens();
        let mut specs = self.specs.iter().filter(|_| !is_excluded);
        specs.find(|spec| spec.is_signed_by(challenge))
    }
}

impl SchemeSpec {
    /// Whether the HMAC-SHA256 of a challenge, keyed with the text of the secret, could prove a delivery.
    fn is_signed_by(&self, challenge: SignedChallenge) -> bool {
        match &self.proof {
            ProofKind::Hmac(hashed) => {
                let format = &hashed.message.secret_format;
                hashed.algorithm == Algorithm::Sha256
                    // A decoded key differs from the secret's text.
                    && format.encoding == SecretEncoding::Utf8
                    && (challenge == SignedChallenge::AnyText
                        || hashed.message.signed.can_be_token())
            }
            // The signed text of a JSON Web Token contains a dot.
            ProofKind::Jws(jws) => {
                jws.algorithm == JwsAlgorithm::Hs256 && challenge == SignedChallenge::AnyText
            }
            // A hash without a key is no HMAC. A secret that is sent, or a public key, signs nothing.
            ProofKind::Digest(_)
            | ProofKind::Rsa(_)
            | ProofKind::Ed25519(_)
            | ProofKind::Ecdsa(_)
            | ProofKind::Equals(_)
            | ProofKind::Basic
            | ProofKind::Bearer
            | ProofKind::Sns => false,
        }
    }

    /// Whether a request contains the secret itself.
    fn contains_secret(&self) -> bool {
        matches!(
            self.proof,
            ProofKind::Equals(_) | ProofKind::Basic | ProofKind::Bearer
        )
    }

    /// Whether a signed callback of Standard Webhooks, keyed with the same secret, could prove a delivery.
    pub fn is_signed_by_callbacks(&self) -> bool {
        let ProofKind::Hmac(hashed) = &self.proof else {
            return false;
        };
        hashed.algorithm == Algorithm::Sha256
            && hashed.message.secret_format.encoding == SecretEncoding::Base64
    }
}

impl SignedTemplate {
    /// Whether a text of this template can be a token, as far as literals and URLs exclude it.
    fn can_be_token(&self) -> bool {
        let excludes = |segment: &SignedSegment| match segment {
            SignedSegment::Literal(text) => {
                text.len() > MAX_TOKEN || !text.bytes().all(is_token_byte)
            }
            // A URL contains a colon.
            SignedSegment::Url => true,
            SignedSegment::Body
            | SignedSegment::Timestamp
            | SignedSegment::Part(_)
            | SignedSegment::Escaped(_)
            | SignedSegment::Method
            | SignedSegment::Param(_)
            | SignedSegment::Secret
            | SignedSegment::Crc32Body
            | SignedSegment::Sha256Body
            | SignedSegment::FormSorted => false,
        };
        !self.segments().iter().any(excludes)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;
    use secrecy::SecretString;
    use serde_json::json;

    use super::*;
    use crate::verify::{VerifyError, WebhookRequest, verify};
    use strict_reader::{Node, Problems};

    /// A scheme whose deliveries and handshake have the same secret.
    fn scheme(signed: &str, algorithm: &str, condition: &serde_json::Value) -> Scheme {
        let record = json!({
            "type": "hmac", "algorithm": algorithm, "signed": signed, "partial": true,
            "signature": {"header": "X-Sig", "encoding": "hex"},
            "handshakes": [{"method": "GET", "when": [condition], "answer": {"text": "{hmac_hex:query:x}"}}],
        });
        let mut record = record;
        if signed.contains("{timestamp}") {
            record["timestamp"] = json!({"header": "X-Time"});
        }
        let mut problems = Problems::default();
        let mut object = Node::root(&record)
            .object(&mut problems)
            .expect("an object");
        let scheme = Scheme::read(&mut object, &mut problems);
        object.finish(&mut problems);
        problems.finish(scheme).expect("a scheme")
    }

    #[test]
    fn separation_follows_from_the_signed_text() {
        let x = json!({"query": "x"});
        let is_signed = |signed: &str, algorithm: &str, challenge| {
            let scheme = scheme(signed, algorithm, &x);
            assert!(scheme.part_signed_for_anybody().is_some());
            scheme.spec_signed_by(challenge).is_some()
        };
        for (signed, algorithm, token, any) in [
            ("{body}", "sha256", true, true),
            ("{body}", "sha1", false, false),
            ("{body}", "sha512", false, false),
            ("v0:{timestamp}:{body}", "sha256", false, true),
            ("{timestamp}.{body}", "sha256", false, true),
            ("{timestamp}{body}", "sha256", true, true),
            ("hmacsha256={body}", "sha256", false, true),
            ("{method}{url}{body}", "sha256", false, true),
            ("prefix-{body}", "sha256", true, true),
            ("{sha256_body}", "sha256", true, true),
            ("{header:X-Id}", "sha256", true, true),
        ] {
            assert_eq!(
                is_signed(signed, algorithm, SignedChallenge::Token),
                token,
                "{signed}"
            );
            assert_eq!(
                is_signed(signed, algorithm, SignedChallenge::AnyText),
                any,
                "{signed}"
            );
        }
        let limited = scheme("{body}", "sha256", &json!({"query": "x", "token": true}));
        assert!(limited.reserves_tokens());
        assert!(limited.spec_signed_by(SignedChallenge::Token).is_none());
        // Another part is limited than the one that is signed.
        let other = scheme("{body}", "sha256", &json!({"query": "y", "token": true}));
        assert!(!other.reserves_tokens());
    }

    proptest! {
        /// Whatever a handshake signs, it proves no delivery.
        #[test]
        fn signed_challenge_proves_no_delivery(challenge in "([a-zA-Z0-9+/_-]{1,20}|[ -~]{0,20}|v0:[0-9]{3}:x)") {
            use crate::handshake::{HandshakeSecrets, respond};
            let scheme = scheme("{body}", "sha256", &json!({"query": "x", "token": true}));
            let secrets = [SecretString::from("key")];
            let query: String = form_urlencoded::Serializer::new(String::new())
                .append_pair("x", &challenge)
                .finish();
            let none = http::HeaderMap::new();
            let asked = WebhookRequest::new(&none, b"").method("GET").query(&query);
            let answer = respond(&scheme, &asked, HandshakeSecrets::OfDeliveries(&secrets));
            if let Some(answer) = answer {
                let mut headers = http::HeaderMap::new();
                headers.insert("x-sig", answer.body.parse().expect("a value"));
                let forged = WebhookRequest::new(&headers, challenge.as_bytes());
                let verdict = verify(&scheme, &forged, &secrets, Timestamp::UNIX_EPOCH);
                prop_assert_eq!(verdict, Err(VerifyError::SignedToken));
            }
        }
    }
}
