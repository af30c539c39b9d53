//! Drives jobs under their leases: performs what they need next, and records each result before the next step.
//!
//! A turn drives several jobs at once, so that equal changes share calls ([`batch`]). In inline mode a turn drives its jobs
//! to completion and sleeps while they wait. In durable mode it performs what is due and leaves the rest to wake-ups: no
//! turn sleeps while Zoho works, and callbacks are sent beside the turns ([`callbacks`]).

mod batch;
mod callback_results;
mod callbacks;
mod claims;
mod driven_jobs;
mod effect;
mod end;
mod fair_queue;
mod host_health;
mod inline;
mod order;
mod perform;
mod prepare;
mod record;
mod send;
mod spans;
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
use crate::clock::Clock;
use crate::failpoint::fail_point;
use crate::job::{AlreadyPrepared, InvalidTransition, Job, JobId};
use crate::metrics::{ConnectionGauges, FinishedJob, Metrics};
use crate::store::{Lease, Store, StoreError};
use crate::sync;
use crate::wakeup::{WakeUp, WakeUps};
use crate::zoho::{Client, ConnectionStatus};
use batch::CallRef;
pub use callbacks::{CallbackQueue, Patience};
use claims::ClaimResult;
use driven_jobs::{DrivenJob, DrivenJobs};
use host_health::HostHealth;
use order::CallClaim;
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
    /// The job after the turn; `None` if there is no such job, or if a turn in durable mode could not lease it.
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
    metrics: Metrics,
    /// The jobs that turns of this process have in hand.
    driven: DrivenJobs,
}

/// Jobs that a turn has claimed, and the results of those that it could not claim.
#[derive(Default)]
pub struct ClaimedJobs {
    leased: Vec<LeasedJob>,
    results: Vec<DriveResult>,
}

impl ClaimedJobs {
    fn add(
        &mut self,
        id: JobId,
        claim: ClaimResult<(Box<Job>, Lease)>,
        in_hand: Option<DrivenJob>,
    ) {
        let outcome = match claim {
            Ok(Ok((job, lease))) => {
                let leased = LeasedJob::new(job, lease);
                return self.leased.push(LeasedJob { in_hand, ..leased });
            }
            Ok(Err(other)) => Ok(other),
            Err(error) => Err(error),
        };
        self.results.push(DriveResult { id, outcome });
    }
}

/// A job with the lease under which this turn drives it.
struct LeasedJob {
    job: Box<Job>,
    lease: Lease,
    /// Why this turn stopped driving it.
    error: Option<DriveError>,
    /// The claimed records of calls that are sent next, by the number of the call.
    claims: BTreeMap<usize, Vec<CallClaim>>,
    /// Dropped with the lease: the recorder of its progress callback waits for that.
    progress: Option<oneshot::Sender<()>>,
    /// Keeps other turns of this process from trying to claim the job.
    in_hand: Option<DrivenJob>,
    /// Whether this driver has ended the lease.
    is_released: bool,
    /// Whether this driver has unlocked the custom view since the job's end.
    is_view_unlocked: bool,
    /// Whether its end is counted.
    was_final: bool,
}

impl LeasedJob {
    fn new(job: Box<Job>, lease: Lease) -> Self {
        Self {
            was_final: job.status().is_final(),
            job,
            lease,
            error: None,
            claims: BTreeMap::new(),
            progress: None,
            in_hand: None,
            is_released: false,
            is_view_unlocked: false,
        }
    }

