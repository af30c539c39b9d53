//! Why a request is rejected, and the HTTP status and code of each reason.

mod report;
pub mod short_id;

use http::{Method, StatusCode};

use super::cloud_events::CloudEventError;
use crate::job::JobId;
use crate::mapping::{
    self, EvalError, InvalidJson, NotBoolean, NotOrder, OutputError, Overload, ProgramKey,
};
use crate::secrets::SecretError;
use crate::secrets::location::SecretWriteError;
use crate::store::StoreError;
use crate::trigger::Trigger;
use crate::wakeup::WakeUpFailed;
pub use report::ProblemDetails;
use strict_reader::Problem;
use webhook_verify::body::BodyError;
use webhook_verify::verify::{InvalidSecret, VerifyError};

/// Reason why a secret from a handshake is not enrolled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotEnrolled {
    /// Another secret is enrolled.
    #[error(
        "it has enrolled a secret already, and keeps it; for a new one set `reenroll: true` on the route until the sender has made its handshake, or empty the secret"
    )]
    AlreadyEnrolled,
    /// The secret cannot be a key of the scheme.
    #[error("the secret cannot be used: {0}")]
    Unusable(InvalidSecret),
}

/// What is wrong with a path that does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathHint {
    /// A segment is empty.
    EmptySegment,
    /// `hooks` or `jobs` is not in lower case.
    Case,
}

impl PathHint {
    /// The hint for a path, if it is almost right.
    pub fn of(path: &str) -> Option<Self> {
        let segments: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let first = segments.first()?;
        let is_known = |name: &&str| first.eq_ignore_ascii_case(name);
        let known = ["hooks", "jobs"].into_iter().find(is_known)?;
        if known != *first {
            return Some(Self::Case);
        }
        path.contains("//").then_some(Self::EmptySegment)
    }

    fn text(self) -> &'static str {
        match self {
            Self::EmptySegment => "; this path has two slashes in a row",
            Self::Case => "; paths are case-sensitive",
        }
    }
}

/// A hint for a name that no route can have.
fn name_hint(name: &str) -> &'static str {
    let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    match name.bytes().all(is_valid) {
        true => "",
        false => {
            "; names have letters, digits, hyphens and underscores only: does the URL end in a space or another character?"
        }
    }
}

