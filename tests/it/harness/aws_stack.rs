//! The stack of template.yaml on this machine: both functions, the table, the queue and the secrets, with a simulated
//! Zoho and a receiver of callbacks.

use std::ops::Deref;
use std::process::Command;
use std::time::Duration;

use aws_sdk_ssm::types::ParameterType;
use masshook::clock::{Clock, SystemClock};
use serde_json::{Value, json};
use zoho_simulator::Settings;

use super::answer::Answer;
use super::builder::{API_KEY, SENDER_SECRET};
use super::moto::Moto;
use super::policy::PolicyProxy;
use super::poller::Poller;
use super::receiver::{CALLBACK_SECRET, Receiver};
use super::request::sign;
use super::rie::{Rie, RieOptions};
use super::tools::sample_event;
use super::zoho::SimulatedZoho;

/// How often the worker is invoked, or polled for, before a test fails.
pub(crate) const PATIENCE: usize = 60;

/// The expression with which the route `form` finds the ids of leads.
pub(crate) const MAP: &str = ".ids";

/// A running stack. It dereferences to the simulated Zoho.
pub(crate) struct Stack {
    pub(crate) zoho: SimulatedZoho,
    pub(crate) inbound: Rie,
    pub(crate) worker: Rie,
    pub(crate) queue: Poller,
    pub(crate) receiver: Receiver,
    /// The environment of the command line, and of both functions except for the endpoints.
    env: Vec<(String, String)>,
    /// The endpoints of the functions, which refuse what template.yaml does not permit.
    pub(crate) inbound_policy: PolicyProxy,
    pub(crate) worker_policy: PolicyProxy,
    pub(crate) folder: tempfile::TempDir,
}

impl Stack {
    pub(crate) async fn start(name: &str) -> Self {
        Self::with(name, &[], true).await
    }

    /// Starts a stack whose first callbacks are answered with `callback_statuses`. Without wake-ups, its functions are
    /// configured with a queue that does not exist.
    pub(crate) async fn with(name: &str, callback_statuses: &[u16], has_wake_ups: bool) -> Self {
        Self::with_org(name, callback_statuses, has_wake_ups, Settings::default()).await
    }

    /// Starts a stack before an org with these settings.
    pub(crate) async fn with_org(
        name: &str,
        callback_statuses: &[u16],
        has_wake_ups: bool,
        org: Settings,
    ) -> Self {
        let moto = Moto::shared();
        moto.create_table(name).await;
        let queue = Poller::start(moto, name).await;
        let form = format!("{name}/form");
        moto.create_secret(&form, SENDER_SECRET).await;
        let key = format!("/masshook/{name}/api-key");
        moto.create_parameter(&key, ParameterType::SecureString, API_KEY)
            .await;
        let zoho = SimulatedZoho::start(Settings {
            job_duration: Duration::from_secs(2),
            ..org
        });
        let zoho = zoho.await;
        let receiver = Receiver::start(callback_statuses).await;
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("masshook.yaml");
        let text = config_text(name, zoho.simulator.url(), &receiver.url("/zoho"), MAP);
        std::fs::write(&config, text).expect("written");
        let queue_url = match has_wake_ups {
            true => queue.url.clone(),
            false => format!("{}-gone", queue.url),
        };
        let own = [
            ("MASSHOOK_CONFIG", config.display().to_string()),
            ("MASSHOOK_TABLE", name.to_owned()),
            ("MASSHOOK_QUEUE_URL", queue_url),
            ("MASSHOOK_METRICS_NAMESPACE", format!("masshook/{name}")),
        ];
        let mut env = moto.environment();
        env.extend(own.map(|(key, value)| (key.to_owned(), value)));
        let inbound_policy = PolicyProxy::start("InboundFunction").await;
        let worker_policy = PolicyProxy::start("WorkerFunction").await;
        Self {
            inbound: function(with_endpoint(&env, &inbound_policy)),
            worker: function(worker_env(&with_endpoint(&env, &worker_policy), &zoho)),
            queue,
            zoho,
            receiver,
            env,
            inbound_policy,
            worker_policy,
            folder,
        }
    }

    /// Starts another inbound function with changes to its environment.
    pub(crate) fn another_inbound(&self, changes: &[(&str, &str)]) -> Rie {
        let mut env = with_endpoint(&self.env, &self.inbound_policy);
        env.extend(changes.iter().map(|(key, value)| owned(key, value)));
        function(env)
    }

    /// Starts another worker with changes to its environment.
    pub(crate) fn another_worker(&self, changes: &[(&str, &str)]) -> Rie {
        let mut env = worker_env(&with_endpoint(&self.env, &self.worker_policy), &self.zoho);
        env.extend(changes.iter().map(|(key, value)| owned(key, value)));
        function(env)
    }

    /// Sends a signed form through the inbound function.
    pub(crate) async fn form(&self, body: &Value) -> Answer {
        let body = body.to_string();
        let headers = sign(
            "typeform",
            SENDER_SECRET,
            SystemClock.now(),
            body.as_bytes(),
        );
        let mut event = sample_event("typeform-http-api-v2.json");
        for (name, value) in &headers {
            event["headers"][name.as_str()] = json!(value.to_str().expect("text"));
        }
        self.http(event, "/hooks/form", Some(body)).await
    }

    /// Sends a custom view to the route that updates it.
    pub(crate) async fn view(&self, name: &str) -> Answer {
        let view = &self.zoho()["views"]["Leads"][name]["id"];
        let body = json!({ "view": view }).to_string();
        self.http(
            sample_event("typeform-http-api-v2.json"),
            "/hooks/view",
            Some(body),
        )
        .await
    }

