//! Reads a program's text as jq 1.8 reads it, into jaq's syntax tree.
//!
//! jaq's own parser differs from jq in precedence (`//` and `=`, `%` and `*`, `as`) and accepts chains of comparisons,
//! so the same text could mean something else. This parser follows jq's grammar and uses only jaq's lexer.

mod cursor;
mod pattern;
mod term;

use jaq_core::load::lex::Lexer;
use jaq_core::load::parse::{BinaryOp, Def, Pattern, Term};
use jaq_core::ops::{Cmp, Math};

use crate::fence;
use cursor::Cursor;

pub(crate) use cursor::Unexpected;

type Parsed<'s, T = Term<&'s str>> = Result<T, Unexpected<'s>>;

/// Reads a program: definitions and a term.
pub(crate) fn program(source: &str) -> Result<Term<&str>, Unexpected<'_>> {
    let tokens = Lexer::new(source).lex().map_err(|errors| {
        let first = errors.into_iter().next();
        first.map_or_else(Unexpected::unreadable, |(expected, found)| Unexpected {
            expected: expected.as_str(),
            found,
        })
    })?;
    let mut cursor = Cursor::new(&tokens, source);
    if let Some(word @ ("import" | "include" | "module")) = cursor.peek_text() {
        return Err(Unexpected::module(word));
    }
    let term = cursor.query()?;
    cursor.end("the end of the program")?;
    Ok(term)
}

/// Reads definitions only.
pub(crate) fn definitions(source: &str) -> Result<Vec<Def<&str>>, Unexpected<'_>> {
    let tokens = Lexer::new(source)
        .lex()
        .map_err(|_| Unexpected::unreadable())?;
    let mut cursor = Cursor::new(&tokens, source);
    let definitions = cursor.definitions()?;
    cursor.end("a definition")?;
    Ok(definitions)
}

/// The operators between two terms, with their precedence.
fn operator(symbol: &str) -> Option<(u8, Associativity, BinaryOp<&'static str>)> {
    use Associativity::{Left, None, Right};
    Some(match symbol {
        "//" => (1, Right, BinaryOp::Alt),
        "=" => (2, None, BinaryOp::Assign),
        "|=" => (2, None, BinaryOp::Update),
        "+=" => (2, None, BinaryOp::UpdateMath(Math::Add)),
        "-=" => (2, None, BinaryOp::UpdateMath(Math::Sub)),
        "*=" => (2, None, BinaryOp::UpdateMath(Math::Mul)),
        "/=" => (2, None, BinaryOp::UpdateMath(Math::Div)),
        "%=" => (2, None, BinaryOp::UpdateMath(Math::Rem)),
        "//=" => (2, None, BinaryOp::UpdateAlt),
        "or" => (3, Left, BinaryOp::Or),
        "and" => (4, Left, BinaryOp::And),
        "==" => (5, None, BinaryOp::Cmp(Cmp::Eq)),
        "!=" => (5, None, BinaryOp::Cmp(Cmp::Ne)),
        "<" => (5, None, BinaryOp::Cmp(Cmp::Lt)),
        ">" => (5, None, BinaryOp::Cmp(Cmp::Gt)),
        "<=" => (5, None, BinaryOp::Cmp(Cmp::Le)),
        ">=" => (5, None, BinaryOp::Cmp(Cmp::Ge)),
        "+" => (6, Left, BinaryOp::Math(Math::Add)),
        "-" => (6, Left, BinaryOp::Math(Math::Sub)),
        "*" => (7, Left, BinaryOp::Math(Math::Mul)),
        "/" => (7, Left, BinaryOp::Math(Math::Div)),
        "%" => (7, Left, BinaryOp::Math(Math::Rem)),
        _ => return Option::None,
    })
}

/// How operators of the same precedence group.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Associativity {
    Left,
    Right,
    /// They cannot be chained: `1 < 2 < 3` is refused.
    None,
}

fn binary<'s>(
    left: Term<&'s str>,
    operator: BinaryOp<&'s str>,
    right: Term<&'s str>,
) -> Term<&'s str> {
    Term::BinOp(Box::new(left), operator, Box::new(right))
}

