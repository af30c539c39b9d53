//! `masshook demo`: the whole job as a story. Real HTTP on loopback ports, a simulated Zoho, nothing leaves the machine.

mod receiver;
mod stories;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::Request;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use indicatif::{ProgressBar, ProgressStyle};
use secrecy::SecretString;
use serde_json::Value;
use tokio::net::TcpListener;
use webhook_verify::scheme::Scheme;
use webhook_verify::verify::{Outgoing, sign};

use self::receiver::Receiver;
use self::stories::{Story, World};
use super::{Verdict, complain, say};
use crate::api::router;
use crate::app::{App, Edges};
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Programs};
use crate::engine::ExecutionMode;
use crate::http::{Cap, Http, HttpSettings};
use crate::job::JobId;
use crate::job::sqlite::SqliteStore;
use crate::plan::{Limits, Outlook};
use crate::secrets::{Missing, SecretStore};
use crate::update::UpdateRequest;
use zoho_simulator::{Settings, Simulator};

/// The bearer key of the demo's `/jobs`.
const API_KEY: &str = "demo-api-key";

/// The key that the demo's callbacks are signed with.
const CALLBACK_SECRET: &str = "whsec_ZGVtbyBvbmx5OiBub3QgYSBzZWNyZXQgYXQgYWxs";

/// How often the progress bar looks at the job.
const LOOK: Duration = Duration::from_millis(60);

/// How long a callback may take to arrive after the job's end.
const CALLBACK_PATIENCE: Duration = Duration::from_secs(10);

/// Runs the command.
pub(super) async fn run() -> Verdict {
    match Demo::start().await {
        Ok(demo) => demo.tell().await,
        Err(error) => {
            complain(&format!("the demo cannot start: {error}"));
            Verdict::Unusable
        }
    }
}

/// Everything that runs while the story is told.
struct Demo {
    simulator: Simulator,
    receiver: Receiver,
    /// Where masshook's own HTTP API listens.
    api: SocketAddr,
    http: Http,
    world: World,
    /// What went wrong; empty at a good end.
    mistakes: Vec<String>,
}

