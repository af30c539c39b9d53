//! The position of the parser in its tokens.

use jaq_core::load::lex::{Tok, Token};

use super::Parsed;

/// Words that are no names of filters.
const KEYWORDS: &[&str] = &[
    "def", "module", "import", "include", "if", "then", "else", "elif", "end", "as", "reduce",
    "foreach", "and", "or", "try", "catch", "label", "break", "__loc__",
];

/// A token that the grammar does not allow, as a slice of the source.
#[derive(Debug)]
pub(crate) struct Unexpected<'s> {
    pub(crate) expected: &'static str,
    pub(crate) found: &'s str,
}

impl<'s> Unexpected<'s> {
    pub(super) fn unreadable() -> Self {
        Self {
            expected: "a program",
            found: "",
        }
    }

    pub(super) fn module(word: &'s str) -> Self {
        Self {
            expected: "a program without modules",
            found: word,
        }
    }
}

pub(super) struct Cursor<'t, 's> {
    rest: &'t [Token<&'s str>],
    source: &'s str,
    /// The text that is reported where the tokens end.
    after: &'s str,
}

impl<'t, 's> Cursor<'t, 's> {
    pub(super) fn new(tokens: &'t [Token<&'s str>], source: &'s str) -> Self {
        Self {
            rest: tokens,
            source,
            after: &source[source.len()..],
        }
    }

    /// A cursor over the tokens of a block.
    pub(super) fn inside(&self, tokens: &'t [Token<&'s str>]) -> Self {
        Self {
            rest: tokens,
            ..*self
        }
    }

    pub(super) fn peek(&self) -> Option<&'t Token<&'s str>> {
        self.rest.first()
    }

    /// The next token's text, unless it is a string: its text could look like a symbol.
    pub(super) fn peek_text(&self) -> Option<&'s str> {
        match self.peek()? {
            Token(_, Tok::Str(_)) => None,
            Token(text, Tok::Word | Tok::Var | Tok::Fmt | Tok::Num | Tok::Sym | Tok::Block(_)) => {
                Some(text)
            }
        }
    }

    /// The next token's text, if it can be an operator.
    pub(super) fn peek_operator(&self) -> Option<&'s str> {
        match self.peek()? {
            Token(text, Tok::Sym | Tok::Word) => Some(text),
            Token(_, Tok::Str(_) | Tok::Var | Tok::Fmt | Tok::Num | Tok::Block(_)) => None,
        }
    }

    /// The text of the token after the next.
    pub(super) fn peek_second(&self) -> Option<&'t Token<&'s str>> {
        self.rest.get(1)
    }

    pub(super) fn advance(&mut self) {
        self.rest = self.rest.get(1..).unwrap_or_default();
    }

    /// Whether the next token is `symbol`, which is then passed.
    pub(super) fn accept(&mut self, symbol: &str) -> bool {
        let found = self.peek_text() == Some(symbol);
        if found {
            self.advance();
        }
        found
    }

    pub(super) fn expect(&mut self, symbol: &'static str) -> Parsed<'s, ()> {
        match self.accept(symbol) {
            true => Ok(()),
            false => Err(self.unexpected(symbol)),
        }
    }

    /// Passes the bracket that closes a block, which is its last token.
    pub(super) fn close(mut self, bracket: &'static str) -> Parsed<'s, ()> {
        self.expect(bracket)?;
        self.end(bracket)
    }

    pub(super) fn end(&self, expected: &'static str) -> Parsed<'s, ()> {
        match self.rest {
            [] => Ok(()),
            [..] => Err(self.unexpected(expected)),
        }
    }

    pub(super) fn unexpected(&self, expected: &'static str) -> Unexpected<'s> {
        let found = self.peek().map_or(self.after, |Token(text, _)| text);
        Unexpected { expected, found }
    }

    /// The tokens of the block that begins with `bracket`, if it is next.
    pub(super) fn block(&mut self, bracket: char) -> Option<&'t [Token<&'s str>]> {
        match self.peek()? {
            Token(text, Tok::Block(tokens)) if text.starts_with(bracket) => {
                self.advance();
                Some(tokens)
            }
            _ => None,
        }
    }

    pub(super) fn variable(&mut self) -> Parsed<'s, &'s str> {
        match self.peek() {
            Some(Token("$__loc__", _)) => Err(self.unexpected("a variable other than `$__loc__`")),
            Some(Token(name, Tok::Var)) => {
                self.advance();
                Ok(name)
            }
            _ => Err(self.unexpected("a variable")),
        }
    }

    /// The name of a filter: no keyword.
    pub(super) fn identifier(&mut self) -> Parsed<'s, &'s str> {
        match self.peek() {
            Some(Token(name, Tok::Word)) if !KEYWORDS.contains(name) => {
                self.advance();
                Ok(name)
            }
            _ => Err(self.unexpected("an identifier")),
        }
    }

    /// The name in a definition. jq reads `true`, `false` and `null` as constants wherever they are called.
    pub(super) fn defined_name(&mut self) -> Parsed<'s, &'s str> {
        if let Some("true" | "false" | "null") = self.peek_text() {
            return Err(self.unexpected("a name that is no constant"));
        }
        // Only the prelude defines formats.
        if let Some(Token(name, Tok::Fmt)) = self.peek() {
            self.advance();
            return Ok(name);
        }
        self.identifier()
    }

    pub(super) fn parameter(&mut self) -> Parsed<'s, &'s str> {
        match self.peek() {
            Some(Token(_, Tok::Var)) => self.variable(),
            _ => self.identifier(),
        }
    }

    /// The source from the start of `first` to the end of `last`, which are slices of it.
    pub(super) fn span(&self, first: &'s str, last: &'s str) -> Option<&'s str> {
        let offset = |part: &str| {
            part.as_ptr()
                .addr()
                .checked_sub(self.source.as_ptr().addr())
        };
        self.source.get(offset(first)?..offset(last)? + last.len())
    }
}
