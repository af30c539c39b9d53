//! Where a program failed, and on what: for those who wrote it, without the data of those whom a delivery is about.

use std::fmt;

use jaq_json::Val;
use serde_json::Value;

/// Characters of a program's line that are shown.
const LINE: usize = 100;

/// Bytes of a value's shape, roughly.
const SHAPE: usize = 600;

/// Entries of one object in a shape.
const ENTRIES: usize = 20;

/// Characters of a key in a shape.
const KEY: usize = 40;

/// A place in a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The line's text, of a long line what is around the place.
    pub text: String,
    /// How many characters of `text` are before the place.
    caret: usize,
}

impl Place {
    /// The place that is `offset` bytes into `source`.
    pub(super) fn at(source: &str, offset: usize) -> Self {
        let offset = source.floor_char_boundary(offset);
        let (before, after) = source.split_at(offset);
        let begun = before.rsplit('\n').next().unwrap_or_default();
        let rest = after.split('\n').next().unwrap_or_default();
        let caret = begun.chars().count();
        let (column, skipped) = (caret + 1, caret.saturating_sub(LINE / 2));
        let plain = |character: char| match character.is_control() {
            true => ' ',
            false => character,
        };
        let line = begun.chars().chain(rest.trim_end().chars());
        let mut shown = line.skip(skipped).map(plain);
        let mut text: String = shown.by_ref().take(LINE).collect();
        if shown.next().is_some() {
            text.push('…');
        }
        let mut caret = caret - skipped;
        if skipped > 0 {
            text.insert(0, '…');
            caret += 1;
        }
        Self {
            line: before.matches('\n').count() + 1,
            column,
            text,
            caret,
        }
    }

    /// The line with its number, and a caret under the place.
    pub fn excerpt(&self) -> String {
        let number = self.line.to_string();
        let (margin, before) = (" ".repeat(number.len()), " ".repeat(self.caret));
        format!("{number} | {}\n{margin} | {before}^", self.text)
    }
}

/// A part of a program that failed, and the input that it failed on.
#[derive(Clone, PartialEq, Eq)]
pub struct Failing {
    /// Where in the program.
    pub place: Place,
    /// The part's input: its keys and types.
    pub shape: String,
    /// The part's input as JSON, cut after some hundred characters. It is people's data: for the terminal of whoever
    /// tries a program, not for logs and answers.
    pub input: String,
}

/// How a program ended in an error. `Display` tells no value of the delivery, as far as the program's own `error(…)` does
/// not put it into its message.
#[derive(Clone, PartialEq, Eq)]
pub struct Failure {
    pub(super) told: String,
    pub(super) shape: Option<String>,
    pub(super) failing: Option<Failing>,
}

impl Failure {
    /// One that has nothing to do with the delivery's values.
    pub(super) fn plain(message: impl Into<String>) -> Self {
        let told = message.into();
        Self {
            shape: Some(told.clone()),
            told,
            failing: None,
        }
    }

    /// The error's own message, which may hold people's data.
    pub fn told(&self) -> &str {
        &self.told
    }

    /// What failed, where that could be found out.
    pub fn failing(&self) -> Option<&Failing> {
        self.failing.as_ref()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Failing { place, .. }) = &self.failing {
            write!(formatter, "line {}, column {}: ", place.line, place.column)?;
        }
        let unsaid = "its message may hold data of the delivery; `masshook preview` shows it";
        formatter.write_str(self.shape.as_deref().unwrap_or(unsaid))
    }
}

/// People's data is not printed.
impl fmt::Debug for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("Failure")
            .field(&self.to_string())
            .finish()
    }
}

impl fmt::Debug for Failing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Failing")
            .field("place", &self.place)
            .field("shape", &self.shape)
            .finish_non_exhaustive()
    }
}

/// Keys and types of a value.
pub(super) fn shape(val: &Val) -> String {
    let mut text = String::new();
    write_shape(val, &mut text);
    text
}

