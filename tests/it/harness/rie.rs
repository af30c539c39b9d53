//! The Lambda program under AWS's Runtime Interface Emulator (RIE): the start-up code that runs on Lambda, without
//! Docker.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Mutex;

use super::guarded_process::GuardedProcess;
use super::moto::REGION;
use super::net::free_port;
use super::tools::tools;

/// The function to run.
#[derive(Debug)]
pub(crate) struct RieOptions {
    /// The program; an absolute path.
    pub(crate) bootstrap: PathBuf,
    /// Its environment, beside what Lambda itself sets. Nothing comes from the environment of the tests.
    pub(crate) env: Vec<(String, String)>,
    /// The timeout of an invocation.
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

/// One execution environment of a function. It ends when this value is dropped, or with the test program.
#[derive(Debug)]
pub(crate) struct Rie {
    port: u16,
    client: reqwest::Client,
    log: PathBuf,
    /// The emulator crashes on a second request during an invocation.
    busy: Mutex<()>,
    _server: GuardedProcess,
}

impl Rie {
    /// Starts the emulator; the program itself starts with the first invocation.
    pub(crate) fn start(options: &RieOptions) -> Self {
        let tools = tools();
        loop {
            let port = free_port();
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
                .arg(format!("127.0.0.1:{}", free_port()))
                .arg(&options.bootstrap)
                // The emulator passes its whole environment on.
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
            if let Some(server) = GuardedProcess::start(&tools.python, &command, port, &log) {
                let timeout = Duration::from_secs(u64::from(options.timeout_s) + 30);
                return Self {
                    port,
                    client: client(timeout),
                    log,
                    busy: Mutex::new(()),
                    _server: server,
                };
            }
            let log = std::fs::read_to_string(log).unwrap_or_default();
            assert!(log.contains("in use"), "the emulator ended at once:\n{log}");
        }
    }

    /// Invokes the function and returns its answer; invocations queue. An answer that is not JSON, such as the
    /// emulator's message on a timeout, fails the test with the function's log.
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

    /// Invokes the function; returns the emulator's status and answer.
    async fn invoke_raw(&self, event: String) -> (u16, String) {
        let _busy = self.busy.lock().await;
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

    /// Returns what the function and the emulator have written so far, to either stream.
    pub(crate) fn logs(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Makes a client that waits longer than the function may take: the emulator crashes when its client hangs up.
#[expect(
    clippy::disallowed_methods,
    reason = "a plain client for the emulator's port; the guarded one is under test"
)]
fn client(timeout: Duration) -> reqwest::Client {
    let client = reqwest::Client::builder().no_proxy().timeout(timeout);
    client.build().expect("a client can be built")
}
