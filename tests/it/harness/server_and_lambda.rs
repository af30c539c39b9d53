//! `masshook serve` and the Lambda program side by side, with one config: both must answer alike.

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::answer::{Answer, parsed_header};
use super::builder::Harness;
use super::request::Request;
use super::rie::{Rie, RieOptions};
use super::served::{Served, form};

/// Two processes with one config: `masshook serve`, and the Lambda program under the emulator, in inline mode.
pub(crate) struct ServerAndLambda {
    pub(crate) served: Served,
    pub(crate) function: Rie,
}

impl ServerAndLambda {
    /// Starts both, with further routes.
    pub(crate) async fn start(routes: &str) -> Self {
        let served = Harness::new().routes(routes).served().start().await;
        let config = served.config().display().to_string();
        let function = Rie::start(&RieOptions {
            env: vec![("MASSHOOK_CONFIG".to_owned(), config)],
            ..RieOptions::default()
        });
        Self { served, function }
    }

    /// Sends a request to the server, then to the function.
    pub(crate) async fn send(&self, request: &Request) -> [Answer; 2] {
        [
            request.send_to(&self.served.url("")).await,
            request.send_to_lambda(&self.function).await,
        ]
    }

    /// Sends a delivery to both; returns the `reference` of the one job that each makes of it.
    pub(crate) async fn references(&self, request: &Request) -> [Value; 2] {
        let [server, function] = self.send(request).await;
        assert_eq!(server.status, 202, "{server:?}");
        assert_eq!(function.status, 200, "{function:?}");
        let job = self.served.job(&server.job_ids()[0]).await;
        [&job.body, &function.body["jobs"][0]].map(|job| job["reference"].clone())
    }

    /// Checks that both still accept a good delivery.
    pub(crate) async fn assert_healthy(&self, event: &str) {
        let delivery = form(event, &[self.served.lead(3)]);
        let request = Request::json("/hooks/form", delivery.to_string());
        let [server, function] = self.send(&request).await;
        assert_eq!(server.status, 202, "{event}: {server:?}");
        assert_eq!(function.status, 200, "{event}: {function:?}");
        let jobs = &function.body["jobs"];
        assert_eq!(jobs[0]["status"], "succeeded", "{event}: {jobs:#}");
    }

    /// Sends bytes to the server's socket.
    pub(crate) async fn send_bytes(&self, request: &[u8]) -> Answer {
        let url = self.served.url("");
        let address = url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        stream.write_all(request).await.expect("sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("an answer");
        let answer = String::from_utf8(answer).expect("text");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let mut lines = head.lines();
        let status = lines.next().expect("a status line").split(' ').nth(1);
        let headers = lines.filter_map(|line| line.split_once(": "));
        Answer::new(
            status.and_then(|text| text.parse().ok()).expect("a status"),
            headers
                .map(|(name, value)| parsed_header(name, value))
                .collect(),
            body.to_owned(),
        )
    }

    /// Returns the most memory that the server has used so far, in KiB.
    pub(crate) fn peak_memory_kib(&self) -> u64 {
        let status = format!("/proc/{}/status", self.served.pid());
        let status = std::fs::read_to_string(status).expect("a process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let number = line.and_then(|line| line.trim().split(' ').next()?.parse().ok());
        number.expect("a number")
    }
}
