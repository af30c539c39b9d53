//! `masshook auth` against the simulator.

mod callback_key;

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use masshook::aws::secrets::SecretsManager;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Harness, Moto, World};

struct Bench {
    world: World,
    folder: TempDir,
    env: Vec<(String, String)>,
}

impl Bench {
    async fn new() -> Self {
        Self {
            world: Harness::new().start().await,
            folder: tempfile::tempdir().expect("a folder"),
            env: Vec::new(),
        }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("zoho.json")
    }

    fn in_file(&self) -> String {
        format!("file:{}", self.file().display())
    }

    fn written(&self) -> Value {
        let text = std::fs::read_to_string(self.file()).expect("a file");
        serde_json::from_str(&text).expect("JSON")
    }

    fn client(&self, key: &str) -> String {
        let credentials = &self.world.simulator.announcement()["credentials"];
        credentials[key].as_str().expect("a text").to_owned()
    }

    /// Makes a grant code, as Zoho's API console does.
    async fn code(&self, scope: &str) -> String {
        let asked = json!({"scope": scope});
        let (_, made) = self
            .world
            .zoho_request("POST", "/_sim/grant_code", Some(&asked))
            .await;
        made["code"].as_str().expect("a code").to_owned()
    }

    /// Runs the command with the client secret on stdin. Checks that it prints no secret.
    async fn auth(&self, credentials: &str, arguments: &[&str]) -> (Option<i32>, Value) {
        let zoho = self.world.simulator.url();
        let text = format!(
            "connections:\n  default:\n    credentials: {credentials}\n    accounts_url: {zoho}\n    api_url: {zoho}\n"
        );
        let config = self.folder.path().join("masshook.yaml");
        std::fs::write(&config, text).expect("written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_masshook"));
        command.args(["auth", "--json", "--config"]).arg(&config);
        command.args(["--client-id", &self.client("client_id")]);
        command.args(arguments).env_clear().envs(self.env.clone());
        command.stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let secret = self.client("client_secret");
        let run = move || -> Output {
            let mut child = command.spawn().expect("it runs");
            let mut stdin = child.stdin.take().expect("stdin");
            // A command that needs no secret may have exited already.
            let _ = writeln!(stdin, "{secret}");
            drop(stdin);
            child.wait_with_output().expect("it ends")
        };
        let output = tokio::task::spawn_blocking(run).await.expect("run");
        let shown = [&output.stdout[..], &output.stderr[..]].concat();
        let shown = String::from_utf8_lossy(&shown).into_owned();
        let mut secrets = vec![self.client("client_secret")];
        secrets.extend(
            arguments
                .iter()
                .filter(|a| a.starts_with("1000."))
                .map(|a| (*a).to_owned()),
        );
        if self.file().exists() {
            let written = self.written();
            secrets.extend(written["refresh_token"].as_str().map(str::to_owned));
        }
        for secret in secrets {
            assert!(!shown.contains(&secret), "{shown}");
        }
        let document = serde_json::from_slice(&output.stdout);
        let document = document.unwrap_or_else(|error| panic!("{error}: {shown}"));
        (output.status.code(), document)
    }

    /// Returns the scope string that the command prints.
    async fn scopes(&self) -> String {
        let (code, document) = self.auth(&self.in_file(), &["--scopes"]).await;
        assert_eq!(code, Some(0));
        document["scope"].as_str().expect("scopes").to_owned()
    }

    /// Lists the files in the folder, to find leftovers.
    fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).expect("a folder");
        let name = |entry: std::fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
        let mut names: Vec<String> = entries
            .map(|entry| name(entry.expect("an entry")))
            .collect();
        names.sort();
        names
    }
}

fn found<'a>(document: &'a Value, what: &str) -> (&'a str, &'a str) {
    let list = document["findings"].as_array().expect("a list");
    let row = list.iter().find(|row| row["check"] == what);
    let row = row.unwrap_or_else(|| panic!("no {what}: {document:#}"));
    let text = |key: &str| row[key].as_str().expect("a text");
    (text("result"), text("found"))
}

#[tokio::test]
async fn grant_code_is_exchanged_and_saved_to_file() {
    let bench = Bench::new().await;
    let target = bench.in_file();
    std::fs::write(bench.file(), "{}").expect("written");
    let code = bench.code(&bench.scopes().await).await;
    let (status, document) = bench.auth(&target, &["--code", &code]).await;
    assert_eq!(status, Some(0), "{document:#}");
    for what in [
        "grant code",
        "refresh",
        "granted",
        "needed",
        "optional",
        "saved",
    ] {
        assert_eq!(found(&document, what).0, "ok", "{what}: {document:#}");
    }
    let mode = std::fs::metadata(bench.file())
        .expect("a file")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let written = bench.written();
    assert_eq!(written["client_id"], bench.client("client_id"));
    assert_eq!(written["client_secret"], bench.client("client_secret"));
    assert_ne!(written["refresh_token"], bench.client("refresh_token"));
    // A used code and an unknown code are reported, and the saved credentials stay.
    for code in [code.as_str(), "1000.nothing.atall"] {
        let (status, document) = bench.auth(&target, &["--code", code]).await;
        assert_eq!(status, Some(1), "{document:#}");
        let (result, why) = found(&document, "grant code");
        assert!(
            result == "bad" && why.contains("invalid_code") && why.contains("too old"),
            "{why}"
        );
        assert_eq!(bench.written(), written);
    }
    assert_eq!(bench.files(), ["masshook.yaml", "zoho.json"]);
}

