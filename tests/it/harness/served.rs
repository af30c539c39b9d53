//! The real `masshook serve` as a process, between a simulated Zoho and a receiver of callbacks: started, stopped,
//! killed and restarted over one data folder.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::answer::Answer;
use super::builder::{API_KEY, Harness, References};
use super::net::{free_port, http_client};
use super::receiver::{CALLBACK_SECRET, Receiver};
use super::zoho::SimulatedZoho;

/// How long anything may take before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// The pause between two polls.
pub(super) const PAUSE: Duration = Duration::from_millis(20);

/// A server over one data folder. It dereferences to the simulated Zoho: `served.faults(..)`, `served.record(..)`.
pub(crate) struct Served {
    pub(crate) zoho: SimulatedZoho,
    pub(crate) receiver: Receiver,
    program: PathBuf,
    environment: Vec<(String, String)>,
    folder: TempDir,
    port: u16,
    process: Option<Child>,
    client: reqwest::Client,
}

/// A server to start.
pub(crate) struct ServedHarness<'a> {
    harness: Harness<'a>,
    program: PathBuf,
    environment: Vec<(String, String)>,
}

impl<'a> Harness<'a> {
    /// Continues with the real `masshook serve`, whose route `form` does not verify its deliveries.
    pub(crate) fn served(self) -> ServedHarness<'a> {
        // The benchmarks run masshook themselves when they are called with its arguments.
        let program = option_env!("CARGO_BIN_EXE_masshook").map(PathBuf::from);
        ServedHarness {
            harness: self,
            program: program
                .unwrap_or_else(|| std::env::current_exe().expect("this program's path")),
            environment: Vec::new(),
        }
    }
}

impl ServedHarness<'_> {
    /// Runs another program that takes masshook's arguments.
    pub(crate) fn program(mut self, program: &Path) -> Self {
        program.clone_into(&mut self.program);
        self
    }

    /// Adds variables to the server's environment, which is empty otherwise.
    pub(crate) fn environment(mut self, variables: Vec<(String, String)>) -> Self {
        self.environment.extend(variables);
        self
    }

    /// Starts everything.
    pub(crate) async fn start(self) -> Served {
        let mut served = self.prepare().await;
        served.start(&[]).await;
        served
    }

    /// Starts everything but the server itself.
    pub(crate) async fn prepare(self) -> Served {
        let folder = tempfile::tempdir().expect("a folder");
        let secret = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("written");
            format!("file:{}", path.display())
        };
        let references = |zoho: &SimulatedZoho| References {
            credentials: secret("zoho.json", &zoho.credentials().to_string()),
            api_key: secret("key", API_KEY),
            signing_secret: secret("signing", CALLBACK_SECRET),
            form: "{ scheme: none }".to_owned(),
            connection: String::new(),
        };
        let (zoho, receiver, config) = self.harness.start_parts(references).await;
        std::fs::write(folder.path().join("masshook.yaml"), config).expect("written");
        Served {
            zoho,
            receiver,
            program: self.program,
            environment: self.environment,
            folder,
            port: free_port(),
            process: None,
            client: http_client(),
        }
    }
}

impl Deref for Served {
    type Target = SimulatedZoho;

    fn deref(&self) -> &SimulatedZoho {
        &self.zoho
    }
}

impl Served {
    /// Returns the data folder.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Returns the folder of the config and its secrets.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the path of the config file.
    pub(crate) fn config(&self) -> PathBuf {
        self.folder.path().join("masshook.yaml")
    }

    /// Returns the id of the running process.
    pub(crate) fn pid(&self) -> u32 {
        self.process.as_ref().expect("a running server").id()
    }

    /// Returns what the server has logged since its first start.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Waits until a line of the log meets a condition: a thread of its own writes the lines. Returns the log.
    pub(crate) async fn wait_for_log(&self, is_it: impl Fn(&str) -> bool) -> String {
        let over = Instant::now() + PATIENCE;
        loop {
            let log = self.log();
            if log.lines().any(&is_it) {
                return log;
            }
            assert!(Instant::now() < over, "not logged:\n{log}");
            tokio::time::sleep(PAUSE).await;
        }
    }

    pub(crate) fn log_file(&self) -> File {
        let path = self.folder.path().join("log");
        let file = OpenOptions::new().append(true).create(true).open(path);
        file.expect("the log")
    }

    /// Makes the command that serves this data folder.
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

    /// Starts the server and waits until it answers or exits.
    pub(crate) async fn start(&mut self, arguments: &[&str]) {
        assert!(self.process.is_none(), "the server is running");
        let child = self.command(arguments).spawn().expect("started");
        self.attach(child).await;
    }

