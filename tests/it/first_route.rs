//! A new user, by script: the commands of docs/getting-started.md, from an empty folder to a changed record and a verified
//! callback.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Dev, http_client, repo_path};

/// The commands of the page's blocks up to the first that leaves this machine.
fn commands_of_page() -> Vec<String> {
    let page = std::fs::read_to_string(repo_path("docs/getting-started.md")).expect("the page");
    let mut commands = Vec::new();
    let mut in_block = false;
    for line in page.lines().map(str::trim) {
        match line {
            "```sh" => in_block = true,
            "```" => in_block = false,
            _ if in_block => {
                let command = line.split(" #").next().unwrap_or_default().trim();
                commands.push(command.to_owned());
            }
            _ => {}
        }
    }
    commands.retain(|command| command.starts_with("masshook ") || command.starts_with("cd "));
    // From here on the reader has an account at Zoho, and a machine of their own.
    let foreign = |command: &String| {
        command.contains(" auth") || command.contains(" serve") || command.contains("--live")
    };
    let end = commands.iter().position(foreign).unwrap_or(commands.len());
    commands.truncate(end);
    commands
}

/// The folder and what runs in it.
struct User {
    _home: TempDir,
    folder: PathBuf,
    dev: Option<Dev>,
    sent: Vec<Value>,
}

impl User {
    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_masshook"));
        command.args(arguments).current_dir(&self.folder);
        command.env_clear().stdin(Stdio::null());
        command.output().expect("it runs")
    }

    fn type_in(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["cd", folder] => self.folder.push(folder),
            ["masshook", "dev"] => {
                let free = ["--listen", "127.0.0.1:0", "--console", "127.0.0.1:0"];
                self.dev = Some(Dev::start_at(&self.folder, &free));
            }
            ["masshook", "send", ref more @ ..] => {
                let server = self
                    .dev
                    .as_ref()
                    .expect("`masshook dev` runs")
                    .server
                    .clone();
                let arguments = [&["send"], more, &["--to", &server, "--json"]].concat();
                let output = self.run(&arguments);
                assert!(output.status.success(), "{line}: {output:?}");
                self.sent
                    .push(serde_json::from_slice(&output.stdout).expect("JSON"));
            }
            ["masshook", ref arguments @ ..] => {
                let output = self.run(arguments);
                assert!(output.status.success(), "{line}: {output:?}");
            }
            _ => panic!("{line}"),
        }
    }
}

/// The record that the simulated Zoho has updated, with the fields that were set.
async fn updated_record(folder: &Path) -> (Value, Value) {
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
    let mut updates = requests["requests"].as_array().expect("a list").iter();
    let is_update = |request: &&Value| {
        let path = request["path"].as_str();
        path.is_some_and(|path| path.ends_with("/actions/mass_update"))
    };
    let update = updates.rfind(is_update).expect("a mass update").clone();
    let id = update["body"]["ids"][0].as_str().expect("an id").to_owned();
    let record = get(format!("/_sim/records/Leads/{id}")).await;
    (record, update["body"]["data"][0].clone())
}

#[tokio::test]
async fn new_user_changes_a_record_in_minutes() {
    let commands = commands_of_page();
    for needed in [
        "masshook init --sender calendly",
        "masshook check",
        "masshook dev",
        "masshook send",
    ] {
        let is_there = commands.iter().any(|command| command.starts_with(needed));
        assert!(
            is_there,
            "docs/getting-started.md lacks `{needed}`: {commands:#?}"
        );
    }
    let home = tempfile::tempdir().expect("a folder");
    let mut user = User {
        folder: home.path().to_owned(),
        _home: home,
        dev: None,
        sent: Vec::new(),
    };
    for command in &commands {
        user.type_in(command);
    }
    let dev = user.dev.as_ref().expect("`masshook dev` runs");
    let id = user.sent[0]["answer"]["body"]["jobs"][0]["id"].as_str();
    let id = id.unwrap_or_else(|| panic!("{:#}\n{}", user.sent[0], dev.log()));
    let is_done =
        |job: &Value| job["callback"]["status"] == "delivered" || job["callback"] == "delivered";
    let job = dev.wait_for(&format!("jobs/{id}"), is_done).await;
    assert_eq!(job["status"], "succeeded", "{job:#}\n{}", dev.log());
    assert_eq!(job["counts"]["updated"], 1, "{job:#}");
    let (record, fields) = updated_record(&user.folder).await;
    for (field, value) in fields.as_object().expect("the fields") {
        assert_eq!(&record[field], value, "{record:#}");
    }
    let callbacks = dev.get("callbacks").await.body;
    assert_eq!(
        callbacks["callbacks"][0]["problem"],
        Value::Null,
        "{callbacks:#}"
    );
    assert_eq!(
        callbacks["callbacks"][0]["type"], "job.succeeded",
        "{callbacks:#}"
    );
}
