//! The work of a turn, gathered from its jobs. Pure.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;

use super::batch::{Batch, CallRef, Packer, RemainingRecords};
use super::order::{names_of, newest_calls};
use crate::job::{CallState, Job, NextStep};
use crate::plan::CallKind;
use crate::update::ModuleName;

/// One status request, for every call that shares the Zoho job.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct StatusPoll {
    pub(super) connection: String,
    pub(super) module: ModuleName,
    /// The kind of the calls.
    pub(super) kind: CallKind,
    pub(super) zoho_job_id: String,
    pub(super) calls: Vec<CallRef>,
}

/// Everything that can be done now.
#[derive(Debug, Default, PartialEq)]
pub(super) struct TurnWork {
    /// Jobs to prepare.
    pub(super) preparing: Vec<usize>,
    /// Calls whose outcome is unknown.
    pub(super) unknown_outcomes: Vec<CallRef>,
    /// Calls whose records are to be claimed before they are sent.
    pub(super) ordered: Vec<CallRef>,
    /// Requests to send.
    pub(super) batches: Vec<Batch>,
    /// Zoho jobs to poll.
    pub(super) polls: Vec<StatusPoll>,
    /// Jobs with a callback to send.
    pub(super) callbacks: Vec<usize>,
    /// When the next work is due.
    pub(super) next_at: Option<Timestamp>,
}

/// Whether a call changes or creates records that are known one by one.
fn has_records(job: &Job, state: &CallState) -> bool {
    state.call.target.new_records().is_some() || !job.ids(&state.call).is_empty()
}

impl TurnWork {
    /// Gathers the work of `jobs`, each with its place in the turn. `is_claimed` is whether the records of a call are claimed.
    pub(super) fn of<'a>(
        jobs: impl Iterator<Item = (usize, &'a Job)>,
        is_claimed: impl Fn(CallRef) -> bool,
        now: Timestamp,
    ) -> Self {
        let mut work = Self::default();
        let mut packer = Packer::default();
        let (mut unclaimed, mut claimed) = (Vec::new(), HashSet::new());
        let mut polls: BTreeMap<(String, String), usize> = BTreeMap::new();
        for (place, job) in jobs {
            let mut wait = |at| work.next_at = Some(work.next_at.map_or(at, |known| known.min(at)));
            match job.progress_due_at(now) {
                Some(at) if at > now => wait(at),
                Some(_) => work.callbacks.push(place),
                None => {}
            }
            match job.next(now) {
                NextStep::Done => {}
                NextStep::Prepare => work.preparing.push(place),
                NextStep::Notify => work.callbacks.push(place),
                NextStep::Wait(at) => wait(at),
                NextStep::Resolve(calls) => {
                    let call = |seq| CallRef { job: place, seq };
                    work.unknown_outcomes.extend(calls.into_iter().map(call));
                }
                NextStep::Submit(calls) => {
                    let Some(request) = job.request.resolved() else {
                        continue;
                    };
                    for state in calls.iter().filter_map(|seq| job.call(*seq)) {
                        let call = CallRef {
                            job: place,
                            seq: state.call.seq,
                        };
                        if job.order.is_some() && has_records(job, state) {
                            if !is_claimed(call) {
                                unclaimed.push((call, job));
                                continue;
                            }
                            claimed.extend(names_of(job, call.seq).into_keys());
                        }
                        packer.put(
                            call,
                            &job.connection,
                            request,
                            &state.call,
                            RemainingRecords::of(job, state),
                        );
                    }
                }
                NextStep::Poll(seq) => {
                    let state = job.call(seq);
                    let tracked =
                        state.and_then(|state| Some((&state.call, state.zoho_job_id.clone()?)));
                    let Some((tracked, id)) = tracked else {
                        continue;
                    };
                    let call = CallRef { job: place, seq };
                    let index = *polls
                        .entry((job.connection.clone(), id.clone()))
                        .or_insert_with(|| {
                            work.polls.push(StatusPoll {
                                connection: job.connection.clone(),
                                module: job.request.module.clone(),
                                kind: tracked.target.kind(),
                                zoho_job_id: id,
                                calls: Vec::new(),
                            });
                            work.polls.len() - 1
                        });
                    work.polls[index].calls.push(call);
                }
            }
        }
        work.ordered = newest_calls(unclaimed, claimed);
        work.batches = packer.batches;
        work
    }

    /// Whether there is nothing to do at Zoho now.
    pub(super) fn is_empty(&self) -> bool {
        self.preparing.is_empty()
            && self.unknown_outcomes.is_empty()
            && self.ordered.is_empty()
            && self.batches.is_empty()
            && self.polls.is_empty()
    }
}
