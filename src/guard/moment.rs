//! Dates and times in Zoho's format: `YYYY-MM-DD`, and ISO 8601 with an offset and without a fraction. Pure.
//!
//! A time is accepted as a date only if it is midnight in its own offset: `2026-02-28T00:00:00` means the date. Any other
//! time may fall on another date in another time zone. A time without an offset is not accepted, because it is ambiguous.

use jiff::civil::Time;
use jiff::fmt::temporal::Pieces;

/// Why a text is not a date or time, and what to do.
pub(super) struct InvalidMoment {
    pub(super) why: &'static str,
    pub(super) cure: &'static str,
}

const NOT_ISO: InvalidMoment = InvalidMoment {
    why: "is not a date of the ISO 8601 form, or there is no such day",
    cure: "write the year first: `2026-02-28`; jq's `strptime` and `strftime` turn other forms into it",
};

/// Formats a date for Zoho.
pub(super) fn date(text: &str) -> Result<String, InvalidMoment> {
    let pieces = parse(text)?;
    match pieces.time() {
        None => Ok(pieces.date().to_string()),
        Some(time) if time == Time::midnight() => Ok(pieces.date().to_string()),
        Some(_) => Err(InvalidMoment {
            why: "is a moment, and which day it is depends on the time zone",
            cure: "send the day that is meant: `.[:10]` in jq, if it is the one that is written there",
        }),
    }
}

/// Formats a time for Zoho.
pub(super) fn date_time(text: &str) -> Result<String, InvalidMoment> {
    let pieces = parse(text)?;
    let invalid = |why| InvalidMoment {
        why,
        cure: "write date, time and offset: `2026-02-28T09:30:00+01:00`, or `Z` for UTC",
    };
    let time = pieces
        .time()
        .ok_or_else(|| invalid("is a day without a time"))?;
    let offset = pieces
        .to_numeric_offset()
        .ok_or_else(|| invalid("has no offset, so it is not known which moment it is"))?;
    let seconds = offset.seconds();
    if seconds % 60 != 0 {
        return Err(invalid(
            "has an offset with seconds, which Zoho does not take",
        ));
    }
    let (sign, minutes) = (if seconds < 0 { '-' } else { '+' }, seconds.abs() / 60);
    Ok(format!(
        "{}T{:02}:{:02}:{:02}{sign}{:02}:{:02}",
        pieces.date(),
        time.hour(),
        time.minute(),
        time.second(),
        minutes / 60,
        minutes % 60
    ))
}

fn parse(text: &str) -> Result<Pieces<'_>, InvalidMoment> {
    match Pieces::parse(text) {
        // Zoho's years have four digits.
        Ok(pieces) if (1..=9999).contains(&pieces.date().year()) => Ok(pieces),
        Ok(_) | Err(_) => Err(NOT_ISO),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn date_is_formatted_for_zoho() {
        let grid: String = [
            "2026-02-28",
            "20260228",
            "2026-02-28T00:00:00",
            "2026-02-28 00:00:00",
            "2026-02-28T00:00:00.000Z",
            "2026-02-28T00:00:00+05:30",
            "2026-02-28T09:30:00Z",
            "2026-02-30",
            "28.02.2026",
            "02/28/2026",
            "2026-2-28",
            "-000044-03-15",
            "1772236800",
            "today",
            "",
        ]
        .iter()
        .map(|text| {
            format!(
                "{text} -> {}\n",
                date(text).unwrap_or_else(|invalid| invalid.why.to_owned())
            )
        })
        .collect();
        insta::assert_snapshot!(grid, @r"
        2026-02-28 -> 2026-02-28
        20260228 -> 2026-02-28
        2026-02-28T00:00:00 -> 2026-02-28
        2026-02-28 00:00:00 -> 2026-02-28
        2026-02-28T00:00:00.000Z -> 2026-02-28
        2026-02-28T00:00:00+05:30 -> 2026-02-28
        2026-02-28T09:30:00Z -> is a moment, and which day it is depends on the time zone
        2026-02-30 -> is not a date of the ISO 8601 form, or there is no such day
        28.02.2026 -> is not a date of the ISO 8601 form, or there is no such day
        02/28/2026 -> is not a date of the ISO 8601 form, or there is no such day
        2026-2-28 -> is not a date of the ISO 8601 form, or there is no such day
        -000044-03-15 -> is not a date of the ISO 8601 form, or there is no such day
        1772236800 -> is not a date of the ISO 8601 form, or there is no such day
        today -> is not a date of the ISO 8601 form, or there is no such day
         -> is not a date of the ISO 8601 form, or there is no such day
        ");
    }

    #[test]
    fn time_is_formatted_with_offset_without_fraction() {
        let grid: String = [
            "2026-02-28T09:30:00+05:30",
            "2026-02-28T09:30:00.123456Z",
            "2026-02-28T09:30:00z",
            "2026-02-28 09:30:00-0800",
            "2026-02-28T09:30+01",
            "20260228T093000Z",
            "2026-02-28T09:30:00-00:00",
            "2026-02-28T09:30:00+05:30[Asia/Kolkata]",
            "2026-02-28T09:30:00+05:30:15",
            "2026-02-28T09:30:00",
            "2026-02-28T24:00:00Z",
            "2026-06-30T23:59:60Z",
            "2026-02-28",
            "Sat, 28 Feb 2026 09:30:00 GMT",
            "",
        ]
        .iter()
        .map(|text| {
            format!(
                "{text} -> {}\n",
                date_time(text).unwrap_or_else(|invalid| invalid.why.to_owned())
            )
        })
        .collect();
        insta::assert_snapshot!(grid, @r"
        2026-02-28T09:30:00+05:30 -> 2026-02-28T09:30:00+05:30
        2026-02-28T09:30:00.123456Z -> 2026-02-28T09:30:00+00:00
        2026-02-28T09:30:00z -> 2026-02-28T09:30:00+00:00
        2026-02-28 09:30:00-0800 -> 2026-02-28T09:30:00-08:00
        2026-02-28T09:30+01 -> 2026-02-28T09:30:00+01:00
        20260228T093000Z -> 2026-02-28T09:30:00+00:00
        2026-02-28T09:30:00-00:00 -> 2026-02-28T09:30:00+00:00
        2026-02-28T09:30:00+05:30[Asia/Kolkata] -> 2026-02-28T09:30:00+05:30
        2026-02-28T09:30:00+05:30:15 -> has an offset with seconds, which Zoho does not take
        2026-02-28T09:30:00 -> has no offset, so it is not known which moment it is
        2026-02-28T24:00:00Z -> is not a date of the ISO 8601 form, or there is no such day
        2026-06-30T23:59:60Z -> 2026-06-30T23:59:59+00:00
        2026-02-28 -> is a day without a time
        Sat, 28 Feb 2026 09:30:00 GMT -> is not a date of the ISO 8601 form, or there is no such day
         -> is not a date of the ISO 8601 form, or there is no such day
        ");
    }
}
