//! Secrets in AWS Secrets Manager. The client is built on the first fetch, or before it by
//! [`SecretsManager::prepare`].

use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::http::HttpResponse;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::OnceCell;

use super::failure::AwsFailure;
use super::parameters::ParameterStore;
use crate::secrets::{SecretStore, SecretStoreError, SecretVersion, WritableSecrets};

/// Time limits of one attempt and of all attempts together. Without them the SDK would wait until the function times out, and
/// the log would not contain the reason.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(4);
const TOTAL_TIMEOUT: Duration = Duration::from_secs(12);

/// Why a secret could not be fetched, by what the caller can do about it. No variant contains the secret's content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// There is no such secret.
    #[error(
        "secretsmanager:{id} was not found in {region}: create it, or correct the reference (a name, or a full ARN of this region)"
    )]
    NotFound {
        /// The requested name or ARN.
        id: String,
        /// The region of the request.
        region: String,
    },
    /// The secret may exist, but not for these credentials.
    #[error(
        "secretsmanager:{id} may not be read in {region} ({reason}): give this program valid AWS credentials with secretsmanager:GetSecretValue on the secret, and kms:Decrypt if a key of yours encrypts it"
    )]
    AccessDenied {
        /// The requested name or ARN.
        id: String,
        /// The region of the request.
        region: String,
        /// AWS's error code.
        reason: String,
    },
    /// Throttled, timed out, not reachable, or failing on AWS's side. A later retry may succeed.
    #[error("secretsmanager:{id} could not be read in {region} for now ({reason}): try again")]
    Unavailable {
        /// The requested name or ARN.
        id: String,
        /// The region of the request.
        region: String,
        /// What went wrong.
        reason: String,
    },
    /// The reference, the secret's state or its type is wrong. A retry does not help.
    #[error("secretsmanager:{id} cannot be used: {reason}")]
    Invalid {
        /// The requested name or ARN.
        id: String,
        /// What is wrong, and how to fix it.
        reason: String,
    },
}

impl SecretError {
    /// Whether the same fetch may succeed a little later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

/// A client of AWS Secrets Manager and of Parameter Store. The AWS configuration is loaded with the first
/// [`SecretsManager::get`], or by [`SecretsManager::prepare`]. The SDK's environment variables (region, credentials,
/// `AWS_ENDPOINT_URL`, `AWS_ENDPOINT_URL_SECRETS_MANAGER`) apply.
#[derive(Debug, Default)]
pub struct SecretsManager {
    config: Option<SdkConfig>,
    client: OnceCell<Client>,
    parameters: ParameterStore,
}

impl SecretsManager {
    /// A client with the AWS configuration from the environment.
    pub fn new() -> Self {
        Self::default()
    }

    /// A client with this AWS configuration.
    pub fn with_config(config: SdkConfig) -> Self {
        Self {
            parameters: ParameterStore::with_config(config.clone()),
            config: Some(config),
            client: OnceCell::new(),
        }
    }

    /// Loads the AWS configuration and builds the client, which the first fetch does otherwise. Fetches nothing.
    pub async fn prepare(&self) {
        self.client.get_or_init(|| self.connect()).await;
    }

    /// Fetches the current value of a secret. `id` is its name or full ARN. A binary secret must be UTF-8.
    ///
    /// # Errors
    /// [`SecretError`]. Its message contains the reference and the fix, and never the content.
    pub async fn get(&self, id: &str) -> Result<SecretString, SecretError> {
        let client = self.client.get_or_init(|| self.connect()).await;
        let Some(region) = client.config().region() else {
            return Err(invalid(id, "no AWS region is set; set AWS_REGION"));
        };
        let secret = match client.get_secret_value().secret_id(id).send().await {
            Ok(secret) => secret,
            Err(error) => return Err(classify(id, region.as_ref(), &error)),
        };
        if let Some(text) = secret.secret_string {
            return Ok(text.into());
        }
        let Some(bytes) = secret.secret_binary else {
            return Err(invalid(id, "it has no value; put one into it"));
        };
        match String::from_utf8(bytes.into_inner()) {
            Ok(text) => Ok(text.into()),
            Err(_) => Err(invalid(id, "it is binary and not UTF-8; store it as text")),
        }
    }

    async fn connect(&self) -> Client {
        let config = super::sdk_config(self.config.as_ref(), ATTEMPT_TIMEOUT, TOTAL_TIMEOUT).await;
        Client::from_conf((&config).into())
    }
}

#[async_trait]
impl SecretStore for SecretsManager {
    async fn get(&self, name: &str) -> Result<SecretString, SecretStoreError> {
        Self::get(self, name)
            .await
            .map_err(|error| SecretStoreError {
                why: error.to_string(),
                transient: error.is_retryable(),
            })
    }

    fn writable(&self) -> Option<&dyn WritableSecrets> {
        Some(self)
    }

