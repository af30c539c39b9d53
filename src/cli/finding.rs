//! Findings of a command, as text and as JSON.

use serde_json::{Value, json};

use super::styled::{StyledText, Tone};
use super::table::terminal_width;
use super::text::wrapped;
use crate::zoho;

/// How serious a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Severity {
    /// Nothing is wrong.
    Ok,
    /// Something could not be determined, or something optional is missing.
    Note,
    /// Updates will fail.
    Bad,
}

impl Severity {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Bad => "BAD",
        }
    }

    fn tone(self) -> Tone {
        match self {
            Self::Ok => Tone::Good,
            Self::Note => Tone::Doubtful,
            Self::Bad => Tone::Bad,
        }
    }
}

/// Result of one check.
pub(super) struct Finding {
    check: String,
    pub(super) severity: Severity,
    message: String,
}

impl Finding {
    pub(super) fn new(check: impl Into<String>, severity: Severity, message: String) -> Self {
        Self {
            check: check.into(),
            severity,
            message,
        }
    }

    /// The finding of a check that called Zoho. A missing scope is only a note, because scopes have a check of their own.
    pub(super) fn from_call(
        check: impl Into<String>,
        outcome: Result<(Severity, String), zoho::Error>,
    ) -> Self {
        let (severity, message) = outcome.unwrap_or_else(|failed| {
            let severity = match failed.lacks_scope() {
                true => Severity::Note,
                false => Severity::Bad,
            };
            let why = failed.into_refusal();
            (severity, why.to_string())
        });
        Self::new(check, severity, message)
    }

    pub(super) fn to_json(&self) -> Value {
        let result = self.severity.as_str().to_lowercase();
        json!({"check": self.check, "result": result, "found": self.message})
    }
}

/// Whether no finding is [`Severity::Bad`].
pub(super) fn none_bad<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> bool {
    let mut findings = findings.into_iter();
    findings.all(|finding| finding.severity != Severity::Bad)
}

/// The findings as aligned lines, each behind a line end.
pub(super) fn text_lines(findings: &[Finding]) -> StyledText {
    const MIN_WIDTH: usize = 14;
    const BELOW: usize = 8;
    let widths = findings.iter().map(|finding| finding.check.chars().count());
    let width = widths.max().unwrap_or_default().max(MIN_WIDTH);
    let columns = terminal_width();
    let mut text = StyledText::default();
    for finding in findings {
        let (severity, message) = (finding.severity, &finding.message);
        text.push_plain("\n  ");
        text.push(severity.tone(), severity.as_str());
        let word = severity.as_str();
        let line = format!(
            "{:gap$}{:<width$} ",
            "",
            finding.check,
            gap = 6 - word.len()
        );
        let indent = 2 + word.len() + line.chars().count();
        // On a terminal a long message continues in its column, or below a long name.
        text.push_plain(match columns {
            Some(columns) if indent <= columns / 2 => line + &wrapped(message, columns, indent),
            Some(columns) => {
                let message = wrapped(message, columns, BELOW);
                format!("{}\n{:BELOW$}{message}", line.trim_end(), "")
            }
            None => line + message,
        });
    }
    text
}

/// The findings as a JSON array.
pub(super) fn json_list(findings: &[Finding]) -> Value {
    findings.iter().map(Finding::to_json).collect()
}
