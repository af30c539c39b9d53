//! The console of `masshook serve`, and `masshook console`, over HTTP: what the guard refuses, and what the page gets. The
//! page itself is tested in `console_browser.rs`.

mod protection;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Harness, Served, http_client, node, repo_path};

/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// The key of a console beyond loopback.
const KEY: &str = "key-of-the-console-of-the-test";

/// A console: its address and its token.
pub(crate) struct Console {
    pub(crate) url: String,
    address: String,
    token: String,
}

/// A raw answer.
#[derive(Debug)]
struct RawAnswer {
    status: u16,
    head: String,
    body: String,
}

impl RawAnswer {
    fn code(&self) -> String {
        let body: Value = serde_json::from_str(&self.body).unwrap_or_default();
        body["code"].as_str().unwrap_or_default().to_owned()
    }
}

impl Console {
    /// Reads the line that the start prints.
    fn from_line(log: &str) -> Option<Self> {
        let line = log
            .lines()
            .find_map(|line| line.strip_prefix("console: "))?;
        let (base, token) = line.split_once("#token=").unwrap_or((line, KEY));
        let address = base.strip_prefix("http://")?.strip_suffix('/')?;
        Some(Self {
            url: line.to_owned(),
            address: address.to_owned(),
            token: token.to_owned(),
        })
    }

    /// Sends the text of a request; a line `{token}` becomes the header with the token.
    fn send(&self, request: &str) -> RawAnswer {
        let token = format!("authorization: Bearer {}", self.token);
        let request = request
            .replace("{token}", &token)
            .replace("{host}", &self.address);
        let mut stream = TcpStream::connect(&self.address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        let request = request.replace('\n', "\r\n") + "\r\nconnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        RawAnswer {
            status: status.unwrap_or_else(|| panic!("{request}\n{answer}")),
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        }
    }

    /// Sends a request of the page itself.
    fn call(&self, method: &str, path: &str) -> RawAnswer {
        self.send(&format!(
            "{method} {path} HTTP/1.1\nhost: {{host}}\n{{token}}\ncontent-length: 0"
        ))
    }

    fn get(&self, path: &str) -> Value {
        let answer = self.call("GET", path);
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        serde_json::from_str(&answer.body).expect("JSON")
    }
}

/// Starts a server with a console.
async fn start(arguments: &[&str]) -> (Served, Console) {
    let mut served = Harness::new().served().prepare().await;
    let console = ["--console", "127.0.0.1:0"];
    served.start(&[&console[..], arguments].concat()).await;
    let console = console_of(&served);
    (served, console)
}

/// The console of a server that has just started.
pub(crate) fn console_of(served: &Served) -> Console {
    let over = Instant::now() + PATIENCE;
    loop {
        if let Some(console) = Console::from_line(&served.log()) {
            return console;
        }
        assert!(Instant::now() < over, "{}", served.log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[tokio::test]
async fn status_shows_config_and_what_prevents_its_reload() {
    let (served, console) = start(&[]).await;
    let status = console.get("/api/status");
    assert_eq!(status["store"], "sqlite");
    assert_eq!(status["config"]["problems"], json!([]));
    assert_eq!(status["public_url"], served.url("").trim_end_matches('/'));

    let config = std::fs::read_to_string(served.config()).expect("a config");
    std::fs::write(served.config(), config.clone() + "nonsense: 1\n").expect("written");
    served.signal("HUP");
    let problems = |wanted: bool| {
        let over = Instant::now() + PATIENCE;
        loop {
            let status = console.get("/api/status");
            let problems = status["config"]["problems"].to_string();
            if (problems != "[]") == wanted {
                return problems;
            }
            assert!(Instant::now() < over, "{status:#}");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let shown = problems(true);
    assert!(shown.contains("nonsense"), "{shown}");
    std::fs::write(served.config(), config).expect("written");
    served.signal("HUP");
    problems(false);
}

/// A console over the data folder alone, beside the server or without it.
#[tokio::test]
async fn console_shows_a_store_without_its_server() {
    let served = Harness::new().served().start().await;
    let start = |data: &std::path::Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_masshook"));
        command
            .args([
                "console",
                "--listen",
                "127.0.0.1:0",
                "--read-only",
                "--data",
            ])
            .arg(data)
            .current_dir(data.parent().expect("a folder"))
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().expect("started")
    };
    let none = start(&served.data().join("none"))
        .wait_with_output()
        .expect("an exit");
    assert_eq!(none.status.code(), Some(2));
    let error = String::from_utf8_lossy(&none.stderr).into_owned();
    assert!(
        error.contains("--data") && error.contains("--table"),
        "{error}"
    );

    let mut child = start(&served.data());
    let mut line = Vec::new();
    let mut output = child.stdout.take().expect("stdout");
    let mut byte = [0];
    while output.read(&mut byte).expect("read") == 1 && byte[0] != b'\n' {
        line.push(byte[0]);
    }
    let console = Console::from_line(&String::from_utf8_lossy(&line)).expect("an address");
    let status = console.get("/api/status");
    assert_eq!(status["read_only"], true);
    assert_eq!(status["public_url"], Value::Null);
    assert_eq!(console.call("POST", "/api/jobs/replay").status, 403);
    let answer = http_client()
        .get(format!("http://{}/", console.address))
        .send()
        .await;
    assert!(answer.expect("the page").status().is_success());
    let stopped = Command::new("kill")
        .args(["-s", "TERM", &child.id().to_string()])
        .status();
    assert!(stopped.expect("kill").success());
    assert_eq!(child.wait().expect("an exit").code(), Some(0));
}

/// The pure parts of the page, which need no browser.
#[test]
fn modules_of_the_page_pass_their_tests() {
    let mut node = Command::new(node());
    node.arg("--test")
        .arg(repo_path("tests/browser/waterfall.test.mjs"));
    let output = node.output().expect("Node 18 or newer");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}");
}

#[tokio::test]
async fn hours_out_of_range_are_refused() {
    let (_served, console) = start(&[]).await;
    for hours in ["0", "25", "-1", "1.5", "all", ""] {
        let answer = console.call("GET", &format!("/api/overview?hours={hours}"));
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "invalid_parameter"),
            "{hours}: {answer:?}"
        );
    }
    assert_eq!(console.get("/api/overview?hours=1")["hours"], 1);
}

/// Only what is known is a number in the navigation.
#[tokio::test]
async fn status_has_numbers_and_arguments() {
    let (served, console) = start(&[]).await;
    let status = console.get("/api/status");
    assert_eq!(status["counts"], json!({"dead_letters": 0}));
    let data = format!("--data {}", served.data().display());
    assert_eq!(status["cli_args"]["data"], json!(data));
    let config = format!("--config {}", served.config().display());
    assert_eq!(status["cli_args"]["config"], json!(config));
}
