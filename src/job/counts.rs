//! The counts of a job's records.

use std::collections::BTreeMap;
use std::ops::Range;

use super::call::CallState;
use super::model::Job;
use super::preparation::PreparationStatus;
use super::status::Counts;
use crate::update::{RecordId, Records, Selector};

impl Job {
    /// The job's counts of records. They are zero until the records are known.
    pub fn counts(&self) -> Counts {
        match &self.request.selector {
            Selector::Match(_) | Selector::Named(_) => Counts::default(),
            Selector::Records(Records::Ids(ids)) => self.counts_of_ids(ids),
            Selector::Records(Records::View { .. }) => self.counts_of_view(),
        }
    }

    /// Counts single records: each is known.
    fn counts_of_ids(&self, ids: &[RecordId]) -> Counts {
        let (total, failed) = (ids.len() as u64, self.failed_ids.len() as u64);
        let pending = match self.preparation.status {
            PreparationStatus::Pending => total,
            PreparationStatus::Planned
            | PreparationStatus::Nothing
            | PreparationStatus::Refused => self.pending_of_ids(ids),
        };
        Counts {
            total,
            updated: total - failed - pending,
            failed,
            pending,
        }
    }

    /// Counts the records of open calls that have not failed.
    fn pending_of_ids(&self, ids: &[RecordId]) -> u64 {
        // Calls of several field groups share a range of records, which is counted once.
        let open: BTreeMap<usize, Range<usize>> = self
            .calls
            .iter()
            .filter(|call| !call.status.is_final())
            .filter_map(|call| call.call.target.named())
            .map(|range| (range.start, range.clone()))
            .collect();
        let open = open.into_values().flat_map(|range| &ids[range]);
        open.filter(|id| !self.failed_ids.contains(id)).count() as u64
    }

    /// Adds up Zoho's counts. Each field group has its own counts; the smallest `updated` and the largest `failed` are
    /// reported, so that no success is reported that did not happen. If tracking of a Zoho job was lost, its pending records
    /// stay pending.
    fn counts_of_view(&self) -> Counts {
        let of = |call: &CallState| call.progress.unwrap_or_default();
        let total = self.calls.iter().map(|call| of(call).total).max();
        let failed = self.calls.iter().map(|call| of(call).failed).max();
        let updated = self.calls.iter().map(|call| of(call).updated).min();
        let total = total.unwrap_or_default();
        // Zoho's counts need not add up, so each is limited by what the others leave.
        let updated = updated.unwrap_or_default().min(total);
        let failed = failed.unwrap_or_default().min(total - updated);
        let rest = total - updated - failed;
        let lost = self.calls.iter().any(CallState::has_lost_tracking);
        let (failed, pending) = if self.status().is_final() && !lost {
            (failed + rest, 0)
        } else {
            (failed, rest)
        };
        Counts {
            total,
            updated,
            failed,
            pending,
        }
    }
}
