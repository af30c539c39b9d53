//! Durations as the config writes them.

use std::time::Duration;

use schemars::JsonSchema;
use serde_json::Value;

use crate::reader::{Node, Problems};

/// A duration of at most five minutes, in seconds or as a text.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "it only shapes the JSON Schema")]
pub(super) enum Window {
    Seconds(#[schemars(range(max = 300))] u64),
    Text(#[schemars(regex(pattern = "^[0-9]+(ms|s|m)$"))] String),
}

/// The longest batch window.
const MAX_WINDOW: Duration = Duration::from_secs(300);

pub(super) fn read_window(node: &Node<'_>, problems: &mut Problems) -> Option<Duration> {
    let text = match node.value {
        Value::Number(number) if number.is_u64() => format!("{number}s"),
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            String::new()
        }
    };
    let split = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let window = match (number.parse::<u64>(), unit) {
        (Ok(number), "ms") => Some(Duration::from_millis(number)),
        (Ok(number), "s") => Some(Duration::from_secs(number)),
        (Ok(number), "m") => number.checked_mul(60).map(Duration::from_secs),
        (Ok(_) | Err(_), _) => None,
    };
    let window = window.filter(|window| *window <= MAX_WINDOW);
    if window.is_none() {
        node.problem(
            problems,
            "must be a duration of at most 300 s, such as 2s, 500ms or 5m",
        );
    }
    window
}
