//! The order of a job among the jobs of its route that update the same records.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::call::event::SupersededRecords;
use super::model::Job;
use crate::outcome::NewRecordOutcome;
use crate::update::{OrderValue, RecordId, StepKind};

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

    /// The records that a step left to a newer delivery.
    pub(super) fn superseded_in(&self, step: StepKind) -> &BTreeSet<RecordId> {
        static NONE: BTreeSet<RecordId> = BTreeSet::new();
        match self.superseded_by_change.is_empty() {
            true => &self.superseded_ids,
            false => self
                .superseded_by_change
                .get(&step.change())
                .unwrap_or(&NONE),
        }
    }

    /// The names under which the order of a record is kept besides its id: those of the values by which it is matched, if the
    /// job can create records.
    pub fn order_names(&self, id: RecordId) -> BTreeSet<String> {
        let Some(new) = &self.request.new_records else {
            return BTreeSet::new();
        };
        let created = self
            .new_records()
            .filter(|(_, outcome)| outcome.and_then(NewRecordOutcome::id) == Some(id));
        let created = created.map(|(value, _)| new.order_name(&self.request.module, value));
        let found = new.found.get(&id).into_iter().flatten().cloned();
        found.chain(created).collect()
    }

    /// Records that a call leaves records to a newer delivery. The other calls that make the same kind of change do so too.
    pub(super) fn supersede(&mut self, seq: usize, records: &SupersededRecords, now: Timestamp) {
        let Some(state) = self.call(seq) else {
            return;
        };
        let change = state.call.step().change();
        if !records.ids.is_empty() {
            self.superseded_ids.extend(&records.ids);
            let superseded = self.superseded_by_change.entry(change).or_default();
            superseded.extend(&records.ids);
        }
        for number in &records.new_records {
            let outcome = NewRecordOutcome::Superseded;
            self.new_records.insert(*number, outcome);
        }
        self.record_superseded(seq, records.len(), now);
    }
}
