//! What a custom-view job that takes Zoho ten minutes costs of function time: turns are timed as a function would be
//! billed for them, and the time between them passes on the clocks alone.
//!
//! ```text
//! cargo run --release --example waiting
//! ```
#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

#[path = "support/bench.rs"]
mod bench;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bench::receiver::Receiver;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use jiff::Timestamp;
use masshook::app::{App, Arrival, Edges};
use masshook::clock::{Clock, ManualClock};
use masshook::config::{Config, Programs};
use masshook::engine::ExecutionMode;
use masshook::job::JobStatus;
use masshook::job::sqlite::SqliteStore;
use masshook::job::wakeup::LocalWakeUps;
use masshook::secrets::{Missing, SecretStore};
use secrecy::SecretString;
use serde_json::json;
use zoho_simulator::{Settings, Simulator, TimeSource};

#[derive(Debug)]
struct Vault(String);

#[async_trait]
impl SecretStore for Vault {
    async fn get(&self, name: &str) -> Result<SecretString, Missing> {
        let signing = "whsec_dGhlIHNlcnZlZCB3b3JsZCdzIG93biBjYWxsYmFjayBrZXk=".to_owned();
        Ok(if name == "zoho" {
            self.0.clone()
        } else {
            signing
        }
        .into())
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let clock = ManualClock::at(Timestamp::from_second(1_800_000_000).expect("a moment"));
    let settings = Settings {
        time_source: TimeSource::from_fn({
            let clock = clock.clone();
            move || clock.now()
        }),
        job_duration: Duration::from_secs(600),
        ..Settings::default()
    };
    let simulator = Simulator::start(settings).await.expect("a simulator");
    let receiver = Receiver::start(&[]).await;
    let text = format!(
        r#"
connections:
  default: {{ credentials: secretsmanager:zoho, accounts_url: {zoho}, api_url: {zoho} }}
callbacks: {{ signing_secret: secretsmanager:callback, allow_loopback: true }}
routes:
  view: {{ verify: {{ scheme: none }}, map: ., callback_url: {callback} }}
"#,
        zoho = simulator.url(),
        callback = receiver.url("/zoho"),
    );
    let folder = tempfile::tempdir().expect("a folder");
    let credentials = simulator.announcement()["credentials"].to_string();
    let app = App::new(
        Config::parse(&text, Programs::Compile).unwrap_or_else(|problems| panic!("{problems:#?}")),
        Edges {
            clock: Arc::new(clock.clone()),
            store: Arc::new(SqliteStore::in_file(folder.path().join("jobs.db"))),
            secrets_manager: Arc::new(Vault(credentials)),
            mode: ExecutionMode::Durable(Arc::new(LocalWakeUps::new())),
            runtime_api: None,
            sns_endpoint: None,
        },
    );
    let view = simulator.announcement()["world"]["views"]["Leads"]["all"]["id"].clone();
    let body = json!({"module": "Leads", "fields": {"Lead_Status": "Contacted"}, "cvid": view});
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    let body = Bytes::from(body.to_string());
    let arrival = Arrival::post("view".to_owned(), headers, body);

    let accepted_at = clock.now();
    let begun = Instant::now();
    app.deliver(arrival, None).await.expect("accepted");
    let mut spent = begun.elapsed();
    let mut turns = 0_u32;
    let job = loop {
        let begun = Instant::now();
        let deadline = clock.now() + Duration::from_secs(20);
        let driven = app.run_turn(&[], Some(deadline)).await.expect("a turn");
        spent += begun.elapsed();
        turns += 1;
        let outcome = driven.into_iter().next().expect("the job was due").outcome;
        let job = outcome.expect("driven").expect("a job");
        let Some(due) = job.due(clock.now()) else {
            break job;
        };
        // What SQS, or the timer of `serve`, does: nobody waits.
        let wait = Duration::try_from(due.duration_since(clock.now())).unwrap_or_default();
        clock.advance(wait + Duration::from_millis(1));
    };

    let passed = clock.now().duration_since(accepted_at);
    let mut promises = bench::Promises::of("a custom-view job of ten minutes");
    promises.promise(
        "ended",
        job.status().as_str(),
        "with Zoho's job",
        matches!(
            job.status(),
            JobStatus::Succeeded | JobStatus::PartiallySucceeded
        ),
    );
    promises.promise(
        "time on the clocks",
        format!("{} s", passed.as_secs()),
        "ten minutes",
        passed.as_secs() >= 600,
    );
    promises.figure("turns", turns);
    promises.figure("polls", job.calls[0].polls);
    promises.figure("callbacks", receiver.all().len());
    promises.promise(
        "function time in all",
        format!("{spent:.1?}"),
        "under 1 s",
        spent < Duration::from_secs(1),
    );
    promises.end()
}
