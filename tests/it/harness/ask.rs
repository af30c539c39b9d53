//! One request, put to whatever answers: a server on a socket, or the Lambda program in an HTTP API's envelope.

use serde_json::{Map, Value, json};

use super::gateway;
use super::plain;
use super::rie::Rie;

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) method: &'static str,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// What was answered.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) status: u16,
    /// Under lower-case names.
    pub(crate) headers: Map<String, Value>,
    pub(crate) body: String,
}

impl Told {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The code of a refusal, which is a problem document with a reason.
    pub(crate) fn code(&self) -> String {
        assert_eq!(
            self.headers.get("content-type"),
            Some(&json!("application/problem+json")),
            "{self:?}"
        );
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{self:?}");
        let text = |member: &str| problem[member].as_str().unwrap_or_default().to_owned();
        assert!(!text("detail").is_empty(), "{self:?}");
        text("code")
    }
}

impl Ask {
    /// A POST.
    pub(crate) fn post(target: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            method: "POST",
            target: target.to_owned(),
            headers: Vec::new(),
            body: body.into(),
        }
    }

    /// A request without a body.
    pub(crate) fn bare(method: &'static str, target: &str) -> Self {
        Self {
            method,
            ..Self::post(target, "")
        }
    }

    /// With a header.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// As a client sends it to a server.
    pub(crate) async fn over_http(&self, url: impl Fn(&str) -> String) -> Told {
        let method = self.method.parse().expect("a method");
        let mut request = plain()
            .request(method, url(&self.target))
            .body(self.body.clone());
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let answer = request.send().await.expect("an answer");
        let status = answer.status().as_u16();
        let headers = answer.headers().iter().map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.to_string(), Value::String(value))
        });
        let headers = headers.collect();
        Told {
            status,
            headers,
            body: answer.text().await.expect("a body"),
        }
    }

    /// The event of an HTTP API that such a request is.
    pub(crate) fn event(&self) -> Value {
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        let request = gateway::Request {
            method: self.method.to_owned(),
            host: "hooks.example.com".to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: self.headers.clone(),
            body: self.body.clone(),
        };
        request.event()
    }

    /// As an HTTP API hands it to the Lambda program.
    pub(crate) async fn over_lambda(&self, rie: &Rie) -> Told {
        let answer = rie.invoke(&self.event()).await;
        let status = answer["statusCode"].as_u64();
        let status = status.unwrap_or_else(|| panic!("{answer:#}\n{}", rie.logs()));
        Told {
            status: u16::try_from(status).expect("a status"),
            headers: answer["headers"].as_object().cloned().unwrap_or_default(),
            body: answer["body"].as_str().unwrap_or_default().to_owned(),
        }
    }
}
