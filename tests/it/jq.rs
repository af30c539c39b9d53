//! Programs mean the same as in jq 1.8: jq's own tests, and a comparison with jq over many programs and inputs.

mod generator;
mod oracle;
mod own_tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use jq_fence::{Document, EvalError, Host, Input, Limits, Program};
use serde_json::Value;

use crate::harness::repo_path;
use own_tests::{Expected, OwnTest};

/// Limits that do not depend on the speed of the machine.
const LIMITS: Limits = Limits {
    input_bytes: 1 << 20,
    outputs: 10_000,
    output_bytes: 4 << 20,
    time: Duration::from_secs(600),
    steps: 20_000_000,
    memory_bytes: 128 << 20,
    stack_bytes: 16 << 20,
};

/// How a program ended here.
enum Ending {
    Outputs(Vec<Value>),
    /// The program does not compile.
    Refused(String),
    /// The input cannot be read, or the program failed.
    Failed(String),
}

impl std::fmt::Display for Ending {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Outputs(outputs) => write!(formatter, "{outputs:?}"),
            Self::Refused(message) => write!(formatter, "refused: {message}"),
            Self::Failed(message) => write!(formatter, "failed: {message}"),
        }
    }
}

fn run(program: &Program, input: &str) -> Ending {
    let document = match Document::from_json(input.as_bytes()) {
        Ok(document) => document,
        Err(error) => return Ending::Failed(format!("the input: {error}")),
    };
    let input = Input {
        document: &document,
        variables: &[],
    };
    match program.run_blocking(&input, &LIMITS) {
        Ok(outputs) => Ending::Outputs(outputs),
        Err(EvalError::Compile(error)) => Ending::Refused(error.to_string()),
        Err(error) => Ending::Failed(error.to_string()),
    }
}

/// Whether the order of an object's keys counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Counts,
    Ignored,
}

/// Whether two values are equal: numbers as numbers, integers exactly.
fn is_same(ours: &Value, theirs: &Value, order: Order) -> bool {
    match (ours, theirs) {
        (Value::Number(ours), Value::Number(theirs)) => {
            let integer = |number: &serde_json::Number| match number.as_i64() {
                Some(int) => Some(i128::from(int)),
                None => number.as_u64().map(i128::from),
            };
            match (
                integer(ours),
                integer(theirs),
                ours.as_f64(),
                theirs.as_f64(),
            ) {
                (Some(ours), Some(theirs), ..) => ours == theirs,
                // serde_json may read a float one unit off.
                (_, _, Some(ours), Some(theirs)) => (ours - theirs).abs() <= ours.abs() * 4e-16,
                _ => false,
            }
        }
        (Value::Array(ours), Value::Array(theirs)) => are_same(ours, theirs, order),
        (Value::Object(ours), Value::Object(theirs)) => {
            let same_order = order == Order::Ignored || ours.keys().eq(theirs.keys());
            let mut entries = ours.iter();
            same_order
                && ours.len() == theirs.len()
                && entries.all(|(key, value)| {
                    theirs
                        .get(key)
                        .is_some_and(|other| is_same(value, other, order))
                })
        }
        _ => ours == theirs,
    }
}

fn are_same(ours: &[Value], theirs: &[Value], order: Order) -> bool {
    ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(l, r)| is_same(l, r, order))
}

/// Whether two values differ in nothing but the texts of strings, as the messages of errors do.
fn differ_in_text_only(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::String(_), Value::String(_)) => true,
        (Value::Array(ours), Value::Array(theirs)) => {
            let mut items = ours.iter().zip(theirs);
            ours.len() == theirs.len() && items.all(|(l, r)| differ_in_text_only(l, r))
        }
        _ => is_same(ours, theirs, Order::Ignored),
    }
}

/// The tests of jq that end differently here, each with its reason: `tests/it/jq/differences.txt`.
fn known_differences() -> BTreeMap<String, String> {
    let text = fs::read_to_string(repo_path("tests/it/jq/differences.txt")).expect("a file");
    let mut reason = String::new();
    let mut known = BTreeMap::new();
    for line in text
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with("# "))
    {
        match line.strip_prefix("= ") {
            Some(new) => new.clone_into(&mut reason),
            None => drop(known.insert(line.to_owned(), reason.clone())),
        }
    }
    known
}

/// How the test ended differently than in jq; `None` if it passed. jq's outputs may be followed by an error.
fn difference(test: &OwnTest, ending: &Ending, jq_fails: bool) -> Option<&'static str> {
    match (&test.expected, ending) {
        (_, Ending::Refused(_) | Ending::Failed(_)) if jq_fails => None,
        (Expected::Refused, _) => Some("accepted"),
        (Expected::Outputs(theirs), Ending::Outputs(ours))
            if are_same(ours, theirs, Order::Ignored) =>
        {
            None
        }
        (Expected::Outputs(theirs), Ending::Outputs(ours)) => {
            let mut outputs = ours.iter().zip(theirs);
            // A program may also compare what it caught with the text of jq.
            let only_texts = ours.len() == theirs.len()
                && test.program.contains("catch")
                && (test.program.contains("cannot be")
                    || outputs.all(|(l, r)| differ_in_text_only(l, r)));
            Some(if only_texts { "message" } else { "silent" })
        }
        (Expected::Outputs(_), Ending::Refused(_) | Ending::Failed(_)) => Some("loud"),
    }
}

