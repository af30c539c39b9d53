//! Results of unusual programs.

use serde_json::Value;

use super::evaluate;
use crate::*;

#[test]
fn extreme_arguments_have_small_results() {
    let mut wrong = Vec::new();
    for (program, expected) in [
        ("first(range(1e18))", "[0]"),
        ("[limit(3; range(1e18))]", "[[0,1,2]]"),
        ("try limit(-1; 1, 2) catch \"no\"", "[\"no\"]"),
        ("last(range(0; 1; 0))", "[]"),
        ("[limit(0; range(1e18))]", "[[]]"),
        ("first(repeat(1))", "[1]"),
        ("[limit(3; recurse(. + 1))]", r#"[[null,1,2]]"#),
        ("label $f | range(1e18) | ., break $f", "[0]"),
        ("isempty(repeat(1))", "[false]"),
        ("try ([1] | .[1e12] = 1) catch \"refused\"", "[\"refused\"]"),
        (
            "try (null | .[1e12] = 1) catch \"refused\"",
            "[\"refused\"]",
        ),
        ("[1] | .[1e12]", "[null]"),
        ("[1] | .[-1e300]", "[null]"),
        (
            "[1,2,3] | .[1e300:], .[:-1e300], .[-1e300:1]",
            "[[],[],[1]]",
        ),
        ("nan | . < nan", "[true]"),
        ("[nan, 1, nan, 0] | sort | .[2:]", "[[0,1]]"),
        ("[nan] | sort == [nan]", "[false]"),
        ("try error(nan) catch isnan", "[true]"),
        ("\"abc\" | test(\"(\")?", "[]"),
        (
            "[\"ba\" | match(\"(?:(a)|(b))*\").captures[].offset]",
            "[[1,0]]",
        ),
        ("[-9223372036854775808] | implode", "[\"\u{fffd}\"]"),
        ("-9223372036854775808 | length", "[9223372036854775808]"),
        (
            "[2024, 127, 1, 0, 0, 0] | try mktime catch \"no\"",
            "[2038003200]",
        ),
        ("{} | try .[[]] catch \"no\"", "[\"no\"]"),
        ("try {(1): 2} catch \"no\"", "[\"no\"]"),
        ("try ({} | .[[1]] = 2) catch \"no\"", "[\"no\"]"),
        ("try (5 % 0) catch \"no\"", "[\"no\"]"),
        ("(1e999 | isinfinite), (nan | isnan)", "[true,true]"),
        ("try (\"\\(1, 2)\" | error) catch .", r#"["1"]"#),
        ("1, null | .[\"a\"]? // \"d\"", "[\"d\",\"d\"]"),
    ] {
        let found = match evaluate(program, "null") {
            Ok(outputs) => Value::from(outputs).to_string(),
            Err(error) => error.to_string(),
        };
        if found != expected {
            wrong.push(format!(
                "{program}\n  found    {found}\n  expected {expected}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn numbers_outside_json_are_refused() {
    assert_eq!(
        evaluate("1, nan", "{}"),
        Err(EvalError::NotANumber { output: 2 })
    );
    assert_eq!(
        evaluate("{a: [infinite]}", "{}"),
        Err(EvalError::NotANumber { output: 1 })
    );
    assert_eq!(
        evaluate("-infinite", "{}"),
        Err(EvalError::NotANumber { output: 1 })
    );
    let number = "18446744073709551616".to_owned();
    assert_eq!(
        evaluate(".", &number),
        Err(EvalError::InexactNumber { output: 1, number })
    );
    assert_eq!(
        evaluate("[255] | implode | @base64d", "0").map_err(|_| ()),
        Err(())
    );
    // As in jq, bytes that are no text become U+FFFD.
    assert_eq!(
        evaluate("\"/w==\" | @base64d", "0"),
        Ok(vec![Value::from("\u{fffd}")])
    );
}

/// What jq would do otherwise ends the program, and nothing catches it.
#[test]
fn refusal_cannot_be_caught() {
    for (program, part) in [
        ("try (9223372036854775807 + 1) catch 0", "more than 53 bits"),
        ("(.id - 1)?", "more than 53 bits"),
        ("(.id | floor) // 0", "more than 53 bits"),
        ("[.id, 1] | add?", "more than 53 bits"),
        ("9007199254740991 * 3", "more than 53 bits"),
        ("try (9223372036854775807 | todate) catch 0", "milliseconds"),
        ("try (1e300 | gmtime) catch 0", "milliseconds"),
        ("try (0 | strftime(\"%E\")) catch 0", "%E is not supported"),
        (
            "try (\"{\\\"a\\\":1,\\\"a\\\":2}\" | fromjson) catch 0",
            "duplicate keys",
        ),
        ("try (\"[nan]\" | fromjson) catch 0", "duplicate keys"),
        ("\"a\" | test(\"\\\\h\")?", "is not supported"),
        ("\"a\" | test(\"a\"; \"l\")?", "is not supported"),
        ("\"\u{e9}\" | gsub(\"x*\"; \"\")", "is not ASCII"),
        (
            "\"Stra\u{df}e\" | test(\"ss\"; \"i\")?",
            "match both spellings",
        ),
    ] {
        let error = evaluate(program, r#"{"id": 554023000000497007}"#).expect_err(program);
        assert!(error.to_string().contains(part), "{program}: {error}");
    }
    let passed = evaluate(
        ".id | ., -., tostring, . == 554023000000497008, length",
        r#"{"id": 554023000000497007}"#,
    );
    let expected =
        r#"[554023000000497007,-554023000000497007,"554023000000497007",false,554023000000497007]"#;
    assert_eq!(
        passed.map(|outputs| Value::from(outputs).to_string()),
        Ok(expected.to_owned())
    );
}

#[test]
fn error_message_is_that_of_program() {
    let message = |program: &str| match evaluate(program, r#"{"a": {"b": [1]}}"#) {
        Err(EvalError::Failed(failure)) => failure.full_message().to_owned(),
        other => panic!("{program}: {other:?}"),
    };
    assert_eq!(message("error(\"no id\")"), "no id");
    assert_eq!(message("error({code: 1})"), r#"{"code":1}"#);
    assert_eq!(message(".a.b.c"), r#"cannot index [1] with "c""#);
    assert_eq!(message(".a + 1"), r#"cannot calculate {"b":[1]} + 1"#);
    assert!(message("error(\"x\" * 10000)").len() < 600);
}
