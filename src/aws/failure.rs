//! Classifies AWS errors. AWS's message is left out, because it may repeat the request.

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

/// An AWS request that failed.
pub(super) struct AwsFailure {
    /// The error code, or a short text for errors without one.
    pub(super) reason: String,
    /// Whether the same request may succeed a little later.
    pub(super) retryable: bool,
}

/// Error codes that are temporary, whatever their HTTP status.
const TEMPORARY: [&str; 11] = [
    "InternalServerError",
    "InternalFailure",
    "OverLimit",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "ServiceUnavailable",
    "Throttling",
    "ThrottlingException",
    "TransactionConflictException",
    "TransactionInProgressException",
];

impl AwsFailure {
    /// Classifies an error of any AWS service.
    pub(super) fn of<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Self {
        let status = error
            .raw_response()
            .map_or(0, |response| response.status().as_u16());
        let (reason, retryable) = match error {
            SdkError::ServiceError(_) => {
                let code = error.code().map_or(format!("HTTP {status}"), str::to_owned);
                let is_temporary = TEMPORARY.contains(&code.as_str());
                (code, is_temporary || status >= 500 || status == 429)
            }
            SdkError::ConstructionFailure(_) => {
                ("the request could not be built".to_owned(), false)
            }
            SdkError::TimeoutError(_) => ("timed out".to_owned(), true),
            // Neither a connection failure nor a timeout: the request was not sent, usually because credentials are missing.
            SdkError::DispatchFailure(failure) if !failure.is_io() && !failure.is_timeout() => (
                "no usable AWS credentials, region or endpoint".to_owned(),
                false,
            ),
            SdkError::DispatchFailure(_) => ("not reachable".to_owned(), true),
            SdkError::ResponseError(_) | _ => ("unreadable answer".to_owned(), true),
        };
        Self { reason, retryable }
    }
}
