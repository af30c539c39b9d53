//! The one error of all stores.

use crate::job::JobId;

/// Why a store request failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Another driver holds the lease; the caller's copy of the job is out of date.
    #[error("the lease on job {0} was lost: another driver has taken it over")]
    LeaseLost(JobId),
    /// Another holder has the lock.
    #[error("the lock `{0}` was lost: another process has taken it over")]
    LockLost(String),
    /// This version cannot read what is stored.
    #[error("job {id} is stored in a form that this version cannot read: {reason}")]
    Unreadable {
        /// The job.
        id: JobId,
        /// What is wrong with the stored form.
        reason: String,
    },
    /// The store is throttled, busy, full or not reachable.
    #[error("the job store cannot be used for now ({0}): try again")]
    Unavailable(String),
    /// The store failed, and a retry does not help.
    #[error("the job store failed: {0}")]
    Failed(String),
}

impl StoreError {
    /// Whether the same request may succeed a little later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unavailable(_) => true,
            Self::LeaseLost(_) | Self::LockLost(_) | Self::Unreadable { .. } | Self::Failed(_) => {
                false
            }
        }
    }
}
