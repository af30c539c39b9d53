//! The counts of a job's records.

use std::collections::BTreeSet;

use super::call::CallState;
use super::model::Job;
use super::preparation::PreparationStatus;
use super::status::Counts;
use crate::update::{RecordId, Records, Selector, StepKind};

impl Job {
    /// The job's counts of records. They are zero until the records are known. A record counts as updated once every step has
    /// changed it, and as failed once a step has not.
    pub fn counts(&self) -> Counts {
        match &self.request.selector {
            Selector::Match(query) => Counts {
                created: query.creates().then_some(0),
                ..Counts::default()
            },
            Selector::Named(_) => Counts::default(),
            Selector::Records(Records::Ids(ids)) => self.counts_of_records(ids),
            Selector::Records(Records::View { .. }) => self.counts_of_view(None),
        }
    }

    /// The counts of one step of a job whose calls are planned.
    pub fn counts_of_step(&self, step: StepKind) -> Counts {
        if step == StepKind::Create {
            let new = self.count_new_records();
            return Counts {
                total: new.total,
                updated: new.updated,
                created: Some(new.created),
                failed: new.failed,
                pending: new.pending,
                superseded: None,
            };
        }
        match &self.request.selector {
            Selector::Match(_) | Selector::Named(_) => Counts::default(),
            Selector::Records(Records::Ids(ids)) => {
                let none = BTreeSet::new();
                let failed = self.failed_by_step.get(&step).unwrap_or(&none);
                let pending = self.pending_of_ids(ids, failed, Some(step));
                let superseded = self.count_superseded(failed, &pending);
                let (total, failed) = (ids.len() as u64, failed.len() as u64);
                let pending = pending.len() as u64;
                Counts {
                    total,
                    updated: total - failed - pending - superseded.unwrap_or_default(),
                    created: None,
                    failed,
                    pending,
                    superseded,
                }
            }
            Selector::Records(Records::View { .. }) => self.counts_of_view(Some(step)),
        }
    }

    /// The calls of a step; all calls if there is none.
    fn calls_of(&self, step: Option<StepKind>) -> impl Iterator<Item = &CallState> + Clone {
        let calls = self.calls.iter();
        calls.filter(move |call| step.is_none_or(|step| call.call.step() == step))
    }

    /// Counts known records and new ones.
    fn counts_of_records(&self, ids: &[RecordId]) -> Counts {
        let known = self.counts_of_ids(ids);
        if self.request.new_records.is_none() {
            return known;
        }
        let new = self.count_new_records();
        Counts {
            total: known.total + new.total,
            updated: known.updated + new.updated,
            created: Some(new.created),
            failed: known.failed + new.failed,
            pending: known.pending + new.pending,
            superseded: known.superseded,
        }
    }

    /// Counts single records: each is known.
    fn counts_of_ids(&self, ids: &[RecordId]) -> Counts {
        let (total, failed) = (ids.len() as u64, self.failed_ids.len() as u64);
        let (pending, superseded) = match self.preparation.status {
            PreparationStatus::Pending => (total, self.order.map(|_| 0)),
            PreparationStatus::Planned
            | PreparationStatus::Nothing
            | PreparationStatus::Refused => {
                let pending = self.pending_of_ids(ids, &self.failed_ids, None);
                let superseded = self.count_superseded(&self.failed_ids, &pending);
                (pending.len() as u64, superseded)
            }
        };
        Counts {
            total,
            updated: total - failed - pending - superseded.unwrap_or_default(),
            created: None,
            failed,
            pending,
            superseded,
        }
    }

    /// The records of open calls that have not failed.
    fn pending_of_ids(
        &self,
        ids: &[RecordId],
        failed: &BTreeSet<RecordId>,
        step: Option<StepKind>,
    ) -> BTreeSet<RecordId> {
        let open = self.calls_of(step).filter(|call| !call.status.is_final());
        let mut open: Vec<_> = open.filter_map(|call| call.call.target.named()).collect();
        open.sort_by_key(|range| range.start);
        // Calls of several groups share records, which are counted once.
        let (mut counted_to, mut pending) = (0, BTreeSet::new());
        for range in open {
            let new = range.start.max(counted_to)..range.end.max(counted_to);
            counted_to = new.end;
            let new = ids.get(new).unwrap_or_default().iter();
            pending.extend(new.filter(|id| !failed.contains(id)));
        }
        pending
    }

    /// Adds up Zoho's counts. Each field group, and each step, has its own counts; the smallest `updated` and the largest `failed` are
    /// reported, so that no success is reported that did not happen. A call whose job Zoho ended has nothing to do for records that
    /// an earlier one has taken out of the view: they count as updated. If tracking of a Zoho job was lost, its pending records
    /// stay pending.
    fn counts_of_view(&self, step: Option<StepKind>) -> Counts {
        let of = |call: &CallState| call.progress.unwrap_or_default();
        let calls = self.calls_of(step);
        let total = calls.clone().map(|call| of(call).total).max();
        let failed = calls.clone().map(|call| of(call).failed).max();
        let total = total.unwrap_or_default();
        let absent = |call: &CallState| match call.has_ended_with_counts() {
            true => total.saturating_sub(of(call).total),
            false => 0,
        };
        let updated = calls.clone();
        let updated = updated.map(|call| of(call).updated.saturating_add(absent(call)));
        let updated = updated.min();
        // Zoho's counts need not add up, so each is limited by what the others leave.
        let updated = updated.unwrap_or_default().min(total);
        let failed = failed.unwrap_or_default().min(total - updated);
        let rest = total - updated - failed;
        let lost = calls.clone().any(CallState::has_lost_tracking);
        let has_ended = match step {
            None => self.status().is_final(),
            Some(_) => calls.clone().all(|call| call.status.is_final()),
        };
        let (failed, pending) = if has_ended && !lost {
            (failed + rest, 0)
        } else {
            (failed, rest)
        };
        Counts {
            total,
            updated,
            created: None,
            failed,
            pending,
            superseded: None,
        }
    }
}
