//! `strftime`.

use crate::fence;

use super::{DAYS, MONTHS, Time, days_before};

/// How a number is padded.
#[derive(Clone, Copy)]
enum Padding {
    Default,
    None,
    With(char),
}

/// The text of a time in a format.
pub(super) fn written(time: &Time, format: &str) -> String {
    let mut out = String::new();
    let mut rest = format.chars();
    while let Some(character) = rest.next() {
        if character != '%' {
            out.push(character);
            continue;
        }
        let (mut padding, mut upper) = (Padding::Default, false);
        let directive = loop {
            match rest.next() {
                Some('-') => padding = Padding::None,
                Some('_') => padding = Padding::With(' '),
                Some('0') => padding = Padding::With('0'),
                Some('^') => upper = true,
                Some(directive) => break directive,
                None => fence::refuse("a time format ends with %"),
            }
        };
        let Some(text) = directive_text(time, directive, padding) else {
            fence::refuse(format!("%{directive} is not supported in strftime"));
        };
        out.push_str(&if upper { text.to_uppercase() } else { text });
    }
    out
}

fn number(number: i64, width: usize, fill: char, padding: Padding) -> String {
    let digits = number.to_string();
    let fill = match padding {
        Padding::Default => fill,
        Padding::With(fill) => fill,
        Padding::None => return digits,
    };
    let missing = width.saturating_sub(digits.len());
    std::iter::repeat_n(fill, missing)
        .chain(digits.chars())
        .collect()
}

fn directive_text(time: &Time, directive: char, padding: Padding) -> Option<String> {
    let two = |value| number(value, 2, '0', padding);
    let spaced = |value| number(value, 2, ' ', padding);
    let all = |format| written(time, format);
    let name = |names: &[&str], index: i64| {
        let index = usize::try_from(index).ok()?;
        names.get(index).map(|name| (*name).to_owned())
    };
    let short = |names: &[&str], index| name(names, index).map(|name| name[..3].to_owned());
    let twelve = match time.hour % 12 {
        0 => 12,
        hour => hour,
    };
    let week_from = |first: i64| (time.yearday + 7 - (time.weekday + 7 - first) % 7) / 7;
    Some(match directive {
        'a' => short(&DAYS, time.weekday)?,
        'A' => name(&DAYS, time.weekday)?,
        'b' | 'h' => short(&MONTHS, time.month)?,
        'B' => name(&MONTHS, time.month)?,
        'c' => all("%a %b %e %H:%M:%S %Y"),
        'C' => two(time.year / 100),
        'd' => two(time.day),
        'D' | 'x' => all("%m/%d/%y"),
        'e' => spaced(time.day),
        'F' => all("%Y-%m-%d"),
        'g' => two(iso_week(time).0 % 100),
        'G' => iso_week(time).0.to_string(),
        'H' => two(time.hour),
        'I' => two(twelve),
        'j' => number(time.yearday + 1, 3, '0', padding),
        'k' => spaced(time.hour),
        'l' => spaced(twelve),
        'm' => two(time.month + 1),
        'M' => two(time.minute),
        'n' => "\n".to_owned(),
        'p' => if time.hour < 12 { "AM" } else { "PM" }.to_owned(),
        'P' => if time.hour < 12 { "am" } else { "pm" }.to_owned(),
        'r' => all("%I:%M:%S %p"),
        'R' => all("%H:%M"),
        's' => time.seconds().to_string(),
        'S' => two(time.second),
        't' => "\t".to_owned(),
        'T' | 'X' => all("%H:%M:%S"),
        'u' => number((time.weekday + 6) % 7 + 1, 1, '0', padding),
        'U' => two(week_from(0)),
        'V' => two(iso_week(time).1),
        'w' => time.weekday.to_string(),
        'W' => two(week_from(1)),
        'y' => two(time.year % 100),
        'Y' => time.year.to_string(),
        'z' => "+0000".to_owned(),
        'Z' => "GMT".to_owned(),
        '%' => "%".to_owned(),
        _ => return None,
    })
}

/// The year and the number of the week that contains the day, as ISO 8601 counts weeks.
fn iso_week(time: &Time) -> (i64, i64) {
    let day = days_before(time.year, time.month, time.day);
    // A week belongs to the year of its Thursday.
    let thursday = day - (time.weekday + 6) % 7 + 3;
    let in_year =
        |year: i64| (days_before(year, 0, 1)..days_before(year + 1, 0, 1)).contains(&thursday);
    let mut years = [time.year - 1, time.year, time.year + 1].into_iter();
    let year = years.find(|year| in_year(*year)).unwrap_or(time.year);
    (year, (thursday - days_before(year, 0, 1)) / 7 + 1)
}
