//! Errors of locating and loading the config file.

use std::path::PathBuf;

use strict_reader::Problem;

/// Why the configuration could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No config file exists at any of these paths.
    #[error("no config file: looked for {}; name one with MASSHOOK_CONFIG or --config", paths(.0))]
    NotFound(Vec<PathBuf>),
    /// The config file cannot be read.
    #[error("the config file {path} cannot be read: {error}")]
    Unreadable {
        /// Path of the file.
        path: PathBuf,
        /// Error of the operating system.
        error: std::io::Error,
    },
    /// The content of the config file is invalid.
    #[error("{path} has {} problem{}:{}", problems.len(), if problems.len() == 1 { "" } else { "s" }, lines(problems))]
    Invalid {
        /// Path of the file.
        path: PathBuf,
        /// All problems found, in the order of the file's keys.
        problems: Vec<Problem>,
    },
    /// Enrolled secrets could not be written to their configured locations.
    #[error("a secret cannot be stored where the config says:{}", lines(.0))]
    SecretNotWritable(Vec<Problem>),
}

fn paths(paths: &[PathBuf]) -> String {
    paths
        .iter()
        .map(|path| path.display().to_string())
        .collect::<Vec<_>>()
        .join(", ")
}

fn lines(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(|problem| format!("\n  {problem}"))
        .collect()
}
