//! Performs what jobs need next, several things at once, and writes down what came of each before anything follows from it.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::{mpsc, oneshot};

use super::doubt::{Resolution, UnresolvedCall, clarified_event};
use super::prepare::{self, PrepareInput, PrepareOutput};
use super::work::{Batch, CallRef, StatusPoll, TurnWork, share};
use super::{Engine, LeasedJob, TurnDeadlines};
use crate::callback::CallbackResult;
use crate::codes::Cause;
use crate::failpoint::reach;
use crate::job::{CallEvent, Job, Notification};
use crate::outcome::Refusal;
use crate::store::LockHolder;
use crate::zoho::answer::{UpdateAnswer, ZohoJobStatus};
use crate::zoho::{self, CallResult, Repeat};

/// Effects under way at once in a turn. Zoho's own share is bounded by each connection.
const AT_ONCE: usize = 64;

/// Outcomes that may wait to be written down before no further one is taken in.
const UNRECORDED: usize = 16;

/// One thing to be done outside.
enum Effect {
    Prepare {
        connection: String,
        wishes: Vec<PrepareInput>,
    },
    Send {
        batch: Batch,
        holders: Vec<LockHolder>,
    },
    StatusPoll(StatusPoll),
    Clarify(UnresolvedCall),
    Call {
        place: usize,
        notification: Notification,
    },
}

/// What came of one effect.
pub(super) enum Done {
    Prepared(Vec<PrepareOutput>),
    Sent(Batch, CallResult<UpdateAnswer>),
    Looked(StatusPoll, Result<ZohoJobStatus, zoho::Error>),
    Called(usize, Notification, CallbackResult),
    /// These calls are about to be sent; whoever is told waits for it to be written down.
    Announced(Vec<CallRef>, oneshot::Sender<bool>),
    /// These were not sent after all.
    Unsent(Vec<CallRef>),
    Clarified(CallRef, Resolution),
}

/// Connections and paths for which nothing works any more in this round.
type DeniedEndpoints = Mutex<HashSet<(String, String)>>;

impl Engine {
    /// Performs everything that can be done now, several things at once, and records each outcome as it comes.
    pub(super) async fn perform(
        &self,
        held: &mut [LeasedJob],
        work: TurnWork,
        turn: TurnDeadlines,
    ) {
        let hopeless = DeniedEndpoints::default();
        let notifications: Vec<(usize, Notification)> = work
            .callbacks
            .iter()
            .filter_map(|place| {
                let job = &held.get(*place)?.job;
                Some((*place, job.notification(self.clock.now())?))
            })
            .collect();
        // One job of a batch holds the lock on its custom view, from turn to turn.
        let batches: Vec<(Batch, Vec<LockHolder>)> = work
            .batches
            .into_iter()
            .map(|batch| {
                let jobs = batch.parts.iter().filter_map(|part| held.get(part.job));
                let holders = match batch.view() {
                    Some(_) => jobs.map(|held| LockHolder::job(&held.job.id)).collect(),
                    None => Vec::new(),
                };
                (batch, holders)
            })
            .collect();
        // Those of a connection together, so that they share what is looked up.
        let mut wishes: BTreeMap<String, Vec<PrepareInput>> = BTreeMap::new();
        for place in work.preparing {
            if let Some(LeasedJob { job, .. }) = held.get(place) {
                let wish = PrepareInput::of(place, &job.request);
                wishes.entry(job.connection.clone()).or_default().push(wish);
            }
        }
        let preparing = wishes
            .into_iter()
            .map(|(connection, wishes)| Effect::Prepare { connection, wishes });
        let calling = notifications
            .into_iter()
            .map(|(place, notification)| Effect::Call {
                place,
                notification,
            });
        let doubts: Vec<UnresolvedCall> = work
            .in_doubt
            .iter()
            .filter_map(|part| Some(UnresolvedCall::of(&held.get(part.job)?.job, *part)))
            .collect();
        let clarifying = doubts.into_iter().map(Effect::Clarify);
        let looking = work.looks.into_iter().map(Effect::StatusPoll);
        let sending = batches
            .into_iter()
            .map(|(batch, holders)| Effect::Send { batch, holders });
        let before = calling.chain(preparing).chain(looking);
        let effects = before.chain(clarifying).chain(sending);
        let (tell, mut told) = mpsc::channel(UNRECORDED);
        let hopeless = &hopeless;
        let performing = async move {
            let mut running = futures_util::stream::iter(effects)
                .map(|effect| self.effect(effect, hopeless, turn, &tell))
                .buffer_unordered(AT_ONCE);
            while let Some(done) = running.next().await {
                if let Some(done) = done {
                    // It is there as long as anything is told.
                    let _ = tell.send(done).await;
                }
            }
        };
        let mut denied = Vec::new();
        let recording = async {
            while let Some(done) = told.recv().await {
                self.record(held, done, &mut denied).await;
            }
        };
        // Side by side: Zoho need not wait while its last answer is written down.
        tokio::join!(performing, recording);
        // Only now: what was under way when the denial came has its own answer by now.
        for (place, refusal) in denied {
            if let Some(held) = held.get_mut(place) {
                tracing::error!(job.id = %held.job.id, zoho.code = refusal.code, "job cannot go on: {refusal}");
                held.job.abandon(&refusal, self.clock.now());
                self.checkpoint(held).await;
            }
        }
    }

