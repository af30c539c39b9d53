//! Events of EventBridge and SNS. They are asynchronous: no caller waits for the response.

use jiff::Timestamp;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use super::InvokeError;
use crate::api::{accepted_json, log_rejection};
use crate::app::{App, EventOutcome};
use crate::inbound::AwsEvent;

/// Handles events and reports their jobs. An event that must be redelivered fails the invocation: Lambda retries it twice
/// and then moves it to the function's dead-letter queue.
pub(super) async fn handle(
    app: &App,
    events: &[AwsEvent],
    deadline: Option<Timestamp>,
) -> Result<Box<RawValue>, InvokeError> {
    let (mut jobs, mut ignored, mut kept, mut failed) = (Vec::new(), 0, 0, None);
    for outcome in app.handle_events(events, deadline).await {
        match outcome {
            Ok(outcome) => {
                log_unmapped(&outcome);
                ignored += usize::from(outcome.is_ignored());
                kept += outcome.dead_letters.len();
                if outcome.accepted.needs_redelivery() {
                    failed = Some(InvokeError::Unfinished);
                }
                if let Value::Array(more) = accepted_json(&outcome.accepted)["jobs"].take() {
                    jobs.extend(more);
                }
            }
            Err(rejection) => {
                log_rejection(&rejection);
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

/// Logs the routes that could not map an event; a dead letter is stored for each.
pub(super) fn log_unmapped(outcome: &EventOutcome) {
    outcome.dead_letters.values().for_each(log_rejection);
}
