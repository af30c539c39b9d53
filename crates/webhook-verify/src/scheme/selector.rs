//! Selectors for a part of a delivery: a header, a query parameter, a form field, a value of a JSON body, a path segment.

use std::fmt;
use std::str::FromStr;

use http::HeaderName;
use schemars::JsonSchema;
use serde_json::Value;

use strict_reader::{Node, Object, Problems};

/// Selects a part of a delivery.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum ValueSelector {
    /// The value of the header with this name.
    Header(#[schemars(with = "String", regex(pattern = HEADER_PATTERN))] HeaderName),
    /// The value of the query parameter with this name.
    Query(#[schemars(length(min = 1))] String),
    /// The value of the form field with this name as sent, such as `data[id]`.
    Form(#[schemars(length(min = 1))] String),
    /// The value of a JSON body at this pointer.
    Json(#[schemars(with = "String", regex(pattern = "^/"))] Pointer),
    /// The path segment with this index after the route's name.
    Path(#[schemars(range(max = MAX_SEGMENT))] usize),
}

/// A header name (RFC 9110, section 5.1), for the JSON Schema.
const HEADER_PATTERN: &str = "^[-!#$%&'*+.^_`|~0-9A-Za-z]+$";

/// The keys of a selector.
pub(super) const KINDS: [&str; 5] = ["header", "query", "form", "json", "path"];

/// Maximum index of a path segment.
const MAX_SEGMENT: u64 = 9;

impl fmt::Display for ValueSelector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(formatter, "header {name}"),
            Self::Query(name) => write!(formatter, "query parameter {name}"),
            Self::Form(name) => write!(formatter, "form field {name}"),
            Self::Json(pointer) => write!(formatter, "JSON value {pointer}"),
            Self::Path(index) => write!(formatter, "path segment {index}"),
        }
    }
}

impl ValueSelector {
    /// Reads an object that contains only a selector.
    pub(super) fn read(node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
        let mut object = node.object(problems)?;
        let selector = Self::read_in(&mut object, problems);
        object.finish(problems);
        selector
    }

    /// Reads the selector key of an object that has other keys too.
    pub(super) fn read_in(object: &mut Object<'_>, problems: &mut Problems) -> Option<Self> {
        let selector = Self::read_numbered(object, problems)?;
        if let Self::Header(name) = &selector
            && name.as_str().contains('*')
        {
            let message = "`header` is one header here; only that of a `signature` may end in `-*`";
            problems.add(&object.at, message);
            return None;
        }
        Some(selector)
    }

    /// Reads the selector key like [`Self::read_in`]. The name of a header may end in `-*`.
    pub(super) fn read_numbered(object: &mut Object<'_>, problems: &mut Problems) -> Option<Self> {
        let mut found: Vec<(&str, Node<'_>)> = Vec::new();
        for kind in KINDS {
            found.extend(object.optional(kind).map(|node| (kind, node)));
        }
        let [(kind, node)] = &found[..] else {
            let message = format!("must have exactly one of {}", listed(&KINDS));
            problems.add(&object.at, message);
            return None;
        };
        Self::of_kind(kind, node, problems)
    }

    fn of_kind(kind: &str, node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
        match kind {
            "header" => read_header(node, problems).map(Self::Header),
            "query" => read_name(node, problems).map(Self::Query),
            "form" => read_name(node, problems).map(Self::Form),
            "json" => node.parse(problems).map(Self::Json),
            _ => {
                let index = node.whole(0..=MAX_SEGMENT, problems)?;
                usize::try_from(index).ok().map(Self::Path)
            }
        }
    }

    /// The start of the names of numbered headers, if it selects those.
    pub(crate) fn numbered_stem(&self) -> Option<&str> {
        match self {
            Self::Header(name) => name.as_str().strip_suffix('*'),
            Self::Query(_) | Self::Form(_) | Self::Json(_) | Self::Path(_) => None,
        }
    }

    /// The selector for a template's token `kind:name`; `None` if it is not valid.
    pub(super) fn of_token(kind: &str, name: &str) -> Option<Self> {
        let text = Value::from(name);
        let number = name.parse::<u64>().ok().map(Value::from);
        let value = if kind == "path" {
            number.unwrap_or_default()
        } else {
            text
        };
        if !KINDS.contains(&kind) {
            return None;
        }
        let mut problems = Problems::default();
        let selector = Self::of_kind(kind, &Node::root(&value), &mut problems);
        problems.finish(selector).ok()
    }
}

/// Joins keys for an error message: `a`, `b` and `c`, each in backquotes.
pub(super) fn listed(keys: &[&str]) -> String {
    let quoted: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

pub(super) fn read_header(node: &Node<'_>, problems: &mut Problems) -> Option<HeaderName> {
    let text = node.string(problems)?;
    let stem = text.strip_suffix("-*").unwrap_or(text);
    let name = HeaderName::from_str(text).ok();
    let name = name.filter(|_| !stem.is_empty() && !stem.contains('*'));
    if name.is_none() {
        node.problem(problems, "is not a header name");
    }
    name
}

fn read_name(node: &Node<'_>, problems: &mut Problems) -> Option<String> {
    let name = node.string(problems)?;
    if name.is_empty() {
        node.problem(problems, "must not be empty");
        return None;
    }
    Some(name.to_owned())
}

/// A JSON pointer (RFC 6901) in which `*` matches every item of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer {
    text: String,
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    EveryItem,
}

/// An invalid JSON pointer.
#[derive(Debug, thiserror::Error)]
#[error(
    "is not a JSON pointer: it starts with `/`, as in /data/id; `*` stands for every item of a list"
)]
pub struct InvalidPointer;

