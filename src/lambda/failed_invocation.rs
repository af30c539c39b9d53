//! Events that an asynchronous invocation could not process, as AWS puts them into a queue.

use jiff::Timestamp;
use lambda_runtime::{Context, LambdaEvent};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

use super::sns::SnsNotification;
use super::{Function, Invocation, InvokeError};

/// An event that was not processed, from a function's failure destination or from the dead-letter queue of a rule, a topic or
/// a schedule.
#[derive(Debug)]
pub struct FailedInvocation {
    /// The id of the invocation, or of the message. An update request with the same id is the same job.
    pub request_id: String,
    /// Why it failed, as far as AWS reports it.
    pub reason: Option<String>,
    event: Box<RawValue>,
}

/// The record that Lambda sends to a failure destination.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InvocationRecord<'a> {
    request_context: RequestContext,
    #[serde(borrow)]
    request_payload: &'a RawValue,
    response_payload: Option<ResponsePayload>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext {
    request_id: String,
    condition: String,
}

/// What the function answered; the form is that of an error.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResponsePayload {
    error_message: Option<String>,
}

impl FailedInvocation {
    /// Reads a message of such a queue. Its id identifies an event without a record of an invocation.
    ///
    /// # Errors
    /// [`InvokeError::UnknownEvent`] if the message is not JSON.
    pub fn parse(message_id: &str, body: &str) -> Result<Self, InvokeError> {
        if let Ok(record) = serde_json::from_str::<InvocationRecord<'_>>(body) {
            let RequestContext {
                request_id,
                condition,
            } = record.request_context;
            let error = record
                .response_payload
                .and_then(|error| error.error_message);
            return Ok(Self {
                request_id,
                reason: Some(
                    error.map_or(condition.clone(), |error| format!("{condition}: {error}")),
                ),
                event: record.request_payload.to_owned(),
            });
        }
        let event: &RawValue = serde_json::from_str(body).map_err(|error| {
            InvokeError::unknown_event(format!("the message is not JSON ({error})"))
        })?;
        let event = match SnsNotification::from_sqs_body(body) {
            // As the topic would have invoked the function.
            Some(_) => {
                to_raw_value(&json!({"Records": [{"EventSource": "aws:sns", "Sns": event}]}))?
            }
            None => event.to_owned(),
        };
        Ok(Self {
            request_id: message_id.to_owned(),
            reason: None,
            event,
        })
    }

    /// The kind of the event.
    ///
    /// # Errors
    /// [`InvokeError::UnknownEvent`] if the event cannot be processed again: it is of no known kind, or its sender has
    /// waited for an answer.
    pub fn kind(&self) -> Result<&'static str, InvokeError> {
        let invocation = Invocation::parse(&self.event)?;
        let kind = invocation.kind();
        match invocation {
            Invocation::AwsEvents(_) | Invocation::Delivery(_) | Invocation::UpdateRequest(_) => {
                Ok(kind)
            }
            Invocation::Http(_) | Invocation::SqsBatch(_) | Invocation::Sweep => {
                Err(InvokeError::unknown_event(format!(
                    "the event is of the kind {kind}, which is never invoked asynchronously"
                )))
            }
        }
    }
}

impl Function {
    /// Processes a failed event again, until `deadline`.
    ///
    /// # Errors
    /// [`InvokeError`]
    pub async fn invoke_again(
        &self,
        failed: &FailedInvocation,
        deadline: Timestamp,
    ) -> Result<Box<RawValue>, InvokeError> {
        failed.kind()?;
        let mut context = Context::default();
        context.request_id.clone_from(&failed.request_id);
        context.deadline = u64::try_from(deadline.as_millisecond()).unwrap_or_default();
        let event = failed.event.clone();
        self.invoke(LambdaEvent::new(event, context)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_of_destination_yields_its_event() {
        let record = json!({
            "version": "1.0",
            "timestamp": "2026-11-14T18:16:05.568Z",
            "requestContext": {"requestId": "r-1", "functionArn": "arn:aws:lambda:eu-west-1:1:function:f:live",
                "condition": "RetriesExhausted", "approximateInvokeCount": 3},
            "requestPayload": {"route": "nightly"},
            "responseContext": {"statusCode": 200, "executedVersion": "7", "functionError": "Unhandled"},
            "responsePayload": {"errorType": "Store", "errorMessage": "the store does not answer"}
        });
        let failed = FailedInvocation::parse("m-1", &record.to_string()).expect("a record");
        assert_eq!(failed.request_id, "r-1");
        assert_eq!(
            failed.reason.as_deref(),
            Some("RetriesExhausted: the store does not answer")
        );
        assert_eq!(failed.event.get(), r#"{"route":"nightly"}"#);
        assert_eq!(failed.kind().ok(), Some("delivery"));

        let mut aged = record;
        aged["requestContext"]["condition"] = json!("EventAgeExceeded");
        for response in [json!(null), json!({"any": 1})] {
            aged["responsePayload"] = response;
            let failed = FailedInvocation::parse("m-1", &aged.to_string()).expect("a record");
            assert_eq!(failed.reason.as_deref(), Some("EventAgeExceeded"));
        }
    }

    #[test]
    fn message_of_dead_letter_queue_is_the_event() {
        for (body, kind) in [
            (
                json!({"detail-type": "t", "source": "s", "detail": {}}),
                "events",
            ),
            (
                json!({"Type": "Notification", "MessageId": "n", "TopicArn": "arn:aws:sns:eu-west-1:1:t", "Message": "{}"}),
                "events",
            ),
            (json!({"route": "nightly"}), "delivery"),
            (
                json!({"module": "Leads", "fields": {}, "ids": ["1"]}),
                "update_request",
            ),
        ] {
            let failed = FailedInvocation::parse("m-1", &body.to_string()).expect("an event");
            assert_eq!(failed.kind().ok(), Some(kind), "{body}");
            assert_eq!((failed.request_id.as_str(), failed.reason), ("m-1", None));
        }
    }

    #[test]
    fn events_that_are_never_asynchronous_are_refused() {
        assert!(FailedInvocation::parse("m", "lost").is_err());
        for body in [
            json!({"sweep": true}),
            json!({"Records": [{"eventSource": "aws:sqs", "messageId": "1", "body": "x"}]}),
            json!({"any": 1}),
        ] {
            let failed = FailedInvocation::parse("m", &body.to_string()).expect("JSON");
            assert!(failed.kind().is_err(), "{body}");
        }
    }
}
