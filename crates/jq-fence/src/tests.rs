//! Tests of the crate as a whole. Modules have their own tests.

use std::time::Duration;

use serde_json::{Value, json};

use crate::*;

mod failures;
mod jq;
mod limits;
mod memory;
mod pool;
mod properties;
mod regex;
mod results;
mod runaway_programs;

/// Limits that do not depend on the speed of the machine.
pub(crate) fn limits() -> Limits {
    Limits {
        time: Duration::from_secs(600),
        steps: 100_000,
        memory_bytes: 8 << 20,
        stack_bytes: 4 << 20,
        ..Limits::default()
    }
}

/// A host with the variables of a webhook mapping.
pub(crate) static HOST: Host = Host {
    variables: &["$headers", "$query", "$route"],
    advice: |capability| (capability == Capability::Clock).then_some("use $received_at"),
};

/// Calls `with` with an input that has this document.
pub(crate) fn with_input<T>(body: &str, with: impl FnOnce(&Input<'_>) -> T) -> T {
    let document = Document::from_json(body.as_bytes()).unwrap();
    let variables = [
        json!({"x-kind": "deal"}),
        json!({"tag": "a b"}),
        json!("deals"),
    ];
    with(&Input {
        document: &document,
        variables: &variables,
    })
}

pub(crate) fn evaluate_with(
    program: &str,
    body: &[u8],
    limits: &Limits,
) -> Result<Vec<Value>, EvalError> {
    let body = std::str::from_utf8(body).unwrap();
    with_input(body, |input| {
        Program::new(program, &HOST).run_blocking(input, limits)
    })
}

pub(crate) fn evaluate(program: &str, body: &str) -> Result<Vec<Value>, EvalError> {
    evaluate_with(program, body.as_bytes(), &limits())
}

fn compile_error(program: &str) -> String {
    Program::new(program, &HOST)
        .check()
        .expect_err(program)
        .to_string()
}

#[test]
fn program_sees_document_and_variables() {
    let program = r#"[.id, $headers["x-kind"], $query.tag, $route]"#;
    let outputs = evaluate(program, r#"{"id": 12345678901234567890}"#).unwrap();
    assert_eq!(
        outputs[0].to_string(),
        r#"[12345678901234567890,"deal","a b","deals"]"#
    );
}

#[test]
fn variables_are_values_of_any_type() {
    static HOST: Host = Host {
        variables: &["$a", "$b"],
        ..Host::PLAIN
    };
    let document = Document::from_value(&Value::Null);
    let value = json!({"n": 12345678901234567890_u64, "list": [1.5, null, true, {"x": "y"}]});
    let program = Program::new("$a, $b", &HOST);
    let input = Input {
        document: &document,
        variables: std::slice::from_ref(&value),
    };
    // A variable without a value is null.
    assert_eq!(
        program.run_blocking(&input, &limits()).unwrap(),
        [value.clone(), Value::Null]
    );
}

#[test]
fn programs_and_documents_are_send_and_sync() {
    fn shared<T: Send + Sync + Clone>() {}
    shared::<Program>();
    shared::<Document>();
}

#[test]
fn compile_error_names_location_cause_and_cure() {
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
        ("reduce . as $x (0)", "expected ;"),
    ] {
        let message = compile_error(program);
        assert!(message.contains(expected), "{program}: {message}");
    }
}

#[test]
fn unavailable_names_are_refused_with_reason() {
    for (program, reason) in [
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
        ("$__loc__", "write a text"),
        ("debug", "cannot write"),
        ("stderr", "cannot write"),
        ("import \"x\" as $h; $h", "cannot read files"),
        ("import \"x\" as h; h::f", "cannot read files"),
        ("include \"x\"; .", "cannot read files"),
        ("module {}; .", "cannot read files"),
    ] {
        let message = compile_error(program);
        assert!(message.contains("is not available"), "{program}: {message}");
        assert!(message.contains(reason), "{program}: {message}");
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
fn deeply_nested_program_compiles_or_is_refused() {
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
        drop(Program::new(program, &HOST).check());
    }
    let message = compile_error(&"1+".repeat(40_000));
    assert!(message.contains("more than 65536 bytes"), "{message}");
}

/// Whether an error of this name is a limit.
fn is_limit(name: &str) -> bool {
    [
        "TooManySteps",
        "TooMuchMemory",
        "TooMuchRecursion",
        "TooDeep",
        "TooManyOutputs",
        "TooLarge",
    ]
    .contains(&name)
}
