//! Properties of all programs, inputs and numbers.

use proptest::prelude::*;

use serde_json::Value;

use super::{HOST, evaluate, evaluate_with, limits};
use crate::*;

/// Small programs that combine arbitrary terms.
#[expect(clippy::too_many_lines, reason = "one table of cases")]
fn programs() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        ".",
        "..",
        "null",
        "1",
        "-1",
        "0.5",
        "\"a\"",
        "[]",
        "{}",
        ".a",
        ".[]",
        ".[0]",
        ".[1:]",
        "empty",
        "$headers",
        "length",
        "keys",
        "tojson",
        "fromjson",
        "tostring",
        "add",
        "sort",
        "first",
        "last",
        "paths",
        "flatten",
        "explode",
        "implode",
        "reverse",
        "unique",
        "to_entries",
        "from_entries",
        "transpose",
        "not",
        "type",
        "error",
        "nan",
        "infinite",
        "@base64",
        "@sh",
        "@csv",
        "tonumber",
        "floor",
        "range(5)",
        "range(1e9)",
        "r",
        "repeat(.)",
        "recurse",
        "todate",
        "min",
        "join(\",\")",
        "todate",
        "mktime",
        "gmtime",
        "ascii",
        "toarray",
        "combinations",
        "walk(.)",
        ".a?",
        ".[]?",
        "test(\"a*\")",
        "trim",
    ])
    .prop_map(str::to_owned);
    let term = leaf.prop_recursive(5, 24, 3, |inner| {
        let pair = (inner.clone(), inner.clone());
        let operator = prop::sample::select(vec![
            "|", ",", "+", "-", "*", "/", "%", "//", "==", "<", "and", "or", "=", "|=", "+=",
            "//=", "*=",
        ]);
        let wrapped = prop::sample::select(vec![
            "[X]",
            "{a: X}",
            "{(X): 1}",
            "map(X)",
            "select(X)",
            "try X catch .",
            "(X)?",
            "first(X)",
            "last(X)",
            "limit(3; X)",
            "path(X)",
            "del(X)",
            "recurse(X)",
            "repeat(X)",
            "until(X; .)",
            "while(X; .)",
            "f(X)",
            "f(f(X))",
            "[X] | sort",
            "X | .[X]?",
            "sort_by(X)",
            "group_by(X)",
            "walk(X)",
            "with_entries(X)",
            "any(X; .)",
            "isempty(X)",
            "\"\\(X)\"",
            "-(X)",
            "getpath([X])",
            "X as $x | $x",
            "X as [$x] | $x",
            "label $l | X | break $l",
            "gsub(\"a\"; X)",
            ".[X:]",
            "skip(2; X)",
            "splits(X)",
            "def r: X; r",
            "def f(g): X; f(.)",
            "if X then X else . end",
            "reduce X as $x (.; X)",
            "foreach X as $x (.; X; .)",
            "min_by(X)",
            "add(X)",
            "paths(X)",
            "pick(X)",
            "strftime(X)",
            "test(X)",
            "indices(X)",
            "ltrimstr(X)",
            "contains(X)",
        ]);
        prop_oneof![
            (pair, operator)
                .prop_map(|((left, right), operator)| format!("(({left}) {operator} ({right}))")),
            (inner, wrapped).prop_map(|(inner, wrapped)| format!(
                "({})",
                wrapped.replace('X', &format!("({inner})"))
            )),
        ]
    });
    term.prop_map(|term| {
        format!("def r: ., (.[]? | r); def f(g): g | if . then f(g) else g end; {term}")
    })
}

fn bodies() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map("[a-c]{1,2}", inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_program_ends(program in programs(), body in bodies()) {
        let limits = Limits { steps: 20_000, memory_bytes: 4 << 20, ..limits() };
        match evaluate_with(&program, body.to_string().as_bytes(), &limits) {
            Ok(outputs) => prop_assert!(outputs.len() <= limits.outputs),
            Err(EvalError::Compile(error)) => prop_assert!(false, "{error}: {program}"),
            Err(EvalError::Failed(failure)) => prop_assert!(!failure.full_message().contains("engine panicked"), "{failure}: {program}"),
            Err(_) => {}
        }
    }

    #[test]
    fn any_path_is_a_program(program in programs()) {
        for path in Program::new(program.as_str(), &HOST).paths() {
            let compiled = Program::new(path.as_str(), &HOST).check();
            prop_assert!(compiled.is_ok(), "{path}: {program}");
        }
    }

    #[test]
    fn any_text_compiles_or_is_refused(program in "[a-z.|\\[\\]{}()$\"\\\\0-9@?:;, ]{0,30}") {
        if let Err(error) = Program::new(program, &HOST).check() {
            prop_assert!(!error.message.contains("cannot compile"), "{error}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn ids_survive(id in any::<u64>()) {
        let body = format!(r#"{{"id":{id},"text":"{id}","list":[{id}]}}"#);
        let program = "[.id, (.text | tonumber), .list[0], {id}.id, (tojson | fromjson | .id), ([.id] | sort | unique | .[0]), (.list | max)], \
            [.text, (.id | tostring), \"\\(.id)\", (.id | @text), (.id | tojson), ([.id] | join(\",\"))]";
        let outputs = evaluate(program, &body).unwrap();
        prop_assert_eq!(&outputs[0], &Value::from(vec![id; 7]));
        prop_assert_eq!(&outputs[1], &Value::from(vec![id.to_string(); 6]));
    }

    #[test]
    fn longer_integers_survive_as_text(digits in "[1-9][0-9]{20,60}") {
        let text = evaluate("tostring", &digits).unwrap();
        prop_assert_eq!(text, [digits.as_str()]);
        let ended = evaluate(".", &digits);
        prop_assert_eq!(ended, Err(EvalError::InexactNumber { output: 1, number: digits }));
    }

    #[test]
    fn decimals_keep_their_value(cents in -1_000_000_000_i64..1_000_000_000) {
        let price = format!("{}.{:02}", cents / 100, cents.unsigned_abs() % 100);
        let outputs = evaluate("., tostring", &price).unwrap();
        prop_assert_eq!(outputs[0].as_f64(), price.parse().ok());
        prop_assert_eq!(outputs[1].as_str(), Some(price.as_str()));
    }

    #[test]
    fn any_input_passes_unchanged(body in bodies()) {
        let program = r#".. | objects | select(has("a")) | {module: "Leads", fields: {Name: (.a | tostring)}, ids: [.b // empty]}"#;
        let outputs = evaluate(program, &body.to_string()).unwrap();
        prop_assert!(outputs.iter().all(Value::is_object));
        let same = evaluate(".", &body.to_string()).unwrap();
        prop_assert_eq!(same, vec![body]);
    }
}
