//! Text helpers of the command line.

use std::fmt::Display;

/// A count with its noun: `1 route`, `2 routes`.
pub(super) fn count_of<N: Display + PartialEq + From<u8>>(count: N, noun: &str) -> String {
    let plural = if count == N::from(1) { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

/// At most `max` characters of a text; `…` marks a cut.
pub(super) fn truncated(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
