//! The command line as a whole: its help at several widths, completions and man pages.

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use crate::harness::{Harness, form};

/// Runs masshook in a folder, as on a terminal of this width as far as help is concerned.
fn masshook(columns: usize, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_masshook"));
    command.args(arguments).env("COLUMNS", columns.to_string());
    command.output().expect("it runs")
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).expect("text")
}

/// The names in a list of commands. A purpose that needs a second line continues in its column.
fn names(list: &str) -> Vec<&str> {
    let lines = list.lines().filter_map(|line| line.strip_prefix("  "));
    let lines = lines.filter(|line| !line.starts_with([' ', '-']));
    let names = lines.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").collect()
}

/// Every command that has its own help.
fn commands() -> Vec<String> {
    let help = stdout(&masshook(100, &["--help"]));
    let mut commands = Vec::new();
    for name in names(help.split("Options:").next().unwrap_or_default()) {
        commands.push(name.to_owned());
        let help = stdout(&masshook(100, &[name, "--help"]));
        let (_, below) = help.split_once("Commands:\n").unwrap_or_default();
        let (below, _) = below.split_once("\n\n").unwrap_or_default();
        commands.extend(names(below).iter().map(|below| format!("{name} {below}")));
    }
    assert!(commands.len() > 20, "{commands:?}");
    commands
}

#[test]
fn help_fits_the_terminal() {
    for command in commands() {
        for columns in [60, 80, 132] {
            let words: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
            let help = stdout(&masshook(columns, &words));
            for line in help.lines() {
                let width = line.chars().count();
                // A command to copy stays in one line.
                let is_command = ["  masshook ", "Usage: "]
                    .iter()
                    .any(|start| line.starts_with(start));
                assert!(width <= columns.min(100) || is_command, "{command}: {line}");
            }
        }
    }
}

#[test]
fn commands_are_in_groups() {
    let help = stdout(&masshook(80, &["--help"]));
    let headings = help.lines().filter(|line| {
        line.ends_with(':') && line.starts_with(|first: char| first.is_ascii_uppercase())
    });
    let headings: Vec<&str> = headings.collect();
    assert_eq!(
        headings,
        ["Build:", "Run:", "Operate:", "Other:", "Options:"]
    );
    assert!(
        help.lines().all(|line| line.chars().count() <= 80),
        "{help}"
    );
}

#[test]
fn completions_are_valid_scripts() {
    let folder = tempfile::tempdir().expect("a folder");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = stdout(&masshook(80, &["completions", shell]));
        for word in ["deliveries", "redeliver", "explain"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
        assert!(!script.contains("\\u{"), "{shell}: an escaped character");
        if shell == "bash" {
            let path = folder.path().join("masshook.bash");
            std::fs::write(&path, &script).expect("written");
            let read = Command::new("bash").arg("-n").arg(&path).output();
            let read = read.expect("bash");
            assert!(read.status.success(), "{read:?}");
        }
    }
}

#[test]
fn man_pages_cover_every_command() {
    let folder = tempfile::tempdir().expect("a folder");
    let pages = folder.path().join("share/man1");
    stdout(&masshook(80, &["man", &pages.display().to_string()]));
    for command in commands() {
        let name = format!("masshook-{}.1", command.replace(' ', "-"));
        let page = std::fs::read_to_string(pages.join(&name)).expect("a page");
        assert!(page.contains(".SH NAME"), "{name}");
        // A page must not contain the colours of the terminal.
        assert!(!page.contains('\u{1b}'), "{name}");
    }
}

#[test]
fn man_pages_are_not_written_over_a_file() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let output = masshook(80, &["man", &file.path().display().to_string()]);
    assert_eq!(output.status.code(), Some(2));
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(
        message.contains(&file.path().display().to_string()),
        "{message}"
    );
}

/// A command on a terminal of 60 columns, which `script` provides, with its output line by line.
fn on_a_terminal(
    folder: &std::path::Path,
    command: &str,
) -> (Child, Lines<BufReader<ChildStdout>>) {
    let program = env!("CARGO_BIN_EXE_masshook");
    let command = format!("stty cols 60; exec {program} {command}");
    let mut terminal = Command::new("script")
        .args(["-q", "-e", "-c", &command, "/dev/null"])
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script");
    let output = terminal.stdout.take().expect("its output");
    (terminal, BufReader::new(output).lines())
}

