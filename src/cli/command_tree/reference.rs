//! docs/commands.md, generated from the commands.
//! `UPDATE_COMMANDS=1 cargo test --lib commands_page_matches_tree` writes it.

use std::fmt::Write as _;
use std::path::Path;

use clap::{Arg, Command};

use super::{GROUPS, command, examples_of};

/// What stands before the commands.
const INTRODUCTION: &str = "# Commands

This page is generated from the commands, as are `masshook COMMAND --help` and the man pages.

Without `--config FILE` the config is `MASSHOOK_CONFIG`, `./masshook.yaml`, or `/opt/masshook.yaml`. Exit codes: 0 done, 1 a negative
answer, 2 wrong usage or config. With `--json` a command prints one JSON document and nothing else. On a terminal, lists show ages
and colours (`NO_COLOR=1` turns colours off); otherwise times of RFC 3339, and each entry in one line.

";

/// Pages that say more about a command.
const PAGES: [(&str, &str); 14] = [
    ("init", "[getting started](getting-started.md)"),
    ("dev", "[develop a config](dev.md)"),
    ("preview", "[test a route](testing.md)"),
    ("check", "[Zoho](zoho.md) and [test a route](testing.md)"),
    ("send", "[test a route](testing.md)"),
    ("event", "[test a route](testing.md)"),
    ("serve", "[run on one machine](run-on-one-machine.md)"),
    ("simulate", "[the simulator](simulator.md)"),
    (
        "jobs",
        "[the operator API and its commands](operator-api.md)",
    ),
    (
        "deliveries",
        "[the operator API and its commands](operator-api.md)",
    ),
    ("console", "[the console](console.md)"),
    ("auth", "[Zoho](zoho.md)"),
    ("secrets", "[security](security.md)"),
    ("erase", "[privacy](privacy.md)"),
];

/// Commands that `masshook help` adds itself.
fn is_documented(command: &&Command) -> bool {
    command.get_name() != "help" && !command.is_hide_set()
}

fn page() -> String {
    let root = command();
    let mut out = INTRODUCTION.to_owned();
    let mut details = String::new();
    for (group, names) in GROUPS {
        let _ = write!(out, "**{group}**\n\n| command | purpose |\n| --- | --- |\n");
        let commands = names.iter().filter_map(|name| root.find_subcommand(name));
        for below in commands.filter(is_documented) {
            let name = below.get_name();
            let about = below.get_about().map(ToString::to_string);
            let about = about.unwrap_or_default();
            let _ = writeln!(out, "| [`masshook {name}`](#masshook-{name}) | {about} |");
            describe(below, name, 2, &mut details);
        }
        out.push('\n');
    }
    out + details.trim_end() + "\n"
}

/// Describes a command and those below it. `path` is its name with those above it.
fn describe(command: &Command, path: &str, level: usize, out: &mut String) {
    let about = command.get_long_about().or(command.get_about());
    let about = about.map(ToString::to_string).unwrap_or_default();
    let _ = write!(out, "{} `masshook {path}`\n\n", "#".repeat(level));
    for paragraph in about.split("\n\n") {
        let _ = write!(out, "{}\n\n", sentence(paragraph));
    }
    if let Some((_, page)) = PAGES.iter().find(|(name, _)| *name == path) {
        let _ = write!(out, "See {page}.\n\n");
    }
    let is_shown =
        |arg: &&Arg| !arg.is_hide_set() && !["help", "version"].contains(&arg.get_id().as_str());
    let mut arguments = command.get_arguments().filter(is_shown).peekable();
    if arguments.peek().is_some() {
        out.push_str("| argument | meaning |\n| --- | --- |\n");
        for argument in arguments {
            let _ = writeln!(out, "| `{}` | {} |", usage(argument), meaning(argument));
        }
        out.push('\n');
    }
    if let examples @ [_, ..] = examples_of(path) {
        out.push_str("```sh\n");
        for (purpose, line) in examples {
            let _ = write!(out, "# {purpose}\n{line}\n");
        }
        out.push_str("```\n\n");
    }
    for below in command.get_subcommands().filter(is_documented) {
        describe(
            below,
            &format!("{path} {}", below.get_name()),
            level + 1,
            out,
        );
    }
}

/// A text on one line, with a full stop.
fn sentence(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.ends_with(['.', ':']) {
        true => text,
        false => text + ".",
    }
}

/// An argument as it is written: `--limit N`, `EVENT`, `[ID]`.
fn usage(argument: &Arg) -> String {
    let names = argument.get_value_names().unwrap_or_default();
    let takes_value = argument.get_action().takes_values();
    let value = match names.first() {
        Some(name) => name.to_string(),
        None => argument.get_id().to_string().to_uppercase(),
    };
    match argument.get_long() {
        Some(long) if takes_value => format!("--{long} {value}"),
        Some(long) => format!("--{long}"),
        None if argument.is_required_set() => value,
        None => format!("[{value}]"),
    }
}

/// The help of an argument with its values and its default.
fn meaning(argument: &Arg) -> String {
    let help = argument.get_long_help().or(argument.get_help());
    let help = help.map(ToString::to_string).unwrap_or_default();
    let mut text = sentence(&help);
    let code = |values: Vec<String>| {
        let values = values.iter().map(|value| format!("`{value}`"));
        values.collect::<Vec<_>>().join(", ")
    };
    if argument.get_action().takes_values() {
        let possible = argument.get_possible_values();
        let values = possible.iter().map(|value| value.get_name().to_owned());
        let values: Vec<String> = values.collect();
        if !values.is_empty() {
            let _ = write!(text, " One of {}.", code(values));
        }
        let defaults = argument.get_default_values().iter();
        let defaults = defaults.map(|value| value.to_string_lossy().into_owned());
        let defaults: Vec<String> = defaults.collect();
        if !defaults.is_empty() && !argument.is_hide_default_value_set() {
            let _ = write!(text, " Default: {}.", code(defaults));
        }
    }
    text.replace('|', "\\|")
}

#[test]
fn commands_page_matches_tree() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/commands.md");
    let expected = page();
    if std::env::var_os("UPDATE_COMMANDS").is_some() {
        std::fs::write(&path, &expected).expect("the page is written");
    }
    let stands = std::fs::read_to_string(&path).expect("the page");
    assert!(
        stands == expected,
        "docs/commands.md differs from the commands: run `UPDATE_COMMANDS=1 cargo test --lib commands_page_matches_tree`"
    );
}
