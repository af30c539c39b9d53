//! Why something that came in is refused, and the one table from there to HTTP.

use http::StatusCode;
use serde_json::{Value, json};

use crate::job::JobId;
use crate::mapping::{self, EvalError, InvalidJson, NotBoolean, OutputError, ProgramKey};
use crate::secrets::SecretError;
use crate::secrets::location::SecretWriteError;
use crate::store::StoreError;
use crate::trigger::Trigger;
use crate::wakeup::WakeUpFailed;
use strict_reader::Problem;
use webhook_verify::body::BodyError;
use webhook_verify::verify::{InvalidSecret, VerifyError};

/// Why a secret from a handshake is not enrolled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotEnrolled {
    /// Another secret is enrolled.
    #[error(
        "it has enrolled a secret already, and keeps it; for a new one set `reenroll: true` on the route until the sender has made its handshake, or empty the secret"
    )]
    AlreadyEnrolled,
    /// It cannot be a key of the scheme.
    #[error("the secret cannot be used: {0}")]
    Unusable(InvalidSecret),
}

/// Why something that came in is refused. `Display` is what the sender may see.
#[derive(Debug, thiserror::Error)]
pub enum Rejection {
    /// The path's route is not in the config.
    #[error("there is no route `{0}` in the config")]
    NoSuchRoute(String),
    /// The route is there, but not for what came.
    #[error("route `{route}` does not listen to `{trigger}`; add it to the route's `on`")]
    NotListening {
        /// Which route.
        route: String,
        /// What brought the delivery.
        trigger: Trigger,
    },
    /// No such path.
    #[error("there is nothing here; hooks are at /hooks/{{route}}, jobs at /jobs")]
    NoSuchPath,
    /// The path is there, but not for this method.
    #[error("this path does not take that method")]
    MethodNotAllowed,
    /// The body is too large.
    #[error("the body is larger than {limit} bytes")]
    TooLarge {
        /// What is allowed.
        limit: usize,
    },
    /// The request has too many headers.
    #[error("the request has {count} headers; at most {limit} are read")]
    TooManyHeaders {
        /// How many.
        count: usize,
        /// What is allowed.
        limit: usize,
    },
    /// What stands before the body is more than the server reads.
    #[error("the request has too many headers, or too long ones")]
    HeadTooLarge,
    /// The URL is longer than the server reads.
    #[error("the URL is too long")]
    UrlTooLong,
    /// The request could not be received whole.
    #[error("the request could not be received: {0}")]
    BodyNotReceived(String),
    /// The signature does not prove where the delivery comes from.
    #[error("{refusal}")]
    Unverified {
        /// Why not.
        refusal: VerifyError,
        /// Whether the sender tests for a refusal without a body.
        bare: bool,
    },
    /// A handshake that hands over a secret is not answered.
    #[error("route `{route}` does not take this handshake: {why}")]
    HandshakeRefused {
        /// Which route.
        route: String,
        /// Why not.
        why: NotEnrolled,
    },
    /// The secret that a handshake brought could not be kept.
    #[error("the secret that was handed over could not be kept; the log says why")]
    SecretNotStored(SecretWriteError),
    /// A subscription could not be confirmed; the sender tries again.
    #[error("the subscription could not be confirmed: {0}")]
    Subscription(String),
    /// The bearer key is missing or wrong.
    #[error("this needs the header `Authorization: Bearer` with the key of `api.key`")]
    Unauthorized,
    /// `/jobs` is closed.
    #[error("/jobs is closed: the config has no `api.key`")]
    Closed,
    /// The body is not what its content type says, or of a type that is not read.
    #[error("{0}")]
    Body(BodyError),
    /// The body is said to be JSON, and is not.
    #[error("the body is not JSON: {0}")]
    NotJson(InvalidJson),
    /// A jq program of the route failed.
    #[error(
        "the `{key}` of route `{route}` failed: {error}{}",
        mapping::advice(error)
    )]
    Mapping {
        /// Which route.
        route: String,
        /// Which program.
        key: ProgramKey,
        /// How.
        error: EvalError,
    },
    /// An expression of the route's `when` yields no boolean.
    #[error("the `{key}` of route `{route}` {error}")]
    NotBoolean {
        /// The route.
        route: String,
        /// The expression.
        key: ProgramKey,
        /// What it yields.
        error: NotBoolean,
    },
    /// An output of the route's mapping is no update request.
    #[error("what the `map` of route `{route}` yields is not an update request")]
    Unmappable {
        /// Which route.
        route: String,
        /// What is wrong with which output.
        outputs: Vec<OutputError>,
    },
    /// The update request itself is wrong.
    #[error("this is not an update request")]
    Invalid(Vec<Problem>),
    /// The callback URL is not acceptable.
    #[error("the callback URL is refused: {0}")]
    Callback(String),
    /// The same idempotency key came with another request.
    #[error("the idempotency key was used for another request, job {0}")]
    KeyReused(JobId),
    /// An idempotency key that can tell nothing apart.
    #[error("`Idempotency-Key` must be 1 to 255 visible ASCII characters")]
    KeyInvalid,
    /// No route names a connection, and none is called `default`.
    #[error(
        "the config has several connections and none called `default`, so this request has nowhere to go"
    )]
    NoConnection,
    /// No such job.
    #[error("there is no job `{0}`")]
    NoSuchJob(String),
    /// A secret that is needed to judge the request cannot be had.
    #[error("a secret that this needs cannot be read; the log says which")]
    Secret(SecretError),
    /// The store failed, so nothing was accepted.
    #[error("the job store failed, so nothing was accepted; send it again")]
    Store(StoreError),
    /// The queue of wake-ups is full, so nothing is acknowledged. What was stored is found by the sweep.
    #[error("the queue takes nothing more for now, so nothing is acknowledged; send it again")]
    Queue(WakeUpFailed),
    /// The job is there, and cannot be read.
    #[error(
        "job {id} is stored in a form that this version cannot read; it stays as it is, and `masshook jobs list --only parked` says why"
    )]
    Unreadable {
        /// The job.
        id: JobId,
        /// What is wrong with it.
        why: String,
    },
    /// A defect, or a config that does not fit the stored jobs.
    #[error("the job could not be driven; it is stored")]
    Drive(String),
}

