//! Rewrites a program so that jaq evaluates it as jq does.
//!
//! jq evaluates the right operand of an operator in the outer loop, and the key of `term[key]` before the term. `reduce`
//! and `foreach` go on with the last output of their update. Updates visit the paths of the original input. Where these
//! rules could matter, a term is replaced by one with the same meaning for jaq.

mod outputs;

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Def, Pattern, Term};
use jaq_core::path::{Part, Path};

use crate::fence;
use crate::natives::{ASSIGN, DEFINED_OR, GUARDED, LAST_OR_NULL, MODIFY};
use outputs::Outputs;

/// Variables that hold the outputs of operands.
const OPERANDS: [&str; 2] = ["$left__", "$right__"];

/// Variables that hold the outputs of the parts of a string, of the keys of a path, or of arguments.
const PARTS: [&str; 8] = [
    "$part1__", "$part2__", "$part3__", "$part4__", "$part5__", "$part6__", "$part7__", "$part8__",
];

/// Rewrites a program.
pub(crate) fn program(term: &mut Term<&str>) {
    let mut names = Vec::new();
    outputs::defined_names(term, &mut names);
    Rewriter {
        outputs: Outputs { redefined: names },
    }
    .term(term);
}

/// Rewrites a definition of the prelude.
pub(crate) fn definition(definition: &mut Def<&str>) {
    program(&mut definition.body);
}

struct Rewriter<'s> {
    outputs: Outputs<'s>,
}

fn pipe_as<'s>(value: Term<&'s str>, name: &'s str, body: Term<&'s str>) -> Term<&'s str> {
    let pattern = Some(Pattern::Var(name));
    Term::BinOp(Box::new(value), BinaryOp::Pipe(pattern), Box::new(body))
}

/// Replaces terms whose outputs depend on something by variables. Returns the variables with the terms.
fn take_terms<'t, 's: 't>(
    terms: impl Iterator<Item = &'t mut Term<&'s str>>,
) -> Vec<(&'static str, Term<&'s str>)> {
    let uncertain = terms.filter(|term| !outputs::is_certain(term));
    uncertain
        .zip(PARTS)
        .map(|(term, name)| (name, std::mem::replace(term, Term::Var(name))))
        .collect()
}

/// Binds variables around a term, the last of them in the outer loop.
fn bind_before<'s>(term: &mut Term<&'s str>, bound: Vec<(&'static str, Term<&'s str>)>) {
    let body = std::mem::take(term);
    *term = bound
        .into_iter()
        .fold(body, |body, (name, value)| pipe_as(value, name, body));
}

impl<'s> Rewriter<'s> {
    fn term(&self, term: &mut Term<&'s str>) {
        fence::step();
        match term {
            Term::Id
            | Term::Recurse
            | Term::Num(_)
            | Term::Var(_)
            | Term::Break(_)
            | Term::Arr(None) => {}
            Term::Str(_, parts) => {
                for part in parts.iter_mut() {
                    if let StrPart::Term(inner) = part {
                        self.term(inner);
                    }
                }
                self.string(term);
            }
            Term::Arr(Some(inner)) | Term::Neg(inner) | Term::Label(_, inner) => self.term(inner),
            Term::Obj(entries) => {
                for (key, value) in entries {
                    self.term(key);
                    value.iter_mut().for_each(|value| self.term(value));
                }
            }
            Term::BinOp(left, operator, right) => {
                self.term(left);
                if let BinaryOp::Pipe(Some(pattern)) = operator {
                    self.pattern(pattern);
                }
                self.term(right);
                self.operation(term);
            }
            Term::Fold(_, source, pattern, arguments) => {
                self.term(source);
                self.pattern(pattern);
                arguments.iter_mut().for_each(|inner| self.term(inner));
                self.fold(term);
            }
            Term::TryCatch(inner, catch) => {
                self.term(inner);
                catch.iter_mut().for_each(|catch| self.term(catch));
                guard(inner);
            }
            Term::IfThenElse(branches, otherwise) => {
                for (condition, branch) in branches {
                    self.term(condition);
                    self.term(branch);
                }
                otherwise.iter_mut().for_each(|inner| self.term(inner));
            }
            Term::Def(definitions, inner) => {
                for definition in definitions {
                    self.term(&mut definition.body);
                }
                self.term(inner);
            }
            Term::Call(_, arguments) => {
                arguments.iter_mut().for_each(|inner| self.term(inner));
                self.native_call(term);
            }
            Term::Path(from, Path(parts)) => {
                self.term(from);
                for (part, _) in parts {
                    match part {
                        Part::Index(index) => self.term(index),
                        Part::Range(start, end) => {
                            start
                                .iter_mut()
                                .chain(end)
                                .for_each(|bound| self.term(bound));
                        }
                    }
                }
                self.path(term);
            }
        }
    }

    fn pattern(&self, pattern: &mut Pattern<&'s str>) {
        match pattern {
            Pattern::Var(_) => {}
            Pattern::Arr(items) => items.iter_mut().for_each(|item| self.pattern(item)),
            Pattern::Obj(entries) => {
                for (key, item) in entries {
                    self.term(key);
                    self.pattern(item);
                }
            }
        }
    }

