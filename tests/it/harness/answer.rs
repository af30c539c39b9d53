//! The answer to an HTTP request, whichever way the request was sent.

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

/// An HTTP answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// The body as text.
    pub(crate) text: String,
    /// The body as JSON; null if it is not JSON.
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn new(status: u16, headers: HeaderMap, text: String) -> Self {
        let body = serde_json::from_str(&text).unwrap_or_default();
        Self {
            status,
            headers,
            text,
            body,
        }
    }

    /// Reads a response that came over a socket.
    pub(crate) async fn from_response(response: reqwest::Response) -> reqwest::Result<Self> {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Self::new(status, headers, response.text().await?))
    }

    /// Reads what a Lambda function returns to an HTTP API.
    pub(crate) fn from_lambda(answer: &Value) -> Self {
        let status = answer["statusCode"]
            .as_u64()
            .and_then(|n| n.try_into().ok());
        let headers = answer["headers"].as_object().into_iter().flatten();
        let headers = headers.map(|(name, value)| {
            let value = value.as_str().expect("a header is a string");
            parsed_header(name, value)
        });
        Self::new(
            status.unwrap_or_else(|| panic!("no HTTP answer: {answer:#}")),
            headers.collect(),
            answer["body"].as_str().unwrap_or_default().to_owned(),
        )
    }

    /// Returns a header's value, or the empty string.
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().expect("a text header"))
    }

    /// Returns the seconds of `Retry-After`.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        self.header("retry-after").parse().ok()
    }

    /// Returns the only job of the answer.
    pub(crate) fn job(&self) -> &Value {
        let jobs = self.body["jobs"].as_array().map_or(&[][..], Vec::as_slice);
        assert_eq!(jobs.len(), 1, "{self:?}");
        &jobs[0]
    }

    /// Returns the id of the answer's only job.
    pub(crate) fn job_id(&self) -> String {
        super::served::text(&self.job()["id"])
    }

    /// Returns the ids of the answer's jobs.
    pub(crate) fn job_ids(&self) -> Vec<String> {
        super::served::ids(&self.body)
    }

    /// Returns the code of a problem document, whose other members must be complete.
    pub(crate) fn problem_code(&self) -> &str {
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "{self:?}"
        );
        assert_eq!(self.body["status"], self.status, "{self:?}");
        for member in ["type", "title", "detail", "code"] {
            let text = self.body[member].as_str();
            assert!(
                text.is_some_and(|text| !text.is_empty()),
                "{member}: {self:?}"
            );
        }
        self.body["code"].as_str().unwrap_or_default()
    }

    /// Checks that the answer is a problem document with this status and code.
    pub(crate) fn assert_problem(&self, status: u16, code: &str) {
        assert_eq!(
            (self.status, self.problem_code()),
            (status, code),
            "{self:?}"
        );
    }
}

/// Parses a header line of an answer.
pub(crate) fn parsed_header(name: &str, value: &str) -> (HeaderName, HeaderValue) {
    (
        name.parse().expect("a header name"),
        value.parse().expect("a header value"),
    )
}
