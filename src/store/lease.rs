//! Leases on jobs.

use std::fmt;

use jiff::Timestamp;

use crate::job::Job;
use crate::update::UpdateRequest;

/// The right to drive a job until a moment. A write with a lease that another driver has taken over is refused.
#[derive(Clone, PartialEq)]
pub struct Lease {
    /// The stored version of the job that this lease wrote or read last. Every write raises it.
    pub version: u64,
    /// No other driver can claim the job before this moment. A later moment takes effect with the next checkpoint.
    pub until: Timestamp,
    /// What is in the store, so that a checkpoint writes only what has changed.
    pub(crate) stored: Box<StoredJob>,
}

impl fmt::Debug for Lease {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Lease")
            .field("version", &self.version)
            .field("until", &self.until)
            .finish_non_exhaustive()
    }
}

/// What a store wrote last of a job.
#[derive(Clone, PartialEq)]
pub(crate) struct StoredJob {
    /// The request.
    pub(crate) request: UpdateRequest,
    /// Where the request is stored.
    pub(crate) request_at: ItemLocation,
    /// Where the rest of the job is stored.
    pub(crate) state_at: ItemLocation,
    /// Whether the delivery is in the same item.
    pub(crate) has_delivery: bool,
}

/// Where a document is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum ItemLocation {
    /// In the item itself.
    #[default]
    Inline,
    /// In part items beside it, because the document is large.
    Parts {
        /// Distinguishes these parts from those of every other write.
        generation: String,
        /// The number of parts.
        count: u32,
        /// The TTL of the parts, if they have one.
        ends: Option<Timestamp>,
    },
}

/// The answer to a claim.
#[derive(Debug)]
pub enum Claim {
    /// The caller holds the lease.
    Acquired(Box<Job>, Lease),
    /// Another driver holds the lease.
    Busy {
        /// The end of that lease.
        until: Timestamp,
    },
    /// The job is due later, or has finished.
    NotDue,
    /// The job is parked until an operator unparks it.
    Parked {
        /// Why it was parked.
        reason: String,
    },
    /// There is no such job.
    NotFound,
}

/// The answer to a new job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddResult {
    /// The job was stored.
    New,
    /// A job with this id exists already; nothing was changed.
    Existing,
}
