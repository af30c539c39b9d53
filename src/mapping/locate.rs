//! Finds the place of a program that failed. jaq's errors have none, so a program that failed runs once more, with a mark
//! around each part that can fail: the innermost mark that an error passes is its place. In that run values in messages
//! are shown as keys and types, so that its message can go where people's data must not.

use std::cell::RefCell;

use jaq_core::box_iter::box_once;
use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Pattern, Term};
use jaq_core::native::{Fun, bome, run, v};
use jaq_core::path::{Opt, Part, Path};
use jaq_core::{Bind, Cv, Error, Exn, Native};
use jaq_json::Val;

use super::failure::{self, Failing, Place};
use super::natives::Engine;
use super::value::V;
use super::walk;

/// The filter that a marked part is wrapped in, with its place.
const MARK: &str = "mark__";

/// The filter that stands where a program deals with an error itself.
const DEALT_WITH: &str = "dealt_with__";

/// Bytes of the failing part's input on the terminal.
const INPUT: usize = 1_000;

struct Search {
    source: String,
    /// The error that was seen last, the innermost place that it came from, and the input there.
    seen: Option<(V, usize, V)>,
    /// What `error` was called with last.
    raised: Option<V>,
}

thread_local! {
    /// An evaluation has a thread to itself.
    static SEARCH: RefCell<Option<Search>> = const { RefCell::new(None) };
}

/// From now on this thread looks for the place where `source`, marked, fails.
pub(super) fn begin(source: String) {
    let search = Search {
        source,
        seen: None,
        raised: None,
    };
    SEARCH.set(Some(search));
}

/// What may be told of the error that ended the program, and where it came from. Nothing unless this thread searches.
pub(super) fn found(error: &V) -> Option<(String, Option<Failing>)> {
    let Search {
        source,
        seen,
        raised,
    } = SEARCH.take()?;
    let own = raised.is_some_and(|raised| raised == *error);
    let message = match error.as_str() {
        // What the program says itself is its own choice.
        Some(text) if own => text.to_owned(),
        Some(text) => without_quotes(text, &source),
        None => failure::shape(&error.val),
    };
    let failing = seen
        .filter(|(seen, ..)| seen == error)
        .map(|(_, at, input)| {
            let (mut text, whole) = walk::json(&input.val, INPUT);
            if !whole {
                text.push('…');
            }
            Failing {
                place: Place::at(&source, at),
                shape: failure::shape(&input.val),
                input: text,
            }
        });
    Some((message, failing))
}

/// How a value is shown in a message while this thread searches: words of the program as they are, else its shape.
pub(super) fn disguised(val: &Val) -> Option<String> {
    SEARCH.with_borrow(|search| {
        let search = search.as_ref()?;
        if let Val::TStr(bytes) = val
            && let Ok(text) = std::str::from_utf8(bytes)
            && says(&search.source, text)
        {
            return Some(format!("\"{text}\""));
        }
        Some(failure::shape(val))
    })
}

/// Whether `text` stands in the program, as a word of its own.
fn says(source: &str, text: &str) -> bool {
    let word = |character: Option<char>| {
        character.is_some_and(|character| character.is_alphanumeric() || character == '_')
    };
    !text.is_empty()
        && source.match_indices(text).any(|(at, _)| {
            let (before, after) = (&source[..at], &source[at + text.len()..]);
            !word(before.chars().next_back()) && !word(after.chars().next())
        })
}

/// The message of an engine that quotes: what it quotes stays only if it is the program's.
fn without_quotes(message: &str, source: &str) -> String {
    let mut pieces = message.split('"');
    let mut text = pieces.next().unwrap_or_default().to_owned();
    while let Some(quoted) = pieces.next() {
        text.push('"');
        text.push_str(if says(source, quoted) { quoted } else { "…" });
        if let Some(after) = pieces.next() {
            text.push('"');
            text.push_str(after);
        }
    }
    text
}

/// Which mark tells the place of an error.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wins {
    /// The first that it passes: the innermost.
    First,
    /// The one furthest on in the program: an update goes through the steps of a path from the last to the first.
    Furthest,
}

fn note(exception: &Exn<'_, V>, at: &V, input: &V, wins: Wins) {
    let (Ok(error), Some(at)) = (exception.clone().get_err(), jaq_std::ValT::as_isize(at)) else {
        return;
    };
    let (error, at) = (error.into_val(), at.unsigned_abs());
    SEARCH.with_borrow_mut(|search| {
        let Some(search) = search else {
            return;
        };
        let stays = search.seen.as_ref().is_some_and(|(seen, noted, _)| {
            *seen == error && (wins == Wins::First || *noted >= at)
        });
        if !stays {
            search.seen = Some((error, at, input.clone()));
        }
    });
}

