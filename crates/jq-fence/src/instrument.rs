//! Instruments a program so that an error can be located: wraps each part that can fail in a call of a native filter that
//! records the part's offset when an error passes. See [`locate`](crate::locate).

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Pattern, Term};
use jaq_core::path::{Opt, Part, Path};

use crate::locate::{CLEAR, LOCATE};

/// Wraps the parts of a program that can fail.
pub(crate) struct Instrumenter<'s> {
    source: &'s str,
    /// Every offset of the source as a jq number.
    offsets: &'s [String],
    /// The end of the part of the source that has been visited.
    visited: usize,
}

/// The offsets of `source` as jq numbers.
pub(crate) fn offsets(source: &str) -> Vec<String> {
    (0..=source.len())
        .map(|offset| offset.to_string())
        .collect()
}

impl<'s> Instrumenter<'s> {
    pub(crate) fn new(source: &'s str, offsets: &'s [String]) -> Self {
        Self {
            source,
            offsets,
            visited: 0,
        }
    }

    /// Wraps the parts of a term. Returns the offset at which the term begins, if it is known.
    pub(crate) fn instrument(&mut self, term: &mut Term<&'s str>) -> Option<usize> {
        match term {
            Term::Id | Term::Recurse | Term::Arr(None) => None,
            Term::Num(text) | Term::Var(text) | Term::Break(text) => self.locate(text),
            Term::Str(format, parts) => {
                let format = format.as_ref().and_then(|format| self.locate(format));
                let begin = format.or(self.instrument_string(parts));
                self.wrap(term, format);
                begin
            }
            Term::Arr(Some(inner)) | Term::Label(_, inner) => self.instrument(inner),
            Term::Neg(inner) => {
                let begin = self.instrument(inner);
                self.wrap(term, begin)
            }
            Term::Obj(entries) => {
                let entries = entries.iter_mut();
                let terms = entries.flat_map(|(key, value)| [Some(key), value.as_mut()]);
                let begin = self.instrument_all(terms.flatten());
                self.wrap(term, begin)
            }
            Term::BinOp(left, operator, right) => {
                let begin = self.instrument(left);
                if let BinaryOp::Pipe(Some(pattern)) = operator {
                    self.visit_pattern(pattern);
                }
                let begin = begin.or(self.instrument(right));
                match can_fail(operator) {
                    true => self.wrap(term, begin),
                    false => begin,
                }
            }
            Term::Fold(name, source, pattern, arguments) => {
                let begin = self.locate(name);
                self.instrument(source);
                self.visit_pattern(pattern);
                self.instrument_all(arguments);
                self.wrap(term, begin)
            }
            Term::TryCatch(inner, catch) => {
                let begin = self.instrument(inner);
                self.instrument_all(catch.as_deref_mut());
                let handler = catch
                    .take()
                    .unwrap_or_else(|| Box::new(Term::Call("empty", Vec::new())));
                *catch = Some(Box::new(clear_before(handler)));
                begin
            }
            Term::IfThenElse(branches, otherwise) => {
                let mut begin = None;
                for (condition, branch) in branches {
                    begin = begin.or(self.instrument(condition));
                    self.instrument(branch);
                }
                self.instrument_all(otherwise.as_deref_mut());
                begin
            }
            Term::Def(definitions, inner) => {
                for definition in definitions {
                    self.instrument(&mut definition.body);
                }
                self.instrument(inner)
            }
            Term::Call(name, arguments) => {
                let begin = self.locate(name);
                self.instrument_all(arguments);
                self.wrap(term, begin)
            }
            Term::Path(..) => self.instrument_path(term),
        }
    }

    /// Wraps the parts of several terms. Returns the first offset that is known.
    fn instrument_all<'t>(
        &mut self,
        terms: impl IntoIterator<Item = &'t mut Term<&'s str>>,
    ) -> Option<usize>
    where
        's: 't,
    {
        let terms = terms.into_iter();
        terms.fold(None, |begin, term| begin.or(self.instrument(term)))
    }

    /// Wraps the parts of the terms in a string. Returns the first offset that is known.
    fn instrument_string(
        &mut self,
        parts: &mut [StrPart<&'s str, Term<&'s str>>],
    ) -> Option<usize> {
        parts.iter_mut().fold(None, |begin, part| {
            let part = match part {
                StrPart::Str(text) => self.locate(text),
                StrPart::Term(term) => self.instrument(term),
                StrPart::Char(_) => None,
            };
            begin.or(part)
        })
    }

    /// Splits a path, so that each of its steps is wrapped.
    fn instrument_path(&mut self, term: &mut Term<&'s str>) -> Option<usize> {
        let Term::Path(from, Path(parts)) = std::mem::take(term) else {
            return None;
        };
        *term = *from;
        let mut begin = self.instrument(term);
        for (mut part, optional) in parts {
            let at = match &mut part {
                Part::Index(index) => self.instrument(index),
                Part::Range(from, until) => {
                    let bracket = self
                        .source
                        .get(self.visited..)
                        .and_then(|rest| rest.find('['));
                    let bracket = bracket.map(|ahead| self.visited + ahead);
                    self.visited = bracket.map_or(self.visited, |bracket| bracket + 1);
                    self.instrument_all([from, until].into_iter().flatten());
                    bracket
                }
            };
            let from = Box::new(std::mem::take(term));
            *term = Term::Path(from, Path(vec![(part, optional)]));
            if matches!(optional, Opt::Essential) {
                self.wrap(term, at);
            }
            begin = begin.or(at);
        }
        begin
    }

    fn visit_pattern(&mut self, pattern: &Pattern<&'s str>) {
        match pattern {
            Pattern::Var(name) => drop(self.locate(name)),
            Pattern::Arr(patterns) => patterns.iter().for_each(|inner| self.visit_pattern(inner)),
            Pattern::Obj(entries) => entries
                .iter()
                .for_each(|(_, inner)| self.visit_pattern(inner)),
        }
    }

    /// The offset of a part of the source.
    fn locate(&mut self, part: &str) -> Option<usize> {
        let at = part
            .as_ptr()
            .addr()
            .checked_sub(self.source.as_ptr().addr())?;
        let end = at + part.len();
        if end > self.source.len() {
            return None;
        }
        self.visited = self.visited.max(end);
        Some(at)
    }

    fn wrap(&self, term: &mut Term<&'s str>, at: Option<usize>) -> Option<usize> {
        let number = self.offsets.get(at?)?;
        let part = std::mem::take(term);
        *term = Term::Call(LOCATE, vec![Term::Num(number), part]);
        at
    }
}

/// Whether the operator itself can raise an error, and not only its operands.
fn can_fail(operator: &BinaryOp<&str>) -> bool {
    match operator {
        BinaryOp::Pipe(None) | BinaryOp::Comma | BinaryOp::Alt | BinaryOp::Or | BinaryOp::And => {
            false
        }
        BinaryOp::Pipe(Some(_))
        | BinaryOp::Math(_)
        | BinaryOp::Cmp(_)
        | BinaryOp::Assign
        | BinaryOp::Update
        | BinaryOp::UpdateMath(_)
        | BinaryOp::UpdateAlt => true,
    }
}

fn clear_before(then: Box<Term<&str>>) -> Term<&str> {
    let clear = Box::new(Term::Call(CLEAR, Vec::new()));
    Term::BinOp(clear, BinaryOp::Pipe(None), then)
}
