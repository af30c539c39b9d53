//! Escapes of lone surrogates in JSON.

use std::borrow::Cow;

use memchr::memchr;

/// Bytes of an escape: `\ud83d`.
const ESCAPE: usize = 6;

/// JSON text in which lone surrogates are replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repaired<'a> {
    /// The text, of the same length as the original.
    pub text: Cow<'a, [u8]>,
    /// The number of escapes that were replaced.
    pub replaced: usize,
}

/// Replaces each escape of a lone surrogate by `\ufffd`, the replacement character. Senders produce such an escape by
/// cutting a text within a character; it stands for no character, so nothing is lost.
pub fn replace_lone_surrogates(json: &[u8]) -> Repaired<'_> {
    let mut text = Cow::Borrowed(json);
    let (mut at, mut replaced) = (0, 0);
    while let Some(found) = memchr(b'\\', &json[at..]) {
        at += found;
        let Some(unit) = escaped_unit(json, at) else {
            // The escape of another character, perhaps of a backslash.
            at = (at + 2).min(json.len());
            continue;
        };
        at += match unit {
            0xD800..=0xDBFF if escaped_unit(json, at + ESCAPE).is_some_and(is_low_surrogate) => {
                2 * ESCAPE
            }
            0xD800..=0xDFFF => {
                text.to_mut()[at..at + ESCAPE].copy_from_slice(br"\ufffd");
                replaced += 1;
                ESCAPE
            }
            _ => ESCAPE,
        };
    }
    Repaired { text, replaced }
}

fn is_low_surrogate(unit: u16) -> bool {
    (0xDC00..=0xDFFF).contains(&unit)
}

/// The UTF-16 code unit of the escape at `at`, if one is there.
fn escaped_unit(json: &[u8], at: usize) -> Option<u16> {
    let digits = json.get(at..at + ESCAPE)?.strip_prefix(br"\u")?;
    digits.iter().try_fold(0, |unit: u16, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some(unit << 4 | u16::try_from(digit).ok()?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lone_surrogates_become_replacement_characters() {
        for (json, expected) in [
            (r#""Example \ud83d""#, r#""Example \ufffd""#),
            (r#""\ud83d\ude00""#, r#""\ud83d\ude00""#),
            (r#""\uD83D\uDE00""#, r#""\uD83D\uDE00""#),
            (r#""\ude00\ud83d""#, r#""\ufffd\ufffd""#),
            (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            (r#""\ud83dx\ude00""#, r#""\ufffdx\ufffd""#),
            (r#""\ud83d\n\ude00""#, r#""\ufffd\n\ufffd""#),
            (r#"{"\ud83d":["\uDfFf"]}"#, r#"{"\ufffd":["\ufffd"]}"#),
            // The backslash is escaped, so no escape of a surrogate follows.
            (r#""\\ud83d""#, r#""\\ud83d""#),
            (r#""\\\ud83d""#, r#""\\\ufffd""#),
            (r#""\ud83d\\ude00""#, r#""\ufffd\\ude00""#),
            (r#""\ud8"#, r#""\ud8"#),
            (r#""\ud83"#, r#""\ud83"#),
            ("\"\\", "\"\\"),
            (r#""\ud7ff\ue000\u0041""#, r#""\ud7ff\ue000\u0041""#),
        ] {
            let repaired = replace_lone_surrogates(json.as_bytes());
            assert_eq!(repaired.text, expected.as_bytes(), "{json}");
            let is_changed = json != expected;
            assert_eq!(repaired.replaced > 0, is_changed, "{json}");
            assert_eq!(matches!(repaired.text, Cow::Owned(_)), is_changed, "{json}");
        }
    }

    #[test]
    fn repaired_strings_are_valid_json() {
        let units = [r"\ud83d", r"\ude00", r"\u0041", r"\\", "x", r"\n", "é"];
        for mut number in 0..units.len().pow(4) {
            let mut json = String::from("\"");
            for _ in 0..4 {
                json.push_str(units[number % units.len()]);
                number /= units.len();
            }
            json.push('"');
            let repaired = replace_lone_surrogates(json.as_bytes());
            let value: Result<String, _> = serde_json::from_slice(&repaired.text);
            assert!(value.is_ok(), "{json}");
            let is_valid = serde_json::from_str::<String>(&json).is_ok();
            assert_eq!(is_valid, repaired.replaced == 0, "{json}");
        }
    }
}
