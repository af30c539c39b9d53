//! From the text of a program to something that runs.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use jaq_core::compile::Undefined;
use jaq_core::load::lex::{Lexer, StrPart, Token};
use jaq_core::load::parse::{BinaryOp, Def, Parser, Pattern, Term};
use jaq_core::load::{self, Arena, File, Loader};
use jaq_core::path::{Part, Path};
use jaq_core::{Compiler, Filter};

use super::failure::Place;
use super::fence::{self, Allowance, Ended};
use super::keys;
use super::locate::{self, Marker};
use super::natives::{self, Engine, HAND_ON};

/// Bytes of a program.
const MAX_SOURCE: usize = 64 * 1024;

/// The definition that the program becomes.
const PROGRAM: &str = "program__";

/// Variables that are bound before the program starts.
pub(super) const VARIABLES: [&str; 6] = [
    "$headers",
    "$query",
    "$route",
    "$received_at",
    "$raw",
    "$trigger",
];

/// Names of jq that a route does not have, and why.
const FENCED: &[(&[&str], &str)] = &[
    (
        &["env", "$ENV", "$__prog_args", "getenv"],
        "a mapping cannot read the environment, where the credentials are",
    ),
    (
        &[
            "input",
            "inputs",
            "input_filename",
            "input_line_number",
            "$__loc__",
            "get_search_list",
        ],
        "a mapping has one input, the body, which is `.`",
    ),
    (
        &["halt", "halt_error"],
        "a mapping cannot end the process; use `error(\"…\")` to refuse a delivery or `empty` to ignore it",
    ),
    (
        &["now", "localtime", "strflocaltime", "mktime_local"],
        "a mapping must give the same answer when it is run again; use $received_at, which is in UTC",
    ),
    (
        &["debug", "stderr"],
        "a mapping cannot write; try it with `masshook preview` instead",
    ),
    (
        &["import", "include", "module", "modulemeta"],
        "a mapping cannot read files; write the definitions into the program itself",
    ),
];

/// Why a program cannot be used. `Display` says where, what and, where possible, what was meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {}, column {}: {message}", place.line, place.column)]
pub struct CompileError {
    /// Where in the program.
    pub place: Place,
    /// What is wrong and what to do about it.
    pub message: String,
}

impl CompileError {
    /// An error at `part`, which is a slice of `source`.
    fn at(source: &str, part: &str, message: impl Into<String>) -> Self {
        let start = part.as_ptr().addr().checked_sub(source.as_ptr().addr());
        let start = start.filter(|start| *start <= source.len()).unwrap_or(0);
        Self {
            place: Place::at(source, start),
            message: message.into(),
        }
    }
}

/// Whether the parts of a program that can fail are marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marks {
    None,
    Set,
}

/// Compiles `source` on a thread with stack enough for any nesting.
pub(super) fn compile(source: &str, marks: Marks) -> Result<Filter<Engine>, CompileError> {
    if source.len() > MAX_SOURCE {
        let message = format!("the program has more than {MAX_SOURCE} bytes");
        return Err(CompileError::at(source, source, message));
    }
    let text = source.to_owned();
    with_stack(source, move || compiled(&text, marks))
}

/// The keys that `source` writes down, see [`super::keys`].
pub(super) fn keys(source: &str) -> BTreeSet<String> {
    let text = source.to_owned();
    with_stack(source, move || Ok(keys::keys(&text))).unwrap_or_default()
}

/// Does something with `source` on a thread with stack enough for any nesting.
pub(super) fn with_stack<T: Send + 'static>(
    source: &str,
    work: impl FnOnce() -> Result<T, CompileError> + Send + 'static,
) -> Result<T, CompileError> {
    let (sender, receiver) = std::sync::mpsc::channel();
    let allowance = Allowance {
        time: std::time::Duration::from_secs(10),
        steps: u64::MAX,
        memory: usize::MAX,
        stack: 192 << 20,
    };
    let spawned = fence::spawn(allowance, work, move |ended| drop(sender.send(ended)));
    let failed = |why: String| CompileError::at(source, source, format!("cannot compile: {why}"));
    let thread = spawned.map_err(|error| failed(error.to_string()))?;
    let ended = receiver.recv();
    drop(thread.join());
    match ended {
        Ok(Ended::Done(result)) => result,
        Ok(Ended::Panicked(message)) => Err(failed(message)),
        Ok(Ended::Stopped(_)) | Err(_) => Err(failed("it is too large".to_owned())),
    }
}

