//! Tables on the terminal: headers, aligned columns, and a last column that is cut to the width of the terminal.

use std::io::IsTerminal as _;
use std::os::fd::AsFd;

use jiff::Timestamp;

use super::text::truncated;
use crate::printable::single_line;

/// The widest column but the last.
const MAX_COLUMN: usize = 36;

/// The narrowest last column.
const MIN_LAST: usize = 20;

/// The space between two columns.
const GAP: &str = "  ";

/// Formats rows under their headers. `width` is that of the terminal; without it nothing is cut but long columns.
pub(super) fn table<const N: usize>(
    headers: [&str; N],
    rows: &[[String; N]],
    width: Option<usize>,
) -> String {
    let cell = |text: &str| single_line(text).into_owned();
    let rows: Vec<[String; N]> = rows
        .iter()
        .map(|row| std::array::from_fn(|column| cell(&row[column])))
        .collect();
    let widths: [usize; N] = std::array::from_fn(|column| {
        let widths = rows.iter().map(|row| row[column].chars().count());
        let widest = widths.max().unwrap_or_default();
        widest.min(MAX_COLUMN).max(headers[column].len())
    });
    let before_last: usize = widths
        .iter()
        .take(N - 1)
        .map(|width| width + GAP.len())
        .sum();
    let last = width.map(|width| width.saturating_sub(before_last).max(MIN_LAST));
    let line = |cells: [&str; N]| {
        let cells = cells.iter().enumerate().map(|(column, text)| {
            let is_last = column == N - 1;
            match (is_last, last) {
                (true, Some(last)) => cut(text, last),
                (true, None) => (*text).to_owned(),
                (false, _) => format!(
                    "{:<width$}",
                    cut(text, widths[column]),
                    width = widths[column]
                ),
            }
        });
        let cells: Vec<String> = cells.collect();
        cells.join(GAP).trim_end().to_owned()
    };
    let mut lines = vec![line(headers)];
    lines.extend(
        rows.iter()
            .map(|row| line(row.each_ref().map(String::as_str))),
    );
    lines.join("\n")
}

/// At most `width` characters, with an ellipsis if some are missing.
fn cut(text: &str, width: usize) -> String {
    match text.chars().count() > width {
        true => truncated(text, width.saturating_sub(1)),
        false => text.to_owned(),
    }
}

/// The width of the terminal, if stdout is one.
pub(super) fn terminal_width() -> Option<usize> {
    let stdout = std::io::stdout();
    stdout.is_terminal().then(|| width_of(&stdout)).flatten()
}

/// The width of a terminal.
pub(super) fn width_of(terminal: &impl AsFd) -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(terminal).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// When an entry of a list was made: its age on a terminal, which has a `width`, and a time of RFC 3339 otherwise.
pub(super) fn listed_time(at: Timestamp, now: Timestamp, width: Option<usize>) -> String {
    match width {
        Some(_) => age(at, now),
        None => at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    }
}

/// The age of a moment: `12s`, `5m`, `3h`, `2d`.
fn age(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(at).as_secs().max(0);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// The ids, each cut to the fewest characters that distinguish it from the others, and to at least `least`.
pub(super) fn short_ids(ids: &[&str], least: usize) -> Vec<String> {
    let mut sorted = ids.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let common = |one: &str, other: &str| {
        let pairs = one.bytes().zip(other.bytes());
        pairs.take_while(|(one, other)| one == other).count()
    };
    let shortened = ids.iter().map(|id| {
        let place = sorted.binary_search(id).unwrap_or_default();
        let before = place.checked_sub(1).and_then(|place| sorted.get(place));
        let neighbours = [before, sorted.get(place + 1)];
        let shared = neighbours
            .into_iter()
            .flatten()
            .map(|other| common(id, other));
        let length = shared.max().map_or(least, |shared| (shared + 1).max(least));
        id.get(..length).unwrap_or(id).to_owned()
    });
    shortened.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn last_column_is_cut_to_width() {
        let rows = [
            [
                "job_1".to_owned(),
                "a reason that is rather long for it".to_owned(),
            ],
            ["job_22".to_owned(), "short".to_owned()],
        ];
        let text = table(["ID", "REASON"], &rows, Some(30));
        insta::assert_snapshot!(text, @r"
        ID      REASON
        job_1   a reason that is rath…
        job_22  short
        ");
    }

    #[test]
    fn age_has_one_unit() {
        let at = Timestamp::UNIX_EPOCH;
        let ages = [0, 59, 60, 3_599, 3_600, 172_799, 172_800];
        let ages = ages.map(|seconds| age(at, Timestamp::from_second(seconds).expect("a moment")));
        assert_eq!(ages, ["0s", "59s", "1m", "59m", "1h", "47h", "2d"]);
    }

    #[test]
    fn time_is_relative_on_a_terminal_only() {
        let at = Timestamp::from_second(1_800_000_000).expect("a moment");
        let now = Timestamp::from_second(1_800_000_090).expect("a moment");
        assert_eq!(listed_time(at, now, Some(80)), "1m");
        assert_eq!(listed_time(at, now, None), "2027-01-15T08:00:00Z");
    }

    proptest! {
        #[test]
        fn short_ids_are_unique_prefixes(ids in prop::collection::btree_set("[ab]{12}", 1..40)) {
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            let short = short_ids(&ids, 4);
            for (id, short) in ids.iter().zip(&short) {
                prop_assert!(id.starts_with(short.as_str()));
                let meant = ids.iter().filter(|other| other.starts_with(short.as_str()));
                prop_assert_eq!(meant.count(), 1);
            }
        }
    }
}
