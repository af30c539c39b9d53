//! The keys that sign callbacks: `whsec_` for HMAC-SHA256 and `whsk_` for Ed25519, as Standard Webhooks writes them.

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// The prefix of shared secrets.
const SHARED: &str = "whsec_";

/// The prefix of private keys.
const PRIVATE: &str = "whsk_";

/// The prefix of public keys.
const PUBLIC: &str = "whpk_";

/// Bytes that a shared secret may have ("Signature scheme" in the specification).
const SHARED_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// Bytes of the secret part of an Ed25519 key, and of its public part.
const SEED_BYTES: usize = 32;

/// Why a key cannot sign callbacks. No message contains the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSecret {
    /// It has another prefix.
    #[error("it must begin with `{SHARED}` (HMAC) or `{PRIVATE}` (Ed25519)")]
    NoPrefix,
    /// It is a public key.
    #[error(
        "it is a public key, with which receivers verify callbacks; the private key that signs them begins with `{PRIVATE}`"
    )]
    Public,
    /// The text after the prefix is not base64.
    #[error("what follows `{0}` is not base64")]
    NotBase64(&'static str),
    /// The shared secret is too short or too long.
    #[error(
        "its key has {0} bytes, but must have {min} to {max}; `openssl rand -base64 32` makes a good one",
        min = SHARED_BYTES.start(),
        max = SHARED_BYTES.end()
    )]
    KeyLength(usize),
    /// It is a private key under the prefix of shared secrets.
    #[error(
        "its bytes are a private Ed25519 key with its public key, so it must begin with `{PRIVATE}`; as `{SHARED}` it would sign with HMAC"
    )]
    Private,
    /// The private key is too short or too long.
    #[error(
        "its key has {0} bytes, but a private Ed25519 key has 32, or 64 with its public key; `masshook auth --callback-key ed25519` makes one"
    )]
    PrivateKeyLength(usize),
    /// The two parts of the private key do not belong together.
    #[error("its second half is not the public key of its first half")]
    PublicKeyDiffers,
    /// The bytes are no Ed25519 key.
    #[error("it is not an Ed25519 key")]
    NotAKey,
}

/// The kinds of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// A secret that masshook and the receivers share (HMAC-SHA256).
    Shared,
    /// A private key; receivers need its public key only (Ed25519).
    Ed25519,
}

/// A key that signs callbacks.
pub enum SigningKey {
    /// A shared secret.
    Shared(Zeroizing<Vec<u8>>),
    /// A private key.
    Ed25519(Box<Ed25519KeyPair>),
}

impl SigningKey {
    /// Reads a key.
    ///
    /// # Errors
    /// The reason why it cannot sign.
    pub fn read(secret: &SecretString) -> Result<Self, BadSecret> {
        // White space has no meaning in base64; it comes from copying.
        let text: Zeroizing<String> =
            Zeroizing::new(secret.expose_secret().split_ascii_whitespace().collect());
        if let Some(text) = text.strip_prefix(SHARED) {
            let key = decoded(text, SHARED)?;
            return match SHARED_BYTES.contains(&key.len()) {
                // Half of it is the public key, which is no secret.
                true if key.len() == 2 * SEED_BYTES && key_pair(&key).is_ok() => {
                    Err(BadSecret::Private)
                }
                true => Ok(Self::Shared(key)),
                false => Err(BadSecret::KeyLength(key.len())),
            };
        }
        if let Some(text) = text.strip_prefix(PRIVATE) {
            let pair = key_pair(&decoded(text, PRIVATE)?)?;
            return Ok(Self::Ed25519(Box::new(pair)));
        }
        Err(match text.starts_with(PUBLIC) {
            true => BadSecret::Public,
            false => BadSecret::NoPrefix,
        })
    }

    /// Makes a key. Returns `None` if the system has no randomness.
    pub fn generate(kind: KeyKind) -> Option<SecretString> {
        let mut seed = Zeroizing::new([0; SEED_BYTES]);
        SystemRandom::new().fill(seed.as_mut_slice()).ok()?;
        let text = match kind {
            KeyKind::Shared => format!("{SHARED}{}", STANDARD.encode(seed.as_slice())),
            KeyKind::Ed25519 => {
                let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_slice()).ok()?;
                let mut bytes = Zeroizing::new(seed.to_vec());
                bytes.extend_from_slice(pair.public_key().as_ref());
                format!("{PRIVATE}{}", STANDARD.encode(bytes.as_slice()))
            }
        };
        Some(text.into())
    }

    /// The public key with which receivers verify; none for a shared secret.
    pub fn public_key(&self) -> Option<String> {
        match self {
            Self::Shared(_) => None,
            Self::Ed25519(pair) => {
                let key = STANDARD.encode(pair.public_key().as_ref());
                Some(format!("{PUBLIC}{key}"))
            }
        }
    }

    /// The signature of a text, with its version.
    pub(super) fn sign(&self, text: &[u8]) -> String {
        match self {
            Self::Shared(key) => {
                // Unwrap safety: HMAC takes keys of any length (RFC 2104 section 2).
                let mut mac =
                    Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
                mac.update(text);
                format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
            }
            Self::Ed25519(pair) => format!("v1a,{}", STANDARD.encode(pair.sign(text).as_ref())),
        }
    }
}

