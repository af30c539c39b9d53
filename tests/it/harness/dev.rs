//! The real `masshook dev` as a process, in a folder of its own on free ports.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::answer::Answer;
use super::net::client_without_pool;
use super::served::PATIENCE;

/// The pause between two polls.
const PAUSE: Duration = Duration::from_millis(50);

/// A running `masshook dev`.
pub(crate) struct Dev {
    folder: PathBuf,
    /// Deletes the folder in the end, if it is of this run only.
    _temporary: Option<TempDir>,
    process: Child,
    /// The lines that it printed: hooks, console, sample.
    pub(crate) lines: Vec<String>,
    /// The base URL of the server.
    pub(crate) server: String,
    /// The base URL of the console.
    console: String,
    token: String,
    client: reqwest::Client,
}

impl Dev {
    /// Starts it without a config.
    pub(crate) fn start() -> Self {
        Self::start_with(None)
    }

    /// Starts it in a folder with this `masshook.yaml`.
    pub(crate) fn start_with(config: Option<&str>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        if let Some(config) = config {
            std::fs::write(folder.path().join("masshook.yaml"), config).expect("written");
        }
        let free = ["--listen", "127.0.0.1:0", "--console", "127.0.0.1:0"];
        Self::start_in(folder, &free)
    }

    /// Starts it in a folder of this run.
    pub(crate) fn start_in(folder: TempDir, arguments: &[&str]) -> Self {
        let mut started = Self::start_at(folder.path(), arguments);
        started._temporary = Some(folder);
        started
    }

    /// Starts it in a folder.
    pub(crate) fn start_at(folder: &Path, arguments: &[&str]) -> Self {
        let log = std::fs::File::create(folder.join("log")).expect("the log");
        let mut process = command(folder, arguments)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("started");
        let output = BufReader::new(process.stdout.take().expect("its output"));
        let (sender, receiver) = mpsc::channel();
        // The thread ends with the process.
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let next = |_| {
            receiver.recv_timeout(PATIENCE).unwrap_or_else(|_| {
                let log = std::fs::read_to_string(folder.join("log"));
                panic!(
                    "it printed too few lines; its log:\n{}",
                    log.unwrap_or_default()
                )
            })
        };
        let lines: Vec<String> = (0..3).map(next).collect();
        let after = |line: &str, name: &str| {
            let rest = line.strip_prefix(name).unwrap_or_else(|| panic!("{line}"));
            rest.split_whitespace().next().expect("a URL").to_owned()
        };
        let hooks = after(&lines[0], "hooks");
        let (server, _) = hooks.split_once("/hooks/").expect("a hook's URL");
        let console = after(&lines[1], "console");
        let (console, token) = console.split_once("/#token=").expect("a token");
        Self {
            server: server.to_owned(),
            console: console.to_owned(),
            token: token.to_owned(),
            lines,
            folder: folder.to_owned(),
            _temporary: None,
            process,
            client: client_without_pool(),
        }
    }

    /// A file in its folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Waits until it has logged a text.
    pub(crate) async fn wait_for_log(&self, part: &str) {
        let over = Instant::now() + PATIENCE;
        while !self.log().contains(part) {
            assert!(Instant::now() < over, "{part}:\n{}", self.log());
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Runs another command of masshook in its folder.
    pub(crate) fn run(&self, arguments: &[&str]) -> std::process::Output {
        let mut command = base_command(&self.folder);
        command.args(arguments).output().expect("it runs")
    }

    /// GETs a path of the console's API.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        let request = self.client.get(format!("{}/api/{path}", self.console));
        self.send(request).await
    }

    /// POSTs JSON to a path of the console's API.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_text(path, body.to_string()).await
    }

    /// POSTs any body to a path of the console's API.
    pub(crate) async fn post_text(&self, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        let request = self.client.post(format!("{}/api/{path}", self.console));
        let request = request.header("content-type", "application/json");
        self.send(request.body(body)).await
    }

    /// As [`Self::post_text`]; nothing if the server closes the connection while the body is being sent.
    pub(crate) async fn try_post_text(&self, path: &str, body: String) -> Option<Answer> {
        let request = self.client.post(format!("{}/api/{path}", self.console));
        let request = request.header("content-type", "application/json");
        let response = request
            .bearer_auth(&self.token)
            .body(body)
            .send()
            .await
            .ok()?;
        Answer::from_response(response).await.ok()
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.bearer_auth(&self.token).send().await;
        let response = response.unwrap_or_else(|error| panic!("{error}\n{}", self.log()));
        Answer::from_response(response).await.expect("an answer")
    }

    /// Delivers JSON to a route.
    pub(crate) async fn deliver(&self, route: &str, body: &Value) -> Answer {
        let request = self.client.post(format!("{}/hooks/{route}", self.server));
        let request = request.header("content-type", "application/json");
        let response = request.body(body.to_string()).send().await;
        Answer::from_response(response.expect("an answer"))
            .await
            .expect("an answer")
    }

    /// GETs a path of the console's API until its answer satisfies `is_done`.
    pub(crate) async fn wait_for(&self, path: &str, is_done: impl Fn(&Value) -> bool) -> Value {
        let over = Instant::now() + PATIENCE;
        loop {
            let answer = self.get(path).await;
            if is_done(&answer.body) {
                return answer.body;
            }
            assert!(Instant::now() < over, "{path}: {answer:#?}\n{}", self.log());
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Sends a signal and waits for the exit.
    pub(crate) fn stop(&mut self, signal: &str) -> ExitStatus {
        let id = self.process.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &id]).status();
        assert!(sent.expect("kill").success());
        let over = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.process.try_wait().expect("a status") {
                return status;
            }
            assert!(Instant::now() < over, "still running:\n{}", self.log());
            std::thread::sleep(PAUSE);
        }
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// `masshook` in a folder, with an empty environment.
fn base_command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_masshook"));
    command.current_dir(folder).env_clear().stdin(Stdio::null());
    command
}

/// `masshook dev` in a folder.
pub(crate) fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = base_command(folder);
    command.arg("dev").args(arguments);
    command
}
