//! jq's `getpath`, `setpath` and `delpaths`.

use jaq_core::{Error, ValR, ValT as _};
use jaq_json::{Map, Num, Rc, Val};

use super::access::{clamped, slice_bounds};
use super::{FencedValue, compare, equal, object_of};
use crate::fence;

/// Keys that a path may have.
const MAX_PATH: usize = 10_000;

/// Items that an array may be padded to. The memory limit is usually reached before.
const MAX_INDEX: usize = 1 << 29;

/// The keys of a path.
pub(crate) fn keys(path: &FencedValue) -> Result<Vec<FencedValue>, Error<FencedValue>> {
    match &path.val {
        Val::Arr(keys) if keys.len() > MAX_PATH => Err(Error::str("the path is too deep")),
        Val::Arr(keys) => {
            fence::spend(keys.len() as u64);
            Ok(keys
                .iter()
                .map(|key| FencedValue::nested(key.clone(), path.depth()))
                .collect())
        }
        _ => Err(Error::str(format!(
            "cannot use {path} as a path: it must be an array"
        ))),
    }
}

/// The value at `path`; null if a value on the way is null.
pub(crate) fn get(value: FencedValue, path: &[FencedValue]) -> ValR<FencedValue> {
    path.iter().try_fold(value, |value, key| value.index(key))
}

/// `value` with `new` at `path`.
pub(crate) fn set(
    mut value: FencedValue,
    path: &[FencedValue],
    new: FencedValue,
) -> ValR<FencedValue> {
    let depth = value.depth().max(new.depth() + depth_of_path(path));
    set_in(&mut value.val, path, new.val)?;
    Ok(FencedValue::nested(value.val, depth))
}

fn depth_of_path(path: &[FencedValue]) -> u32 {
    u32::try_from(path.len()).unwrap_or(u32::MAX / 2)
}

/// Takes the value at `path` out of `value` and leaves null there.
pub(crate) fn take(value: &mut FencedValue, path: &[FencedValue]) -> ValR<FencedValue> {
    let depth = value.depth();
    let taken = take_from(&mut value.val, path)?;
    Ok(FencedValue::nested(taken, depth))
}

fn take_from(val: &mut Val, path: &[FencedValue]) -> Result<Val, Error<FencedValue>> {
    let Some((key, rest)) = path.split_first() else {
        return Ok(std::mem::take(val));
    };
    fence::spend(1);
    match (&mut *val, &key.val) {
        (Val::Obj(entries), Val::TStr(_)) => match entries_mut(entries).get_mut(&key.val) {
            Some(inner) => take_from(inner, rest),
            None => get(FencedValue::leaf(Val::Null), rest).map(|value| value.val),
        },
        (Val::Arr(items), Val::Num(number)) => {
            let at = clamped(number).and_then(|at| position(at, items.len()));
            match at.and_then(|at| items_mut(items).get_mut(at)) {
                Some(inner) => take_from(inner, rest),
                None => get(FencedValue::leaf(Val::Null), rest).map(|value| value.val),
            }
        }
        // A slice, null, or an error.
        _ => {
            let whole = FencedValue::nested(val.clone(), fence::MAX_DEPTH);
            get(whole, path).map(|value| value.val)
        }
    }
}

fn position(at: isize, length: usize) -> Option<usize> {
    match at {
        0.. => Some(at.unsigned_abs()),
        _ => length.checked_sub(at.unsigned_abs()),
    }
}

/// The entries of an object, which is copied if it is shared.
fn entries_mut(entries: &mut Rc<Map>) -> &mut Map {
    if Rc::get_mut(entries).is_none() {
        fence::allocate(entries.len() * 64);
    }
    Rc::make_mut(entries)
}

/// The items of an array, which is copied if it is shared.
fn items_mut(items: &mut Rc<Vec<Val>>) -> &mut Vec<Val> {
    if Rc::get_mut(items).is_none() {
        fence::allocate(items.len() * 16);
    }
    Rc::make_mut(items)
}

fn set_in(val: &mut Val, path: &[FencedValue], new: Val) -> Result<(), Error<FencedValue>> {
    let Some((key, rest)) = path.split_first() else {
        *val = new;
        return Ok(());
    };
    fence::spend(1);
    if matches!(val, Val::Null) {
        match &key.val {
            Val::TStr(_) => {
                fence::allocate(fence::OBJECT);
                *val = object_of(Map::default());
            }
            Val::Num(_) | Val::Obj(_) => *val = Val::Arr(Rc::default()),
            _ => {}
        }
    }
    match (&mut *val, &key.val) {
        (Val::Obj(entries), Val::TStr(name)) => {
            fence::spend(name.len() as u64 / 64);
            let entries = entries_mut(entries);
            if let Some(inner) = entries.get_mut(&key.val) {
                return set_in(inner, rest, new);
            }
            fence::allocate(96);
            let mut inner = Val::Null;
            set_in(&mut inner, rest, new)?;
            entries.insert(key.val.clone(), inner);
            Ok(())
        }
        (Val::Arr(items), Val::Num(number)) => set_item(items, number, rest, new),
        (Val::Arr(items), Val::Obj(slice)) => set_slice(items, slice, rest, new),
        (Val::TStr(_), Val::Obj(_)) => Err(Error::str("cannot update a part of a string")),
        _ => {
            let value = FencedValue::nested(val.clone(), fence::MAX_DEPTH);
            Err(Error::index(value, key.clone()))
        }
    }
}

