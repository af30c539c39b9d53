//! Strict JSON documents.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::fence;
use crate::value::FencedValue;

/// Levels of nesting that a document may have.
const MAX_DEPTH: usize = 100;

/// Digits in a row that a number may have.
const MAX_DIGITS: usize = 400;

/// A JSON document that is well formed, at most 100 levels deep, and without duplicate keys. It keeps the exact text, so
/// that numbers of any length survive; only escapes of lone surrogates are replaced. Clones are cheap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    text: Arc<str>,
    size: Size,
    lone_surrogates: usize,
}

/// Why a text is not a strict JSON document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a JSON document: {reason} (line {line}, column {column})")]
pub struct InvalidJson {
    /// The line, from 1.
    pub line: usize,
    /// The column in bytes, from 1; 0 for the line as a whole.
    pub column: usize,
    /// What is wrong.
    pub reason: String,
}

impl Document {
    /// Parses `bytes`, which must be UTF-8. The escape of a lone surrogate is taken as U+FFFD.
    ///
    /// # Errors
    /// [`InvalidJson`] if `bytes` are not one JSON value, the value is nested too deeply, an object has a duplicate key, or a
    /// number is too long or too large.
    pub fn from_json(bytes: &[u8]) -> Result<Self, InvalidJson> {
        let invalid = |at: usize, reason: String| {
            let (line, column) = position(bytes, at);
            InvalidJson {
                line,
                column,
                reason,
            }
        };
        let repaired = strict_reader::replace_lone_surrogates(bytes);
        let text = std::str::from_utf8(&repaired.text)
            .map_err(|error| invalid(error.valid_up_to(), "it is not UTF-8".to_owned()))?;
        let mut reader = serde_json::Deserializer::from_str(text);
        Checker(0)
            .deserialize(&mut reader)
            .and_then(|()| reader.end())
            .map_err(|error| {
                let message = error.to_string();
                let suffix = format!(" at line {} column {}", error.line(), error.column());
                InvalidJson {
                    line: error.line(),
                    column: error.column(),
                    reason: advise(message.strip_suffix(&suffix).unwrap_or(&message)),
                }
            })?;
        let size = Size::of(text);
        if let Some(at) = size.long_number {
            let reason = format!("a number has more than {MAX_DIGITS} digits");
            return Err(invalid(at, reason));
        }
        Ok(Self {
            text: text.into(),
            size,
            lone_surrogates: repaired.replaced,
        })
    }

    /// The document of a value.
    pub fn from_value(value: &serde_json::Value) -> Self {
        let text = value.to_string();
        Self {
            size: Size::of(&text),
            text: text.into(),
            lone_surrogates: 0,
        }
    }

    /// The text, exact except for lone surrogates.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The number of escapes of lone surrogates, which senders produce by cutting a text within a character. U+FFFD stands
    /// in their place.
    pub fn lone_surrogates(&self) -> usize {
        self.lone_surrogates
    }

    /// The document as a value of the engine.
    ///
    /// # Errors
    /// If the engine's reader and the one that checked the document disagree about JSON.
    pub(crate) fn to_value(&self) -> Result<FencedValue, String> {
        // Strings with escapes, which are copied, and entries of objects cost most.
        let objects = self.size.objects * fence::OBJECT;
        fence::allocate(self.text.len() * 2 + self.size.values * 64 + objects);
        let val = jaq_json::read::parse_single(self.text.as_bytes())
            .map_err(|error| format!("the engine cannot read the document: {error}"))?;
        Ok(FencedValue::nested(val, self.size.depth))
    }
}

/// The reason of a reader's refusal, with advice if the text is JSON nevertheless.
fn advise(reason: &str) -> String {
    match reason {
        "number out of range" => {
            format!(
                "{reason}: JSON readers agree on numbers up to 1.7e308; send a larger one as a string"
            )
        }
        reason => reason.to_owned(),
    }
}

/// The line and column of a byte, both from 1.
fn position(bytes: &[u8], at: usize) -> (usize, usize) {
    let before = &bytes[..at];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let start = before
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |newline| newline + 1);
    (line, at - start + 1)
}

/// Upper bounds of a document's depth and number of values, measured without parsing it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Size {
    /// The deepest nesting.
    depth: u32,
    /// The number of values, at most.
    values: usize,
    /// The number of objects.
    objects: usize,
    /// The offset of the first number with too many digits.
    long_number: Option<usize>,
}