impl FromStr for Pointer {
    type Err = InvalidPointer;

    fn from_str(text: &str) -> Result<Self, InvalidPointer> {
        let rest = text.strip_prefix('/').ok_or(InvalidPointer)?;
        let steps = rest.split('/').map(|step| match step {
            "*" => Step::EveryItem,
            name => Step::Key(name.replace("~1", "/").replace("~0", "~")),
        });
        Ok(Self {
            text: text.to_owned(),
            steps: steps.collect(),
        })
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl Pointer {
    /// The values at this pointer: one, or several with `*`. `None` if any of them is absent, or if there is none.
    pub fn find<'a>(&self, root: &'a Value) -> Option<Vec<&'a Value>> {
        let mut values = vec![root];
        for step in &self.steps {
            let mut next = Vec::with_capacity(values.len());
            for value in values {
                match step {
                    Step::EveryItem => next.extend(value.as_array()?),
                    Step::Key(name) => next.push(child(value, name)?),
                }
            }
            values = next;
        }
        Some(values).filter(|found| !found.is_empty())
    }

    /// Sets the value at this pointer; with `*` in every item. Creates missing objects, but no list items. Returns whether
    /// the value was set.
    pub fn set(&self, root: &mut Value, value: &Value) -> bool {
        set(root, &self.steps, value)
    }
}

fn set(target: &mut Value, steps: &[Step], value: &Value) -> bool {
    let Some((step, rest)) = steps.split_first() else {
        *target = value.clone();
        return true;
    };
    match (step, target) {
        (Step::EveryItem, Value::Array(items)) if !items.is_empty() => {
            items.iter_mut().all(|item| set(item, rest, value))
        }
        (Step::Key(name), Value::Array(items)) => {
            let item = list_index(name).and_then(|index| items.get_mut(index));
            item.is_some_and(|item| set(item, rest, value))
        }
        (Step::Key(name), object @ (Value::Object(_) | Value::Null)) => {
            set(&mut object[name.as_str()], rest, value)
        }
        (Step::EveryItem | Step::Key(_), _) => false,
    }
}

/// Parses the index of a list item. Leading zeros are invalid (RFC 6901 section 4).
fn list_index(name: &str) -> Option<usize> {
    let is_canonical = name == "0" || !name.starts_with(['0', '+']);
    name.parse().ok().filter(|_| is_canonical)
}

fn child<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    match value {
        Value::Object(map) => map.get(name),
        Value::Array(list) => list.get(list_index(name)?),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}
