//! Replaces values of the input in error messages by their shape, so that a message is safe where personal data is not.

use std::cell::RefCell;

use jaq_json::Val;

use crate::shape;

thread_local! {
    /// The program whose messages are redacted, in the run that this thread carries out.
    static PROGRAM: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Starts to redact the messages that this thread formats. Words of the program `source` stay.
pub(crate) fn begin(source: String) {
    PROGRAM.set(Some(source));
}

/// Stops redacting on this thread. Returns the program, or `None` if the thread did not redact.
pub(crate) fn end() -> Option<String> {
    PROGRAM.take()
}

/// The text of a value in a redacted message: a word of the program unchanged, anything else as its shape. `None` if this
/// thread does not redact.
pub(crate) fn redacted(val: &Val) -> Option<String> {
    PROGRAM.with_borrow(|source| {
        let source = source.as_ref()?;
        if let Val::TStr(bytes) = val
            && let Ok(text) = std::str::from_utf8(bytes)
            && contains_word(source, text)
        {
            return Some(format!("\"{text}\""));
        }
        Some(shape::of_val(val))
    })
}

/// Whether `text` occurs in the program, bounded by characters that are not part of a word.
fn contains_word(source: &str, text: &str) -> bool {
    let is_word = |character: Option<char>| {
        character.is_some_and(|character| character.is_alphanumeric() || character == '_')
    };
    !text.is_empty()
        && source.match_indices(text).any(|(at, _)| {
            let (before, after) = (&source[..at], &source[at + text.len()..]);
            !is_word(before.chars().next_back()) && !is_word(after.chars().next())
        })
}

/// A message of the engine with its quoted parts replaced by `…`, unless they are words of the program.
pub(crate) fn redact_quotes(message: &str, source: &str) -> String {
    let mut pieces = message.split('"');
    let mut text = pieces.next().unwrap_or_default().to_owned();
    while let Some(quoted) = pieces.next() {
        text.push('"');
        text.push_str(if contains_word(source, quoted) {
            quoted
        } else {
            "…"
        });
        if let Some(after) = pieces.next() {
            text.push('"');
            text.push_str(after);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_text_is_redacted_unless_in_program() {
        let source = r#".kind | strptime("%Y")"#;
        for (message, expected) in [
            ("no quotes", "no quotes"),
            (
                "failed on \"Jane\" with \"kind\"",
                "failed on \"…\" with \"kind\"",
            ),
            ("cut \"Ja", "cut \"…"),
            ("\"kin\" is no word of it", "\"…\" is no word of it"),
        ] {
            assert_eq!(redact_quotes(message, source), expected);
        }
    }
}
