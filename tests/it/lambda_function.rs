//! The Lambda program under AWS's Runtime Interface Emulator, with the files of `events/`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use zoho_simulator::Settings;

use crate::harness::{Receiver, Rie, RieOptions, SimulatedZoho, repo_path};

/// The function as `sam local` runs it: with the sample config and the sample secrets, on free ports.
pub(crate) struct Function {
    rie: Rie,
    zoho: SimulatedZoho,
    receiver: Receiver,
    secrets: BTreeMap<String, String>,
    _folder: tempfile::TempDir,
}

fn sample_secrets() -> BTreeMap<String, String> {
    let text =
        std::fs::read_to_string(repo_path("events/local/env.json")).expect("the sample secrets");
    let file: BTreeMap<String, BTreeMap<String, String>> =
        serde_json::from_str(&text).expect("JSON");
    file.into_values().next().expect("a function")
}

fn events() -> Vec<(String, Value)> {
    let files = std::fs::read_dir(repo_path("events")).expect("events");
    let files = files
        .map(|file| file.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|end| end == "json"));
    let mut events: Vec<(String, Value)> = files
        .map(|path: PathBuf| {
            let text = std::fs::read_to_string(&path).expect("an event");
            let name = path
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            (name, serde_json::from_str(&text).expect("JSON"))
        })
        .collect();
    events.sort_by(|left, right| left.0.cmp(&right.0));
    events
}

impl Function {
    async fn start() -> Self {
        Self::start_with(Vec::new()).await
    }

    /// Starts it with these variables, too.
    pub(crate) async fn start_with(variables: Vec<(String, String)>) -> Self {
        let zoho = SimulatedZoho::start(Settings::default()).await;
        let receiver = Receiver::start(&[]).await;
        let config =
            std::fs::read_to_string(repo_path("events/masshook.yaml")).expect("the sample config");
        let config = config
            .replace("http://127.0.0.1:9090", zoho.simulator.url())
            .replace("http://127.0.0.1:9191/zoho", &receiver.url("/zoho"));
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("masshook.yaml");
        std::fs::write(&path, config).expect("written");
        let secrets = sample_secrets();
        let mut env: Vec<(String, String)> = secrets.clone().into_iter().collect();
        env.push(("MASSHOOK_CONFIG".to_owned(), path.display().to_string()));
        env.extend(variables);
        let rie = Rie::start(&RieOptions {
            env,
            timeout_s: 29,
            ..RieOptions::default()
        });
        Self {
            rie,
            zoho,
            receiver,
            secrets,
            _folder: folder,
        }
    }

    /// Invokes it.
    #[cfg(feature = "otlp")]
    pub(crate) async fn invoke(&self, event: &Value) -> Value {
        self.rie.invoke(event).await
    }
}

/// Returns the body of an HTTP answer.
fn body(answer: &Value) -> Value {
    serde_json::from_str(answer["body"].as_str().expect("a body")).expect("JSON")
}

#[tokio::test]
async fn every_sample_event_is_answered() {
    let function = Function::start().await;
    let events = events();
    assert!(events.len() >= 23);
    for (name, event) in &events {
        let answer = function.rie.invoke(event).await;
        let jobs = match name.as_str() {
            "health-http-api-v2.json" => {
                assert_eq!(body(&answer), json!({"status": "ok"}), "{name}");
                continue;
            }
            "jobs-dry-run-http-api-v2.json" => {
                assert!(
                    body(&answer)["plan"]["calls"].is_array(),
                    "{name}: {answer:#}"
                );
                continue;
            }
            // In inline mode no job waits for a wake-up, and wake-ups for unknown jobs are dropped.
            "sweep-schedule.json" => {
                assert_eq!(answer, json!({"driven": 0}), "{name}");
                continue;
            }
            sqs if sqs.ends_with("-sqs.json") => {
                assert_eq!(answer, json!({"batchItemFailures": []}), "{name}");
                continue;
            }
            direct if direct.ends_with("-direct.json") => answer.clone(),
            asynchronous
                if asynchronous.ends_with("-eventbridge.json")
                    || asynchronous.ends_with("-sns.json") =>
            {
                assert_eq!(answer["ignored"], 0, "{name}: {answer:#}");
                answer.clone()
            }
            _ => {
                assert_eq!(
                    answer["statusCode"],
                    200,
                    "{name}: {answer:#}\n{}",
                    function.rie.logs()
                );
                body(&answer)
            }
        };
        let jobs = jobs["jobs"]
            .as_array()
            .unwrap_or_else(|| panic!("{name}: {answer:#}"));
        assert!(!jobs.is_empty(), "{name}");
        for job in jobs {
            assert_eq!(job["status"], "succeeded", "{name}: {job:#}");
        }
    }
    // The answer to SQS contains no jobs, so check the records.
    for (record, field, value) in [
        ("Leads/5725767000003000070", "Lead_Source", "Web Download"),
        ("Leads/5725767000003000071", "Lead_Source", "Web Download"),
        ("Leads/5725767000003000072", "Lead_Status", "Contacted"),
        ("Deals/5725767000006000011", "Stage", "Closed Won"),
        ("Deals/5725767000006000012", "Stage", "Closed Won"),
        ("Deals/5725767000006000013", "Stage", "Closed Won"),
    ] {
        let (module, id) = record.split_once('/').expect("a record");
        let found = function.zoho.record(module, id).await;
        assert_eq!(found[field], value, "{record}");
    }
}

