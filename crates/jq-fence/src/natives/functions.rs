//! Filters on values: conversion, strings, arrays, objects.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a filter names the kinds of value that it accepts and refuses all others"
)]

use std::cmp::Ordering;

use jaq_core::native::{Fun, bome, run, unary, v};
use jaq_core::{Error, ValR, ValT as _};
use jaq_json::{Num, Val};

use crate::document::Document;
use crate::engine::Engine;
use crate::fence;
use crate::value::{self, FencedValue, compare, equal, json, numeral};

/// The filters of this module.
pub(super) fn filters() -> Vec<Fun<Engine>> {
    vec![
        run(("fromjson", v(0), |cv| bome(from_json(&cv.1)))),
        run(("tojson", v(0), |cv| bome(Ok(to_json(&cv.1))))),
        run(("tostring", v(0), |cv| bome(Ok(cv.1.into_string())))),
        run(("tonumber", v(0), |cv| bome(to_number(cv.1)))),
        run(("toboolean", v(0), |cv| bome(to_boolean(cv.1)))),
        run(("type", v(0), |cv| {
            bome(Ok(FencedValue::text(type_of(&cv.1.val))))
        })),
        run(("length", v(0), |cv| bome(length(cv.1)))),
        run(("implode", v(0), |cv| bome(implode(&cv.1)))),
        run(("keys", v(0), |cv| bome(keys(&cv.1)))),
        run(("not", v(0), |cv| {
            bome(Ok(FencedValue::from(!cv.1.as_bool())))
        })),
        run(("true", v(0), |_| bome(Ok(FencedValue::from(true))))),
        run(("false", v(0), |_| bome(Ok(FencedValue::from(false))))),
        run(("null", v(0), |_| bome(Ok(FencedValue::leaf(Val::Null))))),
        run(("nan", v(0), |_| bome(Ok(FencedValue::from(f64::NAN))))),
        run(("infinite", v(0), |_| {
            bome(Ok(FencedValue::from(f64::INFINITY)))
        })),
        run(("isnan", v(0), |cv| {
            bome(Ok(float(&cv.1).is_ok_and(f64::is_nan).into()))
        })),
        run(("isinfinite", v(0), |cv| {
            bome(Ok(float(&cv.1).is_ok_and(f64::is_infinite).into()))
        })),
        run(("isnormal", v(0), |cv| {
            bome(Ok(float(&cv.1).is_ok_and(f64::is_normal).into()))
        })),
        run(("exact__", v(0), |cv| bome(exact(cv.1)))),
        run(("contains", v(1), |cv| {
            unary(cv, |value, part| {
                if kind(&value.val) != kind(&part.val) {
                    let message = format!("cannot look for {part} in {value}");
                    return Err(Error::str(message));
                }
                Ok(FencedValue::from(contains(&value.val, &part.val)))
            })
        })),
        run(("has", v(1), |cv| unary(cv, |value, key| has(&value, &key)))),
        run(("indices", v(1), |cv| {
            unary(cv, |value, part| value::indices(&value, &part))
        })),
        run(("join", v(1), |cv| {
            unary(cv, |value, separator| join(value, &separator))
        })),
        run(("split", v(1), |cv| unary(cv, split))),
        run(("bsearch", v(1), |cv| {
            unary(cv, |value, item| bsearch(value, &item))
        })),
        run(("min_by__", v(1), |cv| {
            unary(cv, |values, keys| extreme(values, &keys, Ordering::is_lt))
        })),
        run(("max_by__", v(1), |cv| {
            unary(cv, |values, keys| extreme(values, &keys, Ordering::is_ge))
        })),
        run(("sort_by__", v(1), |cv| {
            unary(cv, |values, keys| sorted(values, &keys))
        })),
        run(("group_by__", v(1), |cv| {
            unary(cv, |values, keys| grouped(values, &keys))
        })),
    ]
}

fn from_json(value: &FencedValue) -> ValR<FencedValue> {
    let Some(text) = value.as_str() else {
        return Err(Error::typ(value.clone(), "string"));
    };
    fence::spend(text.len() as u64 / 8);
    fence::allocate(text.len());
    match Document::from_json(text.as_bytes()) {
        Ok(document) => document.to_value().map_err(Error::str),
        Err(_) if is_json_for_jq(text) => fence::refuse(
            "the program reads JSON that jq accepts and others do not: duplicate keys, nan, unusual numbers, or deep nesting",
        ),
        Err(error) => Err(Error::str(format!("cannot parse {value}: {error}"))),
    }
}

