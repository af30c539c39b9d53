//! The memory of a process that runs a program stays near the limit.

use std::process::Command;
use std::time::Duration;

use super::evaluate_with;
use crate::*;

/// The variable that hands a program to the process that is measured.
const PROGRAM: &str = "JQ_FENCE_MEASURED_PROGRAM";

const LIMIT: usize = 32 << 20;

/// The highest resident memory of this process so far.
fn peak_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().nth(1));
    kibibytes.unwrap().parse::<usize>().unwrap() << 10
}

/// Runs the program of the environment, if there is one, in a process of its own.
#[test]
#[expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "the parent process passes the program and reads the measurement"
)]
fn measured_process_reports_its_peak() {
    let Ok(program) = std::env::var(PROGRAM) else {
        return;
    };
    let limits = Limits {
        time: Duration::from_secs(600),
        memory_bytes: LIMIT,
        outputs: 1_000_000,
        ..Limits::default()
    };
    drop(evaluate_with("1", b"null", &limits));
    let before = peak_bytes();
    let error = match evaluate_with(&program, b"null", &limits) {
        Ok(_) => "none".to_owned(),
        Err(error) => error.to_string(),
    };
    println!("measured:{}:{error}", peak_bytes() - before);
}

/// The growth of the peak, and the error with which the program ends.
fn measure(program: &str) -> (usize, String) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "tests::memory::measured_process_reports_its_peak",
            "--exact",
            "--nocapture",
        ])
        .env(PROGRAM, program)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let found = text.lines().find_map(|line| line.split("measured:").nth(1));
    let (bytes, error) = found
        .and_then(|found| found.split_once(':'))
        .unwrap_or_else(|| panic!("{program}: {text}"));
    (bytes.parse().unwrap(), error.to_owned())
}

#[test]
#[cfg(target_os = "linux")]
fn process_stays_near_memory_limit() {
    let mut wrong = Vec::new();
    for program in [
        "last(recurse(., .))",
        "[recurse(., .)]",
        "last(recurse(., .; true))",
        "def f: f, f; f",
        "def f: (., .) | f; f",
        "last(path(recurse(., .)))",
        "(recurse(., .)) |= 1",
        "reduce range(1e18) as $x ((0, 0); .)",
        "last(foreach range(1e18) as $x (0, 1; .))",
        "reduce range(60) as $i (\"a\"; . + .)",
        "[limit(1e9; repeat([1]))]",
        "\"a\" * 1000000 | [match(\"a\"; \"g\")]",
        "\"a\" * 1000000 | [scan(\"(?<x>a)\")]",
        "[range(1e9) | {a: .}]",
        "reduce range(60) as $i (0; [., .]) | tojson",
    ] {
        let (bytes, error) = measure(program);
        let is_named = error.contains("bytes of memory") || error.contains("steps");
        if bytes > LIMIT + LIMIT / 2 || !is_named {
            wrong.push(format!("{program}: {} MiB, {error}", bytes >> 20));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
