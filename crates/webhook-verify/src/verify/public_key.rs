//! Signatures that need only the sender's public key.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA512, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use secrecy::SecretString;
use serde_json::Value;
use webpki::EndEntityCert;

use super::encoding::{BASE64, BASE64_URL, key_bytes, stripped};
use super::error::InvalidSecret;
use crate::scheme::{Algorithm, SecretEncoding, SecretFormat};

/// The most keys of a published set that are looked at.
const MAX_KEYS: usize = 100;

/// What a signature is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyKind {
    Ed25519,
    EcdsaP256,
    Rsa(Algorithm),
}

impl KeyKind {
    fn algorithm(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Self::Ed25519 => &ED25519,
            Self::EcdsaP256 => &ECDSA_P256_SHA256_ASN1,
            Self::Rsa(Algorithm::Sha1) => &RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Rsa(Algorithm::Sha256) => &RSA_PKCS1_2048_8192_SHA256,
            Self::Rsa(Algorithm::Sha512) => &RSA_PKCS1_2048_8192_SHA512,
        }
    }
}

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PublicKey {
    /// As X.509's SubjectPublicKeyInfo in DER, or the bare key.
    Der(Vec<u8>),
    /// An RSA key's numbers, big-endian.
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
}

impl PublicKey {
    /// Reads a secret: PEM of a public key or a certificate, or the key in the format's encoding, base64 if it is `utf8`.
    pub(super) fn read(
        kind: KeyKind,
        secret: &SecretString,
        format: &SecretFormat,
    ) -> Result<Self, InvalidSecret> {
        let text = stripped(secret, format);
        if text.trim().is_empty() {
            return Err(InvalidSecret::Empty);
        }
        let key = if text.contains("-----BEGIN") {
            Self::from_pem(text).ok_or(InvalidSecret::NotAPublicKey)?
        } else if format.encoding == SecretEncoding::Utf8 {
            let der = BASE64
                .decode(text.trim())
                .map_err(|_| InvalidSecret::NotBase64)?;
            Self::Der(der)
        } else {
            Self::Der(key_bytes(secret, format)?.to_vec())
        };
        if key.suits(kind) {
            Ok(key)
        } else {
            Err(InvalidSecret::NotAPublicKey)
        }
    }

    /// Reads a secret that says itself what it is: an RSA key, or a certificate of one.
    pub(super) fn rsa_of(secret: &SecretString) -> Result<Self, InvalidSecret> {
        let kind = KeyKind::Rsa(Algorithm::Sha256);
        Self::read(kind, secret, &SecretFormat::default())
    }

    /// The key of a PEM certificate or public key.
    pub(super) fn from_pem(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if let Ok(key) = SubjectPublicKeyInfoDer::from_pem_slice(bytes) {
            return Some(Self::Der(key.as_ref().to_vec()));
        }
        let certificate = CertificateDer::from_pem_slice(bytes).ok()?;
        let certificate = EndEntityCert::try_from(&certificate).ok()?;
        let key = certificate.subject_public_key_info();
        Some(Self::Der(key.as_ref().to_vec()))
    }

    fn suits(&self, kind: KeyKind) -> bool {
        match self {
            Self::Der(key) => {
                aws_lc_rs::signature::ParsedPublicKey::new(kind.algorithm(), key).is_ok()
            }
            Self::Rsa { .. } => matches!(kind, KeyKind::Rsa(_)),
        }
    }

    pub(super) fn verifies(&self, kind: KeyKind, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Der(key) => UnparsedPublicKey::new(kind.algorithm(), key)
                .verify(message, signature)
                .is_ok(),
            Self::Rsa { modulus, exponent } => {
                let (n, e) = (modulus, exponent);
                let parameters = match kind {
                    KeyKind::Rsa(Algorithm::Sha256) => &RSA_PKCS1_2048_8192_SHA256,
                    KeyKind::Rsa(Algorithm::Sha512) => &RSA_PKCS1_2048_8192_SHA512,
                    KeyKind::Rsa(Algorithm::Sha1) | KeyKind::Ed25519 | KeyKind::EcdsaP256 => {
                        return false;
                    }
                };
                RsaPublicKeyComponents { n, e }
                    .verify(parameters, message, signature)
                    .is_ok()
            }
        }
    }
}

/// The RSA keys for signatures of a JSON Web Key Set (RFC 7517); with a key id, only the one that it names.
pub(super) fn rsa_keys(set: &str, key_id: Option<&str>) -> Vec<PublicKey> {
    let set: Value = serde_json::from_str(set).unwrap_or_default();
    let keys = set["keys"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let wanted = |key: &&Value| {
        let text = |name: &str| key[name].as_str();
        text("kty") == Some("RSA")
            && text("use").is_none_or(|usage| usage == "sig")
            && text("alg").is_none_or(|algorithm| algorithm == "RS256")
            && (key_id.is_none() || text("kid") == key_id)
    };
    let number = |key: &Value, name: &str| BASE64_URL.decode(key[name].as_str()?).ok();
    let keys = keys.iter().take(MAX_KEYS).filter(wanted);
    keys.filter_map(|key| {
        Some(PublicKey::Rsa {
            modulus: number(key, "n")?,
            exponent: number(key, "e")?,
        })
    })
    .collect()
}
