//! The vectors: each with its route and its expected result.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Request, repo_path};

/// The clock of the function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Time {
    /// The machine's clock. Vectors are old, so the age check is off for those that must be accepted.
    Real,
    /// The time of the vector.
    Own,
}

/// A vector and its route.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) source: String,
    pub(super) name: String,
    pub(super) route: String,
    pub(super) vector: Value,
    pub(super) body: Vec<u8>,
    /// The record that its route updates.
    pub(super) record: String,
}

/// All vectors, and the expectations of `presets.yaml`.
pub(super) struct Vectors {
    pub(super) known: Value,
    pub(super) cases: Vec<Case>,
}

fn folder(source: &str) -> PathBuf {
    repo_path("crates/webhook-verify/tests/vectors").join(source)
}

pub(super) fn read(source: &str, name: &str) -> Vec<u8> {
    std::fs::read(folder(source).join(name)).unwrap_or_else(|_| panic!("{source}/{name}"))
}

impl Vectors {
    pub(super) fn read() -> Self {
        let text = std::fs::read_to_string(repo_path(
            "crates/webhook-verify/tests/vectors/presets.yaml",
        ))
        .expect("text");
        let known: Value = serde_saphyr::from_str(&text).expect("YAML");
        let folders =
            std::fs::read_dir(repo_path("crates/webhook-verify/tests/vectors")).expect("vectors");
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

    /// Whether the vector must be accepted.
    pub(super) fn is_let_in(&self, case: &Case, time: Time) -> bool {
        let expired = time == Time::Real && self.lists("expiring", &case.name);
        case.vector["expected"] == "valid" && !expired
    }

    /// Whether only its age is wrong.
    fn is_aged(&self, case: &Case, time: Time) -> bool {
        let expired = time == Time::Real && self.lists("expiring", &case.name);
        self.lists("aged", &case.name) || expired
    }

    /// Whether it must create a job.
    pub(super) fn is_delivered(&self, case: &Case, time: Time) -> bool {
        self.is_let_in(case, time)
            && self.known["handshake_vectors"][&case.name].is_null()
            && !self.lists("unreadable", &case.name)
    }

    /// Returns a config with a route for each vector, which sets the field of one record to the vector's name.
    pub(super) fn config(&self, zoho: &str, secrets: &TempDir, time: Time) -> String {
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
            route["http_methods"] = method.into();
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
            // Some vectors of senders that sign the time do not contain the time.
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

    /// Returns how the answer to a vector differs from the expected one.
    pub(super) fn differs(&self, case: &Case, answer: &Value, time: Time) -> Option<String> {
        let [accepted, handshake] =
            ["accepted", "handshake_vectors"].map(|kind| &self.known[kind][&case.name]);
        let own = if accepted.is_null() {
            handshake
        } else {
            accepted
        };
        let bare = self.lists("bare", &case.source);
        let verdict = match (self.is_let_in(case, time), own.is_null()) {
            (true, _) if self.lists("unreadable", &case.name) => is_unreadable(answer),
            (true, true) => is_our_word(answer, &case.name),
            (true, false) => Answer::from_presets(own, &case.source).is_given(answer),
            (false, _) if bare => Answer::bare().is_given(answer),
            (false, _) => is_a_refusal(answer, self.is_aged(case, time)),
        };
        verdict
            .err()
            .map(|why| format!("{}: {why}\n{answer:#}", case.name))
    }
}

pub(super) fn secrets_of(vector: &Value) -> Vec<&str> {
    let secret = &vector["secret"];
    match secret.as_array() {
        Some(list) => list.iter().filter_map(Value::as_str).collect(),
        None => vec![secret.as_str().expect("a secret")],
    }
}

impl Case {
    pub(super) fn request(&self) -> Request {
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

/// An expected answer.
#[derive(Debug)]
pub(super) struct Answer {
    status: u16,
    content_type: Option<String>,
    body: String,
}

impl Answer {
    /// A 401 without content.
    fn bare() -> Self {
        Self {
            status: 401,
            content_type: None,
            body: String::new(),
        }
    }

    /// The answer in `presets.yaml`.
    fn from_presets(own: &Value, source: &str) -> Self {
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

    /// Reads an HTTP response from a file.
    pub(super) fn of_file(source: &str, name: &str) -> Self {
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

    pub(super) fn is_given(&self, answer: &Value) -> Result<(), String> {
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

/// Checks for a job that has updated its record.
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

/// Checks for a verified body that cannot be read.
fn is_unreadable(answer: &Value) -> Result<(), String> {
    let good = answer["statusCode"] == 422 && json_body(answer)["code"] == "body_not_readable";
    good.then_some(())
        .ok_or_else(|| "expected a body that cannot be read".to_owned())
}

/// Checks for a rejection, and whether it is for the age.
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

/// Reads a request from a file and sends it to another route.
pub(super) fn of_file(text: &str, route: &str) -> Request {
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
