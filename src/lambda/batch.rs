//! Batches of a queue: wake-ups of jobs in our own, events for routes in anybody else's.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::sns::Notification;
use super::{Function, log_kept};
use crate::api::log;
use crate::app::{App, Notice};
use crate::engine::{DriveError, Driven};
use crate::inbound::trigger::{Origin, Trigger};
use crate::job::{JobId, wakeup};

/// One message of a batch.
#[derive(Clone, Deserialize)]
pub struct Message {
    /// Names the message in the answer.
    #[serde(rename = "messageId")]
    pub id: String,
    /// What it says.
    pub body: String,
    #[serde(rename = "eventSourceARN", default)]
    queue: String,
    #[serde(rename = "messageAttributes", default)]
    attributes: BTreeMap<String, Attribute>,
    #[serde(rename = "attributes", default)]
    system: BTreeMap<String, String>,
}

/// An attribute that somebody gave a message; a binary one is in base64.
#[derive(Clone, Deserialize)]
struct Attribute {
    #[serde(rename = "stringValue")]
    string: Option<String>,
    #[serde(rename = "binaryValue")]
    binary: Option<String>,
}

impl std::fmt::Debug for Message {
    /// Without what it says: that is people's data.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Message")
            .field("id", &self.id)
            .field("queue", &self.queue)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

impl Message {
    /// The event that the message stands for. A notification of SNS is taken out of its envelope.
    pub fn notice(&self) -> Notice {
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
                self.system.get("MessageGroupId").map(String::as_str),
            );
        let attributes = self.attributes.iter().filter_map(|(name, attribute)| {
            let value = attribute.string.as_ref().or(attribute.binary.as_ref())?;
            Some((name.clone(), value.clone()))
        });
        origin.attributes.extend(attributes);
        match Notification::around(&self.body) {
            Some(notification) => notification.notice(origin),
            None => Notice {
                origin,
                body: Bytes::copy_from_slice(self.body.as_bytes()),
            },
        }
    }

    /// Whether the message has the form of a wake-up. Only our own queue's are taken for one.
    pub fn looks_like_a_wake_up(&self) -> bool {
        wakeup::parse(&self.body).is_ok()
    }

    fn is_ordered(&self) -> bool {
        self.queue.ends_with(".fifo")
    }
}

/// The queue that carries our own wake-ups: its account and its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OwnQueue(String);

impl OwnQueue {
    /// The queue of a URL, `https://sqs.<region>.amazonaws.com/<account>/<name>` or the like.
    pub(super) fn of_url(url: &str) -> Option<Self> {
        let mut parts = url.trim_end_matches('/').rsplit('/');
        let (name, account) = (parts.next()?, parts.next()?);
        let named = !name.is_empty() && !account.is_empty();
        named.then(|| Self(format!(":{account}:{name}")))
    }

    /// Whether the message came through it, by its ARN: `arn:aws:sqs:<region>:<account>:<name>`. The shape of a message
    /// proves nothing, as anybody may write what they like into a queue of their own.
    fn carries(&self, message: &Message) -> bool {
        message.queue.starts_with("arn:") && message.queue.ends_with(&self.0)
    }
}

/// Answers a batch: with the messages that stay in their queue.
pub(super) async fn answer(
    function: &Function,
    messages: &[Message],
    deadline: Option<Timestamp>,
) -> Value {
    let own = |message: &&Message| {
        let queue = function.queue.as_ref();
        queue.is_some_and(|queue| queue.carries(message))
    };
    let (wake_ups, events): (Vec<&Message>, Vec<&Message>) = messages.iter().partition(own);
    let app = &function.app;
    let mut failed: BTreeSet<&str> = BTreeSet::new();
    if !wake_ups.is_empty() {
        failed.extend(wake(app, &wake_ups, deadline).await);
    }
    if events.iter().any(|message| message.is_ordered()) {
        failed.extend(in_order(app, &events, deadline).await);
    } else if !events.is_empty() {
        failed.extend(hear(app, &events, deadline).await);
    }
    // In the order of the batch.
    let failures = messages.iter().map(|message| message.id.as_str());
    let failures: Vec<Value> = failures
        .filter(|id| failed.contains(id))
        .map(|id| json!({"itemIdentifier": id}))
        .collect();
    json!({ "batchItemFailures": failures })
}

