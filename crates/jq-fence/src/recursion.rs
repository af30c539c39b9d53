//! Counts recursive calls that pass a filter on.
//!
//! In `def f(g): f(g | g); f(.)` every call keeps the filter of the call before, and the chain is dropped recursively.
//! No other limit detects that, so a counter is inserted before every recursive call of a definition that takes a filter.

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
                visit_all(value, scope);
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
            visit_all(arguments, scope);
        }
        Term::TryCatch(term, catch) => {
            visit(term, scope);
            visit_all(catch.as_deref_mut(), scope);
        }
        Term::IfThenElse(branches, otherwise) => {
            for (condition, branch) in branches {
                visit(condition, scope);
                visit(branch, scope);
            }
            visit_all(otherwise.as_deref_mut(), scope);
        }
        Term::Def(definitions, term) => {
            for definition in definitions {
                visit_definition(definition, scope);
            }
            visit(term, scope);
        }
        Term::Call(name, arguments) => {
            visit_all(arguments.iter_mut(), scope);
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
                        visit_all([from, until].into_iter().flatten(), scope);
                    }
                }
            }
        }
    }
}

fn visit_all<'t, 's: 't>(
    terms: impl IntoIterator<Item = &'t mut Term<&'s str>>,
    scope: &mut Scope<'s>,
) {
    for term in terms {
        visit(term, scope);
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