fn decoded(text: &str, prefix: &'static str) -> Result<Zeroizing<Vec<u8>>, BadSecret> {
    let key = STANDARD.decode(text);
    let key = key.map_err(|_| BadSecret::NotBase64(prefix))?;
    Ok(Zeroizing::new(key))
}

/// The key pair of a private key: its 32 bytes, or 64 with the public key behind them.
fn key_pair(bytes: &[u8]) -> Result<Ed25519KeyPair, BadSecret> {
    let (seed, public) = bytes.split_at_checked(SEED_BYTES).unwrap_or((bytes, &[]));
    match public.len() {
        _ if seed.len() != SEED_BYTES => Err(BadSecret::PrivateKeyLength(bytes.len())),
        0 => Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| BadSecret::NotAKey),
        SEED_BYTES => Ed25519KeyPair::from_seed_and_public_key(seed, public)
            .map_err(|_| BadSecret::PublicKeyDiffers),
        _ => Err(BadSecret::PrivateKeyLength(bytes.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first vector of RFC 8032 section 7.1.
    const SEED: &str = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";
    const PUBLIC_KEY: &str = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

    fn read(text: &str) -> Result<SigningKey, BadSecret> {
        SigningKey::read(&SecretString::from(text))
    }

    #[test]
    fn private_key_has_its_public_key() {
        let both = [SEED, PUBLIC_KEY].map(|text| STANDARD.decode(text).expect("base64"));
        let both = STANDARD.encode(both.concat());
        for text in [format!("whsk_{SEED}"), format!("whsk_{both}\n")] {
            let key = read(&text).expect("a key");
            let public = format!("whpk_{PUBLIC_KEY}");
            assert_eq!(key.public_key(), Some(public), "{text}");
        }
    }

    #[test]
    fn published_vector_is_reproduced() {
        let key = read(&format!("whsk_{SEED}")).expect("a key");
        let expected = "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b";
        let expected = format!(
            "v1a,{}",
            STANDARD.encode(hex::decode(expected).expect("hex"))
        );
        assert_eq!(key.sign(b""), expected);
    }

    #[test]
    fn generated_keys_can_be_read() {
        for kind in [KeyKind::Shared, KeyKind::Ed25519] {
            let secret = SigningKey::generate(kind).expect("randomness");
            let other = SigningKey::generate(kind).expect("randomness");
            assert_ne!(secret.expose_secret(), other.expose_secret());
            let key = SigningKey::read(&secret).expect("a key");
            assert_eq!(key.public_key().is_some(), kind == KeyKind::Ed25519);
        }
    }

    #[test]
    fn private_key_is_no_shared_secret() {
        let both = [SEED, PUBLIC_KEY].map(|text| STANDARD.decode(text).expect("base64"));
        let error = read(&format!("whsec_{}", STANDARD.encode(both.concat()))).err();
        assert_eq!(error, Some(BadSecret::Private));
        // Any other 64 bytes are a good secret.
        let other = format!("whsec_{}", STANDARD.encode([7; 64]));
        assert!(matches!(read(&other), Ok(SigningKey::Shared(_))));
    }

    #[test]
    fn unusable_private_keys_are_named() {
        let error = |text: &str| read(text).err().expect("refused").to_string();
        let of_length = |length: usize| format!("whsk_{}", STANDARD.encode(vec![7; length]));
        insta::assert_snapshot!(error(&format!("whpk_{PUBLIC_KEY}")), @"it is a public key, with which receivers verify callbacks; the private key that signs them begins with `whsk_`");
        insta::assert_snapshot!(error("whsk_?"), @"what follows `whsk_` is not base64");
        insta::assert_snapshot!(error(&of_length(31)), @"its key has 31 bytes, but a private Ed25519 key has 32, or 64 with its public key; `masshook auth --callback-key ed25519` makes one");
        insta::assert_snapshot!(error(&of_length(65)), @"its key has 65 bytes, but a private Ed25519 key has 32, or 64 with its public key; `masshook auth --callback-key ed25519` makes one");
        insta::assert_snapshot!(error(&of_length(64)), @"its second half is not the public key of its first half");
        assert!(read(&of_length(32)).is_ok());
    }
}
