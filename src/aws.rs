//! The only room that names AWS SDK crates.

pub mod jobs;
mod parameters;
mod refusal;
pub mod secrets;
pub mod wakeups;

use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use url::Url;

/// The SDK's configuration: the caller's own, or what the environment says, with a bound on each attempt and on all of
/// them together.
async fn sdk_config(given: Option<&SdkConfig>, attempt: Duration, total: Duration) -> SdkConfig {
    let config = match given {
        Some(config) => config.clone(),
        // A dated version: an update of the SDK must not change retries or timeouts behind our back.
        None => aws_config::load_defaults(BehaviorVersion::v2026_01_12()).await,
    };
    let timeouts = TimeoutConfig::builder()
        .operation_attempt_timeout(attempt)
        .operation_timeout(total);
    config
        .into_builder()
        .timeout_config(timeouts.build())
        .build()
}

/// Where the Lambda program keeps its jobs, as the environment says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nowhere: each invocation sees its jobs through.
    Inline,
    /// In DynamoDB, with wake-ups through SQS.
    Durable {
        /// `MASSHOOK_TABLE`.
        table: String,
        /// `MASSHOOK_QUEUE_URL`.
        queue_url: String,
    },
    /// One of the two variables without the other.
    Incomplete,
}

/// The mode that `MASSHOOK_TABLE` and `MASSHOOK_QUEUE_URL` select. An empty variable counts as unset.
#[expect(
    clippy::disallowed_methods,
    reason = "the environment selects the AWS mode"
)]
pub fn mode() -> Mode {
    let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    match (set("MASSHOOK_TABLE"), set("MASSHOOK_QUEUE_URL")) {
        (None, None) => Mode::Inline,
        (Some(table), Some(queue_url)) => Mode::Durable { table, queue_url },
        (Some(_), None) | (None, Some(_)) => Mode::Incomplete,
    }
}

/// Where Amazon SNS is reached, if not at the addresses that its messages name: the variables of AWS's own SDKs. An empty
/// one counts as unset.
///
/// # Errors
/// What is in it, if that is no URL.
#[expect(
    clippy::disallowed_methods,
    reason = "these variables are the SDK's, for what we ask of SNS without it"
)]
pub fn sns_endpoint() -> Result<Option<Url>, String> {
    for name in ["AWS_ENDPOINT_URL_SNS", "AWS_ENDPOINT_URL"] {
        let value = std::env::var(name).ok().filter(|value| !value.is_empty());
        if let Some(value) = value {
            let url = Url::parse(&value).map_err(|error| format!("{name} is no URL: {error}"))?;
            return Ok(Some(url));
        }
    }
    Ok(None)
}
