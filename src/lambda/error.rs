//! Errors of an invocation, and the texts in which they quote an event.

use lambda_runtime::Diagnostic;
use serde_json::Value;

use crate::inbound::rejection::Rejection;

/// Maximum characters of a message about an event, which may quote arbitrary text.
const MAX_MESSAGE_CHARS: usize = 1_000;

/// Maximum characters of one key or name that a message quotes.
const MAX_QUOTED_CHARS: usize = 80;

/// Why an invocation failed. The runtime reports it as `errorType` and `errorMessage`.
#[derive(Debug, thiserror::Error)]
pub enum InvokeError {
    /// The event has none of the supported shapes.
    #[error("{0}")]
    UnknownEvent(String),
    /// The event was read and refused.
    #[error("{}", rejection_message(.0))]
    Rejected(Rejection),
    /// The invocation ran out of time. Lambda retries asynchronous events, and the retry continues with the same jobs.
    #[error(
        "time ran out before the event's jobs finished; send the same event again to continue them"
    )]
    Unfinished,
    /// The response cannot be serialized.
    #[error("the response cannot be written as JSON: {0}")]
    SecretWriteError(#[from] serde_json::Error),
}

impl InvokeError {
    /// An unknown event. Parsers quote what they read, so the reason is cut to a bounded length.
    pub(super) fn unknown_event(why: impl AsRef<str>) -> Self {
        Self::UnknownEvent(why.as_ref().chars().take(MAX_MESSAGE_CHARS).collect())
    }
}

/// The start of a text from an event, short enough for a message.
pub(super) fn quoted(text: &str) -> String {
    text.chars().take(MAX_QUOTED_CHARS).collect()
}

fn rejection_message(rejection: &Rejection) -> String {
    let errors = rejection.errors();
    if errors.is_empty() {
        rejection.to_string()
    } else {
        format!("{rejection}: {}", Value::Array(errors))
    }
}

impl From<InvokeError> for Diagnostic {
    fn from(error: InvokeError) -> Self {
        let error_type = match &error {
            InvokeError::UnknownEvent(_) => "unknown_event",
            InvokeError::Rejected(rejection) => rejection.code(),
            InvokeError::Unfinished => "unfinished",
            InvokeError::SecretWriteError(_) => "unwritable",
        };
        Self {
            error_type: error_type.to_owned(),
            error_message: error.to_string(),
        }
    }
}