    async fn effect(
        &self,
        effect: Effect,
        hopeless: &DeniedEndpoints,
        turn: TurnDeadlines,
        tell: &mpsc::Sender<Done>,
    ) -> Option<Done> {
        match effect {
            Effect::Prepare { connection, wishes } => {
                let client = self.connections.get(&connection)?;
                reach("prepare.before");
                let prepared = prepare::prepare(client, wishes, turn.give_up).await;
                reach("prepare.answered");
                Some(Done::Prepared(prepared))
            }
            Effect::Send { batch, holders } => {
                self.send(batch, holders, hopeless, turn, tell).await
            }
            Effect::Clarify(doubt) => self.clarify(doubt, turn).await,
            Effect::StatusPoll(look) => {
                let client = self.connections.get(&look.connection)?;
                let sent = client
                    .job_status(&look.module, &look.zoho_job_id, turn.give_up)
                    .await;
                reach("look.answered");
                Some(Done::Looked(look, sent.outcome))
            }
            Effect::Call {
                place,
                notification,
            } => {
                reach("callback.before");
                let delivery = self.tell(&notification, turn).await;
                reach("callback.answered");
                Some(Done::Called(place, notification, delivery))
            }
        }
    }

    async fn send(
        &self,
        batch: Batch,
        holders: Vec<LockHolder>,
        hopeless: &DeniedEndpoints,
        turn: TurnDeadlines,
        tell: &mpsc::Sender<Done>,
    ) -> Option<Done> {
        let client = self.connections.get(&batch.connection)?;
        let way = batch.way();
        let place = (batch.connection.clone(), way.path(&batch.module));
        let is_hopeless = || {
            hopeless
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .contains(&place)
        };
        if is_hopeless() || self.clock.now() >= turn.give_up {
            return None;
        }
        let view = batch.view();
        let mut holder = None;
        if let Some(view) = &view {
            match self.lock(view, holders).await {
                Ok(Some(won)) => {
                    reach("send.locked");
                    holder = Some(won);
                }
                Ok(None) => {
                    return Some(Done::Sent(batch, not_now(Refusal::of(Cause::ViewTaken))));
                }
                Err(error) => {
                    return Some(Done::Sent(
                        batch,
                        not_now(Refusal::with(Cause::StoreUnavailable, error.to_string())),
                    ));
                }
            }
        }
        // From here on a crash leaves open whether Zoho has carried it out.
        if batch.once && !self.announce(&batch.parts, tell).await {
            if let (Some(view), Some(holder)) = (&view, &holder) {
                self.unlock(view, holder).await;
            }
            return Some(Done::Unsent(batch.parts));
        }
        let (module, body) = (&batch.module, batch.body());
        let repeat = match batch.once {
            true => Repeat::Never,
            false => Repeat::Safe,
        };
        let sent = client
            .update(module, way, &body, batch.ids(), repeat, turn.give_up)
            .await;
        if let Err(zoho::Error::Denied(_)) = sent.outcome {
            hopeless
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(place);
        }
        if let (Some(view), Some(holder)) = (&view, &holder)
            && !matches!(sent.outcome, Ok(_) | Err(zoho::Error::OutcomeUnknown(_)))
        {
            self.unlock(view, holder).await;
        }
        Some(Done::Sent(batch, sent))
    }

