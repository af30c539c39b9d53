//! The harness of the HTTP tests.

use std::time::Duration;

use serde_json::Value;

use crate::time_source::ManualClock;
use crate::{Settings, Simulator};

/// The id of a lead that can be updated.
pub(super) const LEAD: &str = "5725767000003000064";

/// A simulator with a manual clock, and a client with an access token.
pub(super) struct TestBench {
    pub(super) simulator: Simulator,
    pub(super) clock: ManualClock,
    pub(super) token: String,
    pub(super) http: reqwest::Client,
}

/// A response of the simulator.
#[derive(Debug)]
pub(super) struct TestResponse {
    pub(super) status: u16,
    pub(super) headers: reqwest::header::HeaderMap,
    pub(super) text: String,
    /// `null` if the body is empty or not JSON.
    pub(super) json: Value,
}

impl TestResponse {
    /// Reads a response.
    pub(super) async fn read(response: reqwest::Response) -> Self {
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let text = response.text().await.unwrap();
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Self {
            status,
            headers,
            text,
            json,
        }
    }

    /// The code of the top-level error.
    pub(super) fn code(&self) -> (u16, &str) {
        (self.status, self.json["code"].as_str().unwrap_or_default())
    }

    /// The code and message of the first entry in `data`.
    pub(super) fn first(&self) -> (u16, &str, &str) {
        let entry = &self.json["data"][0];
        let text = |key: &str| entry[key].as_str().unwrap_or_default();
        (self.status, text("code"), text("message"))
    }
}

impl TestBench {
    pub(super) async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    pub(super) async fn with(settings: Settings) -> Self {
        let clock = ManualClock::at("2026-11-01T12:00:00Z".parse().unwrap());
        let simulator = Simulator::start(Settings {
            time_source: clock.time_source(),
            ..settings
        })
        .await
        .unwrap();
        #[expect(
            clippy::disallowed_methods,
            reason = "the simulator listens on loopback, which the guarded client refuses"
        )]
        let http = reqwest::Client::new();
        let mut bench = Self {
            simulator,
            clock,
            token: String::new(),
            http,
        };
        bench.token = bench.request_token().await.json["access_token"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        bench
    }

    /// The form of a refresh-token grant.
    pub(super) fn grant(&self) -> Vec<(String, String)> {
        let credentials = &self.simulator.announcement()["credentials"];
        let given = |name: &str| {
            (
                name.to_owned(),
                credentials[name].as_str().unwrap().to_owned(),
            )
        };
        vec![
            ("grant_type".to_owned(), "refresh_token".to_owned()),
            given("client_id"),
            given("client_secret"),
            given("refresh_token"),
        ]
    }

    pub(super) async fn request_token(&self) -> TestResponse {
        self.form("/oauth/v2/token", &self.grant()).await
    }

    pub(super) async fn form(&self, path: &str, form: &[(String, String)]) -> TestResponse {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let request = self
            .request("POST", path)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body);
        TestResponse::read(request.send().await.unwrap()).await
    }

    /// A request without a token.
    pub(super) fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}{path}", self.simulator.url());
        self.http.request(method.parse().unwrap(), url)
    }

    /// A request with the client's access token.
    pub(super) fn authorized(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        self.request(method, path)
            .header("authorization", format!("Zoho-oauthtoken {}", self.token))
    }

    pub(super) async fn get(&self, path: &str) -> TestResponse {
        TestResponse::read(self.authorized("GET", path).send().await.unwrap()).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> TestResponse {
        let request = self.authorized("POST", path).body(body.to_string());
        TestResponse::read(request.send().await.unwrap()).await
    }

    /// A mass update.
    pub(super) async fn update(&self, module: &str, body: Value) -> TestResponse {
        self.post(&format!("/crm/v7/{module}/actions/mass_update"), &body)
            .await
    }

    pub(super) async fn faults(&self, switches: Value) -> TestResponse {
        self.post("/_sim/faults", &switches).await
    }

    /// The current record.
    pub(super) async fn record(&self, module: &str, id: &str) -> Value {
        self.get(&format!("/_sim/records/{module}/{id}")).await.json
    }

    pub(super) fn world(&self) -> Value {
        self.simulator.announcement()["world"].clone()
    }

    /// The id of the record at an index.
    pub(super) fn record_id(&self, module: &str, index: u64) -> String {
        let first = &self.world()["modules"][module]["first_record_id"];
        (first.as_str().unwrap().parse::<u64>().unwrap() + index).to_string()
    }

    pub(super) fn view(&self, module: &str, key: &str) -> String {
        self.world()["views"][module][key]["id"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    pub(super) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}