/// Takes events to their routes, each on its own. Those that failed stay in the queue, which in the end puts them among its
/// dead letters.
async fn hear<'a>(
    app: &App,
    messages: &[&'a Message],
    deadline: Option<Timestamp>,
) -> Vec<&'a str> {
    let notices: Vec<Notice> = messages.iter().map(|message| message.notice()).collect();
    let heard = app.hear(&notices, deadline).await;
    let mut failed = Vec::new();
    for (message, outcome) in messages.iter().zip(heard) {
        match outcome {
            Ok(heard) => {
                log_kept(&heard);
                if heard.accepted.needs_redelivery() {
                    tracing::warn!(
                        message.id,
                        "time ran out before the end of the message's jobs; it stays in the queue"
                    );
                    failed.push(message.id.as_str());
                }
            }
            Err(rejection) => {
                log(&rejection);
                failed.push(message.id.as_str());
            }
        }
    }
    failed
}

/// One event after the other, up to the first that fails: what comes after it must not overtake it.
async fn in_order<'a>(
    app: &App,
    messages: &[&'a Message],
    deadline: Option<Timestamp>,
) -> Vec<&'a str> {
    for (place, message) in messages.iter().enumerate() {
        if !hear(app, std::slice::from_ref(message), deadline)
            .await
            .is_empty()
        {
            let left = messages.iter().skip(place);
            return left.map(|message| message.id.as_str()).collect();
        }
    }
    Vec::new()
}

/// Drives the jobs of a batch of wake-ups. Messages that could not be used stay in the queue, each on its own; the others
/// are done with, whatever became of their jobs: the store knows when those are due again.
async fn wake<'a>(
    app: &App,
    messages: &[&'a Message],
    deadline: Option<Timestamp>,
) -> BTreeSet<&'a str> {
    let mut failed: BTreeSet<&str> = BTreeSet::new();
    let mut jobs: Vec<JobId> = Vec::new();
    let mut waking: BTreeMap<JobId, Vec<&str>> = BTreeMap::new();
    for message in messages {
        match wakeup::parse(&message.body) {
            Ok(ids) => {
                for id in ids {
                    waking.entry(id.clone()).or_default().push(&message.id);
                    jobs.push(id);
                }
            }
            Err(error) => {
                tracing::error!(message.id, "a message of the queue {error}");
                failed.insert(&message.id);
            }
        }
    }
    match app.run_turn(&jobs, deadline).await {
        Ok(driven) => {
            for Driven { id, outcome } in driven {
                // What the store could not do now is worth another wake-up; anything else would fail again.
                if let Err(DriveError::Store(error)) = outcome
                    && error.is_retryable()
                {
                    failed.extend(waking.get(&id).into_iter().flatten());
                }
            }
        }
        Err(error) => {
            tracing::error!("what is due cannot be read: {error}");
            // Nobody knows what became of the jobs either. Waking them twice does no harm.
            if error.is_retryable() {
                failed.extend(waking.values().flatten());
            }
        }
    }
    failed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(queue: &str) -> Message {
        let message = json!({"messageId": "1", "body": "x", "eventSourceARN": queue});
        serde_json::from_value(message).expect("a message")
    }

    #[test]
    fn our_own_queue_is_known_by_its_account_and_name() {
        let own = OwnQueue::of_url("https://sqs.eu-west-1.amazonaws.com/123456789012/wake-ups");
        let own = own.expect("a queue");
        assert!(own.carries(&message("arn:aws:sqs:eu-west-1:123456789012:wake-ups")));
        for foreign in [
            "arn:aws:sqs:eu-west-1:123456789012:not-wake-ups",
            "arn:aws:sqs:eu-west-1:210987654321:wake-ups",
            "arn:aws:sqs:eu-west-1:123456789012:wake-ups.fifo",
            ":123456789012:wake-ups",
            "",
        ] {
            assert!(!own.carries(&message(foreign)), "{foreign}");
        }
        let local = OwnQueue::of_url("http://127.0.0.1:5000/123456789012/wake-ups/");
        assert_eq!(local, Some(own));
        for none in ["", "/", "wake-ups"] {
            assert_eq!(OwnQueue::of_url(none), None, "{none}");
        }
    }

    #[test]
    fn what_a_message_says_is_not_printed() {
        let shown = format!("{:?}", message("arn:x"));
        assert!(!shown.contains("\"x\""), "{shown}");
    }
}