/// Whether jq may read a text that is no strict JSON document. True if in doubt.
fn is_json_for_jq(text: &str) -> bool {
    let is_json = |text: &str| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    let brackets = text.bytes().filter(|byte| matches!(byte, b'[' | b'{'));
    // Only between strings can there be a number that is none in JSON.
    let words = text.split('"').step_by(2).flat_map(|part| {
        part.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-')))
    });
    let mut unusual = words.filter(|word| !is_json(word) && numeral::parse(word).is_some());
    is_json(text)
        || brackets.count() > 90
        || text.starts_with('\u{FEFF}')
        || unusual.next().is_some()
}

fn to_json(value: &FencedValue) -> FencedValue {
    FencedValue::from(json::to_text(&value.val, usize::MAX).0)
}

fn to_number(value: FencedValue) -> ValR<FencedValue> {
    match &value.val {
        Val::Num(_) => Ok(value),
        Val::TStr(_) => match value.as_str().and_then(numeral::parse) {
            Some(number) => Ok(number),
            None => Err(Error::str(format!("cannot parse {value} as a number"))),
        },
        _ => Err(Error::str(format!("cannot parse {value} as a number"))),
    }
}

fn to_boolean(value: FencedValue) -> ValR<FencedValue> {
    match (&value.val, value.as_str()) {
        (Val::Bool(_), _) => Ok(value),
        (_, Some("true")) => Ok(FencedValue::from(true)),
        (_, Some("false")) => Ok(FencedValue::from(false)),
        _ => Err(Error::str(format!("cannot parse {value} as a boolean"))),
    }
}

fn type_of(val: &Val) -> &'static str {
    match val {
        Val::Null => "null",
        Val::Bool(_) => "boolean",
        Val::Num(_) => "number",
        Val::TStr(_) | Val::BStr(_) => "string",
        Val::Arr(_) => "array",
        Val::Obj(_) => "object",
    }
}

/// The kind of a value as `contains` compares it: true and false are different kinds.
fn kind(val: &Val) -> &'static str {
    match val {
        Val::Bool(true) => "true",
        _ => type_of(val),
    }
}

fn number(value: &FencedValue) -> Result<&Num, Error<FencedValue>> {
    match &value.val {
        Val::Num(num) => Ok(num),
        _ => Err(Error::typ(value.clone(), "number")),
    }
}

fn float(value: &FencedValue) -> Result<f64, Error<FencedValue>> {
    number(value).map(numeral::as_float)
}

/// Accepts a number that a mathematical function does not round first.
fn exact(value: FencedValue) -> ValR<FencedValue> {
    Ok(FencedValue::from(numeral::operand(number(&value)?)))
}

fn absolute(value: FencedValue) -> ValR<FencedValue> {
    let num = number(&value)?;
    match numeral::as_float(num) < 0.0 {
        true => Ok(FencedValue::leaf(Val::Num(numeral::negated(num.clone())))),
        false => Ok(value),
    }
}

fn length(value: FencedValue) -> ValR<FencedValue> {
    Ok(match &value.val {
        Val::Null => FencedValue::from(0_usize),
        Val::Num(Num::Float(float)) => FencedValue::from(float.abs()),
        Val::Num(_) => return absolute(value),
        Val::TStr(bytes) => {
            fence::spend(bytes.len() as u64 / 16);
            FencedValue::from(String::from_utf8_lossy(bytes).chars().count())
        }
        Val::Arr(items) => FencedValue::from(items.len()),
        Val::Obj(entries) => FencedValue::from(entries.len()),
        Val::Bool(_) | Val::BStr(_) => return Err(Error::str(format!("{value} has no length"))),
    })
}

/// As in jq, what is no character becomes U+FFFD.
fn implode(value: &FencedValue) -> ValR<FencedValue> {
    let Val::Arr(points) = &value.val else {
        return Err(Error::typ(value.clone(), "array"));
    };
    fence::allocate(points.len() * 4);
    let mut text = String::new();
    for point in points.iter() {
        let float = match point {
            Val::Num(num) => numeral::as_float(num),
            _ => f64::NAN,
        };
        if float.is_nan() {
            return Err(Error::str("cannot implode what is no number"));
        }
        let character = u32::try_from(float as i64).ok().and_then(char::from_u32);
        text.push(character.unwrap_or(char::REPLACEMENT_CHARACTER));
    }
    Ok(FencedValue::from(text))
}

