//! A JSON document that was checked before anything works with it.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// How deep a document may be nested.
const MAX_DEPTH: usize = 100;

/// How many digits in a row a number may have.
const MAX_DIGITS: usize = 400;

/// A JSON document that is known to be well formed and at most 100 levels deep. It keeps the sender's exact text, so
/// that numbers survive whatever their length. Clones are cheap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document(Arc<str>);

/// Why a text is not an acceptable JSON document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a JSON document: {why} (line {line}, column {column})")]
pub struct NotJson {
    /// The line, from 1.
    pub line: usize,
    /// The column in bytes, from 1; 0 when the line as a whole is meant.
    pub column: usize,
    /// What is wrong.
    pub why: String,
}

impl Document {
    /// Checks `bytes`, which must be UTF-8.
    ///
    /// # Errors
    /// When they are not one JSON value, when it is nested too deep, when a key stands twice in one object, or when a
    /// number is absurdly long or too large.
    pub fn from_json(bytes: &[u8]) -> Result<Self, NotJson> {
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let (line, column) = position(bytes, error.valid_up_to());
            let why = "it is not UTF-8".to_owned();
            NotJson { line, column, why }
        })?;
        let mut reader = serde_json::Deserializer::from_str(text);
        Check(0)
            .deserialize(&mut reader)
            .and_then(|()| reader.end())
            .map_err(|error| {
                let why = error.to_string();
                let place = format!(" at line {} column {}", error.line(), error.column());
                NotJson {
                    line: error.line(),
                    column: error.column(),
                    why: why.strip_suffix(&place).unwrap_or(&why).to_owned(),
                }
            })?;
        if let Some(at) = Shape::of(text).long_number {
            let (line, column) = position(bytes, at);
            let why = format!("a number has more than {MAX_DIGITS} digits");
            return Err(NotJson { line, column, why });
        }
        Ok(Self(text.into()))
    }

    /// The document of a value that is at hand already.
    pub fn from_value(value: &serde_json::Value) -> Self {
        Self(value.to_string().into())
    }

    /// The exact text.
    pub fn text(&self) -> &str {
        &self.0
    }

    pub(super) fn shape(&self) -> Shape {
        Shape::of(&self.0)
    }
}

/// Line and column of a byte, both from 1.
fn position(bytes: &[u8], at: usize) -> (usize, usize) {
    let before = &bytes[..at];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let start = before
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |newline| newline + 1);
    (line, at - start + 1)
}

/// What a document looks like from afar.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shape {
    /// The deepest nesting.
    pub(super) depth: u32,
    /// How many values there are, at most.
    pub(super) values: usize,
    /// Where a number with too many digits starts.
    long_number: Option<usize>,
}

impl Shape {
    fn of(text: &str) -> Self {
        let mut shape = Self {
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
                shape.long_number.get_or_insert(at - MAX_DIGITS);
            }
            match byte {
                b'"' => in_string = true,
                b'[' | b'{' => {
                    depth += 1;
                    shape.depth = shape.depth.max(depth);
                    shape.values += 1;
                }
                b']' | b'}' => depth = depth.saturating_sub(1),
                b',' | b':' => shape.values += 1,
                _ => {}
            }
        }
        shape
    }
}

/// A key of an object, without a copy where it has no escapes.
#[derive(PartialEq, Eq, Hash, serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// Reads everything and keeps nothing, down to [`MAX_DEPTH`].
#[derive(Clone, Copy)]
struct Check(usize);

impl Check {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.0 == MAX_DEPTH {
            let why = format!("it is nested more than {MAX_DEPTH} levels deep");
            return Err(E::custom(why));
        }
        Ok(Self(self.0 + 1))
    }
}

impl<'de> DeserializeSeed<'de> for Check {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Check {
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
        // Of two values under one key, one reader takes the first and the next one the last.
        let mut keys: HashSet<Key<'de>> = HashSet::new();
        while let Some(key) = entries.next_key()? {
            if let Some(Key(twice)) = keys.replace(key) {
                let name: String = twice.chars().take(80).collect();
                let why = format!("the key `{name}` stands twice in one object");
                return Err(serde::de::Error::custom(why));
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
    fn keeps_the_exact_text() {
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
    fn refuses_what_is_not_json() {
        assert!(refused(b"{\n  \"a\": }").contains("line 2, column 8"));
        assert!(refused(b"").contains("EOF"));
        assert!(refused(b"1 2").contains("trailing"));
        assert!(refused(b"[1,\n\xff]").contains("not UTF-8 (line 2, column 1)"));
        assert!(refused(br#""\ud800""#).contains("line 1"));
        assert!(refused(b"1e999").contains("out of range"));
        assert!(refused(&[b"0.".as_slice(), &b"7".repeat(401)].concat()).contains("400 digits"));
    }

    #[test]
    fn refuses_depth_without_recursion_to_the_bottom() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(Document::from_json(nested(100).as_bytes()).is_ok());
        assert!(refused(nested(101).as_bytes()).contains("100 levels"));
        assert!(refused(nested(1_000_000).as_bytes()).contains("100 levels"));
        assert!(refused("{\"a\":".repeat(1_000_000).as_bytes()).contains("100 levels"));
    }

    #[test]
    fn refuses_a_key_that_stands_twice() {
        assert!(refused(br#"{"a":{"b":1,"c":2,"\u0062":3}}"#).contains("`b` stands twice"));
        assert!(Document::from_json(br#"[{"a":1,"A":2},{"a":1,"b":{"a":2}}]"#).is_ok());
    }

    #[test]
    fn measures_its_shape() {
        let document = Document::from_json(br#"{"a":[1,"][{\"",[]],"b":{}}"#).unwrap();
        assert_eq!(document.shape().depth, 3);
        assert!(document.shape().values >= 7);
    }
}