impl Rejection {
    /// The stable code of a refusal, and the HTTP status that goes with it.
    fn row(&self) -> (StatusCode, &'static str) {
        match self {
            Self::NoSuchRoute(_) => (StatusCode::NOT_FOUND, "no_such_route"),
            Self::NotListening { .. } => (StatusCode::NOT_FOUND, "not_listening"),
            Self::NoSuchPath => (StatusCode::NOT_FOUND, "no_such_path"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::NoSuchJob(_) => (StatusCode::NOT_FOUND, "no_such_job"),
            Self::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            Self::UrlTooLong => (StatusCode::URI_TOO_LONG, "url_too_long"),
            Self::TooManyHeaders { .. } | Self::HeadTooLarge => (
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "too_many_headers",
            ),
            Self::BodyNotReceived(_) => (StatusCode::BAD_REQUEST, "body_not_received"),
            Self::Unverified { refusal, .. } if refusal.is_passing() => {
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
            Self::NotJson(_) => (StatusCode::UNPROCESSABLE_ENTITY, "body_not_readable"),
            // A config that does not hold together is not the sender's fault: it should come again.
            Self::Mapping {
                error: EvalError::Compile(_),
                ..
            }
            | Self::NoConnection => (StatusCode::INTERNAL_SERVER_ERROR, "config_broken"),
            Self::KeyInvalid => (StatusCode::BAD_REQUEST, "idempotency_key_invalid"),
            Self::Mapping { .. } | Self::NotBoolean { .. } => {
                (StatusCode::UNPROCESSABLE_ENTITY, "mapping_failed")
            }
            Self::Unmappable { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "not_mappable"),
            Self::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_update_request"),
            Self::Callback(_) => (StatusCode::UNPROCESSABLE_ENTITY, "callback_refused"),
            Self::KeyReused(_) => (StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused"),
            Self::Secret(SecretError::Later { .. }) | Self::Store(_) | Self::Queue(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
            }
            Self::Unreadable { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "job_unreadable"),
            Self::Secret(SecretError::Unavailable { .. } | SecretError::Malformed { .. }) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "secret_unavailable")
            }
            Self::Drive(_) => (StatusCode::INTERNAL_SERVER_ERROR, "not_driven"),
        }
    }

    /// Why the store did not give a job.
    pub fn of_store(error: StoreError) -> Self {
        match error {
            StoreError::Unreadable { id, reason: why } => Self::Unreadable { id, why },
            other @ (StoreError::LeaseLost(_)
            | StoreError::LockLost(_)
            | StoreError::Unavailable(_)
            | StoreError::Failed(_)) => Self::Store(other),
        }
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.row().0
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        self.row().1
    }

    /// Whether a genuine delivery came to nothing because of what it says or of what the route makes of it, so that it is
    /// worth keeping.
    pub fn is_about_mapping(&self) -> bool {
        matches!(
            self,
            Self::Body(_)
                | Self::NotJson(_)
                | Self::Mapping { .. }
                | Self::NotBoolean { .. }
                | Self::Unmappable { .. }
                | Self::Callback(_)
        )
    }

    /// What the log should say beyond what the sender may see.
    pub fn internal(&self) -> Option<String> {
        if let Self::Secret(error) = self {
            Some(error.to_string())
        } else if let Self::SecretNotStored(error) = self {
            Some(error.to_string())
        } else if let Self::Store(error) = self {
            Some(error.to_string())
        } else if let Self::Queue(error) = self {
            Some(error.to_string())
        } else if let Self::Unreadable { why, .. } = self {
            Some(why.clone())
        } else if let Self::Drive(error) = self {
            Some(error.clone())
        } else {
            None
        }
    }

    /// Details for a terminal only, because they may contain personal data.
    pub fn on_terminal(&self) -> Option<String> {
        if let Self::Mapping { error, .. } = self {
            Some(error.details())
        } else {
            None
        }
    }

    /// More about it, over several lines, for the terminal alone: [`Self::on_terminal`], or else all the errors.
    pub fn at_length(&self) -> Option<String> {
        self.on_terminal().or_else(|| {
            let errors: Vec<String> = self.errors().iter().map(Value::to_string).collect();
            (!errors.is_empty()).then(|| errors.join("\n"))
        })
    }

    /// Everything that is wrong, one by one, where there may be several things.
    pub fn errors(&self) -> Vec<Value> {
        if let Self::Unmappable { outputs, .. } = self {
            let error = |output: &OutputError| json!({"output": output.output, "pointer": output.pointer, "detail": output.message});
            outputs.iter().map(error).collect()
        } else if let Self::Invalid(problems) = self {
            let error = |problem: &Problem| json!({"pointer": problem.at.pointer(), "detail": problem.message});
            problems.iter().map(error).collect()
        } else if let Self::Mapping { key, error, .. } = self
            && let Some(location) = error.location()
        {
            let mut found = json!({"program": key.to_string(), "line": location.line, "column": location.column, "text": location.text});
            if let EvalError::Failed(failure) = error
                && let Some(part) = failure.part()
            {
                found["input"] = part.input_shape.clone().into();
            }
            vec![found]
        } else if let Self::Callback(detail) = self {
            vec![json!({"pointer": "/callback_url", "detail": detail})]
        } else {
            Vec::new()
        }
    }

    /// The refusal as RFC 9457 problem details.
    pub fn problem(&self) -> Value {
        let (status, code) = self.row();
        let mut problem = json!({
            "type": format!("urn:masshook:problem:{code}"),
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            "code": code,
            "detail": self.to_string(),
        });
        let errors = self.errors();
        if !errors.is_empty() {
            problem["errors"] = Value::Array(errors);
        }
        problem
    }
}