fn set_item(
    items: &mut Rc<Vec<Val>>,
    number: &Num,
    rest: &[FencedValue],
    new: Val,
) -> Result<(), Error<FencedValue>> {
    let Some(at) = clamped(number) else {
        return Err(Error::str("cannot set an array element at nan"));
    };
    let Some(at) = position(at, items.len()) else {
        return Err(Error::str(format!("index {at} is out of bounds")));
    };
    if at > MAX_INDEX {
        return Err(Error::str(format!("index {at} is too large")));
    }
    let items = items_mut(items);
    if let Some(inner) = items.get_mut(at) {
        return set_in(inner, rest, new);
    }
    fence::allocate((at + 1 - items.len()) * 32);
    let mut inner = Val::Null;
    set_in(&mut inner, rest, new)?;
    items.resize(at, Val::Null);
    items.push(inner);
    Ok(())
}

fn set_slice(
    items: &mut Rc<Vec<Val>>,
    slice: &Map,
    rest: &[FencedValue],
    new: Val,
) -> Result<(), Error<FencedValue>> {
    let range = slice_bounds(slice, items.len())?;
    let new = match rest {
        [] => new,
        [..] => {
            fence::allocate(40 + range.len() * 16);
            let mut part = Val::Arr(Rc::new(items[range.clone()].to_vec()));
            set_in(&mut part, rest, new)?;
            part
        }
    };
    let Val::Arr(new) = new else {
        return Err(Error::str(
            "a slice of an array can only be set to an array",
        ));
    };
    fence::allocate(new.len() * 16);
    fence::spend(items.len() as u64 / 16);
    items_mut(items).splice(range, new.iter().cloned());
    Ok(())
}

/// `value` without the parts at `paths`, which are deleted together.
pub(crate) fn delete(value: FencedValue, paths: &FencedValue) -> ValR<FencedValue> {
    let Val::Arr(paths) = &paths.val else {
        return Err(Error::str(format!(
            "cannot use {paths} as paths: it must be an array"
        )));
    };
    let mut sorted: Vec<&[Val]> = Vec::new();
    for path in paths.iter() {
        let Val::Arr(path) = path else {
            return Err(Error::str("cannot delete: a path must be an array"));
        };
        if path.len() > MAX_PATH {
            return Err(Error::str("the path is too deep"));
        }
        fence::spend(1);
        sorted.push(path);
    }
    sorted.sort_by(|left, right| compare_paths(left, right));
    match sorted.first() {
        None => return Ok(value),
        Some([]) => return Ok(FencedValue::leaf(Val::Null)),
        Some([..]) => {}
    }
    let depth = value.depth();
    let mut val = value.val;
    delete_in(&mut val, &sorted)?;
    Ok(FencedValue::nested(val, depth))
}

fn compare_paths(left: &[Val], right: &[Val]) -> std::cmp::Ordering {
    let keys = left.iter().zip(right);
    let mut unequal = keys
        .map(|(l, r)| compare(l, r))
        .filter(|order| order.is_ne());
    unequal.next().unwrap_or(left.len().cmp(&right.len()))
}

/// Deletes what the sorted `paths`, none of which is empty, lead to.
fn delete_in(val: &mut Val, paths: &[&[Val]]) -> Result<(), Error<FencedValue>> {
    let mut doomed = Vec::new();
    for group in paths.chunk_by(|left, right| equal(&left[0], &right[0])) {
        let [first, ..] = group else { continue };
        let key = FencedValue::nested(first[0].clone(), fence::MAX_DEPTH);
        if first.len() == 1 {
            doomed.push(&first[0]);
            continue;
        }
        let rest: Vec<&[Val]> = group.iter().map(|path| &path[1..]).collect();
        let mut inner = take_from(val, std::slice::from_ref(&key))?;
        if matches!(inner, Val::Null) {
            // What is missing stays missing, and a null that was taken is still there.
            continue;
        }
        delete_in(&mut inner, &rest)?;
        set_in(val, &[key], inner)?;
    }
    delete_keys(val, &doomed)
}

fn delete_keys(val: &mut Val, keys: &[&Val]) -> Result<(), Error<FencedValue>> {
    let refused = |key: &Val, from: &str| {
        let key = FencedValue::nested(key.clone(), fence::MAX_DEPTH);
        Err(Error::str(format!("cannot delete {key} from {from}")))
    };
    match val {
        Val::Null => Ok(()),
        _ if keys.is_empty() => Ok(()),
        Val::Obj(entries) => {
            let entries = entries_mut(entries);
            for key in keys {
                let Val::TStr(_) = key else {
                    return refused(key, "an object");
                };
                fence::spend(entries.len() as u64 / 16);
                entries.shift_remove(*key);
            }
            Ok(())
        }
        Val::Arr(items) => {
            let length = items.len();
            let mut doomed = vec![false; length];
            fence::allocate(length);
            for key in keys {
                match key {
                    Val::Num(number) => {
                        let at = clamped(number).and_then(|at| position(at, length));
                        if let Some(doomed) = at.and_then(|at| doomed.get_mut(at)) {
                            *doomed = true;
                        }
                    }
                    Val::Obj(slice) => {
                        let range = slice_bounds(slice, length)?;
                        fence::spend(range.len() as u64 / 16);
                        doomed[range].fill(true);
                    }
                    _ => return refused(key, "an array"),
                }
            }
            let mut doomed = doomed.into_iter();
            items_mut(items).retain(|_| !doomed.next().unwrap_or(false));
            Ok(())
        }
        Val::Bool(_) | Val::Num(_) | Val::TStr(_) | Val::BStr(_) => Err(Error::str(
            "cannot delete fields from a value that has none",
        )),
    }
}
