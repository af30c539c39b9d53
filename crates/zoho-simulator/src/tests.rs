//! The simulator at the wire: every documented refusal with its literal code.

mod helpers;
mod immediate;
mod lookups;
mod scheduled;
mod tokens;
mod trouble;

use std::time::Duration;

use serde_json::{Value, json};

use crate::time_source::ManualClock;
use crate::{Settings, Simulator};

/// A record of Leads that can be updated.
pub(crate) const LEAD: &str = "5725767000003000064";

/// A simulator on a clock that moves by hand, and a client with a token.
pub(crate) struct Bench {
    pub(crate) simulator: Simulator,
    pub(crate) clock: ManualClock,
    pub(crate) token: String,
    http: reqwest::Client,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
    /// `null` if the body is empty or not JSON.
    pub(crate) json: Value,
}

impl Got {
    /// The code of the top-level error.
    pub(crate) fn code(&self) -> (u16, &str) {
        (self.status, self.json["code"].as_str().unwrap_or_default())
    }

    /// The code and message of the first entry in `data`.
    pub(crate) fn first(&self) -> (u16, &str, &str) {
        let entry = &self.json["data"][0];
        let text = |key: &str| entry[key].as_str().unwrap_or_default();
        (self.status, text("code"), text("message"))
    }
}

