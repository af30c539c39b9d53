//! The commands in the pages whose output is shown: they are run, and their output is compared.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use zoho_simulator::{Settings, Simulator};

use super::blocks::blocks_of_pages;
use super::{body, text};
use crate::harness::http_client;

const SECRET: &str = "1de0ee27f09c7a02ea5a0ee0d1bbfd40c3d0f3d5";

/// Whether a line of a page matches; `…` at its end stands for the rest.
fn is_shown(line: &str, said: &str) -> bool {
    match line.strip_suffix('…') {
        Some(beginning) => said.starts_with(beginning),
        None => said == line,
    }
}

#[tokio::test]
async fn documented_output_matches_the_program() {
    for block in blocks_of_pages("console") {
        let place = &block.place;
        let stage = Stage::set().await;
        let Some((command, shown)) = block
            .code
            .strip_prefix("$ ")
            .and_then(|rest| rest.split_once('\n'))
        else {
            // The difference that an unknown field makes.
            stage.configure("Lead_Sauce");
            let said = stage.run("masshook check --live").await;
            for line in block.code.lines() {
                assert!(said.lines().any(|said| said == line), "{line}\n\n{said}");
            }
            continue;
        };
        stage.event(command).await;
        let said = match command.contains("1000.…") {
            true => {
                let code = stage.code().await;
                stage.run(&command.replace("1000.…", &code)).await
            }
            false => stage.run(command).await,
        };
        let mut saying = said.lines();
        for line in shown.lines() {
            if line == "…" {
                saying = "".lines();
                break;
            }
            let next = saying.next().unwrap_or_default();
            assert!(
                is_shown(line, next),
                "{command}\n{place}: {line}\nthe program: {next}\n\n{said}"
            );
        }
        assert_eq!(
            saying.next(),
            None,
            "{command} says more than {place}:\n{said}"
        );
    }
}

/// The address of the simulator in the pages.
const SHOWN_AT: &str = "http://127.0.0.1:19090";

/// A folder with the files that the commands read, and a simulator.
struct Stage {
    folder: TempDir,
    simulator: Simulator,
}

impl Stage {
    async fn set() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let simulator = Simulator::start(Settings::default()).await;
        let stage = Self {
            folder,
            simulator: simulator.expect("a simulator"),
        };
        stage.configure("Lead_Source");
        let credentials = &stage.simulator.announcement()["credentials"];
        stage.write("zoho.json", &credentials.to_string());
        let client_secret = credentials["client_secret"].as_str().expect("a secret");
        stage.write("client-secret", client_secret);
        let event = text("events/typeform-http-api-v2.json");
        stage.write("examples/typeform-signup/event.json", &event);
        let request = json!([{ "module": "Leads", "fields": { "Lead_Source": "Webinar" }, "ids": ["5725767000003000064"] }]);
        stage.write(
            "examples/typeform-signup/expected.json",
            &request.to_string(),
        );
        for sample in [
            "events/masshook.yaml",
            "examples/routes/eventbridge-schedule/masshook.yaml",
            "examples/routes/eventbridge-schedule/event.json",
        ] {
            stage.write(sample, &text(sample));
        }
        stage
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, content).expect("written");
    }

    fn configure(&self, field: &str) {
        let zoho = self.simulator.url();
        let config = format!(
            "connections: {{ default: {{ credentials: 'file:zoho.json', accounts_url: '{zoho}', api_url: '{zoho}', edition: enterprise, max_concurrency: 5 }} }}\n\
             routes:\n  typeform-signup:\n    verify: {{ scheme: typeform, secret: env:TYPEFORM_SECRET }}\n    \
             map: '{{ module: \"Leads\", fields: {{ {field}: \"Webinar\" }}, ids: [.form_response.hidden.zoho_lead_id] }}'\n"
        );
        self.write("masshook.yaml", &config);
    }

    /// Writes the event that a command reads, if no page creates it.
    async fn event(&self, command: &str) {
        match command {
            _ if command.contains("--route profile") => {
                let config = "connections: { default: { credentials: env:ZOHO } }\nroutes:\n  profile:\n    verify: { scheme: none }\n    update_by: auto\n    \
                    map: '{ module: \"Contacts\", fields: {Email: .email, Title: .title}, ids: [.id] }'\n";
                self.write("masshook.yaml", config);
                let body = "{\"id\":\"554023000000497007\",\"email\":\"ada@example.com\",\"title\":\"CTO\"}\n";
                self.write("event.json", body);
            }
            _ if command.contains("--explain") => {
                let made =
                    "masshook event github --override action=closed --header x-github-event=issues";
                assert!(body().contains(&format!("`{made}`")));
                let event = self
                    .run(&format!("{made} --config events/masshook.yaml"))
                    .await;
                self.write("event.json", &event);
            }
            _ => {}
        }
    }

    /// Returns the output of a command of a page.
    async fn run(&self, line: &str) -> String {
        let (line, input) = match line.split_once(" < ") {
            Some((line, input)) => (line, Some(self.folder.path().join(input))),
            None => (line, None),
        };
        let mut command = Command::new(env!("CARGO_BIN_EXE_masshook"));
        command
            .args(line.split(' ').skip(1))
            .current_dir(self.folder.path())
            .env("TYPEFORM_SECRET", SECRET)
            .env("GITHUB_SECRET", SECRET)
            .env_remove("MASSHOOK_CONFIG")
            .stdin(input.map_or_else(Stdio::null, |path| {
                fs::File::open(path).expect("the input").into()
            }));
        let output = tokio::task::spawn_blocking(move || command.output().expect("it runs"));
        let output = output.await.expect("run");
        let said = [&output.stdout[..], &output.stderr[..]].concat();
        let said = String::from_utf8(said).expect("text");
        said.replace(self.simulator.url(), SHOWN_AT)
    }

    /// Makes a grant code for the first four scopes.
    async fn code(&self) -> String {
        let scopes = self.run("masshook auth --scopes").await;
        let scopes: Vec<&str> = scopes.split([',', '\n']).take(4).collect();
        let ask = http_client()
            .post(format!("{}/_sim/grant_code", self.simulator.url()))
            .body(json!({ "scope": scopes.join(",") }).to_string());
        let answer = ask.send().await.expect("an answer");
        let answer = answer.bytes().await.expect("a body");
        let answer: Value = serde_json::from_slice(&answer).expect("JSON");
        answer["code"].as_str().expect("a code").to_owned()
    }
}
