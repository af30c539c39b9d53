//! Locations to which a whole secret can be written. A location is checked before the secret is received: a grant code
//! works once and a sender transfers its secret once, so neither may be lost because the location cannot be written.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use tempfile::NamedTempFile;

use super::reference::SecretSource;
use super::text::trimmed;
use super::{SecretRef, SecretStoreError, SecretVersion, WritableSecrets};

/// Why a secret cannot be written to a reference.
#[derive(Debug, thiserror::Error)]
pub enum SecretWriteError {
    /// The reference is one key of a secret.
    #[error("{0} is one key of a secret, and secrets are written whole: drop the # part")]
    Key(SecretRef),
    /// The reference is an environment variable.
    #[error("{0} cannot be set from here: write file:PATH or secretsmanager:NAME")]
    Environment(SecretRef),
    /// The reference is a parameter, which this program only reads.
    #[error("{0} is a parameter, which is only read: write file:PATH or secretsmanager:NAME")]
    Parameter(SecretRef),
    /// The store refused the secret.
    #[error("{0} cannot be written: {1}")]
    Refused(SecretRef, String),
    /// The store cannot be used at the moment; a retry may succeed.
    #[error("{0} cannot be written now: {1}")]
    Later(SecretRef, String),
}

impl SecretWriteError {
    fn from_store(reference: &SecretRef, error: SecretStoreError) -> Self {
        match error.transient {
            true => Self::Later(reference.clone(), error.why),
            false => Self::Refused(reference.clone(), error.why),
        }
    }
}

impl SecretRef {
    /// Checks by the form of the reference alone that this program can write to it.
    ///
    /// # Errors
    /// [`SecretWriteError::Key`], [`SecretWriteError::Environment`], [`SecretWriteError::Parameter`].
    pub fn check_writable(&self) -> Result<(), SecretWriteError> {
        self.destination().map(drop)
    }

    fn destination(&self) -> Result<Destination<'_>, SecretWriteError> {
        match (self.source, &self.key) {
            (_, Some(_)) => Err(SecretWriteError::Key(self.clone())),
            (SecretSource::Env, None) => Err(SecretWriteError::Environment(self.clone())),
            (SecretSource::Parameter, None) => Err(SecretWriteError::Parameter(self.clone())),
            (SecretSource::SecretsManager, None) => Ok(Destination::SecretsManager(&self.name)),
            (SecretSource::File, None) => Ok(Destination::File(Path::new(&self.name))),
        }
    }
}

/// A writable target of a reference.
enum Destination<'a> {
    SecretsManager(&'a str),
    File(&'a Path),
}

const READ_ONLY: &str = "secrets are only read there";

/// A location that is ready to receive a secret.
#[derive(Debug)]
pub struct SecretLocation<'a> {
    reference: &'a SecretRef,
    backend: Backend<'a>,
}

#[derive(Debug)]
enum Backend<'a> {
    /// The store, and the current version.
    SecretsManager(&'a dyn WritableSecrets, Option<SecretVersion>),
    /// The draft, which only its owner may read, and the file that it replaces.
    File(NamedTempFile, PathBuf),
}

impl<'a> SecretLocation<'a> {
    /// Opens the location of `reference`: reads the current version, or creates the draft of the file, and its folder.
    ///
    /// # Errors
    /// [`SecretWriteError`] for what can be detected before the write.
    pub async fn of(
        reference: &'a SecretRef,
        secrets_manager: Option<&'a dyn WritableSecrets>,
    ) -> Result<Self, SecretWriteError> {
        let refused = |why: String| SecretWriteError::Refused(reference.clone(), why);
        let backend = match reference.destination()? {
            Destination::SecretsManager(name) => {
                let store = secrets_manager.ok_or_else(|| refused(READ_ONLY.to_owned()))?;
                let current = store.current(name).await;
                let current =
                    current.map_err(|error| SecretWriteError::from_store(reference, error))?;
                Backend::SecretsManager(store, current)
            }
            Destination::File(path) => {
                create_folder(path);
                let draft = new_draft(path).map_err(|error| refused(error.to_string()))?;
                Backend::File(draft, path.to_owned())
            }
        };
        Ok(Self { reference, backend })
    }

    /// Returns the stored secret; `None` if there is none, or if it is empty or the empty object.
    ///
    /// # Errors
    /// [`SecretWriteError::Refused`].
    pub fn stored_secret(&self) -> Result<Option<SecretString>, SecretWriteError> {
        match &self.backend {
            Backend::SecretsManager(_, current) => {
                let current = current.as_ref();
                Ok(current.and_then(|version| non_empty(version.value.expose_secret())))
            }
            Backend::File(_, path) => read_file(path).map_err(|error| {
                SecretWriteError::Refused(self.reference.clone(), error.to_string())
            }),
        }
    }

