//! Tables and numbers of the pages, compared with the program's.

use std::collections::BTreeMap;

use masshook::config::{CompileMode, Config};
use webhook_verify::scheme::{REPLY_TOKENS, SIGNED_TOKENS};

use super::blocks::blocks;
use super::{body, text};

/// The tables of docs/signatures.md, compared with the tables of the program.
#[test]
fn signatures_page_lists_every_token() {
    let page = text("docs/signatures.md");
    let rows = |heading: &str| -> Vec<(String, String)> {
        let (_, section) = page.split_once(heading).expect("a heading");
        let section = section.split("\n## ").next().unwrap_or_default();
        let rows = section.lines().filter_map(|line| line.strip_prefix("| `{"));
        rows.map(|row| {
            let (token, meaning) = row.split_once("` | ").expect("two cells");
            let meaning = meaning.strip_suffix(" |").expect("an end");
            (format!("{{{token}"), meaning.to_owned())
        })
        .collect()
    };
    for (heading, tokens) in [
        ("\n## Tokens of `signed`\n", SIGNED_TOKENS),
        ("\n## Tokens of answers\n", REPLY_TOKENS),
    ] {
        let tokens = tokens.iter();
        let expected: Vec<(String, String)> = tokens
            .map(|token| (token.text.to_owned(), token.meaning.to_owned()))
            .collect();
        assert_eq!(rows(heading), expected, "{heading}");
    }
    let mut whole = 0;
    for block in blocks(&page, "yaml") {
        if block.starts_with("connections:") {
            let config = Config::parse(&block, CompileMode::Eager);
            config.unwrap_or_else(|problems| panic!("{problems:#?}\n{block}"));
            whole += 1;
        }
    }
    assert!(whole > 1, "{whole}");
}

#[test]
fn documented_counts_are_correct() {
    let body = body();
    let body = body.split_whitespace().collect::<Vec<_>>().join(" ");
    let presets = text("crates/webhook-verify/tests/vectors/presets.yaml");
    let count = |key: &str| {
        let line = presets.lines().find_map(|line| line.strip_prefix(key));
        line.expect("a count").trim().to_owned()
    };
    // `vectors.rs` compares these two with the vectors.
    let (vectors, sources) = (count("vectors:"), count("sources:"));
    let shapes = text("crates/webhook-verify/tests/custom_schemes.yaml");
    let names = |line: &&str| line.starts_with("  ") && !line[2..].starts_with([' ', '#']);
    let shapes = shapes.lines().filter(names).count();
    for said in [
        format!("presets for {sources} senders"),
        format!("{vectors} vectors of {sources} senders"),
        format!("{shapes} vendors that do not exist"),
    ] {
        assert!(body.contains(&said), "the documents do not say `{said}`");
    }
}

/// docs/http-api.md lists every rejection code with its status.
#[test]
fn documents_list_every_rejection_with_its_status() {
    let source = text("src/inbound/rejection.rs");
    let (_, table) = source.split_once("fn status_and_code(").expect("the table");
    let (table, _) = table.split_once("\n    }\n").expect("its end");
    let page = text("docs/http-api.md");
    let rows = page.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        let codes = cells.next()?.trim_end_matches('`').split("`, `");
        let statuses = cells.next()?.split(", ").map(str::to_owned);
        Some((codes.map(str::to_owned).collect(), statuses.collect()))
    });
    let mut documented = BTreeMap::new();
    for (codes, statuses) in rows {
        let (codes, statuses): (Vec<String>, Vec<String>) = (codes, statuses);
        for (place, code) in codes.into_iter().enumerate() {
            let status = statuses.get(place).or(statuses.first()).cloned();
            documented.insert(code, status.unwrap_or_default());
        }
    }
    let mut seen = 0;
    for pair in table.split("StatusCode::").skip(1) {
        let name = pair.split(|c: char| !c.is_ascii_uppercase() && c != '_');
        let Some(status) = name.into_iter().next().filter(|name| !name.is_empty()) else {
            continue;
        };
        let code = pair.split('"').nth(1).expect("a code");
        let number = match status {
            "BAD_REQUEST" => "400",
            "UNAUTHORIZED" => "401",
            "FORBIDDEN" => "403",
            "NOT_FOUND" => "404",
            "METHOD_NOT_ALLOWED" => "405",
            "REQUEST_TIMEOUT" => "408",
            "CONFLICT" => "409",
            "PAYLOAD_TOO_LARGE" => "413",
            "URI_TOO_LONG" => "414",
            "UNSUPPORTED_MEDIA_TYPE" => "415",
            "UNPROCESSABLE_ENTITY" => "422",
            "TOO_MANY_REQUESTS" => "429",
            "REQUEST_HEADER_FIELDS_TOO_LARGE" => "431",
            "INTERNAL_SERVER_ERROR" => "500",
            "SERVICE_UNAVAILABLE" => "503",
            "HTTP_VERSION_NOT_SUPPORTED" => "505",
            other => panic!("{other}: give it its number"),
        };
        assert_eq!(
            documented.get(code).map(String::as_str),
            Some(number),
            "{code}"
        );
        seen += 1;
    }
    assert!(seen > 20, "{seen}");
}
