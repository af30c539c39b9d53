//! Drives jobs: the one room that holds a lease, performs what a job needs next, and writes down what came of it before
//! the next thing is done.

mod work;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use jiff::Timestamp;
use tracing::Instrument;

use crate::callback::{Delivery, Notification, Sender};
use crate::clock::Clock;
use crate::job::store::{Claim, JobStore, Lease, StoreError};
use crate::job::{CallbackStatus, Event, Job, JobId, Next, NotAllowed};
use crate::outcome::Refusal;
use crate::plan::mass_update_path;
use crate::retry::Policy;
use crate::zoho::answer::{Tracked, Update};
use crate::zoho::{Client, Failed, Sent};

/// How often a callback is sent within one turn.
const CALLBACK_TRIES: Policy = Policy {
    attempts: 3,
    base: Duration::from_secs(2),
    cap: Duration::from_secs(10),
};

/// How long a lease outlives the turn that it was taken for: the last effect may still be under way.
const LEASE_SLACK: Duration = Duration::from_secs(40);

/// Why a job could not be driven.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The job names a connection that the config no longer has.
    #[error("job {job} goes through the connection `{connection}`, which the config does not have")]
    NoConnection {
        /// The job.
        job: JobId,
        /// The connection.
        connection: String,
    },
    /// A job was told something that cannot happen to it: a defect.
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
}

/// Drives jobs.
#[derive(Debug)]
pub struct Engine {
    store: Arc<dyn JobStore>,
    connections: BTreeMap<String, Client>,
    callbacks: Sender,
    clock: Arc<dyn Clock>,
}

/// Moments of one turn.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// After this nothing new is sent to Zoho.
    pub give_up: Timestamp,
    /// After this nothing is done at all.
    pub end: Timestamp,
}