#[test]
fn own_tests_of_jq_pass_or_fail_loudly() {
    let known = known_differences();
    let mut seen = BTreeSet::new();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    let tests = own_tests::all(oracle::tests_of_jq());
    let cases: Vec<(String, String)> = tests
        .iter()
        .map(|test| (test.program.clone(), test.input.clone()))
        .collect();
    for (test, theirs) in tests.iter().zip(oracle::answers(&cases)) {
        let ending = run(
            &Program::new(test.program.as_str(), &Host::PLAIN),
            &test.input,
        );
        let found = difference(test, &ending, theirs.is_err());
        *counts.entry(found.unwrap_or("passed")).or_default() += 1;
        let key = test.key();
        match (found, known.get(&key)) {
            (None, None) => {}
            (None, Some(_)) if seen.contains(&key) => {}
            (None, Some(reason)) => wrong.push(format!("passes, but is listed ({reason}): {key}")),
            (Some("silent"), _) => {
                wrong.push(format!("silent: {key}\n  {ending}\n  {:?}", test.expected))
            }
            (Some(_), Some(_)) => drop(seen.insert(key)),
            (Some(kind), None) => {
                wrong.push(format!("{kind}: {key}\n  {ending}\n  {:?}", test.expected))
            }
        }
    }
    for key in known.keys().filter(|key| !seen.contains(*key)) {
        wrong.push(format!("listed, but there is no such difference: {key}"));
    }
    eprintln!("jq's own tests: {counts:?}");
    assert!(
        wrong.is_empty(),
        "{} differences:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// The cases of the comparison: a program and an input each.
fn cases() -> Vec<(String, String)> {
    let read =
        |name: &str| fs::read_to_string(repo_path("tests/it/jq").join(name)).expect("a file");
    let bodies = read("bodies.txt");
    let mut cases = Vec::new();
    for line in read("programs.txt")
        .lines()
        .filter(|line| !line.starts_with("# "))
    {
        match line.split_once(" ### ") {
            Some((program, input)) => cases.push((program.to_owned(), input.to_owned())),
            None => cases.extend(
                bodies
                    .lines()
                    .map(|body| (line.to_owned(), body.to_owned())),
            ),
        }
    }
    for program in generator::programs(600) {
        let chosen = bodies.lines().step_by(3);
        cases.extend(chosen.map(|body| (program.clone(), body.to_owned())));
    }
    cases
}

#[test]
fn mappings_have_the_results_of_jq() {
    let cases = cases();
    let theirs = oracle::answers(&cases);
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    let mut program = Program::new(".", &Host::PLAIN);
    for ((source, input), theirs) in cases.iter().zip(theirs) {
        if program.source() != source {
            program = Program::new(source.as_str(), &Host::PLAIN);
        }
        let ours = run(&program, input);
        let kind = match (&ours, &theirs) {
            (Ending::Outputs(ours), Ok(theirs)) if are_same(ours, theirs, Order::Counts) => "equal",
            (Ending::Outputs(_), Ok(_)) => "different",
            (Ending::Outputs(_), Err(_)) => "accepted",
            (Ending::Failed(_) | Ending::Refused(_), Err(_)) => "both fail",
            (Ending::Failed(_) | Ending::Refused(_), Ok(_)) => "loud",
        };
        *counts.entry(kind).or_default() += 1;
        if kind == "different" || kind == "accepted" {
            wrong.push(format!(
                "{kind}: {source} ### {input}\n  ours   {ours}\n  theirs {theirs:?}"
            ));
        }
    }
    eprintln!("{} cases compared with jq: {counts:?}", cases.len());
    assert!(
        wrong.is_empty(),
        "{} differences:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    // A comparison of programs that fail would prove nothing.
    let equal = counts.get("equal").copied().unwrap_or_default();
    let loud = counts.get("loud").copied().unwrap_or_default();
    assert!(
        equal * 2 > cases.len() && loud * 20 < cases.len(),
        "{counts:?}"
    );
}

#[test]
fn documented_differences_are_those_of_the_tests() {
    let page = fs::read_to_string(repo_path("docs/jq.md")).expect("docs/jq.md");
    let known = known_differences();
    let reasons: BTreeSet<&str> = known.values().map(String::as_str).collect();
    for reason in reasons {
        assert!(
            page.contains(&format!("| {reason} |")),
            "docs/jq.md has no row for {reason:?}"
        );
    }
}
