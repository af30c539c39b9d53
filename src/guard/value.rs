//! Validates one value against its field: its JSON type, its size, its options. Pure.

use serde_json::{Map, Number, Value};

use super::moment::{self, InvalidMoment};
use super::{FieldProblem, example};
use crate::codes::Cause;
use crate::zoho::metadata::{Field, FieldKind, PicklistOption};
use strict_reader::{kind, nearest};

/// The empty option of a picklist, as shown on Zoho's screens.
const NONE: &str = "-None-";

/// A value to send, with a note if it was changed.
pub(super) struct CheckedValue {
    pub(super) value: Value,
    pub(super) notes: Vec<String>,
}

impl CheckedValue {
    fn unchanged(value: &Value) -> Self {
        Self {
            value: value.clone(),
            notes: Vec::new(),
        }
    }

    /// The value to send in place of the mapped one, with a note if they differ.
    fn replaced(field: &Field, mapped: &Value, replacement: Value, why: &str) -> Self {
        let notes = if replacement == *mapped {
            Vec::new()
        } else {
            vec![format!(
                "`{}`: {mapped} is sent as {replacement}, {why}",
                field.name
            )]
        };
        Self {
            value: replacement,
            notes,
        }
    }
}

/// Validates a value against its field.
pub(super) fn check(
    field: &Field,
    value: &Value,
    over_write: bool,
) -> Result<CheckedValue, FieldProblem> {
    if value.is_null() {
        return match field.mandatory {
            true => Err(mandatory_missing(field)),
            false => Ok(CheckedValue::unchanged(value)),
        };
    }
    match (field.kind, value) {
        (FieldKind::Text, Value::String(text)) => {
            if field.mandatory && text.is_empty() {
                return Err(mandatory_missing(field));
            }
            check_length(field, text.chars().count(), Unit::Characters)?;
            Ok(CheckedValue::unchanged(value))
        }
        (FieldKind::Picklist, Value::String(text)) => {
            let actual = actual_option(field, text)?;
            let why = "the actual value of the option that screens show so";
            Ok(CheckedValue::replaced(field, value, actual.into(), why))
        }
        (FieldKind::MultiSelect, Value::Array(items)) => options(field, value, items, over_write),
        (FieldKind::Integer, Value::Number(number)) => integer(field, value, number),
        (FieldKind::BigInteger, Value::String(text)) => big_integer(field, value, text),
        (FieldKind::BigInteger, Value::Number(number)) if !number.is_f64() => {
            big_integer(field, value, &number.to_string())
        }
        (FieldKind::Decimal, Value::Number(number)) => decimal(field, value, number),
        (FieldKind::Boolean, Value::Bool(_)) => Ok(CheckedValue::unchanged(value)),
        (FieldKind::Date, Value::String(text)) => date_or_time(field, value, text, moment::date),
        (FieldKind::DateTime, Value::String(text)) => {
            date_or_time(field, value, text, moment::date_time)
        }
        (FieldKind::Object, Value::Object(object)) => object_with_id(field, value, object),
        (FieldKind::List, Value::Array(items)) if items.iter().all(Value::is_object) => {
            Ok(CheckedValue::unchanged(value))
        }
        (FieldKind::Other, _) => Ok(CheckedValue::unchanged(value)),
        (
            FieldKind::Text
            | FieldKind::Picklist
            | FieldKind::MultiSelect
            | FieldKind::Integer
            | FieldKind::BigInteger
            | FieldKind::Decimal
            | FieldKind::Boolean
            | FieldKind::Date
            | FieldKind::DateTime
            | FieldKind::Object
            | FieldKind::List,
            _,
        ) => Err(mistyped(field, value)),
    }
}

/// Checks that an object has an id, which Zoho expects as a string.
fn object_with_id(
    field: &Field,
    value: &Value,
    object: &Map<String, Value>,
) -> Result<CheckedValue, FieldProblem> {
    match object.get("id") {
        Some(Value::String(_)) => Ok(CheckedValue::unchanged(value)),
        Some(Value::Number(id)) if !id.is_f64() => {
            let mut with_id = object.clone();
            with_id.insert("id".to_owned(), Value::String(id.to_string()));
            let why = "as Zoho's ids are strings";
            let replacement = Value::Object(with_id);
            Ok(CheckedValue::replaced(field, value, replacement, why))
        }
        Some(_) | None => Err(mistyped(field, value)),
    }
}

