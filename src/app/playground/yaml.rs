//! The programs of a route as YAML, to be pasted into the config.

use std::fmt::Write as _;

use crate::config::{Route, SchemeConfig, VerifyConfig};
use crate::mapping::Program;
use crate::trigger::Trigger;
use crate::update::UpdateMethod;

/// The indentation of a route's keys in the config.
const INDENT: usize = 4;

/// The keys of a route that contain its programs, indented as in the config.
pub(super) fn of_programs(route: &Route) -> String {
    let mut yaml = String::new();
    let margin = " ".repeat(INDENT);
    match &route.when[..] {
        [] => {}
        [one] => {
            let _ = writeln!(yaml, "{margin}when: {}", scalar(one.source(), INDENT + 2));
        }
        several => {
            let _ = writeln!(yaml, "{margin}when:");
            for expression in several {
                let _ = writeln!(
                    yaml,
                    "{margin}  - {}",
                    scalar(expression.source(), INDENT + 4)
                );
            }
        }
    }
    if let Some(source) = route.delivery_id.as_ref().map(Program::source) {
        let _ = writeln!(yaml, "{margin}delivery_id: {}", scalar(source, INDENT + 2));
    }
    if let Some(source) = route.order_by.as_ref().map(Program::source) {
        let _ = writeln!(yaml, "{margin}order_by: {}", scalar(source, INDENT + 2));
    }
    if route.update_by != UpdateMethod::default() {
        let _ = writeln!(yaml, "{margin}update_by: {}", route.update_by.as_str());
    }
    let map = scalar(route.map.source(), INDENT + 2);
    let _ = writeln!(yaml, "{margin}map: {map}");
    yaml
}

/// A route as it is in the config. A scheme that the config describes itself is named only.
pub(in crate::app) fn of_route(name: &str, route: &Route) -> String {
    let mut yaml = format!("routes:\n  {name}:\n");
    if route.on != [Trigger::Http, Trigger::Direct] {
        let names: Vec<&str> = route.on.iter().map(|trigger| trigger.as_str()).collect();
        let _ = writeln!(yaml, "    on: [{}]", names.join(", "));
    }
    match &route.verify {
        VerifyConfig::ByAws => {}
        VerifyConfig::Disabled(_) => yaml.push_str("    verify: { scheme: none }\n"),
        VerifyConfig::Schemes(schemes) => {
            let schemes: Vec<String> = schemes.iter().map(of_scheme).collect();
            let _ = match &schemes[..] {
                [one] => writeln!(yaml, "    verify: {one}"),
                several => writeln!(yaml, "    verify: [{}]", several.join(", ")),
            };
        }
    }
    yaml.push_str(&of_programs(route));
    if let Some(url) = &route.callback_url {
        let _ = writeln!(yaml, "    callback_url: {url}");
    }
    if route.connection != "default" {
        let _ = writeln!(yaml, "    connection: {}", route.connection);
    }
    yaml
}

/// A scheme with the references to its secrets.
fn of_scheme(config: &SchemeConfig) -> String {
    let secrets: Vec<String> = config.secrets.iter().map(ToString::to_string).collect();
    let secret = match &secrets[..] {
        [] => String::new(),
        [one] => format!(", secret: {}", quoted(one)),
        several => {
            let several: Vec<String> = several.iter().map(|one| quoted(one)).collect();
            format!(", secret: [{}]", several.join(", "))
        }
    };
    format!("{{ scheme: {}{secret} }}", config.scheme.name())
}

/// A text in a flow mapping: in quotes, if it has a sign that ends an entry.
fn quoted(text: &str) -> String {
    let is_plain =
        |character: char| character.is_ascii_alphanumeric() || ":/._-#".contains(character);
    match text.chars().all(is_plain) {
        true => text.to_owned(),
        false => double_quoted(text),
    }
}

/// Whether a text is the same text as a plain YAML scalar: a jq path and more on one line, without a sign of YAML.
fn is_plain_scalar(text: &str) -> bool {
    let Some(path) = text.strip_prefix('.') else {
        return false;
    };
    let is_ascii = text.chars().all(|character| matches!(character, ' '..='~'));
    let is_special = ["inf", "nan"]
        .iter()
        .any(|word| path.eq_ignore_ascii_case(word));
    path.starts_with(|first: char| first.is_ascii_alphabetic())
        && is_ascii
        && !is_special
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.ends_with([':', ' '])
}

/// A text as a YAML scalar: plain or as a block with `|` if that keeps it as it is, else in double quotes as JSON writes it.
fn scalar(text: &str, indent: usize) -> String {
    if is_plain_scalar(text) {
        return text.to_owned();
    }
    let is_plain = |character: char| matches!(character, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}' | '\u{10000}'..);
    let body = text.strip_suffix('\n').unwrap_or(text);
    let starts_plainly = body.starts_with(|first: char| !first.is_whitespace());
    let fits_block = text.chars().all(is_plain)
        // A separator of lines in Unicode is one in YAML 1.1.
        && !text.contains(['\u{2028}', '\u{2029}'])
        && starts_plainly
        && !body.ends_with('\n');
    if !fits_block {
        return double_quoted(text);
    }
    let chomping = match text.ends_with('\n') {
        true => "",
        false => "-",
    };
    let margin = " ".repeat(indent);
    let lines = body.split('\n').map(|line| match line.is_empty() {
        true => "\n".to_owned(),
        false => format!("\n{margin}{line}"),
    });
    format!("|{chomping}{}", lines.collect::<String>())
}

/// A text in double quotes, with every character escaped that YAML does not allow as it is.
fn double_quoted(text: &str) -> String {
    let json = serde_json::Value::from(text).to_string();
    let mut quoted = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '\u{7f}'..='\u{9f}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{feff}'
            | '\u{fffe}'
            | '\u{ffff}' => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(character));
            }
            other => quoted.push(other),
        }
    }
    quoted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn read_back(text: &str, indent: usize) -> Value {
        let margin = " ".repeat(indent - 2);
        let yaml = format!("{margin}map: {}\n{margin}next: 1\n", scalar(text, indent));
        let document: Value =
            serde_saphyr::from_str(&yaml).unwrap_or_else(|error| panic!("{error}\n{yaml}"));
        assert_eq!(document["next"], 1, "{yaml}");
        document["map"].clone()
    }

    #[test]
    fn programs_keep_their_text() {
        for text in [
            ".event_type == \"form_response\"",
            ".inf",
            ".NaN",
            ".a: .b",
            ".a:",
            ".a # .b",
            "{ module: \"Leads\",\n  fields: {} }\n",
            "",
            "\n",
            "  .a",
            ".a\n\n",
            "\t.a",
            ".a\r\n.b",
            ".a #: not a comment",
            "- .a",
            ".a\n\n.b",
            "\u{feff}.a",
            ".a\u{2028}.b",
            "\"\u{7f}\\u0000\"",
            ".a   ",
            ".a\n   ",
        ] {
            assert_eq!(read_back(text, 6), text, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_round_trips(text in "[ -~\n\t\u{85}é☃\u{2028}\u{1f600}]{0,40}") {
            prop_assert_eq!(read_back(&text, 6), Value::from(text.as_str()));
        }
    }
}