impl<'s> Cursor<'_, 's> {
    /// `def f: …; query`, `label $l | query`, `a | b`, `a, b`, `expression as $x | query`.
    fn query(&mut self) -> Parsed<'s> {
        fence::step();
        let first = self.unit()?;
        let mut left = first;
        while self.accept(",") {
            let right = self.unit()?;
            left = binary(left, BinaryOp::Comma, right);
        }
        if self.accept("|") {
            let right = self.query()?;
            left = binary(left, BinaryOp::Pipe(None), right);
        }
        Ok(left)
    }

    /// One operand of `,`. A definition, a label or a binding extends to the end of the query.
    fn unit(&mut self) -> Parsed<'s> {
        match self.peek_text() {
            Some("def") => {
                let definitions = self.definitions()?;
                let body = self.query()?;
                Ok(Term::Def(definitions, Box::new(body)))
            }
            Some("label") => {
                self.advance();
                let name = self.variable()?;
                self.expect("|")?;
                let body = self.query()?;
                Ok(Term::Label(name, Box::new(body)))
            }
            _ => {
                let value = self.expression()?;
                match self.accept("as") {
                    true => self.binding(value),
                    false => Ok(value),
                }
            }
        }
    }

    /// What follows `value as`.
    fn binding(&mut self, value: Term<&'s str>) -> Parsed<'s> {
        let patterns = self.patterns()?;
        self.expect("|")?;
        let body = self.query()?;
        Ok(pattern::bind(value, patterns, body))
    }

    fn expression(&mut self) -> Parsed<'s> {
        self.operation(0)
    }

    /// Terms joined by operators of at least this precedence.
    fn operation(&mut self, least: u8) -> Parsed<'s> {
        fence::step();
        let mut left = self.term()?;
        // The lowest operator that may follow: one that cannot be chained excludes its own precedence.
        let mut most = u8::MAX;
        while let Some((precedence, associativity, operator)) =
            self.peek_operator().and_then(operator)
        {
            if precedence < least {
                break;
            }
            if precedence > most {
                return Err(self.unexpected("parentheses around one of the comparisons"));
            }
            self.advance();
            let right = match associativity {
                Associativity::Right => self.operation(precedence)?,
                Associativity::Left | Associativity::None => self.operation(precedence + 1)?,
            };
            left = binary(left, operator, right);
            most = match associativity {
                Associativity::None => precedence - 1,
                Associativity::Left | Associativity::Right => precedence,
            };
        }
        Ok(left)
    }

    fn definitions(&mut self) -> Parsed<'s, Vec<Def<&'s str>>> {
        let mut definitions = Vec::new();
        while self.accept("def") {
            definitions.push(self.definition()?);
        }
        Ok(definitions)
    }

    /// What follows `def`.
    fn definition(&mut self) -> Parsed<'s, Def<&'s str>> {
        let name = self.defined_name()?;
        let args = match self.block('(') {
            Some(tokens) => {
                let mut inner = self.inside(tokens);
                let mut args = vec![inner.parameter()?];
                while inner.accept(";") {
                    args.push(inner.parameter()?);
                }
                inner.close(")")?;
                args
            }
            None => Vec::new(),
        };
        self.expect(":")?;
        let body = self.query()?;
        self.expect(";")?;
        let mut definition = Def { name, args, body };
        match bind_parameters(&mut definition) {
            true => Ok(definition),
            false => Err(self.unexpected("parameters of different names")),
        }
    }
}

/// jq binds `$name` and the filter `name` to a parameter `$name`. If the body calls such a filter, all parameters become
/// filters, and the body binds the variables. False if another parameter hides a filter that must be called for that.
fn bind_parameters(definition: &mut Def<&str>) -> bool {
    let Def { args, body, .. } = definition;
    let values: Vec<&str> = args
        .iter()
        .filter_map(|arg| arg.strip_prefix('$'))
        .collect();
    if !values.iter().any(|name| calls(body, name)) {
        return true;
    }
    let plain: Vec<&str> = args
        .iter()
        .map(|arg| arg.strip_prefix('$').unwrap_or(arg))
        .collect();
    let hides = |index: usize| plain[index + 1..].contains(&plain[index]);
    if (0..args.len()).any(|index| args[index].starts_with('$') && hides(index)) {
        return false;
    }
    let variables = args.iter().rev().filter(|arg| arg.starts_with('$'));
    *body = variables.fold(std::mem::take(body), |body, variable| {
        let value = Term::Call(&variable[1..], Vec::new());
        binary(value, BinaryOp::Pipe(Some(Pattern::Var(variable))), body)
    });
    *args = plain;
    true
}

/// Whether a term calls the filter `name` without arguments.
fn calls(term: &Term<&str>, name: &str) -> bool {
    fence::step();
    if let Term::Call(called, arguments) = term
        && *called == name
        && arguments.is_empty()
    {
        return true;
    }
    let mut found = false;
    crate::visit::children(term, &mut |child| found = found || calls(child, name));
    found
}
