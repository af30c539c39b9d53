//! Drives jobs: the one room that holds leases, performs what jobs need next, and writes down what came of it before the
//! next thing is done.
//!
//! A turn takes a *batch* of jobs, so that jobs that make the same change share calls ([`work`]). Inline, a turn sees its
//! jobs through, waiting where they wait. Durably, it does what is due and leaves the rest to wake-ups: no turn sleeps
//! while Zoho works.

mod callbacks;
mod doubt;
mod effects;
mod prepare;
mod views;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use jiff::Timestamp;

use crate::callback::CallbackSender;
use crate::clock::{Clock, after};
use crate::failpoint::reach;
use crate::job::{AlreadyPrepared, InvalidTransition, Job, JobId};
use crate::store::{Claim, Lease, Store, StoreError};
use crate::wakeup::WakeUps;
use crate::zoho::Client;
pub use prepare::preview_preparation;
use work::TurnWork;

/// Jobs claimed, or given back, at once.
const CLAIMS_AT_ONCE: usize = 16;

/// How long a lease outlives its turn: the last effect may still be under way.
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
    InvalidTransition(#[from] InvalidTransition),
    /// A job was prepared twice: a defect.
    #[error(transparent)]
    AlreadyPrepared(#[from] AlreadyPrepared),
}

/// How a turn deals with waiting.
#[derive(Clone, Debug)]
pub enum ExecutionMode {
    /// Sees jobs through in one go, and reports those that it cannot finish in time.
    Inline,
    /// Does what is due and asks to be woken for the rest.
    Durable(Arc<dyn WakeUps>),
}

/// Moments of one turn.
#[derive(Clone, Copy, Debug)]
pub struct TurnDeadlines {
    /// After this nothing new is sent to Zoho.
    pub give_up: Timestamp,
    /// After this nothing is done at all.
    pub end: Timestamp,
}

/// What a turn came to for one job.
#[derive(Debug)]
pub struct DriveResult {
    /// The job.
    pub id: JobId,
    /// The job as it stands; none if there is no such job, or an error.
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
}

/// A job that this turn drives.
struct LeasedJob {
    job: Box<Job>,
    lease: Lease,
    /// Why it cannot be driven on in this turn.
    failed: Option<DriveError>,
}

impl Engine {
    /// An engine over a store.
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
        }
    }

    /// Where jobs are kept.
    pub fn store(&self) -> &dyn Store {
        self.store.as_ref()
    }

    /// Where callbacks go out.
    pub fn callbacks(&self) -> &CallbackSender {
        &self.callbacks
    }

    /// How turns deal with waiting.
    pub fn mode(&self) -> &ExecutionMode {
        &self.mode
    }

    /// Drives jobs as far as they go in this turn. A job that somebody else drives is left to them.
    pub async fn drive(&self, ids: &[JobId], turn: TurnDeadlines) -> Vec<DriveResult> {
        let mut driven = Vec::with_capacity(ids.len());
        let mut held = Vec::new();
        let mut claims = futures_util::stream::iter(ids.to_vec())
            .map(|id| async move {
                let claim = self.claim(&id, turn).await;
                (id, claim)
            })
            .buffered(CLAIMS_AT_ONCE);
        while let Some((id, claim)) = claims.next().await {
            match claim {
                Ok(Ok((job, lease))) => {
                    reach("drive.claimed");
                    held.push(LeasedJob {
                        job,
                        lease,
                        failed: None,
                    });
                }
                Ok(Err(other)) => driven.push(DriveResult {
                    id,
                    outcome: Ok(other),
                }),
                Err(error) => driven.push(DriveResult {
                    id,
                    outcome: Err(error),
                }),
            }
        }
        drop(claims);
        self.work(&mut held, turn).await;
        let used: BTreeSet<&str> = held
            .iter()
            .map(|held| held.job.connection.as_str())
            .collect();
        for client in used.iter().filter_map(|name| self.connections.get(*name)) {
            client.release_idle().await;
        }
        let mut releases = futures_util::stream::iter(held)
            .map(|held| self.release(held))
            .buffered(CLAIMS_AT_ONCE);
        while let Some(released) = releases.next().await {
            driven.push(released);
        }
        driven
    }

    /// Claims a job; the inner error is the job of somebody else.
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

    async fn release(&self, held: LeasedJob) -> DriveResult {
        let LeasedJob { job, lease, failed } = held;
        let id = job.id.clone();
        if let Some(error) = failed {
            // The lease runs out by itself; what is stored is newer than what we know, or cannot be written at all.
            return DriveResult {
                id,
                outcome: Err(error),
            };
        }
        reach("release.before");
        if job.status().is_final() {
            // A driver that was lost between the job's end and its unlocking has left that to us.
            self.unlock_view_of(&job).await;
            reach("release.unlocked");
        }
        let now = self.clock.now();
        let due = job.due(now);
        if let Err(error) = self.store.release(&job, lease, due).await {
            return DriveResult {
                id,
                outcome: Err(error.into()),
            };
        }
        reach("release.released");
        if let (ExecutionMode::Durable(wakeups), Some(due)) = (&self.mode, due) {
            let delay = Duration::try_from(due.duration_since(now)).unwrap_or_default();
            if let Err(error) = wakeups.wake(&[(id.clone(), delay)]).await {
                tracing::warn!(job.id = %id, "{error}; a sweep will find it");
            }
            reach("release.woken");
        }
        if due.is_none() {
            tracing::info!(job.id = %id, route = job.route, status = job.status().as_str(), "job done");
        }
        DriveResult {
            id,
            outcome: Ok(Some(*job)),
        }
    }

    async fn work(&self, held: &mut [LeasedJob], turn: TurnDeadlines) {
        loop {
            let now = self.clock.now();
            let going = held
                .iter()
                .enumerate()
                .filter(|(_, held)| held.failed.is_none());
            let mut work = TurnWork::of(going.map(|(place, held)| (place, held.job.as_ref())), now);
            if now >= turn.give_up {
                work.preparing.clear();
                work.in_doubt.clear();
                work.batches.clear();
                work.looks.clear();
            }
            if now >= turn.end {
                break;
            }
            if !work.is_empty() {
                self.perform(held, work, turn).await;
                continue;
            }
            match (&self.mode, work.later) {
                (ExecutionMode::Inline, Some(at)) if at < turn.give_up => {
                    let wait = Duration::try_from(at.duration_since(now)).unwrap_or_default();
                    self.clock.sleep(wait).await;
                }
                (ExecutionMode::Inline | ExecutionMode::Durable(_), _) => break,
            }
        }
        if let ExecutionMode::Inline = self.mode {
            for held in held.iter_mut().filter(|held| held.failed.is_none()) {
                self.report_unfinished(held, turn).await;
            }
        }
    }
}
