//! Error messages, error locations, and the values of the input that they contain.

use super::{HOST, evaluate};
use crate::*;

fn failure(program: &str, body: &str) -> Failure {
    match evaluate(program, body) {
        Err(EvalError::Failed(failure)) => *failure,
        other => panic!("{program}: {other:?}"),
    }
}

#[test]
fn failure_is_located_with_its_input() {
    let body = r#"{"who": "Jane", "n": "7", "items": [{"sku": "a"}, {"sku": 3}], "none": null}"#;
    let mut wrong = Vec::new();
    // The program, with `»` before the location; the message; the shape of the input.
    for (program, message, shape) in [
        (
            ".who.»name",
            r#"cannot index string with "name""#,
            "{who: string, n: string, items: [{sku: string}, … 2 in all], none: null}",
        ),
        (
            "{module: \"Leads\",\n  ids: [.items[][»0]]}",
            "cannot index {sku: string} with number",
            "",
        ),
        (".items[][] | .»x", r#"cannot index string with "x""#, ""),
        (
            ".none»[]",
            "cannot use null as iterable (array or object)",
            "",
        ),
        (
            ".items | map(.»sku + 1)",
            "cannot calculate string + number",
            "{sku: string}",
        ),
        (
            ".items[] | .sku | »test(\"a\")",
            "cannot use number as string",
            "number",
        ),
        ("def f: .who | »tonumber; f", "", "string"),
        ("[.items[] | .sku | »error]", "", "string"),
        (
            "(try .who.x catch null) | [$route.»x]",
            "cannot index string with \"x\"",
            "null",
        ),
        (
            "[.who.x? // 1, .n.»x]",
            "cannot index string with \"x\"",
            "",
        ),
        (".who.»x |= 1", "cannot index string with \"x\"", ""),
        ("reduce .items[] as $i (0; . + $i.sku)", "", ""),
        ("@base64d \"\\(tojson | »error)\"", "", ""),
    ] {
        let plain = program.replace('»', "");
        let failure = failure(&plain, body);
        let shown = failure.to_string();
        if !shown.contains(message) {
            wrong.push(format!("{program}: {shown}"));
        }
        let part = failure
            .part()
            .unwrap_or_else(|| panic!("{program}: {shown}"));
        assert!(!part.input_shape.contains("Jane"), "{program}");
        if !shape.is_empty() && part.input_shape != shape {
            wrong.push(format!("{program}: on {}", part.input_shape));
        }
        if let Some(at) = program.find('»')
            && part.location != ErrorLocation::at(&plain, at)
        {
            wrong.push(format!("{program}: {shown}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn values_appear_in_details_only() {
    let error = evaluate(
        "{module: \"Leads\",\n  ids: [.who.email]}",
        r#"{"who": "jane@example.com"}"#,
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"the program failed: line 2, column 14: cannot index string with "email""#
    );
    assert!(!format!("{error:?}").contains("jane@"));
    assert_eq!(
        error.details(),
        concat!(
            "cannot index \"jane@example.com\" with \"email\"\n",
            "2 |   ids: [.who.email]}\n",
            "  |              ^\n",
            "on the input {\"who\":\"jane@example.com\"}"
        )
    );
}

#[test]
fn message_contains_no_value_of_input() {
    let body = r#"{"secret": "J4ne Doe, 4711", "list": ["J4ne"], "at": "2026-13-45TJ4ne"}"#;
    for program in [
        ".secret.x",
        ".secret + 1",
        ".secret | fromjson",
        ".secret | tonumber",
        ".at | fromdateiso8601",
        ".at | strptime(\"%Y-%m-%d\")",
        ".at | todate",
        ".secret | implode",
        "[.secret] | implode",
        ".list + [2] | join(1)",
        "[[.secret]] | @csv",
        "[{a: .secret}] | @tsv",
        "{(.list): 1}",
        ".secret | test(\"[\"; .)",
        ".list | has(\"J\")",
        ".secret | test(.)  , ({} | has(1))",
        "error({who: .secret})",
        ".list | .[.secret]",
        ".secret | ltrimstr(1) | .[\"x\"]",
        ".secret as [$a] | $a",
    ] {
        let failure = failure(program, body);
        let shown = format!("{failure} {:?}", failure.part());
        assert!(!shown.contains("J4ne"), "{program}: {shown}");
    }
    // The author decides what the program's own errors contain.
    let own = failure("error(\"no mapping for \\(.secret)\")", body);
    assert!(own.to_string().ends_with("no mapping for J4ne Doe, 4711"));
}

#[test]
fn message_that_may_contain_values_is_withheld() {
    let failure = Failure {
        message: "cannot index \"Jane\" with \"x\"".to_owned(),
        safe_message: None,
        part: None,
    };
    let shown = format!("{failure} {failure:?}");
    assert!(
        failure.is_withheld() && shown.contains("is not shown"),
        "{shown}"
    );
    assert!(!shown.contains("Jane"), "{shown}");
}

#[test]
fn compile_error_has_line_and_caret() {
    let error = Program::new("{a: .b,\n  c: slect(.d)}", &HOST)
        .check()
        .unwrap_err();
    assert_eq!(error.location.excerpt(), "2 |   c: slect(.d)}\n  |      ^");
}
