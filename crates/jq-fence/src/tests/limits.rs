//! Limits of programs and inputs.

use std::time::Duration;

use super::{evaluate_with, is_limit, limits};
use crate::*;

#[test]
fn hostile_input_ends_at_limit() {
    let wide = format!("[{}]", vec!["[]"; 300_000].join(","));
    let numbers = format!(
        "[{}]",
        (0..100_000)
            .map(|n| n.to_string())
            .collect::<Vec<_>>()
            .join(",")
    );
    let deep = "[".repeat(100) + &"]".repeat(100);
    let text = format!("\"{}\"", "a".repeat(1_000_000));
    let limits = Limits {
        steps: 200_000,
        memory_bytes: 128 << 20,
        ..limits()
    };
    for body in [&wide, &numbers, &deep, &text] {
        for program in [
            ".",
            "[..]",
            "tojson",
            "tojson | fromjson",
            "[.[]?]",
            "walk(.)",
            "[paths]",
            "flatten?",
            "[getpath(paths)]",
            "[.[]? as $a | .[]? as $b | .[]? as $c | 1]",
            "sort?",
            "group_by(.)?",
            "unique?",
            ". - .",
            "indices(.)?",
            "contains(.)",
            "[scan(\"(a|aa)+$\")]?",
            "gsub(\"\"; \"x\")?",
            "explode?",
            "[.] | @csv?",
            "join(\",\")?",
            "try error catch .",
            "error",
            ". as [$a, [$b]] | $a",
            "reduce .[]? as $x (\"\"; . + ($x | tojson))",
            "to_entries?",
            "add?",
            "[.[]? | {a: .}]",
            "[limit(5; ..)]",
            "@base64?",
            "@uri?",
            "ascii_downcase?",
            "[match(\"a*?\"; \"g\")] | length",
            "ltrimstr(\"a\")?",
            "split(\"\")?",
            "transpose?",
            "del(..)?",
            "del(.[]?)",
            "[.[]?] |= map(.)",
            "to_entries? | from_entries?",
            "min_by(.)?",
            "tostring | test(\"(.*)*x\")",
        ] {
            match evaluate_with(program, body.as_bytes(), &limits) {
                Ok(_) => {}
                Err(EvalError::Failed(failure)) => {
                    assert!(failure.full_message().len() < 2_000, "{program}");
                    assert!(failure.to_string().len() < 2_200, "{program}");
                }
                Err(error) => {
                    let debug = format!("{error:?}");
                    let name = debug.split([' ', '{']).next().unwrap();
                    assert!(is_limit(name), "{program}: {error}");
                }
            }
        }
    }
}

#[test]
fn long_chains_are_dropped_safely() {
    let limits = Limits {
        time: Duration::from_secs(600),
        ..Limits::default()
    };
    for program in [
        "def f(g): f(g | g); f(.)",
        "def f(g): if . > 0 then . - 1 | f(g + 1) else 0 end; 1e6 | f(.)",
        "def f(g): def h(i): f(i | g); h(.); f(.)",
        "path(def f(g): if true then f(g | g) else . end; f(.))",
        "null | last(path(recurse(.a?)))",
        "[1] | last(path(recurse(.[0:])))",
        "null | path(getpath([range(1e6) | tostring]))",
        "null | getpath([range(100000) | \"a\"]) = 1",
        "[limit(1e6; repeat(1))] | length",
        "reduce range(1e6) as $x ((0, 0); . + 1) | empty",
        "def f: 1 + f; f",
        "def f: [limit(1; f)]; f",
        "reduce range(100000) as $i (.; . as $x | [$x])",
        "last(recurse(. , .))",
        "def f: (., f) | .; last(f)",
        "label $a | def f: label $b | f, break $a; f",
    ] {
        // The test only checks that the call returns: a stack overflow would end the process.
        drop(evaluate_with(program, b"null", &limits));
    }
}

#[test]
fn each_limit_has_its_error() {
    let body = br#"{"a": 1}"#;
    let small = Limits {
        input_bytes: 4,
        ..limits()
    };
    assert_eq!(
        evaluate_with(".", body, &small),
        Err(EvalError::InputTooLarge { limit: 4 })
    );
    let few = Limits {
        outputs: 2,
        ..limits()
    };
    assert_eq!(evaluate_with("1, 2", body, &few).unwrap().len(), 2);
    assert_eq!(
        evaluate_with("1, 2, 3", body, &few),
        Err(EvalError::TooManyOutputs { limit: 2 })
    );
    let short = Limits {
        output_bytes: 100,
        ..limits()
    };
    assert!(evaluate_with("\"x\" * 90", body, &short).is_ok());
    assert_eq!(
        evaluate_with("\"x\" * 99", body, &short),
        Err(EvalError::TooLarge { limit: 100 })
    );
    assert_eq!(
        evaluate_with("[range(60)]", body, &short),
        Err(EvalError::TooLarge { limit: 100 })
    );
}
