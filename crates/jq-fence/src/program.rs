//! A program and its runs.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use jaq_core::Filter;
use serde_json::Value;

use crate::assignment;
use crate::compile::{self, Instrumentation};
use crate::compile_error::CompileError;
use crate::document::Document;
use crate::engine::Engine;
use crate::error::EvalError;
use crate::evaluation::Evaluation;
use crate::failure::Failure;
use crate::host::Host;
use crate::keys;
use crate::limits::Limits;
use crate::paths;

/// What a program is run on.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The document that is `.` at the start.
    pub document: &'a Document,
    /// The values of the host's global variables, in the order of [`Host::variables`].
    pub variables: &'a [Value],
}

/// One jq program. It is cheap to create and compiled when it is first needed.
#[derive(Clone)]
pub struct Program {
    source: String,
    host: &'static Host,
    compiled: Compiled,
    /// The program with its parts wrapped for locating errors. Only a program that has failed needs it.
    instrumented: Compiled,
}

type Compiled = OnceLock<Result<Arc<Filter<Engine>>, CompileError>>;

impl std::fmt::Debug for Program {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_tuple("Program")
            .field(&self.source)
            .finish()
    }
}

impl Program {
    /// Creates a program without compiling it.
    pub fn new(source: impl Into<String>, host: &'static Host) -> Self {
        Self {
            source: source.into(),
            host,
            compiled: OnceLock::new(),
            instrumented: OnceLock::new(),
        }
    }

    /// The program's text.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The keys of the object literals in the program, each with the keys above it: `match`, `territory.name`. They hint
    /// at what the outputs may contain before the program is run.
    pub fn keys(&self) -> BTreeSet<String> {
        keys::of_source(&self.source)
    }

    /// The paths that the program reads, such as `.a.b[0]` and `$headers["x"]`. Each is itself a program for the same
    /// input. Empty if the program is not valid.
    pub fn paths(&self) -> Vec<String> {
        paths::of_source(&self.source, self.host)
    }

    /// Whether the program contains the assignment `=`, which is easily written where `==` is meant.
    pub fn has_assignment(&self) -> bool {
        assignment::is_in(&self.source)
    }

    /// Compiles the program, unless it is compiled already.
    ///
    /// # Errors
    /// [`CompileError`] if the program is not valid jq or uses a filter that the fence removes.
    pub fn check(&self) -> Result<(), CompileError> {
        self.filter().map(drop)
    }

    fn filter(&self) -> Result<Arc<Filter<Engine>>, CompileError> {
        self.compiled
            .get_or_init(|| {
                compile::compile(&self.source, self.host, Instrumentation::None).map(Arc::new)
            })
            .clone()
    }

    /// Runs the program on a thread of its own; the calling thread is not blocked.
    ///
    /// # Errors
    /// [`EvalError`] if the program does not compile, fails, or reaches a limit.
    pub async fn run(&self, input: &Input<'_>, limits: &Limits) -> Result<Vec<Value>, EvalError> {
        let evaluation = self.evaluation(input, limits)?;
        let failure = match evaluation.clone().run().await {
            Err(EvalError::Failed(failure)) => failure,
            result => return result,
        };
        Err(EvalError::Failed(match self.instrumented(evaluation) {
            Some(evaluation) => located(failure, evaluation.run().await),
            None => failure,
        }))
    }

    /// Runs the program and blocks until it ends.
    ///
    /// # Errors
    /// As for [`Program::run`].
    pub fn run_blocking(
        &self,
        input: &Input<'_>,
        limits: &Limits,
    ) -> Result<Vec<Value>, EvalError> {
        let evaluation = self.evaluation(input, limits)?;
        let failure = match evaluation.clone().run_blocking() {
            Err(EvalError::Failed(failure)) => failure,
            result => return result,
        };
        Err(EvalError::Failed(match self.instrumented(evaluation) {
            Some(evaluation) => located(failure, evaluation.run_blocking()),
            None => failure,
        }))
    }

    fn evaluation(&self, input: &Input<'_>, limits: &Limits) -> Result<Evaluation, EvalError> {
        if input.document.text().len() > limits.input_bytes {
            return Err(EvalError::InputTooLarge {
                limit: limits.input_bytes,
            });
        }
        let mut variables = input.variables.to_vec();
        variables.resize(self.host.variables.len(), Value::Null);
        Ok(Evaluation {
            filter: self.filter()?,
            instrumented: None,
            document: input.document.clone(),
            variables,
            limits: *limits,
        })
    }

    /// The evaluation that locates the error of a failed one.
    fn instrumented(&self, failed: Evaluation) -> Option<Evaluation> {
        let filter = self.instrumented.get_or_init(|| {
            compile::compile(&self.source, self.host, Instrumentation::ErrorLocations).map(Arc::new)
        });
        Some(Evaluation {
            filter: filter.clone().ok()?,
            instrumented: Some(self.source.clone()),
            ..failed
        })
    }
}

/// Adds the location that the instrumented run found to a failure. Instrumentation costs steps and stack, so that run may
/// end differently; the failure then has no location.
fn located(failure: Box<Failure>, instrumented: Result<Vec<Value>, EvalError>) -> Box<Failure> {
    match instrumented {
        Err(EvalError::Failed(found)) => Box::new(Failure {
            message: failure.message,
            ..*found
        }),
        Ok(_) | Err(_) => failure,
    }
}
