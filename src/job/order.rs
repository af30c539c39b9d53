//! The order of a job among the jobs of its route that update the same records.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::model::Job;
use crate::update::{OrderValue, RecordId};

/// The position of a delivery among those of its route. Of equal values the delivery that was received later is newer; update
/// requests of one delivery are equally new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderKey {
    /// The value of the route's `order_by`.
    pub value: OrderValue,
    /// When the delivery was received first.
    pub received_at: Timestamp,
}

impl OrderKey {
    /// Compares two deliveries; none if one has a number and the other a time.
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        let values = self.value.compare(other.value)?;
        Some(values.then(self.received_at.cmp(&other.received_at)))
    }
}

/// The order of a job, and how long it is kept for its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobOrder {
    /// The position of the job's delivery.
    #[serde(flatten)]
    pub key: OrderKey,
    /// How long it is kept for each record: the route's `order_for`.
    pub keep_for: SignedDuration,
}

impl Job {
    /// Sets the order of the job. It is part of the job, so that a change of the config does not affect a job in progress.
    #[must_use]
    pub fn with_order(self, order: Option<JobOrder>) -> Self {
        Self { order, ..self }
    }

    /// The number of records that the job left to a newer delivery and that are neither failed nor pending; none if the job has
    /// no order.
    pub(super) fn count_superseded(
        &self,
        failed: &BTreeSet<RecordId>,
        pending: &BTreeSet<RecordId>,
    ) -> Option<u64> {
        self.order?;
        let superseded = self.superseded_ids.iter();
        let settled = superseded.filter(|id| !failed.contains(id) && !pending.contains(id));
        Some(settled.count() as u64)
    }
}
