//! Output to the terminal, and the exit status of a command.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use crate::printable::{json as json_text, multi_line};

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
            true => print_json(document),
            false => print_line(text),
        }
    }

    /// Reports invalid arguments.
    pub(super) fn usage_error(self, message: &str) -> ExitStatus {
        match self.json {
            true => print_json(&json!({"ok": false, "error": message})),
            false => print_error(message),
        }
        ExitStatus::UsageError
    }
}

/// Prints lines to stdout. Control characters other than line ends are escaped, because much of what is printed comes from
/// senders and from Zoho.
pub(super) fn print_line(text: &str) {
    write_stdout(&multi_line(text));
}

/// Prints a JSON document on one line.
pub(super) fn print_json(document: &Value) {
    write_stdout(&json_text(&document.to_string()));
}

/// A JSON document on several lines, without control characters in its strings.
pub(super) fn pretty_json(document: &Value) -> String {
    json_text(&format!("{document:#}")).into_owned()
}

/// A closed pipe is no error, because its reader may stop early.
fn write_stdout(text: &str) {
    let printed = writeln!(std::io::stdout(), "{text}");
    if let Err(error) = printed
        && error.kind() != std::io::ErrorKind::BrokenPipe
    {
        print_error(&format!("cannot write to stdout: {error}"));
    }
}

/// Prints lines to stderr, escaped as by [`print_line`]. If nobody reads it, nobody can be told.
pub(super) fn print_error(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}", multi_line(text));
}
