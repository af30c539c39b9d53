//! Tables on the terminal: headers, aligned columns, and a last column that breaks between words where the terminal ends.

use std::io::IsTerminal as _;
use std::os::fd::AsFd;

use jiff::Timestamp;

use super::styled::{StyledText, Tone};
use super::text::{truncated, wrapped};
use crate::printable::single_line;

/// The widest column but the last, on a terminal.
const MAX_COLUMN: usize = 44;

/// The narrowest column but the last, if the terminal is too narrow for all of them.
const MIN_COLUMN: usize = 12;

/// The narrowest last column in which a text breaks. In less space, a long text is in lines of its own below its row.
const MIN_LAST: usize = 30;

/// The columns before such a line.
const BELOW: usize = 4;

/// The space between two columns.
const GAP: &str = "  ";

/// A cell of a table.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// A cell with a tone.
    pub(super) fn toned(tone: Tone, text: &str) -> Self {
        Self {
            text: single_line(text).into_owned(),
            tone,
        }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::toned(Tone::Plain, text)
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

/// Formats rows under their headers. `width` is that of the terminal; without it nothing is cut.
pub(super) fn table<const N: usize>(
    headers: [&str; N],
    rows: &[[Cell; N]],
    width: Option<usize>,
) -> StyledText {
    let layout = Layout::of(headers, rows, width);
    let mut text = StyledText::default();
    let headers = headers.map(|header| Cell::toned(Tone::Heading, header));
    layout.add_row(&headers, &mut text);
    for row in rows {
        text.push_plain("\n");
        layout.add_row(row, &mut text);
    }
    text
}

/// The widths of the columns.
struct Layout {
    /// Those of all columns but the last.
    widths: Vec<usize>,
    /// The space of the last column, on a terminal.
    last: Option<usize>,
    /// The width of the terminal.
    width: Option<usize>,
}

impl Layout {
    fn of<const N: usize>(headers: [&str; N], rows: &[[Cell; N]], width: Option<usize>) -> Self {
        let columns = 0..N - 1;
        let widths = columns.map(|column| {
            let widths = rows.iter().map(|row| row[column].text.chars().count());
            let widest = widths.max().unwrap_or_default();
            let widest = width.map_or(widest, |_| widest.min(MAX_COLUMN));
            widest.max(headers[column].len())
        });
        let mut widths: Vec<usize> = widths.collect();
        let total = |widths: &[usize]| widths.iter().map(|width| width + GAP.len()).sum::<usize>();
        // On a narrow terminal the widest columns are cut first.
        while let Some(width) = width
            && total(&widths) > width
            && let Some(widest) = widths.iter_mut().max()
            && *widest > MIN_COLUMN
        {
            *widest -= 1;
        }
        Self {
            last: width.map(|width| width.saturating_sub(total(&widths))),
            widths,
            width,
        }
    }

    fn add_row(&self, cells: &[Cell], text: &mut StyledText) {
        let Some((last, cells)) = cells.split_last() else {
            return;
        };
        let indent: usize = self.widths.iter().map(|width| width + GAP.len()).sum();
        // Spaces at the end of a line are left out.
        let mut spaces = 0;
        for (cell, width) in cells.iter().zip(&self.widths) {
            let shown = cut(&cell.text, *width);
            let rest = width.saturating_sub(shown.chars().count()) + GAP.len();
            if !shown.is_empty() {
                text.push_plain(" ".repeat(std::mem::take(&mut spaces)));
                text.push(cell.tone, shown);
            }
            spaces += rest;
        }
        if last.text.is_empty() {
            return;
        }
        let (before, shown) = match (self.last, self.width) {
            (Some(space), Some(width)) if !fits(&last.text, space) => {
                let shown = wrapped(&last.text, width.saturating_sub(BELOW), 0);
                let margin = " ".repeat(BELOW);
                let shown = shown.replace('\n', &format!("\n{margin}"));
                (format!("\n{margin}"), shown)
            }
            (Some(space), _) => {
                let shown = wrapped(&last.text, space, 0);
                let shown = shown.replace('\n', &format!("\n{}", " ".repeat(indent)));
                (" ".repeat(spaces), shown)
            }
            (None, _) => (" ".repeat(spaces), last.text.clone()),
        };
        text.push_plain(before);
        text.push(last.tone, shown);
    }
}

/// Whether a text stays in the last column: in one line, or broken between words if the space is for more than a word.
fn fits(text: &str, space: usize) -> bool {
    let widest = text.split_whitespace().map(|word| word.chars().count());
    let is_breakable = space >= MIN_LAST && widest.max().unwrap_or_default() <= space;
    text.chars().count() <= space || is_breakable
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

/// A text whose lines break between words where the terminal ends, if stdout is one. It begins at column `indent`, and so do
/// its other lines.
pub(super) fn fitted(text: &str, indent: usize) -> String {
    match terminal_width() {
        Some(width) => wrapped(text, width, indent),
        None => text.to_owned(),
    }
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

    fn rows() -> [[Cell; 3]; 3] {
        let row = |id: &str, status: &str, reason: &str| {
            [id.into(), Cell::toned(Tone::Bad, status), reason.into()]
        };
        [
            row(
                "job_1",
                "failed",
                "FIELD_UNKNOWN: Leads has no field `Lead_Sauce`; did you mean `Lead_Source`?",
            ),
            row("job_22", "running", ""),
            row("job_3", "failed", "short"),
        ]
    }

    #[test]
    fn last_column_breaks_between_words() {
        let text = table(["ID", "STATUS", "REASON"], &rows(), Some(60));
        insta::assert_snapshot!(text.rendered(false), @r"
        ID      STATUS   REASON
        job_1   failed   FIELD_UNKNOWN: Leads has no field
                         `Lead_Sauce`; did you mean `Lead_Source`?
        job_22  running
        job_3   failed   short
        ");
        for width in 24..120 {
            let text = table(["ID", "STATUS", "REASON"], &rows(), Some(width)).rendered(false);
            let is_wide = |line: &&str| line.chars().count() > width;
            assert_eq!(text.lines().find(is_wide), None, "{width}");
            assert!(text.lines().all(|line| line == line.trim_end()), "{text}");
        }
    }

    #[test]
    fn long_text_is_below_its_row_on_narrow_terminals() {
        let text = table(["ID", "STATUS", "REASON"], &rows(), Some(40));
        insta::assert_snapshot!(text.rendered(false), @r"
        ID      STATUS   REASON
        job_1   failed
            FIELD_UNKNOWN: Leads has no field
            `Lead_Sauce`; did you mean
            `Lead_Source`?
        job_22  running
        job_3   failed   short
        ");
    }

    #[test]
    fn nothing_is_broken_without_a_terminal() {
        let text = table(["ID", "STATUS", "REASON"], &rows(), None);
        assert_eq!(text.rendered(false).lines().count(), 4);
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