fn noted<'a, T: 'a>(
    results: impl Iterator<Item = Result<T, Exn<'a, V>>> + 'a,
    at: V,
    input: V,
    wins: Wins,
) -> Box<dyn Iterator<Item = Result<T, Exn<'a, V>>> + 'a> {
    Box::new(results.inspect(move |result| {
        if let Err(exception) = result {
            note(exception, &at, &input, wins);
        }
    }))
}

fn forget() {
    SEARCH.with_borrow_mut(|search| {
        if let Some(search) = search {
            search.seen = None;
        }
    });
}

fn raise(value: V) -> Error<V> {
    SEARCH.with_borrow_mut(|search| {
        if let Some(search) = search {
            search.raised = Some(value.clone());
        }
    });
    Error::new(value)
}

/// The filters that a marked program calls, and `error`.
pub(super) fn filters() -> Vec<Fun<Engine>> {
    let mark = Native::new(|mut cv: Cv<'_, Engine>| {
        let (part, context) = cv.0.pop_fun();
        let (at, input) = (cv.0.pop_var(), cv.1.clone());
        noted(part.run((context, cv.1)), at, input, Wins::First)
    })
    .with_paths(|mut cv| {
        let (part, context) = cv.0.pop_fun();
        let (at, input) = (cv.0.pop_var(), cv.1.0.clone());
        noted(part.paths((context, cv.1)), at, input, Wins::First)
    })
    .with_update(|mut cv, f| {
        let (part, context) = cv.0.pop_fun();
        let (at, input) = (cv.0.pop_var(), cv.1.clone());
        noted(part.update((context, cv.1), f), at, input, Wins::Furthest)
    });
    let dealt_with = Native::new(|cv: Cv<'_, Engine>| {
        forget();
        box_once(Ok(cv.1))
    })
    .with_paths(|cv| {
        forget();
        box_once(Ok(cv.1))
    })
    .with_update(|cv, f| {
        forget();
        f(cv.1)
    });
    let mark_takes = [Bind::Var(()), Bind::Fun(())].into();
    vec![
        (MARK, mark_takes, mark),
        (DEALT_WITH, v(0), dealt_with),
        run(("error_empty", v(0), |cv| bome(Err(raise(cv.1))))),
    ]
}

/// Puts marks into a program.
pub(super) struct Marker<'s> {
    source: &'s str,
    /// Every offset of the source as a number of jq.
    numbers: &'s [String],
    /// How far the source has been seen.
    upto: usize,
}

/// The offsets of `source`, as numbers of jq.
pub(super) fn offsets(source: &str) -> Vec<String> {
    (0..=source.len())
        .map(|offset| offset.to_string())
        .collect()
}

impl<'s> Marker<'s> {
    pub(super) fn new(source: &'s str, numbers: &'s [String]) -> Self {
        Self {
            source,
            numbers,
            upto: 0,
        }
    }

