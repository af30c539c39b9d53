//! Compiles a program.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::OnceLock;

use jaq_core::compile::Undefined;
use jaq_core::load::parse::Def;
use jaq_core::load::{Arena, File, Loader};
use jaq_core::{Compiler, Filter};

use crate::compile_error::CompileError;
use crate::engine::Engine;
use crate::error::EvalError;
use crate::fence::{self, Deadlines, Outcome, Quotas};
use crate::grammar;
use crate::host::{self, Host};
use crate::instrument::{self, Instrumenter};
use crate::natives;
use crate::parse::parse;
use crate::pool::Overload;
use crate::program_thread;
use crate::recursion;
use crate::rewrite;
use crate::session::Worker;

/// Bytes of a program's text.
const MAX_SOURCE: usize = 64 * 1024;

/// The name of the definition that holds the program.
const PROGRAM: &str = "program__";

/// What is added to a program while it is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Instrumentation {
    /// Nothing.
    None,
    /// Wrappers around the parts that can fail, which locate an error.
    ErrorLocations,
}

/// Why a program is not compiled.
#[derive(Debug)]
pub(crate) enum CompileFailure {
    /// The program is not valid.
    Invalid(CompileError),
    /// Resources are short; the program can be compiled later.
    Unavailable(Overload),
}

impl From<CompileFailure> for EvalError {
    fn from(failure: CompileFailure) -> Self {
        match failure {
            CompileFailure::Invalid(error) => Self::Compile(error),
            CompileFailure::Unavailable(overload) => Self::Unavailable(overload),
        }
    }
}

/// Compiles `source` on a thread with enough stack for any nesting.
pub(crate) fn compile(
    source: &str,
    host: &'static Host,
    instrumentation: Instrumentation,
) -> Result<Filter<Engine>, CompileFailure> {
    with_large_stack(source, || {
        compile_on_this_thread(source, host, instrumentation)
    })
}

/// Bytes of stack for each byte of a program, which can nest one level.
const STACK_OF_BYTE: usize = 3 << 10;

/// Calls `work` on a thread with enough stack for any nesting of `source`: on this one, if it has that. A short program needs
/// little, which matters where the machine has little memory.
pub(crate) fn with_large_stack<T: Send>(
    source: &str,
    work: impl FnOnce() -> Result<T, CompileError> + Send,
) -> Result<T, CompileFailure> {
    if source.len() > MAX_SOURCE {
        let message = format!("the program has more than {MAX_SOURCE} bytes");
        let error = CompileError::at(source, source, message);
        return Err(CompileFailure::Invalid(error));
    }
    let stack = (8 << 20) + source.len() * STACK_OF_BYTE;
    let compile = move || {
        let quotas = Quotas {
            deadlines: Deadlines::after(std::time::Duration::from_secs(10), None),
            steps: u64::MAX,
            memory: usize::MAX,
            stack,
        };
        fence::run(quotas, work).0
    };
    let compiled = match program_thread::has_stack(stack) {
        true => Ok(compile()),
        false => Worker::on_own_thread(stack, |_| compile()),
    };
    let failed = |why: String| CompileError::at(source, source, format!("cannot compile: {why}"));
    let result = match compiled.map_err(CompileFailure::Unavailable)? {
        Outcome::Finished(result) => result,
        Outcome::Panicked(message) | Outcome::Refused(message) => Err(failed(message)),
        Outcome::LimitReached(_) => Err(failed("the program is too large".to_owned())),
    };
    result.map_err(CompileFailure::Invalid)
}

fn compile_on_this_thread(
    source: &str,
    host: &Host,
    instrumentation: Instrumentation,
) -> Result<Filter<Engine>, CompileError> {
    let offsets = match instrumentation {
        Instrumentation::None => Vec::new(),
        Instrumentation::ErrorLocations => instrument::offsets(source),
    };
    let mut term = parse(source, host)?;
    if instrumentation == Instrumentation::ErrorLocations {
        Instrumenter::new(source, &offsets).instrument(&mut term);
    }
    rewrite::program(&mut term);
    recursion::count_in_program(&mut term);
    let mut definitions: Vec<Def<&str>> = prelude().to_vec();
    let known = names(&definitions);
    definitions.push(Def {
        name: PROGRAM,
        args: Vec::new(),
        body: term,
    });
    let arena = Arena::default();
    let file = File {
        code: PROGRAM,
        path: (),
    };
    let modules = Loader::new(definitions)
        .load(&arena, file)
        .map_err(|_| CompileError::at(source, source, "cannot load the program"))?;
    let compiled = Compiler::default()
        .with_funs(natives::all())
        .with_global_vars(host.variables.iter().copied())
        .compile(modules);
    compiled.map_err(|errors| {
        let first = errors.into_iter().flat_map(|(_, errors)| errors).next();
        match first {
            Some((name, undefined)) => undefined_name(source, name, &undefined, &known, host),
            None => CompileError::at(source, source, "cannot compile the program"),
        }
    })
}

/// The definitions that every program can use. A definition can use only those before it.
fn prelude() -> &'static [Def<&'static str>] {
    static PRELUDE: OnceLock<Vec<Def<&'static str>>> = OnceLock::new();
    PRELUDE.get_or_init(|| {
        let mut definitions = grammar::definitions(include_str!("prelude.jq")).unwrap_or_default();
        for definition in &mut definitions {
            rewrite::definition(definition);
            recursion::count_in_definition(definition);
        }
        definitions
    })
}

/// The names that programs can call. Names that end in `_` are internal.
fn names(definitions: &[Def<&str>]) -> BTreeSet<String> {
    let defined = definitions
        .iter()
        .map(|definition| definition.name.to_owned());
    let native = natives::all().map(|(name, ..)| name.to_owned());
    defined
        .chain(native)
        .filter(|name| !name.ends_with('_'))
        .collect()
}

fn undefined_name(
    source: &str,
    name: &str,
    undefined: &Undefined,
    known: &BTreeSet<String>,
    host: &Host,
) -> CompileError {
    if let Some(message) = host::unavailable(name, host) {
        return CompileError::at(source, name, message);
    }
    let mut message = format!("there is no {} `{name}`", undefined.as_str());
    let nearest = match undefined {
        Undefined::Filter(arity) if known.contains(name) => {
            let _ = write!(message, " with {arity} arguments");
            None
        }
        Undefined::Filter(_) => strict_reader::nearest(name, known.iter().map(String::as_str)),
        Undefined::Var => strict_reader::nearest(name, host.variables.iter().copied()),
        Undefined::Mod | Undefined::Label | _ => None,
    };
    if let Some(nearest) = nearest {
        let _ = write!(message, "; did you mean `{nearest}`?");
    }
    CompileError::at(source, name, message)
}
