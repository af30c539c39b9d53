//! Takes a predicate's text apart: at its `and`s, and a term at what it looks at.
//!
//! jaq's terms do not know where they stand. So a text is cut at its tokens, and a cut counts only if the pieces parse to
//! what the whole parses to: precedence, parentheses and definitions are jaq's own. A piece is run as the program itself
//! with everything blanked that is neither the piece nor what it stands behind (`def f: …;`, `.a |`, `. as $x |`), so
//! places in it are places in the program.

use std::ops::Range;

use jaq_core::load::lex::{Lexer, Tok, Token};
use jaq_core::load::parse::{BinaryOp, Term};

use crate::mapping::Program;
use crate::mapping::compile::{self, CompileError};

/// Terms of one predicate, and how deep they may stand in parentheses; what is beyond stays in one piece.
const TERMS: usize = 100;

/// Values that are shown of one term.
const LOOKED_AT: usize = 6;

/// A predicate's terms, and what they all stand behind.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Apart {
    before: Vec<Range<usize>>,
    pub(super) terms: Vec<Range<usize>>,
}

impl Apart {
    pub(super) fn of(source: &str) -> Result<Self, CompileError> {
        let text = source.to_owned();
        compile::with_stack(source, move || {
            let whole = 0..text.len();
            let apart = spine(&text);
            let checked = apart.filter(|(before, body)| {
                let joined = blanked(&text, before, body);
                parsed(&joined) == parsed(&text)
            });
            let (before, body) = checked.unwrap_or((Vec::new(), whole));
            let mut terms = Vec::new();
            flatten(&text, body, 0, &mut terms);
            Ok(Self { before, terms })
        })
    }

    /// A piece of the program as a program.
    pub(super) fn program(&self, source: &str, piece: &Range<usize>) -> Program {
        Program::new(blanked(source, &self.before, piece))
    }

    /// The program that yields what a term is asked of: a `.` of its own stands where the term begins.
    pub(super) fn asked_of(&self, source: &str, term: &Range<usize>) -> Program {
        let mut text = blanked(source, &self.before, &(term.start..term.start));
        text.replace_range(term.start..=term.start, ".");
        Program::new(text)
    }
}

/// The source with everything blanked but some of its pieces; what stays, stays where it is.
fn blanked(source: &str, before: &[Range<usize>], piece: &Range<usize>) -> String {
    let mut text = String::with_capacity(source.len());
    let mut upto = 0;
    let blank = |text: &mut String, part: &str| {
        text.extend(part.chars().flat_map(|character| match character {
            '\n' => std::iter::repeat_n('\n', 1),
            other => std::iter::repeat_n(' ', other.len_utf8()),
        }));
    };
    for kept in before.iter().chain([piece]) {
        blank(&mut text, &source[upto..kept.start]);
        text.push_str(&source[kept.clone()]);
        upto = kept.end;
    }
    blank(&mut text, &source[upto..]);
    text
}

/// The parts of a term that look at the delivery.
pub(super) fn readings(
    source: &str,
    term: &Range<usize>,
) -> Result<Vec<Range<usize>>, CompileError> {
    let (text, term) = (source.to_owned(), term.clone());
    compile::with_stack(source, move || {
        let mut found = Vec::new();
        read(&text, term, true, 0, &mut found);
        Ok(found)
    })
}

/// What a piece parses to, as a text that can be compared.
fn parsed(text: &str) -> Option<String> {
    compile::parse(text).ok().map(|term| told(&term))
}

fn told(term: &Term<&str>) -> String {
    format!("{term:?}")
}

/// A token of a piece: its text and where it stands in the source.
struct Seen<'s> {
    text: &'s str,
    at: Range<usize>,
    is_group: bool,
}

/// The tokens of a piece, of blocks only the outer ones.
fn tokens<'s>(source: &'s str, piece: &Range<usize>) -> Vec<Seen<'s>> {
    let tokens = Lexer::new(&source[piece.clone()]).lex().unwrap_or_default();
    tokens
        .into_iter()
        .filter_map(|Token(text, token)| {
            let start = text.as_ptr().addr().checked_sub(source.as_ptr().addr())?;
            Some(Seen {
                text,
                at: start..start + text.len(),
                is_group: matches!(token, Tok::Block(_)) && text.starts_with('('),
            })
        })
        .collect()
}

/// A piece without the space and the comments around it, and without the parentheses around all of it.
fn bare(source: &str, mut piece: Range<usize>) -> Range<usize> {
    loop {
        let tokens = tokens(source, &piece);
        let (Some(first), Some(last)) = (tokens.first(), tokens.last()) else {
            return piece;
        };
        match &tokens[..] {
            [group] if group.is_group => piece = group.at.start + 1..group.at.end - 1,
            _ => return first.at.start..last.at.end,
        }
    }
}