#[test]
fn simulate_prints_three_lines_on_a_terminal() {
    let folder = tempfile::tempdir().expect("a folder");
    for (flags, beginnings) in [
        ("", &["zoho ", "credentials ", "records "][..]),
        ("--json", &["{\"url\":"]),
    ] {
        let command = format!("simulate --listen 127.0.0.1:0 {flags}");
        let (mut terminal, mut lines) = on_a_terminal(folder.path(), &command);
        for beginning in beginnings {
            let line = lines.next().expect("a line").expect("text");
            assert!(line.starts_with(beginning), "{line}");
        }
        // Ctrl-C.
        let keys = terminal.stdin.as_mut().expect("its input");
        keys.write_all(b"\x03").expect("typed");
        let rest: Vec<String> = lines.map_while(Result::ok).collect();
        assert!(
            rest.iter().all(|line| line.trim_end().ends_with("^C")),
            "{rest:?}"
        );
        terminal.wait().expect("its end");
    }
}

#[test]
fn messages_break_between_words_on_a_terminal() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = Command::new(env!("CARGO_BIN_EXE_masshook"))
        .args(["init", "--sender", "stripe"])
        .current_dir(folder.path())
        .output();
    assert!(made.expect("it runs").status.success());
    std::fs::remove_file(folder.path().join("secrets/stripe")).expect("removed");
    for command in ["check", "send stripe", "jobs list"] {
        let (mut terminal, lines) = on_a_terminal(folder.path(), command);
        let lines: Vec<String> = lines.map_while(Result::ok).collect();
        terminal.wait().expect("its end");
        assert!(lines.len() > 1, "{command}: {lines:#?}");
        for line in &lines {
            let line = without_colours(line);
            // A word alone may be longer.
            let is_word = !line.trim().contains(' ');
            assert!(
                line.trim_end().chars().count() <= 60 || is_word,
                "{command}: {line}"
            );
        }
    }
}

/// Nothing that a script takes for complete may be lost.
#[test]
fn lost_output_is_a_failure() {
    for arguments in [
        &["schema"][..],
        &["completions", "bash"],
        &["schema", "--openapi"],
    ] {
        let full = std::fs::File::options().write(true).open("/dev/full");
        let mut command = Command::new(env!("CARGO_BIN_EXE_masshook"));
        command.args(arguments).stdout(full.expect("a full device"));
        let output = command.output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.contains("cannot write to stdout"), "{said}");
    }
    // A reader that stops early has what it wants.
    let mut command = Command::new(env!("CARGO_BIN_EXE_masshook"));
    let mut child = command.arg("schema").stdout(Stdio::piped()).spawn();
    let child = child.as_mut().expect("it runs");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("an end").code(), Some(0));
}

/// A password in a URL is neither sent nor shown.
#[test]
fn passwords_in_urls_are_not_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("masshook.yaml");
    let text = "connections: { default: { credentials: env:NONE } }\nroutes:\n  r: { verify: { scheme: none }, map: empty }\n";
    std::fs::write(&config, text).expect("written");
    let config = config.display().to_string();
    let url = "http://ada:hunter2@127.0.0.1:9";
    let refused = "must not contain a user name or password";
    for (arguments, code, shown) in [
        (vec!["health", "--url", url], 1, "http://127.0.0.1:9/health"),
        (
            vec!["health", "--url", url, "--json"],
            1,
            "http://127.0.0.1:9/health",
        ),
        (
            vec!["send", "r", "--config", &config, "--to", url],
            2,
            refused,
        ),
        (
            vec!["send", "r", "--config", &config, "--to", url, "--json"],
            2,
            refused,
        ),
    ] {
        let output = masshook(100, &arguments);
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(said.contains(shown), "{said}");
        assert!(!said.contains("hunter2") && !said.contains("ada"), "{said}");
    }
}

