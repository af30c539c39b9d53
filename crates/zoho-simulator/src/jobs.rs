//! Scheduled mass updates and changes of owners, from `SCHEDULED` to their end.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::faults::{Faults, JobEnding};
use crate::org::CrmOrg;
use crate::org::module::Module;
use crate::org::users::CrmUser;
use crate::response::ApiResponse;

/// The id of the first job.
const FIRST_JOB_ID: u64 = 5_725_767_000_009_000_001;

/// The share of its duration that a job waits before it runs, in percent.
const WAIT_PERCENT: u128 = 20;

/// A mass update of a view.
#[derive(Debug)]
pub(crate) struct Job {
    id: u64,
    module: &'static str,
    view: u64,
    /// The indexes of the records that the view contained when the job was scheduled.
    records: Vec<u64>,
    change: JobChange,
    scheduled_at: Timestamp,
    duration: Duration,
    /// Seconds for which the status call does not find the job.
    unknown_for_s: u64,
    /// Whether it shows `QUEUED` before `RUNNING`.
    shows_queued: bool,
    ending: JobEnding,
    status: &'static str,
    /// The number of `records` processed so far.
    processed: usize,
    updated: usize,
    failed: usize,
}

/// The input of [`Jobs::schedule`].
pub(crate) struct NewJob {
    pub(crate) module: &'static str,
    pub(crate) view: u64,
    pub(crate) records: Vec<u64>,
    pub(crate) change: JobChange,
    pub(crate) duration: Duration,
}

/// What a job changes on each of its records.
#[derive(Debug)]
pub(crate) enum JobChange {
    /// A mass update.
    Fields {
        fields: Map<String, Value>,
        over_write: bool,
    },
    /// A change of the owner.
    Owner(&'static CrmUser),
}

impl JobChange {
    fn is_accepted(&self, module: &Module, index: u64) -> bool {
        match self {
            Self::Fields { fields, .. } => module.accepts_update(index, fields.keys()),
            Self::Owner(_) => module.accepts_update(index, std::iter::empty()),
        }
    }

    fn apply(&self, module: &mut Module, index: u64, now: Timestamp) {
        match self {
            Self::Fields { fields, over_write } => {
                module.update_record(index, fields, *over_write, now);
            }
            Self::Owner(user) => module.set_owner(index, user, now),
        }
    }
}

impl Job {
    /// Whether the job blocks other jobs of its view.
    fn is_running(&self) -> bool {
        !matches!(self.status, "COMPLETED" | "FAILED")
    }

    /// Brings the job to its progress at `now`.
    fn advance(&mut self, org: &mut CrmOrg, now: Timestamp) {
        if !self.is_running() {
            return;
        }
        let elapsed = now.duration_since(self.scheduled_at).as_millis().max(0) as u128;
        let whole = self.duration.as_millis();
        let percent = (elapsed * 100).checked_div(whole).unwrap_or(100).min(100);
        if percent < WAIT_PERCENT {
            let queued = self.shows_queued && percent >= WAIT_PERCENT / 2;
            self.status = if queued { "QUEUED" } else { "SCHEDULED" };
            return;
        }
        let total = self.records.len();
        // Progress is linear, from none at the end of the wait to all at the end of the job. A halting job stops half-way.
        let run_time = whole * (100 - WAIT_PERCENT) / 100;
        let elapsed_run_time = elapsed.saturating_sub(whole * WAIT_PERCENT / 100);
        let done = (total as u128 * elapsed_run_time)
            .checked_div(run_time)
            .unwrap_or(total as u128)
            .min(total as u128);
        let done = if percent == 100 { total } else { done as usize };
        let halts = matches!(self.ending, JobEnding::Stuck | JobEnding::Suspend);
        let target = if halts { done.min(total / 2) } else { done };
        self.process_up_to(target, org, now);
        self.status = match self.ending {
            JobEnding::Suspend if target == total / 2 => "SUSPENDED",
            JobEnding::Stuck | JobEnding::Suspend => "RUNNING",
            JobEnding::Fail if percent == 100 => "FAILED",
            JobEnding::Complete | JobEnding::Vanish if percent == 100 => "COMPLETED",
            JobEnding::Fail | JobEnding::Complete | JobEnding::Vanish => "RUNNING",
        };
    }

