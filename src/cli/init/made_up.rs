//! The list of the secrets that `masshook init` made up in place of a sender's, by which `masshook check` recognizes them. It has
//! hashes of random secrets, which reveal nothing.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// The name of the list, in the folder of the secrets.
const LIST: &str = ".made-up";

/// Marks secrets in the list that are public keys.
const PUBLIC_KEY: &str = " public-key";

/// The entry of a secret in the list.
pub(in crate::cli) struct MadeUp {
    pub(in crate::cli) list: PathBuf,
    /// Whether it is a public key without a known private key, of no use to the sender.
    pub(in crate::cli) is_public_key: bool,
}

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
pub(super) fn record(file: &Path, text: &str, is_public_key: bool) -> io::Result<()> {
    let name = file.file_name().unwrap_or_default().display();
    let mut options = OpenOptions::new();
    let list = options.append(true).create(true).mode(0o600);
    let mut list = list.open(list_beside(file))?;
    let mark = if is_public_key { PUBLIC_KEY } else { "" };
    writeln!(list, "{} {name}{mark}", hash_of(text))
}

/// The entry of the secret in a file, if it is in the list.
pub(in crate::cli) fn find(file: &Path) -> Option<MadeUp> {
    let path = list_beside(file);
    let list = std::fs::read_to_string(&path).ok()?;
    let hash = hash_of(&std::fs::read_to_string(file).ok()?);
    let mut lines = list.lines();
    let line = lines.find(|line| line.starts_with(&hash))?;
    Some(MadeUp {
        list: path,
        is_public_key: line.ends_with(PUBLIC_KEY),
    })
}
