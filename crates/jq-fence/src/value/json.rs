//! Values from and to JSON.

use jaq_core::ValR;
use jaq_json::{Num, Val};
use serde_json::{Map, Number, Value};

use super::{FencedValue, numeral, object};
use crate::fence;

impl FencedValue {
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
}

/// The JSON text of a value, and whether it is complete: it ends after about `limit` bytes.
pub(crate) fn to_text(val: &Val, limit: usize) -> (String, bool) {
    let mut text = String::new();
    let complete = write(val, &mut text, limit);
    if !complete {
        let end = text.floor_char_boundary(limit);
        text.truncate(end);
    }
    (text, complete)
}

fn write(val: &Val, text: &mut String, limit: usize) -> bool {
    fence::spend(1);
    let before = text.len();
    match val {
        Val::Null => text.push_str("null"),
        Val::Bool(true) => text.push_str("true"),
        Val::Bool(false) => text.push_str("false"),
        Val::Num(num) => text.push_str(&numeral::text(num)),
        Val::BStr(bytes) | Val::TStr(bytes) => {
            // A byte takes at most six bytes of text.
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

/// Why a value cannot be converted to JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ExportError {
    /// A number is nan or infinite.
    NotFinite,
    /// A number would be rounded.
    Inexact(String),
    /// The value has more bytes than allowed.
    TooLarge,
    /// A string is not UTF-8.
    NotText,
}

/// The JSON value of `val`. `budget` is the number of bytes of text that are still allowed; it is reduced.
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
            fence::allocate(bytes.len());
            let text = std::str::from_utf8(bytes).map_err(|_| ExportError::NotText)?;
            Value::from(text)
        }
        Val::Arr(items) => {
            cost(2 + items.len())?;
            fence::allocate(items.len() * 40);
            let items = items.iter().map(|item| to_json(item, budget));
            Value::Array(items.collect::<Result<_, _>>()?)
        }
        Val::Obj(entries) => {
            cost(2 + 2 * entries.len())?;
            fence::allocate(fence::OBJECT + entries.len() * 112);
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

/// Up to here, every integer is exact as a float.
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
            // An id that is written as 554023000000497007.0 must not be rounded; 6.02e23 is not an id.
            Ok(float) if float.abs() < EXACT || text.contains(['e', 'E']) => {
                Number::from_f64(float).ok_or(ExportError::NotFinite)
            }
            Ok(_) | Err(_) => Err(inexact()),
        },
    }
}
