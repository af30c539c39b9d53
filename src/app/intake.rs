//! Job intake: stores new jobs, and starts them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::{Clock, after};
use crate::engine::{CallbackQueue, DriveResult, Engine, ExecutionMode, Patience, TurnDeadlines};
use crate::failpoint::fail_point;
use crate::inbound::rejection::Rejection;
use crate::inbound::{Delivery, IgnoreReason};
use crate::job::DeadLetterReason;
use crate::job::{Job, JobId};
use crate::metrics::DeliveryOutcome;
use crate::store::delivery::StoredDelivery;
use crate::store::{AddResult, Store, StoreError};
use crate::wakeup::{WakeUp, WakeUpFailed};

/// Reserved at the end of an invocation for the callback about an unfinished job, and for the response.
const MARGIN: Duration = Duration::from_secs(3);

/// Run time of an invocation without a deadline.
const DEFAULT_TIME: Duration = Duration::from_secs(300);

/// The jobs of an accepted request.
#[derive(Debug)]
pub enum Acceptance {
    /// Inline: the jobs were driven until they finished or the time was over.
    Driven(Vec<Job>),
    /// Durable: the jobs are stored, and will be driven.
    Queued(Vec<Job>),
    /// The route makes no jobs of the delivery.
    Ignored(IgnoreReason),
}

impl Acceptance {
    /// The jobs.
    pub fn jobs(&self) -> &[Job] {
        match self {
            Self::Driven(jobs) | Self::Queued(jobs) => jobs,
            Self::Ignored(_) => &[],
        }
    }

    /// Whether a job is unfinished and nothing but a redelivery continues it.
    pub fn needs_redelivery(&self) -> bool {
        match self {
            Self::Driven(jobs) => !jobs.iter().all(|job| job.status().is_final()),
            Self::Queued(_) | Self::Ignored(_) => false,
        }
    }
}

/// Jobs of one delivery, before they are stored.
pub(super) struct NewJobs {
    pub(super) jobs: Vec<Job>,
    /// The delivery, if it is stored with them.
    pub(super) delivery: Option<StoredDelivery>,
    /// The id of the delivery, if it has jobs.
    pub(super) delivery_id: Option<String>,
    /// Why there are no jobs.
    pub(super) ignored: Option<IgnoreReason>,
    /// How long the conditions of `when` took.
    pub(super) when_took: Duration,
}

impl NewJobs {
    /// One job without a delivery.
    pub(super) fn of_job(job: Job) -> Self {
        Self {
            jobs: vec![job],
            delivery: None,
            delivery_id: None,
            ignored: None,
            when_took: Duration::ZERO,
        }
    }
}

/// Jobs of one delivery that are stored.
#[derive(Default)]
pub(super) struct StoredJobs {
    jobs: Vec<Job>,
    /// Ids of the jobs that were not stored before.
    new: Vec<JobId>,
}

/// Stores jobs and starts them.
#[derive(Debug)]
pub(super) struct JobIntake {
    pub(super) engine: Engine,
    pub(super) clock: Arc<dyn Clock>,
}

impl JobIntake {
    pub(super) fn store(&self) -> &dyn Store {
        self.engine.store()
    }

    pub(super) fn is_durable(&self) -> bool {
        matches!(self.engine.mode(), ExecutionMode::Durable(_))
    }

    /// Refuses new jobs while too many are due, so that the sender repeats them later.
    ///
    /// # Errors
    /// [`Rejection::Store`].
    pub(super) fn check_backlog(&self) -> Result<(), Rejection> {
        self.store().check_backlog().map_err(Rejection::Store)
    }

    /// Stores the jobs of one delivery, and starts them once all are stored. Returns the outcome of the delivery, too.
    ///
    /// # Errors
    /// [`Rejection::Store`], [`Rejection::KeyReused`], and those of [`JobIntake::start`].
    pub(super) async fn accept(
        &self,
        new: NewJobs,
        deadline: Option<Timestamp>,
    ) -> Result<(Acceptance, DeliveryOutcome), Rejection> {
        let mut stored = StoredJobs::default();
        let ignored = new.ignored;
        let outcome = self.add(new, &mut stored).await?;
        if let Some(reason) = ignored {
            return Ok((Acceptance::Ignored(reason), outcome));
        }
        let mut accepted = self.start(vec![stored], deadline).await;
        let accepted = accepted.pop().unwrap_or(Ok(Acceptance::Queued(Vec::new())));
        Ok((accepted?, outcome))
    }

