//! Terms: what operators join.

use jaq_core::load::lex::{StrPart, Tok, Token};
use jaq_core::load::parse::{BinaryOp, Term};
use jaq_core::path::{Opt, Part, Path};

use super::cursor::Cursor;
use super::pattern::{bind_once, text};
use super::{Parsed, binary};

impl<'t, 's> Cursor<'t, 's> {
    /// A term with the `.field`, `[…]` and `?` that follow it.
    pub(super) fn term(&mut self) -> Parsed<'s> {
        crate::fence::step();
        if self.accept("-") {
            let term = self.term()?;
            return Ok(Term::Neg(Box::new(term)));
        }
        if self.accept("try") {
            return self.attempt();
        }
        let mut term = self.primary()?;
        loop {
            let mut parts = Vec::new();
            while let Some(part) = self.suffix()? {
                let optional = match self.question() {
                    true => Opt::Optional,
                    false => Opt::Essential,
                };
                parts.push((part, optional));
            }
            if !parts.is_empty() {
                term = Term::Path(Box::new(term), Path(parts));
            }
            match self.question() {
                true => term = Term::TryCatch(Box::new(term), None),
                false => return Ok(term),
            }
        }
    }

    /// Whether a `?` follows that does not belong to `?//`, which is then passed. jq reads `?//` as one token.
    fn question(&mut self) -> bool {
        let alternative = match (self.peek(), self.peek_second()) {
            (Some(Token(mark, _)), Some(Token(slashes @ ("//" | "//="), Tok::Sym))) => {
                mark.as_ptr().addr() + mark.len() == slashes.as_ptr().addr()
            }
            _ => false,
        };
        !alternative && self.accept("?")
    }

    /// What follows `try`: it binds as tightly as possible.
    fn attempt(&mut self) -> Parsed<'s> {
        let body = self.term()?;
        let handler = match self.accept("catch") {
            true => Some(Box::new(self.term()?)),
            false => None,
        };
        Ok(Term::TryCatch(Box::new(body), handler))
    }

    fn primary(&mut self) -> Parsed<'s> {
        let Some(Token(text, kind)) = self.peek() else {
            return Err(self.unexpected("term"));
        };
        match kind {
            Tok::Word => self.word(),
            Tok::Var => {
                let name = self.variable()?;
                Ok(Term::Var(name))
            }
            Tok::Num => {
                self.advance();
                Ok(Term::Num(text))
            }
            Tok::Str(_) => self.string(),
            Tok::Fmt => match self.peek_second() {
                Some(Token(_, Tok::Str(_))) => self.string(),
                _ => {
                    self.advance();
                    Ok(Term::Call(text, Vec::new()))
                }
            },
            Tok::Block(_) => self.bracket(),
            Tok::Sym => self.dot(),
        }
    }

    fn word(&mut self) -> Parsed<'s> {
        match self.peek_text() {
            Some("if") => {
                self.advance();
                self.condition()
            }
            Some(fold @ ("reduce" | "foreach")) => {
                self.advance();
                self.fold(fold)
            }
            Some("break") => {
                self.advance();
                Ok(Term::Break(self.variable()?))
            }
            _ => {
                let name = self.identifier()?;
                let arguments = match self.block('(') {
                    Some(tokens) => {
                        let mut inner = self.inside(tokens);
                        let arguments = inner.arguments()?;
                        inner.close(")")?;
                        arguments
                    }
                    None => Vec::new(),
                };
                Ok(Term::Call(name, arguments))
            }
        }
    }

    /// Queries between `;`.
    fn arguments(&mut self) -> Parsed<'s, Vec<Term<&'s str>>> {
        let mut arguments = vec![self.query()?];
        while self.accept(";") {
            arguments.push(self.query()?);
        }
        Ok(arguments)
    }

    /// What follows `if`.
    fn condition(&mut self) -> Parsed<'s> {
        let mut branches = Vec::new();
        loop {
            let condition = self.query()?;
            self.expect("then")?;
            branches.push((condition, self.query()?));
            if self.accept("elif") {
                continue;
            }
            if self.accept("end") {
                return Ok(Term::IfThenElse(branches, None));
            }
            if !self.accept("else") {
                return Err(self.unexpected("else or end"));
            }
            let otherwise = Some(Box::new(self.query()?));
            self.expect("end")?;
            return Ok(Term::IfThenElse(branches, otherwise));
        }
    }

    /// What follows `reduce` or `foreach`.
    fn fold(&mut self, name: &'s str) -> Parsed<'s> {
        let source = self.expression()?;
        self.expect("as")?;
        let mut patterns = self.patterns()?;
        if patterns.len() > 1 {
            return Err(self.unexpected("one pattern instead of several with `?//`"));
        }
        let Some(tokens) = self.block('(') else {
            return Err(self.unexpected("(initial value; update)"));
        };
        let mut inner = self.inside(tokens);
        let arguments = inner.arguments()?;
        match (name, arguments.len()) {
            (_, 2) | ("foreach", 3) => inner.close(")")?,
            (_, 1) => return Err(inner.unexpected(";")),
            _ => return Err(inner.unexpected(")")),
        }
        let mut pattern = patterns.remove(0);
        bind_once(&mut pattern);
        Ok(Term::Fold(name, Box::new(source), pattern, arguments))
    }

    /// `(query)`, `[query]` or `{entries}`.
    fn bracket(&mut self) -> Parsed<'s> {
        if let Some(query) = self.parenthesized()? {
            return Ok(query);
        }
        if let Some(tokens) = self.block('[') {
            let mut inner = self.inside(tokens);
            if inner.accept("]") {
                return Ok(Term::Arr(None));
            }
            let query = inner.query()?;
            inner.close("]")?;
            return Ok(Term::Arr(Some(Box::new(query))));
        }
        let Some(tokens) = self.block('{') else {
            return Err(self.unexpected("term"));
        };
        let mut inner = self.inside(tokens);
        let mut entries = Vec::new();
        while !inner.accept("}") {
            entries.push(inner.entry()?);
            if !inner.accept(",") {
                inner.close("}")?;
                break;
            }
        }
        Ok(Term::Obj(entries))
    }

    /// A query in parentheses, if one follows.
    fn parenthesized(&mut self) -> Parsed<'s, Option<Term<&'s str>>> {
        let Some(tokens) = self.block('(') else {
            return Ok(None);
        };
        let mut inner = self.inside(tokens);
        let query = inner.query()?;
        inner.close(")")?;
        Ok(Some(query))
    }

    /// A key in parentheses.
    pub(super) fn computed_key(&mut self) -> Parsed<'s, Term<&'s str>> {
        let key = self.parenthesized()?;
        key.ok_or_else(|| self.unexpected("a key"))
    }

    /// One entry of an object.
    fn entry(&mut self) -> Parsed<'s, (Term<&'s str>, Option<Term<&'s str>>)> {
        let key = match self.peek() {
            Some(Token(_, Tok::Var)) => Term::Var(self.variable()?),
            Some(Token(name, Tok::Word)) if !name.contains("::") => {
                self.advance();
                text(name)
            }
            Some(Token(_, Tok::Block(_))) => {
                let key = self.computed_key()?;
                self.expect(":")?;
                return Ok((key, Some(self.entry_value()?)));
            }
            _ => self.string()?,
        };
        let value = match self.accept(":") {
            true => Some(self.entry_value()?),
            false => None,
        };
        Ok((key, value))
    }

    /// Expressions between `|`: a `,` ends the entry.
    fn entry_value(&mut self) -> Parsed<'s> {
        let mut value = self.expression()?;
        while self.accept("|") {
            let right = self.expression()?;
            value = binary(value, BinaryOp::Pipe(None), right);
        }
        Ok(value)
    }

    /// A string with its format, if it has one.
    pub(super) fn string(&mut self) -> Parsed<'s> {
        let format = match self.peek() {
            Some(Token(format, Tok::Fmt)) => {
                self.advance();
                Some(*format)
            }
            _ => None,
        };
        let Some(Token(_, Tok::Str(parts))) = self.peek() else {
            return Err(self.unexpected("a string"));
        };
        self.advance();
        let parts = parts.iter().map(|part| {
            Ok(match part {
                StrPart::Str(text) => StrPart::Str(*text),
                StrPart::Char(character) => StrPart::Char(*character),
                StrPart::Term(Token(_, Tok::Block(tokens))) => {
                    let mut inner = self.inside(tokens);
                    let query = inner.query()?;
                    inner.close(")")?;
                    StrPart::Term(query)
                }
                StrPart::Term(_) => return Err(self.unexpected("parentheses")),
            })
        });
        Ok(Term::Str(format, parts.collect::<Parsed<'s, Vec<_>>>()?))
    }

    /// A term that begins with a dot.
    fn dot(&mut self) -> Parsed<'s> {
        match self.peek_text() {
            Some("..") => {
                self.advance();
                Ok(Term::Recurse)
            }
            Some(dot @ ".") => {
                if let Some(Token(number, Tok::Num)) = self.peek_second() {
                    let span = self.span(dot, number);
                    if let Some(span) = span.filter(|span| span.len() == 1 + number.len()) {
                        self.advance();
                        self.advance();
                        return Ok(Term::Num(span));
                    }
                }
                if let Some(Token(_, Tok::Str(_) | Tok::Fmt)) = self.peek_second() {
                    return Ok(Term::Id);
                }
                self.advance();
                match self.peek() {
                    Some(Token(_, Tok::Word)) if !self.at_operator_word() => {
                        Err(self.unexpected(".[\"field\"] for an unusual name"))
                    }
                    _ => Ok(Term::Id),
                }
            }
            Some(field) if field.starts_with('.') => Ok(Term::Id),
            _ => Err(self.unexpected("term")),
        }
    }

    /// Whether a word follows that can follow a term.
    fn at_operator_word(&self) -> bool {
        matches!(
            self.peek_text(),
            Some("and" | "or" | "as" | "then" | "elif" | "else" | "end" | "catch")
        )
    }

    /// `.field`, `."field"`, `[…]` or `.[…]`, if one follows.
    fn suffix(&mut self) -> Parsed<'s, Option<Part<Term<&'s str>>>> {
        match (self.peek(), self.peek_second()) {
            (Some(Token(_, Tok::Block(_))), _) => match self.block('[') {
                Some(tokens) => self.index(tokens).map(Some),
                None => Ok(None),
            },
            (Some(Token(".", Tok::Sym)), Some(Token(_, Tok::Str(_) | Tok::Fmt))) => {
                self.advance();
                self.string().map(|key| Some(Part::Index(key)))
            }
            (Some(Token(".", Tok::Sym)), Some(Token(bracket, Tok::Block(_))))
                if bracket.starts_with('[') =>
            {
                self.advance();
                self.suffix()
            }
            (Some(Token(field, Tok::Sym)), _) if field.len() > 1 && field.starts_with('.') => {
                if *field == ".." {
                    return Ok(None);
                }
                self.advance();
                Ok(Some(Part::Index(text(&field[1..]))))
            }
            _ => Ok(None),
        }
    }

    /// What is between `[` and `]` after a term.
    fn index(&self, tokens: &'t [Token<&'s str>]) -> Parsed<'s, Part<Term<&'s str>>> {
        let mut inner = self.inside(tokens);
        if inner.accept("]") {
            return Ok(Part::Range(None, None));
        }
        if inner.accept(":") {
            let until = inner.query()?;
            inner.close("]")?;
            return Ok(Part::Range(None, Some(until)));
        }
        let from = inner.query()?;
        if !inner.accept(":") {
            inner.close("]")?;
            return Ok(Part::Index(from));
        }
        if inner.accept("]") {
            return Ok(Part::Range(Some(from), None));
        }
        let until = inner.query()?;
        inner.close("]")?;
        Ok(Part::Range(Some(from), Some(until)))
    }
}
