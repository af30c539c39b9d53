//! `masshook init` and `masshook secrets`: a new config for each sender, which `check` accepts.

mod secrets;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use webhook_verify::scheme::PRESETS;

/// Senders without a preset that `init` knows.
const OTHERS: [&str; 9] = [
    "calendly",
    "square",
    "zoom",
    "line",
    "docusign",
    "trello",
    "webflow",
    "woocommerce",
    "cloudevents",
];

/// Senders whose deliveries only they can sign.
const ONLY_THE_SENDER: [&str; 4] = [
    "standard-webhooks-ed25519",
    "discord",
    "aws-sns",
    "zoho-desk",
];

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

/// Runs masshook in a folder, without a terminal and with an empty environment.
fn masshook(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_masshook"));
    command.args(arguments).current_dir(folder);
    command.env_clear().stdin(Stdio::null());
    command.output().expect("it runs")
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn read(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// `check` of the config in a folder is ok, and its example matches what is expected.
fn check(folder: &Path, sender: &str) -> Value {
    let checked = masshook(folder, &["check", "--json"]);
    let report = json(&checked);
    assert_eq!(report["ok"], true, "{sender}: {report:#}");
    let example = &report["examples"][0];
    assert_eq!(example["check"], "event.json", "{sender}: {report:#}");
    let found = example["found"].as_str().expect("a text");
    assert!(
        found.contains("matching expected.json"),
        "{sender}: {found}"
    );
    report
}

/// What docs/getting-started.md does with the sample.
fn preview_of_the_sample_works(folder: &Path, sender: &str) {
    let preview = masshook(folder, &["preview", "event.json", "--json"]);
    assert!(preview.status.success(), "{sender}: {preview:?}");
    let plan = json(&preview);
    let requests: Vec<&Value> = plan["updates"]
        .as_array()
        .unwrap_or_else(|| panic!("{sender}: {plan:#}"))
        .iter()
        .map(|update| &update["request"])
        .collect();
    let expected: Value = serde_json::from_str(&read(folder, "expected.json")).expect("JSON");
    assert_eq!(serde_json::json!(requests), expected, "{sender}");
    let explained = masshook(folder, &["preview", "--explain", "event.json"]);
    assert!(explained.status.success(), "{sender}: {explained:?}");
    let text = String::from_utf8_lossy(&explained.stdout);
    assert!(text.contains("accepts it"), "{sender}: {text}");
}

/// The command that `init` prints last reaches a route under `masshook dev`, which accepts it.
#[test]
fn printed_send_works_for_every_sender() {
    for sender in PRESETS.iter().copied().chain(OTHERS) {
        if ONLY_THE_SENDER.contains(&sender) {
            continue;
        }
        for place in ["files", "aws"] {
            if place == "aws" && !["stripe", "calendly"].contains(&sender) {
                continue;
            }
            let folder = folder();
            let folder = folder.path();
            let made = masshook(
                folder,
                &["init", "--sender", sender, "--secrets", place, "--json"],
            );
            let made = json(&made);
            let next = made["next"].as_array().and_then(|all| all.last());
            let command = next.and_then(Value::as_str).expect("a command");
            let mut dev = Dev::start(folder);
            let words: Vec<&str> = command.split(' ').skip(1).collect();
            let sent = masshook(
                folder,
                &[&words[..], &["--to", &dev.url, "--json"]].concat(),
            );
            dev.stop();
            assert!(sent.status.success(), "{sender}: {command}: {sent:?}");
            let answer = &json(&sent)["answer"];
            let status = answer["status"].as_u64().expect("a status");
            assert!((200..300).contains(&status), "{sender}: {answer}");
        }
    }
}

/// A `masshook dev` in a folder.
struct Dev {
    process: std::process::Child,
    url: String,
}

impl Dev {
    fn start(folder: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_masshook"));
        command.args(["dev", "--listen", "127.0.0.1:0"]);
        command.current_dir(folder).env_clear().stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut dev = Self {
            process: command.spawn().expect("masshook"),
            url: String::new(),
        };
        let process = &mut dev.process;
        let (sender, receiver) = std::sync::mpsc::channel();
        let streams: [Box<dyn std::io::Read + Send>; 2] = [
            Box::new(process.stdout.take().expect("an output")),
            Box::new(process.stderr.take().expect("a log")),
        ];
        for stream in streams {
            let sender = sender.clone();
            std::thread::spawn(move || {
                use std::io::BufRead as _;
                let lines = std::io::BufReader::new(stream).lines();
                for line in lines.map_while(Result::ok) {
                    let _ = sender.send(line);
                }
            });
        }
        let mut said = String::new();
        loop {
            let line = receiver.recv_timeout(std::time::Duration::from_secs(60));
            let line = line.unwrap_or_else(|_| panic!("dev says no address: {said}"));
            let hooks = line.strip_prefix("hooks ").map(str::trim_start);
            if let Some((url, _)) = hooks.and_then(|hooks| hooks.split_once("/hooks/")) {
                url.clone_into(&mut dev.url);
                return dev;
            }
            said.push_str(&line);
            said.push('\n');
        }
    }

    fn stop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        self.stop();
    }
}

#[test]
fn commands_quote_folders_and_names() {
    let folder = folder();
    let folder = folder.path();
    for (name, wanted) in [
        ("a b/\u{fc}n\u{ef}", "cd 'a b/\u{fc}n\u{ef}'"),
        ("-dash", "cd -- -dash"),
        ("it's", "cd 'it'\\''s'"),
    ] {
        let dir = format!("--dir={name}");
        let made = masshook(folder, &["init", "--sender", "stripe", &dir, "--json"]);
        let made = json(&made);
        assert_eq!(made["next"][0], wanted, "{made:#}");
        let entered = Command::new("sh")
            .args(["-c", &format!("{wanted} && test -f masshook.yaml")])
            .current_dir(folder)
            .status();
        assert!(entered.expect("a shell").success(), "{wanted}");
    }
}

#[test]
fn unusual_route_names_are_kept_or_refused() {
    let folder = folder();
    let folder = folder.path();
    let made = masshook(folder, &["init", "--sender", "stripe", "--route", "null"]);
    assert!(made.status.success(), "{made:?}");
    check(folder, "stripe");
    for route in ["", "~", "a b", "a: b"] {
        let arguments = [
            "init", "--sender", "stripe", "--route", route, "--dir", "new",
        ];
        let made = masshook(folder, &arguments);
        assert_eq!(made.status.code(), Some(2), "{route:?}: {made:?}");
        let said = errors(&made);
        assert!(said.contains("--route"), "{route:?}: {said}");
        assert!(!said.contains("line "), "{route:?}: {said}");
    }
    assert!(!folder.join("new").exists());
}

#[test]
fn config_of_every_sender_passes_check() {
    for sender in PRESETS.iter().copied().chain(OTHERS) {
        let folder = folder();
        let folder = folder.path();
        let made = masshook(folder, &["init", "--sender", sender, "--json"]);
        assert!(made.status.success(), "{sender}: {made:?}");
        check(folder, sender);
        preview_of_the_sample_works(folder, sender);
        let next = json(&made)["next"].to_string();
        let tried = match sender {
            _ if ONLY_THE_SENDER.contains(&sender) => "masshook preview event.json".to_owned(),
            "asana" | "notion" => {
                format!("masshook send {sender} --config masshook-dev/running.json")
            }
            _ => format!("masshook send {sender}"),
        };
        assert_eq!(
            next,
            serde_json::json!(["masshook check", "masshook dev", tried]).to_string()
        );
        let config = read(folder, "masshook.yaml");
        assert!(config.lines().all(|line| line.len() <= 200), "{config}");
        if ONLY_THE_SENDER.contains(&sender) || ["asana", "notion"].contains(&sender) {
            continue;
        }
        // The sample, signed with the made-up secret, is verified and mapped as expected.
        let event = masshook(folder, &["event", sender]);
        assert!(event.status.success(), "{sender}: {}", errors(&event));
        std::fs::write(folder.join("signed.json"), &event.stdout).expect("written");
        let preview = masshook(folder, &["preview", "signed.json", "--json"]);
        assert!(preview.status.success(), "{sender}: {preview:?}");
        let plan = json(&preview);
        assert!(
            plan["updates"]
                .as_array()
                .is_some_and(|all| !all.is_empty()),
            "{sender}: {plan:#}"
        );
    }
}

#[test]
fn nothing_is_overwritten() {
    for name in ["masshook.yaml", "event.json", "expected.json"] {
        let folder = folder();
        let folder = folder.path();
        std::fs::write(folder.join(name), "mine").expect("written");
        let made = masshook(folder, &["init", "--sender", "stripe"]);
        assert_eq!(made.status.code(), Some(2));
        assert!(
            errors(&made).contains(&format!("{name} exists already")),
            "{made:?}"
        );
        let files = std::fs::read_dir(folder).expect("a folder").count();
        assert_eq!(files, 1, "{name}");
        assert_eq!(read(folder, name), "mine");
    }
}

#[test]
fn sender_and_route_must_be_usable() {
    let folder = folder();
    let folder = folder.path();
    for (arguments, part) in [
        (
            &["init"][..],
            "name the sender with --sender: standard-webhooks",
        ),
        (&["init", "--sender", "calendy"], "did you mean `calendly`?"),
        (&["init", "--sender", "stripe", "--route", "a/b"], "a/b"),
        (
            &["init", "--sender", "stripe", "--data-center", "com"],
            "did you mean `us`?",
        ),
        (&["init", "--sender", "stripe", "--secrets", "aw"], "aws"),
        (
            &["init", "--sender", "stripe", "--dir", "/proc/x"],
            "/proc/x",
        ),
    ] {
        let made = masshook(folder, arguments);
        assert_eq!(made.status.code(), Some(2), "{arguments:?}: {made:?}");
        assert!(
            errors(&made).contains(part),
            "{arguments:?}: {}",
            errors(&made)
        );
    }
    assert_eq!(std::fs::read_dir(folder).expect("a folder").count(), 0);
}

/// Relative paths in a config are relative to its folder, so every command works from anywhere.
#[test]
fn config_in_another_folder_finds_its_secrets() {
    let folder = folder();
    let folder = folder.path();
    let made = masshook(
        folder,
        &["init", "--sender", "calendly", "--dir", "a/crm", "--json"],
    );
    assert_eq!(json(&made)["next"][0], "cd a/crm");
    let config = ["--config", "a/crm/masshook.yaml"];
    let checked = masshook(folder, &[&["check", "--json"][..], &config].concat());
    assert_eq!(json(&checked)["ok"], true, "{checked:?}");
    let secrets = masshook(folder, &[&["secrets", "--json"][..], &config].concat());
    let secrets = json(&secrets);
    assert_eq!(
        secrets["secrets"][1]["secret"],
        "file:a/crm/secrets/callback"
    );
    assert_eq!(secrets["secrets"][1]["state"], "ok", "{secrets:#}");
}

/// Asks on a terminal, which `script` provides, until an answer can be used.
#[test]
fn terminal_is_asked_for_the_sender() {
    let folder = folder();
    let folder = folder.path();
    let program = env!("CARGO_BIN_EXE_masshook");
    let mut terminal = Command::new("script")
        .args(["-q", "-e", "-c", &format!("{program} init"), "/dev/null"])
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script");
    use std::io::Write as _;
    let mut keys = terminal.stdin.take().expect("its input");
    keys.write_all(b"strpe\nstripe\neu\n\n").expect("typed");
    let output = terminal.wait_with_output().expect("its end");
    drop(keys);
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{shown}");
    assert!(shown.contains("did you mean `stripe`?"), "{shown}");
    let config = read(folder, "masshook.yaml");
    assert!(config.contains("scheme: stripe"), "{config}");
    assert!(config.contains("data_center: eu"), "{config}");
    assert!(folder.join("secrets/stripe").exists());
}

/// A sender without a preset is found by its name, also under another route.
#[test]
fn sender_is_known_under_any_route() {
    let folder = folder();
    let folder = folder.path();
    for (sender, route) in [("calendly", "crm"), ("cloudevents", "orders")] {
        let dir = folder.join(sender);
        masshook(
            folder,
            &[
                "init", "--sender", sender, "--route", route, "--dir", sender,
            ],
        );
        for arguments in [&[sender][..], &[sender, "--route", route], &[route]] {
            let event = masshook(&dir, &[&["event"], arguments].concat());
            assert!(event.status.success(), "{arguments:?}: {event:?}");
            let path = &json(&event)["rawPath"];
            assert_eq!(path, &format!("/hooks/{route}"), "{arguments:?}");
        }
    }
    let refused = masshook(
        &folder.join("calendly"),
        &["event", "square", "--route", "cmr"],
    );
    assert!(
        errors(&refused).contains("no route `cmr` in the config; it has crm"),
        "{refused:?}"
    );
    let unknown = masshook(folder, &["init", "--sender", "form"]);
    assert!(errors(&unknown).contains("`google-forms`"), "{unknown:?}");
}
