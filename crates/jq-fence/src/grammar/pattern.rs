//! Patterns after `as`, and their alternatives `?//`.

use jaq_core::load::lex::{StrPart, Tok, Token};
use jaq_core::load::parse::{BinaryOp, Pattern, Term};

use super::cursor::Cursor;
use super::{Parsed, binary};
use crate::natives::ALTERNATIVES;

/// The variable that holds what alternative patterns are tried on.
const VALUE: &str = "$value__";

/// The variable of a place in a pattern that another place of the same variable overrides.
const UNUSED: &str = "$unused__";

/// Binds the outputs of `value` in `body`. jq tries alternative patterns in turn, as long as there is an error in the
/// pattern or in the body, and every variable of any of them is null where its pattern does not set it.
pub(super) fn bind<'s>(
    value: Term<&'s str>,
    mut patterns: Vec<Pattern<&'s str>>,
    body: Term<&'s str>,
) -> Term<&'s str> {
    if patterns.len() == 1
        && let Some(mut pattern) = patterns.pop()
    {
        bind_once(&mut pattern);
        return binary(value, BinaryOp::Pipe(Some(pattern)), body);
    }
    let mut variables = Vec::new();
    for pattern in &mut patterns {
        discard_repeated(pattern, Winner::LastStored, &mut Vec::new());
        collect(pattern, &mut variables);
    }
    let mut attempts = patterns.into_iter().rev().map(|pattern| {
        let attempt = binary(
            Term::Var(VALUE),
            BinaryOp::Pipe(Some(pattern)),
            body.clone(),
        );
        variables.iter().fold(attempt, |attempt, variable| {
            let pattern = Some(Pattern::Var(*variable));
            binary(constant("null"), BinaryOp::Pipe(pattern), attempt)
        })
    });
    let last = attempts.next().unwrap_or_default();
    let all = attempts.fold(last, |otherwise, attempt| {
        Term::Call(ALTERNATIVES, vec![attempt, otherwise])
    });
    binary(value, BinaryOp::Pipe(Some(Pattern::Var(VALUE))), all)
}

/// Which of several places of a variable in a pattern binds it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Winner {
    FirstStored,
    LastStored,
}

/// Leaves one place of every variable in a pattern. jq stores the items of an array from the last to the first and those of
/// an object in their order, and the body sees the variable that is stored first.
pub(super) fn bind_once(pattern: &mut Pattern<&str>) {
    discard_repeated(pattern, Winner::FirstStored, &mut Vec::new());
}

/// With alternative patterns, all places store the same variable, so the last stored wins.
fn discard_repeated<'s>(pattern: &mut Pattern<&'s str>, winner: Winner, bound: &mut Vec<&'s str>) {
    let first_to_last = match pattern {
        Pattern::Var(name) if bound.contains(name) => return *name = UNUSED,
        Pattern::Var(name) => return bound.push(name),
        Pattern::Arr(_) => winner == Winner::LastStored,
        Pattern::Obj(_) => winner == Winner::FirstStored,
    };
    let mut items: Vec<_> = match pattern {
        Pattern::Var(_) => Vec::new(),
        Pattern::Arr(items) => items.iter_mut().collect(),
        Pattern::Obj(entries) => entries.iter_mut().map(|(_, item)| item).collect(),
    };
    if !first_to_last {
        items.reverse();
    }
    for item in items {
        discard_repeated(item, winner, bound);
    }
}

fn collect<'s>(pattern: &Pattern<&'s str>, variables: &mut Vec<&'s str>) {
    match pattern {
        Pattern::Var(name) if variables.contains(name) => {}
        Pattern::Var(name) => variables.push(name),
        Pattern::Arr(items) => items.iter().for_each(|item| collect(item, variables)),
        Pattern::Obj(entries) => entries
            .iter()
            .for_each(|(_, item)| collect(item, variables)),
    }
}

/// The constant `true`, `false` or `null`.
pub(super) fn constant(name: &str) -> Term<&str> {
    Term::Call(name, Vec::new())
}

/// A string without escapes.
pub(super) fn text(text: &str) -> Term<&str> {
    Term::Str(None, vec![StrPart::Str(text)])
}

impl<'s> Cursor<'_, 's> {
    /// One pattern, or several between `?//`.
    pub(super) fn patterns(&mut self) -> Parsed<'s, Vec<Pattern<&'s str>>> {
        let mut patterns = vec![self.pattern()?];
        while self.accept("?") {
            self.expect("//")?;
            patterns.push(self.pattern()?);
        }
        Ok(patterns)
    }

    fn pattern(&mut self) -> Parsed<'s, Pattern<&'s str>> {
        crate::fence::step();
        if let Some(tokens) = self.block('[') {
            let mut inner = self.inside(tokens);
            let mut items = vec![inner.pattern()?];
            while inner.accept(",") {
                items.push(inner.pattern()?);
            }
            inner.close("]")?;
            return Ok(Pattern::Arr(items));
        }
        if let Some(tokens) = self.block('{') {
            let mut inner = self.inside(tokens);
            let mut entries = Vec::new();
            inner.pattern_entry(&mut entries)?;
            while inner.accept(",") {
                inner.pattern_entry(&mut entries)?;
            }
            inner.close("}")?;
            return Ok(Pattern::Obj(entries));
        }
        Ok(Pattern::Var(self.variable()?))
    }

    fn pattern_entry(
        &mut self,
        entries: &mut Vec<(Term<&'s str>, Pattern<&'s str>)>,
    ) -> Parsed<'s, ()> {
        let key = match self.peek() {
            Some(Token(_, Tok::Var)) => {
                let name = self.variable()?;
                entries.push((text(&name[1..]), Pattern::Var(name)));
                if !self.accept(":") {
                    return Ok(());
                }
                entries.push((text(&name[1..]), self.pattern()?));
                return Ok(());
            }
            Some(Token(name, Tok::Word)) => {
                self.advance();
                text(name)
            }
            Some(Token(_, Tok::Block(_))) => self.computed_key()?,
            _ => self.string()?,
        };
        self.expect(":")?;
        entries.push((key, self.pattern()?));
        Ok(())
    }
}