    /// Takes over a started server, and waits until it answers or exits.
    pub(crate) async fn attach(&mut self, child: Child) {
        self.process = Some(child);
        let over = Instant::now() + PATIENCE;
        while self.client.get(self.url("/health")).send().await.is_err() {
            if self.exit_status().is_some() {
                return;
            }
            assert!(Instant::now() < over, "no answer:\n{}", self.log());
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Returns the exit status of the process, if it has exited.
    #[cfg(feature = "failpoints")]
    pub(crate) fn try_exit(&mut self) -> Option<ExitStatus> {
        let status = self.exit_status();
        if status.is_some() {
            self.process = None;
        }
        status
    }

    fn exit_status(&mut self) -> Option<ExitStatus> {
        let process = self.process.as_mut().expect("a started server");
        process.try_wait().expect("a status")
    }

    /// Waits until the process exits by itself.
    pub(crate) async fn wait_for_exit(&mut self) -> ExitStatus {
        let over = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.exit_status() {
                self.process = None;
                return status;
            }
            assert!(Instant::now() < over, "still running:\n{}", self.log());
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Sends the process a signal, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args(["-s", name, &self.pid().to_string()])
            .status();
        assert!(sent.expect("kill").success());
    }

    /// `kill -9`.
    pub(crate) async fn kill(&mut self) {
        self.signal("KILL");
        self.wait_for_exit().await;
    }

    /// Returns the URL of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Sends a request to the server, with the key of `/jobs`; returns nothing if there is no answer.
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
        Answer::from_response(request.send().await.ok()?).await.ok()
    }

    /// Sends a delivery to the route `form`; returns nothing if there is no answer.
    pub(crate) async fn deliver(&self, delivery: &Value) -> Option<Answer> {
        self.request("POST", "/hooks/form", Some(delivery)).await
    }

    /// Sends a delivery, which must be accepted; returns the ids of its jobs.
    pub(crate) async fn submit(&self, delivery: &Value) -> Vec<String> {
        let answer = self.deliver(delivery).await.expect("an answer");
        assert_eq!(answer.status, 202, "{answer:?}\n{}", self.log());
        answer.job_ids()
    }

    /// Requests a job from the API.
    pub(crate) async fn job(&self, id: &str) -> Answer {
        let answer = self.request("GET", &format!("/jobs/{id}"), None).await;
        answer.expect("an answer")
    }

    /// Waits until a job meets a condition; returns it.
    pub(crate) async fn wait_until(&self, id: &str, done: impl Fn(&Value) -> bool) -> Value {
        let over = Instant::now() + PATIENCE;
        loop {
            let job = self.job(id).await.body;
            if done(&job) {
                return job;
            }
            assert!(Instant::now() < over, "{job:#}\n{}", self.log());
            tokio::time::sleep(5 * PAUSE).await;
        }
    }

    /// Waits until a job has finished and its callback is delivered or given up; returns the job.
    pub(crate) async fn wait_for_job(&self, id: &str) -> Value {
        self.wait_until(id, |job| {
            !job["finished_at"].is_null() && job["callback"]["status"] != "pending"
        })
        .await
    }

    /// Runs a command such as `jobs list` with `--json` over the data folder; returns exit code and document.
    pub(crate) fn cli(&self, arguments: &[&str]) -> (i32, Value) {
        let (code, text) = self.cli_text(&[arguments, &["--json"]].concat());
        let document = serde_json::from_str(&text);
        (
            code,
            document.unwrap_or_else(|error| panic!("{error}: {text}")),
        )
    }

    /// Runs a command over the data folder; returns exit code and text.
    pub(crate) fn cli_text(&self, arguments: &[&str]) -> (i32, String) {
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

    /// Lists all jobs in the data folder, by id.
    pub(crate) fn list_jobs(&self) -> BTreeMap<String, Value> {
        let (code, list) = self.cli(&["jobs", "list", "--limit", "100000"]);
        assert_eq!(code, 0, "{list}");
        let jobs = list["jobs"].as_array().expect("a list").iter();
        jobs.map(|job| (text(&job["id"]), job.clone())).collect()
    }

    /// Waits until there are `count` jobs, all finished and with no pending callback.
    pub(crate) async fn wait_for_jobs(&self, count: usize) -> BTreeMap<String, Value> {
        let over = Instant::now() + 4 * PATIENCE;
        loop {
            let jobs = self.list_jobs();
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
            tokio::time::sleep(10 * PAUSE).await;
        }
    }

    /// Returns the verified callbacks so far, by id. Checks that no id has two bodies.
    pub(crate) fn callbacks(&self) -> BTreeMap<String, Value> {
        let mut known: BTreeMap<String, (bytes::Bytes, Value)> = BTreeMap::new();
        for callback in self.receiver.all() {
            let document = callback.verified();
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

/// Returns the ids of the jobs in a document.
pub(crate) fn ids(body: &Value) -> Vec<String> {
    let jobs = body["jobs"].as_array().expect("jobs").iter();
    jobs.map(|job| text(&job["id"])).collect()
}

/// Returns a JSON string.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// Makes a delivery for the route `form` about these records.
pub(crate) fn form(event: &str, ids: &[String]) -> Value {
    json!({"event": event, "ids": ids, "reference": event})
}
