//! `strptime`.

use crate::fence;

use super::{DAYS, MONTHS, Time, days_before, is_leap};

/// What was read so far.
#[derive(Default)]
struct Reader<'t> {
    rest: &'t str,
    time: Time,
    /// A date was read, so that the days of the week and the year can be calculated.
    has_date: bool,
    has_month: bool,
    has_day: bool,
    has_weekday: bool,
    has_yearday: bool,
    has_twelve: bool,
    is_afternoon: bool,
}

/// The time that a text means, and the rest of the text, which begins with white space.
pub(super) fn parsed<'t>(text: &'t str, format: &str) -> Option<(Time, &'t str)> {
    let mut reader = Reader {
        rest: text,
        // Values that jq puts out if the format has neither date nor weekday.
        time: Time {
            year: 1900,
            weekday: 8,
            yearday: 367,
            ..Time::default()
        },
        ..Reader::default()
    };
    reader.read(format)?;
    let rest = reader.rest;
    if !rest.is_empty() && !rest.starts_with(is_space) {
        return None;
    }
    Some((reader.finish(), rest))
}

fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t'..='\r')
}

impl Reader<'_> {
    fn read(&mut self, format: &str) -> Option<()> {
        let mut format = format.chars();
        while let Some(character) = format.next() {
            if is_space(character) {
                self.skip_space();
            } else if character == '%' {
                let Some(directive) = format.next() else {
                    fence::refuse("a time format ends with %");
                };
                self.directive(directive)?;
            } else {
                self.rest = self.rest.strip_prefix(character)?;
            }
        }
        Some(())
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches(is_space);
    }

    fn number(&mut self, range: std::ops::RangeInclusive<i64>, width: usize) -> Option<i64> {
        // Only spaces are skipped before a number.
        self.rest = self.rest.trim_start_matches(' ');
        let digits = self
            .rest
            .bytes()
            .take(width)
            .take_while(u8::is_ascii_digit)
            .count();
        let value = self.rest[..digits].parse().unwrap_or(0);
        if digits == 0 || !range.contains(&value) {
            return None;
        }
        self.rest = &self.rest[digits..];
        Some(value)
    }

    /// The index of the name that the rest begins with, in full or its first three letters.
    fn name(&mut self, names: &[&str]) -> Option<i64> {
        let rest = self.rest.as_bytes();
        let begins = |name: &str| {
            let start = rest.get(..name.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(name.as_bytes()))
        };
        for (index, name) in names.iter().enumerate() {
            let length = match () {
                () if begins(name) => name.len(),
                () if begins(&name[..3]) => 3,
                () => continue,
            };
            self.rest = &self.rest[length..];
            return i64::try_from(index).ok();
        }
        None
    }

    fn directive(&mut self, directive: char) -> Option<()> {
        match directive {
            'a' | 'A' => {
                self.time.weekday = self.name(&DAYS)?;
                self.has_weekday = true;
            }
            'b' | 'B' | 'h' => {
                self.time.month = self.name(&MONTHS)?;
                (self.has_month, self.has_date) = (true, true);
            }
            'c' => self.read("%a %b %e %H:%M:%S %Y")?,
            'd' | 'e' => {
                self.time.day = self.number(1..=31, 2)?;
                (self.has_day, self.has_date) = (true, true);
            }
            'D' | 'x' => self.read("%m/%d/%y")?,
            'F' => self.read("%Y-%m-%d")?,
            'H' | 'k' => {
                self.time.hour = self.number(0..=23, 2)?;
                self.has_twelve = false;
            }
            'I' | 'l' => {
                self.time.hour = self.number(1..=12, 2)? % 12;
                self.has_twelve = true;
            }
            'j' => {
                self.time.yearday = self.number(1..=366, 3)? - 1;
                self.has_yearday = true;
            }
            'm' => {
                self.time.month = self.number(1..=12, 2)? - 1;
                (self.has_month, self.has_date) = (true, true);
            }
            'M' => self.time.minute = self.number(0..=59, 2)?,
            'n' | 't' => self.skip_space(),
            'p' | 'P' => self.half_of_day()?,
            'r' => self.read("%I:%M:%S %p")?,
            'R' => self.read("%H:%M")?,
            's' => {
                let seconds = self.number(0..=253_402_300_799, 12)?;
                self.time = Time::at(seconds);
            }
            'S' => self.time.second = self.number(0..=61, 2)?,
            'T' | 'X' => self.read("%H:%M:%S")?,
            'y' => {
                let year = self.number(0..=99, 2)?;
                self.time.year = if year >= 69 { 1900 } else { 2000 } + year;
                self.has_date = true;
            }
            'Y' => {
                self.time.year = self.number(0..=9999, 4)?;
                self.has_date = true;
            }
            'z' => self.offset()?,
            'Z' => {
                self.skip_space();
                self.rest = self.rest.trim_start_matches(|c| !is_space(c));
            }
            '%' => self.rest = self.rest.strip_prefix('%')?,
            other => fence::refuse(format!("%{other} is not supported in strptime")),
        }
        Some(())
    }

    fn half_of_day(&mut self) -> Option<()> {
        let half = self.rest.get(..2).unwrap_or_default();
        self.is_afternoon = match half.to_ascii_uppercase().as_str() {
            "AM" => false,
            "PM" => true,
            _ => return None,
        };
        self.rest = &self.rest[2..];
        Some(())
    }

    /// An offset from UTC, which jq ignores.
    fn offset(&mut self) -> Option<()> {
        self.skip_space();
        if let Some(rest) = self.rest.strip_prefix('Z') {
            self.rest = rest;
            return Some(());
        }
        self.rest = self.rest.strip_prefix(['+', '-'])?;
        let mut digits = String::new();
        while let Some(digit) = self.rest.chars().next().filter(char::is_ascii_digit) {
            if digits.len() == 4 {
                break;
            }
            digits.push(digit);
            self.rest = &self.rest[1..];
            if digits.len() == 2 {
                self.rest = self.rest.strip_prefix(':').unwrap_or(self.rest);
            }
        }
        let minutes = match digits.len() {
            2 => 0,
            4 => digits[2..].parse().unwrap_or(60),
            _ => return None,
        };
        match minutes < 60 && digits[..2].parse::<u8>().is_ok_and(|hours| hours <= 14) {
            true => Some(()),
            false => None,
        }
    }

    fn finish(mut self) -> Time {
        if self.has_twelve && self.is_afternoon {
            self.time.hour += 12;
        }
        let time = &mut self.time;
        if self.has_date && !self.has_weekday {
            if self.has_yearday && !(self.has_month && self.has_day) {
                let start = days_before(time.year, 0, 1) + time.yearday;
                let (_, month, day) = super::civil(start);
                if !self.has_month {
                    time.month = month;
                }
                if !self.has_day {
                    time.day = day;
                }
            }
            time.weekday = (days_before(time.year, time.month, time.day) + 4).rem_euclid(7);
        }
        if self.has_date && !self.has_yearday {
            time.yearday = yearday(time);
        }
        // What jq calculates itself.
        if time.weekday == 8 && time.day != 0 {
            time.weekday = (days_before(time.year, time.month, time.day) + 4).rem_euclid(7);
        }
        if time.yearday == 367 && time.day != 0 {
            time.yearday = yearday(time);
        }
        self.time
    }
}

fn yearday(time: &Time) -> i64 {
    const BEFORE: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let month = usize::try_from(time.month).unwrap_or(0);
    let leap = i64::from(time.month > 1 && is_leap(time.year));
    BEFORE[month] + leap + time.day - 1
}
