//! Numbers as jq has them: a literal keeps its digits until it is calculated with, a result is a float.
//!
//! jq rounds long integers as soon as they are calculated with. Here that ends the evaluation.

use std::cmp::Ordering;
use std::fmt::Write as _;

use jaq_json::{Num, Val};

use super::FencedValue;
use crate::fence;

/// Up to here, every integer is exact as a float.
const EXACT: isize = 1 << 53;

/// The result of a calculation. A whole float becomes an integer, so that it can be an index.
pub(crate) fn result(float: f64) -> FencedValue {
    let whole = float.fract() == 0.0 && float.abs() <= EXACT as f64;
    FencedValue::leaf(Val::Num(
        match whole && !(float == 0.0 && float.is_sign_negative()) {
            true => Num::Int(float as isize),
            false => Num::Float(float),
        },
    ))
}

/// The number as a float. `None` if it is an integer that a float cannot hold.
fn exact_float(num: &Num) -> Option<f64> {
    let float = as_float(num);
    match num {
        Num::Int(int) if int.unsigned_abs() <= EXACT.unsigned_abs() => Some(float),
        Num::Int(_) | Num::BigInt(_) => (float_text(float) == num.to_string()).then_some(float),
        Num::Float(_) => Some(float),
        Num::Dec(text) => {
            let Decimal {
                digits, exponent, ..
            } = Decimal::parse(text)?;
            let long = digits.len() > 17 && exponent >= 0 || is_long_whole(&digits, exponent);
            (!long).then_some(float)
        }
    }
}

/// Whether a decimal is an integer with more digits than a float holds, such as `554023000000497007.0`.
fn is_long_whole(digits: &str, exponent: i64) -> bool {
    let Ok(fraction) = usize::try_from(-exponent) else {
        return false;
    };
    let whole = digits.len().saturating_sub(fraction);
    whole > 16 && digits[whole..].bytes().all(|digit| digit == b'0')
}

/// The number as a float, rounded.
pub(crate) fn as_float(num: &Num) -> f64 {
    match num {
        Num::Float(float) => *float,
        Num::Dec(text) => text.parse().unwrap_or(f64::NAN),
        Num::Int(_) | Num::BigInt(_) => {
            jaq_std::ValT::as_f64(&Val::Num(num.clone())).unwrap_or(f64::NAN)
        }
    }
}

/// The number for a calculation. The evaluation ends if jq would round it: such a number is usually the id of a record.
pub(crate) fn operand(num: &Num) -> f64 {
    match exact_float(num) {
        Some(float) => float,
        None => fence::refuse(
            "the program calculates with an integer of more than 53 bits, which jq would round; use it as it is, or as a string",
        ),
    }
}

/// The number's text as jq writes it.
pub(crate) fn text(num: &Num) -> String {
    match num {
        Num::Float(float) => float_text(*float),
        Num::Dec(text) => match Decimal::parse(text) {
            Some(decimal) => decimal.text(),
            None => text.to_string(),
        },
        Num::Int(_) | Num::BigInt(_) => num.to_string(),
    }
}

/// A float's text: the shortest that means the float, as C's `%g` would lay it out.
fn float_text(float: f64) -> String {
    if float.is_nan() {
        return "null".to_owned();
    }
    let float = float.clamp(f64::MIN, f64::MAX);
    if float == 0.0 {
        return if float.is_sign_negative() { "-0" } else { "0" }.to_owned();
    }
    let scientific = format!("{:e}", float.abs());
    // Of two shortest texts that are equally near, jq takes the one whose last digit is even.
    let count = scientific
        .bytes()
        .take_while(|byte| *byte != b'e')
        .filter(u8::is_ascii_digit)
        .count();
    let nearest = format!("{:.*e}", count - 1, float.abs());
    let scientific = match nearest.parse() == Ok(float.abs()) {
        true => nearest,
        false => scientific,
    };
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let digits = mantissa.replace('.', "");
    let point = exponent.parse::<i64>().unwrap_or(0) + 1;
    let count = digits.len() as i64;
    let mut text = String::from(if float < 0.0 { "-" } else { "" });
    if point <= -4 || point > count + 15 {
        push_scientific(&mut text, &digits);
        let exponent = point - 1;
        let sign = if exponent < 0 { '-' } else { '+' };
        let _ = write!(text, "e{sign}{:02}", exponent.abs());
    } else {
        push_plain(&mut text, &digits, point);
    }
    text
}

fn push_scientific(text: &mut String, digits: &str) {
    text.push_str(&digits[..1]);
    if digits.len() > 1 {
        text.push('.');
        text.push_str(&digits[1..]);
    }
}

/// Writes digits with the decimal point after the first `point` of them.
fn push_plain(text: &mut String, digits: &str, point: i64) {
    match usize::try_from(point) {
        Ok(point) if point >= digits.len() => {
            text.push_str(digits);
            text.extend(std::iter::repeat_n('0', point - digits.len()));
        }
        Ok(point) if point > 0 => {
            text.push_str(&digits[..point]);
            text.push('.');
            text.push_str(&digits[point..]);
        }
        _ => {
            text.push_str("0.");
            let zeros = usize::try_from(-point).unwrap_or(0);
            text.extend(std::iter::repeat_n('0', zeros));
            text.push_str(digits);
        }
    }
}

/// A decimal literal: `digits` times ten to the power of `exponent`.
struct Decimal {
    negative: bool,
    /// Without leading zeros, but at least one digit.
    digits: String,
    exponent: i64,
}

