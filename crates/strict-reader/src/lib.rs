#![doc = include_str!("../README.md")]

mod keywords;
mod surrogates;

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value};

pub use keywords::UnknownKeyword;
pub use surrogates::{Repaired, replace_lone_surrogates};

/// A location in the tree. `Display` is the dotted form for people who edit YAML; [`Location::pointer`] is the JSON pointer
/// (RFC 6901) for machines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Location(Vec<String>);

impl Location {
    /// The location at the end of these keys.
    pub fn of(keys: &[&str]) -> Self {
        Self(keys.iter().map(ToString::to_string).collect())
    }

    fn child(&self, segment: impl ToString) -> Self {
        let mut segments = self.0.clone();
        segments.push(segment.to_string());
        Self(segments)
    }

    /// The JSON pointer of this location; empty for the whole document.
    pub fn pointer(&self) -> String {
        self.0
            .iter()
            .map(|segment| format!("/{}", segment.replace('~', "~0").replace('/', "~1")))
            .collect()
    }
}

impl fmt::Display for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return formatter.write_str("(top level)");
        }
        for (index, segment) in self.0.iter().enumerate() {
            if index > 0 {
                formatter.write_str(".")?;
            }
            match segment.as_str() {
                "" => formatter.write_str("\"\"")?,
                named => formatter.write_str(named)?,
            }
        }
        Ok(())
    }
}

/// One problem in a document: its location, the cause, and the cure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Location in the document.
    pub at: Location,
    /// The cause, and what would be valid.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.at, self.message)
    }
}

/// Collects problems while a document is read.
#[derive(Debug, Default)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Records a problem.
    pub fn add(&mut self, at: &Location, message: impl Into<String>) {
        self.0.push(Problem {
            at: at.clone(),
            message: message.into(),
        });
    }

    /// Removes the problem that `key` is missing at a location: it is there, misspelt.
    fn forget_missing(&mut self, at: &Location, key: &str) {
        let missing = format!("`{key}` is missing");
        self.0
            .retain(|problem| problem.at != *at || !problem.message.starts_with(&missing));
    }

    /// Returns `Ok(value)` if reading produced a value and no problem was recorded.
    ///
    /// # Errors
    /// All recorded problems.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Vec<Problem>> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(self.0),
        }
    }
}

/// A value and its location.
#[derive(Clone, Debug)]
pub struct Node<'a> {
    /// The value.
    pub value: &'a Value,
    /// Its location in the document.
    pub at: Location,
}

impl<'a> Node<'a> {
    /// Creates the root node of a document.
    pub fn root(value: &'a Value) -> Self {
        Self {
            value,
            at: Location::default(),
        }
    }

    /// Records a problem at this location.
    pub fn problem(&self, problems: &mut Problems, message: impl Into<String>) {
        problems.add(&self.at, message);
    }

    /// Reads an object, key by key.
    pub fn object(&self, problems: &mut Problems) -> Option<Object<'a>> {
        let Value::Object(map) = self.value else {
            return self.mismatch(problems, "an object");
        };
        Some(Object {
            map,
            at: self.at.clone(),
            known: Vec::new(),
        })
    }

    /// Reads a list.
    pub fn list(&self, problems: &mut Problems) -> Option<Vec<Node<'a>>> {
        let Value::Array(items) = self.value else {
            return self.mismatch(problems, "a list");
        };
        let item = |(index, value)| Node {
            value,
            at: self.at.child(index),
        };
        Some(items.iter().enumerate().map(item).collect())
    }

    /// Reads one value, or a list of them.
    pub fn one_or_many(&self) -> Vec<Node<'a>> {
        if self.value.is_array() {
            self.list(&mut Problems::default()).unwrap_or_default()
        } else {
            vec![self.clone()]
        }
    }

    /// Reads a string.
    pub fn string(&self, problems: &mut Problems) -> Option<&'a str> {
        match self.value.as_str() {
            Some(text) => Some(text),
            None => self.mismatch(problems, "a string"),
        }
    }

    /// Reads a string and parses it as `T`.
    pub fn parse<T: FromStr<Err: fmt::Display>>(&self, problems: &mut Problems) -> Option<T> {
        match self.string(problems)?.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.problem(problems, error.to_string());
                None
            }
        }
    }

    /// Reads `true` or `false`.
    pub fn boolean(&self, problems: &mut Problems) -> Option<bool> {
        match self.value.as_bool() {
            Some(value) => Some(value),
            None => self.mismatch(problems, "true or false"),
        }
    }

    /// Reads a whole number within `range`.
    pub fn whole(
        &self,
        range: std::ops::RangeInclusive<u64>,
        problems: &mut Problems,
    ) -> Option<u64> {
        match self.value.as_u64() {
            Some(number) if range.contains(&number) => Some(number),
            _ => {
                let message = format!(
                    "must be a whole number from {} to {}",
                    range.start(),
                    range.end()
                );
                self.problem(problems, message);
                None
            }
        }
    }

    fn mismatch<T>(&self, problems: &mut Problems, wanted: &str) -> Option<T> {
        let found = kind(self.value);
        self.problem(problems, format!("must be {wanted}, but is {found}"));
        None
    }
}

