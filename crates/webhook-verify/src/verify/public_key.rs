//! Public keys of senders, and the signatures that they verify.

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

/// Maximum keys of a published key set to read.
const MAX_KEYS: usize = 100;

/// The algorithm of a signature.
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
    /// The key as SubjectPublicKeyInfo (X.509) in DER, or the bare key.
    Der(Vec<u8>),
    /// The numbers of an RSA key, big-endian.
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
}

impl PublicKey {
    /// Reads a key from a secret: PEM of a public key or a certificate, or the key in the encoding of the format, with base64
    /// for `utf8`.
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
            Self::from_pem(&text).ok_or(InvalidSecret::NotAPublicKey)?
        } else if format.encoding == SecretEncoding::Utf8 {
            let der = BASE64
                .decode(text.trim())
                .map_err(|_| InvalidSecret::NotBase64)?;
            Self::Der(der)
        } else {
            Self::Der(key_bytes(secret, format)?.to_vec())
        };
        if key.is_usable_for(kind) {
            Ok(key)
        } else {
            Err(InvalidSecret::NotAPublicKey)
        }
    }

    /// Reads an RSA key from a secret: PEM of a key or a certificate, or base64.
    pub(super) fn read_rsa(secret: &SecretString) -> Result<Self, InvalidSecret> {
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

    fn is_usable_for(&self, kind: KeyKind) -> bool {
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

/// The RSA signature keys of a JSON Web Key Set (RFC 7517); with a key id, only the key with this id.
pub(super) fn rsa_keys(set: &str, key_id: Option<&str>) -> Vec<PublicKey> {
    let set: Value = serde_json::from_str(set).unwrap_or_default();
    let keys = set["keys"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let is_candidate = |key: &&Value| {
        let text = |name: &str| key[name].as_str();
        text("kty") == Some("RSA")
            && text("use").is_none_or(|usage| usage == "sig")
            && text("alg").is_none_or(|algorithm| algorithm == "RS256")
            && (key_id.is_none() || text("kid") == key_id)
    };
    let number = |key: &Value, name: &str| BASE64_URL.decode(key[name].as_str()?).ok();
    let keys = keys.iter().take(MAX_KEYS).filter(is_candidate);
    keys.filter_map(|key| {
        Some(PublicKey::Rsa {
            modulus: number(key, "n")?,
            exponent: number(key, "e")?,
        })
    })
    .collect()
}
