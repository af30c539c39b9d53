//! Regular expressions of jq: Unicode, with look-around and back references, in bounded time.
//!
//! Their steps are spent before the matching starts, because the matcher cannot be interrupted.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a filter names the kinds of value that it accepts and refuses all others"
)]

mod pattern;
mod work;

use fancy_regex::{Captures, Error as RegexError, Expr, Regex, RegexBuilder, RuntimeError};
use jaq_core::native::Fun;
use jaq_core::native::{bome, run, v};
use jaq_core::{Cv, Error, ValR, ValT as _};
use jaq_json::Val;

use crate::engine::Engine;
use crate::fence;
use crate::value::FencedValue;
use pattern::{Reading, Refusal};

/// Bytes of a pattern.
const MAX_PATTERN: usize = 2_000;

/// Bytes that a compiled pattern may have, tried in turn. Matching costs up to this times the length of the text.
const SIZES: [usize; 4] = [1 << 14, 1 << 16, 1 << 18, 1 << 20];

/// Bytes of a text that a pattern with look-around or back references is matched against.
const MAX_BACKTRACKING_TEXT: usize = 16 * 1024;

/// How often such a pattern may backtrack at most.
const MAX_BACKTRACKS: u64 = 100_000;

/// The work of one match of such a pattern, in states of an automaton times bytes. The matcher counts only how often it
/// backtracks, so each pattern may backtrack as often as this allows if all work between two backtracks is done.
const MAX_WORK: u64 = 40_000_000;

/// A pattern that may backtrack less often than this is refused.
const MIN_BACKTRACKS: u64 = 32;

/// The filters for regular expressions. The flags may be null.
pub(super) fn filters() -> Vec<Fun<Engine>> {
    vec![
        run(("matches__", v(2), |cv| bome(with_arguments(cv, matches)))),
        run(("tests__", v(2), |cv| bome(with_arguments(cv, tests)))),
        run(("edits__", v(2), |cv| bome(with_arguments(cv, edits)))),
        run(("splits__", v(2), |cv| bome(with_arguments(cv, splits)))),
    ]
}

fn with_arguments(
    mut cv: Cv<'_, Engine>,
    work: fn(&mut Search<'_>) -> ValR<FencedValue>,
) -> ValR<FencedValue> {
    let (flags, pattern) = (cv.0.pop_var(), cv.0.pop_var());
    let haystack = text(&cv.1)?;
    let flags = match &flags.val {
        Val::Null => "",
        _ => text(&flags)?,
    };
    let mut search = Search::new(haystack, text(&pattern)?, flags)?;
    work(&mut search)
}

fn text(value: &FencedValue) -> Result<&str, Error<FencedValue>> {
    value
        .as_str()
        .ok_or_else(|| Error::typ(value.clone(), "string"))
}

/// The objects of all matches.
fn matches(search: &mut Search<'_>) -> ValR<FencedValue> {
    search.each(|found| found.object())
}

fn tests(search: &mut Search<'_>) -> ValR<FencedValue> {
    Ok(FencedValue::from(search.next()?.is_some()))
}

/// `[[[text before a match, its named captures], …], text after the last match]`.
fn edits(search: &mut Search<'_>) -> ValR<FencedValue> {
    let haystack = search.haystack;
    let mut after = 0;
    let edits = search.each(|found| {
        let gap = FencedValue::text(haystack.get(after..found.start).unwrap_or_default());
        after = found.end;
        Ok([gap, found.named()?].into_iter().collect())
    })?;
    let tail = FencedValue::text(haystack.get(after..).unwrap_or_default());
    Ok([edits, tail].into_iter().collect())
}

/// The texts between the matches.
fn splits(search: &mut Search<'_>) -> ValR<FencedValue> {
    let haystack = search.haystack;
    let mut pieces = Vec::new();
    let mut after = 0;
    search.global = true;
    while let Some(found) = search.next()? {
        pieces.push(FencedValue::text(
            haystack.get(after..found.start).unwrap_or_default(),
        ));
        after = found.end;
    }
    pieces.push(FencedValue::text(haystack.get(after..).unwrap_or_default()));
    Ok(pieces.into_iter().collect())
}

/// Matches of a pattern in a text, one after the other.
struct Search<'h> {
    regex: Regex,
    haystack: &'h str,
    /// Whether to look for more than one match.
    global: bool,
    /// Roughly the bytes of the compiled pattern.
    size: usize,
    backtracks: bool,
    /// How often one match may backtrack.
    backtrack_limit: usize,
    /// Where to look for the next match, unless that was the last.
    from: Option<usize>,
    /// A position and the number of characters before it.
    counted: (usize, usize),
}

