//! moto's server: AWS's wire protocols on a loopback port.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndex, KeySchemaElement,
    KeyType, Projection, ProjectionType, ReturnValue, ScalarAttributeType,
};
use aws_sdk_secretsmanager::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_ssm::types::ParameterType;
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use flate2::Compression;
use flate2::write::DeflateEncoder;
use masshook::aws::AwsHttpClient;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::guarded_process::GuardedProcess;
use super::net::{free_port, http_client};
use super::tools::{repo_path, tools};

/// The region all tests use.
pub(crate) const REGION: &str = "eu-west-1";

/// A running moto; it ends with this value, or with the test program.
#[derive(Debug)]
pub(crate) struct Moto {
    port: u16,
    /// The lines of `tests/tools/aws_meter.py`.
    meter: PathBuf,
    _server: GuardedProcess,
}

impl Moto {
    /// One moto for all tests of this program, so keep to names of your own in it.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Moto> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// Starts another moto, which is empty.
    pub(crate) fn start() -> Self {
        let python = &tools().python;
        loop {
            let port = free_port();
            let files = Path::new(env!("CARGO_TARGET_TMPDIR"));
            let meter = files.join(format!("moto-{port}.jsonl"));
            let _ = std::fs::remove_file(&meter);
            let mut command = Command::new(python);
            command
                .arg(repo_path("tests/tools/moto_locked.py"))
                .arg(port.to_string())
                .arg(&meter)
                .env("AWS_DEFAULT_REGION", REGION);
            let log = files.join(format!("moto-{port}.log"));
            if let Some(server) = GuardedProcess::start(python, &command, port, &log) {
                return Self {
                    port,
                    meter,
                    _server: server,
                };
            }
            let log = std::fs::read_to_string(log).unwrap_or_default();
            assert!(log.contains("in use"), "moto ended at once:\n{log}");
        }
    }

    /// Returns the endpoint URL.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Returns what AWS would bill for requests to a table or a queue so far, one value for each request.
    pub(crate) fn billed(&self, name: &str) -> Vec<Value> {
        let log = std::fs::read_to_string(&self.meter).expect("the meter's log");
        let lines = log
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        let is_of = |line: &Value| {
            let resource = line["table"].as_str().unwrap_or_default();
            resource == name || resource.ends_with(&format!("/{name}"))
        };
        lines.filter(is_of).collect()
    }

    /// Returns an SDK configuration for this endpoint.
    pub(crate) fn sdk_config(&self) -> SdkConfig {
        sdk_config(&self.url())
    }

    /// Returns the environment variables that point a program to this endpoint.
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

    /// Creates a table as in the template.
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
        let keys_only = Projection::builder()
            .projection_type(ProjectionType::KeysOnly)
            .build();
        let index = |name: &str, hash: &str, range: &str| {
            let index = GlobalSecondaryIndex::builder()
                .index_name(name)
                .key_schema(key(hash, KeyType::Hash))
                .key_schema(key(range, KeyType::Range))
                .projection(keys_only.clone());
            index.build().expect("an index")
        };
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
            .global_secondary_indexes(index("due", "due_shard", "due"))
            .global_secondary_indexes(index("listed", "list_shard", "listed"))
            .send()
            .await;
        created.unwrap_or_else(|error| panic!("moto refused the table {name}: {error:?}"));
    }

    /// Replaces the stored state of a job; returns the former state.
    pub(crate) async fn replace_state(&self, table: &str, job: &str, state: Blob) -> Blob {
        let updated = aws_sdk_dynamodb::Client::new(&self.sdk_config())
            .update_item()
            .table_name(table)
            .key("pk", AttributeValue::S(format!("job#{job}")))
            .key("sk", AttributeValue::S("head".to_owned()))
            .update_expression("SET #state = :state")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":state", AttributeValue::B(state))
            .return_values(ReturnValue::AllOld)
            .send()
            .await;
        let before = updated.expect("moto takes it").attributes;
        let before = before.expect("the job is there");
        before["state"].as_b().expect("packed").clone()
    }

    /// Creates a queue; returns its URL.
    pub(crate) async fn create_queue(&self, name: &str) -> String {
        let client = aws_sdk_sqs::Client::new(&self.sdk_config());
        let created = client.create_queue().queue_name(name).send().await;
        let created =
            created.unwrap_or_else(|error| panic!("moto refused the queue {name}: {error:?}"));
        created.queue_url.expect("a new queue has a URL")
    }

    /// Creates a parameter in Parameter Store.
    pub(crate) async fn create_parameter(&self, name: &str, kind: ParameterType, value: &str) {
        let client = aws_sdk_ssm::Client::new(&self.sdk_config());
        let put = client.put_parameter().name(name).r#type(kind).value(value);
        let put = put.send().await;
        put.unwrap_or_else(|error| panic!("moto refused the parameter {name}: {error:?}"));
    }

    /// Creates a secret with a text value; returns its ARN.
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

/// Compresses a document as the store does.
pub(crate) fn packed(document: &str) -> Blob {
    // Format 1. The document does not refer to the dictionary.
    let mut packed = DeflateEncoder::new(vec![1], Compression::fast());
    packed.write_all(document.as_bytes()).expect("packed");
    Blob::new(packed.finish().expect("packed"))
}

/// Returns an SDK configuration with test credentials that takes nothing from this machine.
pub(crate) fn sdk_config(url: &str) -> SdkConfig {
    let credentials = Credentials::new("test", "test", None, None, "tests");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new(REGION))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(url)
        .http_client(AwsHttpClient::default())
        .build()
}

/// What a faulty proxy does with a request to moto.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum ProxyAction {
    /// Forward the request and its answer.
    Forward,
    /// Forward the request and drop its answer.
    LoseAnswer,
    /// Refuse the request.
    Refuse,
    /// Answer the request with this error code.
    Fail(&'static str),
}

/// Starts a proxy in front of moto; `decide` is called with the operation and the request. Returns its URL.
pub(crate) async fn faulty_proxy(
    decide: impl FnMut(&str, &Value) -> ProxyAction + Send + 'static,
) -> String {
    let decide = Arc::new(std::sync::Mutex::new(decide));
    let client = http_client();
    let app = Router::new().fallback(move |headers: HeaderMap, body: Bytes| {
        let (decide, client) = (Arc::clone(&decide), client.clone());
        async move {
            let target = headers["x-amz-target"].to_str().unwrap_or_default();
            let operation = target.rsplit('.').next().unwrap_or_default();
            let request: Value = serde_json::from_slice(&body).expect("JSON");
            let action = (decide.lock().expect("no panic"))(operation, &request);
            let lost = (
                StatusCode::INTERNAL_SERVER_ERROR,
                HeaderMap::new(),
                Bytes::new(),
            );
            if action == ProxyAction::Refuse {
                return lost;
            }
            if let ProxyAction::Fail(code) = action {
                let body = json!({"__type": code, "message": "refused"}).to_string();
                return (StatusCode::BAD_REQUEST, HeaderMap::new(), Bytes::from(body));
            }
            let answer = client
                .post(Moto::shared().url())
                .headers(headers)
                .body(body)
                .send();
            let answer = answer.await.expect("moto answers");
            if action == ProxyAction::LoseAnswer {
                return lost;
            }
            let status = StatusCode::from_u16(answer.status().as_u16()).expect("a status");
            let mut headers = answer.headers().clone();
            headers.remove("transfer-encoding");
            (status, headers, answer.bytes().await.expect("a body"))
        }
    });
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let url = format!(
        "http://{}",
        listener.local_addr().expect("a bound listener")
    );
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}