impl Decimal {
    fn parse(text: &str) -> Option<Self> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
            None => (text, 0),
        };
        let negative = mantissa.starts_with('-');
        let mantissa = mantissa.trim_start_matches(['-', '+']);
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{fraction}");
        if all.is_empty() || !all.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let digits = all.trim_start_matches('0');
        let digits = if digits.is_empty() { "0" } else { digits };
        Some(Self {
            negative,
            digits: digits.to_owned(),
            exponent: exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?,
        })
    }

    /// The scientific string of the General Decimal Arithmetic specification, which jq's decNumber writes.
    fn text(&self) -> String {
        let mut text = String::from(if self.negative { "-" } else { "" });
        let count = self.digits.len() as i64;
        let adjusted = self.exponent + count - 1;
        if self.exponent <= 0 && adjusted >= -6 {
            push_plain(&mut text, &self.digits, count + self.exponent);
        } else {
            push_scientific(&mut text, &self.digits);
            let sign = if adjusted < 0 { '-' } else { '+' };
            let _ = write!(text, "E{sign}{}", adjusted.abs());
        }
        text
    }

    fn is_zero(&self) -> bool {
        self.digits == "0"
    }

    /// Digits without trailing zeros, and the place of the decimal point.
    fn normal(&self) -> (i64, &str) {
        let point = self.digits.len() as i64 + self.exponent;
        (point, self.digits.trim_end_matches('0'))
    }

    fn compare(&self, other: &Self) -> Ordering {
        let sign = |decimal: &Self| match (decimal.is_zero(), decimal.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        };
        sign(self).cmp(&sign(other)).then_with(|| {
            let order = match self.is_zero() {
                true => Ordering::Equal,
                false => self.normal().cmp(&other.normal()),
            };
            if self.negative {
                order.reverse()
            } else {
                order
            }
        })
    }
}

/// Whether a literal has more digits than a float surely holds.
pub(crate) fn is_long(num: &Num) -> bool {
    match num {
        Num::Float(_) => false,
        Num::Int(int) => int.unsigned_abs() >= 1_000_000_000_000_000,
        Num::BigInt(_) => true,
        Num::Dec(text) => Decimal::parse(text).is_some_and(|decimal| decimal.normal().1.len() > 15),
    }
}

/// The order of two numbers: of two literals exactly, else as floats. `None` if one of them is nan.
pub(crate) fn compare(left: &Num, right: &Num) -> Option<Ordering> {
    match (left, right) {
        (Num::Int(left), Num::Int(right)) => Some(left.cmp(right)),
        (Num::Float(_), _) | (_, Num::Float(_)) => as_float(left).partial_cmp(&as_float(right)),
        (
            Num::Int(_) | Num::BigInt(_) | Num::Dec(_),
            Num::Int(_) | Num::BigInt(_) | Num::Dec(_),
        ) => {
            let decimals = (
                Decimal::parse(&left.to_string()),
                Decimal::parse(&right.to_string()),
            );
            match decimals {
                (Some(left), Some(right)) => Some(left.compare(&right)),
                _ => as_float(left).partial_cmp(&as_float(right)),
            }
        }
    }
}

/// The number with the other sign. A literal keeps its digits.
pub(crate) fn negated(num: Num) -> Num {
    match num {
        Num::Float(float) => match result(-float).val {
            Val::Num(num) => num,
            _ => Num::Float(-float),
        },
        Num::Dec(text) => match Decimal::parse(&text) {
            Some(decimal) if decimal.is_zero() => {
                Num::Dec(text.trim_start_matches('-').to_owned().into())
            }
            _ => -Num::Dec(text),
        },
        num @ (Num::Int(_) | Num::BigInt(_)) => -num,
    }
}

/// The number that a text means to jq's `tonumber`.
pub(crate) fn parse(text: &str) -> Option<FencedValue> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if digits.eq_ignore_ascii_case("nan") {
        return Some(FencedValue::leaf(Val::Num(Num::Float(f64::NAN))));
    }
    if digits.eq_ignore_ascii_case("inf") || digits.eq_ignore_ascii_case("infinity") {
        let infinite = if negative {
            f64::NEG_INFINITY
        } else {
            f64::INFINITY
        };
        return Some(FencedValue::leaf(Val::Num(Num::Float(infinite))));
    }
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (digits, None),
    };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(exponent) = exponent
        && !is_number(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))
    {
        return None;
    }
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if !is_number(&format!("{whole}{fraction}")) {
        return None;
    }
    let mut literal = String::from(if negative { "-" } else { "" });
    literal.push_str(if whole.is_empty() { "0" } else { whole });
    if !fraction.is_empty() {
        literal.push('.');
        literal.push_str(fraction);
    }
    if let Some(exponent) = exponent {
        literal.push('e');
        literal.push_str(exponent);
    }
    jaq_core::ValT::from_num(&literal).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_number_is_that_of_jq() {
        for (float, expected) in [
            (1e15, "1000000000000000"),
            (1e16, "1e+16"),
            (123_456_789_012_345_680.0, "123456789012345680"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (-1.5e-10, "-1.5e-10"),
            (f64::INFINITY, "1.7976931348623157e+308"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1e15 + 0.3, "1000000000000000.2"),
            (2_f64.powi(-1017), "7.120236347223045e-307"),
        ] {
            assert_eq!(float_text(float), expected);
        }
        for (literal, expected) in [
            ("1.10", "1.10"),
            ("1e2", "1E+2"),
            ("1.0e5", "1.0E+5"),
            ("0.00001", "0.00001"),
            ("1e-5", "0.00001"),
            ("1e-7", "1E-7"),
            ("-0.0", "-0.0"),
            ("00.5", "0.5"),
        ] {
            assert_eq!(text(&Num::Dec(literal.to_owned().into())), expected);
        }
    }
}
