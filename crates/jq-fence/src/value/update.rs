//! Updates of the parts of a value.

use jaq_core::path::Opt;
use jaq_core::val::Range;
use jaq_core::{Error, Exn, ValX};
use jaq_json::{Map, Rc, Val};

use super::access::slice_of;
use super::{FencedValue, object, object_of};
use crate::fence;

impl FencedValue {
    /// Replaces every part by the outputs of `f`; in an object, by the first output.
    pub(super) fn update_values<'a, I: Iterator<Item = ValX<'a, Self>>>(
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

    /// Replaces the part at `index` by the first output of `f`, or removes it if there is none.
    pub(super) fn update_index<'a, I: Iterator<Item = ValX<'a, Self>>>(
        mut self,
        index: &Self,
        opt: Opt,
        f: impl Fn(Self) -> I,
    ) -> ValX<'a, Self> {
        // As in jq, null becomes an object when a key is set.
        if matches!((&self.val, &index.val), (Val::Null, Val::TStr(_))) {
            self.val = object_of(Map::default());
        }
        let parent = Self {
            val: Val::Null,
            ..self
        };
        let (val, depth) = match (self.val, &index.val) {
            (Val::Obj(mut entries), Val::TStr(key)) => {
                fence::spend(1 + key.len() as u64 / 64);
                let depth = update_entry(&mut entries, &index.val, &parent, f)?;
                (Val::Obj(entries), depth)
            }
            (Val::Arr(mut items), Val::Num(_)) => {
                let Some(at) = index.position_in(items.len()) else {
                    let array = Self {
                        val: Val::Arr(items),
                        ..parent
                    };
                    let message = format!("index {index} is out of bounds");
                    return opt.fail(array, |_| Exn::from(Error::str(message)));
                };
                let depth = update_item(&mut items, at, &parent, f)?;
                (Val::Arr(items), depth)
            }
            (val @ (Val::TStr(_) | Val::Arr(_)), Val::Obj(range)) => {
                let (start, end) = index.range_bounds(range);
                let value = Self { val, ..parent };
                return value.update_range(start.as_ref()..end.as_ref(), opt, f);
            }
            (val, _) => {
                let index = index.clone();
                let value = Self { val, ..parent };
                return opt.fail(value, |value| Exn::from(Error::index(value, index)));
            }
        };
        let path_len = parent.path_len;
        Ok(Self {
            path_len,
            ..Self::nested(val, parent.depth.max(depth))
        })
    }

    /// Replaces the range by the first output of `f`.
    pub(super) fn update_range<'a, I: Iterator<Item = ValX<'a, Self>>>(
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
        let part = jaq_core::ValT::range(self.clone(), range)?;
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
}

/// Updates or removes an entry of an object. Returns the depth that the object needs for the new value.
fn update_entry<'a, I: Iterator<Item = ValX<'a, FencedValue>>>(
    entries: &mut Rc<Map>,
    key: &Val,
    parent: &FencedValue,
    f: impl Fn(FencedValue) -> I,
) -> Result<u32, Exn<'a, FencedValue>> {
    let length = entries.len();
    if Rc::get_mut(entries).is_none() {
        fence::allocate(length * 64);
    }
    fence::allocate(96);
    let entries = Rc::make_mut(entries);
    let old = entries.get_mut(key).map(std::mem::take);
    match f(parent.part(old.unwrap_or_default())).next().transpose()? {
        Some(value) => {
            entries.insert(key.clone(), value.val);
            Ok(value.depth + 1)
        }
        None => {
            fence::spend(length as u64 / 16);
            entries.shift_remove(key);
            Ok(0)
        }
    }
}

/// Updates or removes an item of an array. Returns the depth that the array needs for the new value.
fn update_item<'a, I: Iterator<Item = ValX<'a, FencedValue>>>(
    items: &mut Rc<Vec<Val>>,
    at: usize,
    parent: &FencedValue,
    f: impl Fn(FencedValue) -> I,
) -> Result<u32, Exn<'a, FencedValue>> {
    let length = items.len();
    if Rc::get_mut(items).is_none() {
        fence::allocate(length * 16);
    }
    let items = Rc::make_mut(items);
    let old = std::mem::take(&mut items[at]);
    match f(parent.part(old)).next().transpose()? {
        Some(value) => {
            items[at] = value.val;
            Ok(value.depth + 1)
        }
        None => {
            fence::spend(length as u64 / 16);
            items.remove(at);
            Ok(0)
        }
    }
}
