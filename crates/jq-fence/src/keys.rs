//! The keys of the objects that a program constructs: a hint at its outputs before it is run.

use std::collections::BTreeSet;

use jaq_core::load::lex::{Lexer, StrPart, Tok, Token};

use crate::compile::with_large_stack;

/// The literal keys of the objects in `source`, each with the keys above it: `match`, `match.field`. Empty if `source`
/// cannot be read.
pub(crate) fn of_source(source: &str) -> BTreeSet<String> {
    let found = with_large_stack(source, || {
        let mut found = BTreeSet::new();
        if let Ok(tokens) = Lexer::new(source).lex() {
            collect(&tokens, "", &mut found);
        }
        Ok(found)
    });
    found.unwrap_or_default()
}

fn collect(tokens: &[Token<&str>], above: &str, found: &mut BTreeSet<String>) {
    let mut before = "";
    for Token(text, kind) in tokens {
        match kind {
            // A pattern after `as` constructs no object.
            Tok::Block(_) if matches!(before, "as" | "?//") => {}
            Tok::Block(inner) if text.starts_with('{') => entries(inner, above, found),
            Tok::Block(inner) => collect(inner, above, found),
            Tok::Str(parts) => {
                for part in parts {
                    if let StrPart::Term(term) = part {
                        collect(std::slice::from_ref(term), above, found);
                    }
                }
            }
            Tok::Word | Tok::Var | Tok::Fmt | Tok::Num | Tok::Sym => {}
        }
        before = text;
    }
}

/// Collects from the tokens between an object's braces.
fn entries(tokens: &[Token<&str>], above: &str, found: &mut BTreeSet<String>) {
    for entry in tokens.split(|token| matches!(token, Token(",", Tok::Sym))) {
        let key = entry.first().and_then(|Token(text, kind)| match kind {
            Tok::Word => Some(*text),
            Tok::Var => text.strip_prefix('$'),
            Tok::Str(parts) => match parts.as_slice() {
                [StrPart::Str(text)] => Some(*text),
                _ => None,
            },
            Tok::Fmt | Tok::Num | Tok::Sym | Tok::Block(_) => None,
        });
        let Some(key) = key else {
            collect(entry, above, found);
            continue;
        };
        let dot = if above.is_empty() { "" } else { "." };
        let path = format!("{above}{dot}{key}");
        collect(&entry[1..], &path, found);
        found.insert(path);
    }
}

#[cfg(test)]
mod tests {
    use super::of_source;

    #[test]
    fn keys_of_nested_objects_are_found() {
        for (source, expected) in [
            ("{module: \"Leads\", ids: [.id]}", "ids module"),
            (
                "{module} + if .mail then {match: {field: \"Email\", values: [.mail]}} else {\"cvid\": .v} end",
                "cvid match match.field match.values module",
            ),
            (
                ".a as {match: $m} | map({territory: (if .x then {name: $m} else {id: 1} end)})",
                "territory territory.id territory.name",
            ),
            (
                "$match | {$match, view, (.k): {deep: .match}}",
                "deep match view",
            ),
            ("\"\\({view: 1} | tojson)\"", "view"),
            (".match.view", ""),
            ("{", ""),
        ] {
            let found: Vec<String> = of_source(source).into_iter().collect();
            assert_eq!(found.join(" "), expected, "{source}");
        }
    }
}
