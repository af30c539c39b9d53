//! Walks over whole values. Values are at most [`MAX_DEPTH`](super::fence::MAX_DEPTH) deep, so recursion is safe here;
//! parts may be shared, so every visit is counted.

use std::cmp::Ordering;

use jaq_json::{Num, Rc, Val};
use serde_json::{Map, Number, Value};

use crate::fence;

/// How deep `val` is nested; not looking further than `limit`.
pub(crate) fn depth(val: &Val, limit: u32) -> u32 {
    fence::spend(1);
    if limit == 0 {
        return 0;
    }
    let deepest = |depths: &mut dyn Iterator<Item = u32>| 1 + depths.max().unwrap_or(0);
    match val {
        Val::Arr(items) => deepest(&mut items.iter().map(|item| depth(item, limit - 1))),
        Val::Obj(entries) => deepest(&mut entries.values().map(|value| depth(value, limit - 1))),
        Val::Null | Val::Bool(_) | Val::Num(_) | Val::BStr(_) | Val::TStr(_) => 0,
    }
}

/// JSON text of a value and whether it is whole: the writing ends after about `limit` bytes.
pub(crate) fn to_text(val: &Val, limit: usize) -> (String, bool) {
    let mut text = String::new();
    let whole = write(val, &mut text, limit);
    if !whole {
        let cut = text.floor_char_boundary(limit);
        text.truncate(cut);
    }
    (text, whole)
}

fn write(val: &Val, text: &mut String, limit: usize) -> bool {
    fence::spend(1);
    let before = text.len();
    match val {
        Val::Null => text.push_str("null"),
        Val::Bool(true) => text.push_str("true"),
        Val::Bool(false) => text.push_str("false"),
        Val::Num(num) => text.push_str(&num.to_string()),
        Val::BStr(bytes) | Val::TStr(bytes) => {
            // Six bytes of text at most for each byte.
            let bytes = &bytes[..bytes.len().min(limit)];
            fence::allocate(bytes.len() * 2);
            text.push_str(&Value::from(String::from_utf8_lossy(bytes)).to_string());
        }
        Val::Arr(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                if !write(item, text, limit) {
                    return false;
                }
            }
            text.push(']');
        }
        Val::Obj(entries) => {
            text.push('{');
            for (index, (key, value)) in entries.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                if !write(key, text, limit) {
                    return false;
                }
                text.push(':');
                if !write(value, text, limit) {
                    return false;
                }
            }
            text.push('}');
        }
    }
    if !matches!(val, Val::Arr(_) | Val::Obj(_)) {
        fence::allocate(2 * (text.len() - before));
    }
    text.len() <= limit
}

/// jq's `==`.
pub(crate) fn equal(left: &Val, right: &Val) -> bool {
    fence::spend(1);
    match (left, right) {
        (Val::Null, Val::Null) => true,
        (Val::Bool(left), Val::Bool(right)) => left == right,
        (Val::Num(left), Val::Num(right)) => left == right,
        (Val::TStr(left), Val::TStr(right)) => {
            fence::spend(left.len() as u64 / 64);
            left == right
        }
        (Val::Arr(left), Val::Arr(right)) => {
            left.len() == right.len() && left.iter().zip(right.iter()).all(|(l, r)| equal(l, r))
        }
        (Val::Obj(left), Val::Obj(right)) => {
            let same = |(key, left): (&Val, &Val)| right.get(key).is_some_and(|r| equal(left, r));
            left.len() == right.len() && left.iter().all(same)
        }
        _ => false,
    }
}

/// The order of `sort`: null, false, true, numbers, strings, arrays, objects. It is total: nan comes before all other
/// numbers, and numbers that are the same as a float are told apart by their exact value.
pub(crate) fn compare(left: &Val, right: &Val) -> Ordering {
    fence::spend(1);
    match (left, right) {
        (Val::Bool(left), Val::Bool(right)) => left.cmp(right),
        (Val::Num(left), Val::Num(right)) => compare_numbers(left, right),
        (Val::TStr(left), Val::TStr(right)) => {
            fence::spend(left.len().min(right.len()) as u64 / 64);
            left.cmp(right)
        }
        (Val::Arr(left), Val::Arr(right)) => {
            let items = left.iter().zip(right.iter());
            let mut unequal = items.map(|(l, r)| compare(l, r)).filter(|o| o.is_ne());
            unequal.next().unwrap_or(left.len().cmp(&right.len()))
        }
        (Val::Obj(left), Val::Obj(right)) => {
            fence::allocate((left.len() + right.len()) * 16);
            let sorted = |map: &Rc<jaq_json::Map>| {
                let mut entries: Vec<(Val, Val)> =
                    map.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
                entries.sort_by(|(l, _), (r, _)| compare(l, r));
                entries
            };
            let (left, right) = (sorted(left), sorted(right));
            let keys = left
                .iter()
                .zip(&right)
                .map(|((l, _), (r, _))| compare(l, r));
            let values = left
                .iter()
                .zip(&right)
                .map(|((_, l), (_, r))| compare(l, r));
            let mut keys = keys.filter(|order| order.is_ne());
            let mut values = values.filter(|order| order.is_ne());
            let keys = keys.next().unwrap_or(left.len().cmp(&right.len()));
            keys.then_with(|| values.next().unwrap_or(Ordering::Equal))
        }
        _ => rank(left).cmp(&rank(right)),
    }
}

