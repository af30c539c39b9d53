//! Drives jobs under their leases: performs what they need next, and records each result before the next step.
//!
//! A turn drives several jobs at once, so that equal changes share calls ([`batch`]). In inline mode a turn drives its jobs
//! to completion and sleeps while they wait. In durable mode it performs what is due and leaves the rest to wake-ups: no
//! turn sleeps while Zoho works, and callbacks are sent beside the turns ([`callbacks`]).

mod batch;
mod callbacks;
mod effect;
mod fair_queue;
mod host_health;
mod inline;
mod perform;
mod prepare;
mod record;
mod send;
mod unknown_outcome;
mod view_locks;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use jiff::Timestamp;
use tokio::sync::oneshot;

use crate::callback::CallbackSender;
use crate::clock::{Clock, after};
use crate::failpoint::fail_point;
use crate::job::{AlreadyPrepared, InvalidTransition, Job, JobId};
use crate::store::{Claim, Lease, Store, StoreError};
use crate::wakeup::WakeUps;
use crate::zoho::Client;
pub use callbacks::{CallbackQueue, Patience};
use host_health::HostHealth;
pub use prepare::preview_preparation;
use work::TurnWork;

/// How long a lease outlives its turn, as the last effect may still be under way.
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
    /// A job received an event that is impossible in its state: a defect.
    #[error(transparent)]
    InvalidTransition(#[from] InvalidTransition),
    /// A job was prepared twice: a defect.
    #[error(transparent)]
    AlreadyPrepared(#[from] AlreadyPrepared),
}

/// Whether a run drives jobs to completion or only performs what is due.
#[derive(Clone, Debug)]
pub enum ExecutionMode {
    /// Drive each job to completion within the invocation; report jobs that run out of time.
    Inline,
    /// Perform what is due, then schedule a wake-up for the rest.
    Durable(Arc<dyn WakeUps>),
}

/// The time limits of one turn.
#[derive(Clone, Copy, Debug)]
pub struct TurnDeadlines {
    /// Nothing is sent to Zoho after this time.
    pub give_up: Timestamp,
    /// The turn ends at this time.
    pub end: Timestamp,
}

/// The result of a turn for one job.
#[derive(Debug)]
pub struct DriveResult {
    /// The job.
    pub id: JobId,
    /// The job after the turn; `None` if there is no such job.
    pub outcome: Result<Option<Job>, DriveError>,
}

/// Drives jobs.
#[derive(Debug)]
pub struct Engine {
    store: Arc<dyn Store>,
    connections: BTreeMap<String, Client>,
    callbacks: CallbackSender,
    clock: Arc<dyn Clock>,
    mode: ExecutionMode,
    /// The receivers that do not answer.
    hosts: Mutex<HostHealth>,
}

/// A job with the lease under which this turn drives it.
struct LeasedJob {
    job: Box<Job>,
    lease: Lease,
    /// Why this turn stopped driving it.
    error: Option<DriveError>,
    /// Dropped with the job: the recorder of its progress callback waits for that.
    progress: Option<oneshot::Sender<()>>,
}

impl LeasedJob {
    fn new(job: Box<Job>, lease: Lease) -> Self {
        Self {
            job,
            lease,
            error: None,
            progress: None,
        }
    }
}

impl Engine {
    /// Creates an engine over a store.
    pub fn new(
        store: Arc<dyn Store>,
        connections: BTreeMap<String, Client>,
        callbacks: CallbackSender,
        clock: Arc<dyn Clock>,
        mode: ExecutionMode,
    ) -> Self {
        Self {
            store,
            connections,
            callbacks,
            clock,
            mode,
            hosts: Mutex::default(),
        }
    }

    /// The store of jobs.
    pub fn store(&self) -> &dyn Store {
        self.store.as_ref()
    }

    /// The sender of callbacks.
    pub fn callbacks(&self) -> &CallbackSender {
        &self.callbacks
    }

    /// The execution mode.
    pub fn mode(&self) -> &ExecutionMode {
        &self.mode
    }

    /// Drives jobs as far as possible in this turn. A job that another driver holds is only read. In durable mode the turn
    /// hands due callbacks over to `callbacks`, and finished jobs with them; [`Engine::send_callbacks`] returns their
    /// results. In inline mode it sends them itself.
    pub async fn drive(
        &self,
        ids: &[JobId],
        turn: TurnDeadlines,
        callbacks: &CallbackQueue,
    ) -> Vec<DriveResult> {
        let mut results = Vec::with_capacity(ids.len());
        let mut leased = Vec::new();
        let mut claims = futures_util::stream::iter(ids.to_vec())
            .map(|id| async move {
                let claim = self.claim(&id, turn).await;
                (id, claim)
            })
            .buffered(self.store.concurrency());
        while let Some((id, claim)) = claims.next().await {
            match claim {
                Ok(Ok((job, lease))) => {
                    fail_point("drive.claimed");
                    leased.push(LeasedJob::new(job, lease));
                }
                Ok(Err(other)) => results.push(DriveResult {
                    id,
                    outcome: Ok(other),
                }),
                Err(error) => results.push(DriveResult {
                    id,
                    outcome: Err(error),
                }),
            }
        }
        drop(claims);
        let used = leased.iter().map(|leased| leased.job.connection.clone());
        let used: BTreeSet<String> = used.collect();
        match self.mode {
            ExecutionMode::Inline => self.work_inline(&mut leased, turn).await,
            ExecutionMode::Durable(_) => self.work(&mut leased, turn, callbacks).await,
        }
        for client in used.iter().filter_map(|name| self.connections.get(name)) {
            client.release_idle().await;
        }
        let mut releases = futures_util::stream::iter(leased)
            .map(|leased| self.release(leased))
            .buffered(self.store.concurrency());
        while let Some(released) = releases.next().await {
            results.push(released);
        }
        results
    }

    /// Claims a job. The inner error is a job that cannot be claimed: another driver holds it, it is parked, or it is absent.
    async fn claim(
        &self,
        id: &JobId,
        turn: TurnDeadlines,
    ) -> Result<Result<(Box<Job>, Lease), Option<Job>>, DriveError> {
        let until = after(turn.end, LEASE_SLACK);
        match self.store.claim(id, self.clock.now(), until).await {
            Ok(Claim::NotFound) => Ok(Err(None)),
            Ok(Claim::Busy { .. } | Claim::Parked { .. }) => Ok(Err(self.store.get(id).await?)),
            Ok(Claim::Acquired(job, lease)) => match self.connections.contains_key(&job.connection)
            {
                true => Ok(Ok((job, lease))),
                false => {
                    let connection = job.connection.clone();
                    self.store
                        .park(id, &format!("the config has no connection `{connection}`"))
                        .await?;
                    Err(DriveError::NoConnection {
                        job: id.clone(),
                        connection,
                    })
                }
            },
            Err(StoreError::Unreadable { id, reason }) => {
                // The job is parked with the reason, so that sweeps do not claim it again.
                tracing::error!(job.id = %id, "job parked: {reason}");
                self.store.park(&id, &reason).await?;
                Err(StoreError::Unreadable { id, reason }.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn release(&self, leased: LeasedJob) -> DriveResult {
        let LeasedJob {
            job,
            lease,
            error,
            progress: _released,
        } = leased;
        let id = job.id.clone();
        if let Some(error) = error {
            // The lease expires. The stored job is newer than this one, or the store cannot be written.
            return DriveResult {
                id,
                outcome: Err(error),
            };
        }
        fail_point("release.before");
        if job.status().is_final() {
            // A driver that crashed after the job's end may have left the view locked.
            self.unlock_view_of(&job).await;
            fail_point("release.unlocked");
        }
        let now = self.clock.now();
        let due = job.due(now);
        if let Err(error) = self.store.release(&job, lease, due).await {
            return DriveResult {
                id,
                outcome: Err(error.into()),
            };
        }
        fail_point("release.released");
        // A wake-up starts a driver that cannot wait for a slow receiver.
        if let (ExecutionMode::Durable(wakeups), Some(due), false) =
            (&self.mode, due, job.needs_patience())
        {
            let delay = Duration::try_from(due.duration_since(now)).unwrap_or_default();
            if let Err(error) = wakeups.wake(&[(id.clone(), delay)]).await {
                tracing::warn!(job.id = %id, "{error}; the next sweep drives the job");
            }
            fail_point("release.woken");
        }
        if due.is_none() {
            tracing::info!(job.id = %id, route = job.route, status = job.status().as_str(), "job finished");
        }
        DriveResult {
            id,
            outcome: Ok(Some(*job)),
        }
    }

    /// Performs what is due in durable mode.
    async fn work(
        &self,
        leased: &mut Vec<LeasedJob>,
        turn: TurnDeadlines,
        callbacks: &CallbackQueue,
    ) {
        loop {
            let now = self.clock.now();
            callbacks.take_over(leased, turn, now);
            let work = Self::due_work(leased, turn, now);
            if now >= turn.end || work.is_empty() {
                return;
            }
            self.perform(leased, work, turn).await;
        }
    }

    /// The work that is due now; nothing for Zoho after the turn's time.
    fn due_work(leased: &[LeasedJob], turn: TurnDeadlines, now: Timestamp) -> TurnWork {
        let going = leased
            .iter()
            .enumerate()
            .filter(|(_, leased)| leased.error.is_none());
        let going = going.map(|(place, leased)| (place, leased.job.as_ref()));
        let mut work = TurnWork::of(going, now);
        if now >= turn.give_up {
            work.preparing.clear();
            work.unknown_outcomes.clear();
            work.batches.clear();
            work.polls.clear();
        }
        work
    }
}
