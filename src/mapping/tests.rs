//! What the room promises as a whole; the parts have their own tests beside them.

use super::*;

mod failures;
mod fence_holds;
mod jq;
mod properties;

/// Limits that do not depend on how fast the machine is.
pub(super) fn limits() -> Limits {
    Limits {
        time: Duration::from_secs(600),
        steps: 100_000,
        memory_bytes: 8 << 20,
        stack_bytes: 4 << 20,
        ..Limits::default()
    }
}

/// Something done with a delivery of this body.
pub(super) fn input_of<T>(body: &str, with: impl FnOnce(&Input<'_>) -> T) -> T {
    let pairs = |pairs: &[(&str, &str)]| {
        let owned = pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        owned.collect::<BTreeMap<_, _>>()
    };
    let body = Document::from_json(body.as_bytes()).unwrap();
    with(&Input {
        body: &body,
        headers: &pairs(&[("x-kind", "deal")]),
        query: &pairs(&[("tag", "a b")]),
        route: "deals",
        received_at: "2026-01-02T03:04:05Z".parse().unwrap(),
        raw: Some(body.text()),
        trigger: &pairs(&[("type", "http")]),
    })
}

pub(super) fn evaluate_with(
    program: &str,
    body: &[u8],
    limits: &Limits,
) -> Result<Vec<Value>, EvalError> {
    let body = std::str::from_utf8(body).unwrap();
    input_of(body, |input| {
        Program::new(program).run_blocking(input, limits)
    })
}

pub(super) fn evaluate(program: &str, body: &str) -> Result<Vec<Value>, EvalError> {
    evaluate_with(program, body.as_bytes(), &limits())
}

fn compile_error(program: &str) -> String {
    Program::new(program)
        .check()
        .expect_err(program)
        .to_string()
}

#[test]
fn sees_the_delivery() {
    let program =
        r#"[.id, $headers["x-kind"], $query.tag, $route, $received_at, $raw, $trigger.type]"#;
    let outputs = evaluate(program, r#"{"id": 12345678901234567890}"#).unwrap();
    assert_eq!(
        outputs[0].to_string(),
        r#"[12345678901234567890,"deal","a b","deals","2026-01-02T03:04:05Z","{\"id\": 12345678901234567890}","http"]"#
    );
}

#[tokio::test]
async fn runs_without_blocking_the_caller() {
    let body = Document::from_value(&serde_json::json!({"a": [1, 2]}));
    let none = BTreeMap::new();
    let input = Input {
        body: &body,
        headers: &none,
        query: &none,
        route: "r",
        received_at: jiff::Timestamp::UNIX_EPOCH,
        raw: None,
        trigger: &none,
    };
    let program = Program::new(".a[]");
    assert_eq!(program.run(&input, &limits()).await.unwrap(), [1, 2]);
    let endless = Program::new("def f: f; f");
    let ended = endless.run(&input, &limits()).await;
    assert_eq!(ended, Err(EvalError::TooManySteps { limit: 100_000 }));
    // The clock ends it too.
    let hurried = Limits {
        time: Duration::from_millis(20),
        steps: u64::MAX,
        ..limits()
    };
    let ended = endless.run(&input, &hurried).await;
    assert_eq!(
        ended,
        Err(EvalError::TimedOut {
            limit: hurried.time
        })
    );
}

#[test]
fn programs_can_be_shared() {
    fn shared<T: Send + Sync + Clone>() {}
    shared::<Program>();
    shared::<Document>();
}

#[test]
fn compile_errors_say_where_what_and_what_instead() {
    for (program, expected) in [
        ("", "the program is empty"),
        (
            ".a |\n  {module: ",
            "line 2, column 12: expected closing brace, found the end of the program",
        ),
        (
            ".a | slect(.b)",
            "column 6: there is no filter `slect`; did you mean `select`?",
        ),
        (
            "$headrs",
            "there is no variable `$headrs`; did you mean `$headers`?",
        ),
        ("map(1; 2)", "there is no filter `map` with 2 arguments"),
        ("{a: 1", "expected closing brace"),
        (
            "if . then 1",
            "expected else or end, found the end of the program",
        ),
        ("1 +", "expected term, found the end of the program"),
        ("\"\\q\"", "expected string escape sequence"),
        ("break $x", "there is no label `$x`"),
        ("nothing::at_all", "there is no module `nothing`"),
        ("reduce . as $x (0)", "there is no filter `reduce`"),
    ] {
        let message = compile_error(program);
        assert!(message.contains(expected), "{program}: {message}");
    }
}

#[test]
fn names_that_reach_outside_are_refused_with_a_reason() {
    for (program, why) in [
        ("env.SECRET", "environment"),
        ("$ENV.SECRET", "environment"),
        ("halt(7)", "end the process"),
        ("halt_error", "end the process"),
        ("halt", "end the process"),
        ("now", "$received_at"),
        ("0 | localtime", "$received_at"),
        ("0 | strflocaltime(\"%Y\")", "$received_at"),
        ("input", "one input"),
        ("[inputs]", "one input"),
        ("input_line_number", "one input"),
        ("input_filename", "one input"),
        ("$__loc__", "one input"),
        ("debug", "cannot write"),
        ("stderr", "cannot write"),
        ("import \"x\" as $h; $h", "cannot read files"),
        ("import \"x\" as h; h::f", "cannot read files"),
        ("include \"x\"; .", "cannot read files"),
        ("module {}; .", "cannot read files"),
    ] {
        let message = compile_error(program);
        assert!(
            message.contains("is not available in a route"),
            "{program}: {message}"
        );
        assert!(message.contains(why), "{program}: {message}");
    }
    for program in [
        "debug(1)",
        "get_search_list",
        "jn(1; 2)",
        "tobytes",
        "@foo",
        "halt_error(1)",
    ] {
        compile_error(program);
    }
}

#[test]
fn nested_programs_compile_or_are_refused() {
    for (open, close) in [
        ("(", ")"),
        ("[", "]"),
        ("{a:", "}"),
        ("-", ""),
        ("try ", ""),
        ("1+", ""),
        ("def f: ", ""),
    ] {
        let program = format!("{}1{}", open.repeat(10_000), close.repeat(10_000));
        drop(Program::new(program).check());
    }
    let message = compile_error(&"1+".repeat(40_000));
    assert!(message.contains("more than 65536 bytes"), "{message}");
}

#[test]
fn outputs_become_update_requests() {
    let outputs = evaluate(
        r#"{module: "Leads", fields: {Lead_Source: "Web"}, ids: [.a, "2"]}, {module: "Leads"}, null"#,
        r#"{"a": 554023000000497007}"#,
    )
    .unwrap();
    assert_eq!(updates(&outputs[..1]).unwrap().len(), 1);
    let problems = updates(&outputs).unwrap_err();
    assert!(problems.iter().any(|problem| problem.output == 2));
    let last = problems.last().unwrap();
    assert_eq!(last.output, 3);
    assert_eq!(last.pointer, "");
    assert!(
        last.to_string()
            .contains("output 3: null is not an update request; use `empty`")
    );
    assert_eq!(updates(&[]).unwrap().len(), 0);
}

#[test]
fn truth_is_that_of_jq() {
    for (program, expected) in [
        ("true", true),
        ("0", true),
        ("\"\"", true),
        ("false", false),
        ("null", false),
        ("empty", false),
        ("false, true", false),
    ] {
        let outputs = evaluate(program, "{}").unwrap();
        assert_eq!(truthy(&outputs), expected, "{program}");
    }
}