#[tokio::test]
async fn secrets_manager_secret_is_created_or_updated() {
    let mut bench = Bench::new().await;
    let moto = Moto::shared();
    bench.env = moto.environment();
    let name = format!("auth/{:016x}", fastrand::u64(..));
    let scopes = bench.scopes().await;
    let manager = SecretsManager::with_config(moto.sdk_config());
    let mut tokens = Vec::new();
    for _ in 0..2 {
        let code = bench.code(&scopes).await;
        let target = format!("secretsmanager:{name}");
        let (status, document) = bench.auth(&target, &["--code", &code]).await;
        assert_eq!(status, Some(0), "{document:#}");
        let secret = manager.get(&name).await.expect("a secret");
        let secret: Value = serde_json::from_str(secret.expose_secret()).expect("JSON");
        assert_eq!(secret["client_secret"], bench.client("client_secret"));
        let token = secret["refresh_token"]
            .as_str()
            .expect("a token")
            .to_owned();
        assert!(!document.to_string().contains(&token));
        tokens.push(token);
    }
    assert_ne!(tokens[0], tokens[1]);
}

#[tokio::test]
async fn missing_scopes_are_reported_after_saving() {
    let bench = Bench::new().await;
    let code = bench
        .code("ZohoCRM.mass_update.UPDATE,ZohoCRM.settings.ALL")
        .await;
    let (status, document) = bench.auth(&bench.in_file(), &["--code", &code]).await;
    assert_eq!(status, Some(1), "{document:#}");
    let (result, needed) = found(&document, "needed");
    assert_eq!(result, "bad");
    assert!(needed.contains("ZohoCRM.mass_update.READ"), "{needed}");
    assert!(
        !needed.contains("UPDATE") && !needed.contains("fields"),
        "{needed}"
    );
    let (result, optional) = found(&document, "optional");
    assert_eq!(result, "note");
    assert!(
        optional.contains("ZohoCRM.coql.READ") && !optional.contains("territories"),
        "{optional}"
    );
    assert_eq!(found(&document, "saved").0, "ok");
    assert!(bench.written()["refresh_token"].is_string());
}

#[tokio::test]
async fn code_without_refresh_token_is_rejected() {
    let bench = Bench::new().await;
    bench
        .world
        .faults(&json!({"omit_refresh_token": true}))
        .await;
    let code = bench.code(&bench.scopes().await).await;
    let (status, document) = bench.auth(&bench.in_file(), &["--code", &code]).await;
    assert_eq!(status, Some(1), "{document:#}");
    let (result, why) = found(&document, "grant code");
    assert!(result == "bad" && why.contains("NO REFRESH TOKEN"), "{why}");
    assert_eq!(bench.files(), ["masshook.yaml"]);
}

#[tokio::test]
async fn client_credentials_grant_needs_no_code() {
    let bench = Bench::new().await;
    let (status, document) = bench.auth(&bench.in_file(), &["--soid", "ZohoCRM.7"]).await;
    assert_eq!(status, Some(0), "{document:#}");
    assert_eq!(found(&document, "needed").0, "ok");
    let written = bench.written();
    assert_eq!(written["grant_type"], "client_credentials");
    assert_eq!(written["soid"], "ZohoCRM.7");
    std::fs::remove_file(bench.file()).expect("removed");
    let (status, document) = bench.auth(&bench.in_file(), &["--soid", "7"]).await;
    assert_eq!(status, Some(1));
    assert!(
        found(&document, "token").1.contains("missing_org_info"),
        "{document:#}"
    );
    assert_eq!(bench.files(), ["masshook.yaml"]);
}

#[tokio::test]
async fn unwritable_target_does_not_use_up_the_code() {
    let bench = Bench::new().await;
    let code = bench.code(&bench.scopes().await).await;
    let key = format!("{}#refresh_token", bench.in_file());
    for (target, says) in [
        ("env:ZOHO", "set the variable yourself"),
        (key.as_str(), "drop the # part"),
        ("file:/surely/absent/zoho.json", "cannot be written"),
    ] {
        let (status, document) = bench.auth(target, &["--code", &code]).await;
        assert_eq!(status, Some(2), "{document:#}");
        let error = document["error"].as_str().expect("a text");
        assert!(error.contains(says) && error.contains(target), "{error}");
    }
    let (status, document) = bench.auth(&bench.in_file(), &["--code", &code]).await;
    assert_eq!(status, Some(0), "{document:#}");
}

#[tokio::test]
async fn other_data_centre_is_detected_from_api_domain() {
    let bench = Bench::new().await;
    let faults = json!({"api_domain": "https://www.zohoapis.eu"});
    bench.world.faults(&faults).await;
    let code = bench.code(&bench.scopes().await).await;
    let (status, document) = bench.auth(&bench.in_file(), &["--code", &code]).await;
    assert_eq!(status, Some(0), "{document:#}");
    let (result, center) = found(&document, "data centre");
    assert_eq!(result, "note");
    assert!(
        center.contains("for eu") && center.contains("data_center: eu"),
        "{center}"
    );
}

#[test]
fn auth_alone_names_its_tasks() {
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_masshook"))
            .arg("auth")
            .args(arguments)
            .output()
            .expect("masshook");
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        String::from_utf8(output.stderr).expect("text")
    };
    let complained = run(&[]);
    for task in [
        "--scopes",
        "--client-id ID --code CODE",
        "--soid",
        "--callback-key",
    ] {
        assert!(complained.contains(task), "{complained}");
    }
    let complained = run(&["--code", "1000.x"]);
    assert!(complained.contains("--client-id <ID>"), "{complained}");
    assert!(!complained.contains("1000.x"), "{complained}");
}
