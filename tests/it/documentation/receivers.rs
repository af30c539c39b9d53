//! The receivers of docs/callbacks.md, each run as a process of its own and given genuine and forged callbacks.

use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use masshook::clock::{Clock as _, SystemClock};
use serde_json::json;
use standardwebhooks::Webhook;

use super::blocks::blocks;
use super::text;
use crate::harness::{free_port, http_client, node, repo_path};

const SECRET: &str = "whsec_dGhlIGtleSBvZiBhIHJlY2VpdmVyIGluIHRoZSBkb2NzIQ==";

/// How long a receiver may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// A receiver that runs. It ends when this value is dropped.
struct Receiver {
    process: Child,
    url: String,
}

impl Receiver {
    /// Starts the command that `command` makes of a port, and waits until it listens.
    fn start(folder: &Path, command: impl Fn(u16) -> Command) -> Self {
        let port = free_port();
        let mut command = command(port);
        command
            .current_dir(folder)
            .env("CALLBACK_SECRET", SECRET)
            .env("PORT", port.to_string())
            .env("TMPDIR", folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let process = command.spawn().expect("the receiver starts");
        let over = Instant::now() + PATIENCE;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(Instant::now() < over, "{command:?} does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self {
            process,
            url: format!("http://127.0.0.1:{port}/"),
        }
    }

    async fn status(&self, id: &str, time: &str, signature: &str, body: &str) -> u16 {
        let request = http_client().post(&self.url);
        let request = request
            .header("webhook-id", id)
            .header("webhook-timestamp", time)
            .header("webhook-signature", signature)
            .body(body.to_owned());
        let response = request.send().await.expect("an answer");
        response.status().as_u16()
    }

    /// Sends genuine and forged callbacks.
    async fn check(&self) {
        let body =
            json!({"type": "job.succeeded", "data": {"id": "job_1", "counts": {"updated": 3}}});
        let body = body.to_string();
        let now = SystemClock.now().as_second();
        let sign = |time: i64| {
            let webhook = Webhook::new(SECRET).expect("a secret");
            webhook
                .sign("msg_1", time, body.as_bytes())
                .expect("signed")
        };
        let (good, at) = (sign(now), now.to_string());
        for (what, time, signature) in [
            ("genuine", at.clone(), good.clone()),
            ("repeated", at.clone(), good.clone()),
            (
                "signed with two secrets",
                at.clone(),
                format!("v1,AAAA {good}"),
            ),
        ] {
            let status = self.status("msg_1", &time, &signature, &body).await;
            assert_eq!(status, 204, "{what}");
        }
        for (what, id, time, signature, body) in [
            (
                "another body",
                "msg_1",
                at.clone(),
                good.clone(),
                format!("{body} "),
            ),
            (
                "another id",
                "msg_2",
                at.clone(),
                good.clone(),
                body.clone(),
            ),
            (
                "old",
                "msg_1",
                (now - 400).to_string(),
                sign(now - 400),
                body.clone(),
            ),
            (
                "to come",
                "msg_1",
                (now + 400).to_string(),
                sign(now + 400),
                body.clone(),
            ),
            (
                "no time",
                "msg_1",
                "x".to_owned(),
                good.clone(),
                body.clone(),
            ),
            (
                "no signature",
                "msg_1",
                at.clone(),
                String::new(),
                body.clone(),
            ),
            (
                "another version",
                "msg_1",
                at.clone(),
                good.replace("v1,", "v2,"),
                body.clone(),
            ),
        ] {
            let status = self.status(id, &time, &signature, &body).await;
            assert_eq!(status, 401, "{what}");
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Writes the page's program in a language into a file.
fn write(folder: &Path, language: &str, file: &str) {
    let blocks = blocks(&text("docs/callbacks.md"), language);
    assert_eq!(blocks.len(), 1, "{language}");
    assert!(
        blocks[0]
            .lines()
            .next()
            .is_some_and(|line| line.contains(file))
    );
    std::fs::write(folder.join(file), &blocks[0]).expect("written");
}

async fn check_script(language: &str, file: &str, program: &Path) {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), language, file);
    let receiver = Receiver::start(folder.path(), |_| {
        let mut command = Command::new(program);
        command.arg(file);
        command
    });
    receiver.check().await;
}

#[tokio::test]
async fn receiver_in_node_verifies() {
    check_script("javascript", "receiver.mjs", node()).await;
}

#[tokio::test]
async fn receiver_in_python_verifies() {
    check_script("python", "receiver.py", Path::new("python3")).await;
}

#[tokio::test]
#[ignore = "needs Go (Debian: golang-go), which .ci/run installs"]
async fn receiver_in_go_verifies() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "go", "receiver.go");
    let built = Command::new("go")
        .args(["build", "-o", "receiver", "receiver.go"])
        .current_dir(folder.path())
        .env("GOCACHE", repo_path("target/test-tools/go-cache"))
        .status();
    assert!(built.expect("Go runs").success());
    let program = folder.path().join("receiver");
    let receiver = Receiver::start(folder.path(), |_| Command::new(&program));
    receiver.check().await;
}

#[tokio::test]
#[ignore = "needs PHP (Debian: php-cli), which .ci/run installs"]
async fn receiver_in_php_verifies() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "php", "receiver.php");
    let receiver = Receiver::start(folder.path(), |port| {
        let mut command = Command::new("php");
        command.args(["-S", &format!("127.0.0.1:{port}"), "receiver.php"]);
        command
    });
    receiver.check().await;
}