impl Size {
    fn of(text: &str) -> Self {
        let mut size = Self {
            values: 1,
            ..Self::default()
        };
        let (mut depth, mut in_string, mut escaped, mut digits) = (0_u32, false, false, 0_usize);
        for (at, byte) in text.bytes().enumerate() {
            if in_string {
                match byte {
                    _ if escaped => escaped = false,
                    b'\\' => escaped = true,
                    b'"' => in_string = false,
                    _ => {}
                }
                continue;
            }
            digits = if byte.is_ascii_digit() { digits + 1 } else { 0 };
            if digits > MAX_DIGITS {
                size.long_number.get_or_insert(at - MAX_DIGITS);
            }
            match byte {
                b'"' => in_string = true,
                b'[' | b'{' => {
                    depth += 1;
                    size.depth = size.depth.max(depth);
                    size.values += 1;
                    size.objects += usize::from(byte == b'{');
                }
                b']' | b'}' => depth = depth.saturating_sub(1),
                b',' | b':' => size.values += 1,
                _ => {}
            }
        }
        size
    }
}

/// A key of an object. It is copied only if it contains escapes.
#[derive(PartialEq, Eq, Hash, serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// A visitor that reads a whole document, checks it, and keeps nothing.
#[derive(Clone, Copy)]
struct Checker(usize);

impl Checker {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.0 == MAX_DEPTH {
            let reason = format!("it is nested more than {MAX_DEPTH} levels deep");
            return Err(E::custom(reason));
        }
        Ok(Self(self.0 + 1))
    }
}

impl<'de> DeserializeSeed<'de> for Checker {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Checker {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let deeper = self.deeper()?;
        while items.next_element_seed(deeper)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let deeper = self.deeper()?;
        // Of two values under one key, some readers take the first and others the last.
        let mut keys: HashSet<Key<'de>> = HashSet::new();
        while let Some(key) = entries.next_key()? {
            if let Some(Key(duplicate)) = keys.replace(key) {
                let name: String = duplicate.chars().take(80).collect();
                let reason = format!("the key `{name}` stands twice in one object");
                return Err(serde::de::Error::custom(reason));
            }
            entries.next_value_seed(deeper)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &[u8]) -> String {
        Document::from_json(text)
            .map(|document| document.text().len())
            .expect_err("refused")
            .to_string()
    }

    #[test]
    fn document_keeps_exact_text() {
        for text in [
            "12345678901234567890123",
            r#"{"a": 1.10, "b":[true,null,"\u00e9"]}"#,
            "\"x\"",
            " {}\n",
        ] {
            let document = Document::from_json(text.as_bytes()).unwrap();
            assert_eq!(document.text(), text);
        }
    }

    #[test]
    fn invalid_json_is_refused() {
        assert!(refused(b"{\n  \"a\": }").contains("line 2, column 8"));
        assert!(refused(b"").contains("EOF"));
        assert!(refused(b"1 2").contains("trailing"));
        assert!(refused(b"[1,\n\xff]").contains("not UTF-8 (line 2, column 1)"));
        assert!(refused(b"1e999").contains("out of range"));
        assert!(refused(&[b"0.".as_slice(), &b"7".repeat(401)].concat()).contains("400 digits"));
    }

    #[test]
    fn deep_nesting_is_refused_without_recursion() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(Document::from_json(nested(100).as_bytes()).is_ok());
        assert!(refused(nested(101).as_bytes()).contains("100 levels"));
        assert!(refused(nested(1_000_000).as_bytes()).contains("100 levels"));
        assert!(refused("{\"a\":".repeat(1_000_000).as_bytes()).contains("100 levels"));
    }

    #[test]
    fn duplicate_key_is_refused() {
        assert!(refused(br#"{"a":{"b":1,"c":2,"\u0062":3}}"#).contains("`b` stands twice"));
        assert!(Document::from_json(br#"[{"a":1,"A":2},{"a":1,"b":{"a":2}}]"#).is_ok());
    }

    #[test]
    fn size_counts_depth_and_values() {
        let size = Size::of(r#"{"a":[1,"][{\"",[]],"b":{}}"#);
        assert_eq!(size.depth, 3);
        assert!(size.values >= 7);
        assert_eq!(size.objects, 2);
    }
}
