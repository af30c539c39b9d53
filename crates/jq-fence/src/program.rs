//! A program and its runs.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use jaq_core::Filter;
use serde_json::Value;

use crate::assignment;
use crate::compile::{self, CompileFailure, Instrumentation};
use crate::compile_error::CompileError;
use crate::document::Document;
use crate::engine::Engine;
use crate::error::EvalError;
use crate::host::Host;
use crate::keys;
use crate::limits::Limits;
use crate::location::ErrorLocation;
use crate::paths;
use crate::session::Worker;

/// What a program is run on.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The document that is `.` at the start.
    pub document: &'a Document,
    /// The values of the host's global variables, in the order of [`Host::variables`].
    pub variables: &'a [Value],
}

/// One jq program. It is compiled when it is first needed. Clones are cheap and share the compiled program.
#[derive(Clone)]
pub struct Program(Arc<Parts>);

struct Parts {
    source: String,
    host: &'static Host,
    compiled: Compiled,
    /// The program with its parts wrapped for locating errors. Only a program that has failed needs it.
    instrumented: Compiled,
    has_assignment: OnceLock<bool>,
}

/// What compiling a program has found. A lack of resources is not kept.
type Compiled = OnceLock<Result<Arc<Filter<Engine>>, CompileError>>;

impl std::fmt::Debug for Program {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_tuple("Program")
            .field(&self.source())
            .finish()
    }
}

impl Program {
    /// Creates a program without compiling it.
    pub fn new(source: impl Into<String>, host: &'static Host) -> Self {
        Self(Arc::new(Parts {
            source: source.into(),
            host,
            compiled: OnceLock::new(),
            instrumented: OnceLock::new(),
            has_assignment: OnceLock::new(),
        }))
    }

    /// The program's text.
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// The keys of the object literals in the program, each with the keys above it: `match`, `territory.name`. They hint
    /// at what the outputs may contain before the program is run.
    pub fn keys(&self) -> BTreeSet<String> {
        keys::of_source(self.source())
    }

    /// The paths that the program reads, such as `.a.b[0]` and `$headers["x"]`. Each is itself a program for the same
    /// input. Empty if the program is not valid.
    pub fn paths(&self) -> Vec<String> {
        paths::of_source(self.source(), self.0.host)
    }

    /// The first position of a word in the program's text.
    pub fn location_of(&self, word: &str) -> Option<ErrorLocation> {
        let source = self.source();
        let is_part = |character: char| character.is_alphanumeric() || character == '_';
        let mut found = source.match_indices(word);
        let (at, _) = found.find(|(at, _)| {
            let (before, rest) = source.split_at(*at);
            let after = rest.get(word.len()..).unwrap_or_default();
            !before.ends_with(is_part) && !after.starts_with(is_part)
        })?;
        Some(ErrorLocation::at(source, at))
    }

    /// Whether the program contains the assignment `=`, which is easily written where `==` is meant.
    pub fn has_assignment(&self) -> bool {
        let found = &self.0.has_assignment;
        *found.get_or_init(|| assignment::is_in(self.source()))
    }

    /// The number of the host's global variables.
    pub(crate) fn variables(&self) -> usize {
        self.0.host.variables.len()
    }

    /// Compiles the program, unless it is compiled already.
    ///
    /// # Errors
    /// [`CompileError`] if the program is not valid jq or uses a filter that the fence removes.
    pub fn check(&self) -> Result<(), CompileError> {
        match self.filter() {
            Ok(_) => Ok(()),
            Err(CompileFailure::Invalid(error)) => Err(error),
            Err(CompileFailure::Unavailable(overload)) => {
                let message = format!("cannot compile now: {overload}");
                Err(CompileError::at(self.source(), self.source(), message))
            }
        }
    }

    pub(crate) fn filter(&self) -> Result<Arc<Filter<Engine>>, CompileFailure> {
        self.compiled(&self.0.compiled, Instrumentation::None)
    }

    /// The program that locates its own error.
    pub(crate) fn instrumented(&self) -> Option<Arc<Filter<Engine>>> {
        self.compiled(&self.0.instrumented, Instrumentation::ErrorLocations)
            .ok()
    }

    fn compiled(
        &self,
        compiled: &Compiled,
        instrumentation: Instrumentation,
    ) -> Result<Arc<Filter<Engine>>, CompileFailure> {
        if let Some(known) = compiled.get() {
            return known.clone().map_err(CompileFailure::Invalid);
        }
        let result = match compile::compile(self.source(), self.0.host, instrumentation) {
            Ok(filter) => Ok(Arc::new(filter)),
            Err(CompileFailure::Invalid(error)) => Err(error),
            Err(unavailable @ CompileFailure::Unavailable(_)) => return Err(unavailable),
        };
        let result = compiled.get_or_init(|| result);
        result.clone().map_err(CompileFailure::Invalid)
    }

    /// Runs the program on a thread of its own and blocks until it ends. [`Pool`](crate::Pool) runs many programs.
    ///
    /// # Errors
    /// [`EvalError`] if the program does not compile, fails, or reaches a limit.
    pub fn run_blocking(
        &self,
        input: &Input<'_>,
        limits: &Limits,
    ) -> Result<Vec<Value>, EvalError> {
        Worker::on_own_thread(limits.stack_bytes, |worker| {
            worker.open(input, limits)?.run(self)
        })?
    }
}
