//! An HTTP request of a sender, to be sent over a socket, into the router, or in the event of an HTTP API.

use std::collections::BTreeMap;

use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use jiff::Timestamp;
use serde_json::{Value, json};
use webhook_verify::scheme::Scheme;
use webhook_verify::verify::{OutgoingWebhook, sign as sign_outgoing};

use super::answer::Answer;
use super::net::http_client;
use super::rie::Rie;

/// A request as its sender makes it.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// The `Host`, which API Gateway has as its domain name.
    pub(crate) host: String,
    pub(crate) path: String,
    /// As in the URL, without the question mark.
    pub(crate) query: String,
    /// In the sender's own spelling; a name may occur several times.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// Makes a request without a body. `target` is path and query.
    pub(crate) fn new(method: &str, target: &str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Self {
            method: method.to_owned(),
            host: "hooks.example.com".to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    pub(crate) fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// Makes a POST without a content type.
    pub(crate) fn post(target: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::new("POST", target).with_body(body)
    }

    /// Makes a POST of JSON.
    pub(crate) fn json(target: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::post(target, body).with("content-type", "application/json")
    }

    /// Makes a POST to a route's hook, without a body.
    pub(crate) fn to_hook(route: &str) -> Self {
        Self::new("POST", &format!("/hooks/{route}"))
    }

    pub(crate) fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Adds a header.
    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Adds the bearer key of `/jobs`.
    pub(crate) fn authorized(self) -> Self {
        self.with(
            "authorization",
            format!("Bearer {}", super::builder::API_KEY),
        )
    }

    /// Adds the headers with which a sender proves this body.
    pub(crate) fn signed(self, scheme: &str, secret: &str, at: Timestamp) -> Self {
        let headers = sign(scheme, secret, at, &self.body);
        headers.iter().fold(self, |request, (name, value)| {
            request.with(name.as_str(), value.to_str().expect("a text header"))
        })
    }

    fn target(&self) -> String {
        match self.query.as_str() {
            "" => self.path.clone(),
            query => format!("{}?{query}", self.path),
        }
    }

    /// Sends the request to the server at `url`.
    pub(crate) async fn send_to(&self, url: &str) -> Answer {
        let method = self.method.parse().expect("a method");
        let url = format!("{}{}", url.trim_end_matches('/'), self.target());
        let mut request = http_client().request(method, url).body(self.body.clone());
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let response = request.send().await.expect("an answer");
        Answer::from_response(response).await.expect("a body")
    }

    /// Invokes a Lambda function with the event that an HTTP API makes of the request.
    pub(crate) async fn send_to_lambda(&self, rie: &Rie) -> Answer {
        let answer = rie.invoke(&self.event()).await;
        assert!(answer["statusCode"].is_u64(), "{answer:#}\n{}", rie.logs());
        Answer::from_lambda(&answer)
    }

    /// Turns the request into one for masshook's router.
    pub(crate) fn into_http(self) -> http::Request<Body> {
        let mut request = http::Request::builder()
            .method(self.method.as_str())
            .uri(self.target());
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.body(self.body.into()).expect("a request")
    }

    /// Returns the event of an HTTP API (payload format 2.0). Written after AWS's documents and recorded events, and
    /// not after the program under test.
    ///
    /// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>
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
            // API Gateway leaves the key out then.
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

/// Whether API Gateway passes a body on as text. Everything else is Base64, forms too.
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

/// Returns the headers with which a sender of a preset scheme proves a body.
pub(crate) fn sign(scheme: &str, secret: &str, at: Timestamp, body: &[u8]) -> HeaderMap {
    let scheme = Scheme::preset(scheme).expect("a preset");
    let mut outgoing = OutgoingWebhook::new("", body);
    sign_outgoing(&scheme, &[secret.to_owned().into()], at, &mut outgoing).expect("signed");
    outgoing.headers
}

/// Compresses a body.
pub(crate) fn gzipped(body: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(body).expect("written");
    encoder.finish().expect("compressed")
}
