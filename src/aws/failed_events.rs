//! The queue of events that an asynchronous invocation could not process.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName;
use tokio::sync::OnceCell;

use super::failure::AwsFailure;

const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
const TOTAL_TIMEOUT: Duration = Duration::from_secs(30);

/// Messages in one request; SQS's limit.
const MESSAGES_PER_REQUEST: i32 = 10;

/// How long SQS looks for messages on all of its servers, in seconds. Without it, it looks on a few.
const WAIT: i32 = 2;

/// How long a received message is hidden from others, in seconds.
const HIDDEN: i32 = 300;

/// A message of the queue.
#[derive(Clone)]
pub struct FailedEventMessage {
    /// The id of the message.
    pub id: String,
    /// Its body.
    pub body: String,
    receipt: String,
}

/// A request to the queue failed.
#[derive(Debug, thiserror::Error)]
#[error("the queue of failed events cannot be {action} (SQS: {reason})")]
pub struct FailedEventsError {
    action: &'static str,
    reason: String,
}

/// The queue. The AWS configuration is loaded with the first request.
#[derive(Debug)]
pub struct FailedEvents {
    queue_url: String,
    config: Option<SdkConfig>,
    client: OnceCell<Client>,
}

impl FailedEvents {
    /// The queue with this URL, with the AWS configuration from the environment.
    pub fn new(queue_url: &str) -> Self {
        Self {
            queue_url: queue_url.to_owned(),
            config: None,
            client: OnceCell::new(),
        }
    }

    async fn client(&self) -> &Client {
        let connect = async || {
            let config = self.config.as_ref();
            let config = super::sdk_config(config, ATTEMPT_TIMEOUT, TOTAL_TIMEOUT).await;
            Client::from_conf((&config).into())
        };
        self.client.get_or_init(connect).await
    }

    /// The number of visible messages, roughly.
    ///
    /// # Errors
    /// [`FailedEventsError`]
    pub async fn count(&self) -> Result<usize, FailedEventsError> {
        let name = QueueAttributeName::ApproximateNumberOfMessages;
        let request = self.client().await.get_queue_attributes();
        let request = request.queue_url(&self.queue_url);
        let answer = request.attribute_names(name.clone()).send().await;
        let answer = answer.map_err(|error| FailedEventsError {
            action: "counted",
            reason: AwsFailure::of(&error).reason,
        })?;
        let count = answer.attributes().and_then(|all| all.get(&name));
        Ok(count
            .and_then(|count| count.parse().ok())
            .unwrap_or_default())
    }

    /// Receives messages, and hides them from others for a while. An empty list is the end of the queue.
    ///
    /// # Errors
    /// [`FailedEventsError`]
    pub async fn receive(&self) -> Result<Vec<FailedEventMessage>, FailedEventsError> {
        let request = self.client().await.receive_message();
        let request = request
            .queue_url(&self.queue_url)
            .max_number_of_messages(MESSAGES_PER_REQUEST)
            .wait_time_seconds(WAIT)
            .visibility_timeout(HIDDEN);
        let answer = request.send().await.map_err(|error| FailedEventsError {
            action: "read",
            reason: AwsFailure::of(&error).reason,
        })?;
        let messages = answer.messages.unwrap_or_default().into_iter();
        let messages = messages.filter_map(|message| {
            Some(FailedEventMessage {
                id: message.message_id?,
                body: message.body?,
                receipt: message.receipt_handle?,
            })
        });
        Ok(messages.collect())
    }

    /// Deletes a message.
    ///
    /// # Errors
    /// [`FailedEventsError`]
    pub async fn delete(&self, message: &FailedEventMessage) -> Result<(), FailedEventsError> {
        let request = self.client().await.delete_message();
        let request = request.queue_url(&self.queue_url);
        let deleted = request.receipt_handle(&message.receipt).send().await;
        deleted.map(drop).map_err(|error| FailedEventsError {
            action: "shortened",
            reason: AwsFailure::of(&error).reason,
        })
    }

    /// Makes a received message visible again at once.
    ///
    /// # Errors
    /// [`FailedEventsError`]
    pub async fn put_back(&self, message: &FailedEventMessage) -> Result<(), FailedEventsError> {
        let request = self.client().await.change_message_visibility();
        let request = request.queue_url(&self.queue_url).visibility_timeout(0);
        let changed = request.receipt_handle(&message.receipt).send().await;
        changed.map(drop).map_err(|error| FailedEventsError {
            action: "restored",
            reason: AwsFailure::of(&error).reason,
        })
    }
}

/// The URL in `MASSHOOK_FAILED_EVENTS_QUEUE_URL`.
#[expect(
    clippy::disallowed_methods,
    reason = "the environment names the AWS resources"
)]
pub fn failed_events_queue_url() -> Option<String> {
    let url = std::env::var("MASSHOOK_FAILED_EVENTS_QUEUE_URL").ok();
    url.filter(|url| !url.is_empty())
}
