//! The ids of jobs.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A job's id. The same delivery always yields the same id, so a redelivery finds its job.
#[derive(
    Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct JobId(String);

impl JobId {
    /// The id of the `output`-th update request of a delivery; `scope` is the route, or the API.
    pub fn derive(scope: &str, delivery_id: &str, output: usize) -> Self {
        let mut hash = Sha256::new();
        for part in [scope.as_bytes(), delivery_id.as_bytes()] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.update((output as u64).to_be_bytes());
        Self(format!("job_{}", hex::encode(&hash.finalize()[..16])))
    }

    /// An id from outside. There need not be a job with this id.
    pub fn from_outside(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