    /// Marks the parts of a term; says where it begins, if that can be told.
    pub(super) fn mark(&mut self, term: &mut Term<&'s str>) -> Option<usize> {
        match term {
            Term::Id | Term::Recurse | Term::Arr(None) => None,
            Term::Num(text) | Term::Var(text) | Term::Break(text) => self.see(text),
            Term::Str(format, parts) => {
                let begin = format.as_ref().and_then(|format| self.see(format));
                let formatted = begin.is_some();
                let begin = parts.iter_mut().fold(begin, |begin, part| {
                    let part = match part {
                        StrPart::Str(text) => self.see(text),
                        StrPart::Term(term) => self.mark(term),
                        StrPart::Char(_) => None,
                    };
                    begin.or(part)
                });
                self.wrap(term, begin.filter(|_| formatted));
                begin
            }
            Term::Arr(Some(inner)) | Term::Label(_, inner) => self.mark(inner),
            Term::Neg(inner) => {
                let begin = self.mark(inner);
                self.wrap(term, begin)
            }
            Term::Obj(entries) => {
                let begin = entries.iter_mut().fold(None, |begin, (key, value)| {
                    let key = self.mark(key);
                    let value = value.as_mut().and_then(|value| self.mark(value));
                    begin.or(key).or(value)
                });
                self.wrap(term, begin)
            }
            Term::BinOp(left, operator, right) => {
                let begin = self.mark(left);
                if let BinaryOp::Pipe(Some(pattern)) = operator {
                    self.see_pattern(pattern);
                }
                let begin = begin.or(self.mark(right));
                match operator {
                    BinaryOp::Pipe(None)
                    | BinaryOp::Comma
                    | BinaryOp::Alt
                    | BinaryOp::Or
                    | BinaryOp::And => begin,
                    BinaryOp::Pipe(Some(_))
                    | BinaryOp::Math(_)
                    | BinaryOp::Cmp(_)
                    | BinaryOp::Assign
                    | BinaryOp::Update
                    | BinaryOp::UpdateMath(_)
                    | BinaryOp::UpdateAlt => self.wrap(term, begin),
                }
            }
            Term::Fold(name, source, pattern, arguments) => {
                let begin = self.see(name);
                self.mark(source);
                self.see_pattern(pattern);
                for argument in arguments {
                    self.mark(argument);
                }
                self.wrap(term, begin)
            }
            Term::TryCatch(inner, catch) => {
                let begin = self.mark(inner);
                let otherwise = match catch.take() {
                    Some(mut catch) => {
                        self.mark(&mut catch);
                        *catch
                    }
                    None => Term::Call("empty", Vec::new()),
                };
                *catch = Some(Box::new(dealt_with(otherwise)));
                begin
            }
            Term::IfThenElse(branches, otherwise) => {
                let mut begin = None;
                for (condition, branch) in branches {
                    begin = begin.or(self.mark(condition));
                    self.mark(branch);
                }
                if let Some(otherwise) = otherwise {
                    self.mark(otherwise);
                }
                begin
            }
            Term::Def(definitions, inner) => {
                for definition in definitions {
                    self.mark(&mut definition.body);
                }
                self.mark(inner)
            }
            Term::Call(name, arguments) => {
                let begin = self.see(name);
                for argument in arguments {
                    self.mark(argument);
                }
                self.wrap(term, begin)
            }
            Term::Path(..) => self.mark_path(term),
        }
    }

    /// Takes a path apart, so that each of its steps has a mark.
    fn mark_path(&mut self, term: &mut Term<&'s str>) -> Option<usize> {
        let Term::Path(from, Path(parts)) = std::mem::take(term) else {
            return None;
        };
        *term = *from;
        let mut begin = self.mark(term);
        for (mut part, optional) in parts {
            let at = match &mut part {
                Part::Index(index) => self.mark(index),
                Part::Range(from, upto) => {
                    let bracket = self.source.get(self.upto..).and_then(|rest| rest.find('['));
                    let bracket = bracket.map(|ahead| self.upto + ahead);
                    self.upto = bracket.map_or(self.upto, |bracket| bracket + 1);
                    for bound in [from, upto].into_iter().flatten() {
                        self.mark(bound);
                    }
                    bracket
                }
            };
            let from = Box::new(std::mem::take(term));
            *term = Term::Path(from, Path(vec![(part, optional)]));
            if matches!(optional, Opt::Essential) {
                self.wrap(term, at);
            }
            begin = begin.or(at);
        }
        begin
    }

    fn see_pattern(&mut self, pattern: &Pattern<&'s str>) {
        match pattern {
            Pattern::Var(name) => drop(self.see(name)),
            Pattern::Arr(patterns) => patterns.iter().for_each(|inner| self.see_pattern(inner)),
            Pattern::Obj(entries) => entries
                .iter()
                .for_each(|(_, inner)| self.see_pattern(inner)),
        }
    }

    /// Where a part of the source stands in it.
    fn see(&mut self, part: &str) -> Option<usize> {
        let at = part
            .as_ptr()
            .addr()
            .checked_sub(self.source.as_ptr().addr())?;
        let end = at + part.len();
        if end > self.source.len() {
            return None;
        }
        self.upto = self.upto.max(end);
        Some(at)
    }

    fn wrap(&self, term: &mut Term<&'s str>, at: Option<usize>) -> Option<usize> {
        let number = self.numbers.get(at?)?;
        let part = std::mem::take(term);
        *term = Term::Call(MARK, vec![Term::Num(number), part]);
        at
    }
}

fn dealt_with(then: Term<&str>) -> Term<&str> {
    let forget = Box::new(Term::Call(DEALT_WITH, Vec::new()));
    Term::BinOp(forget, BinaryOp::Pipe(None), Box::new(then))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_stays_if_the_program_says_it() {
        let source = r#".kind | strptime("%Y")"#;
        for (message, expected) in [
            ("no quotes", "no quotes"),
            (
                "failed on \"Jane\" with \"kind\"",
                "failed on \"…\" with \"kind\"",
            ),
            ("cut \"Ja", "cut \"…"),
            ("\"kin\" is no word of it", "\"…\" is no word of it"),
        ] {
            assert_eq!(without_quotes(message, source), expected);
        }
    }
}
