//! Events of EventBridge and SNS. They are asynchronous: no caller waits for the response.

use jiff::Timestamp;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use super::InvokeError;
use crate::api::{AcceptedBody, log_rejection};
use crate::app::{App, EventOutcome};
use crate::inbound::AwsEvent;

/// Handles events and reports their jobs. Events of a pipe that must be redelivered are named in the response, and the pipe
/// retries these alone. Any other one fails the invocation, and the sender retries all; the others are known then.
pub(super) async fn handle(
    app: &App,
    events: &[AwsEvent],
    deadline: Option<Timestamp>,
) -> Result<Box<RawValue>, InvokeError> {
    let (mut jobs, mut ignored, mut kept) = (Vec::new(), 0, 0);
    let (mut failed, mut failures) = (None, Vec::new());
    for (event, outcome) in events.iter().zip(app.handle_events(events, deadline).await) {
        let error = match outcome {
            Ok(outcome) => {
                log_unmapped(&outcome);
                ignored += usize::from(outcome.is_ignored());
                kept += outcome.dead_letters.len();
                if let Value::Array(more) =
                    json!(AcceptedBody::of(&outcome.accepted, ""))["jobs"].take()
                {
                    jobs.extend(more);
                }
                let is_unfinished = outcome.accepted.needs_redelivery();
                is_unfinished.then_some(InvokeError::Unfinished)
            }
            Err(rejection) => {
                log_rejection(&rejection);
                Some(InvokeError::Rejected(rejection))
            }
        };
        match (error, &event.retry_id) {
            (Some(_), Some(id)) => failures.push(json!({"itemIdentifier": id})),
            (Some(error), None) => failed = Some(error),
            (None, _) => {}
        }
    }
    if let Some(error) = failed {
        return Err(error);
    }
    let mut response = json!({"jobs": jobs, "ignored": ignored, "kept": kept});
    if events.iter().any(|event| event.retry_id.is_some()) {
        response["batchItemFailures"] = failures.into();
    }
    Ok(to_raw_value(&response)?)
}

/// Logs the routes that could not map an event; a dead letter is stored for each.
pub(super) fn log_unmapped(outcome: &EventOutcome) {
    for dead_letter in outcome.dead_letters.values() {
        let span = tracing::info_span!("delivery", delivery.id = dead_letter.delivery);
        span.in_scope(|| log_rejection(&dead_letter.rejection));
    }
}
