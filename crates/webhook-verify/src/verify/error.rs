//! Why a delivery is not let in.

use jiff::SignedDuration;

/// Why a delivery is not let in. `Display` says what to check and never shows a signature or a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// A header that the scheme needs is not there.
    #[error(
        "header {header} is missing: is this the right scheme, and does the sender have signing switched on?"
    )]
    MissingHeader {
        /// Its name, or several with "or" between them.
        header: String,
    },
    /// Another part of the delivery that the scheme needs is not there.
    #[error("{part} is missing: is this the right scheme, and does the sender send it?")]
    MissingPart {
        /// Which, or several with "or" between them.
        part: String,
    },
    /// A header that must have one value has several that differ.
    #[error(
        "header {header} has several values: which one was signed cannot be told; does a proxy add one?"
    )]
    RepeatedHeader {
        /// Its name.
        header: String,
    },
    /// Another part of the delivery that must have one value has several that differ.
    #[error("{part} has several values: which one counts cannot be told")]
    RepeatedPart {
        /// Which.
        part: String,
    },
    /// Where the signature should stand is nothing that could be one of this scheme.
    #[error("{part} holds no signature of this form: {expected}; is this the right scheme?")]
    MalformedSignature {
        /// Where.
        part: String,
        /// What the scheme expects there.
        expected: String,
    },
    /// The signed time cannot be read.
    #[error("the signed time is not written as {expected}; check the scheme's timestamp unit")]
    MalformedTimestamp {
        /// How the scheme expects it.
        expected: &'static str,
    },
    /// There are signatures, and none is right.
    #[error(
        "no signature matches: check that the secret is the sender's for this very webhook, and that nothing between \
         rewrites the body"
    )]
    NoMatch,
    /// The signed text includes the public URL, and no spelling of the one we know matches.
    #[error(
        "no signature matches: check that the secret is the sender's for this very webhook, that `public_url` is the \
         address that the sender calls, to the letter, and that nothing between rewrites the body"
    )]
    NoMatchWithUrl,
    /// The secret that came along is another one.
    #[error("{part} does not hold the secret of this route")]
    WrongToken {
        /// Where it should stand.
        part: String,
    },
    /// The token's signature is right, but what it says is not what this route expects.
    #[error("the token is not for this route: its claim {claim} is not as expected")]
    WrongClaim {
        /// Which.
        claim: String,
    },
    /// The token is not for this body, or the body's hash in the signed URL is not.
    #[error("the signature is right, but for another body: does anything between rewrite it?")]
    OtherBody,
    /// The signature does not cover a body of this kind.
    #[error(
        "the signature does not cover this body: it is no form, or one with too many fields, and no hash of it is signed"
    )]
    UncoveredBody,
    /// The message is genuine, but not from a topic of this route.
    #[error("the message is from another topic than those in the route's parameter `topic`")]
    WrongTopic,
    /// The message names a certificate that its sender does not publish.
    #[error("SigningCertURL is not an address of Amazon SNS")]
    ForeignCertificate,
    /// The sender's keys are not at hand.
    #[error("the sender's keys could not be had: {0}")]
    NoKeys(String),
    /// The signature is right, but was made too long ago.
    #[error(
        "signed {} s ago, more than the {} s allowed: a replay, a slow path or a wrong clock",
        age.as_secs(), tolerance.as_secs()
    )]
    Stale {
        /// Since it was signed.
        age: SignedDuration,
        /// What the scheme allows.
        tolerance: SignedDuration,
    },
    /// The token is right, but has expired.
    #[error("the token has expired: a replay, a slow path or a wrong clock")]
    Expired,
    /// The signature is right, but its time lies too far ahead.
    #[error(
        "signed {} s in the future, more than the {} s allowed: check the clocks on both sides",
        ahead.as_secs(), tolerance.as_secs()
    )]
    FromTheFuture {
        /// Until it is signed.
        ahead: SignedDuration,
        /// What the scheme allows.
        tolerance: SignedDuration,
    },
    /// There is no secret to check with.
    #[error("no secret is configured, so nothing can be let in")]
    MissingSecret,
    /// There is no secret to check with yet.
    #[error(
        "the sender has not handed over its secret yet, so nothing can be let in: let it make its handshake with this address"
    )]
    SecretNotEnrolled,
    /// A parameter of the route that the scheme needs is not set.
    #[error("the scheme needs the route's parameter `{0}`, which is not set")]
    MissingParam(String),
    /// The scheme signs the public URL, which is not known.
    #[error("the scheme signs the public URL: set `public_url`, as the sender calls it")]
    MissingUrl,
    /// A secret cannot be a key, and no other one matched.
    #[error("secret {position} of the route cannot be used: {cause}")]
    InvalidSecret {
        /// Which of the route's secrets, from 1.
        position: usize,
        /// What is wrong with it.
        cause: InvalidSecret,
    },
}

impl VerifyError {
    /// Whether our own configuration is at fault, and not the sender.
    pub fn is_misconfiguration(&self) -> bool {
        matches!(
            self,
            Self::MissingSecret
                | Self::MissingParam(_)
                | Self::MissingUrl
                | Self::InvalidSecret { .. }
        )
    }

    /// Whether it may pass by itself: the same delivery may be let in later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::NoKeys(_))
    }

    /// Of several refusals the most telling: the first that is more than something missing.
    pub(super) fn most_telling(refusals: Vec<Self>) -> Self {
        let mut headers = Vec::new();
        let mut parts = Vec::new();
        for refusal in refusals {
            if let Self::MissingHeader { header } = refusal {
                parts.push(format!("header {header}"));
                headers.push(header);
            } else if let Self::MissingPart { part } = refusal {
                parts.push(part);
            } else {
                return refusal;
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

/// What is wrong with a secret; never its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSecret {
    /// Nothing is in it.
    #[error("it is empty")]
    Empty,
    /// The scheme's key is base64, and this is not.
    #[error("it is not base64; was it cut, or is it another webhook's?")]
    NotBase64,
    /// The scheme's key is hexadecimal, and this is not.
    #[error("it is not hexadecimal; was it cut, or is it another webhook's?")]
    NotHex,
    /// The scheme's key is a public key, and this is not one of its kind.
    #[error("it is not a public key of the scheme's kind; was it cut, or is it another webhook's?")]
    NotAPublicKey,
}
