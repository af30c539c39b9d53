//! The order of deliveries that update the same records: the value of a route's `order_by`.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use jiff::SignedDuration;
use jiff::civil::DateTime;
use jiff::fmt::rfc2822;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Most records of an update request whose order is kept: what one mass update takes.
pub const MAX_ORDERED_RECORDS: usize = 500;

/// Decimal places of an [`OrderNumber`].
const PLACES: usize = 18;

/// One, as an [`OrderNumber`].
const ONE: i128 = 1_000_000_000_000_000_000;

/// Digits before the point, at most. With the decimal places they fit into 128 bits.
const MAX_DIGITS: usize = 20;

/// Characters of a text that can be a number or a time. A number of JSON has at most 400 digits in a row.
const MAX_CHARS: usize = 500;

/// The largest offset of a time, in seconds.
const MAX_OFFSET: i64 = 24 * 3_600 - 60;

/// The moment from which times are counted.
const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

/// Says which of two deliveries for the same record is newer: that with the greater value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum OrderValue {
    /// A number: a version, or seconds or milliseconds since 1970.
    Number(OrderNumber),
    /// A moment.
    Time(OrderTime),
}

/// A decimal number with up to 20 digits before the point and 18 behind it. Ids and versions may have more digits than a float
/// has, so it is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OrderNumber(i128);

/// A moment of the years 0 to 9999, in units of 10⁻¹⁸ seconds since 1970. Senders write the last second of the year 9999 for
/// "never", and fractions of any length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OrderTime(i128);

/// A value that orders no deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidOrder {
    /// It is neither a number nor a string.
    #[error("{0}")]
    Kind(&'static str),
    /// It is a string that is neither a time nor a number.
    #[error("a string that is neither a time nor a number")]
    Text,
    /// It is a number with too many digits.
    #[error("a number with more than 20 digits before the point")]
    TooLarge,
}

impl OrderValue {
    /// Compares two values; none for a number and a time.
    pub fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Number(one), Self::Number(other)) => Some(one.cmp(&other)),
            (Self::Time(one), Self::Time(other)) => Some(one.cmp(&other)),
            (Self::Number(_), Self::Time(_)) | (Self::Time(_), Self::Number(_)) => None,
        }
    }
}

impl TryFrom<&Value> for OrderValue {
    type Error = InvalidOrder;

    fn try_from(value: &Value) -> Result<Self, InvalidOrder> {
        match value {
            Value::Number(number) => number.to_string().parse(),
            Value::String(text) => text.parse(),
            Value::Null => Err(InvalidOrder::Kind("null")),
            Value::Bool(_) => Err(InvalidOrder::Kind("a boolean")),
            Value::Array(_) => Err(InvalidOrder::Kind("an array")),
            Value::Object(_) => Err(InvalidOrder::Kind("an object")),
        }
    }
}

impl FromStr for OrderValue {
    type Err = InvalidOrder;

    /// Reads a number; a time of RFC 3339 or RFC 2822; or a date with or without a time, in UTC.
    fn from_str(text: &str) -> Result<Self, InvalidOrder> {
        let text = text.trim();
        if text.len() > MAX_CHARS {
            return Err(InvalidOrder::Text);
        }
        match OrderNumber::read(text) {
            Some(number) => number.map(Self::Number),
            None => OrderTime::read(text)
                .map(Self::Time)
                .ok_or(InvalidOrder::Text),
        }
    }
}

impl TryFrom<String> for OrderValue {
    type Error = InvalidOrder;

    fn try_from(text: String) -> Result<Self, InvalidOrder> {
        text.parse()
    }
}

impl From<OrderValue> for String {
    fn from(value: OrderValue) -> Self {
        value.to_string()
    }
}

impl fmt::Display for OrderValue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(formatter),
            Self::Time(time) => time.fmt(formatter),
        }
    }
}

