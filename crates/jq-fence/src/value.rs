//! The value that programs work with: jaq's, wrapped so that every operation on it passes the fence first.
//!
//! Values share their parts, so a small value can look exponentially large from outside. Everything that walks a value
//! therefore counts its steps, and everything that may fail is decided here, because jaq's own error messages would
//! print such a value in full.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a filter names the kinds of value it takes and refuses all others"
)]

use std::cmp::Ordering;
use std::fmt;

use jaq_core::box_iter::box_once;
use jaq_core::path::Opt;
use jaq_core::val::Range;
use jaq_core::{Error, Exn, ValR, ValX};
use jaq_json::{Map, Num, Rc, Val};
use serde_json::Value;

use crate::fence::{self, FenceLimit, MAX_DEPTH, MAX_PATH_LEN};
use crate::locate;
use crate::walk;

/// Characters of a value in an error message.
const SHOWN: usize = 120;

/// A value, an upper bound of its nesting, and its distance from where it was taken.
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
        // The bound was too cautious, or the value is too deep.
        let depth = walk::depth(&val, MAX_DEPTH + 1);
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

    /// The value of a JSON value.
    pub(crate) fn import(value: &Value) -> ValR<Self> {
        fence::step();
        match value {
            Value::Null => Ok(Self::leaf(Val::Null)),
            Value::Bool(bool) => Ok(Self::from(*bool)),
            Value::Number(number) => jaq_core::ValT::from_num(&number.to_string()),
            Value::String(text) => Ok(Self::text(text)),
            Value::Array(items) => items.iter().map(Self::import).collect(),
            Value::Object(entries) => object(
                entries
                    .iter()
                    .map(|(key, value)| Ok((Self::text(key), Self::import(value)?))),
            ),
        }
    }

    pub(crate) fn depth(&self) -> u32 {
        self.depth
    }

    /// The string, if this is one and it is UTF-8.
    pub(crate) fn as_str(&self) -> Option<&str> {
        match &self.val {
            Val::TStr(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    fn as_int(&self) -> Option<isize> {
        match &self.val {
            Val::Num(Num::Float(float)) => float.is_finite().then(|| float.floor() as isize),
            Val::Num(Num::Dec(text)) => {
                text.parse::<f64>().ok().map(|float| float.floor() as isize)
            }
            Val::Num(number) => number.as_isize(),
            _ => None,
        }
    }

    /// Skip and take for `range` in something of length `length`.
    fn bounds(range: &Range<&Self>, length: usize) -> Result<(usize, usize), Error<Self>> {
        let bound = |bound: Option<&Self>, default: usize| match bound {
            None => Ok(default),
            Some(value) if matches!(value.val, Val::Null) => Ok(default),
            Some(value) => match value.as_int() {
                Some(index) if index < 0 => Ok(length.saturating_sub(index.unsigned_abs())),
                Some(index) => Ok(index.unsigned_abs().min(length)),
                None => Err(Error::typ((*value).clone(), "integer")),
            },
        };
        let from = bound(range.start, 0)?;
        let upto = bound(range.end, length)?;
        Ok((from, upto.saturating_sub(from)))
    }
}

/// Byte positions of the characters `skip..skip + take`.
fn slice_of(text: &str, skip: usize, take: usize) -> std::ops::Range<usize> {
    let mut starts = text
        .char_indices()
        .map(|(at, _)| at)
        .chain(std::iter::once(text.len()))
        .skip(skip);
    let from = starts.next().unwrap_or(text.len());
    let upto = match take.checked_sub(1) {
        None => from,
        Some(between) => starts.nth(between).unwrap_or(text.len()),
    };
    from..upto
}

/// A float that is whole becomes an integer, so that `10 / 2` is 5 and can be an index.
pub(crate) fn number(num: Num) -> FencedValue {
    FencedValue::leaf(Val::Num(match num {
        Num::Float(float) if float.fract() == 0.0 && float.abs() < 9e15 => Num::Int(float as isize),
        num @ (Num::Float(_) | Num::Int(_) | Num::BigInt(_) | Num::Dec(_)) => num,
    }))
}

fn object_of(entries: Map) -> Val {
    Val::Obj(Rc::new(entries))
}

impl fmt::Display for FencedValue {
    /// For error messages only: cut after some characters.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(text) = locate::redacted(&self.val) {
            return formatter.write_str(&text);
        }
        let (mut text, whole) = walk::to_text(&self.val, SHOWN);
        if !whole {
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
        number(Num::Float(value))
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
        let bound =
            |name: &str, bound: Option<Self>| bound.map(|value| (FencedValue::text(name), value));
        let entries = [bound("start", range.start), bound("end", range.end)];
        object(entries.into_iter().flatten().map(Ok))
            .unwrap_or_else(|_: Error<Self>| Self::leaf(Val::Null))
    }
}

/// An object; its keys must be strings, which also keeps hashing cheap.
fn object<E: From<Error<FencedValue>>>(
    entries: impl Iterator<Item = Result<(FencedValue, FencedValue), E>>,
) -> Result<FencedValue, E> {
    let mut map = Map::default();
    let mut depth = 0;
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

impl PartialEq for FencedValue {
    fn eq(&self, other: &Self) -> bool {
        walk::equal(&self.val, &other.val)
    }
}

impl Eq for FencedValue {}

#[expect(
    clippy::non_canonical_partial_ord_impl,
    reason = "jq's `<` and the order of `sort` differ for nan"
)]
impl PartialOrd for FencedValue {
    /// jq's `<`, for which nan is less than anything, even nan.
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        if let (Val::Num(left), Val::Num(right)) = (&self.val, &other.val) {
            fence::spend(1);
            return left.partial_cmp(right);
        }
        Some(walk::compare(&self.val, &other.val))
    }
}