fn compiled(source: &str, marks: Marks) -> Result<Filter<Engine>, CompileError> {
    let numbers = match marks {
        Marks::None => Vec::new(),
        Marks::Set => locate::offsets(source),
    };
    let mut term = parse(source)?;
    if marks == Marks::Set {
        Marker::new(source, &numbers).mark(&mut term);
    }
    guard(&mut term, &mut Vec::new());
    let mut definitions: Vec<Def<&str>> = prelude().collect();
    for definition in &mut definitions {
        guard_definition(definition, &mut Vec::new());
    }
    let known: BTreeSet<String> = names(&definitions);
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
        .with_global_vars(VARIABLES)
        .compile(modules);
    compiled.map_err(|errors| {
        let first = errors.into_iter().flat_map(|(_, errors)| errors).next();
        match first {
            Some((name, undefined)) => undefined_name(source, name, &undefined, &known),
            None => CompileError::at(source, source, "cannot compile the program"),
        }
    })
}

/// The definitions that every program can use.
fn prelude() -> impl Iterator<Item = Def<&'static str>> {
    // Definitions over natives that are not taken would not compile.
    let dropped = ["stderr", "debug", "halt", "halt_error", "join"];
    let own = |text| load::parse(text, |parser| parser.defs()).unwrap_or_default();
    let jaq = jaq_core::defs()
        .chain(jaq_std::defs())
        .chain(jaq_json::defs())
        .filter(move |definition| !dropped.contains(&definition.name));
    // A definition sees those before it.
    own(include_str!("times.jq"))
        .into_iter()
        .chain(jaq)
        .chain(own(include_str!("prelude.jq")))
}

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

pub(super) fn parse(source: &str) -> Result<Term<&str>, CompileError> {
    let tokens = Lexer::new(source).lex().map_err(|errors| {
        let Some((expected, found)) = errors.into_iter().next() else {
            return CompileError::at(source, source, "cannot be read");
        };
        let message = format!("expected {}, found {}", expected.as_str(), shown(found));
        CompileError::at(source, found, message)
    })?;
    if tokens.is_empty() {
        return Err(CompileError::at(
            source,
            source,
            "the program is empty; `.` passes the body on as it is",
        ));
    }
    if let Some(Token(word @ ("import" | "include" | "module"), _)) = tokens.first() {
        return Err(CompileError::at(
            source,
            word,
            fenced(word).unwrap_or_default(),
        ));
    }
    Parser::new(&tokens)
        .parse(|parser| parser.term())
        .map_err(|errors| {
            let Some((expected, found)) = errors.into_iter().next() else {
                return CompileError::at(source, source, "cannot be read");
            };
            let found = Token::opt_as_str(found, source);
            let message = format!("expected {}, found {}", expected.as_str(), shown(found));
            CompileError::at(source, found, message)
        })
}

/// The beginning of the offending text.
fn shown(found: &str) -> String {
    let line = found.lines().next().unwrap_or("");
    match line.char_indices().nth(40) {
        _ if found.is_empty() => "the end of the program".to_owned(),
        Some((cut, _)) => format!("`{}…`", &line[..cut]),
        None => format!("`{line}`"),
    }
}

fn fenced(name: &str) -> Option<String> {
    let (_, why) = FENCED.iter().find(|(names, _)| names.contains(&name))?;
    Some(format!("`{name}` is not available in a route: {why}"))
}

