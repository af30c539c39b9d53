//! What an AWS error means for us. AWS's message is left out: it may repeat what was sent.

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

/// An AWS request that was not carried out.
pub(super) struct Refusal {
    /// What AWS, or the SDK, calls it.
    pub(super) reason: String,
    /// Whether it may work a little later.
    pub(super) retryable: bool,
}

/// Refusals of the moment, whatever their HTTP status.
const OF_THE_MOMENT: [&str; 11] = [
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

/// Classifies an error of any AWS service.
pub(super) fn of<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Refusal {
    let status = error
        .raw_response()
        .map_or(0, |response| response.status().as_u16());
    let (reason, retryable) = match error {
        SdkError::ServiceError(_) => {
            let code = error.code().map_or(format!("HTTP {status}"), str::to_owned);
            let of_the_moment = OF_THE_MOMENT.contains(&code.as_str());
            (code, of_the_moment || status >= 500 || status == 429)
        }
        SdkError::ConstructionFailure(_) => ("the request could not be built".to_owned(), false),
        SdkError::TimeoutError(_) => ("timed out".to_owned(), true),
        // Neither a connection nor a timeout: the request never left, as a rule for want of credentials.
        SdkError::DispatchFailure(failure) if !failure.is_io() && !failure.is_timeout() => (
            "no usable AWS credentials, region or endpoint".to_owned(),
            false,
        ),
        SdkError::DispatchFailure(_) => ("not reachable".to_owned(), true),
        SdkError::ResponseError(_) | _ => ("unreadable answer".to_owned(), true),
    };
    Refusal { reason, retryable }
}