fn write_shape(val: &Val, text: &mut String) {
    match val {
        Val::Null => text.push_str("null"),
        Val::Bool(_) => text.push_str("boolean"),
        Val::Num(_) => text.push_str("number"),
        Val::BStr(_) | Val::TStr(_) => text.push_str("string"),
        Val::Arr(items) => {
            text.push('[');
            if let Some(first) = items.first() {
                write_shape(first, text);
            }
            if items.len() > 1 {
                text.push_str(&format!(", … {} in all", items.len()));
            }
            text.push(']');
        }
        Val::Obj(entries) => {
            text.push('{');
            for (index, (key, value)) in entries.iter().enumerate() {
                if index > 0 {
                    text.push_str(", ");
                }
                if index == ENTRIES || text.len() > SHAPE {
                    text.push_str(&format!("… {} in all", entries.len()));
                    break;
                }
                text.push_str(&shown_key(key));
                text.push_str(": ");
                write_shape(value, text);
            }
            text.push('}');
        }
    }
}

fn shown_key(key: &Val) -> String {
    let (Val::TStr(bytes) | Val::BStr(bytes)) = key else {
        return "?".to_owned();
    };
    let key = String::from_utf8_lossy(&bytes[..bytes.len().min(4 * KEY)]);
    let cut: String = key.chars().take(KEY).collect();
    let plain = |character: char| character.is_ascii_alphanumeric() || character == '_';
    match cut.len() < bytes.len() {
        true => Value::from(format!("{cut}…")).to_string(),
        false if !cut.is_empty() && cut.chars().all(plain) => cut,
        false => Value::from(cut).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_shown_with_a_caret_under_it() {
        let source = "def f: 1;\n  {a:\tf, b: é.nix}";
        let place = Place::at(source, source.find("nix").unwrap());
        assert_eq!((place.line, place.column), (2, 15));
        assert_eq!(
            place.excerpt(),
            "2 |   {a: f, b: é.nix}\n  |               ^"
        );
        // Of a long line, what is around the place; the end of a program is a place too.
        let long = format!("{}nix{}", "x".repeat(300), "y".repeat(300));
        for offset in [0, 20, 300, 600, 603, 9_999] {
            let excerpt = Place::at(&long, offset.min(long.len())).excerpt();
            let (line, caret) = excerpt.split_once('\n').unwrap();
            assert!(line.chars().count() <= LINE + 6, "{excerpt}");
            let under = line.chars().nth(caret.chars().count() - 1);
            let expected = long.chars().nth(offset);
            assert_eq!(under, expected, "{excerpt}");
        }
        assert_eq!(Place::at("", 0).excerpt(), "1 | \n  | ^");
    }

    #[test]
    fn a_shape_is_keys_and_types_of_bounded_length() {
        let shaped =
            |json: &str| shape(&jaq_json::read::parse_single(json.as_bytes()).expect("JSON"));
        assert_eq!(
            shaped(
                r#"{"a": "Jane", "b c": [1, 2, 3], "d": {"e": null, "f": []}, "g": true, "h": [{"i": 1}]}"#
            ),
            r#"{a: string, "b c": [number, … 3 in all], d: {e: null, f: []}, g: boolean, h: [{i: number}]}"#
        );
        let key = "k".repeat(50);
        assert_eq!(
            shaped(&format!("{{\"{key}\": 1}}")),
            format!("{{\"{}…\": number}}", "k".repeat(KEY))
        );
        let many: Vec<String> = (0..5_000)
            .map(|n| format!("\"key_{n}\": {{\"x\": 1}}"))
            .collect();
        let many = shaped(&format!("{{{}}}", many.join(",")));
        assert!(
            many.ends_with("key_19: {x: number}, … 5000 in all}"),
            "{many}"
        );
        let deep = format!(
            "{}1{}",
            "{\"deeply\": {\"wide\":1,\"nested\":".repeat(48),
            "}}".repeat(48)
        );
        assert!(shaped(&deep).len() < 3_000);
    }
}
