//! The vectors of every source, the whole way: as events of API Gateway into the Lambda program under AWS's Runtime
//! Interface Emulator, and, for what depends on the time, into the same function with a clock that can be set.
//!
//! `tests/vectors/*/vector.json` says what must come of each; `tests/vectors/presets.yaml` what it does not say.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use http::{StatusCode, Uri};
use jiff::Timestamp;
use lambda_runtime::{Context, LambdaEvent};
use masshook::app::{App, Edges};
use masshook::aws::secrets::SecretsManager;
use masshook::clock::{Clock, ManualClock, SystemClock};
use masshook::config::{Config, Programs};
use masshook::engine::Manner;
use masshook::job::sqlite::SqliteStore;
use masshook::lambda::Function;
use masshook::simulator::{Settings, Simulator};
use serde_json::value::to_raw_value;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::gateway::Request;
use crate::support::plain;
use crate::support::rie::{Rie, RieOptions};
use crate::support::tools::manifest;

/// Whose clock the function has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Time {
    /// The machine's: what is old is refused, so that the age of all that must be let in is not asked for.
    Real,
    /// The vector's own.
    Own,
}

/// A vector, and the route that it goes to.
#[derive(Debug)]
struct Case {
    source: String,
    name: String,
    route: String,
    vector: Value,
    body: Vec<u8>,
    /// The record that its route updates.
    record: String,
}

/// All vectors, and what is known of them.
struct Vectors {
    known: Value,
    cases: Vec<Case>,
}

fn folder(source: &str) -> PathBuf {
    manifest("tests/vectors").join(source)
}

fn read(source: &str, name: &str) -> Vec<u8> {
    std::fs::read(folder(source).join(name)).unwrap_or_else(|_| panic!("{source}/{name}"))
}

impl Vectors {
    fn read() -> Self {
        let text = std::fs::read_to_string(manifest("tests/vectors/presets.yaml")).expect("text");
        let known: Value = serde_saphyr::from_str(&text).expect("YAML");
        let folders = std::fs::read_dir(manifest("tests/vectors")).expect("vectors");
        let folders = folders.map(|folder| folder.expect("a folder").path());
        let mut sources: Vec<String> = folders
            .filter(|folder| folder.is_dir())
            .map(|folder| folder.file_name().expect("a name").to_string_lossy().into())
            .collect();
        sources.sort();
        let mut cases = Vec::new();
        for source in &sources {
            let file: Value = serde_json::from_slice(&read(source, "vector.json")).expect("JSON");
            for vector in file["vectors"].as_array().expect("vectors") {
                let id = vector["id"].as_str().expect("an id");
                let body = match vector["body_file"].as_str() {
                    Some(name) => read(source, name),
                    None => vector["body"].as_str().unwrap_or_default().into(),
                };
                let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
                cases.push(Case {
                    source: source.clone(),
                    name: format!("{source}/{id}"),
                    route: format!("{source}-{id}").chars().map(plain).collect(),
                    vector: vector.clone(),
                    body,
                    record: String::new(),
                });
            }
        }
        assert_eq!(known["sources"], sources.len());
        assert_eq!(known["vectors"], cases.len());
        Self { known, cases }
    }

    fn lists(&self, list: &str, entry: &str) -> bool {
        let list = self.known[list].as_array();
        list.unwrap_or_else(|| panic!("no list"))
            .contains(&Value::from(entry))
    }

    /// Whether the vector's signature, and whatever else is not its age, is right.
    fn is_let_in(&self, case: &Case, time: Time) -> bool {
        let expired = time == Time::Real && self.lists("expiring", &case.name);
        case.vector["expected"] == "valid" && !expired
    }

    /// Whether it is refused for nothing but its age.
    fn is_aged(&self, case: &Case, time: Time) -> bool {
        let expired = time == Time::Real && self.lists("expiring", &case.name);
        self.lists("aged", &case.name) || expired
    }

    /// Whether a job comes of it.
    fn is_delivered(&self, case: &Case, time: Time) -> bool {
        self.is_let_in(case, time)
            && self.known["greeted"][&case.name].is_null()
            && !self.lists("unreadable", &case.name)
    }

