//! Replays jobs and redelivers their callbacks. Needs no config: the command line works on the store alone.

use std::collections::HashSet;
use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::clock::{Clock, after};
use crate::inbound::rejection::Rejection;
use crate::inbound::rejection::short_id::MIN_ID_PREFIX;
use crate::job::{CallbackStatus, Job, JobId, JobStatus};
use crate::store::{AddResult, Claim, Store, StoreError};
use crate::sync::lock;
use crate::wakeup::{WakeUp, WakeUps};

/// How long a redelivery holds the lease of its job.
const LEASE_DURATION: Duration = Duration::from_secs(30);

/// The number of candidates that an ambiguous id names.
const CANDIDATES: usize = 5;

/// The characters of an id after its prefix.
const ID_CHARS: usize = 32;

/// The most characters of a shortened id, after its prefix.
const MAX_PREFIX: usize = 64;

/// What operators do with single jobs.
#[derive(Clone, Copy, Debug)]
pub struct JobOperations<'a> {
    /// The store.
    pub store: &'a dyn Store,
    /// The clock.
    pub clock: &'a dyn Clock,
    /// How jobs are woken; none if nothing drives stored jobs.
    pub wakeups: Option<&'a dyn WakeUps>,
}

/// Result of replaying a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobReplay {
    /// A parked job goes on.
    Resumed(JobId),
    /// A new job repeats a failed one.
    Created {
        /// The new job.
        job: JobId,
        /// The job that it repeats: the given one, or its latest replay.
        replays: JobId,
    },
}

/// A job that is about to run, or whose callback is about to be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct QueuedJob {
    /// The job's id.
    pub id: JobId,
    /// `queued`.
    pub status: JobStatus,
}

impl QueuedJob {
    /// A queued job.
    pub fn new(id: &JobId) -> Self {
        Self {
            id: id.clone(),
            status: JobStatus::Queued,
        }
    }
}

/// The JSON of a replay: the job that runs, and either `resumed` or `replays`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "JobReplay")]
pub struct JobReplayView {
    job: QueuedJob,
    /// The parked job that goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    resumed: Option<JobId>,
    /// The failed job that the new one repeats: the given one, or its latest replay.
    #[serde(skip_serializing_if = "Option::is_none")]
    replays: Option<JobId>,
}

impl JobReplay {
    /// The JSON of the operator API.
    pub fn view(&self) -> JobReplayView {
        match self {
            Self::Resumed(id) => JobReplayView {
                job: QueuedJob::new(id),
                resumed: Some(id.clone()),
                replays: None,
            },
            Self::Created { job, replays } => JobReplayView {
                job: QueuedJob::new(job),
                resumed: None,
                replays: Some(replays.clone()),
            },
        }
    }
}

/// A dead letter, and when it became one.
struct DeadLetterRef {
    delivery: String,
    since: Timestamp,
}

