//! Zoho in the tests: the simulator, and what tests read and change through its admin API.

use masshook::clock::{Clock, ManualClock};
use serde_json::{Value, json};
use zoho_simulator::{Settings, Simulator, TimeSource};

use super::net::http_client;

/// A running simulator.
pub(crate) struct SimulatedZoho {
    pub(crate) simulator: Simulator,
    client: reqwest::Client,
}

impl SimulatedZoho {
    pub(crate) async fn start(settings: Settings) -> Self {
        Self {
            simulator: Simulator::start(settings).await.expect("a simulator"),
            client: http_client(),
        }
    }

    /// Sends any request; returns the status, and the body as JSON or as a string.
    pub(crate) async fn zoho_request(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> (u16, Value) {
        let url = format!("{}{path}", self.simulator.url());
        let request = self.client.request(method.parse().expect("a method"), url);
        let request = request.body(body.map(ToString::to_string).unwrap_or_default());
        let response = request.send().await.expect("an answer");
        let status = response.status().as_u16();
        let text = response.text().await.expect("a body");
        (status, serde_json::from_str(&text).unwrap_or(json!(text)))
    }

    /// Switches faults on and off: the keys of the admin API's `faults`.
    pub(crate) async fn faults(&self, faults: &Value) {
        let (status, answer) = self
            .zoho_request("POST", "/_sim/faults", Some(faults))
            .await;
        assert_eq!(status, 200, "{answer}");
    }

    /// Returns how many requests of a kind the simulator received, such as `token` or `mass_update_post`.
    pub(crate) async fn count(&self, kind: &str) -> u64 {
        let (_, stats) = self.zoho_request("GET", "/_sim/stats", None).await;
        stats[kind]
            .as_u64()
            .unwrap_or_else(|| panic!("no {kind}: {stats:#}"))
    }

    /// Returns every request that the simulator received, as a list.
    pub(crate) async fn requests(&self) -> Value {
        self.zoho_request("GET", "/_sim/requests", None).await.1["requests"].take()
    }

    /// Returns a record as it is now.
    pub(crate) async fn record(&self, module: &str, id: &str) -> Value {
        let path = format!("/_sim/records/{module}/{id}");
        self.zoho_request("GET", &path, None).await.1
    }

    /// Returns what the org contains: modules, custom views, territories, e-mail addresses.
    pub(crate) fn zoho(&self) -> Value {
        self.simulator.announcement()["world"].clone()
    }

    /// Returns the id of a module's record at `index`, from 0.
    pub(crate) fn id(&self, module: &str, index: u64) -> String {
        let first = self.zoho()["modules"][module]["first_record_id"].take();
        let first: Option<u64> = first.as_str().and_then(|id| id.parse().ok());
        (first.expect("an id") + index).to_string()
    }

    /// Returns the id of the lead at `index`, from 0.
    pub(crate) fn lead(&self, index: u64) -> String {
        self.id("Leads", index)
    }

    /// Returns the credentials that the simulator accepts.
    pub(crate) fn credentials(&self) -> Value {
        self.simulator.announcement()["credentials"].clone()
    }
}

/// Returns the manual clock that tests start with.
pub(crate) fn manual_clock() -> ManualClock {
    ManualClock::at(jiff::Timestamp::constant(1_800_000_000, 0))
}

/// Returns a time source that follows a clock of masshook's.
pub(crate) fn time_source(clock: impl Clock + 'static) -> TimeSource {
    TimeSource::from_fn(move || clock.now())
}