/// A piece without the space and the comments around it.
fn trimmed(source: &str, piece: Range<usize>) -> Range<usize> {
    let tokens = tokens(source, &piece);
    match (tokens.first(), tokens.last()) {
        (Some(first), Some(last)) => first.at.start..last.at.end,
        _ => piece,
    }
}

/// What a predicate's body stands behind, and the body.
fn spine(source: &str) -> Option<(Vec<Range<usize>>, Range<usize>)> {
    let mut before = Vec::new();
    let mut piece = 0..source.len();
    loop {
        piece = bare(source, piece);
        let term = compile::parse(&source[piece.clone()]).ok()?;
        let (Term::Def(_, body) | Term::BinOp(_, BinaryOp::Pipe(_), body)) = &term else {
            return Some((before, piece));
        };
        let body = told(body);
        let behind = |token: &Seen<'_>| {
            let rest = token.at.end..piece.end;
            let joins = matches!(token.text, "|" | ";");
            (joins && parsed(&source[rest.clone()])? == body).then_some(rest)
        };
        let rest = tokens(source, &piece).iter().find_map(behind)?;
        before.push(piece.start..rest.start);
        piece = rest;
    }
}

/// The two sides of a piece that is an operation.
fn sides(
    source: &str,
    piece: &Range<usize>,
    left: &Term<&str>,
    right: &Term<&str>,
) -> Option<(Range<usize>, Range<usize>)> {
    let (left, right) = (told(left), told(right));
    // Most operators bind to the left, so the last one is the outermost.
    tokens(source, piece).iter().rev().find_map(|token| {
        let (before, after) = (piece.start..token.at.start, token.at.end..piece.end);
        let fits = |piece: &Range<usize>, told: &str| {
            parsed(&source[piece.clone()]).is_some_and(|parsed| parsed == told)
        };
        (fits(&after, &right) && fits(&before, &left)).then_some((before, after))
    })
}

/// The terms that `and` joins.
fn flatten(source: &str, piece: Range<usize>, depth: usize, terms: &mut Vec<Range<usize>>) {
    let inner = bare(source, piece.clone());
    let term = compile::parse(&source[inner.clone()]);
    if depth < TERMS
        && let Ok(Term::BinOp(left, BinaryOp::And, right)) = &term
        && let Some((before, after)) = sides(source, &inner, left, right)
    {
        flatten(source, before, depth + 1, terms);
        flatten(source, after, depth + 1, terms);
    } else {
        terms.push(trimmed(source, piece));
    }
}

/// The parts of a term that look at the delivery, not at constants or at what another part yields.
fn read(
    source: &str,
    piece: Range<usize>,
    outermost: bool,
    depth: usize,
    found: &mut Vec<Range<usize>>,
) {
    let inner = bare(source, piece);
    let Ok(term) = compile::parse(&source[inner.clone()]) else {
        return;
    };
    if found.len() == LOOKED_AT || is_constant(&source[inner.clone()], &term) {
        return;
    }
    if depth < TERMS
        && let Term::BinOp(left, operator, right) = &term
        && let Some((before, after)) = sides(source, &inner, left, right)
    {
        match operator {
            BinaryOp::And
            | BinaryOp::Or
            | BinaryOp::Alt
            | BinaryOp::Comma
            | BinaryOp::Cmp(_)
            | BinaryOp::Math(_) => {
                read(source, before, false, depth + 1, found);
                return read(source, after, false, depth + 1, found);
            }
            // What `.a | not` looks at is `.a`; of `(.a | length) > 3` the length is worth more.
            BinaryOp::Pipe(None) if outermost => {
                return read(source, before, true, depth + 1, found);
            }
            BinaryOp::Pipe(_)
            | BinaryOp::Assign
            | BinaryOp::Update
            | BinaryOp::UpdateMath(_)
            | BinaryOp::UpdateAlt => {}
        }
    }
    found.push(inner);
}

