//! Encrypts tokens in the store. The key is derived from the connection's credentials, so a process that can read or write
//! the store but not the credentials, such as a function behind a public API, can neither use nor replace a token.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;

use crate::secrets::{SecretRef, Secrets};
use crate::zoho::credentials::Credentials;

/// Names the format: the derivation of the key, and the cipher.
const VERSION: &str = "v1:";

/// The key's use, which separates it from other keys of the same credentials.
const KEY_PURPOSE: &[u8] = b"masshook token cache v1";

const KEY_BYTES: usize = 32;

/// Encrypts the values of one connection.
#[derive(Debug)]
pub(super) struct TokenSeal {
    secrets: Arc<Secrets>,
    credentials: SecretRef,
    /// Whether the current value cannot be decrypted, and that is logged.
    unreadable: AtomicBool,
}

impl TokenSeal {
    /// A seal under the credentials to which `credentials` points.
    pub(super) fn new(secrets: Arc<Secrets>, credentials: SecretRef) -> Self {
        Self {
            secrets,
            credentials,
            unreadable: AtomicBool::new(false),
        }
    }

    /// Encrypts a document for the value with this name.
    pub(super) async fn seal(&self, name: &str, document: &str) -> Result<SecretString, String> {
        let key = SealKey::derive(&self.credentials().await?)?;
        key.seal(name, document)
    }

    /// Decrypts the value with this name. A value that was not encrypted for this name and under these credentials is
    /// absent: it is forged, or older than the credentials.
    pub(super) async fn open(&self, name: &str, sealed: &str) -> Result<Option<String>, String> {
        let key = SealKey::derive(&self.credentials().await?)?;
        let document = key.open(name, sealed);
        let was_unreadable = self.unreadable.swap(document.is_none(), Ordering::Relaxed);
        if document.is_none() && !was_unreadable {
            tracing::warn!(
                value = name,
                "the shared access token was not encrypted under the credentials {}, so it is not used",
                self.credentials
            );
        }
        Ok(document)
    }

    async fn credentials(&self) -> Result<Credentials, String> {
        let reference = &self.credentials;
        let secret = self.secrets.get(reference).await;
        let secret = secret.map_err(|error| error.to_string())?;
        Credentials::parse(&secret).map_err(|error| format!("the secret {reference} {error}"))
    }
}

struct SealKey(RandomizedNonceKey);

impl SealKey {
    /// Derives the key. Its input contains the client secret and, if there is one, the refresh token.
    fn derive(credentials: &Credentials) -> Result<Self, String> {
        let failed = |_| "the key of the shared access token cannot be derived".to_owned();
        let derived = Salt::new(HKDF_SHA256, &[]).extract(&credentials.form());
        let derived = derived
            .expand(&[KEY_PURPOSE], &AES_256_GCM)
            .map_err(failed)?;
        let mut key = [0; KEY_BYTES];
        derived.fill(&mut key).map_err(failed)?;
        RandomizedNonceKey::new(&AES_256_GCM, &key)
            .map(Self)
            .map_err(failed)
    }

    /// The nonce and the ciphertext, in base64. The name is authenticated, so that a value is valid in its place only.
    fn seal(&self, name: &str, document: &str) -> Result<SecretString, String> {
        let mut bytes = document.as_bytes().to_vec();
        let nonce = self
            .0
            .seal_in_place_append_tag(Aad::from(name.as_bytes()), &mut bytes)
            .map_err(|_| "the access token cannot be encrypted".to_owned())?;
        let mut sealed = nonce.as_ref().to_vec();
        sealed.append(&mut bytes);
        Ok(format!("{VERSION}{}", STANDARD.encode(sealed)).into())
    }

    fn open(&self, name: &str, sealed: &str) -> Option<String> {
        let sealed = STANDARD.decode(sealed.strip_prefix(VERSION)?).ok()?;
        let (nonce, ciphertext) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut bytes = ciphertext.to_vec();
        let aad = Aad::from(name.as_bytes());
        let document = self.0.open_in_place(nonce, aad, &mut bytes).ok()?;
        String::from_utf8(document.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use secrecy::ExposeSecret;

    fn key(refresh_token: &str) -> SealKey {
        let secret = format!(
            r#"{{"client_id":"1000.A","client_secret":"s","refresh_token":"{refresh_token}"}}"#
        );
        let credentials = Credentials::parse(&secret.into()).expect("credentials");
        SealKey::derive(&credentials).expect("a key")
    }

    fn sealed(document: &str) -> String {
        let sealed = key("r").seal("token/a", document).expect("sealed");
        sealed.expose_secret().to_owned()
    }

    proptest! {
        #[test]
        fn sealed_document_opens_in_its_place_only(document in "\\PC{0,80}") {
            let sealed = sealed(&document);
            prop_assert_eq!(key("r").open("token/a", &sealed), Some(document));
            prop_assert_eq!(key("r").open("token/b", &sealed), None);
            prop_assert_eq!(key("other").open("token/a", &sealed), None);
        }

        #[test]
        fn changed_or_invented_value_does_not_open(at in 0_usize..40, bit in 0_u8..8, text in "\\PC{0,80}") {
            let sealed = sealed("document");
            let mut bytes = STANDARD.decode(&sealed[VERSION.len()..]).expect("base64");
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            let changed = format!("{VERSION}{}", STANDARD.encode(bytes));
            prop_assert_eq!(key("r").open("token/a", &changed), None);
            prop_assert_eq!(key("r").open("token/a", &text), None);
            prop_assert_eq!(key("r").open("token/a", &format!("{VERSION}{text}")), None);
        }
    }

    #[test]
    fn sealed_value_hides_document_and_never_repeats() {
        let (one, other) = (sealed("1000.secret"), sealed("1000.secret"));
        assert!(!one.contains("1000.secret"));
        assert_ne!(one, other);
    }
}
