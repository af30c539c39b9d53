//! The commands of the pages: each exists with its flags, and names files that exist.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Command, Stdio};

use super::blocks::{Page, blocks_of_pages};
use super::{pages, text};
use crate::harness::repo_path;

/// Returns the help of a command such as `jobs list`.
fn help(command: &str) -> String {
    let mut asked = Command::new(env!("CARGO_BIN_EXE_masshook"));
    asked.args(command.split_whitespace()).arg("--help");
    let output = asked.output().expect("it runs");
    assert!(output.status.success(), "there is no `masshook {command}`");
    String::from_utf8(output.stdout).expect("text")
}

/// The help texts that were read.
#[derive(Default)]
struct Helps(BTreeMap<String, String>);

impl Helps {
    /// Checks that the commands and flags of one use of `masshook` exist.
    fn check(&mut self, place: &str, used: &str) {
        let (commands, flags) = command_and_flags(used);
        for command in commands {
            let entry = self.0.entry(command.clone());
            let text = entry.or_insert_with(|| help(&command));
            for flag in &flags {
                assert!(
                    text.split_whitespace()
                        .any(|word| word.trim_end_matches(',') == flag),
                    "{place}: `masshook {command}` has no {flag}"
                );
            }
        }
    }
}

/// Returns the commands of one use of `masshook`, such as `jobs list|show`, and its flags.
fn command_and_flags(line: &str) -> (Vec<String>, Vec<String>) {
    let line = line.replace("\\|", "|");
    let mut words = line.split_whitespace().peekable();
    let first = words.next().unwrap_or_default().to_owned();
    let commands = match first.as_str() {
        "jobs" | "deliveries" if words.peek().is_some_and(|word| !word.starts_with('-')) => {
            let kinds = words.next().unwrap_or_default().split('|');
            kinds.map(|kind| format!("{first} {kind}")).collect()
        }
        _ if first.starts_with('-') => vec![String::new()],
        _ => vec![first],
    };
    let flags = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    let flags = flags.filter(|word| word.starts_with("--") && word.len() > 2);
    (commands, flags.map(str::to_owned).collect())
}

/// The commands that docs/commands.md describes, such as `init`.
fn described_commands() -> BTreeSet<String> {
    let page = text("docs/commands.md");
    let headings = page
        .lines()
        .filter_map(|line| line.strip_prefix("## `masshook "));
    headings
        .map(|rest| rest.trim_end_matches('`').to_owned())
        .collect()
}

#[test]
fn documented_commands_and_flags_exist() {
    let mut helps = Helps::default();
    let mut count = 0;
    for block in blocks_of_pages("sh") {
        let code = block.code.replace("\\\n", " ");
        for line in code.lines() {
            let line = line.split(" #").next().unwrap_or_default();
            let line = line.split(['>', '&', '<']).next().unwrap_or_default();
            let used = line
                .strip_prefix("masshook ")
                .or(line.strip_prefix("cargo run -- "));
            if let Some(used) = used {
                helps.check(&block.place, used);
                count += 1;
            }
        }
    }
    assert!(count > 25, "{count}");
    let all = help("");
    let there: BTreeSet<String> = commands_of_help(&all);
    assert_eq!(described_commands(), there, "docs/commands.md");
}

/// The commands that the program's help lists, in one group or several, without `help` itself.
fn commands_of_help(help: &str) -> BTreeSet<String> {
    let (_, list) = help.split_once("Usage:").expect("the usage");
    let (list, _) = list.split_once("\nOptions:").expect("options");
    let names = list.lines().filter_map(|line| {
        let name = line.strip_prefix("  ")?.split(' ').next()?;
        name.starts_with(|c: char| c.is_ascii_lowercase())
            .then_some(name)
    });
    names
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

/// Commands within sentences, such as `masshook check --live`.
#[test]
fn commands_in_sentences_exist() {
    let mut helps = Helps::default();
    let mut count = 0;
    for page in pages() {
        for used in page.prose().split('`').skip(1).step_by(2) {
            let used = used.split_whitespace().collect::<Vec<_>>().join(" ");
            let Some(used) = used.strip_prefix("masshook ") else {
                continue;
            };
            let names_command = used.starts_with(|c: char| c.is_ascii_lowercase());
            if names_command && !used.contains('…') {
                helps.check(&page.path, used);
                count += 1;
            }
        }
    }
    assert!(count > 30, "{count}");
}

#[test]
fn shell_blocks_are_valid_shell() {
    for block in blocks_of_pages("sh") {
        let mut shell = Command::new("bash")
            .arg("-n")
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("bash runs");
        let mut stdin = shell.stdin.take().expect("a pipe");
        stdin.write_all(block.code.as_bytes()).expect("written");
        drop(stdin);
        let output = shell.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {said}", block.place);
    }
}

#[test]
fn files_in_documented_commands_exist() {
    let mut count = 0;
    for page in pages() {
        for block in page.blocks().iter().filter(|block| block.language == "sh") {
            let folders = ["events/", "examples/", "layer/", "tests/", "docs/"];
            for path in block.code.split_whitespace() {
                let path = path.trim_end_matches([')', '"', ';']);
                if folders.iter().any(|folder| path.starts_with(folder)) {
                    assert!(repo_path(path).exists(), "{}: {path}", block.place);
                    count += 1;
                }
            }
        }
        check_examples(&page, &mut count);
    }
    assert!(count > 15, "{count}");
}

/// `cargo run --example NAME` and `cargo test NAME` name what exists.
fn check_examples(page: &Page, count: &mut usize) {
    for rest in page.text.split("--example ").skip(1) {
        let name = rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_');
        let name = name.into_iter().next().unwrap_or_default();
        let there = repo_path(&format!("examples/{name}.rs"));
        assert!(there.exists(), "{}: no example {name}", page.path);
        *count += 1;
    }
}
