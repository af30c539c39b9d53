//! What an endpoint answers, and Zoho's error envelopes.

use serde_json::{Value, json};

/// One HTTP answer, before it is written.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// The HTTP status.
    pub(crate) status: u16,
    /// Headers beyond those that every answer carries.
    pub(crate) headers: Vec<(String, String)>,
    /// The body.
    pub(crate) body: Content,
}

/// A body and its type.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// `application/json;charset=UTF-8`, written already.
    Json(String),
    /// `text/html`: what a gateway in front of Zoho sends.
    Html(String),
    /// No body at all, as with 204.
    Empty,
}

impl Answer {
    /// A JSON answer.
    pub(crate) fn json(status: u16, body: Value) -> Self {
        Self::written(status, body.to_string())
    }

    /// An answer whose JSON is written already.
    pub(crate) fn written(status: u16, json: String) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Content::Json(json),
        }
    }

    /// An answer without a body.
    pub(crate) fn empty(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Content::Empty,
        }
    }

    /// A page of HTML.
    pub(crate) fn html(status: u16, page: impl Into<String>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Content::Html(page.into()),
        }
    }

    /// Zoho's first envelope: the error object at the top level (module, view, scope, method, URL, parameters).
    pub(crate) fn error(status: u16, code: &str, details: Value, message: &str) -> Self {
        Self::json(status, entry(code, details, message))
    }

    /// The same answer with one more header.
    pub(crate) fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    /// The bare answer that Zoho gives with `status` when nothing more is known.
    pub(crate) fn plain(status: u16) -> Self {
        match status {
            204 | 404 => Self::empty(status),
            401 => Self::error(401, "INVALID_TOKEN", json!({}), "invalid oauth token"),
            429 => Self::error(
                429,
                "TOO_MANY_REQUESTS",
                json!({}),
                "too many requests. please try again after some time",
            ),
            502 | 504 => Self::html(
                status,
                format!(
                    "<html><head><title>{status}</title></head><body><center><h1>{status} Bad Gateway</h1></center><hr><center>ZGS</center></body></html>"
                ),
            ),
            503 => Self::error(
                503,
                "SERVICE_UNAVAILABLE",
                json!({}),
                "Service temporarily unavailable",
            ),
            _ => Self::error(status, "INTERNAL_ERROR", json!({}), "Internal Server Error"),
        }
    }
}

/// The error object itself; it stands at the top level or in `data`.
pub(crate) fn entry(code: &str, details: Value, message: &str) -> Value {
    json!({"code": code, "details": details, "message": message, "status": "error"})
}
