//! Output to the terminal, and the exit status of a command.

use std::io::{self, ErrorKind, IsTerminal as _, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use serde_json::{Value, json};

use super::styled::{StyledText, has_colors};
use super::table::width_of;
use super::text::wrapped;
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
    pub(super) fn print(self, document: &Value, text: impl Into<StyledText>) {
        match self.json {
            true => print_json(document),
            false => print_styled(&text.into()),
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

/// Why an address cannot be used, and what to do.
pub(super) fn listen_error(address: SocketAddr, flag: &str, error: &io::Error) -> String {
    let advice = [
        (
            ErrorKind::AddrInUse,
            "another program uses it; stop that, or choose another address with",
        ),
        (
            ErrorKind::PermissionDenied,
            "ports below 1024 need a privilege; choose another one with",
        ),
        (
            ErrorKind::AddrNotAvailable,
            "this machine does not have it; choose another one with",
        ),
    ];
    match advice.iter().find(|(kind, _)| *kind == error.kind()) {
        Some((_, advice)) => format!("cannot listen on {address}: {advice} {flag}"),
        None => format!("cannot listen on {address}: {error}"),
    }
}

/// Prints lines to stdout, with colours if it is a terminal that shows them.
pub(super) fn print_styled(text: &StyledText) {
    write_stdout(&text.rendered(has_colors()));
}

/// Prints lines to stdout. Control characters other than line ends are escaped, because much of what is printed comes from
/// senders and from Zoho.
pub(super) fn print_line(text: &str) {
    write_stdout(&multi_line(&without_error_numbers(text)));
}

/// Prints a JSON document on one line.
pub(super) fn print_json(document: &Value) {
    write_stdout(&json_text(&document.to_string()));
}

/// A JSON document on several lines, without control characters in its strings.
pub(super) fn pretty_json(document: &Value) -> String {
    json_text(&format!("{document:#}")).into_owned()
}

/// Reads a file, or stdin if it is `-`.
///
/// # Errors
/// The reason, with the name of the file.
pub(super) fn read_input(path: &Path) -> Result<Vec<u8>, String> {
    let (name, read) = match path == Path::new("-") {
        true => {
            let mut bytes = Vec::new();
            let read = std::io::stdin().lock().read_to_end(&mut bytes);
            ("stdin".to_owned(), read.map(|_| bytes))
        }
        false => (path.display().to_string(), std::fs::read(path)),
    };
    read.map_err(|error| format!("{name}: {error}"))
}

/// Whether a part of the output could not be written.
static OUTPUT_IS_LOST: AtomicBool = AtomicBool::new(false);

/// The exit status of a command that has ended with `status`: success with lost output is none.
pub(super) fn status_after_output(status: ExitStatus) -> ExitStatus {
    match (status, OUTPUT_IS_LOST.load(Ordering::Relaxed)) {
        (ExitStatus::Success, true) => ExitStatus::Negative,
        (status, _) => status,
    }
}

/// A closed pipe is no error, because its reader may stop early.
fn write_stdout(text: &str) {
    let printed = writeln!(std::io::stdout(), "{text}");
    if let Err(error) = printed
        && error.kind() != std::io::ErrorKind::BrokenPipe
    {
        OUTPUT_IS_LOST.store(true, Ordering::Relaxed);
        print_error(&format!("cannot write to stdout: {error}"));
    }
}

/// Prints lines to stderr, escaped as by [`print_line`]. If nobody reads it, nobody can be told.
/// On a terminal, lines break between words.
pub(super) fn print_error(text: &str) {
    let stderr = std::io::stderr();
    let text = without_error_numbers(text);
    let text = match stderr.is_terminal().then(|| width_of(&stderr)).flatten() {
        Some(width) => wrapped(&text, width, 0),
        None => text,
    };
    let _ = writeln!(stderr.lock(), "{}", multi_line(&text));
}

/// A text without the numbers that Rust appends to errors of the operating system: `(os error 2)`.
pub(super) fn without_error_numbers(text: &str) -> String {
    let mut parts = text.split(" (os error ");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(')') {
            Some((number, rest)) if number.bytes().all(|byte| byte.is_ascii_digit()) => {
                plain.push_str(rest);
            }
            _ => {
                plain.push_str(" (os error ");
                plain.push_str(part);
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_numbers_are_left_out() {
        for (text, plain) in [
            ("a: No such file (os error 2)", "a: No such file"),
            ("a (os error 2); b (os error 13)!", "a; b!"),
            ("a (os error x)", "a (os error x)"),
            ("a (os error 2", "a (os error 2"),
            ("", ""),
        ] {
            assert_eq!(without_error_numbers(text), plain);
        }
    }
}
