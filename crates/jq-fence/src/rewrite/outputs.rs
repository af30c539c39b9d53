//! Which terms have exactly one output.

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Term};
use jaq_core::path::{Opt, Part, Path};

/// Filters that have one output for every input, whatever the outputs of their arguments are.
const ONE: &[(&str, usize)] = &[
    ("true", 0),
    ("false", 0),
    ("null", 0),
    ("not", 0),
    ("length", 0),
    ("type", 0),
    ("tostring", 0),
    ("tonumber", 0),
    ("tojson", 0),
    ("fromjson", 0),
    ("keys", 0),
    ("keys_unsorted", 0),
    ("to_entries", 0),
    ("from_entries", 0),
    ("with_entries", 1),
    ("map", 1),
    ("map_values", 1),
    ("add", 0),
    ("add", 1),
    ("any", 0),
    ("any", 1),
    ("any", 2),
    ("all", 0),
    ("all", 1),
    ("all", 2),
    ("sort", 0),
    ("sort_by", 1),
    ("group_by", 1),
    ("unique", 0),
    ("unique_by", 1),
    ("min", 0),
    ("max", 0),
    ("min_by", 1),
    ("max_by", 1),
    ("reverse", 0),
    ("flatten", 0),
    ("transpose", 0),
    ("first", 0),
    ("last", 0),
    ("floor", 0),
    ("ceil", 0),
    ("round", 0),
    ("abs", 0),
    ("trim", 0),
    ("ltrim", 0),
    ("rtrim", 0),
    ("ascii_downcase", 0),
    ("ascii_upcase", 0),
    ("explode", 0),
    ("implode", 0),
    ("todate", 0),
    ("fromdate", 0),
    ("mktime", 0),
    ("gmtime", 0),
    ("del", 1),
    ("isempty", 1),
];

/// Filters that have as many outputs as there are combinations of those of their arguments.
const AS_ARGUMENTS: &[&str] = &[
    "has",
    "contains",
    "inside",
    "startswith",
    "endswith",
    "ltrimstr",
    "rtrimstr",
    "trimstr",
    "split",
    "join",
    "index",
    "rindex",
    "indices",
    "test",
    "strftime",
    "strptime",
    "getpath",
    "setpath",
    "delpaths",
    "flatten",
];

/// Decides for the terms of one program.
pub(super) struct Outputs<'s> {
    /// The filters that the program defines itself, parameters included.
    pub(super) redefined: Vec<&'s str>,
}

/// Collects the names that a program defines.
pub(super) fn defined_names<'s>(term: &Term<&'s str>, names: &mut Vec<&'s str>) {
    crate::fence::step();
    crate::visit::children(term, &mut |child| defined_names(child, names));
    if let Term::Def(definitions, _) = term {
        for definition in definitions {
            names.push(definition.name);
            names.extend(&definition.args);
        }
    }
}

impl<'s> Outputs<'s> {
    /// Whether `term` has exactly one output or an error, for every input. False if that is not obvious.
    pub(super) fn is_one(&self, term: &Term<&'s str>) -> bool {
        match term {
            Term::Id | Term::Num(_) | Term::Var(_) | Term::Arr(_) => true,
            Term::Str(_, parts) => parts.iter().all(|part| match part {
                StrPart::Term(inner) => self.is_one(inner),
                StrPart::Str(_) | StrPart::Char(_) => true,
            }),
            Term::Neg(inner) => self.is_one(inner),
            Term::Obj(entries) => entries.iter().all(|(key, value)| {
                self.is_one(key) && value.as_ref().is_none_or(|value| self.is_one(value))
            }),
            Term::BinOp(left, operator, right) => match operator {
                BinaryOp::Comma => false,
                BinaryOp::Update => true,
                BinaryOp::UpdateMath(_) | BinaryOp::UpdateAlt | BinaryOp::Assign => {
                    self.is_one(right)
                }
                BinaryOp::Pipe(_)
                | BinaryOp::Alt
                | BinaryOp::Or
                | BinaryOp::And
                | BinaryOp::Math(_)
                | BinaryOp::Cmp(_) => self.is_one(left) && self.is_one(right),
            },
            Term::IfThenElse(branches, otherwise) => {
                let mut terms = branches.iter().flat_map(|(test, then)| [test, then]);
                terms.all(|inner| self.is_one(inner))
                    && otherwise.as_ref().is_none_or(|inner| self.is_one(inner))
            }
            Term::Call(name, arguments) => self.is_call_one(name, arguments),
            Term::Path(from, Path(parts)) => {
                let step = |(part, opt): &(Part<Term<&'s str>>, Opt)| match (part, opt) {
                    (_, Opt::Optional) | (Part::Range(None, None), _) => false,
                    (Part::Index(index), Opt::Essential) => self.is_one(index),
                    (Part::Range(start, end), Opt::Essential) => {
                        start.iter().chain(end).all(|bound| self.is_one(bound))
                    }
                };
                self.is_one(from) && parts.iter().all(step)
            }
            Term::Def(_, inner) => self.is_one(inner),
            Term::Recurse
            | Term::Break(_)
            | Term::Label(..)
            | Term::TryCatch(..)
            | Term::Fold(..) => false,
        }
    }

    /// Whether the order in which jq and jaq evaluate `terms` can matter: one of two may be empty or yield more than once.
    pub(super) fn is_order_relevant<'t>(
        &self,
        terms: impl Iterator<Item = &'t Term<&'s str>> + Clone,
    ) -> bool
    where
        's: 't,
    {
        terms.clone().filter(|term| !is_certain(term)).count() > 1
            && !terms.clone().all(|term| self.is_one(term))
    }

    fn is_call_one(&self, name: &str, arguments: &[Term<&'s str>]) -> bool {
        use crate::locate::{CLEAR, LOCATE};
        use crate::natives::{ASSIGN, DEFINED_OR, MODIFY};
        if name == MODIFY || name == ASSIGN || name == CLEAR {
            return true;
        }
        if name == LOCATE {
            return arguments.iter().all(|argument| self.is_one(argument));
        }
        if name == DEFINED_OR {
            return arguments.iter().all(|argument| self.is_one(argument));
        }
        if self.redefined.contains(&name) {
            return false;
        }
        name.starts_with('@')
            || ONE.contains(&(name, arguments.len()))
            || (AS_ARGUMENTS.contains(&name) && arguments.iter().all(|inner| self.is_one(inner)))
    }
}

/// Whether `term` has exactly one output and no error, whatever its input is.
pub(super) fn is_certain(term: &Term<&str>) -> bool {
    match term {
        Term::Id | Term::Num(_) | Term::Var(_) | Term::Arr(None) => true,
        Term::Str(None, parts) => parts.iter().all(|part| !matches!(part, StrPart::Term(_))),
        Term::Call("true" | "false" | "null", arguments) => arguments.is_empty(),
        Term::Str(Some(_), _)
        | Term::Recurse
        | Term::Arr(Some(_))
        | Term::Obj(_)
        | Term::Neg(_)
        | Term::BinOp(..)
        | Term::Label(..)
        | Term::Break(_)
        | Term::Fold(..)
        | Term::TryCatch(..)
        | Term::IfThenElse(..)
        | Term::Def(..)
        | Term::Call(..)
        | Term::Path(..) => false,
    }
}