impl OrderNumber {
    /// Reads a number as JSON writes it, or with leading zeros; none if the text is no number.
    fn read(text: &str) -> Option<Result<Self, InvalidOrder>> {
        let (is_negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (decimal, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((decimal, exponent)) => (decimal, exponent.parse::<i32>().ok()?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = decimal.split_once('.').unwrap_or((decimal, ""));
        let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !is_digits(whole) || !is_digits(fraction) {
            return None;
        }
        Some(
            Self::of_digits(whole, fraction, exponent)
                .map(|Self(number)| Self(if is_negative { -number } else { number })),
        )
    }

    /// The number `whole.fraction` times ten to the power of `exponent`. Digits behind the last place are cut off.
    fn of_digits(whole: &str, fraction: &str, exponent: i32) -> Result<Self, InvalidOrder> {
        let digits = format!("{whole}{fraction}");
        let significant = digits.trim_start_matches('0');
        if significant.is_empty() {
            return Ok(Self(0));
        }
        let leading = i64::try_from(digits.len() - significant.len()).unwrap_or(i64::MAX);
        let point = i64::try_from(whole.len()).unwrap_or(i64::MAX) - leading + i64::from(exponent);
        if point > MAX_DIGITS as i64 {
            return Err(InvalidOrder::TooLarge);
        }
        let places = point + PLACES as i64;
        let Ok(places) = usize::try_from(places) else {
            return Ok(Self(0));
        };
        let kept = &significant[..significant.len().min(places)];
        let number = format!("{kept:0<places$}");
        Ok(Self(number.parse().unwrap_or_default()))
    }
}

impl fmt::Display for OrderNumber {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (whole, fraction) = (
            self.0.unsigned_abs() / ONE.unsigned_abs(),
            self.0.unsigned_abs() % ONE.unsigned_abs(),
        );
        let fraction = format!("{fraction:0PLACES$}");
        let fraction = fraction.trim_end_matches('0');
        match fraction.is_empty() {
            true => write!(formatter, "{sign}{whole}"),
            false => write!(formatter, "{sign}{whole}.{fraction}"),
        }
    }
}

impl OrderTime {
    /// Reads a time of RFC 3339 or RFC 2822, or a date with or without a time, in UTC.
    fn read(text: &str) -> Option<Self> {
        // A date with a zone in brackets is no time of RFC 3339.
        if text.contains('[') {
            return None;
        }
        Self::read_iso(text).or_else(|| {
            let time = rfc2822::parse(text).ok()?;
            let offset = i64::from(time.offset().seconds());
            let seconds = time.timestamp().as_second();
            (offset.abs() <= MAX_OFFSET).then(|| Self::at(seconds, 0))?
        })
    }

    /// Reads a date, or a date with a time of any fraction, in UTC or with an offset.
    fn read_iso(text: &str) -> Option<Self> {
        let Some((date, time)) = text.split_once(['T', 't', ' ']) else {
            return Self::of_parts(text, "", 0);
        };
        let end = time.find(['Z', 'z', '+', '-']).unwrap_or(time.len());
        let (time, offset) = time.split_at(end);
        let (time, fraction) = time.split_once(['.', ',']).unwrap_or((time, ""));
        let is_cut = fraction.is_empty() && text.contains(['.', ',']);
        if is_cut || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let offset = match offset {
            "" | "Z" | "z" => 0,
            offset => read_offset(offset)?,
        };
        Self::of_parts(&format!("{date}T{time}"), fraction, offset)
    }

    /// The moment of a date and a time with an offset, in seconds. Digits of the fraction behind the last place are cut off.
    fn of_parts(time: &str, fraction: &str, offset: i64) -> Option<Self> {
        let time: DateTime = time.parse().ok()?;
        let seconds = time.duration_since(EPOCH).as_secs() - offset;
        let kept = &fraction[..fraction.len().min(PLACES)];
        let fraction = format!("{kept:0<PLACES$}").parse::<i128>().ok()?;
        Self::at(seconds, fraction)
    }

    /// A moment that can be shown: of the years that have four digits.
    fn at(seconds: i64, fraction: i128) -> Option<Self> {
        let shown = EPOCH.checked_add(SignedDuration::from_secs(seconds)).ok()?;
        let time = Self(i128::from(seconds) * ONE + fraction);
        (0..=9_999).contains(&shown.year()).then_some(time)
    }
}

impl fmt::Display for OrderTime {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = i64::try_from(self.0.div_euclid(ONE)).unwrap_or_default();
        let time = EPOCH.saturating_add(SignedDuration::from_secs(seconds));
        let fraction = format!("{:0PLACES$}", self.0.rem_euclid(ONE));
        match fraction.trim_end_matches('0') {
            "" => write!(formatter, "{time}Z"),
            fraction => write!(formatter, "{time}.{fraction}Z"),
        }
    }
}

/// The seconds of an offset such as `+05:30`, `+0530` or `+05`.
fn read_offset(text: &str) -> Option<i64> {
    let sign = match text.as_bytes().first()? {
        b'-' => -1,
        _ => 1,
    };
    let digits = &text[1..];
    let (hours, minutes) = match digits.len() {
        5 => digits.split_once(':')?,
        4 => digits.split_at_checked(2)?,
        2 => (digits, "00"),
        _ => return None,
    };
    let two_digits = |text: &str| {
        let is_valid = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<i64>().ok().filter(|_| is_valid)
    };
    let (hours, minutes) = (two_digits(hours)?, two_digits(minutes)?);
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 3_600 + minutes * 60))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn order(value: &Value) -> OrderValue {
        OrderValue::try_from(value).unwrap_or_else(|error| panic!("{value}: {error}"))
    }

    #[test]
    fn numbers_and_times_are_read_and_shown() {
        for (value, shown) in [
            (json!(7), "7"),
            (json!(-7.25), "-7.25"),
            (json!("0007"), "7"),
            (json!("1700000000.000100"), "1700000000.0001"),
            (json!(1.5e12), "1500000000000"),
            (json!("12E-3"), "0.012"),
            (json!("5e-40"), "0"),
            (
                json!(18_446_744_073_709_551_615_u64),
                "18446744073709551615",
            ),
            (json!("6486202000000008002"), "6486202000000008002"),
            (json!("2026-11-27T10:00:00+05:30"), "2026-11-27T04:30:00Z"),
            (
                json!("2026-11-27T10:00:00.000+0000"),
                "2026-11-27T10:00:00Z",
            ),
            (
                json!("2026-11-27T10:00:00.123456Z"),
                "2026-11-27T10:00:00.123456Z",
            ),
            (json!("2026-11-27 10:00:00"), "2026-11-27T10:00:00Z"),
            (json!("2026-11-27t10:00:00z"), "2026-11-27T10:00:00Z"),
            (
                json!("2026-11-27T10:00:00.1234567890123-23:59"),
                "2026-11-28T09:59:00.1234567890123Z",
            ),
            (json!("9999-12-31T23:59:59Z"), "9999-12-31T23:59:59Z"),
            (
                json!("9999-12-31T23:59:59.999999999999999999Z"),
                "9999-12-31T23:59:59.999999999999999999Z",
            ),
            (json!("1969-12-31T23:59:59.25Z"), "1969-12-31T23:59:59.25Z"),
            (json!("0000-01-01"), "0000-01-01T00:00:00Z"),
            (json!("2026-11-27T10:00:00+05"), "2026-11-27T05:00:00Z"),
            (json!("99999999999999999999"), "99999999999999999999"),
            (
                json!(format!("0.{}", "3".repeat(400))),
                "0.333333333333333333",
            ),
            (json!("2026-11-27"), "2026-11-27T00:00:00Z"),
            (
                json!("Fri, 27 Nov 2026 10:00:00 +0100"),
                "2026-11-27T09:00:00Z",
            ),
        ] {
            let read = order(&value);
            assert_eq!(read.to_string(), shown, "{value}");
            assert_eq!(order(&json!(shown)), read, "{value}");
        }
    }

    #[test]
    fn other_values_order_nothing() {
        for value in [
            json!(null),
            json!(false),
            json!({"a": 1}),
            json!([1]),
            json!(""),
            json!("yesterday"),
            json!("."),
            json!("-"),
            json!("1.2.3"),
            json!("0x10"),
            json!("NaN"),
            json!("2026-13-01"),
            json!("2026-11-27T10:00:00+25:59"),
            json!("2026-11-27T10:00:00+24:00"),
            json!("2026-11-27T10:00:00+05:60"),
            json!("2026-11-27T10:00:00+5"),
            json!("2026-11-27T10:00:00.Z"),
            json!("2026-11-27T10:00:00Z+01:00"),
            json!("Fri, 27 Nov 2026 10:00:00 +2559"),
            json!("10000-01-01"),
            json!("9999-12-31T23:59:59-01:00"),
            json!("0000-01-01T00:00:00+01:00"),
            json!("2026-11-27T10:00[Europe/Berlin]"),
            json!("9".repeat(300)),
            json!("123456789012345678901"),
            json!(1e300),
            json!("1e99999999999"),
        ] {
            assert!(OrderValue::try_from(&value).is_err(), "{value}");
        }
    }

    #[test]
    fn number_and_time_cannot_be_compared() {
        let (number, time) = (order(&json!(5)), order(&json!("2026-11-27")));
        assert_eq!(number.compare(time), None);
        assert_eq!(number.compare(number), Some(Ordering::Equal));
    }

    proptest! {
        #[test]
        fn number_order_is_that_of_integers(one in any::<i64>(), other in any::<i64>()) {
            let compared = order(&json!(one)).compare(order(&json!(other)));
            prop_assert_eq!(compared, Some(one.cmp(&other)));
        }

        #[test]
        fn number_order_is_that_of_floats(one in -1e15_f64..1e15, other in -1e15_f64..1e15) {
            let (a, b) = (order(&json!(one)), order(&json!(other)));
            if one.abs() > 1.0 && other.abs() > 1.0 {
                prop_assert_eq!(a.compare(b), one.partial_cmp(&other));
            }
            prop_assert_eq!(order(&json!(a.to_string())), a);
        }

        #[test]
        fn time_order_is_that_of_moments(one in -60_000_000_000_i64..250_000_000_000, other in -60_000_000_000_i64..250_000_000_000, offset in -1_439_i64..1_440) {
            let shown = |seconds: i64, offset: i64| {
                let local = EPOCH.saturating_add(SignedDuration::from_secs(seconds + offset * 60));
                let sign = if offset < 0 { '-' } else { '+' };
                let (hours, minutes) = (offset.abs() / 60, offset.abs() % 60);
                order(&json!(format!("{local}{sign}{hours:02}:{minutes:02}")))
            };
            let (a, b) = (shown(one, offset), shown(other, -offset));
            prop_assert_eq!(a.compare(b), Some(one.cmp(&other)));
            prop_assert_eq!(order(&json!(a.to_string())), a);
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}") {
            if let Ok(value) = text.parse::<OrderValue>() {
                prop_assert_eq!(value.to_string().parse::<OrderValue>(), Ok(value));
            }
        }
    }
}
