//! Conformance with Zoho's SDKs for Python (v7 and v8) and Node (v7), which run unchanged against the simulator: how they parse the
//! responses, and how their requests differ from masshook's for the same work.

mod requests;
mod responses;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use masshook::lookup::{LookupField, LookupRequest, lookup_requests};
use masshook::update::MatchValue;
use serde_json::{Value, json};

use crate::harness::{World, node, repo_path, zoho_node_sdk, zoho_sdk, zoho_sdk_v8};

/// One of Zoho's SDKs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sdk {
    Python,
    PythonV8,
    Node,
}

impl Sdk {
    /// The command that runs all steps. The first call fetches the SDK.
    fn command(self) -> Command {
        match self {
            Self::Python => Self::python(zoho_sdk()),
            Self::PythonV8 => Self::python(zoho_sdk_v8()),
            Self::Node => {
                let mut command = Command::new(node());
                let script: PathBuf = repo_path("tests/tools/zoho_sdk.mjs");
                command.arg(script).arg(zoho_node_sdk());
                command
            }
        }
    }

    fn python(interpreter: &Path) -> Command {
        let mut command = Command::new(interpreter);
        command.arg(repo_path("tests/tools/zoho_sdk.py"));
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    /// The version of the API that it calls.
    fn api_version(self) -> &'static str {
        match self {
            Self::Python | Self::Node => "v7",
            Self::PythonV8 => "v8",
        }
    }
}

/// The output of an SDK's script by step.
struct SdkSteps(BTreeMap<String, Value>);

impl SdkSteps {
    fn of(&self, step: &str) -> &Value {
        self.0.get(step).unwrap_or_else(|| panic!("no step {step}"))
    }

    /// The HTTP status of a step, and the SDK class of its response.
    fn response(&self, step: &str) -> (u64, &str) {
        let line = self.of(step);
        let class = line["class"].as_str().unwrap_or_default();
        (line["status"].as_u64().unwrap_or_default(), class)
    }

    /// The codes of the entries in a step's response.
    fn codes(&self, step: &str) -> Vec<&str> {
        let entries = self.of(step)["entries"].as_array().expect("entries");
        entries
            .iter()
            .filter_map(|entry| entry["code"].as_str())
            .collect()
    }
}

/// Values that a COQL query cannot contain.
const COMPANY: &str = "Smith (Bonn), \"Sons\" & Söhne \\ Ltd";
const MAIL: &str = "o'brien+1@example.com";

/// The request with which masshook looks up leads by one of these values.
fn question(field: &str, values: &[&str]) -> LookupRequest {
    let column = LookupField {
        module: "Leads".parse().expect("a module"),
        field: field.parse().expect("a field"),
    };
    let value = |text: &&str| MatchValue::try_from((*text).to_owned()).expect("a value");
    let values: Vec<MatchValue> = values.iter().map(value).collect();
    let mut lookup_requests = lookup_requests(&column, &values);
    let (question, _) = lookup_requests.pop().expect("a question");
    assert!(lookup_requests.is_empty());
    question
}

/// The input of the SDK for the same request.
fn sdk_input(question: &LookupRequest) -> Value {
    match question {
        LookupRequest::Query(query) => json!(query.text()),
        LookupRequest::Search(search) => {
            let parameters: BTreeMap<_, _> = search.parameters().into_iter().collect();
            json!(parameters)
        }
    }
}

/// Runs all steps of an SDK.
async fn run_sdk(sdk: Sdk, world: &World) -> SdkSteps {
    let zoho = world.zoho();
    let code = json!({"scope": "ZohoCRM.modules.ALL,ZohoCRM.users.READ,ZohoCRM.org.READ"});
    let (_, code) = world
        .zoho_request("POST", "/_sim/grant_code", Some(&code))
        .await;
    let folder = tempfile::tempdir().expect("a folder");
    let mut input = world.simulator.announcement()["credentials"].clone();
    input["api_url"] = json!(world.simulator.url());
    input["folder"] = json!(folder.path());
    input["ids"] = json!([world.id("Leads", 0), world.id("Leads", 1)]);
    input["locked"] = zoho["modules"]["Leads"]["conditions"]["locked"].clone();
    input["cvid"] = zoho["views"]["Leads"]["some"]["id"].clone();
    input["territory"] = zoho["territories"]["EMEA"]["id"].clone();
    input["owner"] = json!("5725767000000411002");
    input["owner_cvid"] = zoho["views"]["Leads"]["all"]["id"].clone();
    input["grant_code"] = code["code"].clone();
    let modules = zoho["modules"].as_object().expect("modules");
    input["modules"] = modules.keys().map(String::as_str).collect();
    input["future"] = json!("2099-01-01T00:00:00Z");
    input["queries"] = json!({
        "coql": sdk_input(&question("Email", &["lead1@example.com", "lead2@example.com"])),
        "coql_none": "select id from Leads where Email = 'nobody@example.com'",
        "coql_wrong": "select id from Leads",
    });
    input["searches"] = json!({
        "search": {"email": "lead2@example.com"},
        "search_company": sdk_input(&question("Company", &[COMPANY])),
        "search_mail": sdk_input(&question("Email", &[MAIL])),
        "search_none": {"email": "nobody@example.com"},
    });
    let run = move || {
        let mut sdk = sdk
            .command()
            .env("NO_PROXY", "*")
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the SDK runs");
        let mut stdin = sdk.stdin.take().expect("a pipe");
        stdin
            .write_all(input.to_string().as_bytes())
            .expect("written");
        drop(stdin);
        sdk.wait_with_output().expect("finished")
    };
    let output = tokio::task::spawn_blocking(run).await.expect("joined");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let lines = text.lines().map(|line| {
        let line: Value = serde_json::from_str(line).expect("a line of JSON");
        (line["step"].as_str().expect("a step").to_owned(), line)
    });
    SdkSteps(lines.collect())
}
