//! The published vectors of every sender, end to end: in events of API Gateway, into the Lambda program under AWS's
//! Runtime Interface Emulator, and into the handler with a manual clock.
//!
//! The vectors and their expected results are in `crates/webhook-verify/tests/vectors`.

mod cases;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use http::{StatusCode, Uri};
use jiff::Timestamp;
use masshook::app::{App, Dependencies};
use masshook::aws::secrets::SecretsManager;
use masshook::clock::{Clock, ManualClock};
use masshook::config::{CompileMode, Config};
use masshook::engine::ExecutionMode;
use masshook::lambda::Function;
use masshook::metrics::Metrics;
use masshook::store::sqlite::SqliteStore;
use serde_json::Value;
use tempfile::TempDir;
use zoho_simulator::{Settings, TimeSource};

use crate::harness::{Rie, RieOptions, SimulatedZoho, invoke, time_source};
use cases::{Answer, Case, Time, Vectors, of_file, read, secrets_of};

/// A simulated Zoho, the secrets in files, and Amazon SNS with its certificates.
struct Stage {
    vectors: Vectors,
    zoho: SimulatedZoho,
    secrets: TempDir,
    sns: Sns,
}

impl Stage {
    async fn set(time_source: TimeSource) -> Self {
        let mut vectors = Vectors::read();
        let zoho = SimulatedZoho::start(Settings {
            time_source,
            ..Settings::default()
        })
        .await;
        let secrets = tempfile::tempdir().expect("a folder");
        let hold = |name: &str, secret: &str| {
            std::fs::write(secrets.path().join(name), secret).expect("written");
        };
        for (case, index) in vectors.cases.iter_mut().zip(0..) {
            case.record = zoho.lead(index);
            for (place, secret) in secrets_of(&case.vector).into_iter().enumerate() {
                hold(&format!("{}-{place}", case.route), secret);
            }
        }
        hold("zoho.json", &zoho.credentials().to_string());
        Self {
            sns: Sns::start(&vectors).await,
            vectors,
            zoho,
            secrets,
        }
    }

    fn config(&self, time: Time) -> String {
        self.vectors
            .config(self.zoho.simulator.url(), &self.secrets, time)
    }

    /// Checks that each record was updated by its accepted vector, and no other record.
    async fn effects(&self, time: Time) -> Vec<String> {
        let mut differ = Vec::new();
        for case in &self.vectors.cases {
            let record = self.zoho.record("Leads", &case.record).await;
            let updated = record["City"] == case.name.as_str();
            if updated != self.vectors.is_delivered(case, time) {
                differ.push(format!("{}: the record was updated: {updated}", case.name));
            }
        }
        differ
    }

    /// Prints the figures and fails on differences.
    #[expect(clippy::print_stdout, reason = "the figures are what is asked for")]
    fn sum_up(&self, how: &str, time: Time, differ: &[String]) {
        let (vectors, sources) = (
            &self.vectors.known["vectors"],
            &self.vectors.known["sources"],
        );
        let cases = self.vectors.cases.iter();
        let let_in = cases.filter(|case| self.vectors.is_let_in(case, time));
        println!(
            "{how}: {vectors} vectors of {sources} sources, {} let in; mismatches: {}",
            let_in.count(),
            differ.len()
        );
        assert!(differ.is_empty(), "{}", differ.join("\n"));
    }
}

/// Amazon SNS at a loopback port: certificates at the paths that the messages name, and confirmations.
struct Sns {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

type Certificates = (BTreeMap<String, String>, Arc<Mutex<Vec<String>>>);

impl Sns {
    async fn start(vectors: &Vectors) -> Self {
        let mut certificates = BTreeMap::new();
        for case in vectors.cases.iter().filter(|case| case.source == "aws-sns") {
            let message: Value = serde_json::from_slice(&case.body).expect("JSON");
            let url = message["SigningCertURL"].as_str().expect("a URL");
            let path = url.splitn(4, '/').nth(3).expect("a path");
            let secret = secrets_of(&case.vector)[0].to_owned();
            certificates.insert(format!("/{path}"), secret);
        }
        let asked = Arc::new(Mutex::new(Vec::new()));
        let answer = async |State((certificates, asked)): State<Certificates>, uri: Uri| {
            asked.lock().expect("a lock").push(uri.to_string());
            let certificate = certificates.get(uri.path()).cloned();
            let confirms = uri
                .query()
                .is_some_and(|query| query.starts_with("Action=ConfirmSubscription&"));
            match certificate {
                Some(certificate) => (StatusCode::OK, certificate),
                None if confirms => (StatusCode::OK, "<ConfirmSubscriptionResponse/>".to_owned()),
                None => (StatusCode::NOT_FOUND, String::new()),
            }
        };
        let app = Router::new()
            .fallback(answer)
            .with_state((certificates, asked.clone()));
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
            .await
            .expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, asked }
    }