fn undefined_name(
    source: &str,
    name: &str,
    undefined: &Undefined,
    known: &BTreeSet<String>,
) -> CompileError {
    if let Some(message) = fenced(name) {
        return CompileError::at(source, name, message);
    }
    let mut message = format!("there is no {} `{name}`", undefined.as_str());
    let nearest = match undefined {
        Undefined::Filter(arity) => {
            if known.contains(name) {
                let _ = write!(message, " with {arity} arguments");
                None
            } else {
                strict_reader::nearest(name, known.iter().map(String::as_str))
            }
        }
        Undefined::Var => strict_reader::nearest(name, VARIABLES.into_iter()),
        Undefined::Mod | Undefined::Label | _ => None,
    };
    if let Some(nearest) = nearest {
        let _ = write!(message, "; did you mean `{nearest}`?");
    }
    CompileError::at(source, name, message)
}

/// A definition whose body is being looked at: name, number of arguments, whether one of them is a filter.
type Open<'s> = Vec<(&'s str, usize, bool)>;

fn guard_definition<'s>(definition: &mut Def<&'s str>, open: &mut Open<'s>) {
    let takes_filter = definition.args.iter().any(|arg| !arg.starts_with('$'));
    open.push((definition.name, definition.args.len(), takes_filter));
    guard(&mut definition.body, open);
    open.pop();
}

/// Puts a counter before every call of a definition by itself that takes a filter: in `def f(g): f(g | g); f(.)` every
/// call holds on to the one before, which nothing else would notice.
fn guard<'s>(term: &mut Term<&'s str>, open: &mut Open<'s>) {
    match term {
        Term::Id
        | Term::Recurse
        | Term::Num(_)
        | Term::Var(_)
        | Term::Break(_)
        | Term::Arr(None) => {}
        Term::Str(_, parts) => {
            for part in parts {
                if let StrPart::Term(term) = part {
                    guard(term, open);
                }
            }
        }
        Term::Arr(Some(term)) | Term::Neg(term) | Term::Label(_, term) => guard(term, open),
        Term::Obj(entries) => {
            for (key, value) in entries {
                guard(key, open);
                if let Some(value) = value {
                    guard(value, open);
                }
            }
        }
        Term::BinOp(left, operator, right) => {
            guard(left, open);
            if let BinaryOp::Pipe(Some(pattern)) = operator {
                guard_pattern(pattern, open);
            }
            guard(right, open);
        }
        Term::Fold(_, source, pattern, arguments) => {
            guard(source, open);
            guard_pattern(pattern, open);
            for argument in arguments {
                guard(argument, open);
            }
        }
        Term::TryCatch(term, catch) => {
            guard(term, open);
            if let Some(catch) = catch {
                guard(catch, open);
            }
        }
        Term::IfThenElse(branches, otherwise) => {
            for (condition, branch) in branches {
                guard(condition, open);
                guard(branch, open);
            }
            if let Some(otherwise) = otherwise {
                guard(otherwise, open);
            }
        }
        Term::Def(definitions, term) => {
            for definition in definitions {
                guard_definition(definition, open);
            }
            guard(term, open);
        }
        Term::Call(name, arguments) => {
            for argument in arguments.iter_mut() {
                guard(argument, open);
            }
            if open.contains(&(*name, arguments.len(), true)) {
                let call = std::mem::take(term);
                let counter = Term::Call(HAND_ON, Vec::new());
                *term = Term::BinOp(Box::new(counter), BinaryOp::Pipe(None), Box::new(call));
            }
        }
        Term::Path(term, Path(parts)) => {
            guard(term, open);
            for (part, _) in parts {
                match part {
                    Part::Index(index) => guard(index, open),
                    Part::Range(from, upto) => {
                        for bound in [from, upto].into_iter().flatten() {
                            guard(bound, open);
                        }
                    }
                }
            }
        }
    }
}

fn guard_pattern<'s>(pattern: &mut Pattern<&'s str>, open: &mut Open<'s>) {
    match pattern {
        Pattern::Var(_) => {}
        Pattern::Arr(patterns) => {
            for pattern in patterns {
                guard_pattern(pattern, open);
            }
        }
        Pattern::Obj(entries) => {
            for (key, pattern) in entries {
                guard(key, open);
                guard_pattern(pattern, open);
            }
        }
    }
}
