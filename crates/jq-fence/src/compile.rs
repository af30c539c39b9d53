//! Compiles a program.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use jaq_core::compile::Undefined;
use jaq_core::load::parse::Def;
use jaq_core::load::{self, Arena, File, Loader};
use jaq_core::{Compiler, Filter};

use crate::compile_error::CompileError;
use crate::engine::Engine;
use crate::fence::{self, Outcome, Quotas};
use crate::host::{self, Host};
use crate::instrument::{self, Instrumenter};
use crate::natives;
use crate::parse::parse;
use crate::recursion;

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

/// Compiles `source` on a thread with enough stack for any nesting.
pub(crate) fn compile(
    source: &str,
    host: &'static Host,
    instrumentation: Instrumentation,
) -> Result<Filter<Engine>, CompileError> {
    if source.len() > MAX_SOURCE {
        let message = format!("the program has more than {MAX_SOURCE} bytes");
        return Err(CompileError::at(source, source, message));
    }
    let text = source.to_owned();
    with_large_stack(source, move || {
        compile_on_this_thread(&text, host, instrumentation)
    })
}

/// Calls `work` on a thread with enough stack for any nesting of `source`.
pub(crate) fn with_large_stack<T: Send + 'static>(
    source: &str,
    work: impl FnOnce() -> Result<T, CompileError> + Send + 'static,
) -> Result<T, CompileError> {
    let (sender, receiver) = std::sync::mpsc::channel();
    let quotas = Quotas {
        time: std::time::Duration::from_secs(10),
        steps: u64::MAX,
        memory: usize::MAX,
        stack: 192 << 20,
    };
    let spawned = fence::spawn(quotas, work, move |outcome| drop(sender.send(outcome)));
    let failed = |why: String| CompileError::at(source, source, format!("cannot compile: {why}"));
    let thread = spawned.map_err(|error| failed(error.to_string()))?;
    let outcome = receiver.recv();
    drop(thread.join());
    match outcome {
        Ok(Outcome::Finished(result)) => result,
        Ok(Outcome::Panicked(message)) => Err(failed(message)),
        Ok(Outcome::LimitReached(_)) | Err(_) => Err(failed("the program is too large".to_owned())),
    }
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
    recursion::count_in_program(&mut term);
    let mut definitions: Vec<Def<&str>> = prelude().collect();
    for definition in &mut definitions {
        recursion::count_in_definition(definition);
    }
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

/// The definitions that every program can use.
fn prelude() -> impl Iterator<Item = Def<&'static str>> {
    // Definitions that call filters which the fence removes would not compile.
    let excluded = ["stderr", "debug", "halt", "halt_error", "join"];
    let own = |text| load::parse(text, |parser| parser.defs()).unwrap_or_default();
    let jaq = jaq_core::defs()
        .chain(jaq_std::defs())
        .chain(jaq_json::defs())
        .filter(move |definition| !excluded.contains(&definition.name));
    // A definition can use only those before it.
    own(include_str!("times.jq"))
        .into_iter()
        .chain(jaq)
        .chain(own(include_str!("prelude.jq")))
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