    /// Writes the secret if none is stored, and returns whether it did. Of several concurrent writers exactly one succeeds.
    ///
    /// # Errors
    /// [`SecretWriteError`].
    pub async fn write_if_absent(self, secret: SecretString) -> Result<bool, SecretWriteError> {
        if self.stored_secret()?.is_some() {
            return Ok(false);
        }
        match self.backend {
            Backend::SecretsManager(store, current) => {
                // Every writer that read this version chooses the same id, and the store accepts it from one of them.
                let before = current.map(|version| version.id).unwrap_or_default();
                let version = SecretVersion {
                    id: SecretVersion::id_after("secret", &before),
                    value: secret,
                };
                let put = store.put(&self.reference.name, &version).await;
                put.map_err(|error| SecretWriteError::from_store(self.reference, error))
            }
            Backend::File(mut draft, path) => {
                let refused = |error: io::Error| {
                    SecretWriteError::Refused(self.reference.clone(), error.to_string())
                };
                write_draft(&mut draft, &secret).map_err(refused)?;
                if let Ok(empty) = File::open(&path) {
                    // Several writers may have found the file empty. The lock makes each check again before it writes.
                    empty.lock().map_err(refused)?;
                    if read_file(&path).map_err(refused)?.is_some() {
                        return Ok(false);
                    }
                    draft
                        .persist(path)
                        .map_err(|failed| refused(failed.error))?;
                    return Ok(true);
                }
                match draft.persist_noclobber(path) {
                    Ok(_) => Ok(true),
                    Err(failed) if failed.error.kind() == ErrorKind::AlreadyExists => Ok(false),
                    Err(failed) => Err(refused(failed.error)),
                }
            }
        }
    }

    /// Writes the secret atomically.
    ///
    /// # Errors
    /// [`SecretWriteError`].
    pub async fn write(self, secret: SecretString) -> Result<(), SecretWriteError> {
        let refused = |why: String| SecretWriteError::Refused(self.reference.clone(), why);
        match self.backend {
            Backend::SecretsManager(store, _) => {
                let version = SecretVersion {
                    id: format!("{:032x}", fastrand::u128(..)),
                    value: secret,
                };
                let put = store.put(&self.reference.name, &version).await;
                match put.map_err(|error| SecretWriteError::from_store(self.reference, error))? {
                    true => Ok(()),
                    false => Err(refused(
                        "another process wrote it at the same time".to_owned(),
                    )),
                }
            }
            Backend::File(mut draft, path) => {
                write_draft(&mut draft, &secret).map_err(|error| refused(error.to_string()))?;
                let persisted = draft.persist(path);
                persisted.map_err(|error| refused(error.error.to_string()))?;
                Ok(())
            }
        }
    }
}

fn write_draft(draft: &mut NamedTempFile, secret: &SecretString) -> io::Result<()> {
    writeln!(draft, "{}", secret.expose_secret())?;
    draft.as_file().sync_all()
}

/// Reads what [`SecretLocation::stored_secret`] returns, without preparing a write.
pub(super) async fn stored_secret(
    reference: &SecretRef,
    secrets_manager: Option<&dyn WritableSecrets>,
) -> Result<Option<SecretString>, SecretStoreError> {
    let permanent = |why: String| SecretStoreError {
        why,
        transient: false,
    };
    let destination = reference
        .destination()
        .map_err(|error| permanent(error.to_string()))?;
    match destination {
        Destination::SecretsManager(name) => {
            let store = secrets_manager.ok_or_else(|| permanent(READ_ONLY.to_owned()))?;
            let current = store.current(name).await?;
            Ok(current.and_then(|version| non_empty(version.value.expose_secret())))
        }
        Destination::File(path) => read_file(path).map_err(|error| permanent(error.to_string())),
    }
}

/// Checks that an enrolled secret can be stored, without a call to another machine.
///
/// # Errors
/// [`SecretWriteError`].
pub fn check_ready(reference: &SecretRef, replaceable: bool) -> Result<(), SecretWriteError> {
    let refused =
        |error: io::Error| SecretWriteError::Refused(reference.clone(), error.to_string());
    match reference.destination()? {
        Destination::File(path) => {
            let stored = read_file(path).map_err(refused)?;
            // A folder may be read-only once the secret is enrolled.
            if stored.is_none() || replaceable {
                new_draft(path).map_err(refused)?;
            }
            Ok(())
        }
        Destination::SecretsManager(_) => Ok(()),
    }
}

/// The folder of a file.
fn folder_of(path: &Path) -> &Path {
    let folder = path.parent();
    let folder = folder.filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// Creates the folder of a file, with access for its owner only, in a folder that exists: the rest of a path is a mistake if
/// more of it is missing.
fn create_folder(path: &Path) {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    // The folder may exist; the draft reports what is wrong with it otherwise.
    let _ = builder.create(folder_of(path));
}

/// Creates a temporary file in the folder of the file that it replaces.
fn new_draft(path: &Path) -> io::Result<NamedTempFile> {
    let folder = folder_of(path);
    NamedTempFile::new_in(folder).map_err(|error| {
        // The error of `tempfile` contains the name of the draft.
        let why = format!(
            "no file can be made in {}: {}",
            folder.display(),
            error.kind()
        );
        io::Error::new(error.kind(), why)
    })
}

fn read_file(path: &Path) -> io::Result<Option<SecretString>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(non_empty(&text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The secret, unless it is blank or the empty object.
fn non_empty(text: &str) -> Option<SecretString> {
    let text = trimmed(text);
    let has_value = !text.trim().is_empty() && text != "{}";
    has_value.then(|| text.to_owned().into())
}
