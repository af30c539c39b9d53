//! `masshook send`: sends a signed sample delivery to a local or deployed endpoint.

use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http::{HeaderMap, HeaderValue, Response, Uri};
use serde_json::{Map, Value, json};
use url::Url;

use super::config_file::report_config_error;
use super::dev::folder::RunningDev;
use super::sample_delivery::SampleDelivery;
use super::sender::SenderArgs;
use super::terminal::{ExitStatus, OutputFormat, print_error, print_json, print_line};
use crate::config::VerifyConfig;
use crate::http::{BodyLimit, Http, HttpRequest, HttpSettings};

/// Maximum bytes of the response to show.
const MAX_RESPONSE_BYTES: usize = 64 << 10;

/// Time limit of the request. In inline mode the function responds only after its jobs have finished.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);

/// Arguments of `masshook send`.
#[derive(Debug, Args)]
pub(super) struct SendArgs {
    #[command(flatten)]
    sender: SenderArgs,
    /// URL of the server or API; `/hooks/{route}` is appended unless its path contains `/hooks/`. Default: the server of
    /// `masshook dev` if it runs in this folder, with its config, else http://127.0.0.1:8080.
    #[arg(long, value_name = "URL", value_parser = parse_endpoint)]
    to: Option<Uri>,
    #[command(flatten)]
    output: OutputFormat,
}

/// The address of `masshook serve`, unless it has another one.
const DEFAULT_ENDPOINT: &str = "http://127.0.0.1:8080";

impl SendArgs {
    /// Where to send. Without `--to`, a running `masshook dev` also provides the config.
    fn endpoint(&mut self) -> Result<Uri, String> {
        if let Some(to) = &self.to {
            return Ok(to.clone());
        }
        match RunningDev::find() {
            Some(dev) => {
                self.sender.config = self.sender.config.or(dev.config);
                parse_endpoint(&format!("http://{}", dev.address))
            }
            None => parse_endpoint(DEFAULT_ENDPOINT),
        }
    }
}

/// Parses an absolute HTTP URL.
fn parse_endpoint(text: &str) -> Result<Uri, String> {
    let uri: Option<Uri> = text.parse().ok();
    let is_http = |uri: &Uri| matches!(uri.scheme_str(), Some("http" | "https"));
    uri.filter(is_http).ok_or_else(|| {
        "expected a full URL, for example https://abc123.execute-api.eu-west-1.amazonaws.com"
            .to_owned()
    })
}

/// Runs the command.
pub(super) async fn run(mut args: SendArgs) -> ExitStatus {
    let output = args.output;
    let to = match args.endpoint() {
        Ok(to) => to,
        Err(why) => return output.usage_error(&why),
    };
    // Not in `parse_endpoint`, whose errors show the value.
    if to.authority().is_some_and(|all| all.as_str().contains('@')) {
        return output.usage_error("--to must not contain a user name or password");
    }
    let config = match args.sender.config.load() {
        Ok(config) => config,
        Err(error) => return report_config_error(&error, output),
    };
    let prepared = args.sender.sign_sample(&config).await;
    let prepared = prepared.and_then(|sample| {
        let route = config.routes.get(&sample.route);
        if route.is_some_and(|route| matches!(route.verify, VerifyConfig::ByAws)) {
            return Err(format!(
                "AWS delivers to route `{}`, so nothing is sent to it; `masshook event` prints its events",
                sample.route
            ));
        }
        let request = build_request(&sample, &to)?;
        Ok((sample, request))
    });
    let (sample, request) = match prepared {
        Ok(prepared) => prepared,
        Err(why) => {
            print_error(&why);
            return ExitStatus::UsageError;
        }
    };
    send(&sample, request, output).await
}

