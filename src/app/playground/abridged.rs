//! Shortens JSON documents, so that an answer about 50,000 records is no larger than one about ten.

use serde_json::{Map, Value};

/// Items of a list that are shown.
const MAX_ITEMS: usize = 10;

/// Entries of an object that are shown.
const MAX_ENTRIES: usize = 60;

/// Characters of a text that are shown.
const MAX_CHARS: usize = 400;

/// Values of one document that are shown.
const MAX_VALUES: usize = 400;

/// A document with long lists, objects and texts cut. What is cut is counted in its place: `"… 490 more"`.
pub(super) fn abridged(value: &Value) -> Value {
    let mut left = MAX_VALUES;
    abridge(value, &mut left)
}

fn abridge(value: &Value, left: &mut usize) -> Value {
    *left = left.saturating_sub(1);
    match value {
        Value::Array(items) => {
            let mut shown = Vec::new();
            for item in items.iter().take(MAX_ITEMS) {
                if *left == 0 {
                    break;
                }
                shown.push(abridge(item, left));
            }
            let omitted = items.len() - shown.len();
            if omitted > 0 {
                shown.push(format!("… {omitted} more").into());
            }
            Value::Array(shown)
        }
        Value::Object(entries) => {
            let mut shown = Map::new();
            for (key, value) in entries.iter().take(MAX_ENTRIES) {
                if *left == 0 {
                    break;
                }
                shown.insert(cut(key), abridge(value, left));
            }
            let omitted = entries.len() - shown.len();
            if omitted > 0 {
                shown.insert("…".to_owned(), format!("{omitted} more").into());
            }
            Value::Object(shown)
        }
        Value::String(text) => Value::String(cut(text)),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn long_lists_are_counted() {
        let ids: Vec<u32> = (0..500).collect();
        let document = abridged(&json!({"ids": ids, "name": "x".repeat(1_000)}));
        assert_eq!(
            document["ids"].as_array().map(Vec::len),
            Some(MAX_ITEMS + 1)
        );
        assert_eq!(document["ids"][MAX_ITEMS], "… 490 more");
        assert_eq!(
            document["name"].as_str().map(|name| name.chars().count()),
            Some(MAX_CHARS + 1)
        );
    }

    fn documents() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,900}".prop_map(Value::from),
        ];
        leaf.prop_recursive(6, 4_000, 80, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..80).prop_map(Value::from),
                prop::collection::btree_map(".{0,20}", inner, 0..80)
                    .prop_map(|entries| entries.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn abridged_document_is_bounded(document in documents()) {
            let text = abridged(&document).to_string();
            // Each shown value, and one mark of omission for each list or object.
            prop_assert!(text.len() <= MAX_VALUES * (MAX_CHARS * 8 + 40), "{}", text.len());
        }
    }
}
