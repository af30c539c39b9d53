//! A Lambda program under AWS's Runtime Interface Emulator: the same start-up code that runs on Lambda, without Docker.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Mutex;

use super::guard::Guarded;
use super::moto::REGION;
use super::tools::tools;

/// What runs under the emulator, and how.
#[derive(Debug)]
pub(crate) struct RieOptions {
    /// The program; an absolute path.
    pub(crate) bootstrap: PathBuf,
    /// Its environment, beside what Lambda itself sets. Nothing comes from the tests' own environment.
    pub(crate) env: Vec<(String, String)>,
    /// The function's timeout.
    pub(crate) timeout_s: u32,
}

impl Default for RieOptions {
    fn default() -> Self {
        Self {
            bootstrap: PathBuf::from(env!("CARGO_BIN_EXE_bootstrap")),
            env: Vec::new(),
            timeout_s: 30,
        }
    }
}

/// One function environment; it ends with this value, or with the test program.
#[derive(Debug)]
pub(crate) struct Rie {
    port: u16,
    client: reqwest::Client,
    log: PathBuf,
    /// The emulator dies of a second request while one is under way.
    turn: Mutex<()>,
    _server: Guarded,
}

impl Rie {
    /// Starts the emulator; the program itself starts with the first invocation.
    pub(crate) fn start(options: &RieOptions) -> Self {
        let tools = tools();
        loop {
            let port = super::free_port();
            let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("rie-{port}.log"));
            let mut command = Command::new(&tools.emulator);
            command
                .args([
                    "--log-level",
                    "warn",
                    "--runtime-interface-emulator-address",
                ])
                .arg(format!("127.0.0.1:{port}"))
                .arg("--runtime-api-address")
                .arg(format!("127.0.0.1:{}", super::free_port()))
                .arg(&options.bootstrap)
                // The emulator hands its whole environment on.
                .env("PATH", "/usr/local/bin:/usr/bin:/bin")
                .env("LANG", "en_US.UTF-8")
                .env("TZ", ":UTC")
                .env("AWS_REGION", REGION)
                .env("AWS_DEFAULT_REGION", REGION)
                .env("AWS_ACCESS_KEY_ID", "test")
                .env("AWS_SECRET_ACCESS_KEY", "test")
                .env("AWS_LAMBDA_FUNCTION_NAME", "masshook")
                .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
                .env("AWS_LAMBDA_FUNCTION_TIMEOUT", options.timeout_s.to_string())
                .envs(options.env.iter().map(|(key, value)| (key, value)));
            if let Some(server) = Guarded::start(&tools.python, &command, port, &log) {
                let timeout = Duration::from_secs(u64::from(options.timeout_s) + 30);
                return Self {
                    port,
                    client: client(timeout),
                    log,
                    turn: Mutex::new(()),
                    _server: server,
                };
            }
            let log = std::fs::read_to_string(log).unwrap_or_default();
            assert!(log.contains("in use"), "the emulator ended at once:\n{log}");
        }
    }

    /// Invokes the function and returns its answer; the next one waits for its turn. An answer that is no JSON, such as
    /// the emulator's word on a timeout, fails the test with the function's log.
    pub(crate) async fn invoke(&self, event: &Value) -> Value {
        let (status, answer) = self.invoke_raw(event.to_string()).await;
        match serde_json::from_str(&answer) {
            Ok(answer) => answer,
            Err(_) => panic!(
                "the emulator answered {status} with `{answer}`; the function's log:\n{}",
                self.logs()
            ),
        }
    }

    /// Invokes the function and returns the emulator's own status and answer, whatever they are.
    pub(crate) async fn invoke_raw(&self, event: String) -> (u16, String) {
        let _turn = self.turn.lock().await;
        let url = format!(
            "http://127.0.0.1:{}/2015-03-31/functions/function/invocations",
            self.port
        );
        let answered = async {
            let response = self.client.post(url).body(event).send().await?;
            Ok::<_, reqwest::Error>((response.status().as_u16(), response.text().await?))
        };
        answered.await.unwrap_or_else(|error| {
            panic!(
                "the emulator gave no answer: {error:?}; its log:\n{}",
                self.logs()
            )
        })
    }

    /// What the function and the emulator wrote so far, to either stream.
    pub(crate) fn logs(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// A client that waits for longer than the function may take: the emulator also dies when its client hangs up.
#[expect(
    clippy::disallowed_methods,
    reason = "a plain client for the emulator's port; the guarded one is under test"
)]
fn client(timeout: Duration) -> reqwest::Client {
    let client = reqwest::Client::builder().no_proxy().timeout(timeout);
    client.build().expect("a client can be built")
}
