//! Names a part of a delivery: a header, a query parameter, a form field, a place in a JSON body, a path segment.

use std::fmt;
use std::str::FromStr;

use http::HeaderName;
use schemars::JsonSchema;
use serde_json::Value;

use strict_reader::{Node, Object, Problems};

/// A part of a delivery.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum ValueSelector {
    /// The value of the header with this name.
    Header(#[schemars(with = "String")] HeaderName),
    /// The value of the query parameter with this name.
    Query(String),
    /// The value of the form field with this name, as it is written: `data[id]`.
    Form(String),
    /// The value at this place of a JSON body.
    Json(#[schemars(with = "String")] Pointer),
    /// The path segment with this number behind the route's name, from 0.
    Path(usize),
}

/// The keys that a selector may have.
pub(super) const KINDS: [&str; 5] = ["header", "query", "form", "json", "path"];

/// The last path segment that can be named.
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
    /// Reads an object that is a selector and nothing else.
    pub(super) fn read(node: &Node<'_>, problems: &mut Problems) -> Option<Self> {
        let mut object = node.object(problems)?;
        let selector = Self::read_in(&mut object, problems);
        object.finish(problems);
        selector
    }

    /// Reads the one selector key of an object that has other keys too.
    pub(super) fn read_in(object: &mut Object<'_>, problems: &mut Problems) -> Option<Self> {
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

    /// The selector that a template's token `kind:name` means; `None` if it means none.
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

/// `a`, `b` and `c`, each in backquotes.
pub(super) fn listed(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

pub(super) fn read_header(node: &Node<'_>, problems: &mut Problems) -> Option<HeaderName> {
    let name = HeaderName::from_str(node.string(problems)?).ok();
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

/// A JSON pointer (RFC 6901), in which `*` means every item of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer {
    text: String,
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Into(String),
    Every,
}

/// Not a JSON pointer.
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
            "*" => Step::Every,
            name => Step::Into(name.replace("~1", "/").replace("~0", "~")),
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
    /// The values at this place: one, or with `*` several. `None` if any of them is not there, or there are none.
    pub fn find<'a>(&self, root: &'a Value) -> Option<Vec<&'a Value>> {
        let mut here = vec![root];
        for step in &self.steps {
            let mut next = Vec::with_capacity(here.len());
            for value in here {
                match step {
                    Step::Every => next.extend(value.as_array()?),
                    Step::Into(name) => next.push(child(value, name)?),
                }
            }
            here = next;
        }
        Some(here).filter(|found| !found.is_empty())
    }

    /// Sets this place to `value`; with `*` in every item. What is missing on the way is made, as long as that needs no
    /// item of a list. Whether there is such a place.
    pub fn set(&self, root: &mut Value, value: &Value) -> bool {
        set(root, &self.steps, value)
    }
}

fn set(here: &mut Value, steps: &[Step], value: &Value) -> bool {
    let Some((step, rest)) = steps.split_first() else {
        *here = value.clone();
        return true;
    };
    match (step, here) {
        (Step::Every, Value::Array(items)) if !items.is_empty() => {
            items.iter_mut().all(|item| set(item, rest, value))
        }
        (Step::Into(name), Value::Array(items)) => {
            let item = place(name).and_then(|index| items.get_mut(index));
            item.is_some_and(|item| set(item, rest, value))
        }
        (Step::Into(name), here @ (Value::Object(_) | Value::Null)) => {
            set(&mut here[name.as_str()], rest, value)
        }
        (Step::Every | Step::Into(_), _) => false,
    }
}

/// The item of a list that a step means. RFC 6901 section 4: no leading zeros, or one place would have several names.
fn place(name: &str) -> Option<usize> {
    let plain = name == "0" || !name.starts_with(['0', '+']);
    name.parse().ok().filter(|_| plain)
}

fn child<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    match value {
        Value::Object(map) => map.get(name),
        Value::Array(list) => list.get(place(name)?),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}
