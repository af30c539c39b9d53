//! The counts of a job's records.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::call::CallState;
use super::call::status::CallStatus;
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
            return self.count_new_records(Some(step));
        }
        let Selector::Records(records) = &self.request.selector else {
            return Counts::default();
        };
        let Records::Ids(ids) = records else {
            return self.counts_of_view(Some(step));
        };
        let known = self.counts_of_ids(ids, Some(step));
        let mut ranges = self
            .calls_of(Some(step))
            .filter_map(|call| call.call.target.named());
        match ranges.any(|range| range.end > ids.len()) {
            true => known.plus(self.count_new_records(Some(step))),
            false => known,
        }
    }

    /// The calls of a step; all calls if there is none.
    pub(super) fn calls_of(
        &self,
        step: Option<StepKind>,
    ) -> impl Iterator<Item = &CallState> + Clone {
        let calls = self.calls.iter();
        calls.filter(move |call| step.is_none_or(|step| call.call.step() == step))
    }

    /// Counts known records and new ones.
    fn counts_of_records(&self, ids: &[RecordId]) -> Counts {
        let known = self.counts_of_ids(ids, None);
        match self.request.new_records {
            Some(_) => known.plus(self.count_new_records(None)),
            None => known,
        }
    }

    /// Counts single records, each of which is known: what a step has changed of them, or all steps.
    fn counts_of_ids(&self, ids: &[RecordId], step: Option<StepKind>) -> Counts {
        let total = ids.len() as u64;
        if self.preparation.status == PreparationStatus::Pending {
            return Counts {
                total,
                pending: total,
                superseded: self.order.map(|_| 0),
                ..Counts::default()
            };
        }
        let (failed, superseded) = self.unchanged_ids(step);
        let (failed, superseded) = (self.known(ids, failed), self.known(ids, superseded));
        let pending = self.open_ids(ids, step).filter(|id| !failed.contains(id));
        let superseded = self.order.map(|_| {
            let left = superseded.iter().filter(|id| !failed.contains(id));
            let open = pending.clone().filter(|id| superseded.contains(id));
            left.count().saturating_sub(open.count()) as u64
        });
        let (failed, pending) = (failed.len() as u64, pending.count() as u64);
        Counts {
            total,
            updated: total - failed - pending - superseded.unwrap_or_default(),
            created: None,
            failed,
            pending,
            superseded,
        }
    }

    /// The records that failed, and those left to a newer delivery: in a step, or in any.
    pub(super) fn unchanged_ids(
        &self,
        step: Option<StepKind>,
    ) -> (&BTreeSet<RecordId>, &BTreeSet<RecordId>) {
        static NONE: BTreeSet<RecordId> = BTreeSet::new();
        match step {
            None => (&self.failed_ids, &self.superseded_ids),
            Some(step) => (
                self.failed_by_step.get(&step).unwrap_or(&NONE),
                self.superseded_in(step),
            ),
        }
    }

    /// Those of a set of records that are not new.
    fn known<'a>(
        &self,
        ids: &[RecordId],
        set: &'a BTreeSet<RecordId>,
    ) -> Cow<'a, BTreeSet<RecordId>> {
        match self.request.new_records {
            Some(_) => Cow::Owned(ids.iter().filter(|id| set.contains(id)).copied().collect()),
            None => Cow::Borrowed(set),
        }
    }

    /// The records of open calls, each once. Every write of a job counts them, so they are not gathered.
    fn open_ids<'a>(
        &self,
        ids: &'a [RecordId],
        step: Option<StepKind>,
    ) -> impl Iterator<Item = &'a RecordId> + Clone {
        let open = self.calls_of(step).filter(|call| !call.status.is_final());
        let mut open: Vec<_> = open
            .filter_map(|call| call.call.target.named().cloned())
            .collect();
        open.sort_by_key(|range| range.start);
        // Calls of several groups share records.
        let mut counted_to = 0;
        for range in &mut open {
            *range = range.start.max(counted_to)..range.end.max(counted_to);
            counted_to = range.end;
            *range = range.start.min(ids.len())..range.end.min(ids.len());
        }
        let open = open.into_iter();
        open.flat_map(|range| ids.get(range).unwrap_or_default())
    }

    /// Adds up Zoho's counts. Each field group, and each step, has its own counts; the smallest `updated` and the largest `failed` are
    /// reported, so that no success is reported that did not happen. A call whose job Zoho ended has nothing to do for records that
    /// an earlier one has taken out of the view: they count as updated. If tracking of a Zoho job was lost, its pending records
    /// stay pending.
    fn counts_of_view(&self, step: Option<StepKind>) -> Counts {
        let of = |call: &CallState| call.progress.unwrap_or_default();
        let calls = self.calls_of(step);
        let mut total = calls.clone().map(|call| of(call).total).max();
        if calls
            .clone()
            .all(|call| call.status == CallStatus::Failed && call.progress.is_none())
        {
            // Zoho refused the step as a whole. It was to change the records that the other steps have seen.
            total = self.calls.iter().map(|call| of(call).total).max();
        }
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
