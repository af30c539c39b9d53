//! Scheduled mass updates: from `SCHEDULED` to their end, as time passes.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::answer::Answer;
use crate::faults::{Fate, Faults};
use crate::seeds::Condition;
use crate::world::World;

/// The id before the first job's.
const BEFORE_FIRST: u64 = 5_725_767_000_009_000_000;

/// Share of a job's duration, in percent, that it waits before it runs.
const WAITING: u128 = 20;

/// A mass update over a view.
#[derive(Debug)]
pub(crate) struct Job {
    id: u64,
    module: &'static str,
    view: u64,
    /// Places of the records, as the view held them when the job was scheduled.
    records: Vec<u64>,
    fields: Map<String, Value>,
    over_write: bool,
    scheduled: Timestamp,
    duration: Duration,
    unknown_for: u64,
    queued: bool,
    fate: Fate,
    status: &'static str,
    /// How many of `records` are dealt with.
    done: usize,
    updated: usize,
    failed: usize,
}

/// What a new job is made of.
pub(crate) struct NewJob {
    pub(crate) module: &'static str,
    pub(crate) view: u64,
    pub(crate) records: Vec<u64>,
    pub(crate) fields: Map<String, Value>,
    pub(crate) over_write: bool,
    pub(crate) duration: Duration,
}

impl Job {
    /// Whether the job keeps its view busy.
    fn runs(&self) -> bool {
        !matches!(self.status, "COMPLETED" | "FAILED")
    }

    /// Lets the job come to where it stands at `now`.
    fn advance(&mut self, world: &mut World, now: Timestamp) {
        if !self.runs() {
            return;
        }
        let elapsed = now.duration_since(self.scheduled).as_millis().max(0) as u128;
        let whole = self.duration.as_millis();
        let percent = (elapsed * 100).checked_div(whole).unwrap_or(100).min(100);
        if percent < WAITING {
            let queued = self.queued && percent >= WAITING / 2;
            self.status = if queued { "QUEUED" } else { "SCHEDULED" };
            return;
        }
        let total = self.records.len();
        // Rising from none at the end of the waiting to all at the end of the job; a halting job gets half the way.
        let run = whole * (100 - WAITING) / 100;
        let ran = elapsed.saturating_sub(whole * WAITING / 100);
        let done = (total as u128 * ran)
            .checked_div(run)
            .unwrap_or(total as u128)
            .min(total as u128);
        let done = if percent == 100 { total } else { done as usize };
        let halting = matches!(self.fate, Fate::Stuck | Fate::Suspend);
        let reached = if halting { done.min(total / 2) } else { done };
        self.apply_to(reached, world, now);
        self.status = match self.fate {
            Fate::Suspend if reached == total / 2 => "SUSPENDED",
            Fate::Stuck | Fate::Suspend => "RUNNING",
            Fate::Fail if percent == 100 => "FAILED",
            Fate::Complete | Fate::Vanish if percent == 100 => "COMPLETED",
            Fate::Fail | Fate::Complete | Fate::Vanish => "RUNNING",
        };
    }

    fn apply_to(&mut self, reached: usize, world: &mut World, now: Timestamp) {
        let Some(module) = world.module_mut(self.module) else {
            return;
        };
        while self.done < reached {
            let place = self.records[self.done];
            if self.fate == Fate::Fail || module.condition(place) != Condition::Clean {
                self.failed += 1;
            } else {
                module.set(place, &self.fields, self.over_write, now);
                self.updated += 1;
            }
            self.done += 1;
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

/// All jobs ever scheduled.
#[derive(Debug, Default)]
pub(crate) struct Jobs(Vec<Job>);

impl Jobs {
    /// Lets every job come to where it stands at `now`.
    pub(crate) fn advance(&mut self, world: &mut World, now: Timestamp) {
        for job in &mut self.0 {
            job.advance(world, now);
        }
    }

    /// Whether a job is under way for this view: Zoho runs one per view.
    pub(crate) fn busy(&self, view: u64) -> bool {
        self.0.iter().any(|job| job.view == view && job.runs())
    }

    /// Schedules a job; returns its id.
    pub(crate) fn schedule(&mut self, new: NewJob, faults: &Faults, now: Timestamp) -> String {
        let id = BEFORE_FIRST + self.0.len() as u64 + 1;
        self.0.push(Job {
            id,
            module: new.module,
            view: new.view,
            records: new.records,
            fields: new.fields,
            over_write: new.over_write,
            scheduled: now,
            duration: faults
                .job_duration_ms
                .map_or(new.duration, Duration::from_millis),
            unknown_for: faults.job_unknown_for_s,
            queued: faults.job_queued,
            fate: faults.job_fate,
            status: "SCHEDULED",
            done: 0,
            updated: 0,
            failed: 0,
        });
        id.to_string()
    }

    /// `GET actions/mass_update?job_id=…`; the module must be the one that the job was scheduled for.
    pub(crate) fn status(
        &self,
        module: &str,
        id: Option<&str>,
        faults: &Faults,
        now: Timestamp,
    ) -> Answer {
        let Some(id) = id.filter(|id| !id.is_empty()) else {
            return Answer::error(
                400,
                "MANDATORY_NOT_FOUND",
                json!({"param_name": "job_id"}),
                "mandatory param missing",
            );
        };
        let known = self.0.iter().find(|job| {
            let age = now.duration_since(job.scheduled).as_secs();
            job.id.to_string() == id
                && job.module == module
                && job.fate != Fate::Vanish
                && age >= i64::try_from(job.unknown_for).unwrap_or(i64::MAX)
        });
        match known {
            Some(job) => Answer::json(200, job.json()),
            None if faults.unknown_job == 400 => Answer::error(
                400,
                "INVALID_DATA",
                json!({"param_name": "job_id"}),
                "The jobid given seems to be invalid",
            ),
            None => Answer::empty(faults.unknown_job),
        }
    }
}
