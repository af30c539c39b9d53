//! Where a whole secret can be written, found out before there is one: a grant code is good once, a sender hands its secret
//! over once, and neither must be lost for want of a place.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use tempfile::NamedTempFile;

use super::{SecretRef, SecretSource, SecretStoreError, SecretVersion, WritableSecrets};

/// Why nothing can be written where a reference points.
#[derive(Debug, thiserror::Error)]
pub enum SecretWriteError {
    /// It is one key of a secret.
    #[error("{0} is one key of a secret, and secrets are written whole: drop the # part")]
    Key(SecretRef),
    /// It is an environment variable.
    #[error("{0} cannot be set from here: write file:PATH or secretsmanager:NAME")]
    Environment(SecretRef),
    /// It is a parameter, which this program only reads.
    #[error("{0} is a parameter, which is only read: write file:PATH or secretsmanager:NAME")]
    Parameter(SecretRef),
    /// The place does not take it.
    #[error("{0} cannot be written: {1}")]
    Refused(SecretRef, String),
    /// The place cannot be used just now.
    #[error("{0} cannot be written now: {1}")]
    Later(SecretRef, String),
}

impl SecretWriteError {
    fn missing(reference: &SecretRef, missing: SecretStoreError) -> Self {
        match missing.transient {
            true => Self::Later(reference.clone(), missing.why),
            false => Self::Refused(reference.clone(), missing.why),
        }
    }
}

impl SecretRef {
    /// Whether this program can write there at all, as far as the reference itself tells.
    ///
    /// # Errors
    /// [`SecretWriteError::Key`], [`SecretWriteError::Environment`], [`SecretWriteError::Parameter`].
    pub fn can_be_written(&self) -> Result<(), SecretWriteError> {
        self.destination().map(drop)
    }

    fn destination(&self) -> Result<Destination<'_>, SecretWriteError> {
        match (self.kind, &self.key) {
            (_, Some(_)) => Err(SecretWriteError::Key(self.clone())),
            (SecretSource::Env, None) => Err(SecretWriteError::Environment(self.clone())),
            (SecretSource::Parameter, None) => Err(SecretWriteError::Parameter(self.clone())),
            (SecretSource::SecretsManager, None) => Ok(Destination::SecretsManager(&self.name)),
            (SecretSource::File, None) => Ok(Destination::File(Path::new(&self.name))),
        }
    }
}

/// What a reference names that this program can write.
enum Destination<'a> {
    SecretsManager(&'a str),
    File(&'a Path),
}

/// Why nothing is written to a Secrets Manager that this program only reads.
const READ_ONLY: &str = "secrets are only read there";

/// A place that takes a secret.
#[derive(Debug)]
pub struct SecretLocation<'a> {
    reference: &'a SecretRef,
    means: Backend<'a>,
}

#[derive(Debug)]
enum Backend<'a> {
    /// With the version that is the current one.
    SecretsManager(&'a dyn WritableSecrets, Option<SecretVersion>),
    /// The new file, which nobody but its owner may read, beside the one that it replaces.
    File(NamedTempFile, PathBuf),
}

impl<'a> SecretLocation<'a> {
    /// The place that `reference` points to.
    ///
    /// # Errors
    /// [`SecretWriteError`], as far as that can be told beforehand.
    pub async fn of(
        reference: &'a SecretRef,
        secrets_manager: Option<&'a dyn WritableSecrets>,
    ) -> Result<Self, SecretWriteError> {
        let refused = |why: String| SecretWriteError::Refused(reference.clone(), why);
        let means = match reference.destination()? {
            Destination::SecretsManager(name) => {
                let store = secrets_manager.ok_or_else(|| refused(READ_ONLY.to_owned()))?;
                let current = store.current(name).await;
                let current =
                    current.map_err(|missing| SecretWriteError::missing(reference, missing))?;
                Backend::SecretsManager(store, current)
            }
            Destination::File(path) => {
                let draft = draft(path).map_err(|error| refused(error.to_string()))?;
                Backend::File(draft, path.to_owned())
            }
        };
        Ok(Self { reference, means })
    }

    /// The secret that is there now; none if there is none, or nothing in it, or the empty object that stands for nothing.
    ///
    /// # Errors
    /// [`SecretWriteError::Refused`].
    pub fn held(&self) -> Result<Option<SecretString>, SecretWriteError> {
        match &self.means {
            Backend::SecretsManager(_, current) => {
                let current = current.as_ref();
                Ok(current.and_then(|version| something(version.value.expose_secret())))
            }
            Backend::File(_, path) => of_file(path).map_err(|error| {
                SecretWriteError::Refused(self.reference.clone(), error.to_string())
            }),
        }
    }

