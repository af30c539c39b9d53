//! The Lambda function: reads the trigger from the shape of an event, and handles the event.

mod base_path;
mod error;
mod event_bridge;
mod events;
mod failed_invocation;
mod http;
mod invocation;
mod publish;
mod query;
mod sns;
mod sqs;

use std::collections::BTreeMap;
use std::sync::Arc;

use ::http::Request;
use axum::Router;
use axum::body::Body;
use jiff::Timestamp;
use lambda_runtime::{Context, LambdaEvent};
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};
use tower::ServiceExt;
use tracing::Instrument;
use tracing::field::Empty;

use crate::api::{
    AcceptedBody, InvocationDeadline, log_rejection, parse_update_request, router, xray_trace_id,
};
use crate::app::{Acceptance, App, HookResponse};
use crate::inbound::InboundRequest;
use crate::inbound::rejection::Rejection;
use crate::metrics::NO_ROUTE;
use crate::metrics::emf::EmfSettings;
use crate::trigger::Trigger;
pub use error::InvokeError;
pub use failed_invocation::FailedInvocation;
pub use http::HttpEvent;
pub use invocation::Invocation;
use publish::Publisher;
pub use sqs::SqsMessage;
use sqs::WakeUpQueue;
use webhook_verify::handshake::Handshake;

/// The Lambda function over an app.
#[derive(Debug)]
pub struct Function {
    app: Arc<App>,
    http: Router,
    wake_up_queue: Option<WakeUpQueue>,
    publisher: Option<Publisher>,
}

impl Function {
    /// Creates the function. `queue_url` names the queue of the app's wake-ups, if it has one. Messages of any other queue
    /// are events for routes.
    pub fn new(app: Arc<App>, queue_url: Option<&str>) -> Self {
        Self {
            http: router(app.clone()),
            app,
            wake_up_queue: queue_url.and_then(WakeUpQueue::from_url),
            publisher: None,
        }
    }

    /// Publishes the facts of each invocation as log lines, which go to `write`. The app's
    /// [`Metrics`](crate::metrics::Metrics) must collect them.
    #[must_use]
    pub fn with_metrics(
        self,
        settings: EmfSettings,
        write: impl Fn(&str) + Send + Sync + 'static,
    ) -> Self {
        let publisher = Some(Publisher::new(settings, write));
        Self { publisher, ..self }
    }

    /// Handles one invocation.
    ///
    /// # Errors
    /// [`InvokeError`]. HTTP events never fail the invocation: their errors are responses with problem details.
    pub async fn invoke(
        &self,
        event: LambdaEvent<Box<RawValue>>,
    ) -> Result<Box<RawValue>, InvokeError> {
        let LambdaEvent { payload, context } = event;
        let invocation = Invocation::parse(&payload)?;
        let kind = invocation.kind();
        let span = tracing::info_span!(
            "invocation",
            kind,
            // The name that AWS gives it in its own lines.
            requestId = context.request_id,
            delivery.id = Empty,
            xray.trace_id = context.xray_trace_id.as_deref().and_then(xray_trace_id)
        );
        let answer = self.handle(invocation, &context).instrument(span).await;
        if let Some(publisher) = &self.publisher {
            publisher.publish(&self.app, kind, &context);
        }
        answer
    }

    async fn handle(
        &self,
        invocation: Invocation,
        context: &Context,
    ) -> Result<Box<RawValue>, InvokeError> {
        let deadline = i64::try_from(context.deadline)
            .ok()
            .and_then(|at| Timestamp::from_millisecond(at).ok());
        // Boxed, because the runtime moves the future of an invocation several times.
        match invocation {
            Invocation::Http(event) => self.handle_http(event, deadline).await,
            Invocation::UpdateRequest(request) => {
                let request_id = context.request_id.as_str();
                Box::pin(self.handle_update_request(&request, request_id, deadline)).await
            }
            Invocation::AwsEvents(events) => {
                Box::pin(events::handle(&self.app, &events, deadline)).await
            }
            Invocation::SqsBatch(messages) => {
                let queue = self.wake_up_queue.as_ref();
                let handling = sqs::handle_batch(&self.app, queue, &messages, deadline);
                Ok(to_raw_value(&Box::pin(handling).await)?)
            }
            Invocation::Sweep => Box::pin(self.sweep(deadline)).await,
            Invocation::Delivery(arrival) => {
                Box::pin(self.handle_delivery(arrival, deadline)).await
            }
        }
    }

    async fn handle_http(
        &self,
        event: HttpEvent,
        deadline: Option<Timestamp>,
    ) -> Result<Box<RawValue>, InvokeError> {
        let respond = async |mut request: Request<Body>| {
            if let Some(deadline) = deadline {
                request
                    .extensions_mut()
                    .insert(InvocationDeadline(deadline));
            }
            match self.http.clone().oneshot(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            }
        };
        event.respond(respond).await
    }

    /// Handles an update request. A retry of the invocation has the same request id and therefore finds the same job.
    async fn handle_update_request(
        &self,
        request: &RawValue,
        request_id: &str,
        deadline: Option<Timestamp>,
    ) -> Result<Box<RawValue>, InvokeError> {
        let jobs = match parse_update_request(request.get().as_bytes()) {
            Ok(request) => {
                let (key, trigger) = (Some(request_id), Trigger::Direct);
                self.app.request(&request, key, trigger, deadline).await
            }
            Err(rejection) => Err(rejection),
        };
        let jobs = jobs.inspect_err(|rejection| {
            self.app.count_refusal(NO_ROUTE, Trigger::Direct, rejection);
        });
        jobs_response(jobs)
    }

    async fn handle_delivery(
        &self,
        arrival: InboundRequest,
        deadline: Option<Timestamp>,
    ) -> Result<Box<RawValue>, InvokeError> {
        match self.app.deliver(arrival, deadline).await {
            Ok(HookResponse::Delivery { accepted, .. }) => jobs_response(Ok(accepted)),
            Ok(HookResponse::Handshake(handshake)) => handshake_response(&handshake),
            Err(rejection) => jobs_response(Err(rejection)),
        }
    }

    /// Drives all due jobs.
    async fn sweep(&self, deadline: Option<Timestamp>) -> Result<Box<RawValue>, InvokeError> {
        let driven = self
            .app
            .sweep(deadline)
            .await
            .map_err(|error| InvokeError::Rejected(Rejection::Store(error)))?;
        if let Some(publisher) = &self.publisher {
            publisher.observe_store(&self.app).await;
        }
        Ok(to_raw_value(&json!({"driven": driven.len()}))?)
    }
}

fn jobs_response(accepted: Result<Acceptance, Rejection>) -> Result<Box<RawValue>, InvokeError> {
    match accepted {
        Ok(accepted) => Ok(to_raw_value(&AcceptedBody::of(&accepted, ""))?),
        Err(rejection) => {
            log_rejection(&rejection);
            Err(InvokeError::Rejected(rejection))
        }
    }
}

fn handshake_response(handshake: &Handshake) -> Result<Box<RawValue>, InvokeError> {
    let headers = handshake.headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes());
        (name.as_str(), value)
    });
    let headers: BTreeMap<_, _> = headers.collect();
    Ok(to_raw_value(
        &json!({"answer": handshake.body, "headers": headers}),
    )?)
}
