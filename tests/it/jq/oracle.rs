//! jq itself, as a Python package, and the folder of its own tests.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde::Deserialize;
use serde_json::Value;

use crate::harness::{jq_tools, repo_path};

/// The folder of jq's own tests.
pub(super) fn tests_of_jq() -> &'static Path {
    &jq_tools().tests
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    Ok(Vec<String>),
    Error(String),
}

/// What jq yields for each program and input.
pub(super) fn answers(cases: &[(String, String)]) -> Vec<Result<Vec<Value>, String>> {
    let mut child = Command::new(&jq_tools().python)
        .arg(repo_path("tests/tools/jq_oracle.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python can be started");
    let mut stdin = child.stdin.take().expect("a pipe");
    let lines: String = cases
        .iter()
        .map(|(program, input)| format!("{}\n", serde_json::json!([program, input])))
        .collect();
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = child.wait_with_output().expect("Python ends");
    drop(writer.join());
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let answers: Vec<Result<Vec<Value>, String>> = text.lines().map(answer).collect();
    assert_eq!(
        answers.len(),
        cases.len(),
        "jq ended at {:?}",
        cases.get(answers.len())
    );
    answers
}

fn answer(line: &str) -> Result<Vec<Value>, String> {
    match serde_json::from_str(line).expect("an answer") {
        Answer::Error(message) => Err(message),
        Answer::Ok(texts) => {
            let read = |text: &String| {
                serde_json::from_str(text)
                    .unwrap_or_else(|_| Value::from(format!("not JSON: {text}")))
            };
            Ok(texts.iter().map(read).collect())
        }
    }
}