async fn send(sample: &SampleDelivery, request: HttpRequest, output: OutputFormat) -> ExitStatus {
    let sent = MaskedRequest::new(sample, &request);
    if !output.json {
        print_line(&sent.to_text());
    }
    let host = request.url.host_str().unwrap_or_default().to_owned();
    let is_local = ["127.0.0.1", "localhost", "[::1]"].contains(&host.as_str());
    let http = Http::new(HttpSettings {
        allow_loopback: true,
        trusted_hosts: [host].into(),
        request_timeout: REQUEST_TIMEOUT,
        ..HttpSettings::default()
    });
    match http
        .send(request, BodyLimit::Truncate(MAX_RESPONSE_BYTES))
        .await
    {
        Ok(response) => {
            match output.json {
                true => {
                    let answer = response_json(&response);
                    print_json(&json!({"sent": sent.to_json(), "answer": answer}));
                }
                false => print_line(&response_text(&response)),
            }
            ExitStatus::from_success(response.status().is_success())
        }
        Err(error) => {
            let mut error = sample.masked(&error.to_string());
            if is_local && error.starts_with("no connection") {
                error.push_str("; `masshook dev` or `masshook serve` starts a server there, and --to names another one");
            }
            match output.json {
                true => {
                    let document = json!({"sent": sent.to_json(), "answer": null, "error": error});
                    print_json(&document);
                }
                false => print_error(&error),
            }
            ExitStatus::Negative
        }
    }
}

fn build_request(sample: &SampleDelivery, to: &Uri) -> Result<HttpRequest, String> {
    let delivery = &sample.delivery;
    let base = to.to_string();
    let mut url = base.trim_end_matches('/').to_owned();
    if !to.path().contains("/hooks/") {
        url = format!("{url}/hooks/{}", sample.route);
    }
    let url = webhook_verify::verify::request_url(&url, &delivery.path, &delivery.query);
    let url =
        Url::parse(&url).map_err(|error| format!("cannot send a request to {to}: {error}"))?;
    let body = Bytes::from(delivery.body.clone());
    let request = HttpRequest::new(delivery.method.clone(), url, body);
    Ok(HttpRequest {
        headers: delivery.headers.clone(),
        ..request
    })
}

/// The sent request with its secrets masked.
struct MaskedRequest {
    method: String,
    url: String,
    headers: Map<String, Value>,
    body: String,
}

impl MaskedRequest {
    fn new(sample: &SampleDelivery, request: &HttpRequest) -> Self {
        let headers = header_texts(&request.headers).into_iter();
        let headers = headers.map(|(name, value)| (name, sample.masked(&value).into()));
        Self {
            method: request.method.to_string(),
            url: sample.masked(request.url.as_str()),
            headers: headers.collect(),
            body: sample.masked(&String::from_utf8_lossy(&request.body)),
        }
    }

    fn to_text(&self) -> String {
        let mut lines = vec![format!("> {} {}", self.method, self.url)];
        for (name, value) in &self.headers {
            lines.push(format!("> {name}: {}", value.as_str().unwrap_or_default()));
        }
        lines.push(">".to_owned());
        lines.extend(self.body.lines().map(|line| format!("> {line}")));
        lines.join("\n")
    }

    fn to_json(&self) -> Value {
        json!({
            "method": self.method,
            "url": self.url,
            "headers": self.headers,
            "body": self.body,
        })
    }
}

fn header_texts(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers
        .iter()
        .map(|(name, value)| (name.to_string(), text(value)))
        .collect()
}

fn response_text(response: &Response<Bytes>) -> String {
    let mut lines = vec![format!("< {}", response.status())];
    for (name, value) in header_texts(response.headers()) {
        lines.push(format!("< {name}: {value}"));
    }
    lines.push("<".to_owned());
    let body = String::from_utf8_lossy(response.body());
    lines.extend(body.lines().map(|line| format!("< {line}")));
    lines.join("\n")
}

fn response_json(response: &Response<Bytes>) -> Value {
    let headers = header_texts(response.headers()).into_iter();
    let headers: Map<String, Value> = headers.map(|(name, value)| (name, value.into())).collect();
    let text = String::from_utf8_lossy(response.body());
    let body = serde_json::from_str(&text).unwrap_or_else(|_| Value::from(text.as_ref()));
    json!({"status": response.status().as_u16(), "headers": headers, "body": body})
}