    /// Returns the requested URLs, sorted.
    fn asked(&self) -> Vec<String> {
        let mut asked = self.asked.lock().expect("a lock").clone();
        asked.sort();
        asked
    }
}

const CONFIRMATION: &str = "/?Action=ConfirmSubscription&TopicArn=arn:aws:sns:us-west-2:123456789012:MyTopic&Token=2336412f37";

#[tokio::test]
async fn vectors_verify_through_the_lambda_program() {
    let stage = Stage::set(TimeSource::system()).await;
    let config = stage.secrets.path().join("masshook.yaml");
    std::fs::write(&config, stage.config(Time::Real)).expect("written");
    let rie = Rie::start(&RieOptions {
        env: vec![
            ("MASSHOOK_CONFIG".to_owned(), config.display().to_string()),
            ("AWS_ENDPOINT_URL_SNS".to_owned(), stage.sns.url.clone()),
        ],
        ..RieOptions::default()
    });
    let mut differ = Vec::new();
    for case in &stage.vectors.cases {
        let answer = rie.invoke(&case.request().event()).await;
        differ.extend(stage.vectors.differs(case, &answer, Time::Real));
    }
    differ.extend(stage.effects(Time::Real).await);
    stage.sum_up("through the Lambda program", Time::Real, &differ);
    // Each certificate was fetched once, one subscription was confirmed, and no foreign certificate was requested.
    assert_eq!(
        stage.sns.asked(),
        [
            CONFIRMATION,
            "/SimpleNotificationService-7ff5318490ec183fbaddaa2a969abfda.pem",
            "/SimpleNotificationService-test.pem",
        ]
    );

    for (source, id) in stage.vectors.known["handshakes"]
        .as_object()
        .expect("a map")
    {
        let text = String::from_utf8(read(source, "handshake-request.txt")).expect("text");
        let id = id.as_str().expect("an id");
        let case = format!("{source}/{id}");
        let case = stage.vectors.cases.iter().find(|own| own.name == case);
        let request = of_file(&text, &case.expect("a vector").route);
        let answer = rie.invoke(&request.event()).await;
        let expected = Answer::of_file(source, "handshake-response.txt");
        expected
            .is_given(&answer)
            .unwrap_or_else(|why| panic!("{source}: {why}, got {answer:#}"));
        let nosniff = &answer["headers"]["x-content-type-options"];
        assert_eq!(
            nosniff, "nosniff",
            "{source}: what strangers send is repeated as text only"
        );
    }
}

#[tokio::test]
async fn vectors_verify_at_their_own_time() {
    let clock = ManualClock::at(Timestamp::UNIX_EPOCH);
    let stage = Stage::set(time_source(clock.clone())).await;
    let config = Config::parse(&stage.config(Time::Own), CompileMode::Lazy);
    let app = App::new(
        config.unwrap_or_else(|problems| panic!("{problems:#?}")),
        Dependencies {
            clock: Arc::new(clock.clone()),
            store: Arc::new(SqliteStore::in_memory()),
            secrets_manager: Arc::new(SecretsManager::new()),
            mode: ExecutionMode::Inline,
            runtime_api: None,
            sns_endpoint: Some(stage.sns.url.parse().expect("a URL")),
            metrics: Metrics::default(),
        },
    );
    let function = Function::new(Arc::new(app), None);
    let mut cases: Vec<&Case> = stage.vectors.cases.iter().collect();
    // The manual clock only advances.
    cases.sort_by_key(|case| case.vector["now"].as_i64());
    let mut differ = Vec::new();
    for case in cases {
        if let Some(now) = case.vector["now"].as_i64() {
            let ahead = now - clock.now().as_second();
            clock.advance(Duration::from_secs(u64::try_from(ahead).expect("forwards")));
        }
        let answer = invoke(&function, &case.request().event()).await;
        let answer = answer.expect("an answer");
        differ.extend(stage.vectors.differs(case, &answer, Time::Own));
    }
    differ.extend(stage.effects(Time::Own).await);
    stage.sum_up("at their own time", Time::Own, &differ);
    // The routes hold the certificate, so nothing is fetched.
    assert_eq!(stage.sns.asked(), [CONFIRMATION]);
}