/// One match.
struct Found<'s, 'h> {
    captures: Captures<'h, str>,
    regex: &'s Regex,
    haystack: &'h str,
    start: usize,
    end: usize,
    /// Characters before the match.
    offset: usize,
}

impl<'h> Search<'h> {
    fn new(haystack: &'h str, pattern: &str, letters: &str) -> Result<Self, Error<FencedValue>> {
        if pattern.len() > MAX_PATTERN {
            fence::refuse(format!(
                "a regular expression has more than {MAX_PATTERN} bytes"
            ));
        }
        let reading = Reading {
            extended: letters.contains('x'),
            newline_at_end: haystack.ends_with('\n'),
        };
        let translated = pattern::translate(pattern, reading).map_err(|refusal| match refusal {
            Refusal::Invalid(why) => Error::str(why),
            Refusal::Unsupported(what) => fence::refuse(what),
        })?;
        let mut builder = RegexBuilder::new(&translated.text);
        builder
            .max_prog_size(20_000)
            .case_insensitive(translated.ignore_case)
            .dot_matches_new_line(translated.dot_all);
        let mut global = false;
        let mut backtracks = translated.backtracks;
        for letter in letters.chars() {
            match letter {
                'g' => global = true,
                'i' => drop(builder.case_insensitive(true)),
                'p' | 'm' => drop(builder.dot_matches_new_line(true)),
                'n' => {
                    backtracks = true;
                    builder.find_not_empty(true);
                }
                // `^` and `$` match at the ends of the text only, with and without `s`.
                'x' | 's' => {}
                'l' => fence::refuse("the regex flag \"l\" is not supported"),
                other => return Err(Error::str(format!("{other:?} is not a regex flag"))),
            }
        }
        if letters.contains('i') || translated.text.contains("(?i") || translated.ignore_case {
            refuse_expanding_case(pattern, haystack);
        }
        if backtracks && haystack.len() > MAX_BACKTRACKING_TEXT {
            fence::refuse(format!(
                "a text of more than {MAX_BACKTRACKING_TEXT} bytes cannot be matched with look-around, back references or the flag \"n\""
            ));
        }
        let mut backtrack_limit = 0;
        if backtracks {
            backtrack_limit = limit_backtracks(&translated.text, haystack);
            builder.backtrack_limit(backtrack_limit);
        }
        let (regex, size) = compile(&mut builder);
        Ok(Self {
            regex,
            haystack,
            global,
            size,
            backtracks,
            backtrack_limit,
            from: Some(0),
            counted: (0, 0),
        })
    }

    fn each(
        &mut self,
        mut work: impl FnMut(&Found<'_, 'h>) -> ValR<FencedValue>,
    ) -> ValR<FencedValue> {
        let mut out = Vec::new();
        while let Some(found) = self.next()? {
            out.push(work(&found)?);
        }
        Ok(out.into_iter().collect())
    }

