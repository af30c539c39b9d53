//! The value that programs work with: jaq's value, wrapped so that every operation on it is counted first.
//!
//! Values share their parts, so a small value can be exponentially large when it is expanded. Every function that walks a
//! value therefore counts its steps, and every operation that may fail is decided here, because jaq's own error messages
//! would print such a value in full.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "an operation names the kinds of value that it accepts and refuses all others"
)]

mod access;
mod compare;
pub(crate) mod json;
pub(crate) mod numeral;
mod operators;
pub(crate) mod path;
mod search;
mod stdlib;

use std::fmt;

use jaq_core::Error;
use jaq_core::val::Range;
use jaq_json::{Map, Rc, Val};

use crate::fence::{self, FenceLimit, MAX_DEPTH, MAX_PATH_LEN};
use crate::redaction;

pub(crate) use compare::{compare, equal};
pub(crate) use search::indices;

/// Characters of a value in an error message.
const MAX_SHOWN: usize = 120;

/// A value, an upper bound of its depth, and the length of the path by which it was reached.
#[derive(Clone, Debug)]
pub(crate) struct FencedValue {
    pub(crate) val: Val,
    depth: u32,
    path_len: u32,
}

impl FencedValue {
    /// A number, string, boolean or null.
    pub(crate) fn leaf(val: Val) -> Self {
        Self {
            val,
            depth: 0,
            path_len: 0,
        }
    }

    /// A value that is nested at most `depth` deep.
    pub(crate) fn nested(val: Val, depth: u32) -> Self {
        if depth <= MAX_DEPTH {
            return Self {
                val,
                depth,
                path_len: 0,
            };
        }
        // Either the bound is too high or the value is too deep.
        let depth = depth_of(&val, MAX_DEPTH + 1);
        if depth > MAX_DEPTH {
            fence::abort(FenceLimit::Depth);
        }
        Self {
            val,
            depth,
            path_len: 0,
        }
    }

    /// A part of this value.
    pub(crate) fn part(&self, val: Val) -> Self {
        fence::spend(1);
        let path_len = self.path_len + 1;
        if path_len > MAX_PATH_LEN {
            fence::abort(FenceLimit::Depth);
        }
        let depth = match val {
            Val::Arr(_) | Val::Obj(_) => self.depth.saturating_sub(1),
            Val::Null | Val::Bool(_) | Val::Num(_) | Val::BStr(_) | Val::TStr(_) => 0,
        };
        Self {
            val,
            depth,
            path_len,
        }
    }

    /// A string.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::from(text.into())
    }

    pub(crate) fn depth(&self) -> u32 {
        self.depth
    }

    /// The string, if the value is one and it is UTF-8.
    pub(crate) fn as_str(&self) -> Option<&str> {
        match &self.val {
            Val::TStr(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }
}

/// The depth of `val`, or `limit` if it is deeper. Values are at most [`MAX_DEPTH`] deep, so recursion is safe.
fn depth_of(val: &Val, limit: u32) -> u32 {
    fence::spend(1);
    if limit == 0 {
        return 0;
    }
    let deepest = |depths: &mut dyn Iterator<Item = u32>| 1 + depths.max().unwrap_or(0);
    match val {
        Val::Arr(items) => deepest(&mut items.iter().map(|item| depth_of(item, limit - 1))),
        Val::Obj(entries) => deepest(&mut entries.values().map(|value| depth_of(value, limit - 1))),
        Val::Null | Val::Bool(_) | Val::Num(_) | Val::BStr(_) | Val::TStr(_) => 0,
    }
}

fn object_of(entries: Map) -> Val {
    Val::Obj(Rc::new(entries))
}

impl fmt::Display for FencedValue {
    /// For error messages only: cut after some characters.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(text) = redaction::redacted(&self.val) {
            return formatter.write_str(&text);
        }
        let (mut text, complete) = json::to_text(&self.val, MAX_SHOWN);
        if !complete {
            text.push('…');
        }
        formatter.write_str(&text)
    }
}

impl From<bool> for FencedValue {
    fn from(value: bool) -> Self {
        Self::leaf(Val::Bool(value))
    }
}

impl From<isize> for FencedValue {
    fn from(value: isize) -> Self {
        Self::leaf(Val::from(value))
    }
}

impl From<usize> for FencedValue {
    fn from(value: usize) -> Self {
        Self::leaf(Val::from(value))
    }
}

impl From<f64> for FencedValue {
    fn from(value: f64) -> Self {
        numeral::result(value)
    }
}

impl From<String> for FencedValue {
    fn from(value: String) -> Self {
        fence::allocate(value.len() + 64);
        Self::leaf(Val::from(value))
    }
}

impl From<Range<Self>> for FencedValue {
    fn from(range: Range<Self>) -> Self {
        let null = || Self::leaf(Val::Null);
        let bound = |name: &str, bound: Option<Self>| {
            Ok((FencedValue::text(name), bound.unwrap_or_else(null)))
        };
        let entries = [bound("start", range.start), bound("end", range.end)];
        object(entries.into_iter()).unwrap_or_else(|_: Error<Self>| Self::leaf(Val::Null))
    }
}

/// An object. Its keys must be strings, which also keeps hashing cheap.
fn object<E: From<Error<FencedValue>>>(
    entries: impl Iterator<Item = Result<(FencedValue, FencedValue), E>>,
) -> Result<FencedValue, E> {
    let mut map = Map::default();
    let mut depth = 0;
    fence::allocate(fence::OBJECT);
    for entry in entries {
        let (key, value) = entry?;
        let Val::TStr(bytes) = &key.val else {
            let message = format!("cannot use {key} as object key: it must be a string");
            return Err(Error::str(message).into());
        };
        fence::allocate(96);
        fence::spend(1 + bytes.len() as u64 / 64);
        depth = depth.max(value.depth);
        map.insert(key.val, value.val);
    }
    Ok(FencedValue::nested(object_of(map), depth + 1))
}

impl FromIterator<Self> for FencedValue {
    fn from_iter<I: IntoIterator<Item = Self>>(values: I) -> Self {
        fence::allocate(40);
        let mut depth = 0;
        let items: Vec<Val> = values
            .into_iter()
            .map(|value| {
                fence::allocate(32);
                fence::spend(1);
                depth = depth.max(value.depth);
                value.val
            })
            .collect();
        Self::nested(Val::Arr(Rc::new(items)), depth + 1)
    }
}
