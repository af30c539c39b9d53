//! Records the results of effects in their jobs.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt;
use jiff::Timestamp;
use tokio::sync::oneshot;

use super::batch::{Batch, CallRef, failures_of};
use super::effect::EffectResult;
use super::order::ClaimedCall;
use super::prepare::PrepareOutput;
use super::unknown_outcome::{Resolution, resolution_event};
use super::{Engine, ExecutionMode, LeasedJob, WakeUp};
use crate::failpoint::fail_point;
use crate::job::{CallEvent, Job, JobId, Sharing};
use crate::outcome::{Refusal, SentRequest};
use crate::plan::CallKind;
use crate::zoho::answer::{UpdateAnswer, ZohoJobStatus};
use crate::zoho::{self, CallResult};

/// What follows once results are stored.
enum NextAction {
    /// Reply to the sender of these calls.
    Reply(Vec<CallRef>, Option<oneshot::Sender<bool>>),
    /// Unlock the custom views of those of these calls that have ended.
    Unlock(Vec<CallRef>),
    /// Nothing. The results were preparations.
    Prepared,
}

/// Jobs to store.
#[derive(Default)]
struct Changes {
    /// The places of jobs.
    changed: BTreeSet<usize>,
    /// Jobs of which the turn may have to record more, although nothing is due.
    kept: BTreeSet<usize>,
    next: Vec<NextAction>,
}

impl Engine {
    /// Records results that arrived together in the jobs that they concern, with one write for each job. Jobs whose connection
    /// denies every call are added to `denied`.
    pub(super) async fn record(
        &self,
        leased: &mut [LeasedJob],
        results: Vec<EffectResult>,
        denied: &mut Vec<(usize, CallKind, Refusal)>,
    ) {
        let mut changes = Changes::default();
        for result in results {
            self.apply_result(leased, result, &mut changes, denied);
        }
        let Changes {
            changed,
            kept,
            next,
        } = changes;
        self.store_all(leased, &changed, &kept).await;
        for action in next {
            match action {
                NextAction::Prepared => fail_point("prepare.recorded"),
                NextAction::Reply(calls, recorded) => {
                    fail_point("send.announced");
                    let mut jobs = calls.iter().filter_map(|call| leased.get(call.job));
                    let all = jobs.all(|leased| leased.error.is_none());
                    // The sender of the batch sends nothing unless all are recorded.
                    let _ = recorded.map(|recorded| recorded.send(all));
                }
                NextAction::Unlock(calls) => {
                    fail_point("poll.recorded");
                    for call in calls {
                        if let Some(leased) = leased.get_mut(call.job) {
                            self.unlock_if_ended(leased, call.seq).await;
                            fail_point("poll.unlocked");
                        }
                    }
                }
            }
        }
    }

    /// Applies a result to its jobs.
    fn apply_result(
        &self,
        leased: &mut [LeasedJob],
        result: EffectResult,
        changes: &mut Changes,
        denied: &mut Vec<(usize, CallKind, Refusal)>,
    ) {
        match result {
            EffectResult::Prepared(outputs) => {
                for output in outputs {
                    let place = output.place;
                    if let Some(leased) = leased.get_mut(place)
                        && self.apply_preparation(leased, output)
                    {
                        changes.changed.insert(place);
                    }
                }
                changes.next.push(NextAction::Prepared);
            }
            EffectResult::Claimed(calls) => self.apply_claims(leased, calls, changes),
            EffectResult::Parted(calls, requests) => record_requests(leased, &calls, &requests),
            EffectResult::Sent(batch, CallResult { requests, outcome }) => {
                record_requests(leased, &batch.calls, &requests);
                for call in &batch.calls {
                    let Some(leased) = leased.get_mut(call.job) else {
                        continue;
                    };
                    let event = sent_event(&outcome, &batch, &leased.job, *call);
                    if self.apply(leased, call.seq, event) {
                        changes.changed.insert(call.job);
                    }
                    if let Err(zoho::Error::Denied(refusal)) = &outcome {
                        denied.push((call.job, batch.kind, refusal.clone()));
                        changes.kept.insert(call.job);
                    }
                }
                if outcome.is_ok()
                    && let Some(client) = self.connections.get(&batch.connection)
                {
                    client.count_shared_call(batch.calls.len());
                }
            }
            EffectResult::Announced(calls, recorded) => {
                mark(leased, &calls, Some(self.clock.now()), changes);
                changes.next.push(NextAction::Reply(calls, Some(recorded)));
            }
            EffectResult::NotSent(calls) => {
                mark(leased, &calls, None, changes);
                changes.next.push(NextAction::Reply(calls, None));
            }
            EffectResult::Resolved(call, resolution) => {
                if let Some(leased) = leased.get_mut(call.job) {
                    record_reread(&mut leased.job, call.seq, &resolution);
                    let event = resolution_event(resolution);
                    if self.apply(leased, call.seq, event) {
                        changes.changed.insert(call.job);
                    }
                }
            }
            EffectResult::Polled(poll, CallResult { requests, outcome }) => {
                if outcome.is_ok()
                    && let Some(client) = self.connections.get(&poll.connection)
                {
                    client.count_shared_call(poll.calls.len());
                }
                let event = polled_event(outcome);
                for call in &poll.calls {
                    if let Some(leased) = leased.get_mut(call.job) {
                        leased.job.record_poll(call.seq, &requests);
                    }
                    if let Some(leased) = leased.get_mut(call.job)
                        && self.apply(leased, call.seq, event.clone())
                    {
                        changes.changed.insert(call.job);
                    }
                }
                changes.next.push(NextAction::Unlock(poll.calls));
            }
        }
    }

