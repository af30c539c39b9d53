//! Output to the terminal, and the exit status of a command.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

/// Exit status of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// The command succeeded; exit code 0.
    Success,
    /// The command ran and the answer is negative; exit code 1.
    Negative,
    /// The arguments or the config are invalid; exit code 2.
    UsageError,
}

impl ExitStatus {
    /// `Success` if the condition holds, else `Negative`.
    pub(super) fn from_success(success: bool) -> Self {
        match success {
            true => Self::Success,
            false => Self::Negative,
        }
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        match status {
            ExitStatus::Success => Self::SUCCESS,
            ExitStatus::Negative => Self::from(1),
            ExitStatus::UsageError => Self::from(2),
        }
    }
}

/// The output format of a command.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct OutputFormat {
    /// Print one JSON document to stdout, and nothing else.
    #[arg(long)]
    pub(super) json: bool,
}

impl OutputFormat {
    /// Prints the document or the text, as requested.
    pub(super) fn print(self, document: &Value, text: &str) {
        match self.json {
            true => print_line(&document.to_string()),
            false => print_line(text),
        }
    }

    /// Reports invalid arguments.
    pub(super) fn usage_error(self, message: &str) -> ExitStatus {
        match self.json {
            true => print_line(&json!({"ok": false, "error": message}).to_string()),
            false => print_error(message),
        }
        ExitStatus::UsageError
    }
}

/// Prints a line to stdout. A closed pipe is no error, because its reader may stop early.
pub(super) fn print_line(text: &str) {
    let printed = writeln!(std::io::stdout(), "{text}");
    if let Err(error) = printed
        && error.kind() != std::io::ErrorKind::BrokenPipe
    {
        print_error(&format!("cannot write to stdout: {error}"));
    }
}

/// Prints a line to stderr.
#[expect(clippy::print_stderr, reason = "the command line reports errors here")]
pub(super) fn print_error(text: &str) {
    eprintln!("{text}");
}
