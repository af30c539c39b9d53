//! Both doors for HTTP side by side: `masshook serve` on a socket, and the Lambda program in an HTTP API's envelope.

use std::path::Path;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use zoho_simulator::{Settings, Simulator};

use super::ask::{Ask, Told};
use super::rie::{Rie, RieOptions};
use super::serve::{Served, form, ids, text};

/// Two programs with one config, each a process of its own.
pub(crate) struct Doors {
    pub(crate) served: Served,
    pub(crate) function: Rie,
}

impl Doors {
    /// Both, with further routes.
    pub(crate) async fn with(routes: &str) -> Self {
        let mut served = Served::new(
            Path::new(env!("CARGO_BIN_EXE_masshook")),
            &[],
            Settings::default(),
            |config| config + routes,
        )
        .await;
        served.start(&[]).await;
        let config = served.config().display().to_string();
        let function = Rie::start(&RieOptions {
            env: vec![("MASSHOOK_CONFIG".to_owned(), config)],
            ..RieOptions::default()
        });
        Self { served, function }
    }

    /// What the server answers.
    pub(crate) async fn server(&self, ask: &Ask) -> Told {
        ask.over_http(|target| self.served.url(target)).await
    }

    /// What both answer: the server, then the function.
    pub(crate) async fn both(&self, ask: &Ask) -> [Told; 2] {
        [
            self.server(ask).await,
            ask.over_lambda(&self.function).await,
        ]
    }

    /// What the one job of a delivery has as its reference, by both doors.
    pub(crate) async fn references(&self, ask: &Ask) -> [Value; 2] {
        let [server, function] = self.both(ask).await;
        assert_eq!(server.status, 202, "{server:?}");
        assert_eq!(function.status, 200, "{function:?}");
        let job = ids(&server.json()).remove(0);
        let job = self.served.job(&job).await.body;
        let driven = function.json()["jobs"][0]["reference"].clone();
        [job["reference"].clone(), driven]
    }

    /// Whether both still take a good delivery.
    pub(crate) async fn are_well(&self, event: &str) {
        let delivery = form(event, &[self.served.id("Leads", 3)]);
        let ask = Ask::post("/hooks/form", delivery.to_string());
        let ask = ask.with("content-type", "application/json");
        let [server, function] = self.both(&ask).await;
        assert_eq!(server.status, 202, "{event}: {server:?}");
        assert_eq!(function.status, 200, "{event}: {function:?}");
        let jobs = &function.json()["jobs"];
        assert_eq!(jobs[0]["status"], "succeeded", "{event}: {jobs:#}");
    }

    /// What the server answers to bytes as they stand.
    pub(crate) async fn raw(&self, request: &[u8]) -> Told {
        let address = self.served.url("");
        let address = address.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        stream.write_all(request).await.expect("sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("an answer");
        let answer = String::from_utf8(answer).expect("text");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let mut lines = head.lines();
        let status = lines.next().expect("a status line").split(' ').nth(1);
        let headers = lines.filter_map(|line| line.split_once(": "));
        Told {
            status: status.and_then(|text| text.parse().ok()).expect("a status"),
            headers: headers
                .map(|(name, value)| (name.to_lowercase(), json!(value)))
                .collect(),
            body: body.to_owned(),
        }
    }

    /// The most memory that the server ever had, in KiB.
    pub(crate) fn peak(&self) -> u64 {
        let status = format!("/proc/{}/status", self.served.pid());
        let status = std::fs::read_to_string(status).expect("a process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let number = line.and_then(|line| line.trim().split(' ').next()?.parse().ok());
        number.expect("a number")
    }

    /// The id of a lead; every simulated world numbers them alike.
    pub(crate) async fn a_lead() -> String {
        let simulator = Simulator::start(Settings::default()).await;
        let leads = &simulator.expect("a simulator").announcement()["world"]["modules"]["Leads"];
        text(&leads["first_record_id"])
    }
}