impl Engine {
    /// An engine over a store.
    pub fn new(
        store: Arc<dyn JobStore>,
        connections: BTreeMap<String, Client>,
        callbacks: Sender,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            store,
            connections,
            callbacks,
            clock,
        }
    }

    /// Where jobs are kept.
    pub fn store(&self) -> &dyn JobStore {
        self.store.as_ref()
    }

    /// Where callbacks go out.
    pub fn callbacks(&self) -> &Sender {
        &self.callbacks
    }

    /// Drives a job to its end, or until its turn is over; then its callback says so. Returns the job as it stands, or
    /// none if there is no such job. A job that somebody else is driving is left to them.
    ///
    /// # Errors
    /// [`DriveError`]; what was recorded by then stays recorded.
    pub async fn drive(&self, id: &JobId, turn: Turn) -> Result<Option<Job>, DriveError> {
        let until = turn
            .end
            .saturating_add(LEASE_SLACK)
            .unwrap_or(Timestamp::MAX);
        match self.store.claim(id, self.clock.now(), until).await? {
            Claim::Absent => Ok(None),
            Claim::Busy { .. } | Claim::Parked { .. } => Ok(self.store.get(id).await?),
            Claim::Ours(mut job, mut lease) => {
                let span = tracing::info_span!("job", job.id = %id, route = job.route);
                let driven = self
                    .steps(&mut job, &mut lease, turn)
                    .instrument(span)
                    .await;
                let due = job.due(self.clock.now());
                self.store.release(&job, lease, due).await?;
                driven.map(|()| Some(*job))
            }
        }
    }

    async fn steps(&self, job: &mut Job, lease: &mut Lease, turn: Turn) -> Result<(), DriveError> {
        let Some(client) = self.connections.get(&job.connection) else {
            let (job, connection) = (job.id.clone(), job.connection.clone());
            return Err(DriveError::NoConnection { job, connection });
        };
        loop {
            let now = self.clock.now();
            let next = job.next(now);
            let over = if next == Next::Notify {
                now >= turn.end
            } else {
                now >= turn.give_up
            };
            match next {
                Next::Nothing => {
                    tracing::info!(status = job.status().as_str(), "job done");
                    return Ok(());
                }
                Next::Wait(at) if at < turn.give_up => {
                    let wait = Duration::try_from(at.duration_since(now)).unwrap_or_default();
                    self.clock.sleep(wait).await;
                }
                Next::Wait(_) => return self.report_unfinished(job, turn).await,
                _ if over => return self.report_unfinished(job, turn).await,
                Next::Submit(calls) => self.submit(client, job, lease, &calls, turn).await?,
                Next::Poll(call) => self.poll(client, job, lease, call, turn).await?,
                Next::Notify if self.notify(job, lease, turn).await? => {}
                Next::Notify => return Ok(()),
            }
        }
    }

    /// Sends calls of one field group, several at once, and records each answer as it comes.
    async fn submit(
        &self,
        client: &Client,
        job: &mut Job,
        lease: &mut Lease,
        calls: &[usize],
        turn: Turn,
    ) -> Result<(), DriveError> {
        let request = job.request.clone();
        let path = mass_update_path(&request.module);
        let hopeless = AtomicBool::new(false);
        let calls: Vec<_> = calls
            .iter()
            .filter_map(|seq| job.call(*seq))
            .map(|state| state.call.clone())
            .collect();
        let sending = calls.into_iter().map(|call| {
            let (request, path, hopeless) = (&request, &path, &hopeless);
            async move {
                if hopeless.load(Ordering::SeqCst) || self.clock.now() >= turn.give_up {
                    return None;
                }
                let sent = client
                    .mass_update(path, &call.body(request), call.ids(request), turn.give_up)
                    .await;
                if matches!(sent.outcome, Err(Failed::Denied(_))) {
                    hopeless.store(true, Ordering::SeqCst);
                }
                Some((call.seq, sent))
            }
        });
        let mut sending =
            futures_util::stream::iter(sending).buffer_unordered(client.max_concurrency());
        let mut denied = None;
        while let Some(sent) = sending.next().await {
            let Some((seq, Sent { attempts, outcome })) = sent else {
                continue;
            };
            job.sent(seq, attempts);
            let event = match outcome {
                Ok(Update::Settled(failures)) => Event::Settled(failures),
                Ok(Update::Accepted { zoho_job_id }) => Event::Accepted { zoho_job_id },
                Err(failed) => event_of(failed, &mut denied),
            };
            job.apply(seq, event, self.clock.now())?;
            self.store.checkpoint(job, lease).await?;
        }
        if let Some(refusal) = denied {
            tracing::error!(zoho.code = refusal.code, "job cannot go on: {refusal}");
            job.abandon(&refusal, self.clock.now());
            self.store.checkpoint(job, lease).await?;
        }
        Ok(())
    }

    async fn poll(
        &self,
        client: &Client,
        job: &mut Job,
        lease: &mut Lease,
        seq: usize,
        turn: Turn,
    ) -> Result<(), DriveError> {
        let Some(zoho_job_id) = job.call(seq).and_then(|call| call.zoho_job_id.clone()) else {
            return Ok(());
        };
        let sent = client
            .job_status(&job.request.module, &zoho_job_id, turn.give_up)
            .await;
        let event = match sent.outcome {
            Ok(Tracked::Running(counts)) => Event::Progressed {
                counts: Some(counts),
                wait: Duration::ZERO,
            },
            Ok(Tracked::Ended { counts, completed }) => Event::Ended { counts, completed },
            Ok(Tracked::Unknown) => Event::Unknown,
            Err(Failed::Later(_, wait)) => Event::Progressed { counts: None, wait },
            Err(Failed::Refused(refusal) | Failed::Denied(refusal)) => Event::Untracked(refusal),
        };
        job.apply(seq, event, self.clock.now())?;
        self.store.checkpoint(job, lease).await?;
        Ok(())
    }

    /// Sends the callback of a finished job, with a few tries. Returns whether its fate is settled; it is not when the
    /// turn ends between two tries.
    async fn notify(
        &self,
        job: &mut Job,
        lease: &mut Lease,
        turn: Turn,
    ) -> Result<bool, DriveError> {
        let Some(url) = job.callback.as_ref().map(|callback| callback.url.clone()) else {
            return Ok(true);
        };
        let notification = Notification::of(job, url, self.clock.now());
        for tries in 1.. {
            let (status, error, wait) =
                match self.callbacks.send(&notification, self.clock.now()).await {
                    Delivery::Delivered => (CallbackStatus::Delivered, None, None),
                    Delivery::Undeliverable(why) => {
                        (CallbackStatus::Undeliverable, Some(why), None)
                    }
                    Delivery::Failed { why, asked } => {
                        match CALLBACK_TRIES.wait(tries, asked, fastrand::f64()) {
                            Some(wait) => (CallbackStatus::Pending, Some(why), Some(wait)),
                            None => (CallbackStatus::Undeliverable, Some(why), None),
                        }
                    }
                };
            if let (CallbackStatus::Undeliverable, Some(why)) = (status, &error) {
                tracing::error!(attempts = tries, "callback undeliverable: {why}");
            }
            if let Some(callback) = &mut job.callback {
                callback.attempts += 1;
                callback.status = status;
                callback.error = error;
            }
            self.store.checkpoint(job, lease).await?;
            match wait {
                Some(wait)
                    if self
                        .clock
                        .now()
                        .saturating_add(wait)
                        .is_ok_and(|at| at < turn.end) =>
                {
                    self.clock.sleep(wait).await;
                }
                Some(_) => return Ok(false),
                None => break,
            }
        }
        Ok(true)
    }

    /// Time is up: tells the receiver what is known so far. It is a courtesy, tried once; the job stays as it is.
    async fn report_unfinished(&self, job: &Job, turn: Turn) -> Result<(), DriveError> {
        let status = job.status();
        tracing::warn!(status = status.as_str(), "time is up before the job's end");
        let Some(callback) = job.callback.as_ref().filter(|_| !status.is_final()) else {
            return Ok(());
        };
        let now = self.clock.now();
        let left = Duration::try_from(turn.end.duration_since(now)).unwrap_or_default();
        let notification = Notification::of(job, callback.url.clone(), now);
        match tokio::time::timeout(left, self.callbacks.send(&notification, now)).await {
            Ok(Delivery::Delivered) => {}
            Ok(Delivery::Failed { why, .. } | Delivery::Undeliverable(why)) => {
                tracing::warn!("the callback about the unfinished job failed: {why}");
            }
            Err(_) => tracing::warn!("the callback about the unfinished job took too long"),
        }
        Ok(())
    }
}

/// What a failed call means for a job. A denial is noted in `denied` as well: it ends the calls that were not sent.
fn event_of(failed: Failed, denied: &mut Option<Refusal>) -> Event {
    match failed {
        Failed::Later(why, wait) => Event::Postponed { why, wait },
        Failed::Refused(refusal) => Event::Refused(refusal),
        Failed::Denied(refusal) => {
            denied.get_or_insert_with(|| refusal.clone());
            Event::Refused(refusal)
        }
    }
}
