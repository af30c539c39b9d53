//! Parses a program's text into jaq's syntax tree.

use jaq_core::load::lex::Lexer;
use jaq_core::load::parse::Term;

use crate::compile_error::CompileError;
use crate::grammar::{self, Unexpected};
use crate::host::{self, Host};

/// Characters of the offending text in an error message.
const MAX_EXCERPT: usize = 40;

pub(crate) fn parse<'s>(source: &'s str, host: &Host) -> Result<Term<&'s str>, CompileError> {
    if is_empty(source) {
        return Err(CompileError::at(
            source,
            source,
            "the program is empty; `.` passes the input on as it is",
        ));
    }
    grammar::program(source).map_err(|Unexpected { expected, found }| {
        let message = match host::unavailable(found, host) {
            Some(message) => message,
            None => format!("expected {expected}, found {}", excerpt(found)),
        };
        CompileError::at(source, found, message)
    })
}

/// Whether the program has only white space and comments.
fn is_empty(source: &str) -> bool {
    Lexer::new(source)
        .lex()
        .is_ok_and(|tokens| tokens.is_empty())
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
