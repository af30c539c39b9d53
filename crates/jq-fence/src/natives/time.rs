//! `gmtime`, `mktime`, `strftime` and `strptime` as jq has them from the GNU C library in its plain locale and UTC.
//!
//! What depends on a locale, on a time zone or on another library ends the evaluation, and so do years before 1000 and after
//! 9999.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a filter names the kinds of value that it accepts and refuses all others"
)]

mod parse;
mod write;

use jaq_core::native::{Fun, bome, run, unary, v};
use jaq_core::{Error, ValR};
use jaq_json::Val;

use crate::engine::Engine;
use crate::fence;
use crate::value::{FencedValue, numeral};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

const SECONDS_OF_DAY: i64 = 86_400;

/// The first and the last second of the years 1000 to 9999.
const SECONDS: std::ops::RangeInclusive<i64> = -30_610_224_000..=253_402_300_799;

/// The filters of this module.
pub(super) fn filters() -> Vec<Fun<Engine>> {
    vec![
        run(("gmtime", v(0), |cv| bome(gmtime(&cv.1)))),
        run(("mktime", v(0), |cv| bome(mktime(&cv.1)))),
        run(("strftime", v(1), |cv| {
            unary(cv, |time, format| strftime(&time, &format))
        })),
        run(("strptime", v(1), |cv| {
            unary(cv, |text, format| strptime(&text, &format))
        })),
    ]
}

/// A broken-down time. The fields are those of C's `struct tm`, but for the year.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Time {
    year: i64,
    /// From 0.
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    /// From Sunday, which is 0.
    weekday: i64,
    /// From 0.
    yearday: i64,
}

impl Time {
    fn at(seconds: i64) -> Self {
        let (days, rest) = (
            seconds.div_euclid(SECONDS_OF_DAY),
            seconds.rem_euclid(SECONDS_OF_DAY),
        );
        let (year, month, day) = civil(days);
        Self {
            year,
            month,
            day,
            hour: rest / 3_600,
            minute: rest / 60 % 60,
            second: rest % 60,
            weekday: (days + 4).rem_euclid(7),
            yearday: days - days_before(year, 0, 1),
        }
    }

    /// Seconds since 1970. Fields may be out of their range.
    fn seconds(&self) -> i64 {
        let days = days_before(self.year, self.month, self.day);
        days * SECONDS_OF_DAY + self.hour * 3_600 + self.minute * 60 + self.second
    }

    /// The array of jq. `fraction` is added to the seconds.
    fn to_value(self, fraction: f64) -> Vec<FencedValue> {
        let second = self.second as f64 + fraction;
        let whole = |number: i64| FencedValue::from(number as f64);
        vec![
            whole(self.year),
            whole(self.month),
            whole(self.day),
            whole(self.hour),
            whole(self.minute),
            FencedValue::from(second),
            whole(self.weekday),
            whole(self.yearday),
        ]
    }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && year % 100 != 0 || year % 400 == 0
}

/// Days from 1970-01-01 to a date, whose month counts from 0. Months and days may be out of their range.
fn days_before(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = (year + month.div_euclid(12), month.rem_euclid(12));
    // Years begin in March here, so that leap days are at their end.
    let (year, month) = if month < 2 {
        (year - 1, month + 10)
    } else {
        (year, month - 2)
    };
    let of_years = year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    of_years + (month * 153 + 2) / 5 + day - 719_469
}

/// The date that is `days` after 1970-01-01. Its month counts from 0.
fn civil(days: i64) -> (i64, i64, i64) {
    // Not after the year of the date: years before 1970 are counted with 365 days each.
    let mut year = 1970 + days.div_euclid(if days < 0 { 365 } else { 366 });
    while days_before(year + 1, 0, 1) <= days {
        year += 1;
    }
    let month = (0..12)
        .rev()
        .find(|month| days_before(year, *month, 1) <= days);
    let month = month.unwrap_or(0);
    (year, month, days - days_before(year, month, 1) + 1)
}

/// Ends the evaluation if a time is out of the years that are supported.
fn check_range(seconds: i64) {
    if !SECONDS.contains(&seconds) {
        fence::refuse(
            "the program uses a time before the year 1000 or after 9999, or no number; are these milliseconds?",
        );
    }
}

fn refused(value: &FencedValue) -> Error<FencedValue> {
    Error::str(format!("cannot use {value} as a time"))
}

fn gmtime(value: &FencedValue) -> ValR<FencedValue> {
    let Val::Num(number) = &value.val else {
        return Err(refused(value));
    };
    let float = numeral::as_float(number);
    let seconds = float as i64;
    check_range(seconds);
    Ok(Time::at(seconds)
        .to_value(float - float.floor())
        .into_iter()
        .collect())
}

/// The time of an array, normalized. Missing fields are 0.
fn from_array(value: &FencedValue) -> Result<Time, Error<FencedValue>> {
    let Val::Arr(items) = &value.val else {
        return Err(refused(value));
    };
    let mut fields = [0_i64; 6];
    fields[0] = 1900;
    for (index, item) in items.iter().take(8).enumerate() {
        let float = match item {
            Val::Num(number) => numeral::as_float(number),
            _ => f64::NAN,
        };
        if float.is_nan() {
            return Err(refused(value));
        }
        if let Some(field) = fields.get_mut(index) {
            *field = float.clamp(f64::from(i32::MIN), f64::from(i32::MAX)) as i64;
        }
    }
    let [year, month, day, hour, minute, second] = fields;
    let time = Time {
        year,
        month,
        day,
        hour,
        minute,
        second,
        ..Time::default()
    };
    let seconds = time.seconds();
    check_range(seconds);
    Ok(Time::at(seconds))
}

fn mktime(value: &FencedValue) -> ValR<FencedValue> {
    match from_array(value)?.seconds() {
        // Values that jq takes for errors.
        -1 | -2 => Err(refused(value)),
        seconds => Ok(FencedValue::from(seconds as f64)),
    }
}

fn strftime(value: &FencedValue, format: &FencedValue) -> ValR<FencedValue> {
    let time = match &value.val {
        Val::Num(_) => gmtime(value).and_then(|array| from_array(&array))?,
        _ => from_array(value)?,
    };
    let Some(format) = format.as_str() else {
        return Err(Error::typ(format.clone(), "string"));
    };
    fence::allocate(format.len() * 16);
    Ok(FencedValue::from(write::written(&time, format)))
}

fn strptime(value: &FencedValue, format: &FencedValue) -> ValR<FencedValue> {
    let (Some(text), Some(format)) = (value.as_str(), format.as_str()) else {
        return Err(Error::str("strptime needs strings"));
    };
    fence::spend((text.len() + format.len()) as u64);
    let Some((time, rest)) = parse::parsed(text, format) else {
        return Err(Error::str(format!(
            "the date {value} does not have the format {format:?}"
        )));
    };
    let mut array = time.to_value(0.0);
    if !rest.is_empty() {
        array.push(FencedValue::text(rest));
    }
    Ok(array.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::Time;

    #[test]
    fn times_survive_conversion() {
        for seconds in (-30_610_224_000..253_402_300_799).step_by(7_654_321_987) {
            let time = Time::at(seconds);
            assert_eq!(time.seconds(), seconds, "{time:?}");
            assert!((0..12).contains(&time.month), "{time:?}");
            assert!((1..=31).contains(&time.day), "{time:?}");
            assert!((0..366).contains(&time.yearday), "{time:?}");
        }
        let leap = Time::at(1_709_164_800);
        assert_eq!(
            (leap.year, leap.month, leap.day, leap.weekday, leap.yearday),
            (2024, 1, 29, 4, 59)
        );
    }
}
