//! Secrets Manager: a secret by its name or ARN. Nothing is built before the first fetch, because most events of a warm
//! function, and all of a local one, need no secret from here.

use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::http::HttpResponse;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::OnceCell;

use super::parameters::ParameterStore;
use crate::secrets::{Missing, SecretStore, Version, WritableSecrets};

/// How long one attempt, and all attempts together, may take. The SDK alone would wait until the function's own timeout
/// ends it, and then nobody learns why.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(4);
const TOTAL_TIMEOUT: Duration = Duration::from_secs(12);

/// Why a secret could not be had, by what the caller can do about it. No variant holds any of its content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// There is no such secret.
    #[error(
        "secretsmanager:{id} was not found in {region}: create it, or correct the reference (a name, or a full ARN of this region)"
    )]
    NotFound {
        /// The name or ARN that was asked for.
        id: String,
        /// The region that was asked.
        region: String,
    },
    /// The secret may exist, but not for these credentials.
    #[error(
        "secretsmanager:{id} may not be read in {region} ({reason}): give this program valid AWS credentials with secretsmanager:GetSecretValue on the secret, and kms:Decrypt if a key of yours encrypts it"
    )]
    AccessDenied {
        /// The name or ARN that was asked for.
        id: String,
        /// The region that was asked.
        region: String,
        /// What AWS calls the refusal.
        reason: String,
    },
    /// Throttled, timed out, not reachable, or broken on AWS's side: worth another try later.
    #[error("secretsmanager:{id} could not be read in {region} for now ({reason}): try again")]
    Unavailable {
        /// The name or ARN that was asked for.
        id: String,
        /// The region that was asked.
        region: String,
        /// What went wrong.
        reason: String,
    },
    /// The reference, the secret's state or its kind is wrong; trying again does not help.
    #[error("secretsmanager:{id} cannot be used: {reason}")]
    Invalid {
        /// The name or ARN that was asked for.
        id: String,
        /// What is wrong, and what would be right.
        reason: String,
    },
}

impl SecretError {
    /// Whether the same fetch may work a little later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

/// The door to AWS Secrets Manager, and beside it to Parameter Store. Making one costs nothing: the AWS configuration and the client come with the first
/// [`SecretsManager::get`]. The SDK's own environment variables (region, credentials, `AWS_ENDPOINT_URL`,
/// `AWS_ENDPOINT_URL_SECRETS_MANAGER`) count.
#[derive(Debug, Default)]
pub struct SecretsManager {
    config: Option<SdkConfig>,
    client: OnceCell<Client>,
    parameters: ParameterStore,
}

impl SecretsManager {
    /// Takes its configuration from the environment, on first use.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes its configuration from the caller.
    pub fn with_config(config: SdkConfig) -> Self {
        Self {
            parameters: ParameterStore::with_config(config.clone()),
            config: Some(config),
            client: OnceCell::new(),
        }
    }

    /// Fetches the current value of a secret. `id` is its name or its full ARN. A binary secret is taken if it is UTF-8.
    ///
    /// # Errors
    /// See [`SecretError`]; its message names the reference and what to do, and never the content.
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
    async fn get(&self, name: &str) -> Result<SecretString, Missing> {
        Self::get(self, name).await.map_err(|error| Missing {
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

/// What AWS says when there is no such secret, and when there is one already.
const ABSENT: &str = "ResourceNotFoundException";
const EXISTS: &str = "ResourceExistsException";

#[async_trait]
impl WritableSecrets for SecretsManager {
    async fn current(&self, name: &str) -> Result<Option<Version>, Missing> {
        let client = self.client.get_or_init(|| self.connect()).await;
        match client.get_secret_value().secret_id(name).send().await {
            Ok(secret) => Ok(Some(Version {
                id: secret.version_id.unwrap_or_default(),
                value: secret.secret_string.unwrap_or_default().into(),
            })),
            Err(error) if error.code() == Some(ABSENT) => Ok(None),
            Err(error) => Err(unwritten(name, "secretsmanager:GetSecretValue", &error)),
        }
    }

    /// The id goes out as `ClientRequestToken`. AWS documents that a token which belongs to a version with other content
    /// fails the request, so of several writers with one id one alone succeeds.
    async fn put(&self, name: &str, version: &Version) -> Result<bool, Missing> {
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
            Err(error) if error.code() == Some(ABSENT) && !name.starts_with("arn:") => {}
            Err(error) => return Err(unwritten(name, "secretsmanager:PutSecretValue", &error)),
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
                let missing = unwritten(name, "secretsmanager:CreateSecret", &error);
                let why = format!("it does not exist; create it. {}", missing.why);
                Err(Missing { why, ..missing })
            }
        }
    }
}

fn unwritten<E: ProvideErrorMetadata>(
    name: &str,
    action: &str,
    error: &SdkError<E, HttpResponse>,
) -> Missing {
    let refusal = super::refusal::of(error);
    Missing {
        why: format!(
            "secretsmanager:{name} ({}): this program needs {action} on it",
            refusal.reason
        ),
        transient: refusal.retryable,
    }
}

fn invalid(id: &str, reason: &str) -> SecretError {
    SecretError::Invalid {
        id: id.to_owned(),
        reason: reason.to_owned(),
    }
}

/// AWS's answers carry their meaning in the error code; the HTTP status only helps where there is none. AWS's message is
/// left out: it may repeat what was sent.
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
                    reason: "AWS does not take the reference; write the secret's name or its full ARN".to_owned(),
                },
                "ThrottlingException" | "Throttling" | "TooManyRequestsException" | "RequestLimitExceeded" => {
                    SecretError::Unavailable { id, region, reason }
                }
                "DecryptionFailure" => SecretError::AccessDenied { id, region, reason },
                _ if status >= 500 || status == 429 => {
                    SecretError::Unavailable { id, region, reason }
                }
                // What is left is refused credentials, under many names: AccessDeniedException,
                // UnrecognizedClientException, ExpiredTokenException, InvalidSignatureException, and so on.
                _ => SecretError::AccessDenied { id, region, reason },
            }
        }
        SdkError::ConstructionFailure(_) => SecretError::Invalid {
            id,
            reason: "the request could not be built; check the reference and AWS's environment variables".to_owned(),
        },
        // Neither a connection nor a timeout: the request never left, as a rule for want of credentials.
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