impl Ord for FencedValue {
    /// The order of `sort`: total, as Rust's sorting demands it.
    fn cmp(&self, other: &Self) -> Ordering {
        walk::compare(&self.val, &other.val)
    }
}

impl jaq_core::ValT for FencedValue {
    fn from_num(text: &str) -> ValR<Self> {
        if text.len() > 400 {
            return Err(Error::str("a number has too many digits"));
        }
        match <Val as jaq_core::ValT>::from_num(text) {
            Ok(val) => Ok(Self::leaf(val)),
            Err(_) => Err(Error::str("not a number")),
        }
    }

    fn from_map<I: IntoIterator<Item = (Self, Self)>>(entries: I) -> ValR<Self> {
        object(entries.into_iter().map(Ok))
    }

    fn key_values(self) -> Box<dyn Iterator<Item = ValR<(Self, Self), Self>>> {
        let whole = self.clone();
        match self.val {
            Val::Arr(items) => Box::new(
                (0..items.len())
                    .map(move |index| Ok((Self::from(index), whole.part(items[index].clone())))),
            ),
            Val::Obj(entries) => Box::new((0..entries.len()).filter_map(move |index| {
                let (key, value) = entries.get_index(index)?;
                Some(Ok((Self::leaf(key.clone()), whole.part(value.clone()))))
            })),
            _ => box_once(Err(Error::typ(whole, "iterable (array or object)"))),
        }
    }

    fn values(self) -> Box<dyn Iterator<Item = ValR<Self>>> {
        let from = Self {
            val: Val::Null,
            ..self
        };
        match self.val {
            Val::Arr(items) => match Rc::try_unwrap(items) {
                // Nobody else has the array: its items can be changed in place later.
                Ok(items) => Box::new(items.into_iter().map(move |val| Ok(from.part(val)))),
                Err(items) => {
                    Box::new((0..items.len()).map(move |index| Ok(from.part(items[index].clone()))))
                }
            },
            Val::Obj(entries) => Box::new((0..entries.len()).filter_map(move |index| {
                let (_, value) = entries.get_index(index)?;
                Some(Ok(from.part(value.clone())))
            })),
            val => box_once(Err(Error::typ(
                Self { val, ..from },
                "iterable (array or object)",
            ))),
        }
    }

    fn index(self, index: &Self) -> ValR<Self> {
        let found = match (&self.val, &index.val) {
            (Val::Null, Val::Null | Val::Num(_) | Val::TStr(_) | Val::Obj(_)) => Val::Null,
            (Val::Arr(items), Val::Num(_)) => {
                let at = index.as_int().and_then(|at| match at {
                    0.. => Some(at.unsigned_abs()),
                    _ => items.len().checked_sub(at.unsigned_abs()),
                });
                at.and_then(|at| items.get(at)).cloned().unwrap_or_default()
            }
            (Val::Arr(_), Val::Arr(_)) => return super::natives::indices(&self, index),
            (Val::Obj(entries), Val::TStr(key)) => {
                fence::spend(1 + key.len() as u64 / 64);
                entries.get(&index.val).cloned().unwrap_or_default()
            }
            (Val::TStr(_) | Val::Arr(_), Val::Obj(range)) => {
                let bound = |name: &str| {
                    let bound = range.get(&Val::from(name.to_owned()));
                    bound.map(|bound| index.part(bound.clone()))
                };
                let (start, end) = (bound("start"), bound("end"));
                return self.range(start.as_ref()..end.as_ref());
            }
            _ => return Err(Error::index(self, index.clone())),
        };
        Ok(self.part(found))
    }