    /// Writes the secret where there is none, and says whether it did: of several writers at once one alone succeeds.
    ///
    /// # Errors
    /// [`SecretWriteError`].
    pub async fn write_first(self, secret: SecretString) -> Result<bool, SecretWriteError> {
        if self.held()?.is_some() {
            return Ok(false);
        }
        match self.means {
            Backend::SecretsManager(store, current) => {
                // Whoever else found the same version chooses the same id, and only one writer gets it.
                let before = current.map(|version| version.id).unwrap_or_default();
                let version = SecretVersion {
                    id: SecretVersion::id_after("secret", &before),
                    value: secret,
                };
                let put = store.put(&self.reference.name, &version).await;
                put.map_err(|missing| SecretWriteError::missing(self.reference, missing))
            }
            Backend::File(mut draft, path) => {
                let refused = |error: io::Error| {
                    SecretWriteError::Refused(self.reference.clone(), error.to_string())
                };
                fill(&mut draft, &secret).map_err(refused)?;
                if let Ok(empty) = File::open(&path) {
                    // Several may have found nothing in it: they replace it one after the other, and look again.
                    empty.lock().map_err(refused)?;
                    if of_file(&path).map_err(refused)?.is_some() {
                        return Ok(false);
                    }
                    draft.persist(path).map_err(|kept| refused(kept.error))?;
                    return Ok(true);
                }
                match draft.persist_noclobber(path) {
                    Ok(_) => Ok(true),
                    Err(kept) if kept.error.kind() == ErrorKind::AlreadyExists => Ok(false),
                    Err(kept) => Err(refused(kept.error)),
                }
            }
        }
    }

    /// Writes the secret, all of it or nothing.
    ///
    /// # Errors
    /// [`SecretWriteError`].
    pub async fn write(self, secret: SecretString) -> Result<(), SecretWriteError> {
        let refused = |why: String| SecretWriteError::Refused(self.reference.clone(), why);
        match self.means {
            Backend::SecretsManager(store, _) => {
                let version = SecretVersion {
                    id: format!("{:032x}", fastrand::u128(..)),
                    value: secret,
                };
                let put = store.put(&self.reference.name, &version).await;
                match put.map_err(|missing| SecretWriteError::missing(self.reference, missing))? {
                    true => Ok(()),
                    false => Err(refused(
                        "somebody else wrote it at the same time".to_owned(),
                    )),
                }
            }
            Backend::File(mut draft, path) => {
                fill(&mut draft, &secret).map_err(|error| refused(error.to_string()))?;
                let kept = draft.persist(path);
                kept.map_err(|error| refused(error.error.to_string()))?;
                Ok(())
            }
        }
    }
}

fn fill(draft: &mut NamedTempFile, secret: &SecretString) -> io::Result<()> {
    writeln!(draft, "{}", secret.expose_secret())?;
    draft.as_file().sync_all()
}

/// The secret that is at a place where one may not have been written yet, as [`SecretLocation::held`].
pub(super) async fn held(
    reference: &SecretRef,
    secrets_manager: Option<&dyn WritableSecrets>,
) -> Result<Option<SecretString>, SecretStoreError> {
    let missing = |why: String| SecretStoreError {
        why,
        transient: false,
    };
    let destination = reference
        .destination()
        .map_err(|unwritable| missing(unwritable.to_string()))?;
    match destination {
        Destination::SecretsManager(name) => {
            let store = secrets_manager.ok_or_else(|| missing(READ_ONLY.to_owned()))?;
            let current = store.current(name).await?;
            Ok(current.and_then(|version| something(version.value.expose_secret())))
        }
        Destination::File(path) => of_file(path).map_err(|error| missing(error.to_string())),
    }
}

/// Whether a secret could be kept there, as far as this machine can tell without asking another.
///
/// # Errors
/// [`SecretWriteError`].
pub fn ready(reference: &SecretRef, replaceable: bool) -> Result<(), SecretWriteError> {
    let refused =
        |error: io::Error| SecretWriteError::Refused(reference.clone(), error.to_string());
    match reference.destination()? {
        Destination::File(path) => {
            let held = of_file(path).map_err(refused)?;
            // Once it is learnt, the folder may as well be read-only.
            if held.is_none() || replaceable {
                draft(path).map_err(refused)?;
            }
            Ok(())
        }
        Destination::SecretsManager(_) => Ok(()),
    }
}

/// A new file beside the one that it is to replace.
fn draft(path: &Path) -> io::Result<NamedTempFile> {
    let folder = path.parent();
    let folder = folder.filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    NamedTempFile::new_in(folder).map_err(|error| {
        // The system's own message names the draft.
        let why = format!(
            "no file can be made in {}: {}",
            folder.display(),
            error.kind()
        );
        io::Error::new(error.kind(), why)
    })
}

fn of_file(path: &Path) -> io::Result<Option<SecretString>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(something(&text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A secret, unless there is nothing in it.
fn something(text: &str) -> Option<SecretString> {
    let text = text.trim_end_matches(['\r', '\n']);
    let held = !text.is_empty() && text != "{}";
    held.then(|| text.to_owned().into())
}
