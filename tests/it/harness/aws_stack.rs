//! What the template deploys, on this machine: both functions, the table, the queue and the secrets, with a simulated Zoho
//! and a receiver of callbacks.

use std::process::Command;
use std::time::Duration;

use aws_sdk_ssm::types::ParameterType;
use masshook::clock::{Clock, SystemClock};
use serde_json::{Value, json};
use standardwebhooks::Webhook;
use webhook_verify::scheme::Scheme;
use webhook_verify::verify::{OutgoingWebhook, sign};
use zoho_simulator::{Settings, Simulator};

use crate::harness::moto::Moto;
use crate::harness::plain;
use crate::harness::poller::Poller;
use crate::harness::receiver::{Received, Receiver};
use crate::harness::rie::{Rie, RieOptions};
use crate::harness::tools::manifest;
use crate::harness::world::{API_KEY, CALLBACK_SECRET, SENDER_SECRET};

/// How often the worker is invoked, or looked for work for, before a test fails.
pub(crate) const PATIENCE: usize = 60;

/// How the route `form` finds the ids of leads.
pub(crate) const MAP: &str = ".ids";

/// What the template deploys.
pub(crate) struct Stack {
    pub(crate) inbound: Rie,
    pub(crate) worker: Rie,
    pub(crate) queue: Poller,
    pub(crate) simulator: Simulator,
    pub(crate) receiver: Receiver,
    /// What both functions' environments have.
    env: Vec<(String, String)>,
    pub(crate) folder: tempfile::TempDir,
}

/// An answer of the HTTP API.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u64,
    pub(crate) retry_after: Option<u64>,
    pub(crate) body: Value,
}

impl Answer {
    /// The id and the status of its only job.
    pub(crate) fn job(&self) -> (String, &str) {
        let jobs = self.body["jobs"].as_array();
        assert_eq!(jobs.map(Vec::len), Some(1), "{self:?}");
        let job = &self.body["jobs"][0];
        let text = |key: &str| job[key].as_str().unwrap_or_default();
        (text("id").to_owned(), text("status"))
    }
}

/// An event file.
pub(crate) fn event(name: &str) -> Value {
    let text = std::fs::read_to_string(manifest("events").join(name)).expect("an event");
    serde_json::from_str(&text).expect("JSON")
}

impl Stack {
    pub(crate) async fn start(name: &str) -> Self {
        Self::with(name, &[], true).await
    }

    /// A stack whose callbacks are answered by `script`; without wake-ups, its functions are told of a queue that is not
    /// there.
    pub(crate) async fn with(name: &str, script: &[u16], wakes: bool) -> Self {
        let moto = Moto::shared();
        moto.create_table(name).await;
        let queue = Poller::start(moto, name).await;
        let form = format!("{name}/form");
        moto.create_secret(&form, SENDER_SECRET).await;
        let key = format!("/masshook/{name}/api-key");
        moto.create_parameter(&key, ParameterType::SecureString, API_KEY)
            .await;
        let simulator = Simulator::start(Settings {
            job_duration: Duration::from_secs(2),
            ..Settings::default()
        });
        let simulator = simulator.await.expect("a simulator");
        let receiver = Receiver::start(script).await;
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("masshook.yaml");
        let text = config_text(name, simulator.url(), &receiver.url("/zoho"), MAP);
        std::fs::write(&config, text).expect("written");
        let queue_url = match wakes {
            true => queue.url.clone(),
            false => format!("{}-gone", queue.url),
        };
        let own = [
            ("MASSHOOK_CONFIG", config.display().to_string()),
            ("MASSHOOK_TABLE", name.to_owned()),
            ("MASSHOOK_QUEUE_URL", queue_url),
        ];
        let mut env = moto.environment();
        env.extend(own.map(|(key, value)| (key.to_owned(), value)));
        Self {
            inbound: function(env.clone()),
            worker: function(worker_env(&env, &simulator)),
            queue,
            simulator,
            receiver,
            env,
            folder,
        }
    }

    /// An inbound function whose environment differs.
    pub(crate) fn another_inbound(&self, changes: &[(&str, &str)]) -> Rie {
        let mut env = self.env.clone();
        env.extend(changes.iter().map(|(key, value)| owned(key, value)));
        function(env)
    }

    /// A worker whose environment differs.
    pub(crate) fn another_worker(&self, changes: &[(&str, &str)]) -> Rie {
        let mut env = worker_env(&self.env, &self.simulator);
        env.extend(changes.iter().map(|(key, value)| owned(key, value)));
        function(env)
    }

    /// Sends a signed form through the inbound function.
    pub(crate) async fn form(&self, body: &Value) -> Answer {
        let body = body.to_string();
        let scheme = Scheme::preset("typeform").expect("a preset");
        let mut outgoing = OutgoingWebhook::new("", body.as_bytes());
        let secrets = [SENDER_SECRET.to_owned().into()];
        sign(&scheme, &secrets, SystemClock.now(), &mut outgoing).expect("signed");
        let mut event = event("typeform-http-api-v2.json");
        for (name, value) in &outgoing.headers {
            event["headers"][name.as_str()] = json!(value.to_str().expect("text"));
        }
        self.http(event, "/hooks/form", Some(body)).await
    }

