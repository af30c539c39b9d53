//! Schemathesis makes requests of the document, valid and invalid ones, and compares each answer of the real `masshook serve`
//! with it.

use std::process::Command;

use serde_json::{Value, json};

use crate::harness::{API_KEY, Harness, interface_judges, repo_path};

/// Every run makes more.
const MIN_CASES: u64 = 1_000;

#[tokio::test(flavor = "multi_thread")]
async fn server_answers_as_documented() {
    let served = Harness::new()
        // Nothing leaves this machine, whatever callback URL a request names.
        .config(|config| {
            config.replace(
                "allow_loopback: true",
                "allow_loopback: true, allowed_hosts: [127.0.0.1]",
            )
        })
        .served()
        .start()
        .await;
    // Something to list: a finished job, a failed one, and a dead letter.
    let lead = served.id("Leads", 1);
    let delivery = json!({"event": "e1", "ids": [lead]});
    let finished = served.submit(&delivery).await;
    served.wait_for_job(&finished[0]).await;
    let refused = served
        .deliver(&json!({"event": "e2", "module": "no module"}))
        .await;
    refused
        .expect("an answer")
        .assert_problem(422, "not_mappable");

    let folder = tempfile::tempdir().expect("a folder");
    let report = folder.path().join("report.json");
    let mut command = Command::new(interface_judges().with_file_name("schemathesis"));
    command
        .arg("--config-file")
        .arg(repo_path("tests/tools/schemathesis.toml"))
        .args(["run", &served.url("/openapi.json")])
        .args(["--header", &format!("Authorization: Bearer {API_KEY}")])
        // Which methods a route takes is in its config; the document has all that a route can take. For all other paths
        // `document_agrees_with_the_router` compares the header.
        .args([
            "--checks",
            "all",
            "--exclude-checks",
            "allow_header_conformance",
        ])
        .args(["--max-examples", "12", "--seed", "7"])
        .args([
            "--warnings",
            "off",
            "--no-color",
            "--report",
            "json",
            "--report-json-path",
        ])
        .arg(&report)
        .current_dir(folder.path());
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = output.await.expect("no panic").expect("schemathesis runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let cases = cases(&text);
    assert!(cases > MIN_CASES, "{cases} cases:\n{text}");
    let health = served
        .request("GET", "/health", None)
        .await
        .expect("an answer");
    assert_eq!(health.body, json!({"status": "ok"}));
    let log = served.log();
    assert!(!log.contains("panicked"), "{log}");
    let report: Value =
        serde_json::from_slice(&std::fs::read(report).expect("a report")).expect("JSON");
    assert!(report.is_object(), "{report}");
}

/// The number of generated test cases in the text of a run.
fn cases(text: &str) -> u64 {
    let line = text.lines().find(|line| line.contains(" generated"));
    let line = line.unwrap_or_else(|| panic!("{text}"));
    let number = line.split_whitespace().next().expect("a number");
    number.parse().unwrap_or_else(|_| panic!("{line}"))
}
