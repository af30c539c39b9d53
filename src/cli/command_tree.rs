//! The commands as one tree: their groups in the help, and the examples of each.

mod examples;
#[cfg(test)]
mod reference;

use std::fmt::Write as _;

use clap::builder::StyledStr;
use clap::{Command, CommandFactory as _, FromArgMatches as _};

use self::examples::EXAMPLES;
use super::Arguments;
use super::table::terminal_width;
use super::text::wrapped;

/// The widest help, in columns.
const MAX_WIDTH: usize = 100;

/// The commands by what they are for.
const GROUPS: [(&str, &[&str]); 4] = [
    (
        "Build",
        &["init", "dev", "preview", "check", "send", "event"],
    ),
    ("Run", &["serve", "simulate"]),
    (
        "Operate",
        &[
            "jobs",
            "deliveries",
            "console",
            "auth",
            "secrets",
            "erase",
            "health",
        ],
    ),
    ("Other", &["demo", "schema", "completions", "man", "help"]),
];

impl Arguments {
    /// Parses the command line. Prints help, the version and errors of usage, and then exits.
    pub fn from_command_line() -> Self {
        let matches = command().get_matches();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }
}

/// The command `masshook` with its groups and examples.
pub(super) fn command() -> Command {
    let command = Arguments::command().max_term_width(MAX_WIDTH);
    let command = with_examples(command, "");
    let groups = groups_text(&command);
    command.help_template(format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{groups}{}\n{{options}}{{after-help}}",
        heading(&Arguments::command(), "Options")
    ))
}

/// Adds the examples to a command and all below it. `path` names the commands above it.
fn with_examples(command: Command, path: &str) -> Command {
    let names: Vec<String> = command
        .get_subcommands()
        .map(|below| below.get_name().to_owned())
        .collect();
    let command = names.iter().fold(command, |command, name| {
        let path = format!("{path} {name}");
        command.mut_subcommand(name, |below| with_examples(below, path.trim_start()))
    });
    match examples_of(path) {
        [] => command,
        examples => {
            let text = examples_text(&command, examples);
            command.after_help(StyledStr::from(text))
        }
    }
}

fn examples_of(path: &str) -> &'static [(&'static str, &'static str)] {
    let found = EXAMPLES.iter().find(|(name, _)| *name == path);
    found.map_or(&[], |(_, examples)| examples)
}

fn examples_text(command: &Command, examples: &[(&str, &str)]) -> String {
    let mut text = heading(command, "Examples");
    for (purpose, line) in examples {
        let _ = write!(text, "\n  # {purpose}\n  {line}");
    }
    text
}

/// The commands of each group with their purposes.
fn groups_text(command: &Command) -> String {
    const COLUMN: usize = 15;
    let width = terminal_width().unwrap_or(MAX_WIDTH).min(MAX_WIDTH);
    let literal = command.get_styles().get_literal();
    let mut text = String::new();
    for (group, names) in GROUPS {
        text.push_str(&heading(command, group));
        text.push('\n');
        for name in names {
            let about = match command.find_subcommand(name) {
                Some(below) => below.get_about().map(ToString::to_string),
                None => Some("Print this message or the help of a command".to_owned()),
            };
            let about = wrapped(&about.unwrap_or_default(), width, COLUMN);
            let gap = COLUMN.saturating_sub(2 + name.len());
            let _ = writeln!(
                text,
                "  {}{name}{}{:gap$}{}",
                literal.render(),
                literal.render_reset(),
                "",
                about.trim_start()
            );
        }
        text.push('\n');
    }
    text
}

fn heading(command: &Command, text: &str) -> String {
    let style = command.get_styles().get_header();
    format!("{}{text}:{}", style.render(), style.render_reset())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The paths of all commands that do something.
    fn leaves(command: &Command, path: &str, found: &mut Vec<String>) {
        let mut below = command.get_subcommands().peekable();
        if below.peek().is_none() || !command.is_subcommand_required_set() && !path.is_empty() {
            found.push(path.to_owned());
        }
        for command in below {
            let path = format!("{path} {}", command.get_name());
            leaves(command, path.trim_start(), found);
        }
    }

    #[test]
    fn every_command_has_examples_that_parse() {
        let mut paths = Vec::new();
        leaves(&command(), "", &mut paths);
        let known: BTreeSet<&str> = EXAMPLES.iter().map(|(path, _)| *path).collect();
        let paths: BTreeSet<&str> = paths.iter().map(String::as_str).collect();
        assert_eq!(known, paths);
        for (path, examples) in EXAMPLES {
            for (purpose, line) in *examples {
                let own = line.split([' ', '<', '>']).filter(|word| !word.is_empty());
                let words: Vec<&str> = match line.find([' ', '<']).and(line.find(['<', '>'])) {
                    Some(end) => line[..end].split_whitespace().collect(),
                    None => own.collect(),
                };
                let parsed = command().try_get_matches_from(&words);
                assert!(parsed.is_ok(), "{line}: {parsed:?}");
                assert!(line.starts_with(&format!("masshook {path}")), "{line}");
                assert!(purpose.len() <= 60, "{purpose}");
            }
        }
    }

    #[test]
    fn every_command_is_in_one_group() {
        let command = command();
        let commands: BTreeSet<&str> = command.get_subcommands().map(Command::get_name).collect();
        let grouped = GROUPS.iter().flat_map(|(_, names)| *names).copied();
        let grouped: Vec<&str> = grouped.filter(|name| *name != "help").collect();
        let unique: BTreeSet<&str> = grouped.iter().copied().collect();
        assert_eq!(unique.len(), grouped.len());
        assert_eq!(unique, commands);
    }

    #[test]
    fn command_tree_is_consistent() {
        command().debug_assert();
    }
}