    /// Stores the jobs of one delivery. One that is stored already is not changed. Returns the outcome of the delivery.
    ///
    /// # Errors
    /// [`Rejection::Store`], [`Rejection::KeyReused`], [`Rejection::Unreadable`].
    pub(super) async fn add(
        &self,
        new: NewJobs,
        stored: &mut StoredJobs,
    ) -> Result<DeliveryOutcome, Rejection> {
        let NewJobs {
            jobs, mut delivery, ..
        } = new;
        let mut outcome = match jobs.is_empty() {
            true => DeliveryOutcome::Ignored,
            false => DeliveryOutcome::Duplicate,
        };
        for mut job in jobs {
            fail_point("accept.before_add");
            let adding = self.store().add(&job, delivery.as_ref());
            let added = adding.await.map_err(Rejection::Store)?;
            fail_point("accept.added");
            match added {
                AddResult::Existing => {
                    if let Some(existing) = self.existing_job(&job).await? {
                        job = existing;
                    }
                }
                AddResult::New => {
                    delivery = None;
                    outcome = DeliveryOutcome::Accepted;
                    stored.new.push(job.id.clone());
                }
            }
            stored.jobs.push(job);
        }
        Ok(outcome)
    }

    /// The stored job with the id of `job`. A redelivery may differ from it, an update request with the same idempotency key
    /// may not.
    async fn existing_job(&self, job: &Job) -> Result<Option<Job>, Rejection> {
        let existing = match self.store().get(&job.id).await {
            Ok(existing) => existing,
            // The job is stored, and a redelivery does not make it readable.
            Err(error @ StoreError::Unreadable { .. }) if job.route.is_some() => {
                tracing::warn!(job.id = %job.id, "{error}");
                None
            }
            Err(error) => return Err(Rejection::of_store(error)),
        };
        let same = existing
            .as_ref()
            .is_none_or(|existing| existing.request == job.request);
        tracing::info!(job.id = %job.id, same, "duplicate delivery, existing job returned");
        if same || job.route.is_some() {
            Ok(existing)
        } else {
            Err(Rejection::KeyReused(job.id.clone()))
        }
    }

    /// Starts the jobs of several deliveries together, so that they share calls. Returns one result for each delivery.
    pub(super) async fn start(
        &self,
        stored: Vec<StoredJobs>,
        deadline: Option<Timestamp>,
    ) -> Vec<Result<Acceptance, Rejection>> {
        match self.engine.mode() {
            ExecutionMode::Durable(_) => self.schedule(stored).await,
            ExecutionMode::Inline => Box::pin(self.drive(stored, deadline)).await,
        }
    }

    /// Requests a wake-up for each new job. A full queue is reported to the sender: its redelivery finds the same jobs.
    async fn schedule(&self, stored: Vec<StoredJobs>) -> Vec<Result<Acceptance, Rejection>> {
        let now = self.clock.now();
        let new = stored.iter().flat_map(|delivery| {
            let jobs = delivery.jobs.iter();
            jobs.filter(|job| delivery.new.contains(&job.id))
        });
        let delay = |job: &Job| {
            Some(Duration::try_from(job.due(now)?.duration_since(now)).unwrap_or_default())
        };
        let wakes: Vec<WakeUp> = new
            .filter_map(|job| Some(WakeUp::of(job, delay(job)?)))
            .collect();
        let full = self.request_wake_ups(&wakes).await;
        let full = full.err().filter(|error| error.retryable);
        fail_point("accept.woken");
        let queued = |delivery: StoredJobs| match &full {
            Some(error) if !delivery.new.is_empty() => Err(Rejection::Queue(error.clone())),
            Some(_) | None => Ok(Acceptance::Queued(delivery.jobs)),
        };
        stored.into_iter().map(queued).collect()
    }

