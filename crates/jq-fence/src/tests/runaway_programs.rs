//! Programs that would hang, crash or exhaust the memory of an engine without limits.

use super::{evaluate, is_limit};
use crate::*;

/// The limit that a program reaches, or what it yields.
fn limit(program: &str, body: &str) -> String {
    match evaluate(program, body) {
        Ok(outputs) => format!("{} outputs", outputs.len()),
        Err(EvalError::Failed(failure)) => failure.full_message().to_owned(),
        Err(error) => format!("{error:?}")
            .split([' ', '{', '('])
            .next()
            .unwrap()
            .to_owned(),
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table of cases")]
fn runaway_program_ends_at_limit() {
    let mut wrong = Vec::new();
    for (program, expected) in [
        ("def f: 1+f; f", "TooMuchRecursion"),
        ("def f: [f]; f", "TooMuchRecursion"),
        ("def f: f | f; f", ""),
        ("def f: f, f; f", "TooMuchMemory"),
        ("def f: f; f", "TooManySteps"),
        ("def f(g): f(g | g); f(.)", ""),
        (
            "def f(g): if . > 0 then . - 1 | f(g + 1) else g end; 1e9 | f(.)",
            "",
        ),
        ("def f(g): def h(i): f(i | g); h(.); f(.)", ""),
        ("def f($x): f($x + 1); f(0)", "TooManySteps"),
        ("def f: def g: f | f; g; f", ""),
        ("[repeat(1)]", ""),
        ("repeat(1)", "TooManyOutputs"),
        ("\"x\" * 3000000000 | length", "TooMuchMemory"),
        ("\"x\" * 1e18", "TooMuchMemory"),
        ("reduce range(60) as $i (\"x\"; . + .)", ""),
        ("reduce range(60) as $i ([1]; . + .) | length", ""),
        ("reduce range(1000000) as $i (null; [.])", "TooDeep"),
        ("reduce range(1000000) as $i (null; {a: .})", "TooDeep"),
        (
            "reduce range(1000000) as $i ({}; {a: {b: .}}) | 1",
            "TooDeep",
        ),
        (
            "reduce range(1000000) as $i (null; [[.]] | .[0])",
            "TooDeep",
        ),
        ("def f: [.] | f; f", "TooDeep"),
        ("def f: {a: .} | f; f", "TooDeep"),
        ("[.] | until(false; .[0] = .)", "TooDeep"),
        ("{} | until(false; .a = .)", "TooDeep"),
        ("reduce range(1000) as $i (null; [., .]) | tojson", ""),
        ("reduce range(60) as $i (null; [., .]) | tojson", ""),
        ("reduce range(60) as $i (null; [., .])", ""),
        (
            "reduce range(60) as $i (null; [., .]) | . == (tojson | fromjson)",
            "",
        ),
        (
            "reduce range(60) as $i (0; [., .]) as $x | reduce range(60) as $i (0; [., .]) | . == $x",
            "TooManySteps",
        ),
        (
            "reduce range(60) as $i (0; [., .]) as $x | reduce range(60) as $i (0; [., .]) | . < $x",
            "TooManySteps",
        ),
        ("reduce range(60) as $i (0; [., .]) | [., .] | sort | 1", ""),
        (
            "reduce range(60) as $i (0; [., .]) | [.] | inside([[1]])",
            "",
        ),
        ("reduce range(60) as $i (0; [., .]) | [..] | length", ""),
        ("reduce range(60) as $i (0; [., .]) | [paths] | length", ""),
        ("reduce range(60) as $i (0; [., .]) | walk(.)", ""),
        ("reduce range(60) as $i (0; [., .]) | flatten", ""),
        ("reduce range(60) as $i (0; [., .]) | \"\\(.)\"", ""),
        (
            "reduce range(60) as $i (0; [., .]) | @text, @json, @html, @sh",
            "",
        ),
        ("reduce range(60) as $i ({a: 1}; {a: ., b: .}) * . | 1", ""),
        ("reduce range(60) as $i (0; [., .]) | {(tojson): 1}", ""),
        ("limit(1e9; repeat(1))", "TooManyOutputs"),
        ("[limit(1e9; repeat(1))]", ""),
        ("last(range(1e18))", "TooManySteps"),
        ("skip(1e18; range(1e18))", "TooManySteps"),
        ("[range(1e10)]", ""),
        ("range(1e18)", "TooManyOutputs"),
        ("range(1e18) | empty", "TooManySteps"),
        ("reduce range(1e18) as $x (0; .)", "TooManySteps"),
        ("reduce range(1e18) as $x (0, 0; .)", "TooMuchMemory"),
        ("reduce range(1e18) as $x ((0, 0); ., .)", ""),
        (
            "foreach range(1e18) as $x (0; . + 1; empty)",
            "TooManySteps",
        ),
        ("recurse(.)", "TooManyOutputs"),
        ("[recurse(.)]", ""),
        ("last(recurse(. , .))", ""),
        ("last(path(recurse(.a)))", ""),
        ("null | last(path(recurse(.a?)))", ""),
        ("[1] | last(path(recurse(.[0:])))", ""),
        ("null | path(getpath([range(1e5) | tostring]))", ""),
        ("null | getpath([range(100000) | \"a\"]) = 1", ""),
        ("until(false; .)", "TooManySteps"),
        ("while(true; .)", "TooManyOutputs"),
        ("[while(true; .)]", ""),
        (
            "label $out | while(true; .) | empty, break $out | empty",
            "",
        ),
        (
            "label $out | repeat(1) | if . > 1 then break $out else empty end",
            "TooManySteps",
        ),
        ("isempty(range(1e18) | empty)", "TooManySteps"),
        ("any(range(1e18); . < 0)", "TooManySteps"),
        ("all(range(1e18); . >= 0)", "TooManySteps"),
        ("[limit(100000000; repeat(\"a\"))] | join(\",\")", ""),
        ("[range(1e6)] | implode", ""),
        ("[range(100000)] | combinations(1e9)", ""),
        (
            "[[range(100)], [range(100)], [range(100)], [range(100)]] | [combinations] | length",
            "",
        ),
        (
            "reduce range(60) as $i (10; . * .) | 1",
            "the program calculates an integer of more than 53 bits, which jq would round; keep ids as strings",
        ),
        ("reduce range(1e9) as $i (\"ab\"; @base64)", ""),
        ("reduce range(1e9) as $i (\"<\"; @html)", ""),
        ("reduce range(1e9) as $i (\"%\"; @uri)", ""),
        ("reduce range(1e9) as $i (\"'\"; @sh)", ""),
        ("reduce range(1e9) as $i (\"\\\"\"; tojson)", ""),
        ("reduce range(1e9) as $i (\"a\"; gsub(\"a\"; \"aa\"))", ""),
        ("reduce range(1e9) as $i ([1]; [.[], .[]])", ""),
        ("reduce range(1e9) as $i ({}; .[$i | tostring] = 1)", ""),
        ("reduce range(1e9) as $i ([1]; .[0:0] = .)", ""),
        ("reduce range(1e9) as $i (\"a\"; .[0:0] = .)", ""),
        (
            "[range(1000)] | [.[] as $a | .[] as $b | .[] as $c | 1] | length",
            "",
        ),
        ("[range(1e5)] | .[[range(5e4)]]", ""),
        ("\"a\" * 1e6 | [splits(\"\")] | length", ""),
        ("\"a\" * 1e5 | [match(\"(a*)*b\"; \"g\")]", ""),
        ("\"a\" * 1e6 | test(\"(a*)*b\")", ""),
        ("\"a\" * 1e6 | test(\"(a{1,50}){1,50}b\")", ""),
        ("\"a\" * 1e6 | test(\"a\" * 2000)", ""),
        ("try (def f: 1 + f; f) catch 0", "TooMuchRecursion"),
        ("(def f: 1 + f; f) // 0", "TooMuchRecursion"),
        ("(def f: 1 + f; f)?", "TooMuchRecursion"),
        ("try last(range(1e18)) catch 0", "TooManySteps"),
        ("first(last(range(1e18))?, 0)", "TooManySteps"),
        ("try error(\"x\" * 1e18) catch 0", "TooMuchMemory"),
        ("last(range(1e18)) // 0", "TooManySteps"),
        (".. |= [.]", ""),
        ("[1] | .[] |= (def f: 1 + f; f)", "TooMuchRecursion"),
        ("[[1]] | .. |= (def f: f; f)", "TooManySteps"),
        ("{} | .a |= until(false; .)", "TooManySteps"),
        ("path(def f: f | f; f)", ""),
        ("path(def f(g): f(g | g); f(.))", ""),
        ("(def f: f | f; f) = 1", ""),
        ("(def f(g): f(g | g); f(.)) |= 1", ""),
        ("[range(1e4)] | sort_by(last(range(1e18)))", "TooManySteps"),
        (
            "[range(1e4)] | group_by(def f: 1 + f; f)",
            "TooMuchRecursion",
        ),
    ] {
        let ended = limit(program, "null");
        // Without an expectation, any limit and any small result is accepted.
        let small = ended.ends_with(" outputs") || ended.len() < 400;
        let right = match expected {
            "" => is_limit(&ended) || small,
            expected => ended == expected,
        };
        if !right {
            wrong.push(format!(
                "{program}\n  found    {ended}\n  expected {expected}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
