//! Records the results of effects in their jobs.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt;

use super::batch::{CallRef, failures_of};
use super::effect::EffectResult;
use super::prepare::PrepareOutput;
use super::unknown_outcome::resolution_event;
use super::{Engine, LeasedJob};
use crate::failpoint::fail_point;
use crate::job::{CallEvent, Job};
use crate::outcome::Refusal;
use crate::zoho::answer::{UpdateAnswer, ZohoJobStatus};
use crate::zoho::{self, CallResult};

impl Engine {
    /// Records a result in every job that it concerns. Jobs whose connection denies every call are added to `denied`.
    pub(super) async fn record(
        &self,
        leased: &mut [LeasedJob],
        result: EffectResult,
        denied: &mut Vec<(usize, Refusal)>,
    ) {
        match result {
            EffectResult::Prepared(outputs) => {
                let mut changed = BTreeSet::new();
                for output in outputs {
                    let place = output.place;
                    if let Some(leased) = leased.get_mut(place)
                        && self.apply_preparation(leased, output)
                    {
                        changed.insert(place);
                    }
                }
                self.checkpoint_all(leased, &changed).await;
                fail_point("prepare.recorded");
            }
            EffectResult::Sent(batch, CallResult { attempts, outcome }) => {
                let mut changed = BTreeSet::new();
                for call in &batch.calls {
                    let Some(leased) = leased.get_mut(call.job) else {
                        continue;
                    };
                    leased.job.record_attempts(call.seq, attempts);
                    let event = sent_event(&outcome, &leased.job, *call);
                    if self.apply(leased, call.seq, event) {
                        changed.insert(call.job);
                    }
                    if let Err(zoho::Error::Denied(refusal)) = &outcome {
                        denied.push((call.job, refusal.clone()));
                    }
                }
                self.checkpoint_all(leased, &changed).await;
            }
            EffectResult::Announced(calls, recorded) => {
                let all = self.mark(leased, &calls, true).await;
                // The sender of the batch sends nothing unless all are recorded.
                let _ = recorded.send(all);
            }
            EffectResult::NotSent(calls) => {
                self.mark(leased, &calls, false).await;
            }
            EffectResult::Resolved(call, resolution) => {
                if let Some(leased) = leased.get_mut(call.job) {
                    let event = resolution_event(resolution);
                    if self.apply(leased, call.seq, event) {
                        self.checkpoint(leased).await;
                    }
                }
            }
            EffectResult::Polled(poll, outcome) => {
                let event = polled_event(outcome);
                let mut changed = BTreeSet::new();
                for call in &poll.calls {
                    if let Some(leased) = leased.get_mut(call.job)
                        && self.apply(leased, call.seq, event.clone())
                    {
                        changed.insert(call.job);
                    }
                }
                self.checkpoint_all(leased, &changed).await;
                fail_point("poll.recorded");
                for call in &poll.calls {
                    let Some(leased) = leased.get(call.job) else {
                        continue;
                    };
                    self.unlock_if_ended(&leased.job, call.seq).await;
                    fail_point("poll.unlocked");
                }
            }
        }
    }

    /// Records a preparation in its job. Returns whether the job is to be stored.
    fn apply_preparation(&self, leased: &mut LeasedJob, output: PrepareOutput) -> bool {
        if leased.error.is_some() {
            return false;
        }
        let PrepareOutput {
            attempts, prepared, ..
        } = output;
        if let Err(error) = leased
            .job
            .record_preparation(prepared, attempts, self.clock.now())
        {
            tracing::error!(job.id = %leased.job.id, "{error}");
            leased.error = Some(error.into());
            return false;
        }
        // Without a request to Zoho the next driver would make the same plan: that is not worth a write.
        attempts > 0 || leased.job.calls.is_empty()
    }

    /// Records in the jobs of these calls that the calls are about to be sent, or that they were not sent. Returns whether
    /// all of it is stored.
    async fn mark(&self, leased: &mut [LeasedJob], calls: &[CallRef], sending: bool) -> bool {
        let mut changed = BTreeSet::new();
        for call in calls {
            let Some(leased) = leased.get_mut(call.job) else {
                continue;
            };
            let marked = match sending {
                true => leased.job.begin_send(call.seq),
                false => leased.job.cancel_send(call.seq),
            };
            if marked {
                changed.insert(call.job);
            }
        }
        self.checkpoint_all(leased, &changed).await;
        fail_point("send.announced");
        let mut jobs = calls.iter().filter_map(|call| leased.get(call.job));
        jobs.all(|leased| leased.error.is_none())
    }

    /// Records an event in its job. Returns whether the job is to be stored.
    fn apply(&self, leased: &mut LeasedJob, seq: usize, event: CallEvent) -> bool {
        if leased.error.is_some() {
            return false;
        }
        let applied = leased.job.apply(seq, event, self.clock.now());
        if let Err(error) = applied {
            tracing::error!(job.id = %leased.job.id, "{error}");
            leased.error = Some(error.into());
        }
        leased.error.is_none()
    }

    /// Stores these jobs side by side, so that they can share a commit.
    async fn checkpoint_all(&self, leased: &mut [LeasedJob], changed: &BTreeSet<usize>) {
        let to_store = leased
            .iter_mut()
            .enumerate()
            .filter(|(place, _)| changed.contains(place));
        futures_util::stream::iter(to_store)
            .for_each_concurrent(self.store.concurrency(), |(_, leased)| {
                self.checkpoint(leased)
            })
            .await;
    }

    /// Stores a job under its lease.
    pub(super) async fn checkpoint(&self, leased: &mut LeasedJob) {
        fail_point("record.before");
        if leased.error.is_none()
            && let Err(error) = self.store.checkpoint(&leased.job, &mut leased.lease).await
        {
            tracing::warn!(job.id = %leased.job.id, "{error}");
            leased.error = Some(error.into());
        }
        fail_point("record.written");
    }
}

/// What the answer to a batch means for one of its calls.
fn sent_event(outcome: &Result<UpdateAnswer, zoho::Error>, job: &Job, call: CallRef) -> CallEvent {
    match outcome {
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
        },
        Ok(ZohoJobStatus::Ended { counts, completed }) => CallEvent::Ended { counts, completed },
        Ok(ZohoJobStatus::Unknown) => CallEvent::JobNotFound,
        Err(error) => match error.retry_after() {
            Some(wait) => CallEvent::Progressed { counts: None, wait },
            None => CallEvent::TrackingFailed(error.into_refusal()),
        },
    }
}
