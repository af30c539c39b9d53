//! The recipes of docs/mapping.md: each program maps the input above it to the output below it.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use jq_fence::{Document, Limits};
use masshook::mapping::{MappingInput, program};
use masshook::update::UpdateRequest;
use serde_json::{Deserializer, Value};

use super::blocks::Page;
use super::text;

/// Limits that do not depend on the speed of the machine.
const LIMITS: Limits = Limits {
    input_bytes: 1 << 20,
    outputs: 100,
    output_bytes: 1 << 20,
    time: Duration::from_secs(600),
    steps: 20_000_000,
    memory_bytes: 64 << 20,
    stack_bytes: 16 << 20,
};

/// Runs a program of a route on a JSON body.
fn map(source: &str, body: &str) -> Vec<Value> {
    let document = Document::from_json(body.as_bytes()).expect("JSON");
    let none = BTreeMap::new();
    let input = MappingInput {
        body: &document,
        headers: &none,
        query: &none,
        route: "recipe",
        received_at: Timestamp::UNIX_EPOCH,
        raw: Some(body),
        trigger: &none,
        cloud_event: None,
    };
    let outputs = input.run_blocking(&program(source), &LIMITS);
    outputs.unwrap_or_else(|error| panic!("{source}\n{error}"))
}

#[test]
fn recipes_yield_what_the_page_shows() {
    let path = "docs/mapping.md";
    let page = Page {
        path: path.to_owned(),
        text: text(path),
    };
    let blocks = page.blocks();
    let mut count = 0;
    for (index, block) in blocks.iter().enumerate() {
        if block.language != "jq" {
            continue;
        }
        let (before, after) = (&blocks[index - 1], &blocks[index + 1]);
        assert_eq!(
            [&before.language, &after.language],
            ["json", "json"],
            "{}",
            block.place
        );
        let expected = Deserializer::from_str(&after.code).into_iter::<Value>();
        let expected: Vec<Value> = expected.collect::<Result<_, _>>().expect("JSON");
        let outputs = map(&block.code, &before.code);
        assert_eq!(outputs, expected, "{}", block.place);
        for output in &outputs {
            let parsed = UpdateRequest::parse(output);
            parsed.unwrap_or_else(|problems| panic!("{}: {problems:#?}", block.place));
        }
        count += 1;
    }
    assert!(count >= 12, "{count}");
}

/// The mistakes that the page warns of do what it says.
#[test]
fn mistakes_of_the_page_are_mistakes() {
    let body = r#"{"b": null, "email": "", "items": [{"id": "1"}, {"id": "2"}]}"#;
    assert_eq!(
        map(r#"[.a = .b // "x" | .a]"#, body),
        [serde_json::json!([null])]
    );
    assert_eq!(
        map(r#".a = (.b // "x") | .a"#, body),
        [serde_json::json!("x")]
    );
    assert_eq!(map(".email // empty", body), [serde_json::json!("")]);
    assert!(map(r#".email | select(. != "")"#, body).is_empty());
    let outputs = map(
        r#"{ module: "Leads", fields: { Rating: "Active" }, ids: .items[].id }"#,
        body,
    );
    assert_eq!(outputs.len(), 2);
    assert!(
        outputs
            .iter()
            .all(|output| UpdateRequest::parse(output).is_err())
    );
}
