//! The paths that an expression reads, such as `.a.b[0]` and `$headers["x"]`. Each path is itself a program, which yields
//! the values that the expression reads.
//!
//! A path starts at the document or at a global variable. A path whose start is unknown, such as one in the argument of a
//! definition, is omitted rather than guessed.

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Pattern, Term};
use jaq_core::path::{Opt, Part, Path};
use serde_json::Value;

use crate::compile::with_large_stack;
use crate::fence;
use crate::host::Host;
use crate::parse::parse;

/// Calls that do not read their input.
const CONSTANTS: &[&str] = &["true", "false", "null", "empty", "nan", "infinite"];

/// Calls whose arguments are evaluated on the input of the call, which they do not read otherwise.
const PASS_INPUT: &[&str] = &["select", "first", "last", "limit", "isempty", "error"];

/// Calls that read their input and evaluate their arguments on it.
const READ_INPUT: &[&str] = &[
    "has",
    "contains",
    "inside",
    "in",
    "IN",
    "test",
    "match",
    "startswith",
    "endswith",
    "ltrimstr",
    "rtrimstr",
    "index",
    "rindex",
    "indices",
    "split",
    "join",
];

/// The longest paths that `source` reads, in their order, each once.
pub(crate) fn of_source(source: &str, host: &'static Host) -> Vec<String> {
    let found = with_large_stack(source, || {
        let mut collector = Collector {
            globals: host.variables,
            bindings: Vec::new(),
            definitions: Vec::new(),
            found: Vec::new(),
        };
        collector.visit(&parse(source, host)?, Some("."));
        Ok(collector.found)
    });
    let mut paths: Vec<String> = Vec::new();
    for path in found.unwrap_or_default() {
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    paths
}

struct Collector<'s> {
    globals: &'static [&'static str],
    /// The local variables in scope, with the path that each is bound to, if it is one.
    bindings: Vec<(&'s str, Option<String>)>,
    /// The local definitions in scope, which may shadow those of jq.
    definitions: Vec<&'s str>,
    found: Vec<String>,
}

