//! Regular expressions, matched in linear time. Their steps are spent before the matching starts.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a filter names the kinds of value that it accepts and refuses all others"
)]

use jaq_core::native::bome;
use jaq_core::{Cv, Error, ValR, ValT as _, ValXs};
use jaq_json::Val;
use regex_lite::{Captures, Regex, RegexBuilder};

use crate::engine::Engine;
use crate::fence;
use crate::value::FencedValue;

/// Bytes of a pattern.
const MAX_PATTERN: usize = 2_000;

/// Bytes that a compiled pattern may have, tried in turn. Matching costs up to this times the length of the text.
const SIZES: [usize; 5] = [1 << 10, 1 << 12, 1 << 14, 1 << 16, 1 << 18];

/// The pieces of the text that are returned.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pieces {
    Matches,
    Between,
    Both,
}

#[derive(Default)]
struct Flags {
    global: bool,
    no_empty: bool,
}

/// Matches the input against the pattern and the flags, which are the arguments.
pub(crate) fn run<'a>(mut cv: Cv<'a, Engine>, pieces: Pieces) -> ValXs<'a, FencedValue> {
    let flags = cv.0.pop_var();
    let pattern = cv.0.pop_var();
    bome(matched(&cv.1, &pattern, &flags, pieces))
}

fn text(value: &FencedValue) -> Result<&str, Error<FencedValue>> {
    value
        .as_str()
        .ok_or_else(|| Error::typ(value.clone(), "string"))
}

fn matched(
    value: &FencedValue,
    pattern: &FencedValue,
    flags: &FencedValue,
    pieces: Pieces,
) -> ValR<FencedValue> {
    let haystack = text(value)?;
    let flags = match &flags.val {
        Val::Null => "",
        _ => text(flags)?,
    };
    let (regex, flags, size) = compile(text(pattern)?, flags)?;
    // A compiled state has about 30 bytes, so this is about 16 states for a step.
    fence::spend((haystack.len() as u64 + 1).saturating_mul(size as u64) / 512);
    let mut out = Vec::new();
    let (mut byte, mut character, mut after) = (0, 0, 0);
    for captures in regex.captures_iter(haystack) {
        let Some(whole) = captures.get(0) else {
            continue;
        };
        if flags.no_empty && whole.is_empty() {
            continue;
        }
        // Every match is a new run over the rest of the text. Most are short; the clock ends the others.
        fence::spend(8 + size as u64 / 256);
        fence::check_deadlines();
        if pieces != Pieces::Matches {
            out.push(FencedValue::text(&haystack[after..whole.start()]));
        }
        after = whole.end();
        if pieces != Pieces::Between {
            character += haystack[byte..whole.start()].chars().count();
            byte = whole.start();
            out.push(groups(haystack, &regex, &captures, byte, character)?);
        }
        if !flags.global {
            break;
        }
    }
    if pieces != Pieces::Matches {
        out.push(FencedValue::text(&haystack[after..]));
    }
    Ok(out.into_iter().collect())
}

/// The groups of one match, the whole match first. `character` is the number of characters before byte `byte`.
fn groups(
    haystack: &str,
    regex: &Regex,
    captures: &Captures<'_>,
    byte: usize,
    character: usize,
) -> ValR<FencedValue> {
    let groups = captures
        .iter()
        .zip(regex.capture_names())
        .map(|(group, name)| {
            let mut entries = vec![
                (FencedValue::text("offset"), FencedValue::from(-1_isize)),
                (FencedValue::text("length"), FencedValue::from(0_usize)),
                (FencedValue::text("string"), FencedValue::leaf(Val::Null)),
            ];
            if let Some(group) = group {
                let offset = match group.start().checked_sub(byte) {
                    Some(_) => character + haystack[byte..group.start()].chars().count(),
                    None => haystack[..group.start()].chars().count(),
                };
                fence::spend((group.end().saturating_sub(byte)) as u64 / 16);
                entries[0].1 = FencedValue::from(offset);
                entries[1].1 = FencedValue::from(group.as_str().chars().count());
                entries[2].1 = FencedValue::text(group.as_str());
            }
            if let Some(name) = name {
                entries.push((FencedValue::text("name"), FencedValue::text(name)));
            }
            FencedValue::from_map(entries)
        });
    groups.collect()
}

/// The compiled pattern, its flags, and roughly its bytes.
fn compile(pattern: &str, letters: &str) -> Result<(Regex, Flags, usize), Error<FencedValue>> {
    if pattern.len() > MAX_PATTERN {
        let message = format!("a regular expression may have {MAX_PATTERN} bytes at most");
        return Err(Error::str(message));
    }
    let mut flags = Flags::default();
    let mut builder = RegexBuilder::new(pattern);
    for letter in letters.chars() {
        match letter {
            'g' => flags.global = true,
            'n' => flags.no_empty = true,
            'i' => drop(builder.case_insensitive(true)),
            'x' => drop(builder.ignore_whitespace(true)),
            's' => drop(builder.dot_matches_new_line(true)),
            'm' => drop(builder.multi_line(true)),
            'l' => drop(builder.swap_greed(true)),
            'p' => drop(builder.multi_line(true).dot_matches_new_line(true)),
            other => return Err(Error::str(format!("{other:?} is not a regex flag"))),
        }
    }
    let mut problem = String::new();
    for size in SIZES {
        fence::spend(size as u64 / 512);
        match builder.size_limit(size).build() {
            Ok(regex) => return Ok((regex, flags, size)),
            Err(error) => problem = error.to_string(),
        }
    }
    Err(Error::str(format!("invalid regular expression: {problem}")))
}
