//! One value held against its field: its JSON type, its size, its options. Pure.

use serde_json::{Number, Value};

use super::moment::{self, InvalidMoment};
use super::{FieldProblem, example};
use crate::codes::Cause;
use crate::zoho::metadata::{Field, FieldKind, PicklistOption};
use strict_reader::{kind, nearest};

/// The empty option of a picklist, as Zoho's screens show it.
const NONE: &str = "-None-";

/// A value as it is to be sent.
pub(super) struct CheckedValue {
    pub(super) value: Value,
    pub(super) notes: Vec<String>,
}

impl CheckedValue {
    fn as_is(value: &Value) -> Self {
        Self {
            value: value.clone(),
            notes: Vec::new(),
        }
    }

    /// The value that was meant, with a note if it was written otherwise.
    fn meant(field: &Field, written: &Value, meant: Value, why: &str) -> Self {
        let notes = if meant == *written {
            Vec::new()
        } else {
            vec![format!(
                "`{}`: {written} is sent as {meant}, {why}",
                field.name
            )]
        };
        Self {
            value: meant,
            notes,
        }
    }
}

/// Checks a value.
pub(super) fn check(
    field: &Field,
    value: &Value,
    over_write: bool,
) -> Result<CheckedValue, FieldProblem> {
    if value.is_null() {
        return match field.mandatory {
            true => Err(cleared(field)),
            false => Ok(CheckedValue::as_is(value)),
        };
    }
    match (field.kind, value) {
        (FieldKind::Text, Value::String(text)) => {
            if field.mandatory && text.is_empty() {
                return Err(cleared(field));
            }
            fits(field, text.chars().count(), Unit::Characters)?;
            Ok(CheckedValue::as_is(value))
        }
        (FieldKind::Picklist, Value::String(text)) => {
            let actual = option(field, text)?;
            let why = "the actual value of the option that screens show so";
            Ok(CheckedValue::meant(field, value, actual.into(), why))
        }
        (FieldKind::MultiSelect, Value::Array(items)) => options(field, value, items, over_write),
        (FieldKind::Integer, Value::Number(number)) => whole(field, value, number),
        (FieldKind::BigInteger, Value::String(text)) => big(field, value, text),
        (FieldKind::BigInteger, Value::Number(number)) if !number.is_f64() => {
            big(field, value, &number.to_string())
        }
        (FieldKind::Decimal, Value::Number(number)) => decimal(field, value, number),
        (FieldKind::Boolean, Value::Bool(_)) => Ok(CheckedValue::as_is(value)),
        (FieldKind::Date, Value::String(text)) => day_or_moment(field, value, text, moment::date),
        (FieldKind::DateTime, Value::String(text)) => {
            day_or_moment(field, value, text, moment::date_time)
        }
        (FieldKind::Object, Value::Object(object)) => match object.get("id") {
            Some(Value::String(_)) => Ok(CheckedValue::as_is(value)),
            Some(Value::Number(id)) if !id.is_f64() => {
                let mut meant = object.clone();
                meant.insert("id".to_owned(), Value::String(id.to_string()));
                let why = "as Zoho's ids are strings";
                Ok(CheckedValue::meant(field, value, Value::Object(meant), why))
            }
            Some(_) | None => Err(mistyped(field, value)),
        },
        (FieldKind::List, Value::Array(items)) if items.iter().all(Value::is_object) => {
            Ok(CheckedValue::as_is(value))
        }
        (FieldKind::Other, _) => Ok(CheckedValue::as_is(value)),
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

fn cleared(field: &Field) -> FieldProblem {
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

/// What the length of a field counts.
#[derive(Clone, Copy)]
enum Unit {
    Characters,
    Digits,
}

fn fits(field: &Field, size: usize, unit: Unit) -> Result<(), FieldProblem> {
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

/// The actual value that a text names: itself, or that of the option which screens show so.
fn option(field: &Field, text: &str) -> Result<String, FieldProblem> {
    let all = &field.options;
    let used = || all.iter().filter(|choice| choice.used);
    if all.is_empty() || used().any(|choice| choice.actual == text) {
        return Ok(text.to_owned());
    }
    // A pipeline may be named by its id.
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
    let put_aside = all
        .iter()
        .any(|choice| !choice.used && (choice.actual == text || choice.display == text));
    let message = match (put_aside, shown.len()) {
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
    /// More than this nobody reads in an error.
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
        let item = Value::String(option(field, text)?);
        if !actual.contains(&item) {
            actual.push(item);
        }
    }
    if field.mandatory && over_write && actual.is_empty() {
        return Err(cleared(field));
    }
    let size: usize = actual
        .iter()
        .filter_map(Value::as_str)
        .map(|text| text.chars().count())
        .sum();
    fits(field, size, Unit::Characters)?;
    let why = "each option by its actual value, once";
    Ok(CheckedValue::meant(field, value, Value::Array(actual), why))
}

fn whole(field: &Field, value: &Value, number: &Number) -> Result<CheckedValue, FieldProblem> {
    let digits = Digits::of(number);
    if digits.decimals > 0 {
        return Err(mistyped(field, value));
    }
    fits(field, digits.whole, Unit::Digits)?;
    // `12.0` is a whole number to whoever wrote it, and none to Zoho.
    match number.as_f64().filter(|_| number.is_f64()) {
        Some(float) if float.abs() < 9e15 => {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "it has no decimals and fits"
            )]
            let meant = Value::from(float as i64);
            Ok(CheckedValue::meant(field, value, meant, "a whole number"))
        }
        Some(_) => Err(mistyped(field, value)),
        None => Ok(CheckedValue::as_is(value)),
    }
}

fn big(field: &Field, value: &Value, text: &str) -> Result<CheckedValue, FieldProblem> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(mistyped(field, value));
    }
    fits(field, digits.len(), Unit::Digits)?;
    let why = "as Zoho takes long numbers as strings";
    Ok(CheckedValue::meant(field, value, text.into(), why))
}

fn decimal(field: &Field, value: &Value, number: &Number) -> Result<CheckedValue, FieldProblem> {
    let digits = Digits::of(number);
    fits(field, digits.whole, Unit::Digits)?;
    let (name, found) = (&field.name, digits.decimals);
    match field.decimal_place {
        Some(most) if found as u64 > most => Err(FieldProblem::new(
            name,
            Cause::TooLong,
            format!("the value of `{name}` has {found} decimal places, and the field takes {most}"),
            "round it in the mapping: `. * 100 | round / 100` in jq".to_owned(),
        )),
        Some(_) | None => Ok(CheckedValue::as_is(value)),
    }
}

fn day_or_moment(
    field: &Field,
    value: &Value,
    text: &str,
    read: fn(&str) -> Result<String, InvalidMoment>,
) -> Result<CheckedValue, FieldProblem> {
    match read(text) {
        Ok(meant) => Ok(CheckedValue::meant(
            field,
            value,
            meant.into(),
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

/// How many digits a number has before and after its point, written out in full.
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
        // Significant digits, and where the point stands among them.
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
    fn digits_are_counted_as_they_are_written_out() {
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
