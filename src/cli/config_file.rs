//! The `--config` option and the errors of the config file.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};
use strict_reader::Problem;

use super::terminal::{ExitStatus, OutputFormat, print_error, print_json};
use super::text::shell_quoted;
use crate::config::{CompileMode, Config, ConfigError};

/// The config file of a command.
#[derive(Clone, Debug, Args)]
pub(super) struct ConfigFile {
    /// Config file; default: MASSHOOK_CONFIG, ./masshook.yaml, /opt/masshook.yaml.
    #[arg(long = "config", value_name = "FILE")]
    path: Option<PathBuf>,
}

impl ConfigFile {
    /// Loads the config and compiles its programs.
    pub(super) fn load(&self) -> Result<Config, ConfigError> {
        Config::load(&self.path()?, CompileMode::Eager)
    }

    /// The arguments with which another command uses the same file: `--config FILE`, or none if this command has none.
    pub(super) fn repeated_arguments(&self) -> Option<String> {
        self.path.as_deref().map(config_arguments)
    }

    /// The file of the command line, else one that is more likely than the usual places.
    pub(super) fn or(&self, path: PathBuf) -> Self {
        Self {
            path: self.path.clone().or(Some(path)),
        }
    }

    /// The path of the file.
    pub(super) fn path(&self) -> Result<PathBuf, ConfigError> {
        self.path.clone().map_or_else(Config::locate, Ok)
    }
}

/// The arguments of commands that use a config: `--config FILE`.
pub(super) fn config_arguments(path: &Path) -> String {
    format!("--config {}", shell_quoted(&path.display().to_string()))
}

/// Reports a config that cannot be used.
pub(super) fn report_config_error(error: &ConfigError, output: OutputFormat) -> ExitStatus {
    match output.json {
        true => {
            let problems = problem_list(error);
            let document = json!({"ok": false, "error": error.to_string(), "problems": problems});
            print_json(&document);
        }
        false => print_error(&error.to_string()),
    }
    ExitStatus::UsageError
}

fn problem_list(error: &ConfigError) -> Vec<Value> {
    let problems = match error {
        ConfigError::Invalid { problems, .. } | ConfigError::SecretNotWritable(problems) => {
            &problems[..]
        }
        ConfigError::NotFound(_) | ConfigError::Unreadable { .. } => &[],
    };
    let entry =
        |problem: &Problem| json!({"at": problem.at.to_string(), "message": problem.message});
    problems.iter().map(entry).collect()
}
