//! Makes a key that signs callbacks, and saves it as the secret that the config names.

use clap::ValueEnum;
use serde_json::json;

use crate::aws::secrets::SecretsManager;
use crate::callback::key::{KeyKind, SigningKey};
use crate::cli::terminal::{ExitStatus, OutputFormat};
use crate::config::Config;
use crate::secrets::location::SecretLocation;

/// The kind of a key.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum CallbackKey {
    /// A shared secret: receivers verify with the same key.
    Hmac,
    /// A private key: receivers verify with its public key, which is no secret.
    Ed25519,
}

impl From<CallbackKey> for KeyKind {
    fn from(kind: CallbackKey) -> Self {
        match kind {
            CallbackKey::Hmac => Self::Shared,
            CallbackKey::Ed25519 => Self::Ed25519,
        }
    }
}

/// Makes a key, and saves it in the first place of `callbacks.signing_secret` that is empty. No key is replaced: receivers
/// would refuse callbacks that are signed with a key that they do not know.
///
/// # Errors
/// There is no such place.
pub(super) async fn make(
    kind: CallbackKey,
    config: &Config,
    output: OutputFormat,
) -> Result<ExitStatus, String> {
    let references = &config.callbacks.signing_secret;
    if references.is_empty() {
        return Err("the config has no `callbacks.signing_secret`: name a place for the key there, such as file:callback.key or secretsmanager:masshook/callback".to_owned());
    }
    let key = SigningKey::generate(kind.into());
    let key = key.ok_or("the system has no randomness for a key")?;
    let public = SigningKey::read(&key).map_err(|error| error.to_string())?;
    let public = public.public_key();
    let secrets_manager = SecretsManager::new();
    let mut reasons = Vec::new();
    for reference in references {
        let saved = match SecretLocation::of(reference, Some(&secrets_manager)).await {
            Ok(place) => place.write_if_absent(key.clone()).await,
            Err(error) => Err(error),
        };
        match saved {
            Ok(true) => {
                let text = match &public {
                    Some(public) => format!(
                        "saved {reference}\npublic key {public}\nGive the public key to the receivers of callbacks; it is no secret."
                    ),
                    None => format!(
                        "saved {reference}\nReceivers of callbacks need the same secret to verify them."
                    ),
                };
                let kind = kind.to_possible_value();
                let kind = kind.map(|value| value.get_name().to_owned());
                output.print(
                    &json!({"ok": true, "kind": kind, "saved": reference.to_string(), "public_key": public}),
                    &text,
                );
                return Ok(ExitStatus::Success);
            }
            Ok(false) => reasons.push(format!("{reference} has a secret already")),
            Err(error) => reasons.push(error.to_string()),
        }
    }
    Err(format!(
        "no key was saved: {}. Add a reference to `callbacks.signing_secret` for a new key; during a rotation callbacks have a signature of each",
        reasons.join("; ")
    ))
}