    /// Takes in what came of an effect, for every job that it was for, and writes it down.
    async fn record(&self, held: &mut [LeasedJob], done: Done, denied: &mut Vec<(usize, Refusal)>) {
        match done {
            Done::Prepared(all) => {
                for found in all {
                    if let Some(held) = held.get_mut(found.place) {
                        self.take_prepared(held, found).await;
                        reach("prepare.recorded");
                    }
                }
            }
            Done::Sent(batch, CallResult { attempts, outcome }) => {
                for part in &batch.parts {
                    let Some(held) = held.get_mut(part.job) else {
                        continue;
                    };
                    held.job.record_attempts(part.seq, attempts);
                    let event = sent_event(&outcome, &held.job, *part);
                    self.apply(held, part.seq, event).await;
                    if let Err(zoho::Error::Denied(refusal)) = &outcome {
                        denied.push((part.job, refusal.clone()));
                    }
                }
            }
            Done::Announced(parts, written) => {
                let all = self.mark(held, &parts, true).await;
                // Whoever waits for it sends nothing without it.
                let _ = written.send(all);
            }
            Done::Unsent(parts) => {
                self.mark(held, &parts, false).await;
            }
            Done::Clarified(part, clarified) => {
                if let Some(held) = held.get_mut(part.job) {
                    let event = clarified_event(clarified);
                    self.apply(held, part.seq, event).await;
                }
            }
            Done::Looked(look, outcome) => {
                let event = looked_event(outcome);
                for part in &look.parts {
                    let Some(held) = held.get_mut(part.job) else {
                        continue;
                    };
                    self.apply(held, part.seq, event.clone()).await;
                    reach("look.recorded");
                    self.unlock_if_over(&held.job, part.seq).await;
                    reach("look.unlocked");
                }
            }
            Done::Called(place, notification, delivery) => {
                if let Some(held) = held.get_mut(place) {
                    self.told(held, &notification, delivery).await;
                }
            }
        }
    }

    async fn take_prepared(&self, held: &mut LeasedJob, found: PrepareOutput) {
        if held.failed.is_some() {
            return;
        }
        let PrepareOutput {
            attempts, prepared, ..
        } = found;
        if let Err(error) = held
            .job
            .record_preparation(prepared, attempts, self.clock.now())
        {
            tracing::error!(job.id = %held.job.id, "{error}");
            held.failed = Some(error.into());
            return;
        }
        // Where nobody was asked, the next driver would come to the same plan: that is not worth a write of its own.
        if attempts > 0 || held.job.calls.is_empty() {
            self.checkpoint(held).await;
        }
    }

    async fn apply(&self, held: &mut LeasedJob, seq: usize, event: CallEvent) {
        if held.failed.is_some() {
            return;
        }
        match held.job.apply(seq, event, self.clock.now()) {
            Ok(()) => self.checkpoint(held).await,
            Err(error) => {
                tracing::error!(job.id = %held.job.id, "{error}");
                held.failed = Some(error.into());
            }
        }
    }

    pub(super) async fn checkpoint(&self, held: &mut LeasedJob) {
        reach("record.before");
        if held.failed.is_none()
            && let Err(error) = self.store.checkpoint(&held.job, &mut held.lease).await
        {
            tracing::warn!(job.id = %held.job.id, "{error}");
            held.failed = Some(error.into());
        }
        reach("record.written");
    }
}

/// The answer to a batch, as it concerns one of its calls.
fn sent_event(outcome: &Result<UpdateAnswer, zoho::Error>, job: &Job, part: CallRef) -> CallEvent {
    match outcome {
        Ok(UpdateAnswer::Settled(failures)) => {
            let own = job.call(part.seq).map(|state| share(failures, state, job));
            CallEvent::Settled(own.unwrap_or_default())
        }
        Ok(UpdateAnswer::Accepted { zoho_job_id }) => CallEvent::Accepted {
            zoho_job_id: zoho_job_id.clone(),
        },
        Err(zoho::Error::OutcomeUnknown(why)) => job.unknown_outcome_event(part.seq, why.clone()),
        Err(zoho::Error::RetryLater(why, wait)) => CallEvent::Postponed {
            why: why.clone(),
            wait: *wait,
        },
        Err(error) => CallEvent::Refused(error.refusal().clone()),
    }
}

fn looked_event(outcome: Result<ZohoJobStatus, zoho::Error>) -> CallEvent {
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

/// A batch that was not sent.
fn not_now(why: Refusal) -> CallResult<UpdateAnswer> {
    let wait = why.cause().and_then(|cause| cause.row().class.wait());
    CallResult {
        attempts: 0,
        outcome: Err(zoho::Error::RetryLater(why, wait.unwrap_or_default())),
    }
}