    fn range(self, range: Range<&Self>) -> ValR<Self> {
        let found = match &self.val {
            Val::Null => Val::Null,
            Val::Arr(items) => {
                let (skip, take) = Self::bounds(&range, items.len())?;
                fence::allocate(40 + take * 16);
                Val::Arr(Rc::new(items[skip..skip + take].to_vec()))
            }
            Val::TStr(bytes) => {
                fence::spend(bytes.len() as u64 / 16);
                let Some(text) = self.as_str() else {
                    return Err(Error::typ(self, "UTF-8 string"));
                };
                let (skip, take) = Self::bounds(&range, text.chars().count())?;
                Val::utf8_str(bytes.slice(slice_of(text, skip, take)))
            }
            _ => return Err(Error::typ(self, "rangeable (array or string)")),
        };
        let depth = self.depth;
        Ok(Self {
            depth,
            ..self.part(found)
        })
    }

    fn map_values<'a, I: Iterator<Item = ValX<'a, Self>>>(
        self,
        opt: Opt,
        f: impl Fn(Self) -> I,
    ) -> ValX<'a, Self> {
        let from = Self {
            val: Val::Null,
            ..self
        };
        match self.val {
            Val::Arr(items) => {
                let items = Rc::try_unwrap(items).unwrap_or_else(|items| {
                    fence::allocate(items.len() * 16);
                    (*items).clone()
                });
                let parts = items.into_iter().map(|val| from.part(val));
                parts.flat_map(f).collect()
            }
            Val::Obj(entries) => {
                let changed = (0..entries.len()).filter_map(|index| {
                    let (key, value) = entries.get_index(index)?;
                    let value = f(from.part(value.clone())).next()?;
                    Some(value.map(|value| (Self::leaf(key.clone()), value)))
                });
                object(changed)
            }
            val => opt.fail(Self { val, ..from }, |value| {
                Exn::from(Error::typ(value, "iterable (array or object)"))
            }),
        }
    }

    fn map_index<'a, I: Iterator<Item = ValX<'a, Self>>>(
        mut self,
        index: &Self,
        opt: Opt,
        f: impl Fn(Self) -> I,
    ) -> ValX<'a, Self> {
        // As in jq, null becomes an object when a key is set.
        if matches!((&self.val, &index.val), (Val::Null, Val::TStr(_))) {
            self.val = object_of(Map::default());
        }
        let from = Self {
            val: Val::Null,
            ..self
        };
        let length = match &self.val {
            Val::Arr(items) => items.len(),
            Val::Obj(entries) => entries.len(),
            _ => 0,
        };
        let mut depth = self.depth;
        match (&mut self.val, &index.val) {
            (Val::Obj(entries), Val::TStr(key)) => {
                if Rc::get_mut(entries).is_none() {
                    fence::allocate(length * 64);
                }
                fence::allocate(96);
                fence::spend(1 + key.len() as u64 / 64);
                let entries = Rc::make_mut(entries);
                let old = entries.get_mut(&index.val).map(std::mem::take);
                match f(from.part(old.unwrap_or_default())).next().transpose()? {
                    Some(value) => {
                        depth = depth.max(value.depth + 1);
                        entries.insert(index.val.clone(), value.val);
                    }
                    None => {
                        fence::spend(length as u64 / 16);
                        entries.shift_remove(&index.val);
                    }
                }
            }
            (Val::Arr(items), Val::Num(_)) => {
                let at = index.as_int().and_then(|at| match at {
                    0.. => Some(at.unsigned_abs()),
                    _ => length.checked_sub(at.unsigned_abs()),
                });
                let Some(at) = at.filter(|at| *at < length) else {
                    let message = format!("index {index} is out of bounds");
                    return opt.fail(self, |_| Exn::from(Error::str(message)));
                };
                if Rc::get_mut(items).is_none() {
                    fence::allocate(length * 16);
                }
                let items = Rc::make_mut(items);
                let old = std::mem::take(&mut items[at]);
                match f(from.part(old)).next().transpose()? {
                    Some(value) => {
                        depth = depth.max(value.depth + 1);
                        items[at] = value.val;
                    }
                    None => {
                        fence::spend(length as u64 / 16);
                        items.remove(at);
                    }
                }
            }
            (Val::TStr(_) | Val::Arr(_), Val::Obj(range)) => {
                let bound = |name: &str| {
                    let bound = range.get(&Val::from(name.to_owned()));
                    bound.map(|bound| index.part(bound.clone()))
                };
                let (start, end) = (bound("start"), bound("end"));
                return self.map_range(start.as_ref()..end.as_ref(), opt, f);
            }
            _ => {
                let index = index.clone();
                return opt.fail(self, |value| Exn::from(Error::index(value, index)));
            }
        }
        let path_len = self.path_len;
        Ok(Self {
            path_len,
            ..Self::nested(self.val, depth)
        })
    }

    fn map_range<'a, I: Iterator<Item = ValX<'a, Self>>>(
        self,
        range: Range<&Self>,
        opt: Opt,
        f: impl Fn(Self) -> I,
    ) -> ValX<'a, Self> {
        let length = match &self.val {
            Val::Arr(items) => items.len(),
            Val::TStr(_) => self.as_str().map_or(0, |text| text.chars().count()),
            _ => return opt.fail(self, |value| Exn::from(Error::typ(value, "array"))),
        };
        let (skip, take) = match Self::bounds(&range, length) {
            Ok(bounds) => bounds,
            Err(error) => return opt.fail(self, |_| Exn::from(error)),
        };
        let part = self.clone().range(range)?;
        let replacement = f(part).next().transpose()?;
        if let Val::Arr(items) = &self.val {
            let (new, depth) = match &replacement {
                None => (Vec::new(), 0),
                Some(FencedValue {
                    val: Val::Arr(new),
                    depth,
                    ..
                }) => (new.to_vec(), *depth),
                Some(other) => return Err(Error::typ(other.clone(), "array").into()),
            };
            fence::allocate((items.len() + new.len()) * 16);
            let mut items = items.to_vec();
            items.splice(skip..skip + take, new);
            return Ok(Self::nested(
                Val::Arr(Rc::new(items)),
                self.depth.max(depth),
            ));
        }
        let new = match &replacement {
            None => "",
            Some(value) => match value.as_str() {
                Some(text) => text,
                None => return Err(Error::typ(value.clone(), "string").into()),
            },
        };
        let mut text = self.as_str().unwrap_or_default().to_owned();
        fence::allocate(text.len() + new.len());
        text.replace_range(slice_of(&text, skip, take), new);
        Ok(Self::text(text))
    }

    fn as_bool(&self) -> bool {
        !matches!(self.val, Val::Null | Val::Bool(false))
    }

    fn into_string(self) -> Self {
        match self.val {
            Val::TStr(_) => self,
            _ => Self::from(walk::to_text(&self.val, usize::MAX).0),
        }
    }
}