    fn operation(&self, term: &mut Term<&'s str>) {
        let Term::BinOp(left, operator, right) = std::mem::take(term) else {
            return;
        };
        let [first, second] = OPERANDS;
        *term = match operator {
            BinaryOp::Math(_) | BinaryOp::Cmp(_)
                if self
                    .outputs
                    .is_order_relevant([&*left, &*right].into_iter()) =>
            {
                let operands = (Term::Var(first), Term::Var(second));
                let inner = Term::BinOp(Box::new(operands.0), operator, Box::new(operands.1));
                pipe_as(*right, second, pipe_as(*left, first, inner))
            }
            BinaryOp::Alt => Term::Call(DEFINED_OR, vec![*left, *right]),
            BinaryOp::Update => Term::Call(MODIFY, vec![*left, *right]),
            BinaryOp::Assign => {
                let assign = Term::Call(ASSIGN, vec![*left, Term::Var(second)]);
                pipe_as(*right, second, assign)
            }
            BinaryOp::UpdateMath(math) => {
                let operands = (Box::new(Term::Id), Box::new(Term::Var(second)));
                let new = Term::BinOp(operands.0, BinaryOp::Math(math), operands.1);
                pipe_as(*right, second, Term::Call(MODIFY, vec![*left, new]))
            }
            BinaryOp::UpdateAlt => {
                let new = Term::Call(DEFINED_OR, vec![Term::Id, Term::Var(second)]);
                pipe_as(*right, second, Term::Call(MODIFY, vec![*left, new]))
            }
            BinaryOp::Pipe(_)
            | BinaryOp::Comma
            | BinaryOp::Or
            | BinaryOp::And
            | BinaryOp::Math(_)
            | BinaryOp::Cmp(_) => Term::BinOp(left, operator, right),
        };
    }

    /// The parts of a string are joined by `+`, whose right operand is in the outer loop.
    fn string(&self, term: &mut Term<&'s str>) {
        let Term::Str(_, parts) = term else {
            return;
        };
        let terms = parts.iter().filter_map(|part| match part {
            StrPart::Term(inner) => Some(inner),
            StrPart::Str(_) | StrPart::Char(_) => None,
        });
        if !self.outputs.is_order_relevant(terms) {
            return;
        }
        let inner = parts.iter_mut().filter_map(|part| match part {
            StrPart::Term(inner) => Some(inner),
            StrPart::Str(_) | StrPart::Char(_) => None,
        });
        let bound = take_terms(inner);
        bind_before(term, bound);
    }

    /// jq evaluates the last argument of a filter that is written in C in the outer loop.
    fn native_call(&self, term: &mut Term<&'s str>) {
        const NATIVE: &[&str] = &[
            "pow", "atan2", "fmin", "fmax", "fmod", "hypot", "copysign", "ldexp", "scalb",
            "scalbln", "fma", "setpath", "match", "test",
        ];
        let Term::Call(name, arguments) = term else {
            return;
        };
        if NATIVE.contains(name)
            && !self.outputs.redefined.contains(name)
            && self.outputs.is_order_relevant(arguments.iter())
        {
            let bound = take_terms(arguments.iter_mut());
            bind_before(term, bound);
        }
    }

    /// jq evaluates the key of a step before the steps before it.
    fn path(&self, term: &mut Term<&'s str>) {
        if self.outputs.is_one(term) {
            return;
        }
        let Term::Path(_, Path(parts)) = term else {
            return;
        };
        let keys = parts.iter_mut().flat_map(|(part, _)| match part {
            Part::Index(index) => [Some(index), None],
            Part::Range(start, end) => [end.as_mut(), start.as_mut()],
        });
        let bound = take_terms(keys.flatten());
        bind_before(term, bound);
    }

    /// `reduce` and `foreach` whose update may not have exactly one output.
    fn fold(&self, term: &mut Term<&'s str>) {
        let Term::Fold(name, _, _, arguments) = term else {
            return;
        };
        let Some(update) = arguments
            .get_mut(1)
            .filter(|update| !self.outputs.is_one(update))
        else {
            return;
        };
        if *name == "reduce" {
            let update_all = std::mem::take(update);
            *update = Term::Call(LAST_OR_NULL, vec![update_all]);
            return;
        }
        // The state becomes the array of all outputs: the last is the next state, and each is put out.
        let last = Term::Path(
            Box::new(Term::Id),
            Path(vec![(
                Part::Index(Term::Neg(Box::new(Term::Num("1")))),
                jaq_core::path::Opt::Essential,
            )]),
        );
        let outputs = Term::Arr(Some(Box::new(std::mem::take(update))));
        *update = Term::BinOp(Box::new(last), BinaryOp::Pipe(None), Box::new(outputs));
        if let Some(start) = arguments.first_mut() {
            let first = std::mem::take(start);
            let array = Term::Arr(Some(Box::new(Term::Id)));
            *start = Term::BinOp(Box::new(first), BinaryOp::Pipe(None), Box::new(array));
        }
        let each = Term::Path(
            Box::new(Term::Id),
            Path(vec![(
                Part::Range(None, None),
                jaq_core::path::Opt::Essential,
            )]),
        );
        let extract = match arguments.pop() {
            Some(extract) if arguments.len() == 2 => {
                Term::BinOp(Box::new(each), BinaryOp::Pipe(None), Box::new(extract))
            }
            Some(update) => {
                arguments.push(update);
                each
            }
            None => each,
        };
        arguments.push(extract);
    }
}

/// Has the errors of a term caught, unless it cannot fail: plain steps from the input always yield paths.
fn guard(inner: &mut Term<&str>) {
    let is_path = matches!(inner, Term::Path(from, _) if matches!(**from, Term::Id));
    if !is_path {
        let guarded = std::mem::take(inner);
        *inner = Term::Call(GUARDED, vec![guarded]);
    }
}