    /// Records in jobs which of their records a newer delivery was sent for, and keeps their claims for the next round.
    fn apply_claims(&self, jobs: &mut [LeasedJob], calls: Vec<ClaimedCall>, changes: &mut Changes) {
        for ClaimedCall {
            call,
            superseded,
            claims,
        } in calls
        {
            let Some(leased) = jobs.get_mut(call.job) else {
                continue;
            };
            let is_complete = claims.as_ref().is_ok_and(Vec::is_empty);
            if (is_complete || !superseded.is_empty())
                && self.apply(leased, call.seq, CallEvent::Superseded(superseded))
            {
                changes.changed.insert(call.job);
            }
            match claims {
                Ok(claims) if is_complete => drop(claims),
                Ok(claims) => drop(leased.claims.insert(call.seq, claims)),
                Err(event) => {
                    if self.apply(leased, call.seq, event) {
                        changes.changed.insert(call.job);
                    }
                }
            }
        }
    }

    /// Records a preparation in its job. Returns whether the job is to be stored.
    fn apply_preparation(&self, leased: &mut LeasedJob, output: PrepareOutput) -> bool {
        if !leased.is_driven() {
            return false;
        }
        let PrepareOutput {
            attempts, prepared, ..
        } = output;
        if prepared.outcome.is_denial() {
            self.count_denial(&leased.job);
        }
        if let Err(error) = leased
            .job
            .record_preparation(prepared, attempts, self.clock.now())
        {
            tracing::error!(job.id = %leased.job.id, delivery.id = leased.job.delivery(), "{error}");
            leased.error = Some(error.into());
            return false;
        }
        // Without a request to Zoho the next driver would make the same plan: that is not worth a write.
        attempts > 0 || leased.job.calls.is_empty()
    }

    /// Records an event in its job. Returns whether the job is to be stored.
    fn apply(&self, leased: &mut LeasedJob, seq: usize, event: CallEvent) -> bool {
        if !leased.is_driven() {
            return false;
        }
        let applied = leased.job.apply(seq, event, self.clock.now());
        if let Err(error) = applied {
            tracing::error!(job.id = %leased.job.id, delivery.id = leased.job.delivery(), "{error}");
            leased.error = Some(error.into());
        }
        leased.error.is_none()
    }

    /// Stores these jobs side by side, so that they can share a commit. In durable mode the write also releases a job of
    /// which nothing is due, unless it is in `kept`.
    async fn store_all(
        &self,
        leased: &mut [LeasedJob],
        changed: &BTreeSet<usize>,
        kept: &BTreeSet<usize>,
    ) {
        let mut writes = Vec::new();
        for (place, leased) in leased.iter_mut().enumerate() {
            if changed.contains(&place) {
                writes.push(self.store_or_release(leased, kept.contains(&place)));
            }
        }
        let wake_ups: Vec<Option<WakeUp>> = futures_util::stream::iter(writes)
            .buffer_unordered(self.store.concurrency())
            .collect()
            .await;
        let wake_ups: Vec<WakeUp> = wake_ups.into_iter().flatten().collect();
        self.wake(&wake_ups).await;
    }