    fn next(&mut self) -> Result<Option<Found<'_, 'h>>, Error<FencedValue>> {
        let Some(from) = self.from else {
            return Ok(None);
        };
        let ahead = self.haystack.len() - from;
        // Every match is a new run over the rest of the text. Most are short; the clock ends the others.
        fence::spend(8 + self.size as u64 / 4_096);
        if from == 0 {
            fence::spend((ahead as u64 + 1).saturating_mul(self.size as u64) / 32_768);
        }
        if self.backtracks {
            fence::spend(64 + ahead as u64 / 8);
        }
        fence::check_deadlines();
        let captures = self
            .regex
            .captures_from_pos(self.haystack, from)
            .unwrap_or_else(|error| self.refuse(&error));
        let whole = captures.as_ref().and_then(|captures| captures.get(0));
        let (Some(captures), Some(whole)) = (captures, whole) else {
            self.from = None;
            return Ok(None);
        };
        let (start, end) = (whole.start(), whole.end());
        let (known, count) = self.counted;
        let between = self.haystack.get(known..start).unwrap_or_default();
        let offset = count + between.chars().count();
        self.counted = (start, offset);
        self.from = match () {
            () if !self.global => None,
            () if start < end => Some(end),
            () => self.after_empty_match(end),
        };
        Ok(Some(Found {
            captures,
            regex: &self.regex,
            haystack: self.haystack,
            start,
            end,
            offset,
        }))
    }

    fn refuse(&self, error: &RegexError) -> ! {
        if matches!(
            error,
            RegexError::RuntimeError(RuntimeError::BacktrackLimitExceeded)
        ) {
            fence::refuse(format!(
                "a regular expression with look-around, back references, possessive quantifiers or the flag \"n\" backtracks \
                 more than {} times, its limit for a text of {} bytes; match a shorter text, or write it without these",
                self.backtrack_limit,
                self.haystack.len()
            ));
        }
        fence::refuse(format!("a regular expression cannot be matched: {error}"))
    }

    /// Where the search continues after an empty match. jq continues at the next byte, even within a character.
    fn after_empty_match(&self, end: usize) -> Option<usize> {
        let rest = self.haystack.get(end..).unwrap_or_default();
        let next = rest.chars().next()?;
        if !next.is_ascii() {
            // A character of no class stands for the bytes within the character.
            let before = self.haystack.get(..end).unwrap_or_default();
            let after = rest.get(next.len_utf8()..).unwrap_or_default();
            fence::allocate(self.haystack.len() + 8);
            let broken = format!("{before}\u{E000}\u{E000}{after}");
            let within = end + '\u{E000}'.len_utf8();
            let found = self
                .regex
                .captures_from_pos(broken.as_str(), within)
                .unwrap_or_else(|error| self.refuse(&error));
            if found
                .and_then(|found| found.get(0))
                .is_some_and(|whole| whole.start() == within)
            {
                fence::refuse(
                    "a regular expression matches nothing before a character that is not ASCII, where jq splits the character; \
                     write it so that every match has a character",
                );
            }
        }
        Some(end + next.len_utf8())
    }
}

impl Found<'_, '_> {
    fn characters(text: &str) -> usize {
        fence::spend(text.len() as u64 / 16);
        text.chars().count()
    }

    /// The characters before a byte of the text.
    fn offset_of(&self, byte: usize) -> usize {
        match self.haystack.get(self.start..byte) {
            Some(between) => self.offset + Self::characters(between),
            None => Self::characters(self.haystack.get(..byte).unwrap_or_default()),
        }
    }

