//! The real `masshook serve` as a process of its own, between a simulator and a callback receiver: started, stopped,
//! killed and started again over one data folder.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use standardwebhooks::Webhook;
use tempfile::TempDir;
use zoho_simulator::{Settings, Simulator};

use super::receiver::{Received, Receiver};

/// How long anything may take before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// How often what is waited for is looked at.
const GAP: Duration = Duration::from_millis(20);

/// The bearer key of `/jobs`.
const API_KEY: &str = "key-of-the-served-world";

/// What callbacks are signed with.
const CALLBACK_SECRET: &str = "whsec_dGhlIHNlcnZlZCB3b3JsZCdzIG93biBjYWxsYmFjayBrZXk=";

/// Everything around one data folder.
pub(crate) struct Served {
    pub(crate) simulator: Simulator,
    pub(crate) receiver: Receiver,
    /// The server's environment.
    pub(crate) environment: Vec<(String, String)>,
    program: PathBuf,
    folder: TempDir,
    port: u16,
    process: Option<Child>,
    client: reqwest::Client,
}

/// An answer over HTTP.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<String>,
    pub(crate) body: Value,
}

impl Served {
    /// A world whose server is not started yet. `program` takes masshook's command line.
    pub(crate) async fn new(
        program: &Path,
        script: &[u16],
        settings: Settings,
        config: impl FnOnce(String) -> String,
    ) -> Self {
        let simulator = Simulator::start(settings).await.expect("a simulator");
        let receiver = Receiver::start(script).await;
        let folder = tempfile::tempdir().expect("a folder");
        let secret = |name: &str, text: String| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("written");
            format!("file:{}", path.display())
        };
        let text = config(format!(
            r#"
connections:
  default:
    credentials: {zoho}
    accounts_url: {url}
    api_url: {url}
api: {{ key: {key} }}
callbacks: {{ signing_secret: {signing}, allow_loopback: true }}
limits: {{ max_body_bytes: 2000000, mapping_timeout_ms: 20000 }}
routes:
  form:
    verify: {{ scheme: none }}
    delivery_id: .event
    map: '.updates[]? // {{module: (.module // "Leads"), fields: (.fields // {{Lead_Source: "Webinar"}}), ids: .ids, cvid: .view, reference: .reference}} | with_entries(select(.value != null))'
    callback_url: {callback}
"#,
            zoho = secret(
                "zoho.json",
                simulator.announcement()["credentials"].to_string()
            ),
            key = secret("key", API_KEY.to_owned()),
            signing = secret("signing", CALLBACK_SECRET.to_owned()),
            url = simulator.url(),
            callback = receiver.url("/zoho"),
        ));
        std::fs::write(folder.path().join("masshook.yaml"), text).expect("written");
        Self {
            simulator,
            receiver,
            environment: Vec::new(),
            program: program.to_owned(),
            folder,
            port: free_port(),
            process: None,
            client: client(),
        }
    }

    /// The data folder.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The config file.
    pub(crate) fn config(&self) -> PathBuf {
        self.folder.path().join("masshook.yaml")
    }

    /// The number of the running process.
    pub(crate) fn pid(&self) -> u32 {
        self.process.as_ref().expect("a running server").id()
    }

    /// What the server wrote, over all its lives.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn log_file(&self) -> File {
        let path = self.folder.path().join("log");
        let file = OpenOptions::new().append(true).create(true).open(path);
        file.expect("the log")
    }

    /// The command that serves this world's folder.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg("serve")
            .arg("--config")
            .arg(self.config())
            .arg("--data")
            .arg(self.data())
            .args(["--listen", &format!("127.0.0.1:{}", self.port)])
            .args(arguments)
            .env_clear()
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(self.log_file())
            .stderr(self.log_file());
        command
    }

    /// Starts the server and waits until it answers, or has ended by itself.
    pub(crate) async fn start(&mut self, arguments: &[&str]) {
        assert!(self.process.is_none(), "it runs already");
        let child = self.command(arguments).spawn().expect("started");
        self.process = Some(child);
        let over = Instant::now() + PATIENCE;
        while self.client.get(self.url("/health")).send().await.is_err() {
            if self.ended().is_some() {
                return;
            }
            assert!(Instant::now() < over, "no answer:\n{}", self.log());
            tokio::time::sleep(GAP).await;
        }
    }

    #[cfg(feature = "failpoints")]
    /// How the process ended, if it did.
    pub(crate) fn try_end(&mut self) -> Option<ExitStatus> {
        let status = self.ended();
        if status.is_some() {
            self.process = None;
        }
        status
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        let process = self.process.as_mut().expect("a started server");
        process.try_wait().expect("a status")
    }

    /// Waits until the process ends by itself.
    pub(crate) async fn wait_for_end(&mut self) -> ExitStatus {
        let over = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.ended() {
                self.process = None;
                return status;
            }
            assert!(Instant::now() < over, "it lives on:\n{}", self.log());
            tokio::time::sleep(GAP).await;
        }
    }

    /// Sends the process a signal by its number.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args(["-s", name, &self.pid().to_string()])
            .status();
        assert!(sent.expect("kill").success());
    }

    /// `kill -9`.
    pub(crate) async fn kill(&mut self) {
        self.signal("KILL");
        self.wait_for_end().await;
    }

    /// An address of the server.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Sends a request to the server; none if there is no answer.
    pub(crate) async fn request(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Option<Answer> {
        let request = self
            .client
            .request(method.parse().expect("a method"), self.url(path))
            .header("authorization", format!("Bearer {API_KEY}"))
            .header("content-type", "application/json")
            .body(body.map(ToString::to_string).unwrap_or_default());
        let response = request.send().await.ok()?;
        let status = response.status().as_u16();
        let retry_after = response.headers().get("retry-after");
        let retry_after = retry_after.and_then(|value| Some(value.to_str().ok()?.to_owned()));
        let text = response.text().await.ok()?;
        Some(Answer {
            status,
            retry_after,
            body: serde_json::from_str(&text).unwrap_or(Value::String(text)),
        })
    }

    /// Sends a delivery; none if there is no answer.
    pub(crate) async fn deliver(&self, delivery: &Value) -> Option<Answer> {
        self.request("POST", "/hooks/form", Some(delivery)).await
    }

    /// Sends a delivery that is taken in, and returns its jobs' ids.
    pub(crate) async fn accepted(&self, delivery: &Value) -> Vec<String> {
        let answer = self.deliver(delivery).await.expect("an answer");
        assert_eq!(answer.status, 202, "{answer:?}\n{}", self.log());
        ids(&answer.body)
    }

    /// A job as the API shows it.
    pub(crate) async fn job(&self, id: &str) -> Answer {
        let answer = self.request("GET", &format!("/jobs/{id}"), None).await;
        answer.expect("an answer")
    }

    /// Waits until a job is as `done` wants it.
    pub(crate) async fn until(&self, id: &str, done: impl Fn(&Value) -> bool) -> Value {
        let over = Instant::now() + PATIENCE;
        loop {
            let job = self.job(id).await.body;
            if done(&job) {
                return job;
            }
            assert!(Instant::now() < over, "{job:#}\n{}", self.log());
            tokio::time::sleep(5 * GAP).await;
        }
    }

    /// Waits until a job has ended and nothing of its callback is left to do.
    pub(crate) async fn finished(&self, id: &str) -> Value {
        self.until(id, |job| {
            !job["finished_at"].is_null() && job["callback"]["status"] != "pending"
        })
        .await
    }

    /// Runs another of masshook's commands with `--json` over the data folder: its exit code and document.
    pub(crate) fn command_line(&self, arguments: &[&str]) -> (i32, Value) {
        let (code, text) = self.command_line_text(&[arguments, &["--json"]].concat());
        let document = serde_json::from_str(&text);
        (
            code,
            document.unwrap_or_else(|error| panic!("{error}: {text}")),
        )
    }

    /// The same for people: exit code and text.
    pub(crate) fn command_line_text(&self, arguments: &[&str]) -> (i32, String) {
        let output = Command::new(&self.program)
            .args(arguments)
            .arg("--data")
            .arg(self.data())
            .env_clear()
            .output()
            .expect("started");
        let text = [output.stdout, output.stderr].concat();
        (
            output.status.code().unwrap_or(-1),
            String::from_utf8_lossy(&text).into_owned(),
        )
    }

    /// All jobs in the data folder, by their id.
    pub(crate) fn jobs(&self) -> BTreeMap<String, Value> {
        let (code, list) = self.command_line(&["jobs", "list", "--limit", "100000"]);
        assert_eq!(code, 0, "{list}");
        let jobs = list["jobs"].as_array().expect("a list").iter();
        jobs.map(|job| (text(&job["id"]), job.clone())).collect()
    }

    /// Waits until the folder has `count` jobs and all are over, callbacks too.
    pub(crate) async fn all_finished(&self, count: usize) -> BTreeMap<String, Value> {
        let over = Instant::now() + 4 * PATIENCE;
        loop {
            let jobs = self.jobs();
            let open: Vec<&Value> = jobs
                .values()
                .filter(|job| job["finished_at"].is_null() || job["callback"] == "pending")
                .collect();
            if jobs.len() == count && open.is_empty() {
                return jobs;
            }
            assert!(
                Instant::now() < over,
                "{} jobs of {count}, open: {open:#?}\n{}",
                jobs.len(),
                self.log()
            );
            tokio::time::sleep(10 * GAP).await;
        }
    }

    /// Switches faults of the simulator.
    pub(crate) async fn faults(&self, faults: &Value) {
        let (status, answer) = self.simulated("POST", "faults", Some(faults)).await;
        assert_eq!(status, 200, "{answer}");
    }

    /// How often the simulator was asked for something of this kind.
    pub(crate) async fn count(&self, kind: &str) -> u64 {
        let (_, stats) = self.simulated("GET", "stats", None).await;
        stats[kind].as_u64().expect("a count")
    }

    /// A record as it stands.
    pub(crate) async fn record(&self, module: &str, id: &str) -> Value {
        let path = format!("records/{module}/{id}");
        self.simulated("GET", &path, None).await.1
    }

    /// An answer of the simulator's admin.
    pub(crate) async fn simulated(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> (u16, Value) {
        let url = format!("{}/_sim/{path}", self.simulator.url());
        let request = self
            .client
            .request(method.parse().expect("a method"), url)
            .body(body.map(ToString::to_string).unwrap_or_default());
        let response = request.send().await.expect("an answer");
        let status = response.status().as_u16();
        let text = response.text().await.expect("a body");
        (status, serde_json::from_str(&text).unwrap_or(json!(text)))
    }

    /// What the simulator said of its world.
    pub(crate) fn zoho(&self) -> Value {
        self.simulator.announcement()["world"].clone()
    }

    /// The id of the `place`-th record of a module, from 0.
    pub(crate) fn id(&self, module: &str, place: u64) -> String {
        let first = text(&self.zoho()["modules"][module]["first_record_id"]);
        (first.parse::<u64>().expect("an id") + place).to_string()
    }

    /// The callbacks so far, by their id, each verified by the reference implementation; no id ever had two bodies.
    pub(crate) fn callbacks(&self) -> BTreeMap<String, Value> {
        let mut known: BTreeMap<String, (bytes::Bytes, Value)> = BTreeMap::new();
        for callback in self.receiver.all() {
            let document = verified(&callback);
            let id = callback.header("webhook-id").to_owned();
            let (body, _) = known
                .entry(id.clone())
                .or_insert_with(|| (callback.body.clone(), document));
            assert_eq!(*body, callback.body, "{id} has two bodies");
        }
        let known = known.into_iter();
        known.map(|(id, (_, document))| (id, document)).collect()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Kills at random moments, under load, with a Zoho that fails.
pub(crate) struct Storm {
    /// One-record deliveries.
    pub(crate) jobs: usize,
    /// How often the server is killed.
    pub(crate) kills: usize,
}

/// What came of a storm.
#[derive(Debug)]
pub(crate) struct Weathered {
    /// From the first start to the last callback.
    pub(crate) time: Duration,
    /// Jobs that were not over when the server was killed, summed over all kills.
    pub(crate) unfinished_at_kills: usize,
    /// Deliveries that had to be sent again, as no answer came.
    pub(crate) unanswered: usize,
    /// Mass updates that were sent.
    pub(crate) posts: u64,
    /// Tokens that were asked for.
    pub(crate) tokens: u64,
    /// Callbacks, some of them more than once.
    pub(crate) callbacks: usize,
}

impl Weathered {
    /// The figures, for people.
    pub(crate) fn figures(&self) -> String {
        format!(
            "time                        {:.1?}\nunfinished jobs at kills    {}\nunanswered deliveries       {}\nmass updates sent           {}\ntoken requests              {}\ncallbacks sent              {}",
            self.time,
            self.unfinished_at_kills,
            self.unanswered,
            self.posts,
            self.tokens,
            self.callbacks
        )
    }
}

/// Sends a delivery until it is taken in, as webhook senders do. Returns how often there was no answer.
async fn insist(client: reqwest::Client, url: String, delivery: Value) -> usize {
    let mut unanswered = 0;
    loop {
        let request = client
            .post(&url)
            .header("content-type", "application/json")
            .body(delivery.to_string());
        match request.send().await {
            Ok(response) if response.status() == 202 => return unanswered,
            Ok(response) => assert_eq!(response.status(), 503),
            Err(_) => unanswered += 1,
        }
        tokio::time::sleep(10 * GAP).await;
    }
}

impl Served {
    /// Takes a storm through, and checks that nothing was lost or told twice differently.
    pub(crate) async fn storm(&mut self, storm: &Storm) -> Weathered {
        let begun = Instant::now();
        let trouble = json!({"rate_5xx": 0.1, "rate_429": 0.05, "reset_after_apply": 0.05});
        self.faults(&trouble).await;
        self.start(&[]).await;
        let values = ["Webinar", "Advertisement", "Cold Call", "Partner"];
        let mut senders = tokio::task::JoinSet::new();
        let places = Arc::new(tokio::sync::Semaphore::new(16));
        let mut unfinished = 0;
        for life in 0..=storm.kills {
            let share = |life: usize| storm.jobs * life / (storm.kills + 1);
            for number in share(life)..share(life + 1) {
                let mut delivery = form(&format!("e{number}"), &[self.id("Leads", number as u64)]);
                delivery["fields"] = json!({"Lead_Source": values[number % values.len()]});
                let (client, url) = (self.client.clone(), self.url("/hooks/form"));
                let places = places.clone();
                senders.spawn(async move {
                    let _place = places.acquire_owned().await;
                    insist(client, url, delivery).await
                });
            }
            if life < storm.kills {
                tokio::time::sleep(Duration::from_millis(fastrand::u64(50..1_200))).await;
                self.kill().await;
                let jobs = self.jobs();
                let open = jobs
                    .values()
                    .filter(|job| job["finished_at"].is_null() || job["callback"] == "pending");
                unfinished += open.count();
                self.start(&[]).await;
            }
        }
        let unanswered = senders.join_all().await.into_iter().sum();
        let jobs = self.all_finished(storm.jobs).await;
        for job in jobs.values() {
            assert_eq!(job["status"], "succeeded", "{job:#}");
            assert_eq!(job["callback"], "delivered", "{job:#}");
        }
        assert_eq!(self.callbacks().len(), storm.jobs, "one id for each job");
        for number in 0..storm.jobs {
            let record = self.record("Leads", &self.id("Leads", number as u64)).await;
            let wanted = values[number % values.len()];
            assert_eq!(record["Lead_Source"], wanted, "record {number}");
        }
        Weathered {
            time: begun.elapsed(),
            unfinished_at_kills: unfinished,
            unanswered,
            posts: self.count("mass_update_post").await,
            tokens: self.count("token").await,
            callbacks: self.receiver.all().len(),
        }
    }
}

/// The callback's JSON, once its signature is verified by the reference implementation.
pub(crate) fn verified(callback: &Received) -> Value {
    let reference = Webhook::new(CALLBACK_SECRET).expect("a secret");
    let verified = reference.verify(&callback.body, &callback.headers);
    verified.expect("a good signature");
    serde_json::from_slice(&callback.body).expect("JSON")
}

/// The ids of an answer's jobs.
pub(crate) fn ids(body: &Value) -> Vec<String> {
    let jobs = body["jobs"].as_array().expect("jobs").iter();
    jobs.map(|job| text(&job["id"])).collect()
}

/// A string of a JSON document.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// A delivery about these records.
pub(crate) fn form(event: &str, ids: &[String]) -> Value {
    json!({"event": event, "ids": ids, "reference": event})
}

#[expect(
    clippy::disallowed_methods,
    reason = "a plain client; the guarded one is under test"
)]
fn client() -> reqwest::Client {
    let client = reqwest::Client::builder().no_proxy();
    client.build().expect("a client")
}

/// A loopback port below the range from which outgoing connections take theirs, so that it is still free after a kill.
fn free_port() -> u16 {
    loop {
        let port = fastrand::u16(12_000..32_000);
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
