//! Responses of the HTTP API: jobs, handshakes and problem details.

use ::http::header::{
    ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use ::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::app::Acceptance;
use crate::inbound::rejection::{Rejection, method_list};
use crate::job::JobStatus;
use crate::job::view::JobView;
use webhook_verify::handshake::Handshake;

/// Seconds after which to repeat a request whose jobs are unfinished.
const RETRY_UNFINISHED_AFTER: HeaderValue = HeaderValue::from_static("60");

/// Seconds after which to repeat a request that the service could not handle.
const RETRY_UNAVAILABLE_AFTER: HeaderValue = HeaderValue::from_static("30");

/// Seconds after which to repeat a request that found the server overloaded.
const RETRY_OVERLOADED_AFTER: HeaderValue = HeaderValue::from_static("5");

pub(super) fn handshake_response(handshake: &Handshake) -> Response {
    let mut response = (handshake.status, handshake.body.clone()).into_response();
    let headers = response.headers_mut();
    headers.remove(CONTENT_TYPE);
    if let Some(content_type) = handshake
        .content_type
        .as_deref()
        .and_then(|text| HeaderValue::from_str(text).ok())
    {
        headers.insert(CONTENT_TYPE, content_type);
    }
    headers.extend(handshake.headers.iter().cloned());
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// The response body of an accepted request: complete jobs in inline mode, ids and status of queued jobs otherwise.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AcceptedJobs")]
pub struct AcceptedBody {
    /// The jobs; none if the route ignores the delivery.
    jobs: Vec<AcceptedJob>,
    /// Why the route makes no jobs of the delivery.
    #[serde(skip_serializing_if = "Option::is_none")]
    ignored: Option<String>,
}

/// A job of an accepted request.
#[derive(Serialize, JsonSchema)]
struct AcceptedJob {
    #[serde(flatten)]
    job: ShownJob,
    /// The path of the job.
    status_url: String,
}

#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
enum ShownJob {
    /// In inline mode.
    Driven(Box<JobView>),
    /// In durable mode.
    Queued {
        /// The job's id.
        id: String,
        /// The status.
        status: JobStatus,
    },
}

impl AcceptedBody {
    /// The body under the base path `base`.
    pub fn of(accepted: &Acceptance, base: &str) -> Self {
        let is_driven = matches!(accepted, Acceptance::Driven(_));
        let ignored = match accepted {
            Acceptance::Ignored(reason) => Some(reason.to_string().replace('`', "")),
            Acceptance::Driven(_) | Acceptance::Queued(_) => None,
        };
        let jobs = accepted.jobs().iter().map(|job| AcceptedJob {
            status_url: format!("{base}/jobs/{}", job.id),
            job: match is_driven {
                true => ShownJob::Driven(Box::new(JobView::of(job))),
                false => ShownJob::Queued {
                    id: job.id.to_string(),
                    status: job.status(),
                },
            },
        });
        Self {
            jobs: jobs.collect(),
            ignored,
        }
    }
}

/// The response to an accepted request: 202 for queued jobs, 200 for finished ones. In inline mode an unfinished job gives 503
/// with `Retry-After`; the repeated request finds the same job and continues it.
pub(super) fn accepted_response(accepted: &Acceptance, base: &str) -> Response {
    let jobs = match accepted {
        Acceptance::Ignored(_) => {
            return json_response(StatusCode::OK, &AcceptedBody::of(accepted, base));
        }
        Acceptance::Queued(jobs) if jobs.is_empty() => {
            return json_response(StatusCode::OK, &AcceptedBody::of(accepted, base));
        }
        Acceptance::Queued(_) => {
            return json_response(StatusCode::ACCEPTED, &AcceptedBody::of(accepted, base));
        }
        Acceptance::Driven(jobs) => jobs,
    };
    if jobs.iter().all(|job| job.status().is_final()) {
        return json_response(StatusCode::OK, &AcceptedBody::of(accepted, base));
    }
    let mut response = json_response(
        StatusCode::SERVICE_UNAVAILABLE,
        &AcceptedBody::of(accepted, base),
    );
    response
        .headers_mut()
        .insert(RETRY_AFTER, RETRY_UNFINISHED_AFTER);
    response
}

/// A response with a JSON document.
pub(crate) fn json_response(status: StatusCode, body: &impl Serialize) -> Response {
    let body = serde_json::to_string(body).expect("all keys are strings");
    let content_type = HeaderValue::from_static("application/json");
    (status, [(CONTENT_TYPE, content_type)], body).into_response()
}

/// Marks a response that reports a failure of the store. An extension of responses.
#[derive(Clone, Copy, Debug)]
pub struct StoreOutage;

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        log_rejection(&self);
        if let Self::Unverified { bare: true, .. } = self {
            return self.status().into_response();
        }
        let mut response = (self.status(), self.problem().to_string()).into_response();
        for (name, value) in problem_headers(&self) {
            response.headers_mut().insert(name, value);
        }
        if matches!(self, Self::Store(_)) {
            response.extensions_mut().insert(StoreOutage);
        }
        response
    }
}

