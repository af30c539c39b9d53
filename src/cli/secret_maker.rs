//! Makes secrets in the forms that senders use.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;

use crate::callback::key::SigningKey;
use crate::config::SecretPurpose;
use crate::zoho::credentials::Credentials;

/// Random secrets in the forms that senders use. None if the system has no random numbers.
fn candidates() -> impl Iterator<Item = String> {
    let forms: [fn(&[u8]) -> String; 4] = [
        |bytes| hex::encode(&bytes[..16]),
        |bytes| format!("whsec_{}", STANDARD.encode(bytes)),
        |bytes| STANDARD.encode(bytes),
        |bytes| hex::encode(bytes),
    ];
    forms.into_iter().filter_map(|form| {
        let mut bytes = [0; 32];
        aws_lc_rs::rand::fill(&mut bytes).ok()?;
        Some(form(&bytes))
    })
}

/// Makes a secret that serves a purpose, and with which a sample can be signed. `None` if it would be the public half of a
/// key pair.
pub(super) fn new_secret(purpose: &SecretPurpose<'_>) -> Option<String> {
    candidates().find(|text| fits(purpose, text))
}

/// A public key whose private key is discarded. It stands for the sender's key until that is known, and verifies nothing.
pub(super) fn placeholder_key(purpose: &SecretPurpose<'_>) -> Option<String> {
    let pair = Ed25519KeyPair::generate().ok()?;
    let key = pair.public_key().as_ref();
    let forms = [hex::encode(key), STANDARD.encode(key)];
    forms.into_iter().find(|text| fits(purpose, text))
}

/// Whether a text can serve a purpose.
pub(super) fn fits(purpose: &SecretPurpose<'_>, text: &str) -> bool {
    let secret = SecretString::from(text.to_owned());
    match purpose {
        SecretPurpose::CallbackSigning => SigningKey::read(&secret).is_ok(),
        SecretPurpose::Verification(scheme) | SecretPurpose::Enrolled(scheme) => {
            webhook_verify::verify::check_secret(scheme, &secret).is_ok()
        }
        SecretPurpose::Credentials => Credentials::parse(&secret).is_ok(),
        SecretPurpose::TokenCache
        | SecretPurpose::ApiKey
        | SecretPurpose::ConsoleKey
        | SecretPurpose::HandshakeToken => !text.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use webhook_verify::scheme::{PRESETS, Scheme};

    use super::*;

    #[test]
    fn senders_with_shared_secrets_get_one() {
        for name in PRESETS {
            let scheme = Scheme::preset(name).expect("a preset");
            let purpose = SecretPurpose::Verification(&scheme);
            let found = new_secret(&purpose).is_some();
            // Only the sender has the private key that belongs to the public key or certificate of these.
            let has_public_key =
                ["standard-webhooks-ed25519", "zoho-desk", "aws-sns"].contains(name);
            assert!(found || has_public_key, "{name}");
        }
        assert!(new_secret(&SecretPurpose::CallbackSigning).is_some());
    }

    #[test]
    fn public_key_has_a_placeholder() {
        for name in ["standard-webhooks-ed25519", "discord"] {
            let scheme = Scheme::preset(name).expect("a preset");
            let key = placeholder_key(&SecretPurpose::Verification(&scheme));
            assert!(key.is_some(), "{name}");
        }
    }
}
