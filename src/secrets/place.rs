//! Where a whole secret can be written, found out before there is one: a grant code is good once, and what it became must
//! not be lost for want of a place.

use std::io::Write;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use tempfile::NamedTempFile;

use super::{Kind, SecretRef, Version, WritableSecrets};

/// Why nothing can be written where a reference points.
#[derive(Debug, thiserror::Error)]
pub enum Unwritable {
    /// It is one key of a secret.
    #[error("{0} is one key of a secret, and credentials are written whole: drop the # part")]
    Key(SecretRef),
    /// It is an environment variable.
    #[error(
        "{0} cannot be set from here: let `credentials` be file:PATH or secretsmanager:NAME, or set the variable yourself to a JSON object with client_id, client_secret and refresh_token"
    )]
    Environment(SecretRef),
    /// The place does not take it.
    #[error("{0} cannot be written: {1}")]
    Refused(SecretRef, String),
}

/// A place that takes a secret.
#[derive(Debug)]
pub struct Place<'a> {
    reference: &'a SecretRef,
    means: Means<'a>,
}

#[derive(Debug)]
enum Means<'a> {
    SecretsManager(&'a dyn WritableSecrets),
    /// The new file, which nobody but its owner may read, beside the one that it replaces.
    File(NamedTempFile, PathBuf),
}

impl<'a> Place<'a> {
    /// The place that `reference` points to.
    ///
    /// # Errors
    /// [`Unwritable`], as far as that can be told beforehand.
    pub async fn of(
        reference: &'a SecretRef,
        secrets_manager: &'a dyn WritableSecrets,
    ) -> Result<Self, Unwritable> {
        let refused = |why: String| Unwritable::Refused(reference.clone(), why);
        if reference.key.is_some() {
            return Err(Unwritable::Key(reference.clone()));
        }
        let means = match reference.kind {
            Kind::Env => return Err(Unwritable::Environment(reference.clone())),
            Kind::SecretsManager => {
                let current = secrets_manager.current(&reference.name).await;
                current.map_err(|missing| refused(missing.why))?;
                Means::SecretsManager(secrets_manager)
            }
            Kind::File => {
                let path = PathBuf::from(&reference.name);
                let folder = path
                    .parent()
                    .filter(|folder| !folder.as_os_str().is_empty())
                    .unwrap_or(Path::new("."));
                let draft = NamedTempFile::new_in(folder);
                Means::File(draft.map_err(|error| refused(error.to_string()))?, path)
            }
        };
        Ok(Self { reference, means })
    }

    /// Writes the secret, all of it or nothing.
    ///
    /// # Errors
    /// [`Unwritable`].
    pub async fn write(self, secret: SecretString) -> Result<(), Unwritable> {
        let refused = |why: String| Unwritable::Refused(self.reference.clone(), why);
        match self.means {
            Means::SecretsManager(store) => {
                let version = Version {
                    id: format!("{:032x}", fastrand::u128(..)),
                    value: secret,
                };
                let put = store.put(&self.reference.name, &version).await;
                match put.map_err(|missing| refused(missing.why))? {
                    true => Ok(()),
                    false => Err(refused(
                        "somebody else wrote it at the same time".to_owned(),
                    )),
                }
            }
            Means::File(mut draft, path) => {
                let write = |draft: &mut NamedTempFile| {
                    writeln!(draft, "{}", secret.expose_secret())?;
                    draft.as_file().sync_all()
                };
                write(&mut draft).map_err(|error| refused(error.to_string()))?;
                let kept = draft.persist(path);
                kept.map_err(|error| refused(error.error.to_string()))?;
                Ok(())
            }
        }
    }
}