    /// Stores a job, and ends its lease if nothing of it is due and it need not be kept. Returns the wake-up that it needs.
    async fn store_or_release(&self, leased: &mut LeasedJob, is_kept: bool) -> Option<WakeUp> {
        let now = self.clock.now();
        let is_idle = leased.job.due(now).is_none_or(|due| due > now);
        let is_durable = matches!(self.mode, ExecutionMode::Durable(_));
        if is_kept || !is_idle || !is_durable || !leased.is_driven() {
            self.checkpoint(leased).await;
            return None;
        }
        fail_point("record.before");
        let wake_up = self.end_lease(leased).await;
        fail_point("record.written");
        wake_up
    }

    /// Stores a job under its lease.
    pub(super) async fn checkpoint(&self, leased: &mut LeasedJob) {
        fail_point("record.before");
        if leased.error.is_none()
            && let Err(error) = self.store.checkpoint(&leased.job, &mut leased.lease).await
        {
            tracing::warn!(job.id = %leased.job.id, delivery.id = leased.job.delivery(), "{error}");
            leased.error = Some(error.into());
        }
        self.note_end(leased);
        fail_point("record.written");
    }
}

/// Records in the jobs of these calls that the calls are sent at a moment, or that they were not sent.
fn mark(
    leased: &mut [LeasedJob],
    calls: &[CallRef],
    sent_at: Option<Timestamp>,
    changes: &mut Changes,
) {
    for call in calls {
        let Some(leased) = leased.get_mut(call.job) else {
            continue;
        };
        let marked = match sent_at {
            Some(now) => leased.job.begin_send(call.seq, now),
            None => leased.job.cancel_send(call.seq),
        };
        if marked {
            changes.changed.insert(call.job);
            changes.kept.insert(call.job);
        }
    }
}

/// Records requests in the jobs of the calls for which they were sent.
fn record_requests(leased: &mut [LeasedJob], calls: &[CallRef], requests: &[SentRequest]) {
    let places: BTreeSet<usize> = calls.iter().map(|call| call.job).collect();
    let jobs = places.iter().filter_map(|place| leased.get(*place));
    let ids: Vec<JobId> = jobs.map(|leased| leased.job.id.clone()).collect();
    for call in calls {
        if let Some(LeasedJob { job, .. }) = leased.get_mut(call.job) {
            let sharing = Sharing::of(&job.id, &ids);
            job.record_requests(call.seq, requests, &sharing);
        }
    }
}

/// Records in a job that the records of one of its calls were read.
fn record_reread(job: &mut Job, seq: usize, resolution: &Resolution) {
    if let Some(CallResult { requests, outcome }) = resolution {
        let found = outcome.as_ref().map(|found| found.len() as u64);
        job.record_reread(seq, requests, found.map_err(zoho::Error::refusal));
    }
}

/// What the answer to a batch means for one of its calls.
fn sent_event(
    outcome: &Result<UpdateAnswer, zoho::Error>,
    batch: &Batch,
    job: &Job,
    call: CallRef,
) -> CallEvent {
    match outcome {
        Ok(UpdateAnswer::Upserted(rows)) => {
            let own = job.call(call.seq);
            let own = own.map(|state| batch.new_records_of(rows, job, &state.call));
            CallEvent::Upserted(own.unwrap_or_default())
        }
        Ok(UpdateAnswer::Settled(failures)) => {
            let own = job.call(call.seq);
            let own = own.map(|state| failures_of(failures, state, job));
            CallEvent::Settled(own.unwrap_or_default())
        }
        Ok(UpdateAnswer::Accepted { zoho_job_id }) => CallEvent::Accepted {
            zoho_job_id: zoho_job_id.clone(),
        },
        Err(zoho::Error::OutcomeUnknown(refusal)) => {
            job.unknown_outcome_event(call.seq, refusal.clone())
        }
        Err(error) => match error.retry_after() {
            Some(wait) => CallEvent::Postponed {
                reason: error.refusal().clone(),
                wait,
            },
            None => CallEvent::Refused(error.refusal().clone()),
        },
    }
}

/// What the status of a Zoho job means for its calls.
fn polled_event(outcome: Result<ZohoJobStatus, zoho::Error>) -> CallEvent {
    match outcome {
        Ok(ZohoJobStatus::Running(counts)) => CallEvent::Progressed {
            counts: Some(counts),
            wait: Duration::ZERO,
            refusal: None,
        },
        Ok(ZohoJobStatus::Ended { counts, completed }) => CallEvent::Ended { counts, completed },
        Ok(ZohoJobStatus::Unknown) => CallEvent::JobNotFound,
        Err(error) => match error.retry_after() {
            Some(wait) => CallEvent::Progressed {
                counts: None,
                wait,
                refusal: Some(error.into_refusal()),
            },
            None => CallEvent::TrackingFailed(error.into_refusal()),
        },
    }
}