/// Reason why a request is rejected. Its `Display` text is safe to send to the sender.
#[derive(Debug, thiserror::Error)]
pub enum Rejection {
    /// The route in the path is not in the config.
    #[error("there is no route `{name}` in the config{}", name_hint(name))]
    NoSuchRoute {
        /// The name in the path.
        name: String,
        /// The most similar name in the config, for the log only.
        nearest: Option<String>,
    },
    /// The route exists, but does not listen to the trigger of the request.
    #[error("route `{route}` does not listen to `{trigger}`; add it to the route's `on`")]
    NotListening {
        /// Name of the route.
        route: String,
        /// Trigger of the request.
        trigger: Trigger,
    },
    /// The path does not exist.
    #[error("there is nothing here; hooks are at /hooks/{{route}}, jobs at /jobs{}", .0.map_or("", PathHint::text))]
    NoSuchPath(Option<PathHint>),
    /// The path is not valid UTF-8.
    #[error("the path is not valid UTF-8 once its percent-encoding is decoded")]
    PathInvalid,
    /// The path exists, but does not accept this method.
    #[error(
        "this path does not take that method; it takes {}",
        method_list(allowed)
    )]
    MethodNotAllowed {
        /// The methods that it accepts.
        allowed: Vec<Method>,
    },
    /// The body is too large.
    #[error("the body is larger than {limit} bytes")]
    TooLarge {
        /// Maximum number of bytes.
        limit: usize,
    },
    /// The request has too many headers.
    #[error("the request has {count} headers; at most {limit} are read")]
    TooManyHeaders {
        /// Number of headers.
        count: usize,
        /// Maximum number of headers.
        limit: usize,
    },
    /// The request line and headers are longer than the server reads.
    #[error("the request has too many headers, or too long ones")]
    HeadTooLarge,
    /// The URL is longer than the server reads.
    #[error("the URL is too long")]
    UrlTooLong,
    /// The request was not received completely.
    #[error("the request could not be received: {0}")]
    BodyNotReceived(String),
    /// The request has a version of HTTP that the server does not speak.
    #[error("the server speaks HTTP/1.1 only")]
    HttpVersion,
    /// The request was not complete in time.
    #[error("the request was not complete in time; send it again")]
    RequestTimeout,
    /// The server has no connection or no memory left for the request.
    #[error("the server is overloaded: {0}; send the request again later")]
    ServerFull(&'static str),
    /// The process answers, but does not complete what it has accepted.
    #[error("{0}")]
    Unhealthy(String),
    /// The signature or secret of the request is not valid.
    #[error("{error}")]
    Unverified {
        /// Reason from the verifier.
        error: VerifyError,
        /// Whether the response must have no body, because the sender tests for that.
        bare: bool,
    },
    /// A handshake that hands over a secret is rejected.
    #[error("route `{route}` does not take this handshake: {reason}")]
    HandshakeRefused {
        /// Name of the route.
        route: String,
        /// Reason why the secret is not enrolled.
        reason: NotEnrolled,
    },
    /// The secret from a handshake could not be stored.
    #[error("the secret that was handed over could not be stored; see the log for the reason")]
    SecretNotStored(SecretWriteError),
    /// A subscription could not be confirmed; the sender retries.
    #[error("the subscription could not be confirmed: {0}")]
    Subscription(String),
    /// The bearer key is missing or wrong.
    #[error("this needs the header `Authorization: Bearer` with the key of `api.key`")]
    Unauthorized,
    /// `/jobs` is disabled, because the config has no `api.key`.
    #[error("/jobs is closed: the config has no `api.key`")]
    Closed,
    /// The body does not match its content type, or the type is not supported.
    #[error("{0}")]
    Body(BodyError),
    /// The content type is JSON, but the body is not.
    #[error("the body cannot be read as JSON: {0}")]
    NotJson(InvalidJson),
    /// The route takes CloudEvents, and the request is none.
    #[error("route `{route}` takes CloudEvents, and {error}")]
    NotACloudEvent {
        /// Name of the route.
        route: String,
        /// What is wrong with it.
        error: CloudEventError,
    },
    /// A sender asks for permission to deliver, and the route does not name it.
    #[error(
        "route `{route}` does not allow `{origin}` to deliver; `cloudevents.allowed_origins` names who may"
    )]
    OriginRefused {
        /// Name of the route.
        route: String,
        /// The name of the sender.
        origin: String,
    },
    /// A jq program of the route failed.
    #[error(
        "the `{key}` of route `{route}` failed: {error}{}",
        mapping::advice(error)
    )]
    Mapping {
        /// Name of the route.
        route: String,
        /// The program that failed.
        key: ProgramKey,
        /// Error of the program.
        error: EvalError,
    },
    /// An expression of the route's `when` yields no boolean.
    #[error("the `{key}` of route `{route}` {error}")]
    NotBoolean {
        /// Name of the route.
        route: String,
        /// The expression.
        key: ProgramKey,
        /// What it yields.
        error: NotBoolean,
    },
    /// The route's `order_by` yields no time or number.
    #[error("the `order_by` of route `{route}` {error}")]
    NotOrder {
        /// Name of the route.
        route: String,
        /// What it yields.
        error: NotOrder,
    },
    /// An output of the route's `map` is not an update request.
    #[error("what the `map` of route `{route}` yields is not an update request")]
    Unmappable {
        /// Name of the route.
        route: String,
        /// The errors of each output.
        outputs: Vec<OutputError>,
    },
    /// The update request is not valid.
    #[error("this is not an update request")]
    Invalid(Vec<Problem>),
    /// A request to the playground names no event, or programs that cannot be run.
    #[error("the playground cannot run this: {0}")]
    PlaygroundInput(String),
    /// A sample delivery cannot be signed.
    #[error("no sample can be sent: {0}")]
    SampleNotSigned(String),
    /// The callback URL is not allowed.
    #[error("the callback URL is refused: {0}")]
    Callback(String),
    /// The idempotency key was used for a different request.
    #[error("the idempotency key was used for another request, job {0}")]
    KeyReused(JobId),
    /// The idempotency key is empty, too long or has other characters.
    #[error("`Idempotency-Key` must be 1 to 255 visible ASCII characters")]
    KeyInvalid,
    /// The config has several connections, and none is called `default`.
    #[error(
        "the config has several connections and none called `default`, so this request has nowhere to go"
    )]
    NoConnection,
    /// A parameter of the query, or a key of the body, cannot be used.
    #[error("the parameter `{parameter}` {detail}")]
    InvalidParameter {
        /// The parameter.
        parameter: String,
        /// What is wrong with it.
        detail: String,
        /// The values or names that are allowed, if there are few.
        allowed: Vec<&'static str>,
    },
    /// The delivery does not exist.
    #[error("there is no delivery `{0}`{hint}", hint = short_id::hint(.0, "dlv_"))]
    NoSuchDelivery(String),
    /// A shortened id means several entries.
    #[error("`{id}` is the beginning of several ids: {}", candidates.join(", "))]
    AmbiguousId {
        /// The shortened id.
        id: String,
        /// The first ids that begin with it.
        candidates: Vec<String>,
    },
    /// The state of a job or a delivery does not allow the operation.
    #[error("{0}")]
    NotPossible(String),
    /// An operation on all matching entries finds another number of them.
    #[error("{found} entries match and not {expected}, so nothing was done")]
    CountDiffers {
        /// The number that the caller expects.
        expected: usize,
        /// The number that match.
        found: usize,
    },
    /// The job does not exist.
    #[error("there is no job `{0}`{hint}", hint = short_id::hint(.0, "job_"))]
    NoSuchJob(String),
    /// A secret that the request needs cannot be read.
    #[error("a secret that this needs cannot be read; see the log for its name")]
    Secret(SecretError),
    /// The store failed; no job was accepted.
    #[error("the job store failed, so nothing was accepted; send it again")]
    Store(StoreError),
    /// The threads, the processor or the memory that the mapping needs are not available now.
    #[error("the server is overloaded, so nothing was accepted; send it again: {0}")]
    Overloaded(Overload),
    /// The wake-up queue is full, so the request is not acknowledged. A sweep finds the jobs that are stored.
    #[error("the queue takes nothing more for now, so nothing is acknowledged; send it again")]
    Queue(WakeUpFailed),
    /// The job is stored, but cannot be read.
    #[error(
        "job {id} is stored in a form that this version cannot read; it is not changed; `masshook jobs list --status parked` shows the reason"
    )]
    Unreadable {
        /// The job.
        id: JobId,
        /// Reason from the store.
        reason: String,
    },
    /// The jobs could not be driven: a defect, or a config that does not match the stored jobs.
    #[error("the job could not be driven; it is stored")]
    Drive(String),
    /// The handler of the request panicked: a defect.
    #[error("the request could not be handled because of a defect; the log has the details")]
    Defect,
}

