//! Text from outside, made safe to print: it cannot start a line, move the cursor, change a colour or reorder the text
//! around it.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Replaces every character that controls a terminal, a newline included, by its escape: `\n`, `\u{1b}`.
pub(crate) fn single_line(text: &str) -> Cow<'_, str> {
    escaped(text, is_unsafe, |character, safe| {
        safe.extend(character.escape_default());
    })
}

/// As [`single_line`], but keeps newlines and tabs.
pub(crate) fn multi_line(text: &str) -> Cow<'_, str> {
    let is_unsafe = |character| !matches!(character, '\n' | '\t') && is_unsafe(character);
    escaped(text, is_unsafe, |character, safe| {
        safe.extend(character.escape_default());
    })
}

/// As [`multi_line`] for a JSON text, with JSON's escapes. A document stays the same, because an unsafe character can only
/// stand in a string there.
pub(crate) fn json(text: &str) -> Cow<'_, str> {
    // JSON has no other control character of ASCII in strings.
    if text.is_ascii() && !text.as_bytes().contains(&0x7f) {
        return Cow::Borrowed(text);
    }
    let is_unsafe = |character| !matches!(character, '\n' | '\r' | '\t') && is_unsafe(character);
    escaped(text, is_unsafe, |character, safe| {
        for unit in character.encode_utf16(&mut [0; 2]) {
            let _ = write!(safe, "\\u{unit:04x}");
        }
    })
}

fn escaped(
    text: &str,
    is_unsafe: impl Fn(char) -> bool,
    escape: impl Fn(char, &mut String),
) -> Cow<'_, str> {
    // Nearly every text is printable ASCII, nothing of which is unsafe.
    let is_printable = |byte: &u8| matches!(byte, b' '..=b'~');
    let printable = text.bytes().take_while(is_printable).count();
    if !text[printable..].contains(&is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match is_unsafe(character) {
            true => escape(character, &mut safe),
            false => safe.push(character),
        }
    }
    Cow::Owned(safe)
}

/// Whether a character controls the terminal or is an invisible instruction about the text around it.
fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character,
            // Line and paragraph separator.
            '\u{2028}' | '\u{2029}'
            // Direction marks, embeddings, overrides and isolates.
            | '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{206f}'
            // Interlinear annotations, and tags.
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn controls_are_escaped_and_text_is_kept() {
        for (text, safe) in [
            ("Grüße, 世界 👩\u{200d}💻", "Grüße, 世界 👩\u{200d}💻"),
            ("a\nb\r\tc", "a\\nb\\r\\tc"),
            ("\u{1b}[31mred\u{9b}0m", "\\u{1b}[31mred\\u{9b}0m"),
            ("x\u{2028}y\u{202e}z", "x\\u{2028}y\\u{202e}z"),
        ] {
            assert_eq!(single_line(text), safe);
        }
        assert_eq!(multi_line("a\n\tb\u{7}\r"), "a\n\tb\\u{7}\\r");
    }

    proptest! {
        #[test]
        fn single_line_holds_no_unsafe_character(text in any::<String>()) {
            prop_assert!(!single_line(&text).contains(is_unsafe));
            prop_assert!(!multi_line(&text).contains(|c| c != '\n' && c != '\t' && is_unsafe(c)));
        }

        #[test]
        fn escaped_json_is_the_same_document(text in any::<String>()) {
            let document = serde_json::json!({ "text": text });
            let pretty = format!("{document:#}");
            for printed in [document.to_string(), pretty] {
                let safe = json(&printed);
                prop_assert!(!safe.contains(|c| c != '\n' && is_unsafe(c)));
                prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&safe).ok(), Some(document.clone()));
            }
        }
    }
}
