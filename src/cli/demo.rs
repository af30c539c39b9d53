//! `masshook demo`: runs three scenarios over real HTTP on loopback ports, with a simulated Zoho.

mod checks;
mod progress;
mod scenarios;
mod servers;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use secrecy::SecretString;
use serde_json::Value;
use webhook_verify::scheme::Scheme;
use webhook_verify::verify::{OutgoingWebhook, sign};

use self::checks::Checks;
use self::progress::show_progress;
use self::scenarios::Scenario;
use self::servers::DemoServers;
use super::terminal::{ExitStatus, print_error, print_line};
use super::text::count_of;
use crate::clock::{Clock, SystemClock};
use crate::job::JobId;
use crate::plan::{PlanLimits, PlanPreview};
use crate::update::UpdateRequest;

/// How long to wait for a callback after the job has finished.
const CALLBACK_TIMEOUT: Duration = Duration::from_secs(10);

/// Runs the command.
pub(super) async fn run() -> ExitStatus {
    match DemoServers::start().await {
        Ok(servers) => {
            let checks = Checks::default();
            Demo { servers, checks }.run().await
        }
        Err(error) => {
            print_error(&format!("cannot start the demo: {error}"));
            ExitStatus::UsageError
        }
    }
}

/// A run of the demo.
struct Demo {
    servers: DemoServers,
    checks: Checks,
}

impl Demo {
    async fn run(mut self) -> ExitStatus {
        print_line(
            "masshook demo: three webhooks, one simulated Zoho CRM. All traffic stays on this machine.",
        );
        let scenarios = scenarios::all(&self.servers.seeded);
        for (index, scenario) in scenarios.iter().enumerate() {
            print_line(&format!("\n{}. {}", index + 1, scenario.title));
            if let Err(error) = self.run_scenario(scenario).await {
                self.checks.fail(format!("{}: {error}", scenario.title));
            }
        }
        let records = scenarios.iter().map(|scenario| scenario.records).sum();
        self.print_summary(records).await;
        for failure in self.checks.failures() {
            print_error(&format!("FAILED: {failure}"));
        }
        self.servers.stop().await;
        ExitStatus::from_success(self.checks.failures().is_empty())
    }

    async fn run_scenario(&mut self, scenario: &Scenario) -> Result<(), String> {
        let body = Bytes::from(scenario.body.to_string());
        let signature = sign_delivery(scenario, &body)?;
        let header_names: Vec<&str> = signature.keys().map(HeaderName::as_str).collect();
        print_field(
            "delivery",
            &format!(
                "POST /hooks/{}, {} bytes, signature in {}",
                scenario.route,
                body.len(),
                header_names.join(", ")
            ),
        );
        print_plan(scenario)?;
        self.show_records_before(scenario).await?;
        let job_id = JobId::derive(scenario.route, scenario.delivery_id, 1);
        self.deliver(scenario, body, signature, &job_id).await?;
        self.show_records_after(scenario).await?;
        self.receive_callback(scenario, &job_id).await
    }

    async fn show_records_before(&mut self, scenario: &Scenario) -> Result<(), String> {
        let module = scenario.module;
        for (field, id) in scenario.sample_fields() {
            let value = &self.servers.record(module, id).await?[field];
            let is_old = *value != scenario.update["fields"][field];
            self.checks.expect(is_old, || {
                format!("{field} of {module} {id} has a new value before the update")
            });
            print_field("before", &format!("{module} {id}: {field} is {value}"));
        }
        Ok(())
    }

    async fn show_records_after(&mut self, scenario: &Scenario) -> Result<(), String> {
        let module = scenario.module;
        for (field, id) in scenario.sample_fields() {
            let value = &self.servers.record(module, id).await?[field];
            let expected = &scenario.update["fields"][field];
            self.checks.expect(value == expected, || {
                format!("{field} of {module} {id} is {value}, expected {expected}")
            });
            print_field("after", &format!("{module} {id}: {field} is {value}"));
        }
        Ok(())
    }

