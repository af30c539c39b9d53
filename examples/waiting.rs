//! Measures the function time of a custom-view job that takes Zoho ten minutes. Only the turns are timed, as Lambda bills
//! them; the time between turns passes on a simulated clock.
//!
//! ```text
//! cargo run --release --example waiting
//! ```
#![allow(clippy::print_stdout, reason = "a benchmark prints its results")]

#[path = "support/bench.rs"]
mod bench;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bench::receiver::Receiver;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use jiff::{SignedDuration, Timestamp};
use masshook::app::{App, Dependencies};
use masshook::clock::{Clock, ManualClock};
use masshook::config::{CompileMode, Config};
use masshook::engine::ExecutionMode;
use masshook::inbound::InboundRequest;
use masshook::job::{Job, JobStatus};
use masshook::metrics::Metrics;
use masshook::secrets::{SecretStore, SecretStoreError};
use masshook::store::sqlite::SqliteStore;
use masshook::wakeup::LocalWakeUps;
use secrecy::SecretString;
use serde_json::json;
use tempfile::TempDir;
use zoho_simulator::{Settings, Simulator, TimeSource};

#[derive(Debug)]
struct BenchmarkSecrets(String);

#[async_trait]
impl SecretStore for BenchmarkSecrets {
    async fn get(&self, name: &str) -> Result<SecretString, SecretStoreError> {
        let signing = "whsec_dGhlIHNlcnZlZCB3b3JsZCdzIG93biBjYWxsYmFjayBrZXk=".to_owned();
        Ok(if name == "zoho" {
            self.0.clone()
        } else {
            signing
        }
        .into())
    }
}

/// An app with a simulated Zoho, both on the same simulated clock.
struct BenchmarkWorld {
    clock: ManualClock,
    simulator: Simulator,
    receiver: Receiver,
    app: App,
    _folder: TempDir,
}

/// A finished job and what it cost.
struct DrivenJob {
    job: Job,
    turns: u32,
    function_time: Duration,
    simulated_time: SignedDuration,
}

impl BenchmarkWorld {
    async fn start() -> Self {
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
        let config = Config::parse(&text, CompileMode::Eager);
        let folder = tempfile::tempdir().expect("a folder");
        let credentials = simulator.announcement()["credentials"].to_string();
        let app = App::new(
            config.unwrap_or_else(|problems| panic!("{problems:#?}")),
            Dependencies {
                clock: Arc::new(clock.clone()),
                store: Arc::new(SqliteStore::in_file(folder.path().join("jobs.db"))),
                secrets_manager: Arc::new(BenchmarkSecrets(credentials)),
                mode: ExecutionMode::Durable(Arc::new(LocalWakeUps::new())),
                runtime_api: None,
                sns_endpoint: None,
                metrics: Metrics::default(),
            },
        );
        Self {
            clock,
            simulator,
            receiver,
            app,
            _folder: folder,
        }
    }

    /// A delivery that updates all leads of a custom view.
    fn delivery(&self) -> InboundRequest {
        let view = &self.simulator.announcement()["world"]["views"]["Leads"]["all"]["id"];
        let body = json!({"module": "Leads", "fields": {"Lead_Status": "Contacted"}, "cvid": view});
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        InboundRequest::post("view".to_owned(), headers, Bytes::from(body.to_string()))
    }

    /// Delivers the webhook and runs turns until the job has finished.
    async fn run_job(&self) -> DrivenJob {
        let accepted_at = self.clock.now();
        let started = Instant::now();
        let accepted = self.app.deliver(self.delivery(), None).await;
        accepted.expect("accepted");
        let mut function_time = started.elapsed();
        let mut turns = 0_u32;
        let job = loop {
            let started = Instant::now();
            let deadline = self.clock.now() + Duration::from_secs(20);
            let driven = self.app.run_turn(&[], Some(deadline)).await;
            let driven = driven.expect("a turn");
            function_time += started.elapsed();
            turns += 1;
            let outcome = driven.into_iter().next().expect("a due job").outcome;
            let job = outcome.expect("driven").expect("a job");
            let Some(due) = job.due(self.clock.now()) else {
                break job;
            };
            // SQS or the timer of `serve` waits in production, without function time.
            let wait = due.duration_since(self.clock.now());
            let wait = Duration::try_from(wait).unwrap_or_default();
            self.clock.advance(wait + Duration::from_millis(1));
        };
        DrivenJob {
            job,
            turns,
            function_time,
            simulated_time: self.clock.now().duration_since(accepted_at),
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let world = BenchmarkWorld::start().await;
    let DrivenJob {
        job,
        turns,
        function_time,
        simulated_time,
    } = world.run_job().await;
    let mut report = bench::report::BenchmarkReport::new("a custom-view job of ten minutes");
    report.requirement(
        "status",
        job.status().as_str(),
        "succeeded or partially_succeeded",
        matches!(
            job.status(),
            JobStatus::Succeeded | JobStatus::PartiallySucceeded
        ),
    );
    report.requirement(
        "simulated time",
        format!("{} s", simulated_time.as_secs()),
        "ten minutes",
        simulated_time.as_secs() >= 600,
    );
    report.result("turns", turns);
    report.result("polls", job.calls[0].polls);
    report.result("callbacks", world.receiver.all().len());
    report.requirement(
        "total function time",
        format!("{function_time:.1?}"),
        "under 1 s",
        function_time < Duration::from_secs(1),
    );
    report.exit_code()
}
