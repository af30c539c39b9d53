//! Compares two JSON documents.

use serde_json::Value;

use crate::cli::text::truncated;

/// Maximum characters of a value in a reported difference.
const MAX_VALUE_CHARS: usize = 120;

/// The first difference between two documents, with its JSON pointer.
pub(super) fn first_difference(expected: &Value, actual: &Value, at: String) -> Option<String> {
    let compare_entry =
        |expected: Option<&Value>, actual: Option<&Value>, at: String| match (expected, actual) {
            (Some(expected), Some(actual)) => first_difference(expected, actual, at),
            (Some(expected), None) => {
                Some(format!("{at} is missing, expected {}", short(expected)))
            }
            (None, Some(actual)) => Some(format!("{at} is unexpected: {}", short(actual))),
            (None, None) => None,
        };
    match (expected, actual) {
        (Value::Object(expected), Value::Object(actual)) => {
            let mut keys = expected.keys().chain(actual.keys());
            keys.find_map(|key| {
                compare_entry(expected.get(key), actual.get(key), format!("{at}/{key}"))
            })
        }
        (Value::Array(expected), Value::Array(actual)) => {
            let mut indices = 0..expected.len().max(actual.len());
            indices.find_map(|index| {
                let at = format!("{at}/{index}");
                compare_entry(expected.get(index), actual.get(index), at)
            })
        }
        _ => (expected != actual).then(|| {
            let at = if at.is_empty() { "the document" } else { &at };
            format!("{at} is {}, expected {}", short(actual), short(expected))
        }),
    }
}

fn short(value: &Value) -> String {
    truncated(&value.to_string(), MAX_VALUE_CHARS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn first_difference_contains_its_pointer() {
        let of = |ids: Value, city: &str| json!([{"ids": ids, "fields": {"City": city}}]);
        let expected = of(json!(["1", "2"]), "Bonn");
        let mut more = expected.clone();
        more[0]["over_write"] = json!(true);
        for (actual, start) in [
            (expected.clone(), None),
            (json!([]), Some("/0 is missing, expected {")),
            (json!({}), Some("the document is {}, expected [")),
            (
                of(json!(["1"]), "Bonn"),
                Some("/0/ids/1 is missing, expected \"2\""),
            ),
            (
                of(json!(["1", "2"]), "Köln"),
                Some("/0/fields/City is \"Köln\", expected \"Bonn\""),
            ),
            (more, Some("/0/over_write is unexpected: true")),
        ] {
            let found = first_difference(&expected, &actual, String::new());
            let matches = match (&found, start) {
                (Some(found), Some(start)) => found.starts_with(start),
                (found, start) => found.is_none() && start.is_none(),
            };
            assert!(matches, "{found:?}");
        }
    }
}