fn mandatory_missing(field: &Field) -> FieldProblem {
    FieldProblem::new(
        &field.name,
        Cause::MandatoryValueMissing,
        format!(
            "`{}` must have a value, so it cannot be cleared",
            field.name
        ),
        "send a value, or leave the field out".to_owned(),
    )
}

fn mistyped(field: &Field, value: &Value) -> FieldProblem {
    let found = kind(value);
    let (name, data_type) = (&field.name, &field.data_type);
    FieldProblem::new(
        name,
        Cause::ValueMistyped,
        format!("`{name}` ({data_type}) is given {found}"),
        format!("send {}", example(field.kind)),
    )
}

/// The unit of a field's length.
#[derive(Clone, Copy)]
enum Unit {
    Characters,
    Digits,
}

fn check_length(field: &Field, size: usize, unit: Unit) -> Result<(), FieldProblem> {
    let Some(most) = field.length.filter(|most| size as u64 > *most) else {
        return Ok(());
    };
    let (unit, cure) = match unit {
        Unit::Characters => (
            "characters",
            format!("shorten it in the mapping: `.[:{most}]` in jq"),
        ),
        Unit::Digits => (
            "digits before the point",
            "send a smaller number".to_owned(),
        ),
    };
    let name = &field.name;
    let message = format!("the value of `{name}` has {size} {unit}, and the field takes {most}");
    Err(FieldProblem::new(name, Cause::TooLong, message, cure))
}

/// Returns the actual value of an option, given its actual value or its display value.
fn actual_option(field: &Field, text: &str) -> Result<String, FieldProblem> {
    let all = &field.options;
    let used = || all.iter().filter(|choice| choice.used);
    if all.is_empty() || used().any(|choice| choice.actual == text) {
        return Ok(text.to_owned());
    }
    // Zoho also accepts the id of a pipeline.
    if field.name.as_str() == "Pipeline" && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(text.to_owned());
    }
    let shown: Vec<&PicklistOption> = used().filter(|choice| choice.display == text).collect();
    let name = &field.name;
    let cure = match shown.as_slice() {
        [one] => return Ok(one.actual.clone()),
        [] => {
            let known = used().flat_map(|choice| [choice.actual.as_str(), choice.display.as_str()]);
            match nearest(text, known) {
                _ if text.is_empty() || text == NONE => "send null to clear the field".to_owned(),
                Some(near) => format!("send \"{near}\", if that is what is meant"),
                None => format!("send one of: {}", listed(used())),
            }
        }
        several => format!(
            "send the actual value of one: {}",
            listed(several.iter().copied())
        ),
    };
    let unused = all
        .iter()
        .any(|choice| !choice.used && (choice.actual == text || choice.display == text));
    let message = match (unused, shown.len()) {
        (_, 2..) => format!("several options of `{name}` are shown as \"{text}\""),
        (true, _) => format!("the option \"{text}\" of `{name}` is not in use"),
        (false, _) => format!("`{name}` has no option \"{text}\""),
    };
    Err(FieldProblem::new(
        name,
        Cause::PicklistValueUnknown,
        message,
        cure,
    ))
}

fn listed<'a>(choices: impl Iterator<Item = &'a PicklistOption>) -> String {
    /// The maximum number of options in an error message.
    const SHOWN: usize = 12;
    let all: Vec<String> = choices
        .map(|choice| format!("\"{}\"", choice.actual))
        .collect();
    let more = if all.len() > SHOWN { ", …" } else { "" };
    format!("{}{more}", all[..all.len().min(SHOWN)].join(", "))
}

fn options(
    field: &Field,
    value: &Value,
    items: &[Value],
    over_write: bool,
) -> Result<CheckedValue, FieldProblem> {
    let mut actual: Vec<Value> = Vec::with_capacity(items.len());
    for item in items {
        let Value::String(text) = item else {
            return Err(mistyped(field, value));
        };
        let item = Value::String(actual_option(field, text)?);
        if !actual.contains(&item) {
            actual.push(item);
        }
    }
    if field.mandatory && over_write && actual.is_empty() {
        return Err(mandatory_missing(field));
    }
    let size: usize = actual
        .iter()
        .filter_map(Value::as_str)
        .map(|text| text.chars().count())
        .sum();
    check_length(field, size, Unit::Characters)?;
    let why = "each option by its actual value, once";
    Ok(CheckedValue::replaced(
        field,
        value,
        Value::Array(actual),
        why,
    ))
}