fn keys(value: &FencedValue) -> ValR<FencedValue> {
    match &value.val {
        Val::Arr(items) => Ok((0..items.len()).map(FencedValue::from).collect()),
        Val::Obj(entries) => {
            let mut keys: Vec<&Val> = entries.keys().collect();
            keys.sort_by(|left, right| compare(left, right));
            Ok(keys
                .into_iter()
                .map(|key| FencedValue::leaf(key.clone()))
                .collect())
        }
        _ => Err(Error::str(format!("{value} has no keys"))),
    }
}

fn contains(whole: &Val, part: &Val) -> bool {
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

fn has(value: &FencedValue, key: &FencedValue) -> ValR<FencedValue> {
    match (&value.val, &key.val) {
        (Val::Null, _) => Ok(FencedValue::from(false)),
        (Val::Obj(entries), Val::TStr(_)) => Ok(FencedValue::from(entries.contains_key(&key.val))),
        (Val::Arr(items), Val::Num(num)) => {
            let at = numeral::as_float(num);
            Ok(FencedValue::from(
                at > -1.0 && at.trunc() < items.len() as f64,
            ))
        }
        _ => Err(Error::index(value.clone(), key.clone())),
    }
}

fn join(value: FencedValue, separator: &FencedValue) -> ValR<FencedValue> {
    let mut text = String::new();
    for (index, item) in value.values().enumerate() {
        let item = item?;
        let before = text.len();
        // jq adds the separator to the text before, so even a null is one between null and the first item.
        match (index, separator.as_str(), &separator.val) {
            (0, ..) => {}
            (_, Some(separator), _) => text.push_str(separator),
            (_, _, Val::Null) => {}
            _ => return Err(Error::typ(separator.clone(), "string")),
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

fn split(value: FencedValue, separator: FencedValue) -> ValR<FencedValue> {
    match (&value.val, &separator.val) {
        (Val::TStr(_), Val::TStr(_)) => value / separator,
        _ => Err(Error::str("split needs strings")),
    }
}

fn bsearch(value: FencedValue, pattern: &FencedValue) -> ValR<FencedValue> {
    let Val::Arr(items) = &value.val else {
        return Err(Error::typ(value, "array"));
    };
    let (mut start, mut end) = (0, items.len());
    while start < end {
        let middle = usize::midpoint(start, end);
        match compare(&pattern.val, &items[middle]) {
            Ordering::Equal => return Ok(FencedValue::from(middle)),
            Ordering::Less => end = middle,
            Ordering::Greater => start = middle + 1,
        }
    }
    Ok(FencedValue::from(-1 - start.cast_signed()))
}

/// The value whose key `replaces` that of every value before it. Null if there is none.
fn extreme(
    values: FencedValue,
    keys: &FencedValue,
    replaces: fn(Ordering) -> bool,
) -> ValR<FencedValue> {
    let (Val::Arr(items), Val::Arr(keys)) = (&values.val, &keys.val) else {
        return Err(Error::typ(values, "array"));
    };
    let mut best: Option<usize> = None;
    for (index, key) in keys.iter().enumerate() {
        if best.is_none_or(|best| replaces(compare(key, &keys[best]))) {
            best = Some(index);
        }
    }
    let found = best
        .and_then(|best| items.get(best))
        .cloned()
        .unwrap_or_default();
    Ok(values.part(found))
}

/// The positions of the values in the order of their keys.
fn order<'k>(
    values: &FencedValue,
    keys: &'k FencedValue,
) -> Result<Vec<(&'k Val, usize)>, Error<FencedValue>> {
    let (Val::Arr(_), Val::Arr(keys)) = (&values.val, &keys.val) else {
        return Err(Error::typ(values.clone(), "array"));
    };
    fence::allocate(keys.len() * 16);
    let mut order: Vec<(&Val, usize)> = keys.iter().zip(0..).collect();
    order.sort_by(|(left, _), (right, _)| compare(left, right));
    Ok(order)
}

fn item(values: &FencedValue, index: usize) -> FencedValue {
    let found = match &values.val {
        Val::Arr(items) => items.get(index).cloned(),
        _ => None,
    };
    values.part(found.unwrap_or_default())
}

fn sorted(values: FencedValue, keys: &FencedValue) -> ValR<FencedValue> {
    let order = order(&values, keys)?;
    Ok(order
        .into_iter()
        .map(|(_, index)| item(&values, index))
        .collect())
}

/// The values of equal keys in an array each.
fn grouped(values: FencedValue, keys: &FencedValue) -> ValR<FencedValue> {
    let order = order(&values, keys)?;
    let groups = order.chunk_by(|(left, _), (right, _)| compare(left, right).is_eq());
    Ok(groups
        .map(|group| {
            let items = group.iter().map(|(_, index)| item(&values, *index));
            items.collect::<FencedValue>()
        })
        .collect())
}