/// What a command prints on a terminal, with these variables besides `PATH`.
fn printed_on_terminal(
    folder: &std::path::Path,
    columns: usize,
    variables: &[(&str, &str)],
    command: &str,
) -> String {
    let program = env!("CARGO_BIN_EXE_masshook");
    let command = format!("stty cols {columns}; exec {program} {command}");
    let variables = variables
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    let mut terminal = Command::new("bash");
    terminal.args([
        "-c",
        "exec env -i \"PATH=$PATH\" SHELL=/bin/sh \"$@\"",
        "bash",
    ]);
    terminal
        .args(variables)
        .args(["script", "-q", "-e", "-c", &command, "/dev/null"]);
    terminal.current_dir(folder).stdin(Stdio::null());
    let output = terminal.output().expect("script");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn colours_are_for_terminals_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_masshook"));
        command
            .args(arguments)
            .current_dir(folder.path())
            .env_clear();
        let output = command.envs(variables.iter().copied()).output();
        String::from_utf8(output.expect("it runs").stdout).expect("text")
    };
    run(&["init", "--sender", "stripe"], &[]);
    std::fs::remove_file(folder.path().join("secrets/stripe")).expect("removed");
    let colours = ["\u{1b}[32mok", "\u{1b}[33m", "\u{1b}[1m\u{1b}[31m"];
    for command in ["check", "secrets"] {
        let printed =
            printed_on_terminal(folder.path(), 80, &[("TERM", "xterm-256color")], command);
        for colour in colours {
            assert!(printed.contains(colour), "{command}: {printed:?}");
        }
        for without in [
            &[("TERM", "dumb")][..],
            &[("TERM", "xterm"), ("NO_COLOR", "1")],
            &[],
        ] {
            let printed = printed_on_terminal(folder.path(), 80, without, command);
            assert!(printed.contains("ok"), "{printed}");
            assert!(
                !printed.contains('\u{1b}'),
                "{command} {without:?}: {printed:?}"
            );
        }
        let piped = run(&[command], &[("TERM", "xterm-256color")]);
        assert!(
            piped.contains("ok") && !piped.contains('\u{1b}'),
            "{piped:?}"
        );
        let forced = run(&[command], &[("CLICOLOR_FORCE", "1")]);
        assert!(forced.contains(colours[0]), "{forced:?}");
    }
}

/// A text without the codes of colours.
fn without_colours(text: &str) -> String {
    let mut parts = text.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    let rest = parts.map(|part| part.split_once('m').map_or("", |(_, rest)| rest));
    first + &rest.collect::<String>()
}

// The simulated Zoho answers while the commands run.
#[tokio::test(flavor = "multi_thread")]
async fn lists_fit_the_terminal() {
    let served = Harness::new().served().start().await;
    let jobs = [
        served.submit(&form("e1", &[served.lead(0)])).await,
        served
            .submit(&form("e2", &["999999999999999999".to_owned()]))
            .await,
    ];
    for ids in &jobs {
        served
            .wait_until(&ids[0], |job| !job["finished_at"].is_null())
            .await;
    }
    let refused = served
        .request("POST", "/hooks/form", Some(&serde_json::json!({})))
        .await;
    assert_eq!(refused.expect("an answer").status, 422);
    let terminal = [("TERM", "xterm-256color")];
    for (list, words) in [
        (
            "jobs list",
            ["\u{1b}[32msucceeded", "\u{1b}[31mfailed", "INVALID_DATA"],
        ),
        (
            "deliveries list",
            [
                "\u{1b}[32maccepted",
                "\u{1b}[31mdead letter",
                "not_mappable",
            ],
        ),
    ] {
        let command = format!("{list} --data {}", served.data().display());
        for columns in [60, 80, 132] {
            let printed = printed_on_terminal(served.folder(), columns, &terminal, &command);
            for word in words {
                assert!(printed.contains(word), "{columns}: {printed}");
            }
            for line in without_colours(&printed).lines() {
                let width = line.trim_end().chars().count();
                assert!(width <= columns, "{columns}: {line}\n{printed}");
            }
        }
    }
}