fn is_constant(text: &str, term: &Term<&str>) -> bool {
    let is_json = || serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    matches!(term, Term::Call("empty", arguments) if arguments.is_empty()) || is_json()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::tests::evaluate;
    use crate::mapping::{EvalError, truthy};
    use proptest::prelude::*;

    fn terms(source: &str) -> Vec<String> {
        let apart = Apart::of(source).expect(source);
        let texts = apart
            .terms
            .iter()
            .map(|term| source[term.clone()].to_owned());
        texts.collect()
    }

    #[test]
    fn a_chain_is_split_where_jq_joins_it() {
        for (source, expected) in [
            (".a and .b and .c", &[".a", ".b", ".c"][..]),
            (".a and (.b and .c)", &[".a", ".b", ".c"]),
            ("((.a and .b) and .c)", &[".a", ".b", ".c"]),
            (".a or .b and .c", &[".a or .b and .c"]),
            ("(.a or .b) and .c", &["(.a or .b)", ".c"]),
            (".a | .b and .c", &[".b", ".c"]),
            (".a and (.b | .c and .d)", &[".a", "(.b | .c and .d)"]),
            ("(.a and .b) | not", &["not"]),
            ("def f: .a and .b; f and .c", &["f", ".c"]),
            (". as $x | $x.a and .b", &["$x.a", ".b"]),
            (
                "def f(g; h): g; def i: 1; f(.a; 2) as [$x] | (.a | ($x and .b))",
                &["$x", ".b"],
            ),
            (
                "if .a and .b then .c else .d end and .e",
                &["if .a and .b then .c else .d end", ".e"],
            ),
            (".a == \"x and y\" and .b", &[".a == \"x and y\"", ".b"]),
            ("\"\\(.a and .b)\" and .c", &["\"\\(.a and .b)\"", ".c"]),
            (
                "any(.a[]; .b and .c) and .d",
                &["any(.a[]; .b and .c)", ".d"],
            ),
            (
                "reduce .a[] as $x (0; . + $x) and .b",
                &["reduce .a[] as $x (0; . + $x)", ".b"],
            ),
            (".a # one and two\n  and .b # end", &[".a", ".b"]),
            (
                "label $f | .a and break $f",
                &["label $f | .a and break $f"],
            ),
            (".a, .b and .c", &[".a, .b and .c"]),
            (".and and .a.and", &[".and", ".a.and"]),
            ("try .a and .b", &["try .a", ".b"]),
            ("-.a and .b", &["-.a", ".b"]),
        ] {
            assert_eq!(terms(source), expected, "{source}");
        }
        let long = vec![".a"; 300].join(" and ");
        assert_eq!(terms(&long).len(), TERMS + 1);
    }

    #[test]
    fn what_stays_of_a_program_stays_in_its_place() {
        let source = "def e: \"é\"; # ü\n.a | (.b and e)";
        let apart = Apart::of(source).expect("terms");
        let program = apart.program(source, &apart.terms[1]);
        assert_eq!(program.source(), "def e: \"é\";     \n.a |         e ");
        program.check().expect("a program");
    }

    /// Terms that yield nothing, one value, several, and errors.
    fn chains() -> impl Strategy<Value = String> {
        let leaf = prop::sample::select(vec![
            ".a",
            ".b",
            ".c",
            ".n",
            "true",
            "false",
            "null",
            "empty",
            "(.a, .b)",
            "(false, true)",
            "(true, empty)",
            "error",
            ".n.x",
            "f",
            "g(.b)",
            "(.b | not)",
            ".[\"a\"]?",
            "if .a and .b then .c else .n end",
            "\"\\(.a and .b)\"",
            "first(.c, .a and .b)",
            ".a == .c",
            "(.b // .c)",
            "$route",
            "$x",
        ]);
        let chain = leaf
            .prop_map(str::to_owned)
            .prop_recursive(4, 12, 2, |inner| {
                prop_oneof![
                    4 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} and {b}")),
                    2 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} and {b})")),
                    1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} or {b})")),
                    1 => (inner.clone(), inner).prop_map(|(a, b)| format!("({a} | {b})")),
                ]
            });
        let before = prop::sample::select(vec![
            "",
            "",
            ". | ",
            "def h: .a and .b; ",
            "{a, b, c, n} | ",
            ".c as $y | ",
            "(., .) | ",
            "empty | ",
        ]);
        (before, chain).prop_map(|(before, chain)| {
            format!("def f: .c; def g(h): h and true; .a as $x | {before}{chain}")
        })
    }

    proptest! {
        #[test]
        fn the_terms_together_say_what_the_whole_says(
            source in chains(),
            values in prop::array::uniform4(prop::sample::select(vec!["true", "false", "null", "1"])),
        ) {
            let [a, b, c, n] = values;
            let body = format!(r#"{{"a": {a}, "b": {b}, "c": {c}, "n": {n}}}"#);
            let apart = Apart::of(&source).expect("terms");
            let whole = evaluate(&source, &body).map(|outputs| truthy(&outputs));
            // jq asks a term only if those before it hold.
            let mut together = Ok(true);
            for term in &apart.terms {
                let program = apart.program(&source, term);
                together = evaluate(program.source(), &body).map(|outputs| truthy(&outputs));
                if together != Ok(true) {
                    break;
                }
            }
            match (whole, together) {
                (Ok(whole), together) => prop_assert_eq!(Ok(whole), together, "{}", source),
                // A term that goes on after its first value may yet ask one that fails.
                (Err(EvalError::Failed(_)), Err(EvalError::Failed(_)) | Ok(false)) => {}
                (whole, together) => prop_assert!(false, "{}: {:?}, {:?}", source, whole, together),
            }
        }
    }
}