/// The headers of the response to a rejection.
pub fn problem_headers(rejection: &Rejection) -> Vec<(HeaderName, HeaderValue)> {
    let content_type = HeaderValue::from_static("application/problem+json");
    let mut headers = vec![(CONTENT_TYPE, content_type)];
    if matches!(
        rejection,
        Rejection::Overloaded(_) | Rejection::ServerFull(_)
    ) {
        headers.push((RETRY_AFTER, RETRY_OVERLOADED_AFTER));
    } else if rejection.status() == StatusCode::SERVICE_UNAVAILABLE {
        headers.push((RETRY_AFTER, RETRY_UNAVAILABLE_AFTER));
    }
    if matches!(rejection, Rejection::Unauthorized) {
        headers.push((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")));
    }
    if let Rejection::MethodNotAllowed { allowed } = rejection {
        // An endpoint that takes no method has an empty header.
        let methods = HeaderValue::from_str(&method_list(allowed));
        headers.extend(methods.ok().map(|methods| (ALLOW, methods)));
    }
    // The client has not sent its request in time, or will not be understood.
    if matches!(
        rejection,
        Rejection::RequestTimeout | Rejection::HttpVersion
    ) {
        headers.push((CONNECTION, HeaderValue::from_static("close")));
    }
    headers
}

/// Keys of update requests, which the log may quote.
const KEYS: [&str; 16] = [
    "module",
    "fields",
    "ids",
    "match",
    "field",
    "value",
    "values",
    "cvid",
    "view",
    "territory",
    "tags",
    "owner",
    "create",
    "update_by",
    "reference",
    "callback_url",
];

/// An error without what it quotes of the body: the log contains no personal data.
fn without_values(mut error: Value) -> Value {
    if let Some(Value::String(detail)) = error.get_mut("detail")
        && let Some((before, rest)) = detail.split_once('`')
        && let Some((quoted, after)) = rest.rsplit_once('`')
        && !KEYS.contains(&quoted)
    {
        *detail = format!("{before}`…`{after}");
    }
    if let Some(Value::String(pointer)) = error.get_mut("pointer") {
        let is_name = |part: &str| {
            part.chars()
                .all(|part| part.is_ascii_alphanumeric() || part == '_')
        };
        let parts = pointer
            .split('/')
            .map(|part| if is_name(part) { part } else { "…" });
        *pointer = parts.collect::<Vec<_>>().join("/");
    }
    error
}

/// Logs a refused request. Each entry point calls it once per rejection.
pub fn log_rejection(rejection: &Rejection) {
    let (status, code) = (rejection.status().as_u16(), rejection.code());
    match rejection.internal() {
        Some(internal) => tracing::error!(
            http.status = status,
            code,
            "{status} refused: {rejection}: {internal}"
        ),
        None => {
            let hint = rejection.log_hint();
            let hint = hint.map_or(String::new(), |hint| format!("; {hint}"));
            let errors: Vec<Value> = rejection.errors().into_iter().map(without_values).collect();
            let errors = (!errors.is_empty()).then(|| Value::Array(errors).to_string());
            tracing::warn!(
                http.status = status,
                code,
                errors,
                "{status} refused: {rejection}{hint}"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::without_values;

    #[test]
    fn logged_error_quotes_no_value() {
        for (error, logged) in [
            (
                json!({"pointer": "/ids/0", "detail": "`a`b@example.com` is not an id: 1 to 19 digits"}),
                json!({"pointer": "/ids/0", "detail": "`…` is not an id: 1 to 19 digits"}),
            ),
            (
                json!({"pointer": "/fields/ada@example.com", "detail": "no name"}),
                json!({"pointer": "/fields/…", "detail": "no name"}),
            ),
            (
                json!({"pointer": "", "detail": "`module` is missing"}),
                json!({"pointer": "", "detail": "`module` is missing"}),
            ),
        ] {
            assert_eq!(without_values(error), logged);
        }
    }
}
