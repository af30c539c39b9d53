//! Everything that uses the AWS SDK: the DynamoDB store, secrets and SQS wake-ups.

pub mod dynamodb;
pub mod failed_events;
mod failure;
mod http_client;
mod parameters;
pub mod secrets;
pub mod wakeups;

use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use url::Url;

use crate::metrics::emf::EmfSettings;
pub use http_client::AwsHttpClient;

/// The SDK's configuration, from the caller or the environment, with time limits of one attempt and of all attempts
/// together.
async fn sdk_config(given: Option<&SdkConfig>, attempt: Duration, total: Duration) -> SdkConfig {
    let config = match given {
        Some(config) => config.clone(),
        None => environment().load().await,
    };
    let timeouts = TimeoutConfig::builder()
        .operation_attempt_timeout(attempt)
        .operation_timeout(total);
    config
        .into_builder()
        .timeout_config(timeouts.build())
        .build()
}

/// Loads the SDK's configuration from the environment and the profile.
fn environment() -> ConfigLoader {
    // A dated version, so that an update of the SDK does not change retries or timeouts.
    aws_config::defaults(BehaviorVersion::v2026_01_12()).http_client(AwsHttpClient::default())
}

/// The SDK's configuration from the environment and the profile, with another region if one is given.
pub async fn config_of_region(region: Option<String>) -> SdkConfig {
    let loader = environment();
    match region {
        Some(region) => loader.region(Region::new(region)).load().await,
        None => loader.load().await,
    }
}

/// Where the Lambda program stores its jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// In memory: each invocation drives its jobs to completion.
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

/// The endpoint of Amazon SNS that replaces the addresses in its messages, from the AWS SDK's environment variables. An empty
/// variable counts as unset.
///
/// # Errors
/// A message, if the variable is not a URL.
#[expect(
    clippy::disallowed_methods,
    reason = "these variables are the AWS SDK's, and requests to SNS do not use the SDK"
)]
pub fn sns_endpoint() -> Result<Option<Url>, String> {
    for name in ["AWS_ENDPOINT_URL_SNS", "AWS_ENDPOINT_URL"] {
        let value = std::env::var(name).ok().filter(|value| !value.is_empty());
        if let Some(value) = value {
            let url =
                Url::parse(&value).map_err(|error| format!("{name} is not a URL: {error}"))?;
            return Ok(Some(url));
        }
    }
    Ok(None)
}

/// Which metrics the Lambda program publishes: those of the namespace in `MASSHOOK_METRICS_NAMESPACE`, none if the variable
/// is unset or empty. `MASSHOOK_METRICS_BY_NAME` is `false` to leave out those of single routes and connections.
#[expect(
    clippy::disallowed_methods,
    reason = "the template sets these variables"
)]
pub fn emf_settings() -> Option<EmfSettings> {
    let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    Some(EmfSettings {
        namespace: set("MASSHOOK_METRICS_NAMESPACE")?,
        by_name: set("MASSHOOK_METRICS_BY_NAME").is_none_or(|value| value != "false"),
    })
}
