//! Reasons why a delivery is rejected.

use jiff::SignedDuration;

/// Reason why a delivery is rejected. The `Display` text contains what to check, and never a signature or a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// A required header is missing.
    #[error(
        "header {header} is missing: is this the right scheme, and does the sender have signing switched on?"
    )]
    MissingHeader {
        /// Name of the header, or several joined by "or".
        header: String,
    },
    /// Another required part of the delivery is missing.
    #[error("{part} is missing: is this the right scheme, and does the sender send it?")]
    MissingPart {
        /// The part, or several joined by "or".
        part: String,
    },
    /// A header that must have one value has several different ones.
    #[error(
        "header {header} has several values: the signed one cannot be determined; does a proxy add one?"
    )]
    RepeatedHeader {
        /// Name of the header.
        header: String,
    },
    /// Another part of the delivery that must have one value has several different ones.
    #[error("{part} has several values; exactly one is allowed")]
    RepeatedPart {
        /// The part.
        part: String,
    },
    /// The value at the location of the signature does not have the format of this scheme.
    #[error("{part} holds no signature of this form: {expected}; is this the right scheme?")]
    MalformedSignature {
        /// The location.
        part: String,
        /// The expected format.
        expected: String,
    },
    /// The signed time cannot be read.
    #[error("the signed time is not written as {expected}; check the scheme's timestamp unit")]
    MalformedTimestamp {
        /// The expected format.
        expected: &'static str,
    },
    /// None of the signatures is valid.
    #[error(
        "no signature matches: check that the secret is the sender's for this very webhook, and that nothing between \
         rewrites the body"
    )]
    NoMatch,
    /// None of the signatures is valid, and the signed text contains the public URL.
    #[error(
        "no signature matches: check that the secret is the sender's for this very webhook, that `public_url` is the \
         address that the sender calls, to the letter, and that nothing between rewrites the body"
    )]
    NoMatchWithUrl,
    /// The secret in the delivery is another one.
    #[error("{part} does not hold the secret of this route")]
    WrongToken {
        /// The location of the secret.
        part: String,
    },
    /// The token's signature is valid, but a claim has another value.
    #[error("the token is not for this route: its claim {claim} is not as expected")]
    WrongClaim {
        /// Name of the claim.
        claim: String,
    },
    /// The signature is valid, but for another body.
    #[error("the signature is valid, but for another body: does a proxy rewrite it?")]
    OtherBody,
    /// The signed text is a token, which a handshake of the route signs for anybody who asks.
    #[error(
        "the signed text is a single token, which the handshake of this route signs for anybody; send the body as JSON or a form"
    )]
    SignedToken,
    /// The signature does not cover a body of this kind.
    #[error(
        "the signature does not cover this body: it is not a form, or has too many fields, and no hash of it is signed"
    )]
    UncoveredBody,
    /// The signature is valid, but the message is from a topic that the route does not name.
    #[error("the message is from another topic than those in the route's parameter `topic`")]
    WrongTopic,
    /// The URL of the certificate is not one of Amazon SNS in the region of the topic.
    #[error(
        "SigningCertURL is not the address of a certificate of Amazon SNS in the topic's region"
    )]
    ForeignCertificate,
    /// Amazon SNS has no certificate at the URL in the message.
    #[error("SigningCertURL names no certificate of Amazon SNS: {0}")]
    UnknownCertificate(String),
    /// The sender's keys could not be fetched.
    #[error("the sender's keys could not be fetched: {0}")]
    NoKeys(String),
    /// The signature is valid, but too old.
    #[error(
        "signed {} s ago, more than the {} s allowed: a replay, a slow path or a wrong clock",
        age.as_secs(), tolerance.as_secs()
    )]
    Stale {
        /// Time since the signature.
        age: SignedDuration,
        /// Maximum that the scheme allows.
        tolerance: SignedDuration,
    },
    /// The token is valid, but has expired.
    #[error("the token has expired: a replay, a slow path or a wrong clock")]
    Expired,
    /// The signature is valid, but its time is too far in the future.
    #[error(
        "signed {} s in the future, more than the {} s allowed: check the clocks on both sides",
        ahead.as_secs(), tolerance.as_secs()
    )]
    FromTheFuture {
        /// Time until the signed time.
        ahead: SignedDuration,
        /// Maximum that the scheme allows.
        tolerance: SignedDuration,
    },
    /// No secret is configured.
    #[error("no secret is configured, so no delivery can be verified")]
    MissingSecret,
    /// The sender has not handed over its secret yet.
    #[error(
        "the sender has not handed over its secret yet, so no delivery can be verified: let it make its handshake with this URL"
    )]
    SecretNotEnrolled,
    /// A required parameter of the route is not set.
    #[error("the scheme needs the route's parameter `{0}`, which is not set")]
    MissingParam(String),
    /// The scheme signs the public URL, which is not configured.
    #[error("the scheme signs the public URL: set `public_url`, as the sender calls it")]
    MissingUrl,
    /// A secret cannot be a key, and no other secret matches.
    #[error("secret {position} of the route cannot be used: {cause}")]
    InvalidSecret {
        /// Position among the route's secrets, from 1.
        position: usize,
        /// The reason.
        cause: InvalidSecret,
    },
}

impl VerifyError {
    /// Whether the receiver's configuration is at fault, and not the sender.
    pub fn is_misconfiguration(&self) -> bool {
        matches!(
            self,
            Self::MissingSecret
                | Self::MissingParam(_)
                | Self::MissingUrl
                | Self::InvalidSecret { .. }
        )
    }

    /// Whether the same delivery may be accepted later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::NoKeys(_))
    }

    /// The most specific of several errors: the first that is not about a missing part. A transient error takes precedence,
    /// because the delivery may be genuine.
    pub(super) fn most_specific(mut errors: Vec<Self>) -> Self {
        if let Some(at) = errors.iter().position(Self::is_transient) {
            return errors.swap_remove(at);
        }
        let mut headers = Vec::new();
        let mut parts = Vec::new();
        for error in errors {
            if let Self::MissingHeader { header } = error {
                parts.push(format!("header {header}"));
                headers.push(header);
            } else if let Self::MissingPart { part } = error {
                parts.push(part);
            } else {
                return error;
            }
        }
        if headers.len() == parts.len() {
            let header = headers.join(" or ");
            return Self::MissingHeader { header };
        }
        let part = parts.join(" or ");
        Self::MissingPart { part }
    }
}

/// Reason why a secret cannot be used. Never contains the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSecret {
    /// The secret is empty, or only white space.
    #[error("it is empty")]
    Empty,
    /// The secret is not base64, as the scheme requires.
    #[error("it is not base64; was it cut, or is it another webhook's?")]
    NotBase64,
    /// The secret is not hexadecimal, as the scheme requires.
    #[error("it is not hexadecimal; was it cut, or is it another webhook's?")]
    NotHex,
    /// The secret is not a public key of the scheme's kind.
    #[error("it is not a public key of the scheme's kind; was it cut, or is it another webhook's?")]
    NotAPublicKey,
}
