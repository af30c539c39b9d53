//! A new user, by script: every command of docs/getting-started.md as it is written, from an empty folder to a changed record
//! and a callback that a receiver has verified. What the commands print is compared with the page.

use std::fs::File;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::shown_output::{difference, is_within};
use crate::harness::{http_client, repo_path};

const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(50);

/// The port of the receiver in the page.
const RECEIVER_PORT: &str = "8090";

/// The comment of commands that go on until they are stopped.
const OWN_TERMINAL: &str = "# in a terminal of its own";

/// What the page has its reader do.
#[derive(Debug)]
enum Step {
    /// Type a command.
    Command(String),
    /// Type a command into a new terminal, in which it goes on.
    Terminal(String),
    /// See what the last command, or the command in another terminal, has printed.
    Output(String),
}

/// The steps of the page up to the first command that needs an account at Zoho.
fn steps_of_page() -> Vec<Step> {
    let page = text("docs/getting-started.md");
    let mut steps = Vec::new();
    let mut blocks = page.split("```").skip(1).step_by(2);
    while let Some((language, code)) = blocks.next().and_then(|block| block.split_once('\n')) {
        if language == "text" {
            steps.push(Step::Output(code.to_owned()));
            continue;
        }
        assert_eq!(language, "sh");
        for line in code.lines() {
            if line.contains(" --code ") {
                return steps;
            }
            steps.push(match line.split_once(OWN_TERMINAL) {
                Some((command, _)) => Step::Terminal(command.trim().to_owned()),
                None => Step::Command(line.to_owned()),
            });
        }
    }
    panic!("the page ends before it needs an account");
}