impl JobOperations<'_> {
    /// The id that a text means: a whole id, or its unique beginning.
    ///
    /// # Errors
    /// [`Rejection::NoSuchJob`], [`Rejection::AmbiguousId`], [`Rejection::Store`].
    pub async fn find_job(&self, text: &str) -> Result<JobId, Rejection> {
        let known = |prefix: String| async move {
            let ids = self.store.job_ids(&prefix, CANDIDATES + 1).await;
            let ids = ids.map_err(Rejection::Store)?;
            Ok::<_, Rejection>(ids.iter().map(ToString::to_string).collect())
        };
        let found = find_id(text, "job_", known).await?;
        let missing = || Rejection::NoSuchJob(text.chars().take(80).collect());
        found.map(|id| JobId::from_outside(&id)).ok_or_else(missing)
    }

    /// Reads a job.
    ///
    /// # Errors
    /// [`Rejection::NoSuchJob`], [`Rejection::Unreadable`], [`Rejection::Store`].
    pub async fn job(&self, id: &JobId) -> Result<Job, Rejection> {
        let job = self.store.get(id).await.map_err(Rejection::of_store)?;
        job.ok_or_else(|| Rejection::NoSuchJob(id.as_str().chars().take(80).collect()))
    }

    /// The job that repeats this one, if there is one.
    ///
    /// # Errors
    /// [`Rejection::Store`].
    pub async fn replay_of(&self, job: &Job) -> Result<Option<JobId>, Rejection> {
        if !can_be_replayed(job) {
            return Ok(None);
        }
        let id = job.replay_id();
        match self.store.get(&id).await {
            Ok(replay) => Ok(replay.map(|replay| replay.id)),
            // It exists all the same.
            Err(StoreError::Unreadable { id, .. }) => Ok(Some(id)),
            Err(error) => Err(Rejection::Store(error)),
        }
    }

    /// Repeats a failed job as a new one, or resumes a parked one. A replay that failed too is replayed in its turn.
    ///
    /// # Errors
    /// [`Rejection::NoSuchJob`], [`Rejection::NotPossible`], [`Rejection::Store`].
    pub async fn replay(&self, id: &JobId) -> Result<JobReplay, Rejection> {
        self.replay_once(id, &Mutex::default()).await
    }

    /// Replays like [`Self::replay`], but not a job whose replay is in `made`, where each new one is put: a job and its failed
    /// replay lead to the same new job.
    pub(super) async fn replay_once(
        &self,
        id: &JobId,
        made: &Mutex<HashSet<JobId>>,
    ) -> Result<JobReplay, Rejection> {
        let now = self.clock.now();
        let wakeups = self.drivers()?;
        let unparked = self.store.unpark(id, now).await;
        if unparked.map_err(Rejection::Store)? {
            self.wake(wakeups, id).await?;
            return Ok(JobReplay::Resumed(id.clone()));
        }
        let mut job = self.job(id).await?;
        if !can_be_replayed(&job) {
            let status = job.status().as_str();
            return Err(Rejection::NotPossible(format!(
                "job {id} is {status}; only a job of which records failed can be replayed"
            )));
        }
        while let Some(replay) = self.existing(&job.replay_id()).await? {
            check_not_made(id, &replay.id, &lock(made))?;
            if !can_be_replayed(&replay) {
                let (other, status) = (&replay.id, replay.status().as_str());
                return Err(Rejection::NotPossible(format!(
                    "job {id} was replayed already: the replay, job {other}, is {status}"
                )));
            }
            job = replay;
        }
        let dead_letter = self.dead_letter_of(&job).await.map_err(Rejection::Store)?;
        let (replays, new) = (job.id.clone(), repeat(job, now));
        // Before it is stored: nobody finds the new job and takes it for one of before.
        if !lock(made).insert(new.id.clone()) {
            return Err(replayed_now(id, &new.id));
        }
        let added = self.store.add(&new, None).await.map_err(Rejection::Store)?;
        // An existing replay may have finished. Then the delivery has no running job and stays a dead letter.
        self.restore(dead_letter.filter(|_| added == AddResult::New))
            .await?;
        self.wake(wakeups, &new.id).await?;
        Ok(JobReplay::Created {
            job: new.id,
            replays,
        })
    }

    /// Sends the callback of a finished job again, under its original id.
    ///
    /// # Errors
    /// [`Rejection::NoSuchJob`], [`Rejection::NotPossible`], [`Rejection::Store`].
    pub async fn redeliver(&self, id: &JobId) -> Result<(), Rejection> {
        let now = self.clock.now();
        let wakeups = self.drivers()?;
        let refused = |why: String| Err(Rejection::NotPossible(why));
        let claimed = self.store.claim(id, now, after(now, LEASE_DURATION)).await;
        let (mut job, lease) = match claimed.map_err(Rejection::of_store)? {
            Claim::Acquired(job, lease) => (job, lease),
            Claim::NotFound => {
                return Err(Rejection::NoSuchJob(id.as_str().chars().take(80).collect()));
            }
            Claim::Busy { .. } | Claim::NotDue => {
                return refused(format!("job {id} is being driven; try again in a minute"));
            }
            Claim::Parked { reason } => return refused(format!("job {id} is parked: {reason}")),
        };
        let is_reset = reset_callback(&mut job);
        let due = job.due(now);
        let dead_letter = self.dead_letter_of(&job).await.map_err(Rejection::Store)?;
        let released = self.store.release(&job, lease, due).await;
        released.map_err(Rejection::Store)?;
        self.restore(dead_letter.filter(|_| is_reset)).await?;
        if !is_reset {
            return refused(format!("job {id} has no callback, or is not finished"));
        }
        self.wake(wakeups, id).await
    }

    fn drivers(&self) -> Result<&dyn WakeUps, Rejection> {
        self.wakeups.ok_or_else(|| {
            let why = "nothing drives stored jobs here: this process handles each event on its own, without a durable store";
            Rejection::NotPossible(why.to_owned())
        })
    }

    async fn existing(&self, id: &JobId) -> Result<Option<Job>, Rejection> {
        self.store.get(id).await.map_err(Rejection::of_store)
    }

    async fn wake(&self, wakeups: &dyn WakeUps, id: &JobId) -> Result<(), Rejection> {
        let woken = wakeups.wake(&[WakeUp::of_id(id, Duration::ZERO)]).await;
        woken.map_err(Rejection::Queue)
    }

    /// The dead letter that the job left behind, if any.
    ///
    /// A delivery of several jobs keeps its dead letter until it is replayed itself, because another of its jobs may have
    /// failed as well.
    async fn dead_letter_of(&self, job: &Job) -> Result<Option<DeadLetterRef>, StoreError> {
        let Some(source) = job.source.as_ref().filter(|source| !source.shared) else {
            return Ok(None);
        };
        let delivery = self.store.delivery(&source.delivery).await?;
        let dead = delivery.and_then(|delivery| delivery.dead_letter);
        let dead = dead.filter(|dead| dead.job.as_ref() == Some(&job.id));
        Ok(dead.map(|dead| DeadLetterRef {
            delivery: source.delivery.clone(),
            since: dead.since,
        }))
    }

    /// Removes the dead-letter mark of a delivery whose job runs again.
    async fn restore(&self, dead_letter: Option<DeadLetterRef>) -> Result<(), Rejection> {
        let Some(DeadLetterRef { delivery, since }) = dead_letter else {
            return Ok(());
        };
        let restored = self.store.restore(&delivery, since).await;
        restored.map_err(Rejection::Store)
    }
}

