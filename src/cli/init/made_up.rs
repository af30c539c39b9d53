//! The list of the secrets that `masshook init` made up in place of a sender's, by which `masshook check` recognizes them. It has
//! hashes of random secrets, which reveal nothing.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// The name of the list, in the folder of the secrets.
const LIST: &str = ".made-up";

fn list_beside(secret: &Path) -> PathBuf {
    secret.with_file_name(LIST)
}

fn hash_of(text: &str) -> String {
    hex::encode(Sha256::digest(text.trim_end()))
}

/// Adds a secret to the list beside its file.
///
/// # Errors
/// Those of the file system.
pub(super) fn record(file: &Path, text: &str) -> io::Result<()> {
    let name = file.file_name().unwrap_or_default().display();
    let mut options = OpenOptions::new();
    let list = options.append(true).create(true).mode(0o600);
    let mut list = list.open(list_beside(file))?;
    writeln!(list, "{} {name}", hash_of(text))
}

/// The list that has the secret in a file, if there is one.
pub(in crate::cli) fn list_with(file: &Path) -> Option<PathBuf> {
    let path = list_beside(file);
    let list = std::fs::read_to_string(&path).ok()?;
    let hash = hash_of(&std::fs::read_to_string(file).ok()?);
    let mut lines = list.lines();
    lines.any(|line| line.starts_with(&hash)).then_some(path)
}
