//! Errors and hints of programs, each with its place.

use serde::Serialize;

use crate::inbound::rejection::Rejection;
use crate::mapping::{
    self, CompileError, ErrorLocation, EvalError, Program, ProgramKey, Session, misspelled_keys,
};

/// What is wrong with a program or the body, where, and what to do. Messages may contain values of the event, so they are for
/// the operator.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct LocatedError {
    /// `map`, `when[1]`, `delivery_id` or `body`.
    program: String,
    line: Option<usize>,
    column: Option<usize>,
    /// The number of characters to mark.
    length: Option<usize>,
    message: String,
    hint: Option<String>,
    /// Where in an output the error is, as a JSON pointer.
    pointer: Option<String>,
    /// The keys and types of the input on which the program failed.
    input: Option<String>,
}

/// What may be wrong with a program.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Hint {
    program: String,
    line: usize,
    column: usize,
    length: usize,
    message: String,
    hint: String,
}

impl LocatedError {
    fn new(program: impl ToString, location: Option<&ErrorLocation>, message: &str) -> Self {
        let (message, hint) = split_hint(message);
        Self {
            program: program.to_string(),
            line: location.map(|location| location.line),
            column: location.map(|location| location.column),
            length: location.map(|location| location.length),
            message,
            hint,
            pointer: None,
            input: None,
        }
    }

    /// A program that does not compile.
    pub(super) fn of_compilation(key: ProgramKey, error: CompileError) -> Self {
        Self::new(key, Some(&error.location), &error.message)
    }

    /// A body that cannot be read.
    pub(super) fn of_body(rejection: &Rejection) -> Self {
        if let Rejection::NotJson(error) = rejection {
            return Self {
                line: Some(error.line),
                column: Some(error.column.max(1)),
                length: Some(1),
                ..Self::new("body", None, &format!("not JSON: {}", error.reason))
            };
        }
        Self::new("body", None, &rejection.to_string())
    }

    /// The errors of a rejected mapping, at least one. `program` is the one that was run.
    pub(super) fn all_of(rejection: &Rejection, program: &Program) -> Vec<Self> {
        if let Rejection::Mapping { key, error, .. } = rejection {
            return vec![Self::of_failure(*key, error)];
        }
        if let Rejection::NotBoolean { key, error, .. } = rejection {
            return vec![Self::of_output(*key, program, &error.found, error.advice)];
        }
        if let Rejection::NotOrder { error, .. } = rejection {
            let key = ProgramKey::OrderBy;
            return vec![Self::of_output(key, program, &error.found, error.advice)];
        }
        if let Rejection::Unmappable { outputs, .. } = rejection {
            let errors = outputs.iter().map(|output| {
                let keys = output.pointer.rsplit('/');
                let keys = keys.filter(|key| key.parse::<usize>().is_err() && !key.is_empty());
                let location = keys.filter_map(|key| program.location_of(key)).next();
                let message = format!("output {}: {}", output.output, output.message);
                Self {
                    pointer: Some(output.pointer.clone()),
                    ..Self::new(ProgramKey::Map, location.as_ref(), &message)
                }
            });
            return errors.collect();
        }
        vec![Self::new(ProgramKey::Map, None, &rejection.to_string())]
    }

    /// The output of a program that yields something else than it should.
    fn of_output(key: ProgramKey, program: &Program, found: &str, advice: &str) -> Self {
        let lines = program.source().lines();
        let first = lines.map(str::trim_end).find(|line| !line.is_empty());
        Self {
            line: Some(1),
            column: Some(1),
            length: first.map(|line| line.chars().count()),
            hint: Some(advice.to_owned()),
            ..Self::new(key, None, &format!("yields {found}"))
        }
    }

    fn of_failure(key: ProgramKey, error: &EvalError) -> Self {
        match error {
            EvalError::Compile(error) => Self::of_compilation(key, error.clone()),
            EvalError::Failed(failure) => {
                let part = failure.part();
                let location = part.map(|part| &part.location);
                Self {
                    // The text may come from the event: nothing in it is advice.
                    message: failure.full_message().to_owned(),
                    input: part.map(|part| part.input_shape.clone()),
                    ..Self::new(key, location, "")
                }
            }
            EvalError::InputTooLarge { .. }
            | EvalError::TimedOut { .. }
            | EvalError::TooManySteps { .. }
            | EvalError::TooMuchMemory { .. }
            | EvalError::TooMuchRecursion
            | EvalError::TooDeep
            | EvalError::TooManyOutputs { .. }
            | EvalError::TooLarge { .. }
            | EvalError::NotANumber { .. }
            | EvalError::InexactNumber { .. }
            | EvalError::NotText { .. }
            | EvalError::Unavailable(_) => {
                Self::new(key, None, &format!("{error}{}", mapping::advice(error)))
            }
        }
    }

    /// The message, for comparisons.
    pub(super) fn message(&self) -> &str {
        &self.message
    }
}

impl Hint {
    /// The keys that a program reads and the event lacks, each with the similar one that it has.
    pub(super) fn all_of(key: ProgramKey, program: &Program, session: &Session<'_>) -> Vec<Self> {
        let misspelled = misspelled_keys(program, session).into_iter();
        let hints = misspelled.map(|misspelled| Self {
            program: key.to_string(),
            line: misspelled.location.line,
            column: misspelled.location.column,
            length: misspelled.location.length,
            message: format!("the event has no `{}`", misspelled.path),
            hint: format!("did you mean `{}`?", misspelled.nearest),
        });
        hints.collect()
    }
}

/// A message and the advice at its end.
fn split_hint(message: &str) -> (String, Option<String>) {
    match message.rsplit_once("; ") {
        Some((message, hint)) => (message.to_owned(), Some(hint.to_owned())),
        None => (message.to_owned(), None),
    }
}