    /// Whether this turn still drives the job.
    fn is_driven(&self) -> bool {
        self.error.is_none() && !self.is_released
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
            metrics: Metrics::default(),
            driven: DrivenJobs::default(),
        }
    }

    /// Counts what the engine does.
    #[must_use]
    pub fn with_metrics(self, metrics: Metrics) -> Self {
        Self { metrics, ..self }
    }

    /// What this process knows about the connections' credits and tokens.
    pub fn connection_gauges(&self) -> Vec<ConnectionGauges> {
        self.connections.values().map(Client::gauges).collect()
    }

    /// What this process knows about the connections.
    pub fn connection_statuses(&self) -> Vec<ConnectionStatus> {
        self.connections.values().map(Client::status).collect()
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

    /// Drives the woken jobs as far as possible in this turn, and `others` unless another driver is taking them. A job that
    /// another driver holds is left to it. In durable mode the turn
    /// hands due callbacks over to `callbacks`, and finished jobs with them; [`Engine::send_callbacks`] returns their
    /// results. In inline mode it sends them itself.
    pub async fn drive(
        &self,
        woken: &[JobId],
        others: &[JobId],
        turn: TurnDeadlines,
        callbacks: &CallbackQueue,
    ) -> Vec<DriveResult> {
        let claims = claims::claim_all(woken, others, self.store.concurrency(), |id| async move {
            let claim = self.claim(&id, turn).await;
            if matches!(claim, Ok(Ok(_))) {
                fail_point("drive.claimed");
            }
            claim
        });
        let mut claimed = ClaimedJobs::default();
        for (id, claim) in claims.await {
            claimed.add(id, claim, None);
        }
        self.drive_claimed(claimed, turn, callbacks).await
    }

    /// Drives claimed jobs; see [`Engine::drive`].
    pub async fn drive_claimed(
        &self,
        claimed: ClaimedJobs,
        turn: TurnDeadlines,
        callbacks: &CallbackQueue,
    ) -> Vec<DriveResult> {
        let ClaimedJobs {
            mut leased,
            mut results,
        } = claimed;
        let used = leased.iter().map(|leased| leased.job.connection.clone());
        let used: BTreeSet<String> = used.collect();
        match self.mode {
            ExecutionMode::Inline => self.work_inline(&mut leased, turn).await,
            ExecutionMode::Durable(_) => self.work(&mut leased, turn, callbacks).await,
        }
        self.release_claims(&mut leased).await;
        for client in used.iter().filter_map(|name| self.connections.get(name)) {
            client.release_idle().await;
        }
        let mut releases = futures_util::stream::iter(leased)
            .map(|leased| self.release(leased))
            .buffered(self.store.concurrency());
        let mut wake_ups = Vec::new();
        while let Some((result, wake_up)) = releases.next().await {
            results.push(result);
            wake_ups.extend(wake_up);
        }
        drop(releases);
        self.wake(&wake_ups).await;
        results
    }

    /// Counts a refusal of everything that a job needs of its connection.
    fn count_denial(&self, job: &Job) {
        let connection = self.metrics.connection(&job.connection);
        connection.count_token_failure();
    }

    /// Counts and logs the end of a job once, after it is stored.
    fn note_end(&self, leased: &mut LeasedJob) {
        if leased.error.is_some() || leased.was_final || !leased.job.status().is_final() {
            return;
        }
        leased.was_final = true;
        let job = &leased.job;
        end::log_end(job);
        let finished_at = job.finished_at.unwrap_or(job.created_at);
        let duration = finished_at.duration_since(job.created_at);
        self.metrics.count_finished_job(FinishedJob {
            route: job.route.as_deref(),
            connection: &job.connection,
            module: job.request.module.as_str(),
            status: job.status(),
            counts: job.counts(),
            duration: Duration::try_from(duration).unwrap_or_default(),
        });
    }

    /// Ends the lease of a job, unless this turn has ended it or stopped driving the job. Returns the wake-up that the job needs.
    async fn release(&self, mut leased: LeasedJob) -> (DriveResult, Option<WakeUp>) {
        let wake_up = match leased.is_driven() {
            true => self.end_lease(&mut leased).await,
            false => None,
        };
        let id = leased.job.id.clone();
        // After an error the lease expires. The stored job is newer than this one, or the store cannot be written.
        let outcome = leased.error.map_or(Ok(Some(*leased.job)), Err);
        (DriveResult { id, outcome }, wake_up)
    }

    /// Writes a job and ends its lease. Returns the wake-up that the job needs.
    async fn end_lease(&self, leased: &mut LeasedJob) -> Option<WakeUp> {
        let job = &leased.job;
        fail_point("release.before");
        if job.status().is_final() {
            // A driver that crashed after the job's end may have left the view locked.
            if !leased.is_view_unlocked {
                self.unlock_view_of(job).await;
            }
            fail_point("release.unlocked");
        }
        let now = self.clock.now();
        let due = job.due(now);
        let lease = leased.lease.clone();
        if let Err(error) = self.store.release(job, lease, due).await {
            leased.error = Some(error.into());
            return None;
        }
        self.note_end(leased);
        fail_point("release.released");
        leased.is_released = true;
        leased.progress = None;
        leased.in_hand = None;
        let job = &leased.job;
        let due = due?;
        // A wake-up starts a driver that cannot wait for a slow receiver.
        let delay = Duration::try_from(due.duration_since(now)).unwrap_or_default();
        (!job.needs_patience()).then(|| WakeUp::of(job, delay))
    }

    /// Schedules wake-ups in durable mode.
    async fn wake(&self, wake_ups: &[WakeUp]) {
        let ExecutionMode::Durable(scheduler) = &self.mode else {
            return;
        };
        if wake_ups.is_empty() {
            return;
        }
        if let Err(error) = scheduler.wake(wake_ups).await {
            tracing::warn!("{error}; the next sweep drives them");
        }
        fail_point("release.woken");
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
            let is_hanging = |host: &str| sync::lock(&self.hosts).is_hanging(host, now);
            callbacks.take_over(leased, turn, now, is_hanging);
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
            .filter(|(_, leased)| leased.is_driven());
        let going = going.map(|(place, leased)| (place, leased.job.as_ref()));
        let is_claimed = |call: CallRef| {
            let claims = leased.get(call.job).map(|leased| &leased.claims);
            claims.is_some_and(|claims| claims.contains_key(&call.seq))
        };
        let mut work = TurnWork::of(going, is_claimed, now);
        if now >= turn.give_up {
            work.preparing.clear();
            work.unknown_outcomes.clear();
            work.ordered.clear();
            work.batches.clear();
            work.polls.clear();
        }
        work
    }
}
