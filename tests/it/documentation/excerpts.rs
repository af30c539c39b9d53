//! Excerpts of output in the pages, compared with what the program prints. Those of docs/getting-started.md are compared by
//! `first_route.rs`.

use std::process::Command;

use serde_json::json;

use super::{pages, text};
use crate::harness::shown_output::{difference, is_within};
use crate::harness::{Dev, Harness, Served};

/// The pages with excerpts.
const PAGES: [&str; 5] = [
    "docs/console.md",
    "docs/dev.md",
    "docs/getting-started.md",
    "docs/history.md",
    "docs/metrics.md",
];

/// The excerpt of a page.
fn excerpt(path: &str) -> String {
    let page = text(path);
    let mut blocks = page.split("```text\n").skip(1);
    let block = blocks.next().unwrap_or_else(|| panic!("{path} has none"));
    assert!(blocks.next().is_none(), "{path} has several");
    block.split("```").next().unwrap_or_default().to_owned()
}

#[test]
fn every_excerpt_is_compared() {
    let pages = pages();
    let with_excerpts = pages.iter().filter(|page| {
        let blocks = page.blocks();
        blocks.iter().any(|block| block.language == "text")
    });
    let paths: Vec<&str> = with_excerpts.map(|page| page.path.as_str()).collect();
    assert_eq!(paths, PAGES);
}

#[tokio::test]
async fn start_of_dev_is_as_documented() {
    let dev = Dev::start();
    let wrong = difference(&excerpt("docs/dev.md"), &dev.lines.join("\n"));
    assert_eq!(wrong, None, "{}", wrong.as_deref().unwrap_or_default());
}

#[tokio::test]
async fn start_of_the_console_is_as_documented() {
    let mut served = Harness::new().served().prepare().await;
    served.start(&["--console", "127.0.0.1:0"]).await;
    let shown = excerpt("docs/console.md");
    served.wait_for_log(|log| is_within(&shown, log)).await;
}

/// A server whose route `campaign` batches its deliveries, and whose route `calendly` verifies them.
async fn start(statuses: &[u16]) -> Served {
    let harness = Harness::new().callback_statuses(statuses);
    let mut served = harness.served().prepare().await;
    let secret = served.folder().join("sender");
    std::fs::write(&secret, "a-secret-of-this-sender").expect("written");
    let config = std::fs::read_to_string(served.config()).expect("the config");
    let mut lines = config.lines().map(str::trim);
    let callback = lines.find(|line| line.starts_with("callback_url: "));
    let callback = callback.expect("a callback URL");
    let lead = served.lead(0);
    let routes = format!(
        r#"
  campaign:
    verify: {{ scheme: none }}
    batch_window: 1s
    map: '{{ module: "Leads", fields: {{ Lead_Source: "Webinar" }}, ids: .ids }}'
    {callback}
  calendly:
    verify: {{ scheme: github, secret: "file:{}" }}
    map: '{{ module: "Leads", fields: {{ Lead_Source: "Webinar" }}, ids: ["{lead}"] }}'
    {callback}
"#,
        secret.display()
    );
    std::fs::write(served.config(), config.trim_end().to_owned() + &routes).expect("written");
    served.start(&[]).await;
    served
}

// The receiver answers while the command runs.
#[tokio::test(flavor = "multi_thread")]
async fn timeline_is_as_documented() {
    let served = start(&[204; 30]).await;
    let mut ids: Vec<String> = (0..10).map(|number| served.lead(number)).collect();
    ids[3] = "999999999999999999".to_owned();
    let shown = excerpt("docs/history.md");
    let mut printed = String::new();
    // Windows begin at fixed times, one of which may be between two deliveries.
    for attempt in 0..10 {
        let mut jobs = Vec::new();
        for ids in [&ids[..4], &ids[4..6], &ids[6..]] {
            let body = json!({ "ids": ids, "attempt": attempt });
            let answer = served.request("POST", "/hooks/campaign", Some(&body)).await;
            jobs.push(answer.expect("an answer").job_id());
        }
        served
            .wait_until(&jobs[0], |job| job["callback"]["status"] == "delivered")
            .await;
        let (code, text) = served.cli_text(&["jobs", "show", &jobs[0]]);
        assert_eq!(code, 0, "{text}");
        // The page has a receiver elsewhere.
        printed = text.replace("127.0.0.1", "ops.example.com");
        if is_within(&shown, &printed) {
            return;
        }
    }
    panic!("{shown}\n{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn log_is_as_documented() {
    let served = start(&[503]).await;
    let url = served.url("");
    let config = served.config().display().to_string();
    let send = |config: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_masshook"));
        command.args(["send", "github", "--to", &url, "--config", config]);
        command.output().expect("it runs").status.code()
    };
    assert_eq!(send(&config), Some(0));
    // A sender with another secret.
    let other = served.folder().join("other.yaml");
    std::fs::write(served.folder().join("other"), "another-secret").expect("written");
    let text = std::fs::read_to_string(&config).expect("the config");
    let (before, after) = text.split_once("/sender\"").expect("the secret");
    std::fs::write(&other, format!("{before}/other\"{after}")).expect("written");
    assert_eq!(send(&other.display().to_string()), Some(1));
    let shown = excerpt("docs/metrics.md");
    served
        .wait_for_log(|line| line.contains("next try at"))
        .await;
    let log = served
        .wait_for_log(|line| line.contains("401 refused"))
        .await;
    // The page has a sender elsewhere.
    let log = log.replace("client.address=127.0.0.1", "client.address=203.0.113.9");
    for line in shown.lines() {
        assert!(is_within(line, &log), "{line}\n{log}");
    }
}
