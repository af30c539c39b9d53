//! Mistakes that a new user is likely to make, each through the real program, with its message. The snapshot is read as a page:
//! each message must say what happened, where, and what to do.

use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use zoho_simulator::{Settings, Simulator};

use crate::harness::Dev;

/// A config without a mistake.
const CONFIG: &str = r#"connections:
  default: { credentials: file:zoho.json }
routes:
  orders:
    verify: { scheme: shopify, secret: file:shop }
    when: .topic == "orders/paid"
    map: |
      { module: "Leads",
        fields: { Lead_Source: .source },
        ids: [.id] }
"#;

/// A scheme of a custom sender, whose name is misspelt.
const CUSTOM: &str = r#"{ scheme: cutom, secret: file:shop, type: hmac, algorithm: sha256, signature: { header: X-Sig, encoding: hex }, signed: "{body}" }"#;

/// The mistakes, and the messages so far.
struct Page {
    folder: TempDir,
    text: String,
}

impl Page {
    fn new() -> Self {
        let page = Self {
            folder: tempfile::tempdir().expect("a folder"),
            text: String::new(),
        };
        page.write(
            "zoho.json",
            r#"{"client_id": "1", "client_secret": "1", "refresh_token": "1"}"#,
        );
        page.write("shop", "00112233445566778899aabbccddeeff");
        page.write("masshook.yaml", CONFIG);
        page.event(&json!("5725767000003000064"), "Web");
        page
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).expect("written");
    }

    fn event(&self, id: &Value, source: &str) {
        let event = json!({"topic": "orders/paid", "source": source, "id": id});
        self.write("event.json", &event.to_string());
    }

    /// Adds a mistake in the config, which `check` reports.
    fn config(&mut self, name: &str, right: &str, wrong: &str) {
        let config = CONFIG.replacen(right, wrong, 1);
        assert_ne!(config, CONFIG, "{name}");
        self.write("wrong.yaml", &config);
        self.command(name, &["check", "--config", "wrong.yaml"]);
    }

    /// Adds a mistake that a command reports.
    fn command(&mut self, name: &str, arguments: &[&str]) {
        let output = self.run(arguments);
        assert!(!output.status.success(), "{name}: {output:?}");
        self.add(name, arguments, &output);
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_masshook"));
        command.args(arguments).current_dir(self.path());
        command.env_clear().stdin(Stdio::null());
        command.output().expect("it runs")
    }

    fn add(&mut self, name: &str, arguments: &[&str], output: &Output) {
        let code = output.status.code().expect("a code");
        let said = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
        self.say(name, &arguments.join(" "), code, &said.concat());
    }

    fn say(&mut self, name: &str, command: &str, code: i32, said: &str) {
        let folder = self.path().display().to_string();
        let said = said.replace(&folder, "$DIR");
        // Lines about what is right are not of interest.
        let said = said
            .lines()
            .filter(|line| !line.trim_start().starts_with("ok "));
        let command = command.replace(&folder, "$DIR");
        let _ = write!(self.text, "## {name}\n$ masshook {command}\n");
        for line in said {
            let _ = writeln!(self.text, "{}", line.trim_end());
        }
        let _ = write!(self.text, "exit {code}\n\n");
    }

    fn mistakes_in_the_config(&mut self) {
        self.config("typo in a key", "verify:", "verfy:");
        self.config("typo in a key at the top", "connections:", "conections:");
        self.config("typo in a scheme", "shopify", "shopfy");
        self.config(
            "typo in `custom`",
            "{ scheme: shopify, secret: file:shop }",
            CUSTOM,
        );
        self.config(
            "typo in a data centre",
            "zoho.json }",
            "zoho.json, data_center: com }",
        );
        self.config("typo in jq", "fields: {", "fields: (");
        self.config("unknown filter in jq", "[.id]", "[.id | tostrin]");
        self.config("missing comma in jq", "\"Leads\",", "\"Leads\"");
        self.config("`=` for `==`", "== \"orders", "= \"orders");
        self.config("tab", "  default:", "\tdefault:");
        self.config("missing colon", "routes:", "routes");
        self.config(
            "key that is there twice",
            "routes:",
            "connections: {}\nroutes:",
        );
        self.config("empty file", CONFIG, "");
        self.config(
            "route without verify",
            "    verify: { scheme: shopify, secret: file:shop }\n",
            "",
        );
        self.config("secret in the config", "file:shop", "hunter2");
        self.config("no secret", ", secret: file:shop", "");
        self.config("secret that is not set", "file:shop", "env:SHOPIFY_SECRET");
        self.config("secret without a file", "file:shop", "file:secrets/shop");
        self.config(
            "connection that does not exist",
            "    when:",
            "    connection: crm\n    when:",
        );
    }

    fn mistakes_in_events(&mut self) {
        self.event(&json!(5_725_767.5), "Web");
        self.command("fraction as an id", &["preview", "event.json"]);
        self.event(&json!(true), "Web");
        self.command("no id", &["preview", "event.json"]);
        self.command("event that is not JSON", &["preview", "masshook.yaml"]);
        self.command("event that does not exist", &["preview", "envent.json"]);
        self.command(
            "typo in a route",
            &["preview", "--route", "oders", "event.json"],
        );
        self.event(&json!("5725767000003000064"), "Web");
    }

    fn mistakes_on_the_command_line(&mut self) {
        self.command("typo in a command", &["chek"]);
        self.command("typo in a flag", &["check", "--liev"]);
        self.command("no config", &["check", "--config", "mashook.yaml"]);
        self.command("typo in a sender", &["send", "shopfy"]);
        // The request has another id and signature each time.
        let output = self.run(&["send", "shopify", "--to", "http://127.0.0.1:1"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let code = output.status.code().expect("a code");
        self.say("no server", "send shopify", code, &said);
        self.command("no store", &["jobs", "list"]);
        self.command(
            "typo in a filter",
            &["jobs", "list", "--data", "data", "--status", "faild"],
        );
        self.command(
            "folder that cannot be written",
            &["serve", "--data", "/proc/masshook"],
        );
        self.command("init where a config is", &["init", "--sender", "stripe"]);
        self.command(
            "init for an unknown sender",
            &["init", "--sender", "stripr", "--dir", "new"],
        );
        let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = taken.local_addr().expect("an address").to_string();
        let output = self.run(&["serve", "--listen", &address]);
        let said = String::from_utf8_lossy(&output.stderr).replace(&address, "127.0.0.1:8080");
        let code = output.status.code().expect("a code");
        self.say("port that is taken", "serve", code, &said);
    }

    /// Modules, fields and options that the org does not have, found by `check --live`.
    async fn mistakes_in_zoho_names(&mut self) {
        let simulator = Simulator::start(Settings::default())
            .await
            .expect("a simulator");
        let credentials = simulator.announcement()["credentials"].to_string();
        self.write("zoho.json", &credentials);
        let url = simulator.url().to_owned();
        let connection = format!("zoho.json, accounts_url: '{url}', api_url: '{url}' }}");
        let config = CONFIG.replacen("zoho.json }", &connection, 1);
        for (name, right, wrong) in [
            ("wrong module", "\"Leads\"", "\"Lead\""),
            ("wrong field", "Lead_Source:", "Lead_Sorce:"),
            ("wrong option of a picklist", ".source", "\"Webinr\""),
        ] {
            self.write("wrong.yaml", &config.replacen(right, wrong, 1));
            let arguments = ["check", "--live", "--config", "wrong.yaml"].map(str::to_owned);
            let (program, folder) = (env!("CARGO_BIN_EXE_masshook"), self.path().to_owned());
            // The simulator answers on this thread.
            let output = tokio::task::spawn_blocking(move || {
                let mut command = Command::new(program);
                command.args(arguments).current_dir(folder).env_clear();
                command.output().expect("it runs")
            });
            let output = output.await.expect("it ends");
            assert!(!output.status.success(), "{name}: {output:?}");
            let said =
                String::from_utf8_lossy(&output.stdout).replace(&url, "http://127.0.0.1:9090");
            let found: Vec<&str> = said.lines().filter(|line| line.contains("BAD")).collect();
            let code = output.status.code().expect("a code");
            self.say(name, "check --live", code, &found.join("\n"));
        }
        simulator.stop().await;
    }

    fn wrong_secret(&mut self) {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in [
            ("masshook.yaml", CONFIG),
            ("shop", "ffeeddccbbaa99887766554433221100"),
        ] {
            std::fs::write(folder.path().join(name), text).expect("written");
        }
        let free = ["--listen", "127.0.0.1:0", "--console", "127.0.0.1:0"];
        let server = Dev::start_in(folder, &free);
        let output = self.run(&["send", "shopify", "--to", &server.server, "--json"]);
        let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let body = &answer["answer"]["body"];
        let said = format!("{}: {}", body["code"], body["detail"]);
        let code = output.status.code().expect("a code");
        self.say("wrong secret", "send shopify", code, &said);
    }
}

#[tokio::test]
async fn each_likely_mistake_has_a_message_that_helps() {
    let mut page = Page::new();
    page.mistakes_in_the_config();
    page.mistakes_in_events();
    page.mistakes_on_the_command_line();
    page.mistakes_in_zoho_names().await;
    page.wrong_secret();
    let mistakes = page.text.matches("## ").count();
    assert!(mistakes >= 20, "{mistakes}");
    // Words of libraries and of Rust that mean nothing to a user.
    for foreign in [
        "os error",
        "DuplicateKeyPolicy",
        "<input>",
        "Err(",
        "Some(",
        "::",
        "SdkError",
        "panicked",
    ] {
        assert!(!page.text.contains(foreign), "{foreign}:\n{}", page.text);
    }
    insta::assert_snapshot!("likely_mistakes", page.text);
}
