//! Replacements for native filters of jaq.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a filter names the kinds of value that it accepts and refuses all others"
)]

use jaq_core::{Error, ValR, ValT as _};
use jaq_json::{Num, Val};
use jaq_std::ValT as _;

use crate::document::Document;
use crate::fence;
use crate::value::{FencedValue, compare, equal, json};

/// The last second of the year 9999.
const LAST_SECOND: f64 = 253_402_300_799.0;

pub(super) fn from_json(value: &FencedValue) -> ValR<FencedValue> {
    let Some(text) = value.as_str() else {
        return Err(Error::typ(value.clone(), "string"));
    };
    fence::spend(text.len() as u64 / 8);
    fence::allocate(text.len());
    match Document::from_json(text.as_bytes()) {
        Ok(document) => document.to_value().map_err(Error::str),
        Err(error) => Err(Error::str(format!("cannot parse {value}: {error}"))),
    }
}

pub(super) fn length(value: FencedValue) -> ValR<FencedValue> {
    Ok(match &value.val {
        Val::Null => FencedValue::from(0_usize),
        Val::Num(Num::Int(int)) => FencedValue::from(int.unsigned_abs()),
        Val::Num(number) if *number < Num::Int(0) => return -value,
        Val::Num(_) => value,
        Val::TStr(bytes) => {
            fence::spend(bytes.len() as u64 / 16);
            FencedValue::from(String::from_utf8_lossy(bytes).chars().count())
        }
        Val::Arr(items) => FencedValue::from(items.len()),
        Val::Obj(entries) => FencedValue::from(entries.len()),
        Val::Bool(_) | Val::BStr(_) => return Err(Error::str(format!("{value} has no length"))),
    })
}

pub(super) fn implode(value: FencedValue) -> ValR<FencedValue> {
    let points: Vec<FencedValue> = value
        .into_seq()
        .map_err(|value| Error::typ(value, "array"))?;
    fence::allocate(points.len() * 4);
    let character = |point: &FencedValue| {
        let number = point
            .as_isize()
            .and_then(|number| u32::try_from(number).ok());
        let character = number.and_then(char::from_u32);
        character.ok_or_else(|| Error::str(format!("cannot use {point} as a character")))
    };
    let text: Result<String, _> = points.iter().map(character).collect();
    text.map(FencedValue::from)
}

/// Accepts a time: seconds up to the year 9999, or a broken-down time.
pub(super) fn time(value: FencedValue) -> ValR<FencedValue> {
    let plausible = match &value.val {
        Val::Num(_) => value
            .as_f64()
            .is_some_and(|seconds| seconds.abs() <= LAST_SECOND),
        Val::Arr(items) => match items.get(1).map(jaq_std::ValT::as_isize) {
            Some(Some(month)) => (0..12).contains(&month),
            Some(None) | None => false,
        },
        _ => false,
    };
    if plausible {
        return Ok(value);
    }
    Err(Error::str(format!("cannot use {value} as a time")))
}

pub(super) fn contains(whole: &Val, part: &Val) -> bool {
    fence::spend(1);
    match (whole, part) {
        (Val::TStr(whole), Val::TStr(part)) => {
            fence::spend(whole.len() as u64 / 16);
            match (std::str::from_utf8(whole), std::str::from_utf8(part)) {
                (Ok(whole), Ok(part)) => whole.contains(part),
                _ => false,
            }
        }
        (Val::Arr(whole), Val::Arr(part)) => part
            .iter()
            .all(|part| whole.iter().any(|whole| contains(whole, part))),
        (Val::Obj(whole), Val::Obj(part)) => part.iter().all(|(key, part)| {
            let whole = whole.get(key);
            whole.is_some_and(|whole| contains(whole, part))
        }),
        _ => equal(whole, part),
    }
}

pub(super) fn has(value: &FencedValue, key: &FencedValue) -> ValR<FencedValue> {
    match (&value.val, &key.val) {
        (Val::Obj(entries), Val::TStr(_)) => Ok(FencedValue::from(entries.contains_key(&key.val))),
        (Val::Arr(items), Val::Num(_)) => {
            let index = key.as_isize().and_then(|index| usize::try_from(index).ok());
            Ok(FencedValue::from(
                index.is_some_and(|index| index < items.len()),
            ))
        }
        _ => Err(Error::index(value.clone(), key.clone())),
    }
}

pub(super) fn join(value: FencedValue, separator: &FencedValue) -> ValR<FencedValue> {
    let Some(separator) = separator.as_str() else {
        return Err(Error::typ(separator.clone(), "string"));
    };
    let mut text = String::new();
    for (index, item) in value.values().enumerate() {
        let item = item?;
        let before = text.len();
        if index > 0 {
            text.push_str(separator);
        }
        match &item.val {
            Val::Null => {}
            Val::TStr(bytes) => text.push_str(&String::from_utf8_lossy(bytes)),
            Val::Bool(_) | Val::Num(_) => text.push_str(&json::to_text(&item.val, usize::MAX).0),
            Val::Arr(_) | Val::Obj(_) | Val::BStr(_) => {
                return Err(Error::str(format!("cannot join {item} to a string")));
            }
        }
        fence::allocate(2 * (text.len() - before));
    }
    Ok(FencedValue::from(text))
}

pub(super) fn bsearch(value: FencedValue, pattern: &FencedValue) -> ValR<FencedValue> {
    let Val::Arr(items) = &value.val else {
        return Err(Error::typ(value, "array"));
    };
    let found = items.binary_search_by(|item| compare(item, &pattern.val));
    Ok(match found {
        Ok(index) => FencedValue::from(index),
        Err(index) => FencedValue::from(-1 - index.cast_signed()),
    })
}
