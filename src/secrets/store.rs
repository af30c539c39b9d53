//! Stores of secrets: the traits, and the two stores that need no AWS.

use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use secrecy::SecretString;
use sha2::{Digest, Sha256};

/// A store that returns secrets by name.
#[async_trait]
pub trait SecretStore: fmt::Debug + Send + Sync {
    /// Returns the secret with this name.
    ///
    /// # Errors
    /// [`SecretStoreError`].
    async fn get(&self, name: &str) -> Result<SecretString, SecretStoreError>;

    /// The same store, if it can be written.
    fn writable(&self) -> Option<&dyn WritableSecrets> {
        None
    }

    /// The parameter store of the same provider, to which `ssm:` refers.
    fn parameters(&self) -> Option<&dyn SecretStore> {
        None
    }
}

/// A version of a secret.
#[derive(Debug)]
pub struct SecretVersion {
    /// Its id.
    pub id: String,
    /// Its content.
    pub value: SecretString,
}

impl SecretVersion {
    /// The id of the version that follows the version `before`, for secrets of the kind `what`. Writers that read the same
    /// version choose the same id, and the store accepts it from one of them.
    pub fn id_after(what: &str, before: &str) -> String {
        hex::encode(&Sha256::digest(format!("masshook {what} after {before}"))[..16])
    }
}

/// A store whose secrets are chains of versions. The writer chooses the id of a new version, and the store accepts each id
/// from one writer only. Processes need nothing else to agree on a value.
#[async_trait]
pub trait WritableSecrets: fmt::Debug + Send + Sync {
    /// Returns the current version, or `None` if the secret does not exist or has no value yet.
    ///
    /// # Errors
    /// [`SecretStoreError`].
    async fn current(&self, name: &str) -> Result<Option<SecretVersion>, SecretStoreError>;

    /// Makes a version the current one, and creates the secret if it does not exist. Returns false if a version with this
    /// id and another value exists: another writer was first.
    ///
    /// # Errors
    /// [`SecretStoreError`].
    async fn put(&self, name: &str, version: &SecretVersion) -> Result<bool, SecretStoreError>;
}

/// Why a store did not return or write a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretStoreError {
    /// The cause, and what to do.
    pub why: String,
    /// Whether a retry may succeed.
    pub transient: bool,
}

/// Secrets in environment variables.
#[derive(Clone, Copy, Debug)]
pub struct EnvironmentSecrets;

#[async_trait]
impl SecretStore for EnvironmentSecrets {
    #[expect(
        clippy::disallowed_methods,
        reason = "this module reads secrets from the environment"
    )]
    async fn get(&self, name: &str) -> Result<SecretString, SecretStoreError> {
        std::env::var(name)
            .map(SecretString::from)
            .map_err(|error| SecretStoreError {
                why: match error {
                    std::env::VarError::NotPresent => {
                        "the environment variable is not set".to_owned()
                    }
                    std::env::VarError::NotUnicode(_) => {
                        "the environment variable is not UTF-8".to_owned()
                    }
                },
                transient: false,
            })
    }
}

/// Secrets in files.
#[derive(Clone, Copy, Debug)]
pub struct FileSecrets;

#[async_trait]
impl SecretStore for FileSecrets {
    async fn get(&self, name: &str) -> Result<SecretString, SecretStoreError> {
        match std::fs::read_to_string(PathBuf::from(name)) {
            Ok(text) => Ok(text.into()),
            Err(error) => Err(SecretStoreError {
                transient: !is_permanent(error.kind()),
                why: match error.kind() == ErrorKind::InvalidData {
                    true => "the file is not UTF-8 text (`>` of PowerShell 5 writes UTF-16)".into(),
                    false => format!("{error}{}", absolute_hint(Path::new(name))),
                },
            }),
        }
    }
}

/// Where a relative path was looked for.
fn absolute_hint(path: &Path) -> String {
    let absolute = std::path::absolute(path).ok();
    let absolute = absolute.filter(|_| path.is_relative());
    absolute.map_or_else(String::new, |absolute| {
        format!("; looked for {}", absolute.display())
    })
}

/// Whether a file stays unreadable until somebody corrects it. Anything else is a lack of resources, such as of file
/// descriptors.
fn is_permanent(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::NotFound
            | ErrorKind::PermissionDenied
            | ErrorKind::InvalidData
            | ErrorKind::InvalidInput
            | ErrorKind::IsADirectory
            | ErrorKind::NotADirectory
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unreadable_file_is_permanent_lack_of_descriptors_is_not() {
        let missing = std::fs::read_to_string("/nowhere/secret").expect_err("missing");
        assert!(is_permanent(missing.kind()));
        // ENFILE, EMFILE, ENOMEM, EIO
        for code in [23, 24, 12, 5] {
            let lack = std::io::Error::from_raw_os_error(code);
            assert!(!is_permanent(lack.kind()), "{lack}");
        }
    }

    /// Two releases of the program write to the same chain of versions: if the id changed, both could write the next one.
    #[test]
    fn version_id_is_stable_across_releases() {
        for (what, before, id) in [
            ("secret", "", "ec235d10bace49ccf34d655a8e06ca87"),
            ("secret", "00ff", "1e9210399ec72027bf78f342bb8868f6"),
            ("token", "", "ff822c33af92b0b7ab6424103d191110"),
            ("token", "00ff", "5bd8fdb717b444f069c6fe285dadffb1"),
        ] {
            assert_eq!(
                SecretVersion::id_after(what, before),
                id,
                "{what} after {before}"
            );
        }
    }
}