    /// The object that jq's `match` puts out.
    fn object(&self) -> ValR<FencedValue> {
        let key = FencedValue::text;
        let captures = self.regex.capture_names().enumerate().skip(1);
        let captures = captures.map(|(index, name)| {
            let name = name.map_or(FencedValue::leaf(Val::Null), FencedValue::text);
            let (offset, string, length) = match self.captures.get(index) {
                None => (FencedValue::from(-1_isize), FencedValue::leaf(Val::Null), 0),
                Some(group) => {
                    // As in jq, the captures of an empty match are where the match is.
                    let offset = match self.start == self.end {
                        true => self.offset,
                        false => self.offset_of(group.start()),
                    };
                    let text = match self.start == self.end {
                        true => "",
                        false => group.as_str(),
                    };
                    (
                        FencedValue::from(offset),
                        FencedValue::text(text),
                        Self::characters(text),
                    )
                }
            };
            let length = FencedValue::from(length);
            let entries = match self
                .captures
                .get(index)
                .is_some_and(|group| group.start() < group.end())
            {
                true => [
                    ("offset", offset),
                    ("length", length),
                    ("string", string),
                    ("name", name),
                ],
                false => [
                    ("offset", offset),
                    ("string", string),
                    ("length", length),
                    ("name", name),
                ],
            };
            FencedValue::from_map(entries.map(|(name, value)| (key(name), value)))
        });
        let captures: FencedValue = captures.collect::<ValR<_>>()?;
        let whole = self.haystack.get(self.start..self.end).unwrap_or_default();
        FencedValue::from_map([
            (key("offset"), FencedValue::from(self.offset)),
            (key("length"), FencedValue::from(Self::characters(whole))),
            (key("string"), FencedValue::text(whole)),
            (key("captures"), captures),
        ])
    }

    /// The named captures as an object.
    fn named(&self) -> ValR<FencedValue> {
        let names = self.regex.capture_names().enumerate();
        let entries = names.filter_map(|(index, name)| {
            let value = match self.captures.get(index) {
                Some(_) if self.start == self.end => FencedValue::text(""),
                Some(group) => FencedValue::text(group.as_str()),
                None => FencedValue::leaf(Val::Null),
            };
            Some((FencedValue::text(name?), value))
        });
        FencedValue::from_map(entries)
    }
}

/// How often a pattern may backtrack in one match, so that its work stays within the limit.
fn limit_backtracks(pattern: &str, haystack: &str) -> usize {
    let tree = Expr::parse_tree(pattern).unwrap_or_else(|error| {
        fence::refuse(format!("a regular expression cannot be used: {error}"))
    });
    let limit = MAX_WORK / work::between_backtracks(&tree.expr, haystack.len());
    if limit < MIN_BACKTRACKS {
        fence::refuse(format!(
            "a regular expression with look-around, back references, possessive quantifiers or the flag \"n\" could need too \
             much work for a text of {} bytes: it could backtrack only {limit} times within the limit, less than \
             {MIN_BACKTRACKS}; match a shorter text, or write it without look-ahead or counts within repetitions",
            haystack.len()
        ));
    }
    usize::try_from(limit.min(MAX_BACKTRACKS)).unwrap_or(usize::MAX)
}

/// The compiled pattern, and roughly its bytes.
fn compile(builder: &mut RegexBuilder) -> (Regex, usize) {
    let mut problem = String::new();
    for size in SIZES {
        fence::spend(size as u64 / 4_096);
        match builder.delegate_size_limit(size).build() {
            Ok(regex) => return (regex, size),
            Err(error) => problem = error.to_string(),
        }
    }
    fence::refuse(format!("a regular expression cannot be used: {problem}"))
}

/// Oniguruma also matches one character against several if it ignores case: `ß` and `ss`, `ﬁ` and `fi`.
fn refuse_expanding_case(pattern: &str, haystack: &str) {
    let expands = |c: char| {
        matches!(c, 'ß' | 'ẞ' | 'ŉ' | 'ǰ' | 'ΐ' | 'ΰ' | 'և' | 'İ')
            || ('\u{1E96}'..='\u{1E9E}').contains(&c)
            || ('\u{1F50}'..='\u{1FFC}').contains(&c)
            || ('\u{FB00}'..='\u{FB17}').contains(&c)
    };
    let pairs = ["ss", "ff", "fi", "fl", "st", "\u{FB00}", "ß"];
    let lower = pattern.to_lowercase();
    let in_pattern = pattern.chars().any(expands);
    let in_text = haystack.chars().any(expands) && pairs.iter().any(|pair| lower.contains(pair));
    if in_pattern || in_text {
        fence::refuse(
            "ignoring case, jq would match one character such as ß against two; match both spellings instead",
        );
    }
}
