//! `masshook send`: a delivery as its sender would make it, freshly signed, to a local or deployed endpoint.

use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http::{HeaderMap, HeaderValue, Request, Response, Uri};
use serde_json::{Map, Value, json};

use super::sender::{Prepared, Sender};
use super::{Verdict, complain, say};
use crate::config::Config;
use crate::http::{Cap, Http, HttpSettings};

/// Bytes of an answer that are shown.
const SHOWN: usize = 64 << 10;

/// Inline, a function sees its jobs through before it answers.
const PATIENCE: Duration = Duration::from_secs(120);

/// `masshook send`.
#[derive(Debug, Args)]
pub(super) struct Send {
    #[command(flatten)]
    pub(super) sender: Sender,
    /// Where it goes: the address of the server or the API; with a path of its own, to exactly that.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080", value_parser = endpoint)]
    to: Uri,
    /// One JSON document on stdout, and nothing else there.
    #[arg(long)]
    pub(super) json: bool,
}

/// An address that can be called.
fn endpoint(text: &str) -> Result<Uri, String> {
    let uri: Option<Uri> = text.parse().ok();
    let called = |uri: &Uri| matches!(uri.scheme_str(), Some("http" | "https"));
    uri.filter(called).ok_or_else(|| {
        "write the whole URL, as https://abc123.execute-api.eu-west-1.amazonaws.com".to_owned()
    })
}

/// Runs the command.
pub(super) async fn run(send: &Send, config: &Config) -> Verdict {
    let prepared = match send.sender.prepare(config).await {
        Ok(prepared) => prepared,
        Err(why) => {
            complain(&why);
            return Verdict::Unusable;
        }
    };
    let request = match request(&prepared, &send.to) {
        Ok(request) => request,
        Err(why) => {
            complain(&why);
            return Verdict::Unusable;
        }
    };
    let shown = shown(&prepared, &request);
    if !send.json {
        say(&shown.text());
    }
    let host = request.uri().host().unwrap_or_default().to_owned();
    let http = Http::new(HttpSettings {
        allow_loopback: true,
        trusted_hosts: [host].into(),
        request_timeout: PATIENCE,
        ..HttpSettings::default()
    });
    match http.send(request, Cap::Truncate(SHOWN)).await {
        Ok(answer) => {
            if send.json {
                say(&json!({"sent": shown.json(), "answer": answer_json(&answer)}).to_string());
            } else {
                say(&answer_text(&answer));
            }
            if answer.status().is_success() {
                Verdict::Done
            } else {
                Verdict::Negative
            }
        }
        Err(error) => {
            let error = prepared.masked(&error.to_string());
            if send.json {
                say(&json!({"sent": shown.json(), "answer": null, "error": error}).to_string());
            } else {
                complain(&error);
            }
            Verdict::Negative
        }
    }
}

fn request(prepared: &Prepared, to: &Uri) -> Result<Request<Bytes>, String> {
    let delivery = &prepared.delivery;
    let base = to.to_string();
    let mut url = base.trim_end_matches('/').to_owned();
    if !to.path().contains("/hooks/") {
        url = format!("{url}/hooks/{}", prepared.route);
    }
    let url = webhook_verify::verify::called(&url, &delivery.path, &delivery.query);
    let mut request = Request::builder()
        .method(&delivery.method)
        .uri(url)
        .body(Bytes::from(delivery.body.clone()))
        .map_err(|error| format!("{to} cannot be called: {error}"))?;
    *request.headers_mut() = delivery.headers.clone();
    Ok(request)
}

/// What was sent, without secrets.
struct Shown {
    line: (String, String),
    headers: Map<String, Value>,
    body: String,
}

fn shown(prepared: &Prepared, request: &Request<Bytes>) -> Shown {
    let headers = texts(request.headers());
    let masked = |(name, value): (String, String)| (name, prepared.masked(&value).into());
    Shown {
        line: (
            request.method().to_string(),
            prepared.masked(&request.uri().to_string()),
        ),
        headers: headers.into_iter().map(masked).collect(),
        body: prepared.masked(&String::from_utf8_lossy(request.body())),
    }
}

impl Shown {
    fn text(&self) -> String {
        let mut lines = vec![format!("> {} {}", self.line.0, self.line.1)];
        for (name, value) in &self.headers {
            lines.push(format!("> {name}: {}", value.as_str().unwrap_or_default()));
        }
        lines.push(">".to_owned());
        lines.extend(self.body.lines().map(|line| format!("> {line}")));
        lines.join("\n")
    }

    fn json(&self) -> Value {
        json!({
            "method": self.line.0,
            "url": self.line.1,
            "headers": self.headers,
            "body": self.body,
        })
    }
}

fn texts(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers
        .iter()
        .map(|(name, value)| (name.to_string(), text(value)))
        .collect()
}

fn answer_text(answer: &Response<Bytes>) -> String {
    let mut lines = vec![format!("< {}", answer.status())];
    for (name, value) in texts(answer.headers()) {
        lines.push(format!("< {name}: {value}"));
    }
    lines.push("<".to_owned());
    let body = String::from_utf8_lossy(answer.body());
    lines.extend(body.lines().map(|line| format!("< {line}")));
    lines.join("\n")
}

fn answer_json(answer: &Response<Bytes>) -> Value {
    let headers = texts(answer.headers()).into_iter();
    let headers: Map<String, Value> = headers.map(|(name, value)| (name, value.into())).collect();
    let text = String::from_utf8_lossy(answer.body());
    let body = serde_json::from_str(&text).unwrap_or_else(|_| Value::from(text.as_ref()));
    json!({"status": answer.status().as_u16(), "headers": headers, "body": body})
}
