//! Secrets in SSM Parameter Store, as SecureString parameters. The client is built on the first fetch.

use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_ssm::Client;
use aws_sdk_ssm::error::ProvideErrorMetadata;
use aws_sdk_ssm::types::ParameterType;
use secrecy::SecretString;
use tokio::sync::OnceCell;

use super::failure::AwsFailure;
use crate::secrets::{SecretStore, SecretStoreError};

/// Time limits of one attempt and of all attempts together.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(4);
const TOTAL_TIMEOUT: Duration = Duration::from_secs(12);

/// A client of Parameter Store. The AWS configuration is loaded with the first parameter. The SDK's environment variables apply,
/// such as `AWS_ENDPOINT_URL_SSM`.
#[derive(Debug, Default)]
pub(super) struct ParameterStore {
    config: Option<SdkConfig>,
    client: OnceCell<Client>,
}

impl ParameterStore {
    /// A client with this AWS configuration.
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
    /// Returns the decrypted value of a parameter. `name` is its name or ARN, optionally with `:VERSION` or `:LABEL`. Only a
    /// SecureString is accepted, because other types are stored unencrypted.
    async fn get(&self, name: &str) -> Result<SecretString, SecretStoreError> {
        let client = self.client.get_or_init(|| self.connect()).await;
        let region = client.config().region();
        let region = region.map_or("no region (set AWS_REGION)".to_owned(), ToString::to_string);
        let permanent = |why: String| SecretStoreError {
            why,
            transient: false,
        };
        let request = client.get_parameter().name(name).with_decryption(true);
        let found = request.send().await.map_err(|error| match error.code() {
            Some("ParameterNotFound" | "ParameterVersionNotFound") => permanent(format!(
                "there is no such parameter in {region}: create it as a SecureString, or correct the reference"
            )),
            Some("ValidationException") => {
                permanent("AWS does not accept the reference; write the parameter's name or its ARN".to_owned())
            }
            _ => {
                let failure = AwsFailure::of(&error);
                let why = format!(
                    "{} in {region}: this program needs valid AWS credentials with ssm:GetParameter on it, and kms:Decrypt if a key of yours encrypts it",
                    failure.reason
                );
                SecretStoreError {
                    why,
                    transient: failure.retryable,
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
            return Err(permanent(format!(
                "it is a {kind}, which is not encrypted: store it as a SecureString"
            )));
        }
        let value = parameter.value.filter(|value| !value.is_empty());
        value
            .map(SecretString::from)
            .ok_or_else(|| permanent("it has no value; put one into it".to_owned()))
    }
}