    /// Returns a job as the inbound function shows it.
    pub(crate) async fn job(&self, id: &str) -> Value {
        let answer = self.get_job(id).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    }

    /// Requests a job from the inbound function.
    pub(crate) async fn get_job(&self, id: &str) -> Answer {
        let mut event = sample_event("health-http-api-v2.json");
        event["headers"]["authorization"] = json!(format!("Bearer {API_KEY}"));
        self.http(event, &format!("/jobs/{id}"), None).await
    }

    /// Posts an update request to `/jobs`.
    pub(crate) async fn update(&self, request: &Value) -> Answer {
        let mut event = sample_event("typeform-http-api-v2.json");
        event["headers"]["authorization"] = json!(format!("Bearer {API_KEY}"));
        self.http(event, "/jobs", Some(request.to_string())).await
    }

    /// Invokes the inbound function with the event of an HTTP request, after setting path and body.
    pub(crate) async fn http(&self, mut event: Value, path: &str, body: Option<String>) -> Answer {
        event["rawPath"] = json!(path);
        event["requestContext"]["http"]["path"] = json!(path);
        if let Some(body) = body {
            event["body"] = json!(body);
        }
        let answer = self.inbound.invoke(&event).await;
        assert!(
            answer["statusCode"].is_u64(),
            "{answer:#}\n{}",
            self.inbound.logs()
        );
        Answer::from_lambda(&answer)
    }

    /// Whether a job has finished.
    pub(crate) async fn is_final(&self, id: &str) -> bool {
        let status = self.job(id).await["status"].clone();
        !["queued", "running"].contains(&status.as_str().unwrap_or_default())
    }

    /// Lets the queue invoke the worker until a job has finished; returns the job.
    pub(crate) async fn finish(&mut self, id: &str) -> Value {
        for _ in 0..PATIENCE {
            self.queue.poll(&self.worker, 1).await;
            if self.is_final(id).await {
                return self.job(id).await;
            }
        }
        panic!(
            "{id} did not finish:\n{:#}\n{}",
            self.job(id).await,
            self.worker.logs()
        );
    }

    /// Whether a lead was updated.
    pub(crate) async fn is_updated(&self, id: &str) -> bool {
        self.record("Leads", id).await["Lead_Source"] == "Webinar"
    }

    /// Runs a command over the stack's table and queue; returns its JSON document.
    pub(crate) fn command(&self, arguments: &[&str]) -> Value {
        let (code, document) = self.try_command(arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {document}");
        document
    }

    /// Runs a command like [`Self::command`], which may fail; returns its exit code too.
    pub(crate) fn try_command(&self, arguments: &[&str]) -> (Option<i32>, Value) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_masshook"));
        command.args(arguments).arg("--json");
        command.env_clear().envs(self.env.iter().cloned());
        let output = command.output().expect("it runs");
        let stdout = String::from_utf8_lossy(&output.stdout);
        let stderr = String::from_utf8_lossy(&output.stderr);
        let document = serde_json::from_str(&stdout);
        let document =
            document.unwrap_or_else(|error| panic!("{arguments:?}: {error}: {stdout}\n{stderr}"));
        (output.status.code(), document)
    }
}

impl Deref for Stack {
    type Target = SimulatedZoho;

    fn deref(&self) -> &SimulatedZoho {
        &self.zoho
    }
}

fn owned(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

/// The environment with the endpoint of a function.
fn with_endpoint(env: &[(String, String)], policy: &PolicyProxy) -> Vec<(String, String)> {
    let mut env = env.to_vec();
    env.retain(|(key, _)| key != "AWS_ENDPOINT_URL");
    env.push(owned("AWS_ENDPOINT_URL", &policy.url));
    env
}

/// moto knows no permissions for secrets, so the secrets that only the worker may read are in the worker's environment.
fn worker_env(env: &[(String, String)], zoho: &SimulatedZoho) -> Vec<(String, String)> {
    let credentials = zoho.credentials().to_string();
    let mut env = env.to_vec();
    env.push(owned("ZOHO_CREDENTIALS", &credentials));
    env.push(owned("CALLBACK_SECRET", CALLBACK_SECRET));
    env
}

fn function(env: Vec<(String, String)>) -> Rie {
    Rie::start(&RieOptions {
        env,
        ..RieOptions::default()
    })
}

/// Returns a config; `ids` is the expression with which the route `form` finds the ids of leads.
pub(crate) fn config_text(name: &str, zoho: &str, callback: &str, ids: &str) -> String {
    format!(
        r#"
connections:
  default: {{ credentials: "env:ZOHO_CREDENTIALS", accounts_url: "{zoho}", api_url: "{zoho}" }}
api: {{ key: "ssm:/masshook/{name}/api-key" }}
callbacks: {{ signing_secret: "env:CALLBACK_SECRET", allow_loopback: true }}
routes:
  form:
    verify: {{ scheme: typeform, secret: "secretsmanager:{name}/form" }}
    when: .kind != "test"
    delivery_id: .event
    map: '{{module: "Leads", fields: {{Lead_Source: "Webinar"}}, ids: ({ids})}} + if .callback then {{callback_url: .callback}} else {{}} end'
    callback_url: "{callback}"
  view:
    verify: {{ scheme: none }}
    map: '{{module: "Leads", fields: {{Lead_Status: "Contacted"}}, cvid: .view}}'
    callback_url: "{callback}"
  bus:
    on: eventbridge
    when: .source == "com.example.orders"
    map: '{{module: "Leads", fields: {{Lead_Source: "Webinar"}}, ids: .detail.ids}}'
  person:
    verify: {{ scheme: none }}
    map: '{{module: "Leads", fields: {{Lead_Source: "Webinar"}}, match: {{field: "Email", values: [.email]}}}}'
"#
    )
}
