//! Access to the parts of a value.

use std::ops;

use jaq_core::box_iter::box_once;
use jaq_core::path::Opt;
use jaq_core::val::Range;
use jaq_core::{Error, ValR, ValX};
use jaq_json::{Map, Num, Rc, Val};

use super::search::indices;
use super::{FencedValue, json, object};
use crate::fence;

/// Characters of a number.
const MAX_NUMBER: usize = 400;

impl jaq_core::ValT for FencedValue {
    fn from_num(text: &str) -> ValR<Self> {
        if text.len() > MAX_NUMBER {
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
                // The array is not shared, so its items can be changed in place later.
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
            (Val::Null, Val::Num(_) | Val::TStr(_) | Val::Obj(_)) => Val::Null,
            (Val::Arr(items), Val::Num(number)) => {
                let at = clamped(number).and_then(|at| match at {
                    0.. => Some(at.unsigned_abs()),
                    _ => items.len().checked_sub(at.unsigned_abs()),
                });
                at.and_then(|at| items.get(at).cloned()).unwrap_or_default()
            }
            (Val::Arr(_), Val::Arr(_)) => return indices(&self, index),
            (Val::Obj(entries), Val::TStr(key)) => {
                fence::spend(1 + key.len() as u64 / 64);
                entries.get(&index.val).cloned().unwrap_or_default()
            }
            (Val::TStr(_) | Val::Arr(_), Val::Obj(slice)) => {
                return self.slice(|length| slice_bounds(slice, length));
            }
            _ => return Err(Error::index(self, index.clone())),
        };
        Ok(self.part(found))
    }

    fn range(self, range: Range<&Self>) -> ValR<Self> {
        self.slice(|length| {
            bounds(
                range.start.map(|b| &b.val),
                range.end.map(|b| &b.val),
                length,
            )
        })
    }

    // The engine updates nothing: programs are rewritten to `modify__` and `assign__`.
    fn map_values<'a, I: Iterator<Item = ValX<'a, Self>>>(
        self,
        _: Opt,
        _: impl Fn(Self) -> I,
    ) -> ValX<'a, Self> {
        Err(Error::str("cannot update").into())
    }

    fn map_index<'a, I: Iterator<Item = ValX<'a, Self>>>(
        self,
        _: &Self,
        _: Opt,
        _: impl Fn(Self) -> I,
    ) -> ValX<'a, Self> {
        Err(Error::str("cannot update").into())
    }

    fn map_range<'a, I: Iterator<Item = ValX<'a, Self>>>(
        self,
        _: Range<&Self>,
        _: Opt,
        _: impl Fn(Self) -> I,
    ) -> ValX<'a, Self> {
        Err(Error::str("cannot update").into())
    }

    fn as_bool(&self) -> bool {
        !matches!(self.val, Val::Null | Val::Bool(false))
    }

    fn into_string(self) -> Self {
        match self.val {
            Val::TStr(_) => self,
            _ => Self::from(json::to_text(&self.val, usize::MAX).0),
        }
    }
}

impl FencedValue {
    /// The part of an array or a string that `bounds` selects, given the length.
    fn slice(
        self,
        bounds: impl FnOnce(usize) -> Result<ops::Range<usize>, Error<Self>>,
    ) -> ValR<Self> {
        let found = match &self.val {
            Val::Null => Val::Null,
            Val::Arr(items) => {
                let range = bounds(items.len())?;
                fence::allocate(40 + range.len() * 16);
                Val::Arr(Rc::new(items[range].to_vec()))
            }
            Val::TStr(bytes) => {
                fence::spend(bytes.len() as u64 / 16);
                let Some(text) = self.as_str() else {
                    return Err(Error::typ(self, "UTF-8 string"));
                };
                let range = bounds(text.chars().count())?;
                Val::utf8_str(bytes.slice(slice_of(text, range.start, range.len())))
            }
            _ => return Err(Error::typ(self, "rangeable (array or string)")),
        };
        let depth = self.depth;
        Ok(Self {
            depth,
            ..self.part(found)
        })
    }
}

/// An index, rounded toward zero and to what an array can have. `None` for nan.
pub(super) fn clamped(number: &Num) -> Option<isize> {
    let float = jaq_std::ValT::as_f64(&Val::Num(number.clone()))?;
    let limit = f64::from(i32::MAX);
    (!float.is_nan()).then(|| float.clamp(-limit - 1.0, limit) as isize)
}

/// The bounds in an index such as `{"start": 1, "end": 2}`, in a value of this length.
pub(super) fn slice_bounds(
    slice: &Map,
    length: usize,
) -> Result<ops::Range<usize>, Error<FencedValue>> {
    let bound = |name: &str| {
        let bound = slice.get(&Val::from(name.to_owned()));
        bound.ok_or_else(|| Error::str("a slice needs a start and an end"))
    };
    bounds(Some(bound("start")?), Some(bound("end")?), length)
}

/// The items or characters of a slice, in a value of this length: the start is rounded down, the end up.
fn bounds(
    start: Option<&Val>,
    end: Option<&Val>,
    length: usize,
) -> Result<ops::Range<usize>, Error<FencedValue>> {
    let length = length as f64;
    let bound = |bound: Option<&Val>, default: f64| match bound {
        None | Some(Val::Null) => Ok(default),
        Some(number @ Val::Num(_)) => {
            let float = jaq_std::ValT::as_f64(number).unwrap_or(f64::NAN);
            Ok(if float.is_nan() { default } else { float })
        }
        Some(_) => Err(Error::str("the bounds of a slice must be numbers")),
    };
    let from_end = |bound: f64| if bound < 0.0 { bound + length } else { bound };
    let start = from_end(bound(start, 0.0)?).clamp(0.0, length).floor();
    let end = from_end(bound(end, length)?);
    let end = if end < 0.0 {
        start
    } else {
        end.ceil().min(length)
    };
    Ok(start as usize..end.max(start) as usize)
}

/// The byte range of the characters `skip..skip + take`.
pub(super) fn slice_of(text: &str, skip: usize, take: usize) -> ops::Range<usize> {
    let mut starts = text
        .char_indices()
        .map(|(at, _)| at)
        .chain(std::iter::once(text.len()))
        .skip(skip);
    let from = starts.next().unwrap_or(text.len());
    let until = match take.checked_sub(1) {
        None => from,
        Some(between) => starts.nth(between).unwrap_or(text.len()),
    };
    from..until
}
