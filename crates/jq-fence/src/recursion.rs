//! Counts recursive calls that pass a filter on.
//!
//! In `def f(g): f(g | g); f(.)` every call keeps the filter of the call before, and the chain is dropped recursively.
//! No other limit notices that, so a counter is put before every call of a definition by itself that takes a filter.

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Def, Pattern, Term};
use jaq_core::path::{Part, Path};

use crate::natives::RECURSION_COUNTER;

/// The definitions around a term: name, number of arguments, whether one of them is a filter.
type Scope<'s> = Vec<(&'s str, usize, bool)>;

/// Inserts the counter into a program.
pub(crate) fn count_in_program(term: &mut Term<&str>) {
    visit(term, &mut Vec::new());
}

/// Inserts the counter into a definition of the prelude.
pub(crate) fn count_in_definition(definition: &mut Def<&str>) {
    visit_definition(definition, &mut Vec::new());
}

fn visit_definition<'s>(definition: &mut Def<&'s str>, scope: &mut Scope<'s>) {
    let takes_filter = definition.args.iter().any(|arg| !arg.starts_with('$'));
    scope.push((definition.name, definition.args.len(), takes_filter));
    visit(&mut definition.body, scope);
    scope.pop();
}

fn visit<'s>(term: &mut Term<&'s str>, scope: &mut Scope<'s>) {
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
                    visit(term, scope);
                }
            }
        }
        Term::Arr(Some(term)) | Term::Neg(term) | Term::Label(_, term) => visit(term, scope),
        Term::Obj(entries) => {
            for (key, value) in entries {
                visit(key, scope);
                if let Some(value) = value {
                    visit(value, scope);
                }
            }
        }
        Term::BinOp(left, operator, right) => {
            visit(left, scope);
            if let BinaryOp::Pipe(Some(pattern)) = operator {
                visit_pattern(pattern, scope);
            }
            visit(right, scope);
        }
        Term::Fold(_, source, pattern, arguments) => {
            visit(source, scope);
            visit_pattern(pattern, scope);
            for argument in arguments {
                visit(argument, scope);
            }
        }
        Term::TryCatch(term, catch) => {
            visit(term, scope);
            if let Some(catch) = catch {
                visit(catch, scope);
            }
        }
        Term::IfThenElse(branches, otherwise) => {
            for (condition, branch) in branches {
                visit(condition, scope);
                visit(branch, scope);
            }
            if let Some(otherwise) = otherwise {
                visit(otherwise, scope);
            }
        }
        Term::Def(definitions, term) => {
            for definition in definitions {
                visit_definition(definition, scope);
            }
            visit(term, scope);
        }
        Term::Call(name, arguments) => {
            for argument in arguments.iter_mut() {
                visit(argument, scope);
            }
            if scope.contains(&(*name, arguments.len(), true)) {
                let call = std::mem::take(term);
                let counter = Term::Call(RECURSION_COUNTER, Vec::new());
                *term = Term::BinOp(Box::new(counter), BinaryOp::Pipe(None), Box::new(call));
            }
        }
        Term::Path(term, Path(parts)) => {
            visit(term, scope);
            for (part, _) in parts {
                match part {
                    Part::Index(index) => visit(index, scope),
                    Part::Range(from, until) => {
                        for bound in [from, until].into_iter().flatten() {
                            visit(bound, scope);
                        }
                    }
                }
            }
        }
    }
}

fn visit_pattern<'s>(pattern: &mut Pattern<&'s str>, scope: &mut Scope<'s>) {
    match pattern {
        Pattern::Var(_) => {}
        Pattern::Arr(patterns) => {
            for pattern in patterns {
                visit_pattern(pattern, scope);
            }
        }
        Pattern::Obj(entries) => {
            for (key, pattern) in entries {
                visit(key, scope);
                visit_pattern(pattern, scope);
            }
        }
    }
}
