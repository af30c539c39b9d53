//! SQS batches: wake-ups from the app's own queue, events for routes from any other queue.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::events::log_unmapped;
use super::sns::SnsNotification;
use crate::api::log_rejection;
use crate::app::App;
use crate::engine::{DriveError, DriveResult};
use crate::inbound::AwsEvent;
use crate::job::JobId;
use crate::trigger::{Origin, Trigger};
use crate::wakeup;

/// One SQS message of a batch.
#[derive(Clone, Deserialize)]
pub struct SqsMessage {
    /// The message id, which identifies the message in the response.
    #[serde(rename = "messageId")]
    pub id: String,
    /// The message body.
    pub body: String,
    #[serde(rename = "eventSourceARN", default)]
    queue: String,
    #[serde(rename = "messageAttributes", default)]
    attributes: BTreeMap<String, SqsAttribute>,
    #[serde(rename = "attributes", default)]
    system_attributes: BTreeMap<String, String>,
}

/// A message attribute. Binary values are in base64.
#[derive(Clone, Deserialize)]
struct SqsAttribute {
    #[serde(rename = "stringValue")]
    string: Option<String>,
    #[serde(rename = "binaryValue")]
    binary: Option<String>,
}

impl std::fmt::Debug for SqsMessage {
    /// Omits the body, which may contain personal data.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("SqsMessage")
            .field("id", &self.id)
            .field("queue", &self.queue)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

impl SqsMessage {
    /// Converts the message to an event. An SNS notification is unwrapped.
    pub fn to_event(&self) -> AwsEvent {
        let mut origin = Origin::of(Trigger::Sqs)
            .with("id", Some(&self.id))
            .with(
                "queue",
                Some(&self.queue)
                    .filter(|queue| !queue.is_empty())
                    .map(String::as_str),
            )
            .with(
                "group",
                self.system_attributes
                    .get("MessageGroupId")
                    .map(String::as_str),
            );
        let attributes = self.attributes.iter().filter_map(|(name, attribute)| {
            let value = attribute.string.as_ref().or(attribute.binary.as_ref())?;
            Some((name.clone(), value.clone()))
        });
        origin.attributes.extend(attributes);
        match SnsNotification::from_sqs_body(&self.body) {
            Some(notification) => notification.into_event(origin),
            None => AwsEvent {
                origin,
                retry_id: None,
                body: Bytes::copy_from_slice(self.body.as_bytes()),
            },
        }
    }

    /// Whether the body has the form of a wake-up. Only messages of the app's own queue are handled as wake-ups.
    pub fn is_wake_up_shaped(&self) -> bool {
        wakeup::parse(&self.body).is_ok()
    }

    fn is_fifo(&self) -> bool {
        self.queue.ends_with(".fifo")
    }
}

/// The queue of the app's wake-ups, as the end of its ARN: account and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WakeUpQueue(String);

impl WakeUpQueue {
    /// Reads account and name from a queue URL such as `https://sqs.<region>.amazonaws.com/<account>/<name>`.
    pub(super) fn from_url(url: &str) -> Option<Self> {
        let mut parts = url.trim_end_matches('/').rsplit('/');
        let (name, account) = (parts.next()?, parts.next()?);
        let is_complete = !name.is_empty() && !account.is_empty();
        is_complete.then(|| Self(format!(":{account}:{name}")))
    }

    /// Whether the message came through this queue, by the ARN `arn:aws:sqs:<region>:<account>:<name>`. The body does
    /// not prove it, because any sender can write such a body to another queue.
    fn is_source_of(&self, message: &SqsMessage) -> bool {
        message.queue.starts_with("arn:") && message.queue.ends_with(&self.0)
    }
}

/// Handles a batch and returns the partial batch response: the messages that stay in their queue.
pub(super) async fn handle_batch(
    app: &App,
    wake_up_queue: Option<&WakeUpQueue>,
    messages: &[SqsMessage],
    deadline: Option<Timestamp>,
) -> Value {
    let is_wake_up =
        |message: &&SqsMessage| wake_up_queue.is_some_and(|queue| queue.is_source_of(message));
    let (wake_ups, events): (Vec<&SqsMessage>, Vec<&SqsMessage>) =
        messages.iter().partition(is_wake_up);
    let mut failed: BTreeSet<&str> = BTreeSet::new();
    if !wake_ups.is_empty() {
        failed.extend(handle_wake_ups(app, &wake_ups, deadline).await);
    }
    if events.iter().any(|message| message.is_fifo()) {
        failed.extend(handle_in_order(app, &events, deadline).await);
    } else if !events.is_empty() {
        failed.extend(handle_events(app, &events, deadline).await);
    }
    // In the order of the batch.
    let failures = messages.iter().map(|message| message.id.as_str());
    let failures: Vec<Value> = failures
        .filter(|id| failed.contains(id))
        .map(|id| json!({"itemIdentifier": id}))
        .collect();
    json!({ "batchItemFailures": failures })
}

/// Handles messages as independent events and returns the failed ones. SQS redelivers those and finally moves them to the
/// queue's dead-letter queue.
async fn handle_events<'a>(
    app: &App,
    messages: &[&'a SqsMessage],
    deadline: Option<Timestamp>,
) -> Vec<&'a str> {
    let events: Vec<AwsEvent> = messages.iter().map(|message| message.to_event()).collect();
    let outcomes = app.handle_events(&events, deadline).await;
    let mut failed = Vec::new();
    for (message, outcome) in messages.iter().zip(outcomes) {
        match outcome {
            Ok(outcome) => {
                log_unmapped(&outcome);
                if outcome.accepted.needs_redelivery() {
                    tracing::warn!(
                        message.id,
                        "time ran out before the message's jobs finished; the message stays in the queue"
                    );
                    failed.push(message.id.as_str());
                }
            }
            Err(rejection) => {
                log_rejection(&rejection);
                failed.push(message.id.as_str());
            }
        }
    }
    failed
}