    /// The config with a route for each vector: each sets another record's field to the vector's name.
    fn config(&self, zoho: &str, secrets: &TempDir, time: Time) -> String {
        let routes = self.cases.iter();
        let routes: BTreeMap<&str, Value> = routes
            .map(|case| (case.route.as_str(), self.route(case, secrets, time)))
            .collect();
        let folder = secrets.path().display();
        let config = json!({
            "connections": {"default": {
                "credentials": format!("file:{folder}/zoho.json"), "accounts_url": zoho, "api_url": zoho, "guard": "off",
            }},
            "routes": routes,
        });
        // JSON is YAML.
        config.to_string()
    }

    fn route(&self, case: &Case, secrets: &TempDir, time: Time) -> Value {
        let vector = &case.vector;
        let map = json!({
            "module": "Leads", "fields": {"City": case.name}, "ids": [case.record], "reference": case.name,
        });
        let mut route = json!({"map": map.to_string()});
        if let Some(url) = vector["url"].as_str() {
            route["public_url"] = url.split('?').next().into();
        }
        if let Some(method) = vector["method"].as_str() {
            route["methods"] = method.into();
        }
        if self.lists("unsigned", &case.name) {
            route["verify"] = json!({"scheme": "none"});
            return route;
        }
        let kind = vector["scheme"].as_str().expect("a scheme");
        let preset = self.known["presets"][&case.source][kind].as_str();
        let references: Vec<String> = (0..secrets_of(vector).len())
            .map(|place| secrets.path().join(format!("{}-{place}", case.route)))
            .map(|file| format!("file:{}", file.display()))
            .collect();
        let mut verify = json!({"scheme": preset.unwrap_or(&case.source), "secret": references});
        let switched_off = match time {
            Time::Real => !self.lists("aged", &case.name),
            // The vectors of some senders that sign the time do not say what time it was.
            Time::Own => vector["now"].is_null(),
        };
        if switched_off {
            verify["tolerance_s"] = json!(0);
        }
        if case.source == "zoho-desk" {
            verify["params"] = vector["config"].clone();
            verify["params"]["dc"] = json!("com");
        }
        if case.source == "aws-sns" {
            let message: Value = serde_json::from_slice(&case.body).expect("JSON");
            verify["params"] = json!({"topic": message["TopicArn"]});
            if time == Time::Real {
                // The certificate is fetched.
                verify["secret"].take();
                verify.as_object_mut().expect("an object").remove("secret");
            }
        }
        if kind == "handshake" {
            route["handshake_secret"] = verify["secret"].clone();
        }
        route["verify"] = verify;
        route
    }

    /// What is wrong with the answer to a vector, if anything is.
    fn differs(&self, case: &Case, answer: &Value, time: Time) -> Option<String> {
        let [accepted, greeted] = ["accepted", "greeted"].map(|kind| &self.known[kind][&case.name]);
        let own = if accepted.is_null() {
            greeted
        } else {
            accepted
        };
        let bare = self.lists("bare", &case.source);
        let verdict = match (self.is_let_in(case, time), own.is_null()) {
            (true, _) if self.lists("unreadable", &case.name) => is_unreadable(answer),
            (true, true) => is_our_word(answer, &case.name),
            (true, false) => Answer::told(own, &case.source).is_given(answer),
            (false, _) if bare => Answer::bare().is_given(answer),
            (false, _) => is_a_refusal(answer, self.is_aged(case, time)),
        };
        verdict
            .err()
            .map(|why| format!("{}: {why}\n{answer:#}", case.name))
    }
}

fn secrets_of(vector: &Value) -> Vec<&str> {
    let secret = &vector["secret"];
    match secret.as_array() {
        Some(list) => list.iter().filter_map(Value::as_str).collect(),
        None => vec![secret.as_str().expect("a secret")],
    }
}

impl Case {
    fn request(&self) -> Request {
        let url = self.vector["url"].as_str().unwrap_or_default();
        let url = url.split_once("://").map_or("", |(_, rest)| rest);
        let (place, query) = url.split_once('?').unwrap_or((url, ""));
        let host = place.split('/').next().unwrap_or_default();
        let host = host.rsplit('@').next().unwrap_or_default();
        let mut request = Request::to_hook(&self.route);
        if !host.is_empty() {
            request.host = host.to_owned();
        }
        request.query = query.to_owned();
        request.method = self.vector["method"].as_str().unwrap_or("POST").to_owned();
        request.body = self.body.clone();
        let headers = self.vector["headers"].as_object().expect("headers");
        headers.iter().fold(request, |request, (name, value)| {
            request.with(name, value.as_str().expect("text"))
        })
    }
}

