//! Locks and their holders.

use jiff::Timestamp;

use crate::job::JobId;

/// The holder of a lock. A holder that takes its own lock again extends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockHolder(String);

impl LockHolder {
    /// A holder with a random name, for one piece of work.
    pub fn unique() -> Self {
        Self(format!("{:032x}", fastrand::u128(..)))
    }

    /// A job, for a lock that it holds from one turn to the next.
    pub fn job(id: &JobId) -> Self {
        Self(id.to_string())
    }

    /// The holder with this name.
    pub fn from_name(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// The holder's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A lock that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// The lock's name.
    pub name: String,
    /// Its holder.
    pub holder: LockHolder,
    /// No other holder can take the lock before this moment.
    pub until: Timestamp,
}
