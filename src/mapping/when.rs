//! A route's `when`: jq expressions, each of which must yield true for the route to accept a delivery.

use std::fmt;

use jq_fence::{EvalError, Program, Session};
use serde_json::Value;

use super::program;

/// Paths whose values are shown for one expression.
const MAX_PATHS: usize = 6;

/// Outputs that are shown for one path.
const MAX_OUTPUTS: usize = 3;

/// Characters of a value that are shown.
const MAX_CHARS: usize = 200;

/// Names a jq program of a route: `map`, `when[1]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgramKey {
    /// `delivery_id`
    DeliveryId,
    /// `map`
    Map,
    /// `order_by`
    OrderBy,
    /// `when`, if it is one expression.
    When,
    /// One of several expressions of `when`; the index counts from 0.
    WhenItem(usize),
}

impl ProgramKey {
    /// The key of an expression of `when`, which consists of `count` expressions.
    pub fn of_when(index: usize, count: usize) -> Self {
        match count {
            1 => Self::When,
            _ => Self::WhenItem(index),
        }
    }
}

impl fmt::Display for ProgramKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DeliveryId => formatter.write_str("delivery_id"),
            Self::Map => formatter.write_str("map"),
            Self::OrderBy => formatter.write_str("order_by"),
            Self::When => formatter.write_str("when"),
            Self::WhenItem(index) => write!(formatter, "when[{index}]"),
        }
    }
}

/// What an expression of `when` yields instead of a boolean.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("yields {found} instead of true or false; {advice}")]
pub struct NotBoolean {
    /// The kind of value, or the number of outputs. It contains no value of the delivery.
    pub found: String,
    /// How to correct the expression.
    pub advice: &'static str,
}

/// The boolean that an expression of `when` yields.
///
/// # Errors
/// [`NotBoolean`] if `outputs` is anything but one boolean.
pub fn to_boolean(expression: &Program, outputs: &[Value]) -> Result<bool, NotBoolean> {
    let (found, advice) = match outputs {
        [Value::Bool(bool)] => return Ok(*bool),
        [] => (
            "nothing".to_owned(),
            "write a comparison, or end it with `// false`",
        ),
        [Value::Null] => (
            "null".to_owned(),
            "compare the value, as in `.paid == true` or `.email != null`",
        ),
        [other] => (
            kind(other).to_owned(),
            "compare the value, as in `.paid == true` or `.email != null`",
        ),
        several => (
            format!("{} values", several.len()),
            "combine them with `any(…)` or `all(…)`",
        ),
    };
    let advice = match expression.has_assignment() {
        true => "`=` assigns a value; did you mean `==`?",
        false => advice,
    };
    Err(NotBoolean { found, advice })
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// What an expression reads at a path.
#[derive(Clone, PartialEq, Eq)]
pub struct PathValue {
    /// The path: `.a.b[0]`, `$headers["x"]`.
    pub path: String,
    /// The value there as JSON, cut after some hundred characters. It may contain personal data, so it is for the terminal.
    pub value: String,
    /// Whether the path is in the body, and nothing but null is there.
    pub is_absent: bool,
}

/// Omits the value, which may contain personal data.
impl fmt::Debug for PathValue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PathValue")
            .field("path", &self.path)
            .field("is_absent", &self.is_absent)
            .finish_non_exhaustive()
    }
}

/// The values at the paths that an expression reads.
pub fn path_values(expression: &Program, session: &Session<'_>) -> Vec<PathValue> {
    let mut values = Vec::new();
    for path in expression.paths().into_iter().take(MAX_PATHS) {
        let result = session.run(&program(path.as_str()));
        let is_empty = |outputs: &Vec<Value>| outputs.iter().all(Value::is_null);
        let is_absent = !path.starts_with('$') && result.as_ref().is_ok_and(is_empty);
        let value = match result {
            Ok(outputs) => to_text(&outputs),
            Err(EvalError::Failed(failure)) => format!("an error: {}", failure.full_message()),
            Err(error) => format!("an error: {error}"),
        };
        values.push(PathValue {
            path,
            value,
            is_absent,
        });
    }
    values
}

/// Outputs on one line.
fn to_text(outputs: &[Value]) -> String {
    let shown = outputs.iter().take(MAX_OUTPUTS);
    let mut texts: Vec<String> = shown.map(|value| truncated(&value.to_string())).collect();
    if outputs.len() > MAX_OUTPUTS {
        texts.push(format!("… {} in all", outputs.len()));
    }
    match texts.is_empty() {
        true => "nothing".to_owned(),
        false => texts.join(", "),
    }
}

fn truncated(text: &str) -> String {
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