impl jaq_std::ValT for FencedValue {
    fn into_seq<S: FromIterator<Self>>(self) -> Result<S, Self> {
        if !matches!(self.val, Val::Arr(_)) {
            return Err(self);
        }
        // Arrays yield no errors.
        Ok(jaq_core::ValT::values(self)
            .filter_map(Result::ok)
            .collect())
    }

    fn is_int(&self) -> bool {
        matches!(self.val, Val::Num(Num::Int(_) | Num::BigInt(_)))
    }

    fn as_isize(&self) -> Option<isize> {
        jaq_std::ValT::as_isize(&self.val)
    }

    fn as_f64(&self) -> Option<f64> {
        jaq_std::ValT::as_f64(&self.val)
    }

    fn is_utf8_str(&self) -> bool {
        matches!(self.val, Val::TStr(_))
    }

    fn as_bytes(&self) -> Option<&[u8]> {
        let bytes = jaq_std::ValT::as_bytes(&self.val)?;
        fence::spend(bytes.len() as u64 / 16);
        Some(bytes)
    }

    fn as_sub_str(&self, sub: &[u8]) -> Self {
        fence::allocate(64);
        Self::leaf(jaq_std::ValT::as_sub_str(&self.val, sub))
    }

    fn from_utf8_bytes(bytes: impl AsRef<[u8]> + Send + 'static) -> Self {
        fence::allocate(bytes.as_ref().len() + 64);
        Self::leaf(<Val as jaq_std::ValT>::from_utf8_bytes(bytes))
    }
}
