//! The next step of a job.

use jiff::Timestamp;

use super::call::CallState;
use super::call::status::CallStatus;
use super::callback::CallbackStatus;
use super::model::Job;
use super::preparation::PreparationStatus;

/// A job's next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NextStep {
    /// Prepare the job, so that it can be planned.
    Prepare,
    /// Send these calls, concurrently if possible.
    Submit(Vec<usize>),
    /// Resolve the unknown outcome of these calls: read their records, or report them.
    Resolve(Vec<usize>),
    /// Poll the status of this call's Zoho job.
    Poll(usize),
    /// Wait until this moment.
    Wait(Timestamp),
    /// Send the final callback.
    Notify,
    /// Nothing: the job is done.
    Done,
}

impl NextStep {
    /// The step, or a wait if it is due later.
    fn at(self, due_at: Option<Timestamp>, now: Timestamp) -> Self {
        match due_at {
            Some(at) if at > now => Self::Wait(at),
            Some(_) | None => self,
        }
    }
}

impl Job {
    /// The job's next step. The calls of one field group run before those of the next.
    pub fn next(&self, now: Timestamp) -> NextStep {
        if self.preparation.status == PreparationStatus::Pending {
            return NextStep::Prepare.at(self.preparation.due_at, now);
        }
        let open = self.calls.iter().find(|call| !call.status.is_final());
        match open {
            Some(call) => self.next_in_group(call.call.group, now),
            None => self.next_after_calls(now),
        }
    }

    fn next_in_group(&self, group: usize, now: Timestamp) -> NextStep {
        let open = self
            .calls
            .iter()
            .filter(|call| call.call.group == group && !call.status.is_final());
        let (due, waiting): (Vec<_>, Vec<_>) =
            open.partition(|call| call.due_at.is_none_or(|at| at <= now));
        if let Some(call) = due.iter().find(|call| call.status == CallStatus::Submitted) {
            return NextStep::Poll(call.call.seq);
        }
        let (outcome_unknown, due): (Vec<_>, Vec<_>) =
            due.into_iter().partition(|call| call.outcome_unknown);
        let numbers = |calls: Vec<&CallState>| calls.iter().map(|call| call.call.seq).collect();
        if !outcome_unknown.is_empty() {
            return NextStep::Resolve(numbers(outcome_unknown));
        }
        if !due.is_empty() {
            return NextStep::Submit(numbers(due));
        }
        let next = waiting.iter().filter_map(|call| call.due_at).min();
        next.map_or(NextStep::Done, NextStep::Wait)
    }

    fn next_after_calls(&self, now: Timestamp) -> NextStep {
        match &self.callback {
            Some(callback) if callback.status == CallbackStatus::Pending => {
                NextStep::Notify.at(callback.due_at, now)
            }
            Some(_) | None => NextStep::Done,
        }
    }

    /// When the job must be driven next; none if never. Pass it to [`Jobs::release`](crate::store::Jobs::release).
    pub fn due(&self, now: Timestamp) -> Option<Timestamp> {
        let next = match self.next(now) {
            NextStep::Done => None,
            NextStep::Wait(at) => Some(at),
            NextStep::Prepare
            | NextStep::Submit(_)
            | NextStep::Resolve(_)
            | NextStep::Poll(_)
            | NextStep::Notify => Some(now),
        };
        next.into_iter().chain(self.progress_due_at(now)).min()
    }
}
