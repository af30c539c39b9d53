//! Stands in for Lambda's event source mapping between SQS and a worker: receives messages, invokes the worker, deletes
//! the messages that it handled.

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, QueueAttributeName};
use serde_json::{Value, json};

use super::moto::{Moto, REGION};
use super::rie::Rie;

/// How often a message is received before SQS moves it to the dead-letter queue, as in the template.
pub(crate) const MAX_RECEIVE_COUNT: usize = 5;

/// Lambda's default batch size.
const BATCH_SIZE: i32 = 10;

/// One invocation of the worker.
#[derive(Debug)]
pub(crate) struct Invocation {
    /// The number of messages in the batch.
    pub(crate) records: usize,
    /// The ids of messages that stay in the queue.
    pub(crate) failed: Vec<String>,
}

/// A queue with its dead-letter queue, and a mapping from it to a worker.
#[derive(Debug)]
pub(crate) struct Poller {
    client: Client,
    /// The queue.
    pub(crate) url: String,
    arn: String,
    dead_letters: String,
    /// Every invocation so far.
    pub(crate) invocations: Vec<Invocation>,
}

impl Poller {
    /// Makes a queue and its dead-letter queue.
    pub(crate) async fn start(moto: &Moto, name: &str) -> Self {
        let client = Client::new(&moto.sdk_config());
        let dead_letters = moto.create_queue(&format!("{name}-dead")).await;
        let redrive = json!({
            "deadLetterTargetArn": arn(&client, &dead_letters).await,
            "maxReceiveCount": MAX_RECEIVE_COUNT,
        });
        let url = moto.create_queue(name).await;
        client
            .set_queue_attributes()
            .queue_url(&url)
            .attributes(QueueAttributeName::RedrivePolicy, redrive.to_string())
            .send()
            .await
            .expect("a redrive policy");
        let arn = arn(&client, &url).await;
        Self {
            client,
            url,
            arn,
            dead_letters,
            invocations: Vec::new(),
        }
    }

    /// Sends a message; returns its id.
    pub(crate) async fn put(&self, body: &str) -> String {
        let sent = self.client.send_message().queue_url(&self.url);
        let sent = sent.message_body(body).send().await.expect("sent");
        sent.message_id.expect("an id")
    }

    /// Waits some seconds for messages and invokes the worker with them. Returns whether there were any.
    pub(crate) async fn poll(&mut self, worker: &Rie, wait_s: i32) -> bool {
        let batch = self.receive(&self.url, wait_s).await;
        if batch.is_empty() {
            return false;
        }
        let records: Vec<Value> = batch.iter().map(|message| self.record(message)).collect();
        let answer = worker.invoke(&json!({"Records": records})).await;
        let ids: Vec<&str> = batch.iter().filter_map(Message::message_id).collect();
        let named = answer["batchItemFailures"].as_array().map(|failures| {
            let named = failures
                .iter()
                .filter_map(|failure| failure["itemIdentifier"].as_str());
            named.collect::<Vec<_>>()
        });
        let failed: Vec<&str> = match named {
            Some(named) if named.iter().all(|id| ids.contains(id)) => named,
            // If a function fails, or names an id that is not in the batch, Lambda keeps the whole batch.
            Some(_) | None => ids.clone(),
        };
        for message in &batch {
            let handle = message.receipt_handle().expect("a handle");
            if message.message_id().is_some_and(|id| failed.contains(&id)) {
                // As if the visibility timeout had passed.
                let change = self.client.change_message_visibility();
                let change = change.queue_url(&self.url).receipt_handle(handle);
                change.visibility_timeout(0).send().await.expect("changed");
            } else {
                let delete = self.client.delete_message().queue_url(&self.url);
                delete.receipt_handle(handle).send().await.expect("deleted");
            }
        }
        let failed = failed.into_iter().map(str::to_owned).collect();
        self.invocations.push(Invocation {
            records: batch.len(),
            failed,
        });
        true
    }

    /// Returns the bodies of the messages in the dead-letter queue.
    pub(crate) async fn dead_letters(&self) -> Vec<String> {
        let dead = self.receive(&self.dead_letters, 0).await;
        dead.into_iter()
            .filter_map(|message| message.body)
            .collect()
    }

    async fn receive(&self, url: &str, wait_s: i32) -> Vec<Message> {
        let received = self
            .client
            .receive_message()
            .queue_url(url)
            .max_number_of_messages(BATCH_SIZE)
            .wait_time_seconds(wait_s)
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .send()
            .await;
        received.expect("moto answers").messages.unwrap_or_default()
    }

    /// Returns a message as Lambda passes it on.
    fn record(&self, message: &Message) -> Value {
        let attributes = message.attributes().into_iter().flatten();
        let attributes: serde_json::Map<String, Value> = attributes
            .map(|(name, value)| (name.as_str().to_owned(), json!(value)))
            .collect();
        json!({
            "messageId": message.message_id(),
            "receiptHandle": message.receipt_handle(),
            "body": message.body(),
            "attributes": attributes,
            "messageAttributes": {},
            "md5OfBody": message.md5_of_body(),
            "eventSource": "aws:sqs",
            "eventSourceARN": self.arn,
            "awsRegion": REGION,
        })
    }
}

async fn arn(client: &Client, url: &str) -> String {
    let request = client.get_queue_attributes().queue_url(url);
    let request = request.attribute_names(QueueAttributeName::QueueArn);
    let answer = request.send().await.expect("moto answers");
    let attributes = answer.attributes.expect("attributes");
    attributes[&QueueAttributeName::QueueArn].clone()
}
