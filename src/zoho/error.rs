//! Why a call to Zoho has no result.

use std::time::Duration;

use crate::codes::Cause;
use crate::http::SendError;
use crate::outcome::Refusal;

/// Why a call to Zoho has no result. Each variant stands for what the caller does next.
///
/// | variant | the caller | returned by |
/// | --- | --- | --- |
/// | [`Reauthenticate`](Self::Reauthenticate) | fetches another access token and sends the call once more | [`answer`](super::answer); [`Client`](super::Client) handles it and never returns it |
/// | [`RetryLater`](Self::RetryLater) | tries again after the wait | everything |
/// | [`OutcomeUnknown`](Self::OutcomeUnknown) | does not send the call again before it knows whether Zoho performed it | calls with [`Repeat::Never`](super::Repeat::Never) |
/// | [`Refused`](Self::Refused) | gives up this call; other calls of the job may succeed | calls to the CRM |
/// | [`Denied`](Self::Denied) | gives up every call of the job: scope, permission, module, credentials | everything |
///
/// Code that judges an answer chooses the variant by the table of [`codes`](crate::codes). Code that only reports an error
/// uses [`refusal`](Self::refusal); code that only decides between "later" and "never" uses [`retry_after`](Self::retry_after).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Zoho does not accept the access token.
    #[error("{0}")]
    Reauthenticate(Refusal),
    /// Zoho or the network is busy or broken. Wait at least this long; zero if nothing named a time.
    #[error("{0}")]
    RetryLater(Refusal, Duration),
    /// Zoho may have performed the call, and it must not be sent twice.
    #[error("{0}")]
    OutcomeUnknown(Refusal),
    /// This call will never succeed.
    #[error("{0}")]
    Refused(Refusal),
    /// No call of the job will ever succeed.
    #[error("{0}")]
    Denied(Refusal),
}

impl Error {
    /// What happened, as a code, a message and advice.
    pub fn refusal(&self) -> &Refusal {
        match self {
            Self::Reauthenticate(refusal)
            | Self::RetryLater(refusal, _)
            | Self::OutcomeUnknown(refusal)
            | Self::Refused(refusal)
            | Self::Denied(refusal) => refusal,
        }
    }

    /// What happened, as a code, a message and advice.
    pub fn into_refusal(self) -> Refusal {
        match self {
            Self::Reauthenticate(refusal)
            | Self::RetryLater(refusal, _)
            | Self::OutcomeUnknown(refusal)
            | Self::Refused(refusal)
            | Self::Denied(refusal) => refusal,
        }
    }

    /// The minimum wait before another attempt; `None` if no attempt will succeed.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RetryLater(_, wait) => Some(*wait),
            Self::Reauthenticate(_)
            | Self::OutcomeUnknown(_)
            | Self::Refused(_)
            | Self::Denied(_) => None,
        }
    }

    /// Whether the token lacks a scope. Everything that its other scopes cover still works.
    pub fn lacks_scope(&self) -> bool {
        self.retry_after().is_none() && self.refusal().cause() == Some(Cause::ScopeMissing)
    }

    /// The same error with other advice.
    pub(super) fn with_advice(self, advice: &str) -> Self {
        self.with_refusal(|refusal| Refusal {
            advice: Some(advice.to_owned()),
            ..refusal
        })
    }

    /// The same error with another refusal.
    pub(super) fn with_refusal(mut self, change: impl FnOnce(Refusal) -> Refusal) -> Self {
        let refusal = match &mut self {
            Self::Reauthenticate(refusal)
            | Self::RetryLater(refusal, _)
            | Self::OutcomeUnknown(refusal)
            | Self::Refused(refusal)
            | Self::Denied(refusal) => refusal,
        };
        *refusal = change(refusal.clone());
        self
    }

    /// The same error with a longer wait, if it has a wait at all.
    pub(super) fn wait_at_least(self, least: Duration) -> Self {
        match self {
            Self::RetryLater(refusal, wait) => Self::RetryLater(refusal, wait.max(least)),
            other @ (Self::Reauthenticate(_)
            | Self::OutcomeUnknown(_)
            | Self::Refused(_)
            | Self::Denied(_)) => other,
        }
    }
}

/// A request whose URL cannot be called.
impl From<url::ParseError> for Error {
    fn from(error: url::ParseError) -> Self {
        Self::Denied(Refusal::with(Cause::BadUrl, error.to_string()))
    }
}

/// A request that got no answer.
impl From<SendError> for Error {
    fn from(error: SendError) -> Self {
        let later =
            |cause| Self::RetryLater(Refusal::with(cause, error.to_string()), Duration::ZERO);
        match error {
            SendError::Refused { .. } => {
                Self::Denied(Refusal::with(Cause::AddressRefused, error.to_string()))
            }
            SendError::Connect { .. } => later(Cause::Unreachable),
            SendError::Timeout { .. } => later(Cause::TimedOut),
            SendError::Broken { .. } | SendError::TooLarge { .. } => later(Cause::BrokenAnswer),
        }
    }
}
