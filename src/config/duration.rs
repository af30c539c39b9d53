//! Durations in the config, such as `90m`.

use std::ops::RangeInclusive;
use std::time::Duration;

use schemars::JsonSchema;
use serde_json::Value;

use strict_reader::{Node, Problems};

/// JSON Schema of a duration: whole seconds, or a text.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "it only shapes the JSON Schema")]
pub(super) enum DurationSchema {
    Seconds(u64),
    Text(#[schemars(regex(pattern = "^[0-9]+(ms|s|m|h|d)$"))] String),
}

/// JSON Schema of `order_for`: whole seconds in its range, or a text.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "it only shapes the JSON Schema")]
pub(super) enum OrderForSchema {
    Seconds(#[schemars(range(min = 60, max = 7_776_000))] u64),
    Text(#[schemars(regex(pattern = "^[0-9]+(ms|s|m|h|d)$"))] String),
}

/// The durations that a key accepts.
pub(super) struct DurationRange {
    range: RangeInclusive<Duration>,
    /// Message for a value outside the range.
    message: &'static str,
}

/// Range of `batch_window`.
pub(super) const BATCH_WINDOW_RANGE: DurationRange = DurationRange {
    range: Duration::ZERO..=Duration::from_secs(300),
    message: "must be a duration of at most 300 s, such as 2s, 500ms or 5m",
};

/// Range of `track_for`.
pub(super) const TRACK_FOR_RANGE: DurationRange = DurationRange {
    range: Duration::from_secs(60)..=Duration::from_secs(7 * 24 * 3600),
    message: "must be a duration from one minute to seven days, such as 90m, 24h or 7d",
};

/// Range of `order_for`.
pub(super) const ORDER_FOR_RANGE: DurationRange = DurationRange {
    range: Duration::from_secs(60)..=Duration::from_secs(90 * 24 * 3600),
    message: "must be a duration from one minute to ninety days, such as 12h or 7d",
};

/// Reads a duration: whole seconds, or a text of a number and a unit.
pub(super) fn read_duration(
    node: &Node<'_>,
    bounds: &DurationRange,
    problems: &mut Problems,
) -> Option<Duration> {
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
    let unit = match unit {
        "ms" => Some(Duration::from_millis(1)),
        "s" => Some(Duration::from_secs(1)),
        "m" => Some(Duration::from_secs(60)),
        "h" => Some(Duration::from_secs(3600)),
        "d" => Some(Duration::from_secs(24 * 3600)),
        _ => None,
    };
    let duration = unit.and_then(|unit| unit.checked_mul(number.parse().ok()?));
    let duration = duration.filter(|duration| bounds.range.contains(duration));
    if duration.is_none() {
        node.problem(problems, bounds.message);
    }
    duration
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn durations_are_read_with_unit_and_range() {
        let read = |value: &Value, bounds| {
            let mut problems = Problems::default();
            let read = read_duration(&Node::root(value), bounds, &mut problems);
            assert_eq!(
                problems.finish(Some(())).is_err(),
                read.is_none(),
                "{value}"
            );
            read.map(|duration| duration.as_millis())
        };
        for (value, millis) in [
            (json!(0), Some(0)),
            (json!("500ms"), Some(500)),
            (json!("5m"), Some(300_000)),
            (json!(300), Some(300_000)),
            (json!(301), None),
            (json!("1h"), None),
            (json!("m"), None),
            (json!("2 s"), None),
            (json!(1.5), None),
            (json!(null), None),
            (json!("99999999999999999999s"), None),
        ] {
            assert_eq!(read(&value, &BATCH_WINDOW_RANGE), millis, "{value}");
        }
        for (value, hours) in [
            (json!("60m"), Some(1)),
            (json!("24h"), Some(24)),
            (json!("7d"), Some(7 * 24)),
            (json!("8d"), None),
            (json!("59s"), None),
            (json!("4294967296d"), None),
        ] {
            let hour = 3_600_000;
            assert_eq!(
                read(&value, &TRACK_FOR_RANGE),
                hours.map(|hours: u128| hours * hour),
                "{value}"
            );
        }
    }
}