/// An object being read. [`Object::finish`] reports every key that was never requested as unknown.
#[derive(Debug)]
pub struct Object<'a> {
    map: &'a Map<String, Value>,
    /// Location of the object.
    pub at: Location,
    known: Vec<&'static str>,
}

impl<'a> Object<'a> {
    /// Returns the value of `key`, if present. A `null` value counts as absent.
    pub fn optional(&mut self, key: &'static str) -> Option<Node<'a>> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        let value = self.map.get(key).filter(|value| !value.is_null())?;
        Some(Node {
            value,
            at: self.at.child(key),
        })
    }

    /// Returns the value of `key`; records a problem if it is absent.
    pub fn required(&mut self, key: &'static str, problems: &mut Problems) -> Option<Node<'a>> {
        let node = self.optional(key);
        if node.is_none() {
            problems.add(&self.at, format!("`{key}` is missing"));
        }
        node
    }

    /// Iterates over all entries, for an object whose keys are names.
    pub fn entries(&self) -> impl Iterator<Item = (&'a str, Node<'a>)> + use<'a> {
        let at = self.at.clone();
        self.map.iter().map(move |(key, value)| {
            (
                key.as_str(),
                Node {
                    value,
                    at: at.child(key),
                },
            )
        })
    }

    /// Reports every key that was never requested, with the nearest known key.
    pub fn finish(self, problems: &mut Problems) {
        for key in self
            .map
            .keys()
            .filter(|key| !self.known.contains(&key.as_str()))
        {
            let nearest = nearest(key, self.known.iter().copied());
            let hint = nearest.map_or_else(
                || format!("known here: {}", self.known.join(", ")),
                |name| format!("did you mean `{name}`?"),
            );
            if let Some(name) = nearest {
                problems.forget_missing(&self.at, name);
            }
            problems.add(&self.at.child(key), format!("unknown key; {hint}"));
        }
    }
}

/// Returns the candidate that is closest to `word`, if one is close enough to be a likely typo.
pub fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    candidates
        .map(|candidate| {
            let lower = candidate.to_lowercase();
            (distance(&word, &lower), lower, candidate)
        })
        .filter(|(distance, lower, candidate)| {
            *distance <= 1 + candidate.len() / 4 && is_alike(&word, lower, *distance)
        })
        .min_by_key(|(distance, _, _)| *distance)
        .map(|(_, _, candidate)| candidate)
}

/// Whether words at a distance are one misspelled: most of the longer one is in both, or the letters are the same.
fn is_alike(left: &str, right: &str, distance: usize) -> bool {
    let sorted = |word: &str| {
        let mut letters: Vec<char> = word.chars().collect();
        letters.sort_unstable();
        letters
    };
    let (left, right) = (sorted(left), sorted(right));
    distance <= 1 || distance * 2 < left.len().max(right.len()) || left == right
}

/// Computes the Levenshtein edit distance.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

/// Describes the kind of a JSON value for error messages.
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a fractional number",
        Value::Number(_) => "a whole number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_problem_is_reported_with_its_location() {
        let document = json!({"a": 1, "colour": "red", "list": [true, "x"]});
        let mut problems = Problems::default();
        let mut object = Node::root(&document)
            .object(&mut problems)
            .expect("an object");
        object.optional("color");
        object.required("missing", &mut problems);
        object
            .optional("a")
            .and_then(|node| node.string(&mut problems));
        for item in object
            .optional("list")
            .and_then(|node| node.list(&mut problems))
            .expect("a list")
        {
            item.boolean(&mut problems);
        }
        object.finish(&mut problems);
        let found: Vec<String> = problems
            .finish(Some(()))
            .expect_err("problems")
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            found,
            [
                "(top level): `missing` is missing",
                "a: must be a string, but is a whole number",
                "list.1: must be true or false, but is a string",
                "colour: unknown key; did you mean `color`?",
            ]
        );
    }

    /// The missing key and the unknown one are one mistake.
    #[test]
    fn misspelt_key_is_one_problem() {
        let document = json!({"verfy": 1});
        let mut problems = Problems::default();
        let mut object = Node::root(&document)
            .object(&mut problems)
            .expect("an object");
        object.required("verify", &mut problems);
        object.required("map", &mut problems);
        object.finish(&mut problems);
        let found = problems.finish(Some(())).expect_err("problems");
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "(top level): `map` is missing",
                "verfy: unknown key; did you mean `verify`?"
            ]
        );
    }

    #[test]
    fn pointers_are_escaped() {
        assert_eq!(
            Location::default()
                .child("a/b")
                .child("c~d")
                .child(3)
                .pointer(),
            "/a~1b/c~0d/3"
        );
    }
}
