//! Wake-ups through SQS: messages with a delay, each about several jobs.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use futures_util::StreamExt;
use tokio::sync::OnceCell;

use super::refusal::{self, Refusal};
use crate::job::JobId;
use crate::job::wakeup::{self, WakeUpFailed, WakeUps};

const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(4);
const TOTAL_TIMEOUT: Duration = Duration::from_secs(12);

/// The longest delay that SQS takes, in seconds. A job that is due later is woken too early, found not to be due, and
/// woken again.
const LONGEST_DELAY: u64 = 900;

/// Jobs in one message. They are driven together, so that equal ones can share calls.
const JOBS_PER_MESSAGE: usize = 100;

/// Messages in one request; SQS's limit.
const MESSAGES_PER_REQUEST: usize = 10;

/// Requests that are under way at once.
const REQUESTS_AT_ONCE: usize = 4;

/// How often a message is sent that SQS refuses for the moment.
const TRIES: u32 = 3;

/// Wake-ups in one SQS queue. Making one costs nothing: the AWS configuration and the client come with the first wake-up.
#[derive(Debug)]
pub struct SqsWakeUps {
    queue_url: String,
    config: Option<SdkConfig>,
    client: OnceCell<Client>,
}

/// A message that is to be sent.
struct Outgoing {
    jobs: Vec<JobId>,
    delay: i32,
}

impl SqsWakeUps {
    /// Wake-ups in this queue, with the configuration from the environment.
    pub fn new(queue_url: &str) -> Self {
        Self {
            queue_url: queue_url.to_owned(),
            config: None,
            client: OnceCell::new(),
        }
    }

    /// Wake-ups in this queue, with the configuration from the caller.
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

    /// Sends messages in one request, and those that SQS refuses for the moment again.
    async fn send(&self, messages: &[Outgoing]) -> Result<(), WakeUpFailed> {
        let client = self.client.get_or_init(|| self.connect()).await;
        let mut left: Vec<&Outgoing> = messages.iter().collect();
        for attempt in 1.. {
            let mut request = client.send_message_batch().queue_url(&self.queue_url);
            for (number, message) in left.iter().enumerate() {
                let entry = SendMessageBatchRequestEntry::builder()
                    .id(number.to_string())
                    .message_body(wakeup::message(&message.jobs))
                    .delay_seconds(message.delay)
                    .build();
                let entry = entry.map_err(|error| not_woken(&left, error.to_string(), false))?;
                request = request.entries(entry);
            }
            let sent = match request.send().await {
                Ok(sent) => sent,
                // The SDK has tried several times already.
                Err(error) => {
                    let Refusal { reason, retryable } = refusal::of(&error);
                    return Err(not_woken(&left, reason, retryable));
                }
            };
            let Some(first) = sent.failed().first() else {
                return Ok(());
            };
            let reason = first.code().to_owned();
            let hopeless = sent.failed().iter().all(|failed| failed.sender_fault());
            let failed = sent.failed().iter();
            left = failed
                .filter_map(|failed| left.get(failed.id().parse::<usize>().ok()?).copied())
                .collect();
            if hopeless || attempt >= TRIES {
                return Err(not_woken(&left, reason, !hopeless));
            }
            tokio::time::sleep(Duration::from_millis(100 << attempt)).await;
        }
        Ok(())
    }
}

#[async_trait]
impl WakeUps for SqsWakeUps {
    async fn wake(&self, jobs: &[(JobId, Duration)]) -> Result<(), WakeUpFailed> {
        let messages = messages(jobs);
        let mut sending = Vec::new();
        for messages in messages.chunks(MESSAGES_PER_REQUEST) {
            sending.push(self.send(messages));
        }
        let failures: Vec<WakeUpFailed> = futures_util::stream::iter(sending)
            .buffer_unordered(REQUESTS_AT_ONCE)
            .filter_map(|sent| std::future::ready(sent.err()))
            .collect()
            .await;
        let together = |one: WakeUpFailed, other: WakeUpFailed| WakeUpFailed {
            jobs: one.jobs + other.jobs,
            retryable: one.retryable || other.retryable,
            ..one
        };
        failures.into_iter().reduce(together).map_or(Ok(()), Err)
    }
}

/// The messages: jobs with the same delay share them. Delays are rounded up, for a job that is woken too early has to be
/// woken twice.
fn messages(jobs: &[(JobId, Duration)]) -> Vec<Outgoing> {
    let mut by_delay: BTreeMap<u64, Vec<JobId>> = BTreeMap::new();
    for (id, delay) in jobs {
        let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
        let jobs = by_delay.entry(seconds.min(LONGEST_DELAY)).or_default();
        jobs.push(id.clone());
    }
    let mut messages = Vec::new();
    for (delay, jobs) in by_delay {
        for jobs in jobs.chunks(JOBS_PER_MESSAGE) {
            messages.push(Outgoing {
                jobs: jobs.to_vec(),
                delay: i32::try_from(delay).unwrap_or_default(),
            });
        }
    }
    messages
}

fn not_woken(messages: &[&Outgoing], reason: String, retryable: bool) -> WakeUpFailed {
    WakeUpFailed {
        jobs: messages.iter().map(|message| message.jobs.len()).sum(),
        reason: format!("SQS: {reason}"),
        retryable,
    }
}
