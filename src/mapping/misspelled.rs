//! Keys that a program reads and its input lacks, although the input has a similar key.

use jq_fence::{ErrorLocation, Program, Session};
use serde_json::Value;
use strict_reader::nearest;

use super::program;

/// Paths of one program that are looked at.
const MAX_PATHS: usize = 20;

/// A key that the input lacks. Its name and the similar one are parts of the program and of the input's structure; no value
/// of the input is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MisspelledKey {
    /// The path up to the key: `.form_respnse`.
    pub path: String,
    /// The similar key that the input has.
    pub nearest: String,
    /// Where the program reads the key.
    pub location: ErrorLocation,
}

/// The keys that a program reads and its input lacks, each with the most similar key in its place. Keys without a similar
/// one are left out: a program may well read what a delivery may lack.
pub fn misspelled_keys(expression: &Program, session: &Session<'_>) -> Vec<MisspelledKey> {
    let mut found: Vec<MisspelledKey> = Vec::new();
    for path in expression.paths().into_iter().take(MAX_PATHS) {
        let misspelled = misspelled_key(expression, &path, session);
        found.extend(misspelled.filter(|key| !found.contains(key)));
    }
    found
}

fn misspelled_key(
    expression: &Program,
    path: &str,
    session: &Session<'_>,
) -> Option<MisspelledKey> {
    for Step { parent, key, end } in steps(path) {
        let parent = if parent.is_empty() { "." } else { parent };
        let keys = program(format!("[{parent} | objects | keys_unsorted[]]"));
        let outputs = session.run(&keys).ok()?;
        let keys = outputs.first()?.as_array()?;
        let keys = || keys.iter().filter_map(Value::as_str);
        if keys().any(|known| known == key) {
            continue;
        }
        let nearest = nearest(&key, keys())?.to_owned();
        let location = expression.location_of(&key)?;
        let path = path.get(..end)?.to_owned();
        return Some(MisspelledKey {
            path,
            nearest,
            location,
        });
    }
    None
}

/// One step of a path that reads a key.
struct Step<'p> {
    /// The path above the key.
    parent: &'p str,
    key: String,
    /// The end of the path with the key, in bytes.
    end: usize,
}

/// The steps of a path that read keys, up to the first part that is neither a key nor an index.
fn steps(path: &str) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    let is_word = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let word_end = |from: usize| {
        let rest = &path[from..];
        from + rest
            .find(|character| !is_word(character))
            .unwrap_or(rest.len())
    };
    let mut at = match path.starts_with('$') {
        true => word_end(1),
        false => 0,
    };
    while let Some(next) = path[at..].chars().next() {
        let parent = &path[..at];
        let (key, end) = match next {
            '?' => (None, at + 1),
            '.' if path[at + 1..].starts_with('[') => {
                at += 1;
                continue;
            }
            '.' => {
                let end = word_end(at + 1);
                let key = &path[at + 1..end];
                if key.is_empty() {
                    break;
                }
                (Some(key.to_owned()), end)
            }
            '[' => {
                let mut texts =
                    serde_json::Deserializer::from_str(&path[at + 1..]).into_iter::<Value>();
                let key = match texts.next() {
                    Some(Ok(Value::String(key))) => Some(key),
                    _ => None,
                };
                let inner = at + 1 + key.as_ref().map_or(0, |_| texts.byte_offset());
                let Some(close) = path[inner..].find(']') else {
                    break;
                };
                (key, inner + close + 1)
            }
            _ => break,
        };
        if let Some(key) = key {
            steps.push(Step { parent, key, end });
        }
        at = end;
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_the_keys_of_a_path() {
        for (path, expected) in [
            (".a.b[0].c", ". a|.a b|.a.b[0] c"),
            ("$headers[\"x-y\"]", "$headers x-y"),
            (".[\"a b\"].c?.d", ". a b|.[\"a b\"] c|.[\"a b\"].c? d"),
            (".list[].name", ". list|.list[] name"),
            ("(.a.b)?", ""),
            (".", ""),
            (".list[1:][0].x", ". list|.list[1:][0] x"),
        ] {
            let steps = steps(path).into_iter().map(|step| {
                let parent = match step.parent {
                    "" => ".",
                    parent => parent,
                };
                format!("{parent} {}", step.key)
            });
            assert_eq!(steps.collect::<Vec<_>>().join("|"), expected, "{path}");
        }
    }
}
