//! moto's server: AWS's wire protocols on a loopback port.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_secretsmanager::config::{Credentials, SharedCredentialsProvider};

use super::guard::Guarded;
use super::tools::{manifest, tools};

/// The region all tests use.
pub(crate) const REGION: &str = "eu-west-1";

/// A running moto; it ends with this value, or with the test program.
#[derive(Debug)]
pub(crate) struct Moto {
    port: u16,
    _server: Guarded,
}

impl Moto {
    /// One moto for all tests of this program, so keep to names of your own in it.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Moto> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// A moto of one's own, empty.
    pub(crate) fn start() -> Self {
        let python = &tools().python;
        loop {
            let port = super::free_port();
            let mut command = Command::new(python);
            command
                .arg(manifest("tests/tools/moto_locked.py"))
                .arg(port.to_string())
                .env("AWS_DEFAULT_REGION", REGION);
            let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("moto-{port}.log"));
            if let Some(server) = Guarded::start(python, &command, port, &log) {
                return Self {
                    port,
                    _server: server,
                };
            }
            let log = std::fs::read_to_string(log).unwrap_or_default();
            assert!(log.contains("in use"), "moto ended at once:\n{log}");
        }
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// An SDK configuration that leads here.
    pub(crate) fn sdk_config(&self) -> SdkConfig {
        sdk_config(&self.url())
    }

    /// The environment that leads a program here.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        [
            ("AWS_ENDPOINT_URL", self.url().as_str()),
            ("AWS_REGION", REGION),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .to_vec()
    }

    /// Makes a secret with a text value; answers with its ARN.
    pub(crate) async fn create_secret(&self, name: &str, value: &str) -> String {
        let client = aws_sdk_secretsmanager::Client::new(&self.sdk_config());
        let secret = client
            .create_secret()
            .name(name)
            .secret_string(value)
            .send()
            .await;
        let secret =
            secret.unwrap_or_else(|error| panic!("moto refused the secret {name}: {error:?}"));
        secret.arn.expect("a new secret has an ARN")
    }
}

/// An SDK configuration with test credentials that takes nothing from this machine.
pub(crate) fn sdk_config(url: &str) -> SdkConfig {
    let credentials = Credentials::new("test", "test", None, None, "tests");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new(REGION))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(url)
        .build()
}