    /// Sends a custom view to the route that updates it.
    pub(crate) async fn view(&self, name: &str) -> Answer {
        let view = &self.simulator.announcement()["world"]["views"]["Leads"][name]["id"];
        let body = json!({ "view": view }).to_string();
        self.http(
            event("typeform-http-api-v2.json"),
            "/hooks/view",
            Some(body),
        )
        .await
    }

    /// The job as the inbound function shows it.
    pub(crate) async fn job(&self, id: &str) -> Value {
        let answer = self.look(id).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    }

    pub(crate) async fn look(&self, id: &str) -> Answer {
        let mut event = event("health-http-api-v2.json");
        event["headers"]["authorization"] = json!(format!("Bearer {API_KEY}"));
        self.http(event, &format!("/jobs/{id}"), None).await
    }

    /// Posts an update request to `/jobs`.
    pub(crate) async fn update(&self, request: &Value) -> Answer {
        let mut event = event("typeform-http-api-v2.json");
        event["headers"]["authorization"] = json!(format!("Bearer {API_KEY}"));
        self.http(event, "/jobs", Some(request.to_string())).await
    }

    pub(crate) async fn http(&self, mut event: Value, path: &str, body: Option<String>) -> Answer {
        event["rawPath"] = json!(path);
        event["requestContext"]["http"]["path"] = json!(path);
        if let Some(body) = body {
            event["body"] = json!(body);
        }
        let answer = self.inbound.invoke(&event).await;
        let body = answer["body"]
            .as_str()
            .and_then(|body| serde_json::from_str(body).ok());
        let retry_after = answer["headers"]["retry-after"].as_str();
        Answer {
            status: answer["statusCode"].as_u64().unwrap_or_default(),
            retry_after: retry_after.and_then(|seconds| seconds.parse().ok()),
            body: body.unwrap_or_else(|| panic!("{answer:#}\n{}", self.inbound.logs())),
        }
    }

    pub(crate) async fn is_final(&self, id: &str) -> bool {
        let status = self.job(id).await["status"].clone();
        !["queued", "running"].contains(&status.as_str().unwrap_or_default())
    }

    /// Lets the queue invoke the worker until a job has ended; answers with the job.
    pub(crate) async fn finish(&mut self, id: &str) -> Value {
        for _ in 0..PATIENCE {
            self.queue.poll(&self.worker, 1).await;
            if self.is_final(id).await {
                return self.job(id).await;
            }
        }
        panic!(
            "{id} did not end:\n{:#}\n{}",
            self.job(id).await,
            self.worker.logs()
        );
    }

    /// Whether a lead was updated.
    pub(crate) async fn is_updated(&self, id: &str) -> bool {
        let url = format!("{}/_sim/records/Leads/{id}", self.simulator.url());
        call("GET", &url, None).await["Lead_Source"] == "Webinar"
    }

    pub(crate) async fn count(&self, kind: &str) -> Value {
        let url = format!("{}/_sim/stats", self.simulator.url());
        call("GET", &url, None).await[kind].clone()
    }

    /// The id of the `place`-th lead.
    pub(crate) fn lead(&self, place: u64) -> String {
        let leads = &self.simulator.announcement()["world"]["modules"]["Leads"];
        let first: Option<u64> = leads["first_record_id"]
            .as_str()
            .and_then(|id| id.parse().ok());
        (first.expect("an id") + place).to_string()
    }

    /// Runs the command line over the stack's table and queue; answers with its JSON document.
    pub(crate) fn command(&self, arguments: &[&str]) -> Value {
        let mut command = Command::new(env!("CARGO_BIN_EXE_masshook"));
        command.args(arguments).arg("--json");
        command.env_clear().envs(self.env.iter().cloned());
        let output = command.output().expect("it runs");
        let shown = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {shown}\n{errors}");
        serde_json::from_str(&shown).unwrap_or_else(|error| panic!("{error}: {shown}\n{errors}"))
    }
}

fn owned(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

/// moto grants everything to everybody, so what only the worker may read is where only the worker has it.
fn worker_env(env: &[(String, String)], simulator: &Simulator) -> Vec<(String, String)> {
    let credentials = simulator.announcement()["credentials"].to_string();
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

pub(crate) async fn call(method: &str, url: &str, body: Option<&Value>) -> Value {
    let request = plain().request(method.parse().expect("a method"), url);
    let request = request.body(body.map(ToString::to_string).unwrap_or_default());
    let answer = request.send().await.expect("an answer");
    let text = answer.text().await.expect("a body");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The callback's JSON, once its signature is verified by the reference implementation.
pub(crate) fn verified(callback: &Received) -> Value {
    let reference = Webhook::new(CALLBACK_SECRET).expect("a secret");
    reference
        .verify(&callback.body, &callback.headers)
        .expect("the signature holds");
    serde_json::from_slice(&callback.body).expect("JSON")
}