    fn process_up_to(&mut self, target: usize, org: &mut CrmOrg, now: Timestamp) {
        let Some(module) = org.module_mut(self.module) else {
            return;
        };
        while self.processed < target {
            let index = self.records[self.processed];
            let is_accepted = self.change.is_accepted(module, index);
            if self.ending == JobEnding::Fail || !is_accepted {
                self.failed += 1;
            } else {
                self.change.apply(module, index, now);
                self.updated += 1;
            }
            self.processed += 1;
        }
    }

    fn json(&self) -> Value {
        let total = self.records.len();
        json!({"data": [{
            "Status": self.status,
            "Failed_Count": self.failed,
            "Updated_Count": self.updated,
            "Not_Updated_Count": total - self.failed - self.updated,
            "Total_Count": total,
        }]})
    }
}

/// All jobs scheduled so far.
#[derive(Debug, Default)]
pub(crate) struct Jobs(Vec<Job>);

impl Jobs {
    /// Brings every job to its progress at `now`.
    pub(crate) fn advance(&mut self, org: &mut CrmOrg, now: Timestamp) {
        for job in &mut self.0 {
            job.advance(org, now);
        }
    }

    /// Whether a job of this view is running. Zoho runs one per view.
    pub(crate) fn has_running_job(&self, view: u64) -> bool {
        self.0
            .iter()
            .any(|job| job.view == view && job.is_running())
    }

    /// Schedules a job and returns its id.
    pub(crate) fn schedule(&mut self, new: NewJob, faults: &Faults, now: Timestamp) -> String {
        let id = FIRST_JOB_ID + self.0.len() as u64;
        self.0.push(Job {
            id,
            module: new.module,
            view: new.view,
            records: new.records,
            change: new.change,
            scheduled_at: now,
            duration: faults
                .job_duration_ms
                .map_or(new.duration, Duration::from_millis),
            unknown_for_s: faults.job_unknown_for_s,
            shows_queued: faults.job_queued,
            ending: faults.job_fate,
            status: "SCHEDULED",
            processed: 0,
            updated: 0,
            failed: 0,
        });
        id.to_string()
    }

    /// `GET actions/mass_update?job_id=…`. The module must be the job's.
    pub(crate) fn status(
        &self,
        module: &str,
        id: Option<&str>,
        faults: &Faults,
        now: Timestamp,
    ) -> ApiResponse {
        let is_kind = |job: &Job| matches!(job.change, JobChange::Fields { .. });
        self.status_of(module, id, is_kind, faults, now)
    }

    /// `GET actions/mass_change_owner?job_id=…`.
    pub(crate) fn owner_status(
        &self,
        module: &str,
        id: Option<&str>,
        faults: &Faults,
        now: Timestamp,
    ) -> ApiResponse {
        let is_kind = |job: &Job| matches!(job.change, JobChange::Owner(_));
        self.status_of(module, id, is_kind, faults, now)
    }

    fn status_of(
        &self,
        module: &str,
        id: Option<&str>,
        is_kind: impl Fn(&Job) -> bool,
        faults: &Faults,
        now: Timestamp,
    ) -> ApiResponse {
        let Some(id) = id.filter(|id| !id.is_empty()) else {
            return ApiResponse::error(
                400,
                "MANDATORY_NOT_FOUND",
                json!({"param_name": "job_id"}),
                "mandatory param missing",
            );
        };
        let job = self.0.iter().find(|job| {
            let age = now.duration_since(job.scheduled_at).as_secs();
            job.id.to_string() == id
                && job.module == module
                && is_kind(job)
                && job.ending != JobEnding::Vanish
                && age >= i64::try_from(job.unknown_for_s).unwrap_or(i64::MAX)
        });
        match job {
            Some(job) => ApiResponse::json(200, job.json()),
            None if faults.unknown_job == 400 => ApiResponse::error(
                400,
                "INVALID_DATA",
                json!({"param_name": "job_id"}),
                "The jobid given seems to be invalid",
            ),
            None => ApiResponse::empty(faults.unknown_job),
        }
    }
}