impl Bench {
    pub(crate) async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    pub(crate) async fn with(settings: Settings) -> Self {
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
        bench.token = bench.mint().await.json["access_token"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        bench
    }

    /// The form of a refresh-token grant.
    pub(crate) fn grant(&self) -> Vec<(String, String)> {
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

    pub(crate) async fn mint(&self) -> Got {
        self.form("/oauth/v2/token", &self.grant()).await
    }

    pub(crate) async fn form(&self, path: &str, form: &[(String, String)]) -> Got {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let request = self
            .request("POST", path)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body);
        got(request.send().await.unwrap()).await
    }

    /// A request without a token.
    pub(crate) fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}{path}", self.simulator.url());
        self.http.request(method.parse().unwrap(), url)
    }

    /// A request with the bench's token.
    pub(crate) fn authorized(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        self.request(method, path)
            .header("authorization", format!("Zoho-oauthtoken {}", self.token))
    }

    pub(crate) async fn get(&self, path: &str) -> Got {
        got(self.authorized("GET", path).send().await.unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Got {
        let request = self.authorized("POST", path).body(body.to_string());
        got(request.send().await.unwrap()).await
    }

    /// A mass update.
    pub(crate) async fn update(&self, module: &str, body: Value) -> Got {
        self.post(&format!("/crm/v7/{module}/actions/mass_update"), &body)
            .await
    }

    pub(crate) async fn faults(&self, switches: Value) -> Got {
        self.post("/_sim/faults", &switches).await
    }

    /// The record as it stands.
    pub(crate) async fn record(&self, module: &str, id: &str) -> Value {
        self.get(&format!("/_sim/records/{module}/{id}")).await.json
    }

    pub(crate) fn world(&self) -> Value {
        self.simulator.announcement()["world"].clone()
    }

    /// The id of the n-th record.
    pub(crate) fn nth(&self, module: &str, n: u64) -> String {
        let first = &self.world()["modules"][module]["first_record_id"];
        (first.as_str().unwrap().parse::<u64>().unwrap() + n).to_string()
    }

    pub(crate) fn view(&self, module: &str, key: &str) -> String {
        self.world()["views"][module][key]["id"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

pub(crate) async fn got(response: reqwest::Response) -> Got {
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    let text = response.text().await.unwrap();
    let json = serde_json::from_str(&text).unwrap_or(Value::Null);
    Got {
        status,
        headers,
        text,
        json,
    }
}

#[tokio::test]
async fn it_announces_itself_and_stops() {
    let bench = Bench::new().await;
    let told = bench.simulator.announcement();
    assert_eq!(told["url"], bench.simulator.url());
    assert_eq!(told["credentials"]["accounts_url"], told["url"]);
    assert_eq!(told["world"]["modules"]["Leads"]["first_record_id"], LEAD);
    assert_eq!(told["world"]["modules"]["Leads"]["records"], 2000);
    let url = bench.simulator.url().to_owned();
    bench.simulator.stop().await;
    assert!(bench.http.get(url).send().await.is_err());
}

#[tokio::test]
async fn unknown_modules_in_the_settings_are_refused() {
    let settings = Settings {
        records: std::collections::BTreeMap::from([("Nothing".to_owned(), 1)]),
        ..Settings::default()
    };
    let error = Simulator::start(settings).await.unwrap_err();
    assert!(error.to_string().contains("Subscriptions"), "{error}");
}

#[tokio::test]
async fn the_admin_shows_what_was_asked_without_its_secrets() {
    let bench = Bench::new().await;
    bench
        .update("Leads", json!({"data": [{"City": "Bonn"}], "ids": [LEAD]}))
        .await;
    let told = bench.get("/_sim/requests").await;
    let requests = told.json["requests"].as_array().unwrap();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0]["kind"], "token");
    assert_eq!(requests[0]["body"]["client_secret"], "***");
    assert_eq!(requests[0]["body"]["grant_type"], "refresh_token");
    assert_eq!(requests[1]["path"], "/crm/v7/Leads/actions/mass_update");
    assert_eq!(
        requests[1]["headers"]["authorization"],
        "Zoho-oauthtoken ***"
    );
    assert_eq!(requests[1]["body"]["ids"][0], LEAD);
    assert!(!told.text.contains(&bench.token));
    let stats = bench.get("/_sim/stats").await.json;
    assert_eq!(stats["token"], 1);
    assert_eq!(stats["mass_update_post"], 1);
    assert_eq!(stats["mass_update_get"], 0);
    assert_eq!(stats["max_in_flight"], 1);
    assert_eq!(stats["credits_used"], 1);
    assert_eq!(bench.get("/_sim/nothing").await.status, 404);
    assert_eq!(bench.get("/_sim/records/Leads/1").await.status, 404);
    let moved = bench.post("/_sim/clock", &json!({"advance_s": 600})).await;
    assert_eq!(moved.json["now"], "2026-11-01T12:10:00Z");
    let moved = bench.post("/_sim/clock", &json!({"advance_s": -660})).await;
    assert_eq!(moved.json["now"], "2026-11-01T11:59:00Z");
    let odd = bench.post("/_sim/clock", &json!({"advance_s": 0.5})).await;
    assert_eq!(odd.status, 400);
}

#[tokio::test]
async fn answers_carry_what_recorded_ones_carry() {
    let bench = Bench::new().await;
    bench.post("/_sim/clock", &json!({"advance_s": 60})).await;
    let cookies = |got: &Got| -> Vec<String> {
        let all = got.headers.get_all("set-cookie").iter();
        all.map(|cookie| {
            let text = cookie.to_str().unwrap();
            text.split('=').next().unwrap().to_owned()
        })
        .collect()
    };
    let token = bench.mint().await;
    let crm = bench.get("/crm/v7/org").await;
    let nothing = bench.get("/crm/v7/Leads/1").await;
    for answer in [&token, &crm, &nothing] {
        assert_eq!(answer.headers["server"], "ZGS");
        assert_eq!(answer.headers["date"], "Sun, 01 Nov 2026 12:01:00 GMT");
    }
    assert_eq!(token.headers["x-frame-options"], "SAMEORIGIN");
    assert_eq!(cookies(&token), ["iamcsr", "_zcsr_tmp"]);
    assert_eq!(cookies(&crm), ["crmcsr", "_zcsr_tmp", "JSESSIONID"]);
    assert!(crm.headers.contains_key("clientversion"));
    // The token was minted before the clock went on.
    let ends: jiff::Timestamp = crm.headers["x-accesstoken-reset"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(ends.to_string(), "2026-11-01T13:00:00Z");
    assert_eq!(
        crm.headers["content-disposition"],
        "attachment; filename=response.json"
    );
    assert_eq!(nothing.status, 204);
    assert!(!nothing.headers.contains_key("content-disposition"));
}
