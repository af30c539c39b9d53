//! Why a program does not compile.

use crate::location::ErrorLocation;

/// Why a program cannot be used. `Display` names the location and the problem and, where possible, suggests a correction.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {}, column {}: {message}", location.line, location.column)]
pub struct CompileError {
    /// Where in the program.
    pub location: ErrorLocation,
    /// What is wrong and what to do about it.
    pub message: String,
}

impl CompileError {
    /// An error at `part`, which is a slice of `source`.
    pub(crate) fn at(source: &str, part: &str, message: impl Into<String>) -> Self {
        let start = part.as_ptr().addr().checked_sub(source.as_ptr().addr());
        let start = start.filter(|start| *start <= source.len()).unwrap_or(0);
        Self {
            location: ErrorLocation::at(source, start),
            message: message.into(),
        }
    }
}