fn text(path: &str) -> String {
    std::fs::read_to_string(repo_path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The receiver in Python of docs/callbacks.md.
fn receiver() -> String {
    let page = text("docs/callbacks.md");
    let (_, after) = page.split_once("```python\n").expect("a receiver");
    after.split("```").next().expect("its end").to_owned()
}

/// A command that goes on in a terminal, with what it prints in a file.
struct Terminal {
    process: Child,
    log: PathBuf,
}

impl Terminal {
    fn printed(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let group = format!("-{}", self.process.id());
        let _ = Command::new("kill")
            .args(["-s", "KILL", "--", &group])
            .status();
        let _ = self.process.wait();
    }
}

/// A user with a shell, whose `PATH` has masshook.
struct User {
    home: TempDir,
    /// The working directory.
    folder: PathBuf,
    terminals: Vec<Terminal>,
    commands: usize,
    last_command: String,
    last_output: String,
    /// The port of the receiver: that of the page, if it is free.
    port: String,
}

impl User {
    fn new() -> Self {
        let home = tempfile::tempdir().expect("a folder");
        for folder in ["bin", "logs", "work"] {
            std::fs::create_dir(home.path().join(folder)).expect("made");
        }
        symlink(
            env!("CARGO_BIN_EXE_masshook"),
            home.path().join("bin/masshook"),
        )
        .expect("linked");
        let is_free = TcpListener::bind(format!("127.0.0.1:{RECEIVER_PORT}")).is_ok();
        let other = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        Self {
            folder: home.path().join("work"),
            home,
            terminals: Vec::new(),
            commands: 0,
            last_command: String::new(),
            last_output: String::new(),
            port: match is_free {
                true => RECEIVER_PORT.to_owned(),
                false => other.expect("an address").port().to_string(),
            },
        }
    }

    /// A shell with an environment of its own.
    fn shell(&self, line: &str) -> Command {
        let clean = "exec env -i PATH=\"$0/bin:$PATH\" HOME=\"$0\" SHELL=/bin/bash bash -c \"$1\" bash \"$2\"";
        let mut command = Command::new("bash");
        command.arg("-c").arg(clean).arg(self.home.path()).arg(line);
        command.current_dir(&self.folder);
        command
    }

    /// Types a command at a terminal of 100 columns, and waits for its end.
    fn run(&mut self, line: &str) -> String {
        let place = self.home.path().join("logs/pwd");
        let typed = format!("stty cols 100; {line} && pwd >{}", place.display());
        let mut terminal = self.shell("exec script -q -e -c \"$1\" /dev/null");
        terminal.arg(typed);
        let output = terminal.stdin(Stdio::null()).output().expect("script runs");
        let printed = String::from_utf8_lossy(&output.stdout).replace("\r\n", "\n");
        assert!(
            output.status.success(),
            "$ {line}\n{printed}\n{}",
            self.logs()
        );
        let folder = std::fs::read_to_string(place).expect("the working directory");
        self.folder = PathBuf::from(folder.trim_end());
        printed
    }

    fn start(&mut self, line: &str) {
        if line.contains("receiver.py") {
            std::fs::write(self.folder.join("receiver.py"), receiver()).expect("saved");
        }
        let log = self
            .home
            .path()
            .join(format!("logs/{}", self.terminals.len()));
        let file = File::create(&log).expect("a log");
        let mut command = self.shell(line);
        command
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("the log"))
            .stderr(file);
        let process = command.process_group(0).spawn().expect("bash");
        self.terminals.push(Terminal { process, log });
    }

    fn logs(&self) -> String {
        let logs = self.terminals.iter().map(Terminal::printed);
        logs.collect::<Vec<_>>().join("\n----\n")
    }

    /// Checks that an output is as shown: of the last command, which is repeated while its job is under way, or of a command
    /// in another terminal.
    fn expect_output(&mut self, shown: &str) {
        let over = Instant::now() + PATIENCE;
        loop {
            let Some(why) = difference(shown, &self.last_output) else {
                return;
            };
            if self
                .terminals
                .iter()
                .any(|one| is_within(shown, &one.printed()))
            {
                return;
            }
            assert!(
                Instant::now() < over,
                "$ {}\n{why}\n{}",
                self.last_command,
                self.logs()
            );
            std::thread::sleep(PAUSE);
            if self.last_command.starts_with("masshook jobs ") {
                self.last_output = self.run(&self.last_command.clone());
            }
        }
    }

    fn follow(&mut self, step: Step) {
        let of_user = |line: String, port: &str| line.replace(RECEIVER_PORT, port);
        match step {
            Step::Command(line) => {
                self.last_command = of_user(line, &self.port);
                self.last_output = self.run(&self.last_command.clone());
                self.commands += 1;
            }
            Step::Terminal(line) => {
                self.start(&of_user(line, &self.port.clone()));
                self.commands += 1;
            }
            Step::Output(shown) => self.expect_output(&shown),
        }
    }
}

/// The records that the simulated Zoho has updated, each with the fields that were set.
async fn updated_records(folder: &Path) -> Vec<(Value, Value)> {
    let running =
        std::fs::read_to_string(folder.join("masshook-dev/running.json")).expect("a config");
    let running: Value = serde_json::from_str(&running).expect("JSON");
    let zoho = running["connections"]["default"]["api_url"]
        .as_str()
        .expect("a URL");
    let get = async |path: String| -> Value {
        let answer = http_client().get(format!("{zoho}{path}")).send().await;
        let bytes = answer.expect("an answer").bytes().await.expect("a body");
        serde_json::from_slice(&bytes).expect("JSON")
    };
    let requests = get("/_sim/requests".to_owned()).await;
    let mut updated = Vec::new();
    for request in requests["requests"].as_array().expect("a list") {
        let path = request["path"].as_str().unwrap_or_default();
        if path.ends_with("/actions/mass_update") {
            let id = request["body"]["ids"][0].as_str().expect("an id");
            let record = get(format!("/_sim/records/Leads/{id}")).await;
            updated.push((record, request["body"]["data"][0].clone()));
        }
    }
    updated
}

#[expect(clippy::print_stdout, reason = "figures, a step of .ci/run")]
#[tokio::test(flavor = "multi_thread")]
async fn new_user_changes_a_record_in_minutes() {
    let began = Instant::now();
    let steps = steps_of_page();
    for needed in [
        "masshook init",
        "masshook check",
        "masshook dev",
        "masshook send",
        "masshook jobs show",
    ] {
        let is_there = steps.iter().any(|step| match step {
            Step::Command(line) | Step::Terminal(line) => line.starts_with(needed),
            Step::Output(_) => false,
        });
        assert!(is_there, "docs/getting-started.md lacks `{needed}`");
    }
    let outputs = steps
        .iter()
        .filter(|step| matches!(step, Step::Output(_)))
        .count();
    let user = tokio::task::spawn_blocking(move || {
        let mut user = User::new();
        for step in steps {
            user.follow(step);
        }
        user
    });
    let user = user.await.expect("the user");
    let updated = updated_records(&user.folder).await;
    assert_eq!(updated.len(), 2, "one call for each delivery: {updated:#?}");
    for (record, fields) in updated {
        for (field, value) in fields.as_object().expect("the fields") {
            assert_eq!(&record[field], value, "{record:#}");
        }
    }
    println!(
        "docs/getting-started.md: {} commands typed, {outputs} outputs compared, 1 file copied, {:.1} s",
        user.commands,
        began.elapsed().as_secs_f64()
    );
}
