//! `masshook init` and `masshook secrets`: a new config for each sender, which `check` accepts.

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
fn commands_quote_the_names_of_secrets() {
    let folder = folder();
    let folder = folder.path();
    let text = "connections: { default: { credentials: env:ZOHO } }\ncallbacks: { signing_secret: 'ssm:/a b;touch pwn' }\nroutes: {}\n";
    std::fs::write(folder.join("masshook.yaml"), text).expect("written");
    let made = masshook(folder, &["secrets", "make"]);
    let said = String::from_utf8_lossy(&made.stdout).into_owned() + &errors(&made);
    assert!(said.contains("--name '/a b;touch pwn' --type"), "{said}");
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
fn placeholder_key_is_not_given_to_the_sender() {
    for sender in ["discord", "standard-webhooks-ed25519"] {
        let folder = folder();
        let made = masshook(folder.path(), &["init", "--sender", sender, "--json"]);
        let advice = &json(&made)["secrets"][format!("secrets/{sender}")];
        assert_eq!(
            *advice,
            format!("is a placeholder: replace it by the public key that {sender} shows")
        );
        let report = check(folder.path(), sender).to_string();
        assert!(
            report.contains("replace it by the public key that the sender shows"),
            "{report}"
        );
    }
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
fn secrets_are_private_and_ignored_by_git() {
    let folder = folder();
    let folder = folder.path();
    std::fs::write(folder.join(".gitignore"), "target").expect("written");
    masshook(folder, &["init", "--sender", "stripe"]);
    let mode = |name: &str| {
        let metadata = folder.join(name).metadata().expect(name);
        metadata.permissions().mode() & 0o777
    };
    assert_eq!(mode("secrets"), 0o700);
    for name in ["secrets/stripe", "secrets/callback", "secrets/zoho.json"] {
        assert_eq!(mode(name), 0o600, "{name}");
    }
    let ignored = read(folder, ".gitignore");
    assert_eq!(
        ignored,
        "target\n/secrets/\n/client-secret\n/masshook-dev/\n/masshook-data/\n"
    );
    let made = Command::new("git")
        .args(["init", "-q"])
        .current_dir(folder)
        .status();
    assert!(made.expect("git").success());
    let status = Command::new("git")
        .args(["status", "--porcelain", "--untracked-files=all"])
        .current_dir(folder)
        .output()
        .expect("git");
    let status = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(!status.contains("secrets"), "{status}");
    assert!(status.contains("masshook.yaml"), "{status}");
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
fn existing_secret_is_kept_or_refused() {
    let folder = folder();
    let folder = folder.path();
    std::fs::create_dir(folder.join("secrets")).expect("made");
    std::fs::write(folder.join("secrets/stripe"), "whsec_my_own_secret\n").expect("written");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    std::fs::set_permissions(folder.join("secrets/stripe"), open).expect("opened");
    std::fs::write(folder.join("secrets/callback"), "short\n").expect("written");
    let refused = masshook(folder, &["init", "--sender", "stripe"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        errors(&refused).contains("secrets/callback exists already"),
        "{refused:?}"
    );
    assert!(!folder.join("masshook.yaml").exists());
    std::fs::remove_file(folder.join("secrets/callback")).expect("removed");
    let made = masshook(folder, &["init", "--sender", "stripe", "--json"]);
    assert_eq!(json(&made)["kept"][0], "secrets/stripe", "{made:?}");
    let advice = &json(&made)["secrets"]["secrets/stripe"];
    let advice = advice.as_str().expect("advice");
    assert!(
        !advice.contains("made up"),
        "it is the user's own: {advice}"
    );
    assert!(advice.contains("(mode 0666): chmod 600"), "{advice}");
    let checked = masshook(folder, &["check", "--json"]);
    let checked = json(&checked)["secrets"].to_string();
    assert!(
        checked.contains("can be replaced by other users (mode 0666)"),
        "{checked}"
    );
    assert_eq!(read(folder, "secrets/stripe"), "whsec_my_own_secret\n");
    check(folder, "stripe");
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

#[test]
fn secrets_in_aws_are_commands() {
    let folder = folder();
    let folder = folder.path();
    let made = masshook(
        folder,
        &["init", "--sender", "meta", "--secrets", "aws", "--json"],
    );
    let made = json(&made);
    let commands: Vec<&str> = made["aws"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert!(!folder.join("secrets").exists());
    assert!(commands.iter().any(|line| line.contains("--name masshook/callback --secret-string \"whsec_$(openssl")), "{commands:?}");
    assert!(
        commands
            .iter()
            .any(|line| line.contains("--name masshook/meta --secret-string file:///dev/stdin")),
        "{commands:?}"
    );
    assert!(
        commands
            .iter()
            .any(|line| line.contains("--name masshook/meta-verify-token")),
        "{commands:?}"
    );
    assert!(
        commands.contains(&"masshook auth --client-id ID --code CODE"),
        "{commands:?}"
    );
    check(folder, "meta");
}

#[test]
fn placeholder_credentials_are_a_note() {
    let folder = folder();
    let folder = folder.path();
    masshook(folder, &["init", "--sender", "stripe"]);
    let report = check(folder, "stripe");
    let credentials = &report["secrets"][0];
    assert_eq!(credentials["result"], "note", "{report:#}");
    let found = credentials["found"].as_str().expect("a text");
    assert!(
        found.contains("is a placeholder of `masshook init`"),
        "{found}"
    );
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

/// A config whose secrets are in every place, and of which none exists.
const MISSING: &str = r#"
connections: { default: { credentials: file:secrets/zoho.json } }
api: { key: env:MASSHOOK_TEST_API_KEY }
console: { key: "file:secrets/bundle.json#console" }
callbacks: { signing_secret: [file:secrets/callback, "secretsmanager:masshook/callback", "ssm:/masshook/callback"] }
routes:
  shop:
    verify: { scheme: shopify, secret: file:secrets/shopify }
    map: empty
"#;

#[test]
fn missing_secrets_are_listed_and_made() {
    let folder = folder();
    let folder = folder.path();
    std::fs::write(folder.join("masshook.yaml"), MISSING).expect("written");
    let listed = masshook(folder, &["secrets", "--json"]);
    assert_eq!(listed.status.code(), Some(1));
    let listed = json(&listed);
    let states: Vec<(&str, &str)> = listed["secrets"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|row| {
            (
                row["secret"].as_str().expect("a text"),
                row["state"].as_str().expect("a text"),
            )
        })
        .collect();
    assert_eq!(
        states,
        [
            ("file:secrets/zoho.json", "bad"),
            ("env:MASSHOOK_TEST_API_KEY", "bad"),
            ("file:secrets/bundle.json#console", "bad"),
            ("file:secrets/callback", "bad"),
            ("secretsmanager:masshook/callback", "not read"),
            ("ssm:/masshook/callback", "not read"),
            ("file:secrets/shopify", "bad"),
        ]
    );
    let made = json(&masshook(folder, &["secrets", "make", "--json"]));
    assert_eq!(made["ok"], true, "{made:#}");
    let results: Vec<&str> = made["secrets"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|row| row["result"].as_str())
        .collect();
    assert_eq!(
        results,
        ["command", "command", "made", "command", "command"],
        "{made:#}"
    );
    let secret = read(folder, "secrets/callback");
    assert!(secret.starts_with("whsec_"), "a signing secret");
    // Neither command prints a secret, and a second run changes nothing.
    let again = masshook(folder, &["secrets", "make"]);
    let listed = masshook(folder, &["secrets"]);
    for output in [&again, &listed] {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!text.contains(secret.trim()), "{text}");
    }
    assert!(String::from_utf8_lossy(&again.stdout).contains("exists  file:secrets/callback"));
    assert_eq!(read(folder, "secrets/callback"), secret);
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(text.starts_with("STATE"), "{text}");
}

/// The rows of a list in a report of `check` that are notes: what each is about, and what it says.
fn notes(list: &Value) -> Vec<(String, String)> {
    let text = |row: &Value, key: &str| row[key].as_str().expect("a text").to_owned();
    let rows = list.as_array().expect("a list").iter();
    let rows = rows.filter(|row| row["result"] == "note");
    rows.map(|row| (text(row, "check"), text(row, "found")))
        .collect()
}

#[test]
fn made_up_values_are_noted_until_replaced() {
    let folder = folder();
    let folder = folder.path();
    let made = masshook(folder, &["init", "--sender", "twilio"]);
    let said = String::from_utf8_lossy(&made.stdout).into_owned();
    let (_, live) = said.split_once("Before it goes live:").expect("a list");
    for key in ["routes.twilio.callback_url", "routes.twilio.public_url"] {
        let line = format!("{key} in masshook.yaml is an example");
        assert!(live.contains(&line), "{said}");
    }
    let report = check(folder, "twilio");
    let secrets = notes(&report["secrets"]);
    let of_sender = |(at, found): &(String, String)| {
        at == "routes.twilio.verify.secret" && found.contains("was made up by `masshook init`")
    };
    assert!(secrets.iter().any(of_sender), "{report:#}");
    let settings = notes(&report["notes"]);
    let keys: Vec<&str> = settings.iter().map(|(at, _)| at.as_str()).collect();
    assert_eq!(
        keys,
        ["routes.twilio.callback_url", "routes.twilio.public_url"]
    );
    let text = masshook(folder, &["check"]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains("\nnotes\n"), "{text}");

    // With the sender's own secret and real addresses, nothing is left but the credentials.
    let config = read(folder, "masshook.yaml").replace("example.com", "masshook-users.dev");
    std::fs::write(folder.join("masshook.yaml"), config).expect("written");
    let secret = folder.join("secrets/twilio");
    let made_up = std::fs::read_to_string(&secret).expect("a secret");
    std::fs::write(&secret, "00112233445566778899aabbccddeeff\n").expect("written");
    let report = check(folder, "twilio");
    assert_eq!(notes(&report["notes"]), []);
    assert!(
        !notes(&report["secrets"]).iter().any(of_sender),
        "{report:#}"
    );
    // A made-up secret that the sender got is no placeholder, once its line is deleted.
    std::fs::write(&secret, made_up).expect("written");
    let report = check(folder, "twilio");
    assert!(
        notes(&report["secrets"]).iter().any(of_sender),
        "{report:#}"
    );
    std::fs::write(folder.join("secrets/.made-up"), "").expect("written");
    let report = check(folder, "twilio");
    assert!(
        !notes(&report["secrets"]).iter().any(of_sender),
        "{report:#}"
    );
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

#[test]
fn missing_secret_names_the_config_of_dev() {
    let folder = folder();
    let folder = folder.path();
    masshook(folder, &["init", "--sender", "calendly"]);
    std::fs::remove_file(folder.join("secrets/calendly")).expect("removed");
    let advice = "--config masshook-dev/running.json";
    let refused = masshook(folder, &["event", "calendly"]);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert!(!errors(&refused).contains(advice), "no dev runs here");
    std::fs::create_dir(folder.join("masshook-dev")).expect("made");
    std::fs::write(folder.join("masshook-dev/running.json"), "{}").expect("written");
    let refused = masshook(folder, &["event", "calendly"]);
    assert!(errors(&refused).contains(advice), "{refused:?}");
}

#[test]
fn secret_open_to_others_is_noted() {
    let folder = folder();
    let folder = folder.path();
    masshook(folder, &["init", "--sender", "stripe"]);
    let listed = json(&masshook(folder, &["secrets", "--json"]));
    assert_eq!(listed["notes"], serde_json::json!([]), "{listed:#}");
    let secret = folder.join("secrets/stripe");
    let mode = std::fs::Permissions::from_mode(0o666);
    std::fs::set_permissions(&secret, mode).expect("changed");
    let listed = json(&masshook(folder, &["secrets", "--json"]));
    assert_eq!(listed["notes"][0]["check"], "routes.stripe.verify.secret");
    let text = masshook(folder, &["secrets"]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains("mode 0666"), "{text}");
}
