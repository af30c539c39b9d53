//! The text of a secret: one rule for every location.

use secrecy::SecretString;

/// Why a text cannot be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidText {
    /// Nothing, or only line ends.
    #[error("is empty")]
    Empty,
    /// Only white space.
    #[error("contains nothing but white space")]
    Blank,
    /// A NUL or another control character; line ends and tabs are allowed, because keys in PEM have several lines.
    #[error("contains a control character, so it is damaged or not text; store it again")]
    ControlCharacter,
}

/// Removes what editors and shells add to a secret: a byte order mark at its start, and line ends at its end.
pub(super) fn trimmed(text: &str) -> &str {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.trim_end_matches(['\r', '\n'])
}

/// Reads the text of a secret. Other white space is part of it.
pub(super) fn read(text: &str) -> Result<SecretString, InvalidText> {
    let text = trimmed(text);
    let is_allowed = |letter: char| !letter.is_control() || matches!(letter, '\r' | '\n' | '\t');
    if text.is_empty() {
        Err(InvalidText::Empty)
    } else if text.trim().is_empty() {
        Err(InvalidText::Blank)
    } else if !text.chars().all(is_allowed) {
        Err(InvalidText::ControlCharacter)
    } else {
        Ok(text.to_owned().into())
    }
}

/// What is suspicious about a secret that can be used; for `masshook check`.
pub fn warning(text: &str) -> Option<&'static str> {
    (text.trim() != text).then_some(
        "begins or ends with white space, which is part of it; was it copied with the secret?",
    )
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn secret_text_is_trimmed_by_one_rule() {
        for (text, secret) in [
            ("hunter2", "hunter2"),
            ("hunter2\n", "hunter2"),
            ("hunter2\r\n", "hunter2"),
            ("hunter2\n\r\n\n", "hunter2"),
            ("\u{feff}hunter2", "hunter2"),
            (" two words ", " two words "),
            ("\nhunter2", "\nhunter2"),
            ("-----BEGIN\r\nAA\n-----END\n", "-----BEGIN\r\nAA\n-----END"),
        ] {
            let found = read(text).expect("a secret");
            assert_eq!(found.expose_secret(), secret, "{text:?}");
        }
        for (text, why) in [
            ("", InvalidText::Empty),
            ("\r\n", InvalidText::Empty),
            ("\u{feff}\n", InvalidText::Empty),
            ("   ", InvalidText::Blank),
            ("\t \u{a0}\n", InvalidText::Blank),
            ("a\0b", InvalidText::ControlCharacter),
            ("a\u{1b}[0m", InvalidText::ControlCharacter),
        ] {
            assert_eq!(read(text).expect_err("no secret"), why, "{text:?}");
        }
        assert!(warning(" a").is_some() && warning("a\t").is_some());
        assert!(warning("a b").is_none());
    }
}
