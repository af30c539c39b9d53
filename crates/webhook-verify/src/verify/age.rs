//! Checks and writes signed times.

use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};

use super::error::VerifyError;
use crate::scheme::{TimestampRule, TimestampUnit};

/// Parses the signed time and checks that it is within the tolerance.
pub(super) fn check_age(
    rule: &TimestampRule,
    text: &[u8],
    now: Timestamp,
) -> Result<Timestamp, VerifyError> {
    let signed_at = parse_timestamp(rule.unit, text).ok_or(VerifyError::MalformedTimestamp {
        expected: match rule.unit {
            TimestampUnit::Seconds => "whole seconds since 1970",
            TimestampUnit::Milliseconds => "whole milliseconds since 1970",
            TimestampUnit::Iso => "RFC 3339",
        },
    })?;
    let tolerance = SignedDuration::from_secs(i64::try_from(rule.tolerance_s).unwrap_or(i64::MAX));
    let age = signed_at.duration_until(now);
    if tolerance.is_zero() {
        return Ok(signed_at);
    }
    if age > tolerance {
        return Err(VerifyError::Stale { age, tolerance });
    }
    if -age > tolerance {
        let ahead = -age;
        return Err(VerifyError::FromTheFuture { ahead, tolerance });
    }
    Ok(signed_at)
}

fn parse_timestamp(unit: TimestampUnit, text: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(text).ok()?;
    let number = || {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if digits {
            i64::from_str(text).ok()
        } else {
            None
        }
    };
    match unit {
        TimestampUnit::Seconds => Timestamp::from_second(number()?).ok(),
        TimestampUnit::Milliseconds => Timestamp::from_millisecond(number()?).ok(),
        TimestampUnit::Iso => text.parse().ok(),
    }
}

pub(super) fn write_timestamp(unit: TimestampUnit, time: Timestamp) -> String {
    match unit {
        TimestampUnit::Seconds => time.as_second().to_string(),
        TimestampUnit::Milliseconds => time.as_millisecond().to_string(),
        TimestampUnit::Iso => time.to_string(),
    }
}
