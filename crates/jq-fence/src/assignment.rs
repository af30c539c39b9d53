//! Finds the assignment `=` in a program.

use jaq_core::load::lex::{Lexer, StrPart, Tok, Token};

use crate::compile::with_large_stack;

/// Whether `source` contains the operator `=`.
pub(crate) fn is_in(source: &str) -> bool {
    let found = with_large_stack(source, || {
        Ok(contains(&Lexer::new(source).lex().unwrap_or_default()))
    });
    found.unwrap_or(false)
}

fn contains(tokens: &[Token<&str>]) -> bool {
    tokens.iter().any(|Token(text, kind)| match kind {
        Tok::Sym => *text == "=",
        Tok::Block(inner) => contains(inner),
        Tok::Str(parts) => parts.iter().any(|part| match part {
            StrPart::Term(term) => contains(std::slice::from_ref(term)),
            StrPart::Str(_) | StrPart::Char(_) => false,
        }),
        Tok::Word | Tok::Var | Tok::Fmt | Tok::Num => false,
    })
}

#[cfg(test)]
mod tests {
    use super::is_in;

    #[test]
    fn assignment_is_distinguished_from_comparison() {
        for source in [
            ".a = 1",
            "(.a = 1) | .b",
            "\"\\(.a = 1)\"",
            ".a == 1 and .b = 2",
        ] {
            assert!(is_in(source), "{source}");
        }
        for source in [
            ".a == 1",
            ".a |= 1",
            ".a <= 1",
            "\"a = b\"",
            ".a # = 1",
            ".a != 1",
        ] {
            assert!(!is_in(source), "{source}");
        }
    }
}
