//! Wake-ups through SQS: delayed messages, each for several jobs.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use futures_util::StreamExt;
use tokio::sync::OnceCell;

use super::failure::AwsFailure;
use crate::job::JobId;
use crate::wakeup::{self, WakeUp, WakeUpFailed, WakeUps};

const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(4);
const TOTAL_TIMEOUT: Duration = Duration::from_secs(12);

/// SQS's longest delay, in seconds. A job that is due later is left to the sweep, which finds it within a minute.
const LONGEST_DELAY: u64 = 900;

/// Jobs in one message. They are driven together, so that equal jobs can share calls.
const JOBS_PER_MESSAGE: usize = 100;

/// Messages in one request; SQS's limit.
const MESSAGES_PER_REQUEST: usize = 10;

/// The number of concurrent requests.
const MAX_CONCURRENT_REQUESTS: usize = 4;

/// How often a message is sent that SQS refuses temporarily.
const MAX_ATTEMPTS: u32 = 3;

/// Wake-ups through one SQS queue. The AWS configuration is loaded with the first wake-up.
#[derive(Debug)]
pub struct SqsWakeUps {
    queue_url: String,
    config: Option<SdkConfig>,
    client: OnceCell<Client>,
}

/// SQS's longest group name.
const LONGEST_GROUP: usize = 128;

/// A message to send.
struct OutgoingMessage {
    group: Option<String>,
    jobs: Vec<JobId>,
    delay: i32,
}

impl SqsWakeUps {
    /// Wake-ups through this queue, with the AWS configuration from the environment.
    pub fn new(queue_url: &str) -> Self {
        Self {
            queue_url: queue_url.to_owned(),
            config: None,
            client: OnceCell::new(),
        }
    }

    /// Wake-ups through this queue, with this AWS configuration.
    pub fn with_config(queue_url: &str, config: SdkConfig) -> Self {
        Self {
            config: Some(config),
            ..Self::new(queue_url)
        }
    }

    async fn connect(&self) -> Client {
        let config = super::sdk_config(self.config.as_ref(), ATTEMPT_TIMEOUT, TOTAL_TIMEOUT).await;
        Client::from_conf((&config).into())
    }

    /// Sends messages in one request, and sends again those that SQS refuses temporarily.
    async fn send(&self, messages: &[OutgoingMessage]) -> Result<(), WakeUpFailed> {
        let client = self.client.get_or_init(|| self.connect()).await;
        let mut remaining: Vec<&OutgoingMessage> = messages.iter().collect();
        for attempt in 1.. {
            let mut request = client.send_message_batch().queue_url(&self.queue_url);
            for (number, message) in remaining.iter().enumerate() {
                let entry = SendMessageBatchRequestEntry::builder()
                    .id(number.to_string())
                    .message_body(wakeup::message(&message.jobs))
                    .set_message_group_id(message.group.clone())
                    .delay_seconds(message.delay)
                    .build();
                let entry =
                    entry.map_err(|error| wake_up_failed(&remaining, error.to_string(), false))?;
                request = request.entries(entry);
            }
            let sent = match request.send().await {
                Ok(sent) => sent,
                // The SDK has retried several times already.
                Err(error) => {
                    let AwsFailure { reason, retryable } = AwsFailure::of(&error);
                    return Err(wake_up_failed(&remaining, reason, retryable));
                }
            };
            let Some(first) = sent.failed().first() else {
                return Ok(());
            };
            let reason = first.code().to_owned();
            let is_permanent = sent.failed().iter().all(|failed| failed.sender_fault());
            let failed = sent.failed().iter();
            remaining = failed
                .filter_map(|failed| remaining.get(failed.id().parse::<usize>().ok()?).copied())
                .collect();
            if is_permanent || attempt >= MAX_ATTEMPTS {
                return Err(wake_up_failed(&remaining, reason, !is_permanent));
            }
            tokio::time::sleep(Duration::from_millis(100 << attempt)).await;
        }
        Ok(())
    }
}

#[async_trait]
impl WakeUps for SqsWakeUps {
    async fn wake(&self, wake_ups: &[WakeUp]) -> Result<(), WakeUpFailed> {
        let messages = messages(wake_ups);
        let mut sending = Vec::new();
        for messages in messages.chunks(MESSAGES_PER_REQUEST) {
            sending.push(self.send(messages));
        }
        let failures: Vec<WakeUpFailed> = futures_util::stream::iter(sending)
            .buffer_unordered(MAX_CONCURRENT_REQUESTS)
            .filter_map(|sent| std::future::ready(sent.err()))
            .collect()
            .await;
        let combine = |one: WakeUpFailed, other: WakeUpFailed| WakeUpFailed {
            jobs: one.jobs + other.jobs,
            retryable: one.retryable || other.retryable,
            ..one
        };
        failures.into_iter().reduce(combine).map_or(Ok(()), Err)
    }
}

/// Groups jobs with the same delay and connection into messages. Delays are rounded up, because a job that is woken early is
/// not driven. The connection is the message's group: SQS's fair queues serve the others first while one has a backlog.
fn messages(wake_ups: &[WakeUp]) -> Vec<OutgoingMessage> {
    let mut groups: BTreeMap<(u64, Option<String>), Vec<JobId>> = BTreeMap::new();
    for wake_up in wake_ups {
        let delay = wake_up.delay;
        let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
        if seconds <= LONGEST_DELAY {
            let group = wake_up.connection.clone().filter(|name| is_group(name));
            let jobs = groups.entry((seconds, group)).or_default();
            jobs.push(wake_up.job.clone());
        }
    }
    let mut messages = Vec::new();
    for ((delay, group), jobs) in groups {
        for jobs in jobs.chunks(JOBS_PER_MESSAGE) {
            messages.push(OutgoingMessage {
                group: group.clone(),
                jobs: jobs.to_vec(),
                delay: i32::try_from(delay).unwrap_or_default(),
            });
        }
    }
    messages
}

/// Whether SQS accepts the name of a connection as the name of a group: letters, digits and punctuation.
fn is_group(name: &str) -> bool {
    (1..=LONGEST_GROUP).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic())
}

fn wake_up_failed(messages: &[&OutgoingMessage], reason: String, retryable: bool) -> WakeUpFailed {
    WakeUpFailed {
        jobs: messages.iter().map(|message| message.jobs.len()).sum(),
        reason: format!("SQS: {reason}"),
        retryable,
    }
}