    /// Sends the webhook, shows the job's progress and checks the finished job.
    async fn deliver(
        &mut self,
        scenario: &Scenario,
        body: Bytes,
        signature: HeaderMap,
        job_id: &JobId,
    ) -> Result<(), String> {
        let servers = &self.servers;
        let response = tokio::select! {
            response = servers.deliver(scenario.route, body, signature) => response,
            never = show_progress(|| servers.job(job_id)) => match never {},
        };
        let (status, document) = response?;
        let job = &document["jobs"][0];
        let checks = &mut self.checks;
        checks.expect(status == http::StatusCode::OK, || {
            format!("the webhook's response is {status}, expected 200: {document}")
        });
        checks.expect(job["id"] == job_id.as_str(), || {
            "the job's id is not derived from the delivery".to_owned()
        });
        checks.expect(job["status"] == scenario.status, || {
            let (status, expected) = (&job["status"], scenario.status);
            format!("the job's status is {status}, expected \"{expected}\"")
        });
        checks.expect(job["counts"]["total"] == scenario.records, || {
            let (total, expected) = (&job["counts"]["total"], scenario.records);
            format!("the job has {total} records, expected {expected}")
        });
        let status = job["status"].as_str().unwrap_or_default();
        print_field("job", &format!("{job_id} {status}"));
        print_field("counts", &counts_text(&job["counts"]));
        Ok(())
    }

    async fn receive_callback(
        &mut self,
        scenario: &Scenario,
        job_id: &JobId,
    ) -> Result<(), String> {
        let received = self.servers.receiver.next(CALLBACK_TIMEOUT).await;
        let callback = received.ok_or("no callback arrived")?;
        let event_type = format!("job.{}", scenario.status);
        let received_type = &callback.body["type"];
        let checks = &mut self.checks;
        checks.expect(callback.verified.is_ok(), || {
            format!(
                "the callback's signature is invalid: {:?}",
                callback.verified
            )
        });
        checks.expect(*received_type == event_type, || {
            format!("the callback's type is {received_type}, expected \"{event_type}\"")
        });
        checks.expect(callback.body["data"]["id"] == job_id.as_str(), || {
            "the callback is for another job".to_owned()
        });
        let signature = match callback.verified {
            Ok(()) => "signature verified",
            Err(_) => "INVALID SIGNATURE",
        };
        let received_type = received_type.as_str().unwrap_or_default();
        print_field(
            "callback",
            &format!("{received_type} {}, {signature}", callback.id),
        );
        Ok(())
    }

    async fn print_summary(&mut self, records: u64) {
        let stats = self.servers.stats().await.unwrap_or_default();
        let count = |kind: &str| stats[kind].as_u64().unwrap_or_default();
        let (updates, tokens) = (count("mass_update_post"), count("token"));
        let polls = count("mass_update_get");
        self.checks.expect(tokens == 1, || {
            format!("{tokens} access tokens were requested, expected 1")
        });
        self.checks.expect(updates == 5, || {
            format!("{updates} mass updates were sent, expected 5")
        });
        print_line(&format!(
            "\nTotal: {updates} mass updates, {polls} status polls and {tokens} token request, instead of {records} calls for single records."
        ));
        print_line(
            "Next: `masshook init` writes a config for your sender, and `masshook dev` runs it.",
        );
    }
}

/// The signature headers of a scenario's delivery.
fn sign_delivery(scenario: &Scenario, body: &Bytes) -> Result<HeaderMap, String> {
    let scheme = Scheme::preset(scenario.scheme).ok_or("no such preset scheme")?;
    let mut secrets = scenarios::SECRETS.iter();
    let secret = secrets.find(|(name, _)| *name == scenario.route);
    let secret = SecretString::from(secret.map(|(_, secret)| *secret).unwrap_or_default());
    let mut outgoing = OutgoingWebhook::new(scenario.delivery_id, body.clone());
    sign(&scheme, &[secret], SystemClock.now(), &mut outgoing)
        .map_err(|error| error.to_string())?;
    Ok(outgoing.headers)
}

fn print_plan(scenario: &Scenario) -> Result<(), String> {
    let update =
        UpdateRequest::parse(&scenario.update).map_err(|problems| format!("{problems:?}"))?;
    let plan = PlanPreview::of(&update, &PlanLimits::ZOHO).to_string();
    let (summary, calls) = plan.split_once('\n').unwrap_or((&plan, ""));
    print_field("plan", summary);
    print_line(calls);
    Ok(())
}

fn print_field(label: &str, text: &str) {
    print_line(&format!("   {label:<9} {text}"));
}

fn counts_text(counts: &Value) -> String {
    let count = |key: &str| counts[key].as_u64().unwrap_or_default();
    format!(
        "{}: {} updated, {} failed, {} pending",
        count_of(count("total"), "record"),
        count("updated"),
        count("failed"),
        count("pending")
    )
}
