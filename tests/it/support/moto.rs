//! moto's server: AWS's wire protocols on a loopback port.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType,
};
use aws_sdk_secretsmanager::config::{Credentials, SharedCredentialsProvider};

use super::guard::Guarded;
use super::tools::{manifest, tools};

/// The region all tests use.
pub(crate) const REGION: &str = "eu-west-1";

/// What the index of lists repeats of each item.
const LISTED: [&str; 13] = [
    "at",
    "body_bytes",
    "callback",
    "code",
    "connection",
    "created_at",
    "ends",
    "finished_at",
    "module",
    "parked",
    "reason",
    "route",
    "status",
];

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

    /// Makes a table as the stack has it.
    pub(crate) async fn create_table(&self, name: &str) {
        let key = |attribute: &str, kind| {
            let key = KeySchemaElement::builder()
                .attribute_name(attribute)
                .key_type(kind);
            key.build().expect("a key")
        };
        let attribute = |name: &str, kind| {
            let attribute = AttributeDefinition::builder()
                .attribute_name(name)
                .attribute_type(kind);
            attribute.build().expect("an attribute")
        };
        let index = |name: &str, hash: &str, range: &str, projection| {
            let index = GlobalSecondaryIndex::builder()
                .index_name(name)
                .key_schema(key(hash, KeyType::Hash))
                .key_schema(key(range, KeyType::Range))
                .projection(projection);
            index.build().expect("an index")
        };
        let keys_only = Projection::builder()
            .projection_type(ProjectionType::KeysOnly)
            .build();
        let listed = Projection::builder()
            .projection_type(ProjectionType::Include)
            .set_non_key_attributes(Some(LISTED.map(str::to_owned).to_vec()))
            .build();
        let created = aws_sdk_dynamodb::Client::new(&self.sdk_config())
            .create_table()
            .table_name(name)
            .billing_mode(BillingMode::PayPerRequest)
            .key_schema(key("pk", KeyType::Hash))
            .key_schema(key("sk", KeyType::Range))
            .attribute_definitions(attribute("pk", ScalarAttributeType::S))
            .attribute_definitions(attribute("sk", ScalarAttributeType::S))
            .attribute_definitions(attribute("due_shard", ScalarAttributeType::S))
            .attribute_definitions(attribute("due", ScalarAttributeType::N))
            .attribute_definitions(attribute("list_shard", ScalarAttributeType::S))
            .attribute_definitions(attribute("listed", ScalarAttributeType::S))
            .global_secondary_indexes(index("due", "due_shard", "due", keys_only))
            .global_secondary_indexes(index("listed", "list_shard", "listed", listed))
            .send()
            .await;
        created.unwrap_or_else(|error| panic!("moto refused the table {name}: {error:?}"));
    }

    /// Makes a queue; answers with its URL.
    pub(crate) async fn create_queue(&self, name: &str) -> String {
        let client = aws_sdk_sqs::Client::new(&self.sdk_config());
        let created = client.create_queue().queue_name(name).send().await;
        let created =
            created.unwrap_or_else(|error| panic!("moto refused the queue {name}: {error:?}"));
        created.queue_url.expect("a new queue has a URL")
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
