//! Parses a program's text into jaq's syntax tree.

use jaq_core::load::lex::{Lexer, Token};
use jaq_core::load::parse::{Parser, Term};

use crate::compile_error::CompileError;
use crate::host::{self, Host};

/// Characters of the offending text in an error message.
const MAX_EXCERPT: usize = 40;

pub(crate) fn parse<'s>(source: &'s str, host: &Host) -> Result<Term<&'s str>, CompileError> {
    let error = |expected: &str, found: &str| {
        let message = format!("expected {expected}, found {}", excerpt(found));
        CompileError::at(source, found, message)
    };
    let unreadable = || CompileError::at(source, source, "the program cannot be read");
    let tokens = Lexer::new(source).lex().map_err(|errors| {
        let first = errors.into_iter().next();
        first.map_or_else(unreadable, |(expected, found)| {
            error(expected.as_str(), found)
        })
    })?;
    if tokens.is_empty() {
        return Err(CompileError::at(
            source,
            source,
            "the program is empty; `.` passes the input on as it is",
        ));
    }
    if let Some(Token(word @ ("import" | "include" | "module"), _)) = tokens.first() {
        let message = host::unavailable(word, host).unwrap_or_default();
        return Err(CompileError::at(source, word, message));
    }
    Parser::new(&tokens)
        .parse(|parser| parser.term())
        .map_err(|errors| {
            let first = errors.into_iter().next();
            first.map_or_else(unreadable, |(expected, found)| {
                error(expected.as_str(), Token::opt_as_str(found, source))
            })
        })
}

/// The beginning of the offending text.
fn excerpt(found: &str) -> String {
    let line = found.lines().next().unwrap_or("");
    match line.char_indices().nth(MAX_EXCERPT) {
        _ if found.is_empty() => "the end of the program".to_owned(),
        Some((end, _)) => format!("`{}…`", &line[..end]),
        None => format!("`{line}`"),
    }
}