/// An answer, to the byte.
#[derive(Debug)]
struct Answer {
    status: u16,
    content_type: Option<String>,
    body: String,
}

impl Answer {
    /// A refusal without anything.
    fn bare() -> Self {
        Self {
            status: 401,
            content_type: None,
            body: String::new(),
        }
    }

    /// What `presets.yaml` says of it.
    fn told(own: &Value, source: &str) -> Self {
        if let Some(file) = own["file"].as_str() {
            return Self::of_file(source, file);
        }
        let status = own["status"].as_u64().unwrap_or(200);
        Self {
            status: u16::try_from(status).expect("a status"),
            content_type: own["type"].as_str().map(str::to_owned),
            body: own["body"].as_str().expect("a body").to_owned(),
        }
    }

    /// An HTTP response in a file.
    fn of_file(source: &str, name: &str) -> Self {
        let text = String::from_utf8(read(source, name)).expect("text");
        let (head, body) = text.split_once("\n\n").unwrap_or((&text, ""));
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1));
        let content_type = lines.find_map(|line| line.strip_prefix("Content-Type: "));
        Self {
            status: status.expect("a status").parse().expect("a status"),
            content_type: content_type.map(str::to_owned),
            body: body.to_owned(),
        }
    }

    fn is_given(&self, answer: &Value) -> Result<(), String> {
        let given = (
            answer["statusCode"].as_u64(),
            answer["headers"]["content-type"].as_str(),
            answer["body"].as_str(),
            &answer["isBase64Encoded"],
        );
        let expected = (
            Some(u64::from(self.status)),
            self.content_type.as_deref(),
            Some(self.body.as_str()),
            &json!(false),
        );
        match given == expected {
            true => Ok(()),
            false => Err(format!("expected {self:?}")),
        }
    }
}

fn json_body(answer: &Value) -> Value {
    let body = answer["body"].as_str().unwrap_or_default();
    serde_json::from_str(body).unwrap_or_default()
}

/// A job that has updated its record.
fn is_our_word(answer: &Value, name: &str) -> Result<(), String> {
    let jobs = &json_body(answer)["jobs"];
    let job = &jobs[0];
    let good = answer["statusCode"] == 200
        && jobs.as_array().is_some_and(|jobs| jobs.len() == 1)
        && job["status"] == "succeeded"
        && job["counts"]["updated"] == 1
        && job["reference"] == name;
    good.then_some(())
        .ok_or_else(|| "expected a job that succeeded".to_owned())
}

/// What was verified and then cannot be read.
fn is_unreadable(answer: &Value) -> Result<(), String> {
    let good = answer["statusCode"] == 422 && json_body(answer)["code"] == "body_not_readable";
    good.then_some(())
        .ok_or_else(|| "expected a body that cannot be read".to_owned())
}

/// A refusal, and whether it is for the age.
fn is_a_refusal(answer: &Value, aged: bool) -> Result<(), String> {
    let problem = json_body(answer);
    let detail = problem["detail"].as_str().unwrap_or_default();
    let for_age = detail.starts_with("signed ") || detail.contains("has expired");
    let good = answer["statusCode"] == 401
        && problem["code"] == "not_verified"
        && answer["headers"]["content-type"] == "application/problem+json";
    match (good, for_age == aged) {
        (true, true) => Ok(()),
        (true, false) => Err(format!("refused for its age: expected {aged}")),
        (false, _) => Err("expected a refusal".to_owned()),
    }
}

/// Zoho's place, the secrets in files, and Amazon SNS with its certificates.
struct Stage {
    vectors: Vectors,
    simulator: Simulator,
    secrets: TempDir,
    sns: Sns,
}

impl Stage {
    async fn set(clock: Arc<dyn Clock>) -> Self {
        let mut vectors = Vectors::read();
        let simulator = Simulator::start(Settings {
            clock,
            ..Settings::default()
        });
        let simulator = simulator.await.expect("a simulator");
        let first = &simulator.announcement()["world"]["modules"]["Leads"]["first_record_id"];
        let first: u64 = first
            .as_str()
            .and_then(|id| id.parse().ok())
            .expect("an id");
        let secrets = tempfile::tempdir().expect("a folder");
        let hold = |name: &str, secret: &str| {
            std::fs::write(secrets.path().join(name), secret).expect("written");
        };
        for (case, record) in vectors.cases.iter_mut().zip(first..) {
            case.record = record.to_string();
            for (place, secret) in secrets_of(&case.vector).into_iter().enumerate() {
                hold(&format!("{}-{place}", case.route), secret);
            }
        }
        let credentials = &simulator.announcement()["credentials"];
        hold("zoho.json", &credentials.to_string());
        Self {
            sns: Sns::start(&vectors).await,
            vectors,
            simulator,
            secrets,
        }
    }

