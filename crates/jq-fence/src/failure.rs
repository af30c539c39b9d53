//! How a program failed: a safe message, and details that may contain personal data.

use std::fmt;

use crate::location::ErrorLocation;

/// The part of a program that failed, and the input on which it failed.
#[derive(Clone, PartialEq, Eq)]
pub struct FailedPart {
    /// Where the part is in the program.
    pub location: ErrorLocation,
    /// The keys and types of the part's input.
    pub input_shape: String,
    /// The part's input as JSON, cut after about a thousand bytes. It may contain personal data, so it is for the
    /// terminal of the program's author, not for logs and answers.
    pub input: String,
}

/// A program that ended in an error. `Display` contains no value of the input, unless the program's own `error(…)` puts
/// one into its message.
#[derive(Clone, PartialEq, Eq)]
pub struct Failure {
    pub(crate) message: String,
    pub(crate) safe_message: Option<String>,
    pub(crate) part: Option<FailedPart>,
}

impl Failure {
    /// A failure whose message contains no value of the input.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            safe_message: Some(message.clone()),
            message,
            part: None,
        }
    }

    /// The error's own message, which may contain personal data.
    pub fn full_message(&self) -> &str {
        &self.message
    }

    /// The part that failed, if it could be located.
    pub fn part(&self) -> Option<&FailedPart> {
        self.part.as_ref()
    }

    /// Whether `Display` leaves the message out, because its values could not be removed.
    pub fn is_withheld(&self) -> bool {
        self.safe_message.is_none()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(FailedPart { location, .. }) = &self.part {
            let ErrorLocation { line, column, .. } = location;
            write!(formatter, "line {line}, column {column}: ")?;
        }
        let withheld = "its message is not shown, because it may contain values of the input";
        formatter.write_str(self.safe_message.as_deref().unwrap_or(withheld))
    }
}

/// Omits the message, which may contain personal data.
impl fmt::Debug for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("Failure")
            .field(&self.to_string())
            .finish()
    }
}

/// Omits the input, which may contain personal data.
impl fmt::Debug for FailedPart {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("FailedPart")
            .field("location", &self.location)
            .field("input_shape", &self.input_shape)
            .finish_non_exhaustive()
    }
}

/// The first `limit` characters of a text, with `…` if there are more.
pub(crate) fn truncated(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