#[tokio::test]
async fn signed_form_updates_zoho_and_sends_callback() {
    let mut function = Function::start().await;
    let (_, event) = events()
        .into_iter()
        .find(|(name, _)| name == "typeform-http-api-v2.json")
        .expect("the event");
    let answer = function.rie.invoke(&event).await;
    assert_eq!(
        (&answer["statusCode"], &body(&answer)["jobs"][0]["status"]),
        (&json!(200), &json!("succeeded"))
    );

    let record = function.zoho.record("Leads", "5725767000003000064").await;
    assert_eq!(record["Lead_Source"], "Webinar");

    let callback = function.receiver.next().await;
    let sent = callback.verified_with(&function.secrets["CALLBACK_SECRET"]);
    assert_eq!(
        (&sent["type"], &sent["data"]["counts"]["updated"]),
        (&json!("job.succeeded"), &json!(1))
    );

    // The log is JSON and contains no secret.
    let logs = function.rie.logs();
    let refreshed = logs
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    assert!(
        refreshed
            .into_iter()
            .any(|line| line["fields"]["message"] == "access token refreshed"),
        "{logs}"
    );
    for secret in function
        .secrets
        .iter()
        .filter(|(name, _)| *name != "RUST_LOG")
        .map(|(_, secret)| secret)
    {
        assert!(!logs.contains(secret.as_str()), "{logs}");
    }
}

#[tokio::test]
async fn invalid_events_are_distinguished() {
    let function = Function::start().await;
    let (_, mut forged) = events()
        .into_iter()
        .find(|(name, _)| name == "typeform-http-api-v2.json")
        .expect("the event");
    forged["body"] = json!(
        forged["body"]
            .as_str()
            .expect("a body")
            .replace("spring", "summer")
    );
    let answer = function.rie.invoke(&forged).await;
    assert_eq!(
        (&answer["statusCode"], &body(&answer)["code"]),
        (&json!(401), &json!("not_verified"))
    );

    for (event, error_type, part) in [
        (
            json!({"hello": 1, "world": 2}),
            "unknown_event",
            "[hello, world]",
        ),
        (json!("text"), "unknown_event", "not a JSON object"),
        (
            json!({"requestContext": {}, "nothing": true}),
            "unknown_event",
            "requestContext",
        ),
        (
            json!({"module": "Leads", "fields": {"A": 1}}),
            "invalid_update_request",
            "add `ids`, `cvid`, `view` or `match`",
        ),
        (
            json!({"route": "nowhere", "body": "{}"}),
            "no_such_route",
            "nowhere",
        ),
        (
            json!({"route": "typeform-signup", "body": "{}", "heders": {}}),
            "unknown_event",
            "heders",
        ),
    ] {
        let answer = function.rie.invoke(&event).await;
        assert_eq!(answer["errorType"], error_type, "{event}: {answer}");
        assert!(
            answer["errorMessage"]
                .as_str()
                .is_some_and(|message| message.contains(part)),
            "{event}: {answer}"
        );
    }
    // The function still answers.
    let (_, health) = events()
        .into_iter()
        .find(|(name, _)| name == "health-http-api-v2.json")
        .expect("the event");
    assert_eq!(function.rie.invoke(&health).await["statusCode"], 200);
}

#[tokio::test]
async fn stage_name_is_removed_from_the_path() {
    let function = Function::start().await;
    for (name, event) in events() {
        let mut event = event;
        match name.as_str() {
            "typeform-http-api-v2.json" => {
                event["requestContext"]["stage"] = json!("prod");
                event["rawPath"] = json!("/prod/hooks/typeform-signup");
            }
            "shopify-rest-v1.json" => event["requestContext"]["stage"] = json!("prod"),
            _ => continue,
        }
        let answer = function.rie.invoke(&event).await;
        assert_eq!(answer["statusCode"], 200, "{name}: {answer:#}");
    }
}

#[test]
fn preview_shows_the_plan_of_every_sample_event() {
    for (name, event) in events() {
        let path = repo_path("events").join(&name);
        let run = |json: bool| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_masshook"));
            command
                .arg("preview")
                .arg("--config")
                .arg(repo_path("events/masshook.yaml"));
            command
                .args(json.then_some("--json"))
                .arg(&path)
                .env_clear()
                .envs(sample_secrets());
            command.output().expect("it runs")
        };
        let text = run(false);
        let shown = String::from_utf8_lossy(&text.stdout).into_owned();
        assert!(
            text.status.success(),
            "{name}: {shown}{}",
            String::from_utf8_lossy(&text.stderr)
        );
        let mut document: Value =
            serde_json::from_slice(&run(true).stdout).expect("one JSON document");
        if name.starts_with("health") || name.starts_with("sweep") || name.starts_with("wake-ups") {
            assert!(shown.contains("nothing to plan"), "{shown}");
            continue;
        }
        let by_aws = document["previews"].take();
        if let Value::Array(previews) = by_aws {
            let takes = |preview: &&Value| preview["updates"][0].is_object();
            document = previews.iter().find(takes).expect("a route").clone();
        }
        assert!(shown.contains("/actions/mass_update"), "{name}: {shown}");
        assert!(shown.contains("\nautomation workflows"), "{name}: {shown}");
        assert!(
            document["updates"][0]["plan"]["calls"][0]["body"]["data"].is_array(),
            "{name}: {document}"
        );
        if event["module"].is_null() && !name.starts_with("jobs") {
            let verification = document["verification"]
                .as_str()
                .expect("a word on verification");
            let by_aws = ["nightly", "-eventbridge.", "-sns.", "-sqs."];
            let expected = match by_aws.iter().any(|part| name.contains(part)) {
                true => "AWS decides who may send",
                false => "verified",
            };
            assert!(verification.starts_with(expected), "{name}: {verification}");
        }
    }
}
