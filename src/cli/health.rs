//! `masshook health`: asks a server whether it works, for container health checks and scripts.

use std::time::Duration;

use clap::Args;
use http::StatusCode;
use serde_json::json;
use url::Url;

use super::terminal::{ExitStatus, OutputFormat};
use super::text::without_login;
use crate::http::{BodyLimit, Http, HttpRequest, HttpSettings};

/// Maximum bytes of the answer to read.
const MAX_ANSWER_BYTES: usize = 4 << 10;

/// Arguments of `masshook health`.
#[derive(Debug, Args)]
pub(super) struct HealthArgs {
    /// Base URL of the server, or its `/health`.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    url: Url,
    /// Seconds after which a server without an answer counts as unhealthy.
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=60))]
    timeout: u64,
    #[command(flatten)]
    output: OutputFormat,
}

/// Runs the command.
pub(super) async fn run(args: HealthArgs) -> ExitStatus {
    let HealthArgs {
        url,
        timeout,
        output,
    } = args;
    let base = url.as_str().trim_end_matches('/');
    // The URL that `serve` prints and that probes ask is one too.
    let asked = match base.ends_with("/health") {
        true => base.to_owned(),
        false => format!("{base}/health"),
    };
    let asked = match Url::parse(&asked) {
        Ok(asked) => asked,
        Err(error) => {
            let shown = without_login(&url);
            return output.usage_error(&format!("--url {shown} is not a URL: {error}"));
        }
    };
    let shown = format!("{}/health", without_login(&url).trim_end_matches('/'));
    let host = url.host_str().unwrap_or_default().to_owned();
    let limit = Duration::from_secs(timeout);
    let http = Http::new(HttpSettings {
        allow_loopback: true,
        trusted_hosts: [host].into(),
        connect_timeout: limit,
        request_timeout: limit,
        ..HttpSettings::default()
    });
    let request = HttpRequest::get(asked);
    let answer = http.send(request, BodyLimit::Truncate(MAX_ANSWER_BYTES));
    let (is_healthy, status, text) = match answer.await {
        Ok(answer) => {
            let status = answer.status();
            let text = format!("{shown} answers {status}");
            (status == StatusCode::OK, Some(status.as_u16()), text)
        }
        Err(error) => (false, None, format!("{shown} does not answer: {error}")),
    };
    output.print(
        &json!({"healthy": is_healthy, "status": status, "detail": text}),
        &text,
    );
    ExitStatus::from_success(is_healthy)
}
