//! Decodes URL-encoded forms, and builds trees from bracket keys.

use serde_json::{Map, Value};

use super::charset::Charset;
use super::parameters::percent_decoded;
use super::{BodyError, MAX_DEPTH, MAX_PAIRS, clip};

/// The fields in order, with their keys as sent.
pub(super) fn pairs(body: &[u8], charset: Charset) -> Result<Vec<(String, String)>, BodyError> {
    let mut pairs = Vec::new();
    // A trailing line end is not part of the last field; manual requests often have one.
    let end = body.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n'));
    let body = end.map_or(&body[..0], |end| &body[..=end]);
    for pair in body
        .split(|byte| *byte == b'&')
        .filter(|pair| !pair.is_empty())
    {
        if pairs.len() == MAX_PAIRS {
            return Err(BodyError::TooManyPairs);
        }
        let equals = pair.iter().position(|byte| *byte == b'=');
        let (key, value) = equals.map_or((pair, &pair[..0]), |at| (&pair[..at], &pair[at + 1..]));
        pairs.push((unescape(key, charset)?, unescape(value, charset)?));
    }
    Ok(pairs)
}

/// Builds a tree from the keys of fields.
pub(super) fn tree(fields: Vec<(String, String)>) -> Result<Map<String, Value>, BodyError> {
    let mut root = Map::new();
    for (key, value) in fields {
        let (name, brackets) = split_key(&key)?;
        let conflict = || BodyError::Conflict(clip(&key));
        insert(&mut root, name, &brackets, value).ok_or_else(conflict)?;
    }
    Ok(root)
}

/// Decodes the URL encoding of a form (URL Standard, section 5.1). Unlike there, bytes that are invalid in the charset are
/// an error.
fn unescape(text: &[u8], charset: Charset) -> Result<String, BodyError> {
    let spaced: Vec<u8> = text
        .iter()
        .map(|byte| if *byte == b'+' { b' ' } else { *byte })
        .collect();
    charset.text(percent_decoded(&spaced))
}

/// Splits `a[b][]` into the name `a` and the brackets `b` and ``. A key with unmatched brackets is a plain name.
fn split_key(key: &str) -> Result<(&str, Vec<&str>), BodyError> {
    let plain = Ok((key, Vec::new()));
    let Some((name, mut rest)) = key.split_once('[').filter(|(name, _)| !name.is_empty()) else {
        return plain;
    };
    let mut brackets = Vec::new();
    loop {
        let Some((inner, after)) = rest.split_once(']') else {
            return plain;
        };
        if inner.contains('[') {
            return plain;
        }
        brackets.push(inner);
        if brackets.len() >= MAX_DEPTH {
            return Err(BodyError::TooDeep);
        }
        match after.strip_prefix('[') {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok((name, brackets)),
            None => return plain,
        }
    }
}

/// Inserts a value. `None` if a key is used both for a value and for a group of values.
fn insert(
    object: &mut Map<String, Value>,
    name: &str,
    brackets: &[&str],
    value: String,
) -> Option<()> {
    let slot = object.get_mut(name);
    match (brackets, slot) {
        ([], None) => {
            object.insert(name.to_owned(), Value::String(value));
        }
        ([], Some(Value::Object(_))) => return None,
        ([], Some(Value::Array(list))) => list.push(Value::String(value)),
        ([], Some(single)) => {
            let first = single.take();
            *single = Value::Array(vec![first, Value::String(value)]);
        }
        (["", inner @ ..], None) => {
            let item = list_item(inner, value)?;
            object.insert(name.to_owned(), Value::Array(vec![item]));
        }
        (["", ..], Some(Value::Object(_))) => return None,
        (["", inner @ ..], Some(Value::Array(list))) => list.push(list_item(inner, value)?),
        (["", inner @ ..], Some(single)) => {
            let item = list_item(inner, value)?;
            let first = single.take();
            *single = Value::Array(vec![first, item]);
        }
        ([key, inner @ ..], None) => {
            let mut group = Map::new();
            insert(&mut group, key, inner, value)?;
            object.insert(name.to_owned(), Value::Object(group));
        }
        ([key, inner @ ..], Some(Value::Object(group))) => insert(group, key, inner, value)?,
        ([_, ..], Some(_)) => return None,
    }
    Some(())
}

/// The list item for a key that ends in `[]`: the value, or a group.
fn list_item(brackets: &[&str], value: String) -> Option<Value> {
    match brackets {
        [] => Some(Value::String(value)),
        ["", inner @ ..] => Some(Value::Array(vec![list_item(inner, value)?])),
        [key, inner @ ..] => {
            let mut group = Map::new();
            insert(&mut group, key, inner, value)?;
            Some(Value::Object(group))
        }
    }
}