    fn parameters(&self) -> Option<&dyn SecretStore> {
        Some(&self.parameters)
    }
}

/// AWS's error codes for a missing secret and for an existing one.
const NOT_FOUND: &str = "ResourceNotFoundException";
const EXISTS: &str = "ResourceExistsException";

#[async_trait]
impl WritableSecrets for SecretsManager {
    async fn current(&self, name: &str) -> Result<Option<SecretVersion>, SecretStoreError> {
        let client = self.client.get_or_init(|| self.connect()).await;
        match client.get_secret_value().secret_id(name).send().await {
            Ok(secret) => Ok(Some(SecretVersion {
                id: secret.version_id.unwrap_or_default(),
                value: secret.secret_string.unwrap_or_default().into(),
            })),
            Err(error) if error.code() == Some(NOT_FOUND) => Ok(None),
            Err(error) => Err(request_failed(
                name,
                "secretsmanager:GetSecretValue",
                &error,
            )),
        }
    }

    /// Writes a version with its id as `ClientRequestToken`. AWS documents that a request fails if its token belongs to a version
    /// with other content. Of several writers with one id, exactly one succeeds.
    async fn put(&self, name: &str, version: &SecretVersion) -> Result<bool, SecretStoreError> {
        let client = self.client.get_or_init(|| self.connect()).await;
        let value = version.value.expose_secret();
        let put = client
            .put_secret_value()
            .secret_id(name)
            .client_request_token(&version.id)
            .secret_string(value);
        match put.send().await {
            Ok(_) => return Ok(true),
            Err(error) if error.code() == Some(EXISTS) => return Ok(false),
            Err(error) if error.code() == Some(NOT_FOUND) && !name.starts_with("arn:") => {}
            Err(error) => {
                return Err(request_failed(
                    name,
                    "secretsmanager:PutSecretValue",
                    &error,
                ));
            }
        }
        let create = client
            .create_secret()
            .name(name)
            .description("Written by masshook")
            .client_request_token(&version.id)
            .secret_string(value);
        match create.send().await {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Some(EXISTS) => Ok(false),
            Err(error) => {
                let missing = request_failed(name, "secretsmanager:CreateSecret", &error);
                let why = format!("it does not exist; create it. {}", missing.why);
                Err(SecretStoreError { why, ..missing })
            }
        }
    }
}

fn request_failed<E: ProvideErrorMetadata>(
    name: &str,
    action: &str,
    error: &SdkError<E, HttpResponse>,
) -> SecretStoreError {
    let failure = AwsFailure::of(error);
    SecretStoreError {
        why: format!(
            "secretsmanager:{name} ({}): this program needs {action} on it",
            failure.reason
        ),
        transient: failure.retryable,
    }
}

fn invalid(id: &str, reason: &str) -> SecretError {
    SecretError::Invalid {
        id: id.to_owned(),
        reason: reason.to_owned(),
    }
}

/// Classifies a failed fetch by AWS's error code, or by the HTTP status if there is none. AWS's message is left out, because it
/// may repeat the request.
fn classify(
    id: &str,
    region: &str,
    error: &SdkError<GetSecretValueError, HttpResponse>,
) -> SecretError {
    let id = id.to_owned();
    let region = region.to_owned();
    let status = error
        .raw_response()
        .map_or(0, |response| response.status().as_u16());
    match error {
        SdkError::ServiceError(_) => {
            let reason = error.code().map_or(format!("HTTP {status}"), str::to_owned);
            match reason.as_str() {
                "ResourceNotFoundException" => SecretError::NotFound { id, region },
                "InvalidRequestException" => SecretError::Invalid {
                    id,
                    reason: "AWS refuses to read it in its present state, as when it is marked for deletion; restore it"
                        .to_owned(),
                },
                "InvalidParameterException" | "ValidationException" => SecretError::Invalid {
                    id,
                    reason: "AWS does not accept the reference; write the secret's name or its full ARN".to_owned(),
                },
                "ThrottlingException" | "Throttling" | "TooManyRequestsException" | "RequestLimitExceeded" => {
                    SecretError::Unavailable { id, region, reason }
                }
                "DecryptionFailure" => SecretError::AccessDenied { id, region, reason },
                _ if status >= 500 || status == 429 => {
                    SecretError::Unavailable { id, region, reason }
                }
                // The remaining codes mean refused credentials: AccessDeniedException,
                // UnrecognizedClientException, ExpiredTokenException, InvalidSignatureException, and so on.
                _ => SecretError::AccessDenied { id, region, reason },
            }
        }
        SdkError::ConstructionFailure(_) => SecretError::Invalid {
            id,
            reason: "the request could not be built; check the reference and AWS's environment variables".to_owned(),
        },
        // Neither a connection failure nor a timeout: the request was not sent, usually because credentials are missing.
        SdkError::DispatchFailure(failure) if !failure.is_io() && !failure.is_timeout() => {
            SecretError::AccessDenied {
                id,
                region,
                reason: "no usable AWS credentials or endpoint".to_owned(),
            }
        }
        SdkError::TimeoutError(_) => SecretError::Unavailable {
            id,
            region,
            reason: "timed out".to_owned(),
        },
        SdkError::DispatchFailure(_) => SecretError::Unavailable {
            id,
            region,
            reason: "not reachable".to_owned(),
        },
        SdkError::ResponseError(_) | _ => SecretError::Unavailable {
            id,
            region,
            reason: "unreadable answer".to_owned(),
        },
    }
}