/// The value of the header `Allow`.
pub fn method_list(methods: &[Method]) -> String {
    let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
    names.join(", ")
}

impl Rejection {
    /// The HTTP status and the stable code.
    fn status_and_code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::NoSuchRoute { .. } => (StatusCode::NOT_FOUND, "no_such_route"),
            Self::NotListening { .. } => (StatusCode::NOT_FOUND, "not_listening"),
            Self::NoSuchPath(_) => (StatusCode::NOT_FOUND, "no_such_path"),
            Self::PathInvalid => (StatusCode::BAD_REQUEST, "path_invalid"),
            Self::HttpVersion => (
                StatusCode::HTTP_VERSION_NOT_SUPPORTED,
                "http_version_not_supported",
            ),
            Self::RequestTimeout => (StatusCode::REQUEST_TIMEOUT, "request_timeout"),
            Self::Unhealthy(_) => (StatusCode::SERVICE_UNAVAILABLE, "unhealthy"),
            Self::MethodNotAllowed { .. } => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::InvalidParameter { .. } => (StatusCode::BAD_REQUEST, "invalid_parameter"),
            Self::NoSuchDelivery(_) => (StatusCode::NOT_FOUND, "no_such_delivery"),
            Self::AmbiguousId { .. } => (StatusCode::CONFLICT, "ambiguous_id"),
            Self::NotPossible(_) => (StatusCode::CONFLICT, "not_possible"),
            Self::CountDiffers { .. } => (StatusCode::CONFLICT, "count_differs"),
            Self::NoSuchJob(_) => (StatusCode::NOT_FOUND, "no_such_job"),
            Self::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            Self::UrlTooLong => (StatusCode::URI_TOO_LONG, "url_too_long"),
            Self::TooManyHeaders { .. } | Self::HeadTooLarge => (
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "too_many_headers",
            ),
            Self::BodyNotReceived(_) => (StatusCode::BAD_REQUEST, "body_not_received"),
            Self::Unverified { error, .. } if error.is_transient() => {
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
            }
            Self::Unverified { .. } => (StatusCode::UNAUTHORIZED, "not_verified"),
            Self::HandshakeRefused { .. } => (StatusCode::CONFLICT, "handshake_refused"),
            Self::SecretNotStored(SecretWriteError::Later(..)) => {
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
            }
            Self::SecretNotStored(_) => (StatusCode::INTERNAL_SERVER_ERROR, "secret_unavailable"),
            Self::Subscription(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            Self::Body(BodyError::TooLarge { .. }) => {
                (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large")
            }
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized"),
            Self::Closed => (StatusCode::FORBIDDEN, "api_closed"),
            Self::Body(_) => (StatusCode::UNPROCESSABLE_ENTITY, "body_not_readable"),
            Self::NotACloudEvent { error, .. } if error.is_about_media_type() => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "event_format")
            }
            Self::NotACloudEvent { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "not_a_cloudevent"),
            Self::OriginRefused { .. } => (StatusCode::FORBIDDEN, "origin_refused"),
            Self::NotJson(_) => (StatusCode::UNPROCESSABLE_ENTITY, "body_not_readable"),
            // The config is at fault and not the sender, so the sender should retry.
            Self::Mapping {
                error: EvalError::Compile(_),
                ..
            }
            | Self::NoConnection => (StatusCode::INTERNAL_SERVER_ERROR, "config_broken"),
            Self::KeyInvalid => (StatusCode::BAD_REQUEST, "idempotency_key_invalid"),
            Self::Mapping { .. } | Self::NotBoolean { .. } | Self::NotOrder { .. } => {
                (StatusCode::UNPROCESSABLE_ENTITY, "mapping_failed")
            }
            Self::Unmappable { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "not_mappable"),
            Self::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_update_request"),
            Self::PlaygroundInput(_) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "playground_input_invalid")
            }
            Self::SampleNotSigned(_) => (StatusCode::UNPROCESSABLE_ENTITY, "sample_not_signed"),
            Self::Callback(_) => (StatusCode::UNPROCESSABLE_ENTITY, "callback_refused"),
            Self::KeyReused(_) => (StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused"),
            Self::Secret(SecretError::Later { .. }) | Self::Store(_) | Self::Queue(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
            }
            Self::ServerFull(_) | Self::Overloaded(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "overloaded")
            }
            Self::Unreadable { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "job_unreadable"),
            Self::Secret(SecretError::Unavailable { .. } | SecretError::Malformed { .. }) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "secret_unavailable")
            }
            Self::Drive(_) => (StatusCode::INTERNAL_SERVER_ERROR, "not_driven"),
            Self::Defect => (StatusCode::INTERNAL_SERVER_ERROR, "defect"),
        }
    }

    /// The rejection for a job that the store could not read.
    pub fn of_store(error: StoreError) -> Self {
        match error {
            StoreError::Unreadable { id, reason } => Self::Unreadable { id, reason },
            other @ (StoreError::LeaseLost(_)
            | StoreError::LockLost(_)
            | StoreError::Unavailable(_)
            | StoreError::Failed(_)) => Self::Store(other),
        }
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.status_and_code().0
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        self.status_and_code().1
    }

    /// Whether the body or the route's programs are the cause. Such a delivery can become a dead letter, because a replay
    /// with a corrected config can succeed.
    pub fn is_about_mapping(&self) -> bool {
        matches!(
            self,
            Self::Body(_)
                | Self::NotJson(_)
                | Self::NotACloudEvent { .. }
                | Self::Mapping { .. }
                | Self::NotBoolean { .. }
                | Self::NotOrder { .. }
                | Self::Unmappable { .. }
                | Self::Callback(_)
        )
    }
}
