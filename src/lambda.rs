//! The Lambda edge: every event that the function may be sent, told apart by its shape.

mod batch;
mod detect;
mod http;
mod sns;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use jiff::Timestamp;
use lambda_runtime::{Diagnostic, LambdaEvent};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::api::{Deadline, accepted_json, log, router, update_request};
use crate::app::rejection::Rejection;
use crate::app::{Accepted, Answered, App, Heard, Notice};
pub use batch::Message;
use batch::OwnQueue;
pub use detect::{Event, detect};
pub use http::HttpEvent;

/// Why an invocation failed. The runtime shows it as `errorType` and `errorMessage`.
#[derive(Debug, thiserror::Error)]
pub enum InvokeError {
    /// The event has no shape that is known here.
    #[error("{0}")]
    UnknownEvent(String),
    /// The event was understood and refused.
    #[error("{}", refused(.0))]
    Rejected(Rejection),
    /// Time ran out before the end of the event's jobs. Lambda tries an event again that nobody waits for.
    #[error("time ran out before the end of the event's jobs; the same event goes on from there")]
    Unfinished,
    /// The answer could not be written.
    #[error("the answer cannot be written as JSON: {0}")]
    Unwritable(#[from] serde_json::Error),
}

fn refused(rejection: &Rejection) -> String {
    let errors = rejection.errors();
    if errors.is_empty() {
        rejection.to_string()
    } else {
        format!("{rejection}: {}", Value::Array(errors))
    }
}

impl From<InvokeError> for Diagnostic {
    fn from(error: InvokeError) -> Self {
        let error_type = match &error {
            InvokeError::UnknownEvent(_) => "unknown_event",
            InvokeError::Rejected(rejection) => rejection.code(),
            InvokeError::Unfinished => "unfinished",
            InvokeError::Unwritable(_) => "unwritable",
        };
        Self {
            error_type: error_type.to_owned(),
            error_message: error.to_string(),
        }
    }
}

/// The function: an app and what it is told of itself.
#[derive(Debug)]
pub struct Function {
    app: Arc<App>,
    http: Router,
    queue: Option<OwnQueue>,
}

impl Function {
    /// The function over an app. `queue_url` names the queue of the app's own wake-ups, if it has one: messages of any
    /// other queue are events for routes.
    pub fn new(app: Arc<App>, queue_url: Option<&str>) -> Self {
        Self {
            http: router(app.clone()),
            app,
            queue: queue_url.and_then(OwnQueue::of_url),
        }
    }

    /// Answers one invocation.
    ///
    /// # Errors
    /// [`InvokeError`]; HTTP events are always answered, with problem details if need be.
    pub async fn invoke(
        &self,
        event: LambdaEvent<Box<RawValue>>,
    ) -> Result<Box<RawValue>, InvokeError> {
        let LambdaEvent { payload, context } = event;
        let deadline = i64::try_from(context.deadline)
            .ok()
            .and_then(|at| Timestamp::from_millisecond(at).ok());
        let app = &self.app;
        // Between two invocations the process is frozen, its steady clock perhaps with it.
        app.store().resumed();
        match detect(&payload)? {
            Event::Http(event) => {
                let answer = async |mut request: ::http::Request<axum::body::Body>| {
                    if let Some(deadline) = deadline {
                        request.extensions_mut().insert(Deadline(deadline));
                    }
                    match self.http.clone().oneshot(request).await {
                        Ok(response) => response,
                        Err(never) => match never {},
                    }
                };
                event.answer(answer).await
            }
            Event::Update(request) => {
                let request = update_request(request.get().as_bytes());
                let jobs = match request {
                    Ok(request) => {
                        let key = Some(context.request_id.as_str());
                        app.request(&request, key, deadline).await
                    }
                    Err(rejection) => Err(rejection),
                };
                answer(jobs)
            }
            Event::Notices(notices) => self.hear(&notices, deadline).await,
            Event::Queue(messages) => Ok(to_raw_value(
                &batch::answer(self, &messages, deadline).await,
            )?),
            Event::Sweep => {
                let driven = app
                    .run_turn(&[], deadline)
                    .await
                    .map_err(|error| InvokeError::Rejected(Rejection::Store(error)))?;
                Ok(to_raw_value(&json!({"driven": driven.len()}))?)
            }
            Event::Delivery(arrival) => match app.deliver(arrival, deadline).await {
                Ok(Answered::Delivery(accepted, _)) => answer(Ok(accepted)),
                Ok(Answered::Handshake(handshake)) => {
                    let headers = handshake.headers.iter().map(|(name, value)| {
                        let value = String::from_utf8_lossy(value.as_bytes());
                        (name.as_str(), value)
                    });
                    let headers: BTreeMap<_, _> = headers.collect();
                    Ok(to_raw_value(
                        &json!({"answer": handshake.body, "headers": headers}),
                    )?)
                }
                Err(rejection) => answer(Err(rejection)),
            },
        }
    }

    /// Takes events to their routes. Nobody waits for the answer: an event that has to come again is an error, and Lambda
    /// tries it twice more before it goes to the function's dead letters.
    async fn hear(
        &self,
        notices: &[Notice],
        deadline: Option<Timestamp>,
    ) -> Result<Box<RawValue>, InvokeError> {
        let (mut jobs, mut ignored, mut kept, mut failed) = (Vec::new(), 0, 0, None);
        for outcome in self.app.hear(notices, deadline).await {
            match outcome {
                Ok(heard) => {
                    log_kept(&heard);
                    ignored += usize::from(heard.is_ignored());
                    kept += heard.kept.len();
                    if heard.accepted.needs_redelivery() {
                        failed = Some(InvokeError::Unfinished);
                    }
                    if let Value::Array(more) = accepted_json(&heard.accepted)["jobs"].take() {
                        jobs.extend(more);
                    }
                }
                Err(rejection) => {
                    log(&rejection);
                    failed = Some(InvokeError::Rejected(rejection));
                }
            }
        }
        match failed {
            Some(error) => Err(error),
            None => Ok(to_raw_value(
                &json!({"jobs": jobs, "ignored": ignored, "kept": kept}),
            )?),
        }
    }
}

/// Says which routes could not map an event that is kept for them.
fn log_kept(heard: &Heard) {
    heard.kept.values().for_each(log);
}

fn answer(accepted: Result<Accepted, Rejection>) -> Result<Box<RawValue>, InvokeError> {
    match accepted {
        Ok(accepted) => Ok(to_raw_value(&accepted_json(&accepted))?),
        Err(rejection) => {
            log(&rejection);
            Err(InvokeError::Rejected(rejection))
        }
    }
}
