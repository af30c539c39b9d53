//! Access to the parts of a value.

use std::ops;

use jaq_core::box_iter::box_once;
use jaq_core::path::Opt;
use jaq_core::val::Range;
use jaq_core::{Error, ValR, ValX};
use jaq_json::{Map, Rc, Val};

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
            (Val::Null, Val::Null | Val::Num(_) | Val::TStr(_) | Val::Obj(_)) => Val::Null,
            (Val::Arr(items), Val::Num(_)) => {
                let at = index.position_in(items.len());
                at.map(|at| items[at].clone()).unwrap_or_default()
            }
            (Val::Arr(_), Val::Arr(_)) => return indices(&self, index),
            (Val::Obj(entries), Val::TStr(key)) => {
                fence::spend(1 + key.len() as u64 / 64);
                entries.get(&index.val).cloned().unwrap_or_default()
            }
            (Val::TStr(_) | Val::Arr(_), Val::Obj(range)) => {
                let (start, end) = index.range_bounds(range);
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
        self.update_values(opt, f)
    }

    fn map_index<'a, I: Iterator<Item = ValX<'a, Self>>>(
        self,
        index: &Self,
        opt: Opt,
        f: impl Fn(Self) -> I,
    ) -> ValX<'a, Self> {
        self.update_index(index, opt, f)
    }

    fn map_range<'a, I: Iterator<Item = ValX<'a, Self>>>(
        self,
        range: Range<&Self>,
        opt: Opt,
        f: impl Fn(Self) -> I,
    ) -> ValX<'a, Self> {
        self.update_range(range, opt, f)
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
    /// The position that this index means in an array of this length, which it may count from the end.
    pub(super) fn position_in(&self, length: usize) -> Option<usize> {
        let at = match self.as_int()? {
            at @ 0.. => at.unsigned_abs(),
            at => length.checked_sub(at.unsigned_abs())?,
        };
        (at < length).then_some(at)
    }

    /// The bounds in an index such as `{"start": 1, "end": 2}`, which is this value.
    pub(super) fn range_bounds(&self, range: &Map) -> (Option<Self>, Option<Self>) {
        let bound = |name: &str| {
            let bound = range.get(&Val::from(name.to_owned()));
            bound.map(|bound| self.part(bound.clone()))
        };
        (bound("start"), bound("end"))
    }

    /// How many items or characters `range` skips and takes, in a value of this length.
    pub(super) fn bounds(
        range: &Range<&Self>,
        length: usize,
    ) -> Result<(usize, usize), Error<Self>> {
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
        let until = bound(range.end, length)?;
        Ok((from, until.saturating_sub(from)))
    }
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
