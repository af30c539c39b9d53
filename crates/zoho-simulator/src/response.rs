//! Responses of the simulator, and Zoho's error envelopes.

use serde_json::{Value, json};

/// An HTTP response.
#[derive(Clone, Debug)]
pub(crate) struct ApiResponse {
    /// The HTTP status.
    pub(crate) status: u16,
    /// Headers in addition to the standard ones.
    pub(crate) headers: Vec<(String, String)>,
    /// The body.
    pub(crate) body: ResponseBody,
}

/// A response body with its content type.
#[derive(Clone, Debug)]
pub(crate) enum ResponseBody {
    /// `application/json;charset=UTF-8`, serialized.
    Json(String),
    /// `text/html`, as a gateway in front of Zoho sends it.
    Html(String),
    /// No body, as with 204.
    Empty,
}

impl ApiResponse {
    /// A JSON response.
    pub(crate) fn json(status: u16, body: Value) -> Self {
        Self::from_json_text(status, body.to_string())
    }

    /// A response with serialized JSON.
    pub(crate) fn from_json_text(status: u16, json: String) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: ResponseBody::Json(json),
        }
    }

    /// A response without a body.
    pub(crate) fn empty(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: ResponseBody::Empty,
        }
    }

    /// An HTML page.
    pub(crate) fn html(status: u16, page: impl Into<String>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: ResponseBody::Html(page.into()),
        }
    }

    /// An error object at the top level: Zoho's envelope for errors of the module, view, scope, method, URL or parameters.
    pub(crate) fn error(status: u16, code: &str, details: Value, message: &str) -> Self {
        Self::json(status, error_object(code, details, message))
    }

    /// `INVALID_DATA` at the top level.
    pub(crate) fn invalid_data(details: Value) -> Self {
        Self::error(400, "INVALID_DATA", details, "invalid data")
    }

    /// `MANDATORY_NOT_FOUND` at the top level.
    pub(crate) fn missing_field(details: Value) -> Self {
        Self::error(
            400,
            "MANDATORY_NOT_FOUND",
            details,
            "required field not found",
        )
    }

    /// The response to a request that Zoho serves and the simulator does not. It is not one of Zoho's.
    pub(crate) fn not_simulated(details: Value) -> Self {
        Self::error(501, "NOT_SIMULATED", details, "not simulated")
    }

    /// `INVALID_DATA` for a value of the wrong JSON type.
    pub(crate) fn wrong_type(name: &str, path: &str, expected: &str) -> Self {
        let details = json!({"expected_data_type": expected, "api_name": name, "json_path": path});
        Self::invalid_data(details)
    }

    /// Adds a header.
    pub(crate) fn with_header(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    /// Zoho's usual response with this status.
    pub(crate) fn default_for(status: u16) -> Self {
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

/// An error object, for the top level or for `data`.
pub(crate) fn error_object(code: &str, details: Value, message: &str) -> Value {
    json!({"code": code, "details": details, "message": message, "status": "error"})
}

/// A result, or the response that rejects the request.
pub(crate) type EndpointResult<T> = Result<T, Box<ApiResponse>>;

/// Rejects the request with this response.
pub(crate) fn reject<T>(response: ApiResponse) -> EndpointResult<T> {
    Err(Box::new(response))
}
