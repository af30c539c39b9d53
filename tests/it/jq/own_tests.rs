//! jq's own tests, in the format of its `*.test` files.

use std::fs;
use std::path::Path;

use serde_json::Value;

/// The files that need nothing but a program and an input.
const FILES: [&str; 7] = [
    "jq.test",
    "man.test",
    "onig.test",
    "manonig.test",
    "base64.test",
    "uri.test",
    "optional.test",
];

/// What jq does.
#[derive(Debug)]
pub(super) enum Expected {
    Outputs(Vec<Value>),
    /// The program does not compile.
    Refused,
}

/// One test of jq.
#[derive(Debug)]
pub(super) struct OwnTest {
    file: &'static str,
    pub(super) program: String,
    pub(super) input: String,
    pub(super) expected: Expected,
}

impl OwnTest {
    /// What the list of differences calls this test.
    pub(super) fn key(&self) -> String {
        format!("{}: {}", self.file, self.program)
    }
}

/// The tests in the folder of jq's tests.
pub(super) fn all(folder: &Path) -> Vec<OwnTest> {
    let mut tests = Vec::new();
    for file in FILES {
        let bytes = fs::read(folder.join(file)).expect("a file of jq's tests");
        parse(file, &String::from_utf8_lossy(&bytes), &mut tests);
    }
    assert!(tests.len() > 700, "only {} tests were found", tests.len());
    tests
}

fn parse(file: &'static str, text: &str, tests: &mut Vec<OwnTest>) {
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let start = line.trim_start();
        if start.is_empty() || start.starts_with('#') {
            continue;
        }
        if start.starts_with("%%FAIL") {
            let program = lines.next().unwrap_or_default().to_owned();
            // The message follows.
            while lines.next_if(|line| !line.trim().is_empty()).is_some() {}
            tests.push(OwnTest {
                file,
                program,
                input: "null".to_owned(),
                expected: Expected::Refused,
            });
            continue;
        }
        let input = lines.next().unwrap_or_default().to_owned();
        let mut outputs = Vec::new();
        while let Some(line) =
            lines.next_if(|line| !line.trim().is_empty() && !line.starts_with('#'))
        {
            outputs.push(line);
        }
        // What serde_json cannot read, such as nan and numbers beyond floats, no output here equals.
        let read = |line: &&str| {
            serde_json::from_str(line).unwrap_or_else(|_| Value::from(format!("not JSON: {line}")))
        };
        tests.push(OwnTest {
            file,
            program: line.to_owned(),
            input,
            expected: Expected::Outputs(outputs.iter().map(read).collect()),
        });
    }
}
