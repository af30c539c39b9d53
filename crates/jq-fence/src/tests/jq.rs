//! Results of common jq programs.

use std::time::Duration;

use serde_json::Value;

use super::{HOST, evaluate};
use crate::*;

#[test]
#[expect(clippy::too_many_lines, reason = "one table of cases")]
fn common_filters_have_results_of_jq() {
    let body = r#"{"id": 554023000000497007, "name": "Ann O'Neil", "tags": ["b", "a", "b"], "n": null,
        "rows": [{"k": "x", "v": 2}, {"k": "y", "v": 1}, {"k": "x", "v": 3}],
        "at": "2026-03-04T05:06:07Z", "price": 12.50, "deep": {"a": {"b": [1, {"c": true}]}}}"#;
    let mut wrong = Vec::new();
    for (program, expected) in [
        (".id", "554023000000497007"),
        (".rows | map(.v)", "[2,1,3]"),
        (".rows[] | select(.v > 1) | .k", r#""x" "x""#),
        (".rows | map(select(.k == \"x\")) | length", "2"),
        ("empty", ""),
        (".n // \"none\"", r#""none""#),
        (".missing?.x // 1", "1"),
        (".name | .x?", ""),
        ("try error(\"bad\") catch .", r#""bad""#),
        (
            ".rows | group_by(.k) | map({k: .[0].k, n: length})",
            r#"[{"k":"x","n":2},{"k":"y","n":1}]"#,
        ),
        (".tags | unique", r#"["a","b"]"#),
        (".rows | unique_by(.k) | map(.v)", "[2,1]"),
        (".rows | sort_by(.v) | map(.v)", "[1,2,3]"),
        (".rows | sort_by(.k, -.v) | map(.v)", "[3,2,1]"),
        (".rows | min_by(.v).v, max_by(.v).v", "1 3"),
        (".rows | map(.v) | add", "6"),
        (".rows | add(.[].v)", "6"),
        (".rows | first, last | .v", "2 3"),
        (".tags | any(. == \"a\"), all(. == \"a\")", "true false"),
        (
            "{a: 1, b: 2} | to_entries",
            r#"[{"key":"a","value":1},{"key":"b","value":2}]"#,
        ),
        ("[{key: \"a\", value: 1}] | from_entries", r#"{"a":1}"#),
        (
            "{a: 1, b: 2} | with_entries(.value += 1)",
            r#"{"a":2,"b":3}"#,
        ),
        (
            "{b: 1, a: 2} | keys, keys_unsorted",
            r#"["a","b"] ["b","a"]"#,
        ),
        (".name | test(\"o'n\"; \"i\")", "true"),
        (".name | match(\"O.\") | .offset, .string", r#"4 "O'""#),
        (
            ".name | capture(\"(?<first>\\\\w+) (?<last>.+)\")",
            r#"{"first":"Ann","last":"O'Neil"}"#,
        ),
        (".name | sub(\"n+\"; \"N\")", r#""AN O'Neil""#),
        (
            ".name | gsub(\"(?<v>[aeiou])\"; \"<\\(.v)>\"; \"i\")",
            r#""<A>nn <O>'N<e><i>l""#,
        ),
        ("[.name | scan(\"[A-Z]\")]", r#"["A","O","N"]"#),
        ("[\"a1b22\" | splits(\"[0-9]+\")]", r#"["a","b",""]"#),
        ("\"ä-ö\" | [match(\"[^a-z]\"; \"g\").offset]", "[0,1,2]"),
        ("\"a,b\" | split(\",\")", r#"["a","b"]"#),
        ("\"abc\" | split(\"\")", r#"["a","b","c"]"#),
        ("\"a, b\" | split(\", *\"; null)", r#"["a","b"]"#),
        ("[1, \"a\", null, true] | join(\"-\")", r#""1-a--true""#),
        ("\"ÄbC\" | ascii_downcase, ascii_upcase", r#""Äbc" "ÄBC""#),
        ("\"12\" | tonumber + 1", "13"),
        ("\"12x\" | try tonumber catch \"no\"", r#""no""#),
        (".id | tostring", r#""554023000000497007""#),
        (
            ".price, (.price * 2), (.price | tostring)",
            r#"12.5 25 "12.50""#,
        ),
        ("10 / 4, 10 / 2, (7 | . / 2 | floor), 7 % 3", "2.5 5 3 1"),
        ("\"{\\\"a\\\":[1]}\" | fromjson.a[0]", "1"),
        ("[1, {a: null}] | tojson", r#""[1,{\"a\":null}]""#),
        ("\"hi\" | @base64, (@base64 | @base64d)", r#""aGk=" "hi""#),
        ("\"a b&c\" | @uri, @html", r#""a%20b%26c" "a b&amp;c""#),
        ("[\"it's\", 1] | @sh", r#""'it'\\''s' 1""#),
        (
            "[1, \"a\\\"b\", null] | @csv, @tsv",
            r#""1,\"a\"\"b\"," "1\ta\"b\t""#,
        ),
        (
            "@text \"x\\(1 + 1)\", @json \"v=\\([1])\"",
            r#""x2" "v=[1]""#,
        ),
        (".at | fromdate", "1772600767"),
        ("1772600767 | todate", r#""2026-03-04T05:06:07Z""#),
        (".at | fromdate | strftime(\"%Y-%m-%d\")", r#""2026-03-04""#),
        (
            "\"04.03.2026\" | strptime(\"%d.%m.%Y\")?",
            "[2026,2,4,0,0,0,3,62]",
        ),
        (
            "\"2026-03-04T05:06:07Z\" | strptime(\"%Y-%m-%dT%H:%M:%SZ\") | mktime",
            "1772600767",
        ),
        ("reduce .rows[] as $r (0; . + $r.v)", "6"),
        ("[foreach .rows[] as $r (0; . + $r.v)]", "[2,3,6]"),
        (
            "[foreach (1, 2) as $x (0; . + $x; [$x, .])]",
            "[[1,1],[2,3]]",
        ),
        ("def f($a; g): $a + g; f(1; 2)", "3"),
        (
            "def fac: if . <= 1 then 1 else . * (. - 1 | fac) end; 10 | fac",
            "3628800",
        ),
        (
            "def m(f): if type == \"array\" then map(m(f)) else f end; [1, [2]] | m(. + 1)",
            "[2,[3]]",
        ),
        (".rows[0] as {k: $k, v: $v} | [$k, $v]", r#"["x",2]"#),
        ("[[1, [2]]] | .[] as [$a, [$b]] | $a + $b", "3"),
        ("[.deep | .. | numbers, booleans]", "[1,true]"),
        ("[limit(2; .rows[].v)]", "[2,1]"),
        ("1 | until(. > 100; . * 2)", "128"),
        ("[1 | while(. < 10; . * 2)]", "[1,2,4,8]"),
        (
            "2 | [recurse(if . < 3 then . + 1 else empty end)] | length",
            "2",
        ),
        (
            ".deep | [paths | join(\".\")]",
            r#"["a","a.b","a.b.0","a.b.1","a.b.1.c"]"#,
        ),
        (
            ".deep | [paths(type == \"boolean\")]",
            r#"[["a","b",1,"c"]]"#,
        ),
        (".deep | getpath([\"a\", \"b\", 0])", "1"),
        (".deep | setpath([\"a\", \"b\", 0]; 5) | .a.b[0]", "5"),
        (".deep | del(.a.b[1])", r#"{"a":{"b":[1]}}"#),
        ("{a: 1, b: 2} | del(.a)", r#"{"b":2}"#),
        (
            "{} | .a.b = 1 | .c += 2 | .d //= 3",
            r#"{"a":{"b":1},"c":2,"d":3}"#,
        ),
        ("[1, 2, 3] | .[1:] = [9] | .[0] |= . + 1", "[2,9]"),
        ("[1, null] | map_values(. // empty)", "[1]"),
        (
            ".tags | has(0), has(9), (index(\"b\")), rindex(\"b\"), (indices(\"b\"))",
            "true false 0 2 [0,2]",
        ),
        ("\"a\" | in({a: 1})", "true"),
        (
            "\"foobar\" | contains(\"bar\"), (\"bar\" | inside(\"foobar\")), startswith(\"foo\"), endswith(\"x\")",
            "true true true false",
        ),
        (
            "\"foobar\" | ltrimstr(\"foo\"), rtrimstr(\"bar\"), .[1:3], index(\"b\"), length",
            r#""bar" "foo" "oo" 3 6"#,
        ),
        ("\" x \" | trim, ltrim, rtrim", r#""x" "x " " x""#),
        ("[1, [2, [3]]] | flatten, flatten(1)", "[1,2,3] [1,2,[3]]"),
        ("[range(0; 10; 3)], [range(2)]", "[0,3,6,9] [0,1]"),
        (
            "[3.7, -3.2] | map(floor), map(ceil), map(round)",
            "[3,-4] [4,-3] [4,-3]",
        ),
        ("[[1, 2], [3]] | transpose", "[[1,3],[2,null]]"),
        ("65 | ascii", r#""A""#),
        ("[65, 228] | implode | explode", "[65,228]"),
        (
            "[1, [2]] | walk(if type == \"number\" then . + 1 else . end)",
            "[2,[3]]",
        ),
        ("{a: {b: 1}} * {a: {c: 2}}", r#"{"a":{"b":1,"c":2}}"#),
        ("[1, 2, 3, 1] - [1]", "[2,3]"),
        (
            "INDEX({id: 5, v: 1}; .id)[\"5\"].v, (2 | IN(1, 2))",
            "1 true",
        ),
        (".rows | map(.k) | reverse | first", r#""x""#),
        (
            "[.[] | type] | unique",
            r#"["array","null","number","object","string"]"#,
        ),
        ("if .n then 1 elif .id then 2 else 3 end", "2"),
        ("if .id then 1 end", "1"),
        (".n and true, (.id or false), (.n | not)", "false true true"),
        ("label $f | .rows[] | ., break $f | .v", "2"),
        ("[.tags[] as $t | {($t): 1}] | add", r#"{"b":1,"a":1}"#),
        (
            "{name, \"x\": 1, (.tags[0]): 2, \"y\\(1)\": 3}",
            r#"{"name":"Ann O'Neil","x":1,"b":2,"y1":3}"#,
        ),
        ("{$route}", r#"{"route":"deals"}"#),
        ("[splits(\"a\")?]", "[]"),
        ("[1, 2] | pick(.[0])", "[1]"),
        ("{a: 1, b: 2} | pick(.a)", r#"{"a":1}"#),
        (
            "pow(2; 10), (16 | sqrt), (-5 | abs), ([1, 2] | min, max)",
            "1024 4 5 1 2",
        ),
        ("[.[]? | scalars] | length", "5"),
        ("[1,2,3] | bsearch(2), IN([1,2,3])", "1 true"),
        (
            "\"test\" | ascii_downcase | @base64 \"\\(.)!\"",
            r#""dGVzdA==!""#,
        ),
        ("[{a: 1}, {a: 2}] | map(.a) | @json", r#""[1,2]""#),
        ("isvalid(1)?", "compile"),
    ] {
        if expected == "compile" {
            assert!(Program::new(program, &HOST).check().is_err());
            continue;
        }
        let found = match evaluate(program, body) {
            Ok(outputs) => outputs
                .iter()
                .map(Value::to_string)
                .collect::<Vec<_>>()
                .join(" "),
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
fn large_program_stays_within_default_limits() {
    let rows: Vec<String> = (0..5_000)
        .map(|n| {
            format!(
                r#"{{"crm_id":"55402300000{n:07}","status":"{}","n":{n}}}"#,
                if n % 3 == 0 { "paid" } else { "open" }
            )
        })
        .collect();
    let body = format!(r#"{{"rows":[{}]}}"#, rows.join(","));
    let program = r#"{paid: "Closed Won", open: "Negotiation"} as $table
        | .rows | group_by(.status)[]
        | {module: "Deals", fields: {Stage: $table[.[0].status]}, ids: map(.crm_id)}"#;
    let limits = Limits {
        time: Duration::from_secs(600),
        ..Limits::default()
    };
    let outputs = super::evaluate_with(program, body.as_bytes(), &limits).unwrap();
    assert_eq!(outputs.len(), 2);
    for program in [
        "reduce .rows[] as $r ([]; . + [$r.crm_id]) | length",
        "reduce .rows[] as $r ({}; .[$r.crm_id] = $r.n) | length",
        "[.rows[].crm_id] | join(\",\") | split(\",\") | length",
        ".rows | map({key: .crm_id, value: .n}) | from_entries | length",
        "[.rows[] | select(.n % 2 == 0 or .status == \"paid\") | .crm_id | tonumber] | unique | length | if . > 3000 then 5000 else . end",
        ".rows | map(.crm_id | sub(\"^554\"; \"\")) | add | length / 15",
        ".rows[:1000] | until(length == 0; .[1:]) | 5000 + length",
    ] {
        let outputs = super::evaluate_with(program, body.as_bytes(), &limits);
        assert_eq!(outputs, Ok(vec![Value::from(5_000)]), "{program}");
    }
}

#[test]
fn output_without_path_within_try_ends_program() {
    let body = r#"[{"a": 1}, {"a": 2}]"#;
    for program in [
        "(map(.a))? |= 1",
        "(map(.a))? = 1",
        "(map(.a))? += 1",
        "(map(.a))? //= 1",
        "(try map(.a) catch .) |= 1",
        "[path((map(.a))?)]",
        "del((map(.a))?)",
        "(.[0].a | tostring)? |= \"x\"",
        "((map(.a))?)? |= 1",
        "(.[] | (1, .a)?) |= 2",
        "(.[0] | (.b // 1)?) |= 2",
        "def f: map(.a); (f?) |= 1",
        "(map(.a)? // .[0]) |= 1",
        "to_entries | ((map(.key))?) |= 1",
        "first((map(.a))?) |= 1",
        "try ((map(.a))? |= 1) catch 0",
    ] {
        let error = evaluate(program, body).expect_err(program).to_string();
        assert!(error.contains("yields no path"), "{program}: {error}");
    }
    for (program, expected) in [
        ("(.[0].a)? |= 5", r#"[{"a":5},{"a":2}]"#),
        ("(.[] | .a.b)? |= 5", body),
        ("(.[] | select(.a == 1) | .a)? |= 5", r#"[{"a":5},{"a":2}]"#),
        ("(.. | numbers)? |= . + 1", r#"[{"a":2},{"a":3}]"#),
        (
            "(.[] | if .a > 1 then .a else error(\"no\") end)? |= 5",
            body,
        ),
        ("[(map(.a))?]", "[[1,2]]"),
        (
            "try error(\"invalid path expression\") catch .",
            r#""invalid path expression""#,
        ),
        ("(error(\"invalid path expression\"))? |= 1", body),
        ("[paths?] | length", "4"),
    ] {
        let outputs = evaluate(program, body).expect(program);
        let expected: Value = serde_json::from_str(expected).unwrap();
        assert_eq!(outputs, [expected], "{program}");
    }
}