/// Handles messages one after the other and stops at the first failure, so that no message overtakes an earlier one.
/// Returns the failed message and all after it.
async fn handle_in_order<'a>(
    app: &App,
    messages: &[&'a SqsMessage],
    deadline: Option<Timestamp>,
) -> Vec<&'a str> {
    for (index, message) in messages.iter().enumerate() {
        if !handle_events(app, std::slice::from_ref(message), deadline)
            .await
            .is_empty()
        {
            let remaining = messages.iter().skip(index);
            return remaining.map(|message| message.id.as_str()).collect();
        }
    }
    Vec::new()
}

/// Drives the jobs that wake-ups name and returns the messages to redeliver. A message is done once its jobs were driven,
/// whatever their outcome: the store knows when they are due again.
async fn handle_wake_ups<'a>(
    app: &App,
    messages: &[&'a SqsMessage],
    deadline: Option<Timestamp>,
) -> BTreeSet<&'a str> {
    let mut failed: BTreeSet<&str> = BTreeSet::new();
    let mut jobs: Vec<JobId> = Vec::new();
    let mut messages_of_job: BTreeMap<JobId, Vec<&str>> = BTreeMap::new();
    for message in messages {
        match wakeup::parse(&message.body) {
            Ok(ids) => {
                for id in ids {
                    let sources = messages_of_job.entry(id.clone()).or_default();
                    sources.push(&message.id);
                    jobs.push(id);
                }
            }
            Err(error) => {
                tracing::error!(message.id, "invalid wake-up: the message {error}");
                failed.insert(&message.id);
            }
        }
    }
    match app.run_turn(&jobs, deadline).await {
        Ok(driven) => {
            for DriveResult { id, outcome } in driven {
                // A temporary failure of the store is worth another wake-up. Other failures would repeat.
                if let Err(DriveError::Store(error)) = outcome
                    && error.is_retryable()
                {
                    failed.extend(messages_of_job.get(&id).into_iter().flatten());
                }
            }
        }
        Err(error) => {
            tracing::error!("cannot read due jobs: {error}");
            // The outcome of the jobs is unknown. Waking them twice does no harm.
            if error.is_retryable() {
                failed.extend(messages_of_job.values().flatten());
            }
        }
    }
    failed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(queue: &str) -> SqsMessage {
        let message = json!({"messageId": "1", "body": "x", "eventSourceARN": queue});
        serde_json::from_value(message).expect("a message")
    }

    #[test]
    fn wake_up_queue_matches_account_and_name_only() {
        let own =
            WakeUpQueue::from_url("https://sqs.eu-west-1.amazonaws.com/123456789012/wake-ups");
        let own = own.expect("a queue");
        assert!(own.is_source_of(&message("arn:aws:sqs:eu-west-1:123456789012:wake-ups")));
        for foreign in [
            "arn:aws:sqs:eu-west-1:123456789012:not-wake-ups",
            "arn:aws:sqs:eu-west-1:210987654321:wake-ups",
            "arn:aws:sqs:eu-west-1:123456789012:wake-ups.fifo",
            ":123456789012:wake-ups",
            "",
        ] {
            assert!(!own.is_source_of(&message(foreign)), "{foreign}");
        }
        let local = WakeUpQueue::from_url("http://127.0.0.1:5000/123456789012/wake-ups/");
        assert_eq!(local, Some(own));
        for none in ["", "/", "wake-ups"] {
            assert_eq!(WakeUpQueue::from_url(none), None, "{none}");
        }
    }

    #[test]
    fn debug_output_omits_message_body() {
        let shown = format!("{:?}", message("arn:x"));
        assert!(!shown.contains("\"x\""), "{shown}");
    }
}