/// Finds the id that begins with a text. `known` lists ids with a prefix; more than one is an error that names them.
pub(super) async fn find_id<F>(
    text: &str,
    prefix: &str,
    known: impl FnOnce(String) -> F,
) -> Result<Option<String>, Rejection>
where
    F: Future<Output = Result<Vec<String>, Rejection>>,
{
    let rest = text.strip_prefix(prefix).unwrap_or(text);
    let is_id = rest
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    let whole = format!("{prefix}{rest}");
    if !is_id || rest.len() < MIN_ID_PREFIX {
        // Too short for a search; it may be a whole id all the same.
        return Ok(Some(text.to_owned()).filter(|_| is_id && text.starts_with(prefix)));
    }
    // A longer one may be the beginning of the id of a duplicate.
    if rest.len() == ID_CHARS || rest.len() > MAX_PREFIX {
        return Ok(Some(whole));
    }
    let mut candidates = known(whole.clone()).await?;
    if candidates.contains(&whole) {
        return Ok(Some(whole));
    }
    if candidates.len() > 1 {
        candidates.truncate(CANDIDATES);
        let id = text.to_owned();
        return Err(Rejection::AmbiguousId { id, candidates });
    }
    Ok(candidates.pop())
}

fn check_not_made(id: &JobId, replay: &JobId, made: &HashSet<JobId>) -> Result<(), Rejection> {
    match made.contains(replay) {
        true => Err(replayed_now(id, replay)),
        false => Ok(()),
    }
}

fn replayed_now(id: &JobId, replay: &JobId) -> Rejection {
    Rejection::NotPossible(format!(
        "job {id} has the same replay as another job that matches: job {replay}"
    ))
}

fn can_be_replayed(job: &Job) -> bool {
    matches!(
        job.status(),
        JobStatus::Failed | JobStatus::PartiallySucceeded
    )
}

/// A new job that repeats this one.
fn repeat(job: Job, now: Timestamp) -> Job {
    let (new_id, reports) = (job.replay_id(), job.callback_on());
    let format = job.callback.as_ref().map(|callback| callback.format);
    let callback = job.callback.map(|callback| callback.url);
    Job::new(
        new_id,
        job.route,
        job.connection,
        job.request,
        callback,
        now,
    )
    .with_source(job.source)
    .with_order(job.order)
    .with_track_for(job.track_for.unsigned_abs())
    .with_on_unknown_outcome(job.on_unknown_outcome)
    .with_callback_format(format.unwrap_or_default())
    .with_callback_on(reports)
}

/// Makes the callback of a finished job pending again. Returns whether there is one.
fn reset_callback(job: &mut Job) -> bool {
    let is_finished = job.status().is_final();
    let Some(callback) = job.callback.as_mut().filter(|_| is_finished) else {
        return false;
    };
    callback.status = CallbackStatus::Pending;
    callback.attempts = 0;
    callback.due_at = None;
    true
}