    /// Drives the jobs until they finish or the time is over.
    async fn drive(
        &self,
        stored: Vec<StoredJobs>,
        deadline: Option<Timestamp>,
    ) -> Vec<Result<Acceptance, Rejection>> {
        let ids = stored.iter().flat_map(|delivery| &delivery.jobs);
        let ids: BTreeSet<JobId> = ids.map(|job| job.id.clone()).collect();
        let ids: Vec<JobId> = ids.into_iter().collect();
        // Unused: in inline mode the turn sends its callbacks itself.
        let callbacks = CallbackQueue::new(Patience::Full);
        let turn = self.turn_deadlines(deadline);
        let driven = self.engine.drive(&ids, &[], turn, &callbacks).await;
        let driven: BTreeMap<JobId, Result<Job, String>> = driven
            .into_iter()
            .map(|DriveResult { id, outcome }| {
                let job = match outcome {
                    Ok(Some(job)) => Ok(job),
                    Ok(None) => Err(format!("job {id} has vanished from the store")),
                    Err(error) => Err(error.to_string()),
                };
                (id, job)
            })
            .collect();
        let result = |delivery: StoredJobs| {
            let jobs = delivery.jobs.iter();
            let jobs = jobs.filter_map(|job| driven.get(&job.id).cloned());
            let jobs: Result<Vec<Job>, String> = jobs.collect();
            jobs.map(Acceptance::Driven).map_err(Rejection::Drive)
        };
        stored.into_iter().map(result).collect()
    }

    /// Requests that jobs are driven now.
    pub(super) async fn wake(&self, jobs: &[JobId]) {
        let wakes: Vec<_> = jobs
            .iter()
            .map(|id| WakeUp::of_id(id, Duration::ZERO))
            .collect();
        // A failure is logged, and the next sweep finds the jobs.
        drop(self.request_wake_ups(&wakes).await);
    }

    async fn request_wake_ups(&self, wakes: &[WakeUp]) -> Result<(), WakeUpFailed> {
        let ExecutionMode::Durable(wakeups) = self.engine.mode() else {
            return Ok(());
        };
        if wakes.is_empty() {
            return Ok(());
        }
        let requested = wakeups.wake(wakes).await;
        requested.inspect_err(|error| tracing::warn!("{error}; a sweep will find the jobs"))
    }

    /// Stores a verified delivery of which no job could be made as a dead letter. Returns its id, if it did: an inline run has no
    /// durable store, and only errors of the mapping can be mended by a replay.
    pub(super) async fn store_dead_letter(
        &self,
        delivery: &Delivery<'_>,
        rejection: &Rejection,
    ) -> Result<Option<String>, Rejection> {
        if !self.is_durable() || !rejection.is_about_mapping() {
            return Ok(None);
        }
        let reason = rejection.text_with_errors();
        let reason = DeadLetterReason::new(rejection.code(), &reason, None, self.clock.now());
        let stored = delivery.to_dead_letter(reason);
        fail_point("delivery.before");
        let put = self.store().put_delivery(&stored).await;
        put.map_err(Rejection::Store)?;
        fail_point("delivery.stored");
        Ok(Some(stored.id))
    }

    /// Refuses jobs whose callback URL is not allowed.
    pub(super) fn check_callbacks(&self, jobs: &[Job]) -> Result<(), Rejection> {
        let mut callbacks = jobs.iter().filter_map(|job| job.callback.as_ref());
        callbacks
            .try_for_each(|callback| self.engine.callbacks().accepts(&callback.url))
            .map_err(Rejection::Callback)
    }

    /// The time limits of a turn that must end at `deadline`.
    pub(super) fn turn_deadlines(&self, deadline: Option<Timestamp>) -> TurnDeadlines {
        let now = self.clock.now();
        // `cargo lambda watch` sends deadlines in the past.
        let deadline = deadline.filter(|deadline| *deadline > now);
        let end = deadline.unwrap_or_else(|| after(now, DEFAULT_TIME));
        let left = Duration::try_from(end.duration_since(now)).unwrap_or_default();
        let margin = MARGIN.min(left / 4);
        let give_up = end.saturating_sub(margin).unwrap_or(now);
        let end = end.saturating_sub(margin / 6).unwrap_or(now);
        TurnDeadlines { give_up, end }
    }
}