/// The demo's secrets, in the place of Secrets Manager.
#[derive(Debug)]
struct DemoSecrets(BTreeMap<&'static str, String>);

#[async_trait]
impl SecretStore for DemoSecrets {
    async fn get(&self, name: &str) -> Result<SecretString, Missing> {
        let found = self
            .0
            .get(name)
            .map(|secret| SecretString::from(secret.clone()));
        found.ok_or_else(|| Missing {
            why: "it is none of the demo's".to_owned(),
            transient: false,
        })
    }
}

impl Demo {
    async fn start() -> io::Result<Self> {
        let settings = Settings {
            latency: Duration::from_millis(150),
            job_duration: Duration::from_secs(4),
            ..Settings::default()
        };
        let simulator = Simulator::start(settings).await?;
        let receiver = Receiver::start(CALLBACK_SECRET).await?;
        let announcement = simulator.announcement();
        let world = World::of(&announcement).map_err(io::Error::other)?;
        let config = stories::config(simulator.url(), receiver.url());
        let config = Config::parse(&config, Programs::Compile)
            .map_err(|problems| io::Error::other(format!("{problems:?}")))?;
        let mut secrets = BTreeMap::from([
            ("zoho", announcement["credentials"].to_string()),
            ("api-key", API_KEY.to_owned()),
            ("callback", CALLBACK_SECRET.to_owned()),
        ]);
        secrets.extend(stories::SECRETS.map(|(name, secret)| (name, secret.to_owned())));
        let app = App::new(
            config,
            Edges {
                clock: Arc::new(SystemClock),
                store: Arc::new(SqliteStore::in_memory()),
                secrets_manager: Arc::new(DemoSecrets(secrets)),
                mode: ExecutionMode::Inline,
                runtime_api: None,
                sns_endpoint: None,
            },
        );
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let api = listener.local_addr()?;
        tokio::spawn(axum::serve(listener, router(Arc::new(app))).into_future());
        let http = Http::new(HttpSettings {
            allow_loopback: true,
            request_timeout: Duration::from_secs(120),
            ..HttpSettings::default()
        });
        Ok(Self {
            simulator,
            receiver,
            api,
            http,
            world,
            mistakes: Vec::new(),
        })
    }

    async fn tell(mut self) -> Verdict {
        say("masshook demo: three webhooks, one simulated Zoho CRM. Nothing leaves this machine.");
        let stories = stories::all(&self.world);
        for (number, story) in stories.iter().enumerate() {
            say(&format!("\n{}. {}", number + 1, story.title));
            if let Err(error) = self.tell_one(story).await {
                self.mistakes.push(format!("{}: {error}", story.title));
            }
        }
        self.sum_up(stories.iter().map(|story| story.records).sum())
            .await;
        for mistake in &self.mistakes {
            complain(&format!("NOT AS IT SHOULD BE: {mistake}"));
        }
        self.simulator.stop().await;
        if self.mistakes.is_empty() {
            Verdict::Done
        } else {
            Verdict::Negative
        }
    }

    async fn tell_one(&mut self, story: &Story) -> Result<(), String> {
        let scheme = Scheme::preset(story.scheme).ok_or("its scheme is no preset")?;
        let secret = stories::SECRETS
            .iter()
            .find(|(name, _)| *name == story.route);
        let secret = SecretString::from(secret.map(|(_, secret)| *secret).unwrap_or_default());
        let body = Bytes::from(story.body.to_string());
        let mut outgoing = Outgoing::new(story.delivery_id, body.clone());
        sign(&scheme, &[secret], SystemClock.now(), &mut outgoing)
            .map_err(|error| error.to_string())?;
        let signature = outgoing.headers;
        let names: Vec<&str> = signature.keys().map(http::HeaderName::as_str).collect();
        line(
            "delivery",
            &format!(
                "POST /hooks/{}, {} bytes, signed in {}",
                story.route,
                body.len(),
                names.join(", ")
            ),
        );

        let update =
            UpdateRequest::parse(&story.update).map_err(|problems| format!("{problems:?}"))?;
        let plan = Outlook::of(&update, &Limits::ZOHO).to_string();
        let (first, calls) = plan.split_once('\n').unwrap_or((&plan, ""));
        line("plan", first);
        say(calls);
        for (field, id) in story.looked_at() {
            let value = &self.record(story.module, id).await?[field];
            let differs = *value != story.update["fields"][field];
            self.expect(
                differs,
                &format!("{} {id} does not have its new {field} yet", story.module),
            );
            line(
                "before",
                &format!("{} {id}: {field} is {value}", story.module),
            );
        }

        let mut request = Request::post(format!("http://{}/hooks/{}", self.api, story.route))
            .header(CONTENT_TYPE, "application/json")
            .body(body)
            .map_err(|error| error.to_string())?;
        request.headers_mut().extend(signature);
        let job_id = JobId::derive(story.route, story.delivery_id, 1);
        let answer = {
            let watching = self.watch(&job_id);
            let sending = self.http.send(request, Cap::Refuse(1 << 20));
            tokio::pin!(sending);
            tokio::select! {
                answer = &mut sending => answer,
                never = watching => match never {},
            }
        };
        let answer = answer.map_err(|error| error.to_string())?;
        let status = answer.status();
        let answer: Value =
            serde_json::from_slice(answer.body()).map_err(|error| error.to_string())?;
        let job = &answer["jobs"][0];
        self.expect(
            status == http::StatusCode::OK,
            &format!("the webhook is answered 200, not {status}: {answer}"),
        );
        self.expect(
            job["id"] == job_id.as_str(),
            "the job's id follows from the delivery",
        );
        self.expect(
            job["status"] == story.ends,
            &format!("the job ends `{}`, not {}", story.ends, job["status"]),
        );
        self.expect(
            job["counts"]["total"] == story.records,
            &format!("the job is about {} records", story.records),
        );
        line(
            "job",
            &format!("{} {}", job_id, job["status"].as_str().unwrap_or_default()),
        );
        line("counts", &counts(&job["counts"]));
        for (field, id) in story.looked_at() {
            let value = &self.record(story.module, id).await?[field];
            let wanted = &story.update["fields"][field];
            self.expect(
                value == wanted,
                &format!("{} {id} has {field} {wanted}, not {value}", story.module),
            );
            line(
                "after",
                &format!("{} {id}: {field} is {value}", story.module),
            );
        }
        self.callback(job_id.as_str(), story).await
    }

    async fn callback(&mut self, job_id: &str, story: &Story) -> Result<(), String> {
        let arriving = self.receiver.next(CALLBACK_PATIENCE).await;
        let callback = arriving.ok_or("no callback arrived")?;
        let data = &callback.body["data"];
        let kind = format!("job.{}", story.ends);
        self.expect(
            callback.verified.is_ok(),
            &format!("the callback's signature verifies: {:?}", callback.verified),
        );
        self.expect(
            callback.body["type"] == kind,
            &format!("the callback says {kind}"),
        );
        self.expect(data["id"] == job_id, "the callback is about this job");
        let verdict = if callback.verified.is_ok() {
            "signature verified"
        } else {
            "SIGNATURE WRONG"
        };
        line(
            "callback",
            &format!(
                "{} {}, {verdict}",
                callback.body["type"].as_str().unwrap_or_default(),
                callback.id
            ),
        );
        Ok(())
    }

    /// Shows the job's progress for as long as it is polled.
    async fn watch(&self, job: &JobId) -> std::convert::Infallible {
        let bar = ProgressBar::no_length().with_style(
            ProgressStyle::with_template("   {prefix:<9} {bar:32} {pos}/{len} records  {msg}")
                .unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        bar.set_prefix("Zoho");
        let _clears_itself = Clears(bar.clone());
        loop {
            tokio::time::sleep(LOOK).await;
            let Ok(job) = self.job(job).await else {
                continue;
            };
            let count = |key: &str| job["counts"][key].as_u64().unwrap_or_default();
            bar.set_length(count("total"));
            bar.set_position(count("updated") + count("failed"));
            bar.set_message(job["status"].as_str().unwrap_or_default().to_owned());
        }
    }

    async fn job(&self, id: &JobId) -> Result<Value, String> {
        let request = Request::get(format!("http://{}/jobs/{id}", self.api))
            .header(AUTHORIZATION, format!("Bearer {API_KEY}"));
        self.fetch(request).await
    }

    async fn record(&self, module: &str, id: &str) -> Result<Value, String> {
        self.fetch(Request::get(format!(
            "{}/_sim/records/{module}/{id}",
            self.simulator.url()
        )))
        .await
    }

    async fn fetch(&self, request: http::request::Builder) -> Result<Value, String> {
        let request = request
            .body(Bytes::new())
            .map_err(|error| error.to_string())?;
        let answer = self
            .http
            .send(request, Cap::Refuse(1 << 20))
            .await
            .map_err(|error| error.to_string())?;
        serde_json::from_slice(answer.body()).map_err(|error| error.to_string())
    }

    fn expect(&mut self, holds: bool, what: &str) {
        if !holds {
            self.mistakes.push(what.to_owned());
        }
    }

    async fn sum_up(&mut self, records: u64) {
        let stats = self
            .fetch(Request::get(format!("{}/_sim/stats", self.simulator.url())))
            .await
            .unwrap_or_default();
        let of = |kind: &str| stats[kind].as_u64().unwrap_or_default();
        let (posts, tokens, polls) = (of("mass_update_post"), of("token"), of("mass_update_get"));
        self.expect(tokens == 1, &format!("one token serves all, not {tokens}"));
        self.expect(
            posts == 5,
            &format!("five mass updates are sent, not {posts}"),
        );
        say(&format!(
            "\nAll in all Zoho saw {posts} mass updates, {polls} status polls and {tokens} token request; one call for each record would have been {records}."
        ));
        say(
            "Next: `masshook preview --config events/masshook.yaml events/typeform-http-api-v2.json`, and README.md.",
        );
    }
}

/// Takes the progress bar off the screen, also when its watching is cut short.
struct Clears(ProgressBar);

impl Drop for Clears {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn line(label: &str, text: &str) {
    say(&format!("   {label:<9} {text}"));
}

fn counts(counts: &Value) -> String {
    let of = |key: &str| counts[key].as_u64().unwrap_or_default();
    format!(
        "{} records: {} updated, {} failed, {} pending",
        of("total"),
        of("updated"),
        of("failed"),
        of("pending")
    )
}
