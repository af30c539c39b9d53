//! Locates the error of a program that failed.
//!
//! jaq's errors have no location. A program that failed therefore runs a second time, with each part that can fail wrapped
//! in a filter ([`instrument`](crate::instrument)) that records the errors that pass it: the innermost one is the
//! location. In that run, values in error messages are [redacted](crate::redaction).

use std::cell::RefCell;

use jaq_core::box_iter::box_once;
use jaq_core::native::{Fun, bome, run, v};
use jaq_core::{Bind, Cv, Error, Exn, Native};

use crate::engine::Engine;
use crate::failure::FailedPart;
use crate::location::ErrorLocation;
use crate::redaction;
use crate::shape;
use crate::value::{FencedValue, json};

/// The filter that wraps an instrumented part. Its first argument is the part's offset.
pub(crate) const LOCATE: &str = "locate__";

/// The filter at the start of a `catch`: it clears the error that is now handled.
pub(crate) const CLEAR: &str = "clear__";

/// Bytes of the failed part's input that are kept.
const MAX_INPUT: usize = 1_000;

/// The state of a run that locates its error.
#[derive(Default)]
struct Search {
    /// The error that was recorded last, with the offset of the part and the part's input.
    recorded: Option<(FencedValue, usize, FencedValue)>,
    /// What `error` was called with last.
    raised: Option<FencedValue>,
}

thread_local! {
    /// The search of the run that this thread carries out.
    static SEARCH: RefCell<Option<Search>> = const { RefCell::new(None) };
}

/// Starts to record errors on this thread, and to redact them, for the instrumented program of this source.
pub(crate) fn begin(source: String) {
    redaction::begin(source);
    SEARCH.set(Some(Search::default()));
}

/// The safe message of the error that ended the program, and the part that raised it. `None` if this thread records no
/// errors.
pub(crate) fn finish(error: &FencedValue) -> Option<(String, Option<FailedPart>)> {
    let source = redaction::end()?;
    let Search { recorded, raised } = SEARCH.take()?;
    let is_own = raised.is_some_and(|raised| raised == *error);
    let message = match error.as_str() {
        // The program's author decides what the program's own errors contain.
        Some(text) if is_own => text.to_owned(),
        Some(text) => redaction::redact_quotes(text, &source),
        None => shape::of_val(&error.val),
    };
    let part = recorded
        .filter(|(recorded, ..)| recorded == error)
        .map(|(_, offset, input)| {
            let (mut text, complete) = json::to_text(&input.val, MAX_INPUT);
            if !complete {
                text.push('…');
            }
            FailedPart {
                location: ErrorLocation::at(&source, offset),
                input_shape: shape::of_val(&input.val),
                input: text,
            }
        });
    Some((message, part))
}

/// Ends the recording of errors on this thread, however the run has ended.
pub(crate) fn end() {
    redaction::end();
    SEARCH.take();
}

fn record(exception: &Exn<'_, FencedValue>, offset: &FencedValue, input: &FencedValue) {
    let (Ok(error), Some(offset)) = (exception.clone().get_err(), jaq_std::ValT::as_isize(offset))
    else {
        return;
    };
    let (error, offset) = (error.into_val(), offset.unsigned_abs());
    SEARCH.with_borrow_mut(|search| {
        let Some(search) = search else {
            return;
        };
        // The first wrapper that an error passes is the innermost.
        let keeps = search
            .recorded
            .as_ref()
            .is_some_and(|(known, ..)| *known == error);
        if !keeps {
            search.recorded = Some((error, offset, input.clone()));
        }
    });
}

/// Records the errors among `results`.
fn recording<'a, T: 'a>(
    results: impl Iterator<Item = Result<T, Exn<'a, FencedValue>>> + 'a,
    offset: FencedValue,
    input: FencedValue,
) -> Box<dyn Iterator<Item = Result<T, Exn<'a, FencedValue>>> + 'a> {
    Box::new(results.inspect(move |result| {
        if let Err(exception) = result {
            record(exception, &offset, &input);
        }
    }))
}

fn clear() {
    SEARCH.with_borrow_mut(|search| {
        if let Some(search) = search {
            search.recorded = None;
        }
    });
}

fn raise(value: FencedValue) -> Error<FencedValue> {
    SEARCH.with_borrow_mut(|search| {
        if let Some(search) = search {
            search.raised = Some(value.clone());
        }
    });
    Error::new(value)
}

/// The filters that an instrumented program calls, and `error`.
pub(crate) fn filters() -> Vec<Fun<Engine>> {
    let locate = Native::new(|mut cv: Cv<'_, Engine>| {
        let (part, context) = cv.0.pop_fun();
        let (offset, input) = (cv.0.pop_var(), cv.1.clone());
        let results = part.run((context, cv.1));
        recording(results, offset, input)
    })
    .with_paths(|mut cv| {
        let (part, context) = cv.0.pop_fun();
        let (offset, input) = (cv.0.pop_var(), cv.1.0.clone());
        let results = part.paths((context, cv.1));
        recording(results, offset, input)
    });
    let clear = Native::new(|cv: Cv<'_, Engine>| {
        clear();
        box_once(Ok(cv.1))
    })
    .with_paths(|cv| {
        clear();
        box_once(Ok(cv.1))
    });
    let locate_arguments = [Bind::Var(()), Bind::Fun(())].into();
    vec![
        (LOCATE, locate_arguments, locate),
        (CLEAR, v(0), clear),
        run(("error_empty", v(0), |cv| bome(Err(raise(cv.1))))),
    ]
}
