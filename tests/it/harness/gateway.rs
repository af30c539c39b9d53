//! HTTP requests as API Gateway's HTTP API hands them to a function (payload format 2.0). Written after AWS's documents
//! and events as they came, and not after the program under test.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// A request as a sender makes it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Its `Host`, which API Gateway has as its domain name.
    pub(crate) host: String,
    pub(crate) path: String,
    /// As it stands in the URL, without the question mark.
    pub(crate) query: String,
    /// In the sender's own spelling; names may stand there several times.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// A POST to a hook.
    pub(crate) fn to_hook(route: &str) -> Self {
        Self {
            method: "POST".to_owned(),
            host: "hooks.example.com".to_owned(),
            path: format!("/hooks/{route}"),
            ..Self::default()
        }
    }

    /// With one more header.
    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// The event that the function is invoked with.
    pub(crate) fn event(&self) -> Value {
        let mut headers: BTreeMap<String, String> = BTreeMap::new();
        let mut cookies: Vec<String> = Vec::new();
        let host = ("Host".to_owned(), self.host.clone());
        let length = ("Content-Length".to_owned(), self.body.len().to_string());
        let forwarded = ("X-Forwarded-For".to_owned(), "203.0.113.9".to_owned());
        for (name, value) in [host, length, forwarded].iter().chain(&self.headers) {
            let name = name.to_ascii_lowercase();
            if name == "cookie" {
                cookies.extend(value.split("; ").map(str::to_owned));
                continue;
            }
            let joined = headers.get(&name).map(|known| format!("{known},{value}"));
            headers.insert(name, joined.unwrap_or_else(|| value.clone()));
        }
        let mut parameters: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(self.query.as_bytes()) {
            let joined = parameters
                .get(&*name)
                .map(|known| format!("{known},{value}"));
            parameters.insert(name.into_owned(), joined.unwrap_or_else(|| value.into()));
        }
        let mut event = json!({
            "version": "2.0", "routeKey": "$default", "rawPath": self.path, "rawQueryString": self.query, "headers": headers,
            "requestContext": {
                "accountId": "123456789012", "apiId": "abcdefghij", "domainName": self.host,
                "domainPrefix": self.host.split('.').next(),
                "http": {"method": self.method, "path": self.path, "protocol": "HTTP/1.1", "sourceIp": "203.0.113.9",
                    "userAgent": headers.get("user-agent")},
                "requestId": "JKJaXmPLvHcESHA=", "routeKey": "$default", "stage": "$default",
                "time": "02/Jul/2026:21:35:57 +0000", "timeEpoch": 1_783_028_157_000_i64,
            },
            "isBase64Encoded": false,
        });
        if !cookies.is_empty() {
            event["cookies"] = json!(cookies);
        }
        if !parameters.is_empty() {
            event["queryStringParameters"] = json!(parameters);
        }
        let content_type = headers.get("content-type").map_or("", String::as_str);
        match std::str::from_utf8(&self.body) {
            // There is no key then.
            Ok("") => {}
            Ok(text) if is_text(content_type) => event["body"] = json!(text),
            _ => {
                event["body"] = json!(STANDARD.encode(&self.body));
                event["isBase64Encoded"] = json!(true);
            }
        }
        event
    }
}

/// What API Gateway passes on as text; everything else is base64, forms too.
fn is_text(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let essence = essence.to_ascii_lowercase();
    essence.starts_with("text/")
        || [
            "application/json",
            "application/javascript",
            "application/xml",
        ]
        .contains(&essence.as_str())
}
