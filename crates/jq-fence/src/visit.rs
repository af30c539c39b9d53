//! Visits the parts of a term.

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Pattern, Term};
use jaq_core::path::{Part, Path};

/// Calls `visit` with every direct part of `term`.
pub(crate) fn children<'t, 's>(term: &'t Term<&'s str>, visit: &mut dyn FnMut(&'t Term<&'s str>)) {
    match term {
        Term::Id
        | Term::Recurse
        | Term::Num(_)
        | Term::Var(_)
        | Term::Break(_)
        | Term::Arr(None) => {}
        Term::Str(_, parts) => {
            for part in parts {
                if let StrPart::Term(inner) = part {
                    visit(inner);
                }
            }
        }
        Term::Arr(Some(inner)) | Term::Neg(inner) | Term::Label(_, inner) => visit(inner),
        Term::Obj(entries) => {
            for (key, value) in entries {
                visit(key);
                value.iter().for_each(&mut *visit);
            }
        }
        Term::BinOp(left, operator, right) => {
            visit(left);
            if let BinaryOp::Pipe(Some(pattern)) = operator {
                keys(pattern, visit);
            }
            visit(right);
        }
        Term::Fold(_, source, pattern, arguments) => {
            visit(source);
            keys(pattern, visit);
            arguments.iter().for_each(visit);
        }
        Term::TryCatch(inner, catch) => {
            visit(inner);
            catch.iter().for_each(|catch| visit(catch));
        }
        Term::IfThenElse(branches, otherwise) => {
            for (condition, branch) in branches {
                visit(condition);
                visit(branch);
            }
            otherwise.iter().for_each(|inner| visit(inner));
        }
        Term::Def(definitions, inner) => {
            for definition in definitions {
                visit(&definition.body);
            }
            visit(inner);
        }
        Term::Call(_, arguments) => arguments.iter().for_each(visit),
        Term::Path(from, Path(parts)) => {
            visit(from);
            for (part, _) in parts {
                match part {
                    Part::Index(index) => visit(index),
                    Part::Range(start, end) => start.iter().chain(end).for_each(&mut *visit),
                }
            }
        }
    }
}

/// Calls `visit` with the keys in a pattern.
fn keys<'t, 's>(pattern: &'t Pattern<&'s str>, visit: &mut dyn FnMut(&'t Term<&'s str>)) {
    match pattern {
        Pattern::Var(_) => {}
        Pattern::Arr(items) => items.iter().for_each(|item| keys(item, visit)),
        Pattern::Obj(entries) => {
            for (key, item) in entries {
                visit(key);
                keys(item, visit);
            }
        }
    }
}