impl<'s> Collector<'s> {
    /// Collects the paths in `term`, whose input is at the path `base`, if that is known.
    fn visit(&mut self, term: &Term<&'s str>, base: Option<&str>) {
        fence::step();
        if let Some(path) = self.path_of(term, base) {
            return self.found.push(path);
        }
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
                        self.visit(term, base);
                    }
                }
            }
            Term::Arr(Some(inner)) | Term::Neg(inner) | Term::Label(_, inner) => {
                self.visit(inner, base);
            }
            Term::Obj(entries) => {
                for (key, value) in entries {
                    self.visit(key, base);
                    if let Some(value) = value {
                        self.visit(value, base);
                    }
                }
            }
            Term::BinOp(left, operator, right) => self.visit_operation(left, operator, right, base),
            Term::Fold(_, source, pattern, arguments) => {
                self.visit(source, base);
                let outer = self.bindings.len();
                self.bind(pattern, None);
                for argument in arguments {
                    self.visit(argument, None);
                }
                self.bindings.truncate(outer);
            }
            Term::TryCatch(inner, catch) => {
                self.visit(inner, base);
                if let Some(catch) = catch {
                    self.visit(catch, None);
                }
            }
            Term::IfThenElse(branches, otherwise) => {
                for (condition, branch) in branches {
                    self.visit(condition, base);
                    self.visit(branch, base);
                }
                if let Some(otherwise) = otherwise {
                    self.visit(otherwise, base);
                }
            }
            Term::Def(definitions, inner) => {
                let outer = self.definitions.len();
                let names = definitions.iter().map(|definition| definition.name);
                self.definitions.extend(names);
                self.visit(inner, base);
                self.definitions.truncate(outer);
            }
            Term::Call(name, arguments) => self.visit_call(name, arguments, base),
            Term::Path(from, Path(parts)) => {
                self.visit_constant_prefix(from, parts, base);
                for index in parts.iter().flat_map(|(part, _)| indices(part)) {
                    self.visit(index, base);
                }
            }
        }
    }

    fn visit_operation(
        &mut self,
        left: &Term<&'s str>,
        operator: &BinaryOp<&'s str>,
        right: &Term<&'s str>,
        base: Option<&str>,
    ) {
        match operator {
            BinaryOp::Pipe(None) => self.visit_pipe(left, right, base),
            BinaryOp::Pipe(Some(pattern)) => {
                let path = match pattern {
                    Pattern::Var(_) => self.path_of(left, base),
                    Pattern::Arr(_) | Pattern::Obj(_) => None,
                };
                if path.is_none() {
                    self.visit(left, base);
                }
                let outer = self.bindings.len();
                self.bind(pattern, path.as_ref());
                self.visit(right, base);
                self.bindings.truncate(outer);
            }
            BinaryOp::Update => {
                self.visit(left, base);
                self.visit(right, None);
            }
            BinaryOp::Comma
            | BinaryOp::Alt
            | BinaryOp::Or
            | BinaryOp::And
            | BinaryOp::Math(_)
            | BinaryOp::Cmp(_)
            | BinaryOp::Assign
            | BinaryOp::UpdateMath(_)
            | BinaryOp::UpdateAlt => {
                self.visit(left, base);
                self.visit(right, base);
            }
        }
    }

    /// Collects from two terms of which the second is evaluated on the outputs of the first.
    fn visit_pipe(&mut self, left: &Term<&'s str>, right: &Term<&'s str>, base: Option<&str>) {
        let Some(path) = self.path_of(left, base) else {
            self.visit(left, base);
            return self.visit(right, None);
        };
        let before = self.found.len();
        self.visit(right, Some(&path));
        if self.found.len() == before {
            self.found.push(path);
        }
    }

    fn visit_call(&mut self, name: &str, arguments: &[Term<&'s str>], base: Option<&str>) {
        let is_local = self.definitions.contains(&name);
        match (name, arguments) {
            ("any" | "all" | "map", [condition]) if !is_local => {
                let items = base.map(|base| join(base, "[]"));
                self.visit(condition, items.as_deref());
            }
            ("any" | "all", [items, condition]) if !is_local => {
                self.visit_pipe(items, condition, base);
            }
            (name, []) if !is_local && CONSTANTS.contains(&name) => {}
            (name, [_, ..]) if !is_local && PASS_INPUT.contains(&name) => {
                for argument in arguments {
                    self.visit(argument, base);
                }
            }
            (name, arguments) => {
                // The whole document is no useful explanation.
                self.found
                    .extend(base.filter(|base| *base != ".").map(str::to_owned));
                let passes_input = !is_local && READ_INPUT.contains(&name);
                for argument in arguments {
                    self.visit(argument, base.filter(|_| passes_input));
                }
            }
        }
    }

    /// Collects the longest path that the steps of `parts` form before the first that is not constant.
    fn visit_constant_prefix(
        &mut self,
        from: &Term<&'s str>,
        parts: &[(Part<Term<&'s str>>, Opt)],
        base: Option<&str>,
    ) {
        let Some(mut path) = self.path_of(from, base) else {
            return self.visit(from, base);
        };
        for suffix in parts.iter().map_while(suffix) {
            path = join(&path, &suffix);
        }
        if path != "." {
            self.found.push(path);
        }
    }

    /// The path that a term is, from the start of the document or from a global variable.
    fn path_of(&self, term: &Term<&'s str>, base: Option<&str>) -> Option<String> {
        fence::step();
        match term {
            Term::Id => base.map(str::to_owned),
            Term::Var(name) => {
                let mut bindings = self.bindings.iter().rev();
                match bindings.find(|(bound, _)| bound == name) {
                    Some((_, path)) => path.clone(),
                    None => self.globals.contains(name).then(|| (*name).to_owned()),
                }
            }
            Term::BinOp(left, BinaryOp::Pipe(None), right) => {
                let left = self.path_of(left, base)?;
                self.path_of(right, Some(&left))
            }
            Term::Path(from, Path(parts)) => {
                let from = self.path_of(from, base)?;
                let mut suffixes = parts.iter().map(suffix);
                suffixes.try_fold(from, |path, suffix| Some(join(&path, &suffix?)))
            }
            Term::TryCatch(inner, None) => {
                let inner = self.path_of(inner, base)?;
                Some(format!("({inner})?"))
            }
            Term::Recurse
            | Term::Num(_)
            | Term::Str(..)
            | Term::Arr(_)
            | Term::Obj(_)
            | Term::Neg(_)
            | Term::BinOp(..)
            | Term::Label(..)
            | Term::Break(_)
            | Term::Fold(..)
            | Term::TryCatch(_, Some(_))
            | Term::IfThenElse(..)
            | Term::Def(..)
            | Term::Call(..) => None,
        }
    }

    /// Adds the variables of a pattern to the scope. A pattern that is one variable is bound to `path`.
    fn bind(&mut self, pattern: &Pattern<&'s str>, path: Option<&String>) {
        match pattern {
            Pattern::Var(name) => self.bindings.push((*name, path.cloned())),
            Pattern::Arr(patterns) => {
                for pattern in patterns {
                    self.bind(pattern, None);
                }
            }
            Pattern::Obj(entries) => {
                for (_, pattern) in entries {
                    self.bind(pattern, None);
                }
            }
        }
    }
}

/// A path and one more step of it.
fn join(path: &str, suffix: &str) -> String {
    match path {
        "." if suffix.starts_with('.') => suffix.to_owned(),
        _ => format!("{path}{suffix}"),
    }
}

/// The text of a constant step of a path: `.a`, `["a b"]`, `[0]`, `[]`, `[1:]`, each with `?` if it is optional.
fn suffix((part, optional): &(Part<Term<&str>>, Opt)) -> Option<String> {
    let bound = |bound: &Option<Term<&str>>| match bound {
        Some(bound) => number(bound),
        None => Some(String::new()),
    };
    let text = match part {
        Part::Index(Term::Str(None, parts)) => key(parts)?,
        Part::Index(index) => format!("[{}]", number(index)?),
        Part::Range(None, None) => "[]".to_owned(),
        Part::Range(from, until) => format!("[{}:{}]", bound(from)?, bound(until)?),
    };
    Some(match optional {
        Opt::Optional => text + "?",
        Opt::Essential => text,
    })
}

fn key(parts: &[StrPart<&str, Term<&str>>]) -> Option<String> {
    let mut key = String::new();
    for part in parts {
        match part {
            StrPart::Str(text) => key.push_str(text),
            StrPart::Char(character) => key.push(*character),
            StrPart::Term(_) => return None,
        }
    }
    let is_word = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let is_identifier =
        !key.starts_with(|first: char| first.is_ascii_digit()) && key.chars().all(is_word);
    Some(match is_identifier && !key.is_empty() {
        true => format!(".{key}"),
        false => format!("[{}]", Value::from(key)),
    })
}

fn number(term: &Term<&str>) -> Option<String> {
    if let Term::Num(number) = term {
        Some((*number).to_owned())
    } else if let Term::Neg(inner) = term {
        Some(format!("-{}", number(inner)?))
    } else {
        None
    }
}

/// The terms that a step of a path evaluates.
fn indices<'t, 's>(part: &'t Part<Term<&'s str>>) -> impl Iterator<Item = &'t Term<&'s str>> {
    let (first, second) = match part {
        Part::Index(index) => (Some(index), None),
        Part::Range(from, until) => (from.as_ref(), until.as_ref()),
    };
    first.into_iter().chain(second)
}

#[cfg(test)]
mod tests {
    use crate::Program;
    use crate::tests::HOST;

    #[test]
    fn paths_are_followed_from_document() {
        for (source, expected) in [
            (".event_type == \"x\"", ".event_type"),
            (".a.b[0] > 1 and .a.b[-1] > 2", ".a.b[0]; .a.b[-1]"),
            (
                "$headers[\"x-y\"] == $query.z",
                "$headers[\"x-y\"]; $query.z",
            ),
            (
                ".[\"detail-type\"] == .\"a b\".c",
                ".[\"detail-type\"]; .[\"a b\"].c",
            ),
            (".a | .b == 1 and .c", ".a.b; .a.c"),
            (
                "(.issue.labels[] | .name) == \"crm\"",
                ".issue.labels[].name",
            ),
            (".source? == 1", ".source?"),
            ("(.kind? // \"\") | test(\"z\")", ".kind?"),
            (".kind | test(.pattern)", ".kind; .kind.pattern"),
            ("(.a | length) > 3", ".a"),
            ("length > 3", ""),
            (". == 1", "."),
            (".a == null or .a == true", ".a"),
            ("any(.list[]?; .on and .x == 1)", ".list[]?.on; .list[]?.x"),
            ("any(.list[]; endswith(\"y\"))", ".list[]"),
            (".list | all(.x)", ".list[].x"),
            (".list | map(select(.x)) | length > 1", ".list[].x"),
            (". as $all | $all.a.b", ".a.b"),
            (".a as [$x] | $x == .b", ".a; .b"),
            (".a as $x | .list[] as $x | $x == 1", ".list[]"),
            ("reduce .a[] as $x (0; . + $x.b) > .c", ".a[]; .c"),
            ("def f: .x; .a | f", ".a"),
            ("def test(f): .[0] | f; .a | test(.b)", ".a"),
            (".a[.key].b[.n:]", ".a; .key; .n"),
            (".list[1:][0]", ".list[1:][0]"),
            (
                "if .a then .b else \"\\(.c)\" == {d: [.e]} end",
                ".a; .b; .c; .e",
            ),
            ("try .a.b catch .c", ".a.b"),
            ("(.a.b)?", "(.a.b)?"),
            ("$nothing.a == 1", ""),
            ("true", ""),
            (".a |", ""),
        ] {
            assert_eq!(
                Program::new(source, &HOST).paths().join("; "),
                expected,
                "{source}"
            );
        }
    }
}