    fn config(&self, time: Time) -> String {
        self.vectors
            .config(self.simulator.url(), &self.secrets, time)
    }

    /// Looks at the records: each was updated by the vector that was let in, and by no other.
    async fn effects(&self, time: Time) -> Vec<String> {
        let client = plain();
        let mut differ = Vec::new();
        for case in &self.vectors.cases {
            let url = format!(
                "{}/_sim/records/Leads/{}",
                self.simulator.url(),
                case.record
            );
            let answer = client.get(url).send().await.expect("an answer");
            let text = answer.text().await.expect("a body");
            let record: Value = serde_json::from_str(&text).expect("JSON");
            let updated = record["City"] == case.name.as_str();
            if updated != self.vectors.is_delivered(case, time) {
                differ.push(format!("{}: the record was updated: {updated}", case.name));
            }
        }
        differ
    }

    /// What the test came to.
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

    /// What was asked for, sorted.
    fn asked(&self) -> Vec<String> {
        let mut asked = self.asked.lock().expect("a lock").clone();
        asked.sort();
        asked
    }
}

const CONFIRMATION: &str = "/?Action=ConfirmSubscription&TopicArn=arn:aws:sns:us-west-2:123456789012:MyTopic&Token=2336412f37";

#[tokio::test]
async fn every_vector_behaves_as_its_publisher_says_all_the_way_through_the_lambda_program() {
    let stage = Stage::set(Arc::new(SystemClock)).await;
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
    // Each certificate was fetched once, one subscription was confirmed, and no stranger's certificate was asked for.
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

/// A request as it stands in a file, to another route.
fn of_file(text: &str, route: &str) -> Request {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    let mut line = lines.next().expect("a request line").split(' ');
    let mut request = Request::to_hook(route);
    line.next()
        .expect("a method")
        .clone_into(&mut request.method);
    let target = line.next().expect("a target");
    let query = target.split_once('?').map_or("", |(_, query)| query);
    query.clone_into(&mut request.query);
    request.body = body.trim_end().into();
    let headers = lines.filter_map(|line| line.split_once(": "));
    let own = headers.filter(|(name, _)| !["Host", "Content-Length"].contains(name));
    own.fold(request, |request, (name, value)| request.with(name, value))
}

#[tokio::test]
async fn every_vector_behaves_as_its_publisher_says_at_its_own_time() {
    let clock = ManualClock::at(Timestamp::UNIX_EPOCH);
    let stage = Stage::set(Arc::new(clock.clone())).await;
    let config = Config::parse(&stage.config(Time::Own), Programs::Lazily);
    let app = App::new(
        config.unwrap_or_else(|problems| panic!("{problems:#?}")),
        Edges {
            clock: Arc::new(clock.clone()),
            store: Arc::new(SqliteStore::in_memory()),
            secrets_manager: Arc::new(SecretsManager::new()),
            manner: Manner::Inline,
            runtime_api: None,
            sns_endpoint: Some(stage.sns.url.parse().expect("a URL")),
        },
    );
    let function = Function::new(Arc::new(app), None);
    let mut cases: Vec<&Case> = stage.vectors.cases.iter().collect();
    // Clocks only go forwards.
    cases.sort_by_key(|case| case.vector["now"].as_i64());
    let mut differ = Vec::new();
    for case in cases {
        if let Some(now) = case.vector["now"].as_i64() {
            let ahead = now - clock.now().as_second();
            clock.advance(Duration::from_secs(u64::try_from(ahead).expect("forwards")));
        }
        let payload = to_raw_value(&case.request().event()).expect("JSON");
        let event = LambdaEvent::new(payload, Context::default());
        let answer = function.invoke(event).await.expect("an answer");
        let answer: Value = serde_json::from_str(answer.get()).expect("JSON");
        differ.extend(stage.vectors.differs(case, &answer, Time::Own));
    }
    differ.extend(stage.effects(Time::Own).await);
    stage.sum_up("at their own time", Time::Own, &differ);
    // The routes hold the certificate, so nothing is fetched.
    assert_eq!(stage.sns.asked(), [CONFIRMATION]);
}
