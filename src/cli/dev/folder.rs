//! The folder of `masshook dev`: a config to play with, made-up secrets, jobs.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::cli::serve::LOCK_FILE;

/// The folder, in the working directory.
pub(in crate::cli) const FOLDER: &str = "masshook-dev";

/// The config in use, in the folder.
pub(in crate::cli) const RUNNING_CONFIG: &str = "running.json";

/// The folder of the jobs, in the folder.
const DATA: &str = "data";

/// The address of the server, in the folder.
const ADDRESS: &str = "address";

/// The config to play with.
const STARTER: &str = include_str!("starter.yaml");

/// The folder of `masshook dev`. Git ignores it, because it contains secrets.
#[derive(Clone, Debug)]
pub(super) struct DevFolder {
    path: PathBuf,
    /// Whether this start has created it.
    is_new: bool,
}

impl DevFolder {
    /// Creates the folder, unless it exists.
    ///
    /// # Errors
    /// Those of the file system, with the path.
    pub(super) fn create() -> Result<Self, String> {
        let path = std::env::current_dir()
            .map(|current| current.join(FOLDER))
            .map_err(|error| format!("the working directory cannot be read: {error}"))?;
        let is_new = !path.exists();
        let folder = Self { path, is_new };
        for path in [&folder.path, &folder.secrets(), &folder.data()] {
            std::fs::create_dir_all(path)
                .map_err(|error| format!("{}: {error}", path.display()))?;
        }
        folder.write_once(&folder.path.join(".gitignore"), "*\n")?;
        Ok(folder)
    }

    /// Deletes the folder if this start has created it.
    pub(super) fn discard_if_new(&self) {
        if self.is_new {
            // What stays does no harm.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }

    /// The folder of the jobs.
    pub(super) fn data(&self) -> PathBuf {
        self.path.join(DATA)
    }

    /// Writes the address of the server, for commands in the same working directory.
    pub(super) fn write_address(&self, mut address: SocketAddr) -> Result<(), String> {
        // Every address of the machine is also this one.
        if address.ip().is_unspecified() {
            address.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        self.replace(&self.path.join(ADDRESS), &address.to_string())
    }

    fn secrets(&self) -> PathBuf {
        self.path.join("secrets")
    }

    /// The config to play with. It is written unless it exists, so that it can be edited.
    pub(super) fn starter_config(&self) -> Result<PathBuf, String> {
        let path = self.path.join("masshook.yaml");
        let secrets = self.secrets().display().to_string();
        self.write_once(&path, &STARTER.replace("{secrets}", &secrets))?;
        Ok(path)
    }

    /// Writes the config in use: the user's, with the simulator's connections and the made-up secrets.
    pub(super) fn write_running_config(&self, text: &str) -> Result<PathBuf, String> {
        let path = self.path.join(RUNNING_CONFIG);
        self.replace(&path, text)?;
        Ok(path)
    }

    /// The file of a secret.
    pub(super) fn secret_file(&self, name: &str) -> PathBuf {
        self.secrets().join(name)
    }

    /// Writes a secret, readable for this user only.
    pub(super) fn write_secret(&self, path: &Path, text: &str) -> Result<(), String> {
        self.replace(path, text)
    }

    fn write_once(&self, path: &Path, text: &str) -> Result<(), String> {
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(path);
        let written = match file {
            Ok(mut file) => file.write_all(text.as_bytes()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
        };
        written.map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Replaces a file in one step. A temporary file is readable for this user only.
    fn replace(&self, path: &Path, text: &str) -> Result<(), String> {
        let written = || -> io::Result<()> {
            let mut draft = tempfile::NamedTempFile::new_in(&self.path)?;
            draft.write_all(text.as_bytes())?;
            draft.persist(path).map_err(|failed| failed.error)?;
            Ok(())
        };
        written().map_err(|error| format!("{}: {error}", path.display()))
    }
}

/// The server of a `masshook dev` that runs in this working directory.
pub(in crate::cli) struct RunningDev {
    pub(in crate::cli) address: SocketAddr,
    /// The config in use.
    pub(in crate::cli) config: PathBuf,
}

impl RunningDev {
    /// Finds it. `None` if none runs here.
    pub(in crate::cli) fn find() -> Option<Self> {
        let folder = Path::new(FOLDER);
        // The address of one that has ended may still be there. Its lock is not.
        let lock = File::open(folder.join(DATA).join(LOCK_FILE)).ok()?;
        let is_held = matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock));
        let address = std::fs::read_to_string(folder.join(ADDRESS)).ok()?;
        is_held.then_some(Self {
            address: address.parse().ok()?,
            config: folder.join(RUNNING_CONFIG),
        })
    }
}

/// A path as it is shown: relative to the working directory if it is below it.
pub(super) fn shown(path: &Path) -> String {
    let current = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&current)
        .unwrap_or(path)
        .display()
        .to_string()
}
