//! How the result of a preparation changes a job.

use jiff::Timestamp;

use super::call::{CallState, RETRY_PERIOD};
use super::history::WaitReason;
use super::model::Job;
use super::preparation::{
    self, AlreadyPrepared, PreparationOutcome, PreparationResult, PreparationStatus,
};
use crate::clock::after;
use crate::codes::Cause;
use crate::outcome::Refusal;
use crate::plan::{Plan, PlanLimits};
use crate::update::{MAX_ORDERED_RECORDS, Records, Selector};

impl Job {
    /// Records the result of one attempt at the preparation, for which `attempts` requests were sent. The job is planned here
    /// and never again, so that a later version of the planner does not affect a job in progress.
    ///
    /// # Errors
    /// [`AlreadyPrepared`] if the job is already prepared. The job stays unchanged then.
    pub fn record_preparation(
        &mut self,
        result: PreparationResult,
        attempts: u32,
        now: Timestamp,
    ) -> Result<(), AlreadyPrepared> {
        let PreparationResult {
            lookup,
            notes,
            outcome,
            took,
        } = result;
        let outcome = self.end_retries(outcome, now);
        let status = preparation::advance(self.preparation.status, outcome.event())?;
        self.changed_at = Some(now);
        self.preparation.status = status;
        self.preparation.attempts += attempts;
        self.preparation.due_at = None;
        self.preparation.lookup = lookup;
        self.preparation.notes = notes;
        self.record_prepared(took, outcome.refusal(), now);
        match outcome {
            PreparationOutcome::Ready {
                fields,
                records,
                new_records,
                update_by,
                owner,
            } => {
                if let Some(fields) = fields {
                    self.request.fields = fields;
                }
                if let Some(update_by) = update_by {
                    self.request.update_by = update_by;
                }
                let new = new_records.as_ref().map_or(0, |new| new.values().len());
                let problem = records
                    .as_ref()
                    .and_then(|records| self.order_problem(records, new));
                if let Some(records) = records {
                    self.request.selector = Selector::Records(records);
                }
                self.request.set_owner(owner);
                if new_records.is_some() {
                    self.request.new_records = new_records.map(|new| *new);
                }
                match problem {
                    Some(refusal) => self.refuse(refusal),
                    None => self.plan(),
                }
            }
            PreparationOutcome::Nothing => self.error = None,
            PreparationOutcome::Postponed { reason, wait } => {
                self.preparation.due_at = Some(after(now, wait));
                self.record_wait(now, self.preparation.due_at, WaitReason::of(&reason), None);
                self.error = Some(reason);
            }
            PreparationOutcome::Refused(refusal) => self.refuse(refusal),
        }
        if self.status().is_final() {
            self.finished_at = Some(now);
        }
        Ok(())
    }

    /// Refuses a preparation that is postponed after the retry period.
    fn end_retries(&self, outcome: PreparationOutcome, now: Timestamp) -> PreparationOutcome {
        if let PreparationOutcome::Postponed { reason, .. } = &outcome
            && now >= after(self.created_at, RETRY_PERIOD)
        {
            return PreparationOutcome::Refused(Refusal {
                message: format!("given up after a day: {}", reason.message),
                ..reason.clone()
            });
        }
        outcome
    }

    /// Makes the calls of a job whose records are known.
    fn plan(&mut self) {
        match self.request.resolved() {
            Some(request) => {
                let calls = Plan::new(request, &PlanLimits::ZOHO).into_calls();
                self.calls = calls.into_iter().map(CallState::new).collect();
                self.error = None;
            }
            None => self.refuse(Refusal::of(Cause::NotResolved)),
        }
    }

    /// Why the records of a prepared job can have no order, if there are too many.
    fn order_problem(&self, records: &Records, new: usize) -> Option<Refusal> {
        self.order?;
        let Records::Ids(ids) = records else {
            return None;
        };
        let count = ids.len() + new;
        (count > MAX_ORDERED_RECORDS).then(|| {
            let message = format!(
                "`match` selects {count} records, and `order_by` keeps the order of at most {MAX_ORDERED_RECORDS} of an update request"
            );
            Refusal::with(Cause::OrderTooManyRecords, message)
        })
    }

    /// Ends the job before it has any calls.
    fn refuse(&mut self, refusal: Refusal) {
        self.preparation.status = PreparationStatus::Refused;
        self.error = Some(refusal);
        if let Selector::Records(Records::Ids(ids)) = &self.request.selector {
            self.failed_ids.extend(ids);
        }
        self.refuse_new_records();
    }

    /// Delays the job until `at`, so that it can share calls with other jobs.
    pub fn delay_until(&mut self, at: Timestamp) {
        self.preparation.due_at = Some(at);
        self.record_wait(self.created_at, Some(at), WaitReason::BatchWindow, None);
        self.delay_progress_until(at);
    }
}
