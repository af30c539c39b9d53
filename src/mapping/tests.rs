//! Tests of the mapping as a whole.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::update::UpdateMethod;

/// Calls `with` with the input of a delivery of this body.
fn with_input<T>(body: &str, with: impl FnOnce(&MappingInput<'_>) -> T) -> T {
    let pairs = |pairs: &[(&str, &str)]| {
        let owned = pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        owned.collect::<BTreeMap<_, _>>()
    };
    let body = Document::from_json(body.as_bytes()).expect("JSON");
    with(&MappingInput {
        body: &body,
        headers: &pairs(&[("x-kind", "deal")]),
        query: &pairs(&[("tag", "a b")]),
        route: "deals",
        received_at: "2026-01-02T03:04:05Z".parse().expect("a time"),
        raw: Some(body.text()),
        trigger: &pairs(&[("type", "http")]),
        cloud_event: None,
    })
}

fn limits() -> Limits {
    Limits {
        time: std::time::Duration::from_secs(60),
        ..Limits::default()
    }
}

fn evaluate(source: &str, body: &str) -> Result<Vec<Value>, EvalError> {
    with_input(body, |input| {
        input.run_blocking(&program(source), &limits())
    })
}

#[test]
fn program_sees_delivery() {
    let source =
        r#"[.id, $headers["x-kind"], $query.tag, $route, $received_at, $raw, $trigger.type]"#;
    let outputs = evaluate(source, r#"{"id": 12345678901234567890}"#).expect("outputs");
    assert_eq!(
        outputs[0].to_string(),
        r#"[12345678901234567890,"deal","a b","deals","2026-01-02T03:04:05Z","{\"id\": 12345678901234567890}","http"]"#
    );
}

#[test]
fn input_limit_covers_headers_query_and_trigger() {
    let body = r#"{"id": 1}"#;
    // x-kind: deal, tag: a b, type: http
    let bytes = body.len() + 10 + 6 + 8;
    with_input(body, |input| {
        let run = |input_bytes| {
            let limits = Limits {
                input_bytes,
                ..limits()
            };
            input.run_blocking(&program(".id"), &limits)
        };
        assert_eq!(run(bytes), Ok(vec![json!(1)]));
        let limit = bytes - 1;
        assert_eq!(run(limit), Err(EvalError::InputTooLarge { limit }));
    });
}

#[test]
fn unavailable_names_are_refused_with_advice() {
    for (source, advice) in [
        ("now", "$received_at, which is in UTC"),
        ("input", "here it is the body of the delivery"),
        ("halt", "`empty` to ignore it"),
        ("debug", "try it with `masshook preview` instead"),
        ("$headrs", "did you mean `$headers`?"),
    ] {
        let error = program(source).check().expect_err(source).to_string();
        assert!(error.contains(advice), "{source}: {error}");
    }
    let error = evaluate("range(1000)", "null").expect_err("too many outputs");
    assert!(advice(&error).contains("many ids"));
}

#[test]
fn outputs_become_update_requests() {
    let outputs = evaluate(
        r#"{module: "Leads", fields: {Lead_Source: "Web"}, ids: [.a, "2"]}, {module: "Leads"}, null"#,
        r#"{"a": 554023000000497007}"#,
    )
    .expect("outputs");
    let requests = update_requests(&outputs[..1], UpdateMethod::MassUpdate).expect("requests");
    assert_eq!(requests.len(), 1);
    let errors = update_requests(&outputs, UpdateMethod::MassUpdate).expect_err("errors");
    assert!(errors.iter().any(|error| error.output == 2));
    let last = errors.last().expect("an error");
    assert_eq!(last.output, 3);
    assert_eq!(last.pointer, "");
    assert!(
        last.to_string()
            .contains("output 3: null is not an update request; use `empty`")
    );
    let requests = update_requests(&[], UpdateMethod::MassUpdate).expect("requests");
    assert_eq!(requests.len(), 0);
}

#[test]
fn large_mapping_yields_update_requests() {
    let rows: Vec<Value> = (0..5_000)
        .map(|n| {
            let status = if n % 3 == 0 { "paid" } else { "open" };
            json!({"crm_id": format!("55402300000{n:07}"), "status": status, "n": n})
        })
        .collect();
    let source = r#"{paid: "Closed Won", open: "Negotiation"} as $table
        | .rows | group_by(.status)[]
        | {module: "Deals", fields: {Stage: $table[.[0].status]}, ids: map(.crm_id)}"#;
    let outputs = evaluate(source, &json!({ "rows": rows }).to_string()).expect("outputs");
    let requests = update_requests(&outputs, UpdateMethod::MassUpdate).expect("requests");
    assert_eq!(requests.len(), 2);
}

fn check(source: &str) -> Result<bool, String> {
    let expression = program(source);
    let body = r#"{"a": "x", "on": true, "list": [true, false], "nothing": null}"#;
    let outputs = with_input(body, |input| input.run_blocking(&expression, &limits()));
    to_boolean(&expression, &outputs.expect(source)).map_err(|error| error.to_string())
}

#[test]
fn expression_yields_exactly_one_boolean() {
    for (source, expected) in [
        ("true", true),
        (".on", true),
        (".a == \"x\"", true),
        (".a == \"y\"", false),
        ("[.a = 1] == []", false),
        ("any(.list[]; .)", true),
        (". = .on", true),
    ] {
        assert_eq!(check(source), Ok(expected), "{source}");
    }
    for (source, expected) in [
        (
            "null",
            "yields null instead of true or false; compare the value",
        ),
        (
            ".missing",
            "yields null instead of true or false; compare the value",
        ),
        ("0", "yields a number instead"),
        (".a", "yields a string instead"),
        (".list", "yields an array instead"),
        (".", "yields an object instead of true or false; compare"),
        (
            "empty",
            "yields nothing instead of true or false; write a comparison",
        ),
        (
            ".list[]",
            "yields 2 values instead of true or false; combine them with `any(…)`",
        ),
        (
            ".a = \"x\"",
            "yields an object instead of true or false; `=` assigns a value; did you mean `==`?",
        ),
        ("if .on then .a = 1 else false end", "did you mean `==`?"),
        ("(.on, .off) = true", "did you mean `==`?"),
    ] {
        let error = check(source).expect_err(source);
        assert!(error.contains(expected), "{source}: {error}");
    }
}

#[test]
fn program_keys_name_single_expression_without_index() {
    assert_eq!(ProgramKey::of_when(0, 1).to_string(), "when");
    assert_eq!(ProgramKey::of_when(0, 2).to_string(), "when[0]");
    assert_eq!(ProgramKey::of_when(1, 2).to_string(), "when[1]");
}

fn values(source: &str) -> String {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().build().expect("a runtime");
    let threads = Pool::new(PoolSettings::default());
    let long = "y".repeat(300);
    let body = json!({"a": {"b": 1, "c": "x"}, "list": [1, 2], "many": [1, 2, 3, 4], "long": long});
    let expression = program(source);
    let finding = threads.run(0, move |worker| {
        with_input(&body.to_string(), |input| {
            let session = input.open(worker, &limits()).expect("a session");
            path_values(&expression, &session)
        })
    });
    let found = runtime.block_on(finding).expect("a thread");
    let shown = found.iter().map(|value| {
        let absent = if value.is_absent { " (absent)" } else { "" };
        format!("{} is {}{absent}", value.path, value.value)
    });
    shown.collect::<Vec<_>>().join("; ")
}

#[test]
fn values_at_paths_are_found() {
    for (source, expected) in [
        (".a.b == 1 and .a.c == \"y\"", ".a.b is 1; .a.c is \"x\""),
        (".a | (.d // \"\" | test(\"z\"))", ".a.d is null (absent)"),
        (
            "$headers[\"x-kind\"] == \"lead\" or $query.no",
            "$headers[\"x-kind\"] is \"deal\"; $query.no is null",
        ),
        ("any(.list[]; . > 5)", ".list[] is 1, 2"),
        (".list[7:][]", ".list[7:][] is nothing (absent)"),
        (".many[] > 5", ".many[] is 1, 2, 3, … 4 in all"),
        (".a.b.c?", ".a.b.c? is nothing (absent)"),
        (
            ".a.b.c == 1",
            ".a.b.c is an error: cannot index 1 with \"c\"",
        ),
        ("true", ""),
    ] {
        assert_eq!(values(source), expected, "{source}");
    }
    let long = values(".long == 1");
    assert!(long.ends_with("yy…") && long.len() < 250, "{long}");
    let many = values("[.p1, .p2, .p3, .p4, .p5, .p6, .p7] == []");
    assert!(many.contains(".p6 is") && !many.contains(".p7"), "{many}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_outputs_are_parsed_or_refused(text in "\\PC{0,40}", id in any::<i64>()) {
        let body = json!({"a": text, "b": id}).to_string();
        let source = r#".., (.. | objects | {module: "Leads", fields: {Name: (.a | tostring)}, ids: [.b // empty]})"#;
        let outputs = evaluate(source, &body).expect("outputs");
        drop(update_requests(&outputs, UpdateMethod::Auto));
    }
}
