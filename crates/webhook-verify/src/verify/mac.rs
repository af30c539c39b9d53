//! Hashes with and without a key.

use hmac::{KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;

use crate::scheme::Algorithm;

/// An HMAC in progress, with any hash function.
#[derive(Clone)]
pub(crate) enum AnyMac {
    Sha1(hmac::Hmac<Sha1>),
    Sha256(hmac::Hmac<Sha256>),
    Sha512(hmac::Hmac<Sha512>),
}

impl AnyMac {
    pub(crate) fn new(algorithm: Algorithm, key: &[u8]) -> Self {
        match algorithm {
            Algorithm::Sha1 => Self::Sha1(keyed(key)),
            Algorithm::Sha256 => Self::Sha256(keyed(key)),
            Algorithm::Sha512 => Self::Sha512(keyed(key)),
        }
    }

    pub(crate) fn update(&mut self, piece: &[u8]) {
        match self {
            Self::Sha1(mac) => mac.update(piece),
            Self::Sha256(mac) => mac.update(piece),
            Self::Sha512(mac) => mac.update(piece),
        }
    }

    /// Compares in constant time. A signature with another length never matches.
    pub(super) fn matches(&self, signature: &[u8]) -> bool {
        match self.clone() {
            Self::Sha1(mac) => mac.verify_slice(signature).is_ok(),
            Self::Sha256(mac) => mac.verify_slice(signature).is_ok(),
            Self::Sha512(mac) => mac.verify_slice(signature).is_ok(),
        }
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        match self {
            Self::Sha1(mac) => mac.finalize().into_bytes().to_vec(),
            Self::Sha256(mac) => mac.finalize().into_bytes().to_vec(),
            Self::Sha512(mac) => mac.finalize().into_bytes().to_vec(),
        }
    }
}

fn keyed<M: KeyInit>(key: &[u8]) -> M {
    // Unwrap safety: HMAC takes keys of any length (RFC 2104 section 2).
    M::new_from_slice(key).expect("HMAC takes keys of any length")
}

/// The hash of the concatenated pieces.
pub(super) fn digest<P: AsRef<[u8]>>(algorithm: Algorithm, pieces: &[P]) -> Vec<u8> {
    fn of<D: Digest, P: AsRef<[u8]>>(pieces: &[P]) -> Vec<u8> {
        let mut hash = D::new();
        pieces.iter().for_each(|piece| hash.update(piece));
        hash.finalize().to_vec()
    }
    match algorithm {
        Algorithm::Sha1 => of::<Sha1, P>(pieces),
        Algorithm::Sha256 => of::<Sha256, P>(pieces),
        Algorithm::Sha512 => of::<Sha512, P>(pieces),
    }
}

/// Compares in constant time, except for the length.
pub(crate) fn constant_time_eq(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}

/// Whether a text is the body's SHA-256 in hexadecimal, case-insensitive.
pub(super) fn is_hash_of(text: &[u8], body: &[u8]) -> bool {
    hex::decode(text).is_ok_and(|hash| constant_time_eq(&hash, &Sha256::digest(body)))
}
