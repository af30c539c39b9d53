//! SSM Parameter Store: secrets as SecureString parameters. Nothing is built before the first fetch.

use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_ssm::Client;
use aws_sdk_ssm::error::ProvideErrorMetadata;
use aws_sdk_ssm::types::ParameterType;
use secrecy::SecretString;
use tokio::sync::OnceCell;

use crate::secrets::{Missing, SecretStore};

/// How long one attempt, and all attempts together, may take.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(4);
const TOTAL_TIMEOUT: Duration = Duration::from_secs(12);

/// The door to Parameter Store. Making one costs nothing: the AWS configuration and the client come with the first
/// parameter. The SDK's own environment variables count, as `AWS_ENDPOINT_URL_SSM`.
#[derive(Debug, Default)]
pub(super) struct ParameterStore {
    config: Option<SdkConfig>,
    client: OnceCell<Client>,
}

impl ParameterStore {
    /// Takes its configuration from the caller.
    pub(super) fn with_config(config: SdkConfig) -> Self {
        Self {
            config: Some(config),
            client: OnceCell::new(),
        }
    }

    async fn connect(&self) -> Client {
        let config = super::sdk_config(self.config.as_ref(), ATTEMPT_TIMEOUT, TOTAL_TIMEOUT).await;
        Client::from_conf((&config).into())
    }
}

#[async_trait]
impl SecretStore for ParameterStore {
    /// The parameter's value, decrypted; `name` is its name or its ARN, with `:VERSION` or `:LABEL` if need be. Only a
    /// SecureString counts: whatever else stands in Parameter Store, everybody may read who may list it.
    async fn get(&self, name: &str) -> Result<SecretString, Missing> {
        let client = self.client.get_or_init(|| self.connect()).await;
        let region = client.config().region();
        let region = region.map_or("no region (set AWS_REGION)".to_owned(), ToString::to_string);
        let lasting = |why: String| Missing {
            why,
            transient: false,
        };
        let asked = client.get_parameter().name(name).with_decryption(true);
        let found = asked.send().await.map_err(|error| match error.code() {
            Some("ParameterNotFound" | "ParameterVersionNotFound") => lasting(format!(
                "there is no such parameter in {region}: create it as a SecureString, or correct the reference"
            )),
            Some("ValidationException") => {
                lasting("AWS does not take the reference; write the parameter's name or its ARN".to_owned())
            }
            _ => {
                let refusal = super::refusal::of(&error);
                let why = format!(
                    "{} in {region}: this program needs valid AWS credentials with ssm:GetParameter on it, and kms:Decrypt if a key of yours encrypts it",
                    refusal.reason
                );
                Missing {
                    why,
                    transient: refusal.retryable,
                }
            }
        })?;
        let parameter = found
            .parameter
            .unwrap_or_else(|| aws_sdk_ssm::types::Parameter::builder().build());
        if parameter.r#type != Some(ParameterType::SecureString) {
            let kind = parameter
                .r#type
                .map_or("nothing".to_owned(), |kind| kind.as_str().to_owned());
            return Err(lasting(format!(
                "it is a {kind}, which is not encrypted: store it as a SecureString"
            )));
        }
        let value = parameter.value.filter(|value| !value.is_empty());
        value
            .map(SecretString::from)
            .ok_or_else(|| lasting("it has no value; put one into it".to_owned()))
    }
}
