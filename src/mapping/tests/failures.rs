//! What a program that failed says, and to whom.

use super::super::*;
use super::evaluate;

fn failure(program: &str, body: &str) -> Failure {
    match evaluate(program, body) {
        Err(EvalError::Failed(failure)) => *failure,
        other => panic!("{program}: {other:?}"),
    }
}

#[test]
fn a_failure_is_found_in_the_program_with_the_input_around_it() {
    let body = r#"{"who": "Jane", "n": "7", "items": [{"sku": "a"}, {"sku": 3}], "none": null}"#;
    let mut wrong = Vec::new();
    // The program, with `»` before the place; the message; the shape of the input.
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
        let failing = failure
            .failing()
            .unwrap_or_else(|| panic!("{program}: {shown}"));
        assert!(!failing.shape.contains("Jane"), "{program}");
        if !shape.is_empty() && failing.shape != shape {
            wrong.push(format!("{program}: on {}", failing.shape));
        }
        if let Some(at) = program.find('»')
            && failing.place != Place::at(&plain, at)
        {
            wrong.push(format!("{program}: {shown}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn values_are_for_the_terminal_and_shapes_for_everybody() {
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
        error.at_length(),
        concat!(
            "cannot index \"jane@example.com\" with \"email\"\n",
            "2 |   ids: [.who.email]}\n",
            "  |              ^\n",
            "on the input {\"who\":\"jane@example.com\"}"
        )
    );
}

#[test]
fn no_value_of_the_delivery_gets_into_the_message_by_itself() {
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
        ".list | join(1)",
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
        let shown = format!("{failure} {:?}", failure.failing());
        assert!(!shown.contains("J4ne"), "{program}: {shown}");
    }
    // What the program says itself is its own choice.
    let own = failure("error(\"no mapping for \\(.secret)\")", body);
    assert!(own.to_string().ends_with("no mapping for J4ne Doe, 4711"));
}

#[test]
fn a_failure_whose_place_was_not_found_says_where_to_look() {
    let lost = Failure {
        told: "cannot index \"Jane\" with \"x\"".to_owned(),
        shape: None,
        failing: None,
    };
    let shown = format!("{lost} {lost:?}");
    assert!(shown.contains("`masshook preview` shows it"), "{shown}");
    assert!(!shown.contains("Jane"), "{shown}");
}

#[test]
fn a_compile_error_has_its_line_and_a_caret() {
    let error = Program::new("{a: .b,\n  c: slect(.d)}")
        .check()
        .unwrap_err();
    assert_eq!(error.place.excerpt(), "2 |   c: slect(.d)}\n  |      ^");
}