fn integer(field: &Field, value: &Value, number: &Number) -> Result<CheckedValue, FieldProblem> {
    let digits = Digits::of(number);
    if digits.decimals > 0 {
        return Err(mistyped(field, value));
    }
    check_length(field, digits.whole, Unit::Digits)?;
    // Zoho does not accept `12.0` as a whole number.
    match number.as_f64().filter(|_| number.is_f64()) {
        Some(float) if float.abs() < 9e15 => {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "it has no decimals and fits"
            )]
            let integer = Value::from(float as i64);
            Ok(CheckedValue::replaced(
                field,
                value,
                integer,
                "a whole number",
            ))
        }
        Some(_) => Err(mistyped(field, value)),
        None => Ok(CheckedValue::unchanged(value)),
    }
}

fn big_integer(field: &Field, value: &Value, text: &str) -> Result<CheckedValue, FieldProblem> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(mistyped(field, value));
    }
    check_length(field, digits.len(), Unit::Digits)?;
    let why = "as Zoho takes long numbers as strings";
    Ok(CheckedValue::replaced(field, value, text.into(), why))
}

fn decimal(field: &Field, value: &Value, number: &Number) -> Result<CheckedValue, FieldProblem> {
    let digits = Digits::of(number);
    check_length(field, digits.whole, Unit::Digits)?;
    let (name, found) = (&field.name, digits.decimals);
    match field.decimal_place {
        Some(most) if found as u64 > most => Err(FieldProblem::new(
            name,
            Cause::TooLong,
            format!("the value of `{name}` has {found} decimal places, and the field takes {most}"),
            "round it in the mapping: `. * 100 | round / 100` in jq".to_owned(),
        )),
        Some(_) | None => Ok(CheckedValue::unchanged(value)),
    }
}

fn date_or_time(
    field: &Field,
    value: &Value,
    text: &str,
    read: fn(&str) -> Result<String, InvalidMoment>,
) -> Result<CheckedValue, FieldProblem> {
    match read(text) {
        Ok(formatted) => Ok(CheckedValue::replaced(
            field,
            value,
            formatted.into(),
            "as Zoho writes it",
        )),
        Err(_) if text.is_empty() => Err(FieldProblem::new(
            &field.name,
            Cause::ValueMistyped,
            format!(
                "`{}` ({}) is given an empty string",
                field.name, field.data_type
            ),
            "send null to clear the field".to_owned(),
        )),
        Err(InvalidMoment { why, cure }) => Err(FieldProblem::new(
            &field.name,
            Cause::ValueMistyped,
            format!(
                "`{}` ({}) is given \"{text}\", which {why}",
                field.name, field.data_type
            ),
            cure.to_owned(),
        )),
    }
}

/// The number of digits before and after a number's decimal point, without an exponent.
#[derive(Debug, PartialEq, Eq)]
struct Digits {
    whole: usize,
    decimals: usize,
}

impl Digits {
    fn of(number: &Number) -> Self {
        let text = number.to_string();
        let text = text.trim_start_matches('-');
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let exponent: i32 = exponent.parse().unwrap_or_default();
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let fraction = fraction.trim_end_matches('0');
        // Significant digits, and the position of the decimal point among them.
        let all = format!("{whole}{fraction}");
        let point = whole.len() as i32 + exponent;
        let zeros = all.len() - all.trim_start_matches('0').len();
        let significant = all.trim_matches('0').len() as i32;
        if significant == 0 {
            return Self {
                whole: 1,
                decimals: 0,
            };
        }
        let before = point - zeros as i32;
        Self {
            whole: before.max(1) as usize,
            decimals: (significant - before).max(0) as usize,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_with_exponent_has_digits_counted_in_full() {
        for (text, whole, decimals) in [
            ("0", 1, 0),
            ("-7", 1, 0),
            ("100", 3, 0),
            ("12.0", 2, 0),
            ("12.50", 2, 1),
            ("0.123", 1, 3),
            ("0.001", 1, 3),
            ("1e3", 4, 0),
            ("1.5e-3", 1, 4),
            ("1e21", 22, 0),
            ("123456.789", 6, 3),
        ] {
            let number: Number = serde_json::from_str(text).expect("a number");
            assert_eq!(Digits::of(&number), Digits { whole, decimals }, "{text}");
        }
    }
}