fn rank(val: &Val) -> u8 {
    match val {
        Val::Null => 0,
        Val::Bool(_) => 1,
        Val::Num(_) => 2,
        Val::TStr(_) | Val::BStr(_) => 3,
        Val::Arr(_) => 4,
        Val::Obj(_) => 5,
    }
}

fn compare_numbers(left: &Num, right: &Num) -> Ordering {
    let float = |num: &Num| {
        let float = jaq_std::ValT::as_f64(&Val::Num(num.clone())).unwrap_or(f64::NAN);
        // One nan, one zero.
        if float.is_nan() {
            f64::NEG_INFINITY
        } else {
            float + 0.0
        }
    };
    let kind = |num: &Num| match num {
        Num::Float(float) if float.is_nan() => 0,
        Num::Int(_) | Num::BigInt(_) => 1,
        Num::Float(_) | Num::Dec(_) => 2,
    };
    let exact = || match (kind(left), kind(right)) {
        (1, 1) => left.cmp(right),
        (left, right) => left.cmp(&right),
    };
    float(left).total_cmp(&float(right)).then_with(exact)
}

/// Why a value cannot leave as JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ExportError {
    /// nan or infinite.
    NotFinite,
    /// Would be rounded.
    Inexact(String),
    /// More bytes than allowed.
    TooLarge,
    /// A string that is not UTF-8.
    NotText,
}

/// The JSON value of `val`; `budget` is how many bytes of text it may still have, and is reduced.
pub(crate) fn to_json(val: &Val, budget: &mut usize) -> Result<Value, ExportError> {
    fence::spend(1);
    let mut cost = |bytes: usize| match budget.checked_sub(bytes) {
        Some(left) => {
            *budget = left;
            Ok(())
        }
        None => Err(ExportError::TooLarge),
    };
    Ok(match val {
        Val::Null => {
            cost(4)?;
            Value::Null
        }
        Val::Bool(bool) => {
            cost(5)?;
            Value::Bool(*bool)
        }
        Val::Num(num) => {
            cost(8)?;
            Value::Number(to_number(num)?)
        }
        Val::BStr(_) => return Err(ExportError::NotText),
        Val::TStr(bytes) => {
            cost(bytes.len() + 2)?;
            let text = std::str::from_utf8(bytes).map_err(|_| ExportError::NotText)?;
            Value::from(text)
        }
        Val::Arr(items) => {
            cost(2 + items.len())?;
            let items = items.iter().map(|item| to_json(item, budget));
            Value::Array(items.collect::<Result<_, _>>()?)
        }
        Val::Obj(entries) => {
            cost(2 + 2 * entries.len())?;
            let mut map = Map::new();
            for (key, value) in entries.iter() {
                let Value::String(key) = to_json(key, budget)? else {
                    return Err(ExportError::NotText);
                };
                map.insert(key, to_json(value, budget)?);
            }
            Value::Object(map)
        }
    })
}

/// Above this, not every integer is a float.
const EXACT: f64 = 9_007_199_254_740_992.0;

fn to_number(num: &Num) -> Result<Number, ExportError> {
    let inexact = || ExportError::Inexact(num.to_string());
    match num {
        Num::Int(int) => Ok(Number::from(*int)),
        Num::BigInt(big) => u64::try_from(&**big)
            .map(Number::from)
            .map_err(|_| inexact()),
        Num::Float(float) => Number::from_f64(*float).ok_or(ExportError::NotFinite),
        Num::Dec(text) => match text.parse::<f64>() {
            // An id that somebody wrote as 554023000000497007.0 must not be rounded; 6.02e23 is no id.
            Ok(float) if float.abs() < EXACT || text.contains(['e', 'E']) => {
                Number::from_f64(float).ok_or(ExportError::NotFinite)
            }
            Ok(_) | Err(_) => Err(inexact()),
        },
    }
}
