//! Makes up the secrets that a config names and this machine does not have. They are files, so that `masshook send` signs
//! with the same ones.

use std::collections::BTreeMap;
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::folder::DevFolder;
use crate::cli::secret_maker::{fits, new_secret};
use crate::config::{Config, SecretPurpose, SecretUse};

/// The secrets that replace others, by the reference that they replace.
#[derive(Debug, Default)]
pub(super) struct MadeSecrets {
    /// The references in the running config.
    pub(super) references: BTreeMap<String, String>,
    /// References that were made up, for the message to the user.
    pub(super) made: Vec<String>,
    /// References for which no secret can be made up, each with its key in the config.
    pub(super) impossible: Vec<String>,
}

impl MadeSecrets {
    /// Makes up a secret for every use for which `is_usable` is false. The credentials of connections and token caches are
    /// not its business.
    ///
    /// # Errors
    /// A file cannot be written.
    pub(super) fn make(
        config: &Config,
        is_usable: impl Fn(&SecretUse<'_>) -> bool,
        folder: &DevFolder,
    ) -> Result<Self, String> {
        let mut secrets = Self::default();
        for used in config.secret_uses() {
            let is_connection = matches!(
                used.purpose,
                SecretPurpose::Credentials | SecretPurpose::TokenCache
            );
            let reference = used.reference.to_string();
            let is_known = secrets.references.contains_key(&reference);
            if is_connection || is_known || is_usable(&used) {
                continue;
            }
            match secrets.make_one(&used, &reference, folder)? {
                true => secrets.made.push(reference),
                false => secrets.impossible.push(used.at.to_string()),
            }
        }
        Ok(secrets)
    }

    /// The files that other secrets replace.
    pub(super) fn awaited_files(&self) -> Vec<PathBuf> {
        let replaced = self.references.iter();
        let replaced = replaced.filter(|(reference, replacement)| reference != replacement);
        let files = replaced.filter_map(|(reference, _)| reference.strip_prefix("file:"));
        let files = files.map(|path| PathBuf::from(path.split('#').next().unwrap_or(path)));
        files.collect()
    }

    fn make_one(
        &mut self,
        used: &SecretUse<'_>,
        reference: &str,
        folder: &DevFolder,
    ) -> Result<bool, String> {
        let path = match reference.strip_prefix("file:") {
            // A missing file of this folder gets its place, so that the config to play with works as it is written.
            Some(path) if path.starts_with(&folder.secret_file("").display().to_string()) => {
                path.split('#').next().unwrap_or(path).into()
            }
            _ => folder.secret_file(&file_name(reference)),
        };
        let stored = std::fs::read_to_string(&path).ok();
        let stored = stored.filter(|text| fits(&used.purpose, text.trim_end()));
        if stored.is_none() {
            let Some(text) = new_secret(&used.purpose) else {
                return Ok(false);
            };
            folder.write_secret(&path, &text)?;
        }
        let replacement = format!("file:{}", path.display());
        self.references.insert(reference.to_owned(), replacement);
        Ok(true)
    }
}

/// The name of a made-up secret's file: the reference in safe characters, with a hash that keeps it unique.
fn file_name(reference: &str) -> String {
    let is_safe = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
    let safe: String = reference
        .chars()
        .map(|character| if is_safe(character) { character } else { '-' })
        .take(80)
        .collect();
    let hash = hex::encode(Sha256::digest(reference));
    format!("{}-{}", safe.trim_start_matches('.'), &hash[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_safe_and_unique() {
        for reference in [
            "secretsmanager:a/b#c",
            "env:../../x",
            "file:/etc/passwd",
            "ssm:\u{1f600}",
        ] {
            let name = file_name(reference);
            assert!(!name.contains('/') && !name.starts_with('.'), "{name}");
        }
        assert_ne!(file_name("ssm:a/b"), file_name("ssm:a-b"));
    }
}
