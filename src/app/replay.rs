//! Replays dead letters.

use jiff::Timestamp;

use super::Acceptance;
use super::intake::{JobIntake, NewJobs};
use crate::inbound::rejection::Rejection;
use crate::job::DeadLetterReason;
use crate::job::{Job, JobId};
use crate::store::StoreError;
use crate::store::delivery::StoredDelivery;

/// Whether all jobs have finished, and whether one that has not is of this delivery. Jobs of another delivery (a redelivery by
/// the sender) do not delete this one when they finish.
fn open_jobs(jobs: &[Job], now: Timestamp, delivery: &str) -> (bool, bool) {
    let open: Vec<&Job> = jobs.iter().filter(|job| job.due(now).is_some()).collect();
    let sources = open.iter().filter_map(|job| job.source.as_ref());
    let own = sources
        .map(|source| &source.delivery)
        .any(|source| source == delivery);
    (open.is_empty(), own)
}

/// The refusal of an action on a dead letter that another action has replayed or discarded first.
pub(super) fn changed_meanwhile(id: &str) -> Rejection {
    Rejection::NotPossible(format!(
        "delivery {id} was replayed or discarded, or failed again, at the same time"
    ))
}

impl JobIntake {
    /// Stores and starts the jobs of a dead letter, and settles the dead letter.
    ///
    /// # Errors
    /// [`Rejection`]; the delivery stays a dead letter then.
    pub(super) async fn replay(
        &self,
        mut new: NewJobs,
        stored: &StoredDelivery,
    ) -> Result<Acceptance, Rejection> {
        if new.jobs.is_empty() {
            return Ok(Acceptance::Queued(Vec::new()));
        }
        self.check_unchanged(stored).await?;
        new.delivery = None;
        for job in &mut new.jobs {
            if let Some(source) = &mut job.source {
                source.delivery.clone_from(&stored.id);
            }
            self.restart(job).await?;
        }
        let (accepted, _) = self.accept(new, None).await?;
        let now = self.clock.now();
        let (finished, own) = open_jobs(accepted.jobs(), now, &stored.id);
        let store = self.store();
        let since = stored.dead_letter.as_ref().map(|dead| dead.since);
        let settled = match &stored.dead_letter {
            _ if finished => store.delete_delivery(&stored.id, since).await.map(|_| ()),
            Some(reason) if own => store.restore(&stored.id, reason.since).await,
            Some(_) | None => Ok(()),
        };
        settled.map_err(Rejection::Store)?;
        Ok(accepted)
    }

    /// Checks that a dead letter is still the one that was read: it may have been discarded while it was mapped.
    async fn check_unchanged(&self, stored: &StoredDelivery) -> Result<(), Rejection> {
        let found = self.store().delivery(&stored.id).await;
        let found = found.map_err(Rejection::Store)?;
        let since =
            |delivery: &StoredDelivery| delivery.dead_letter.as_ref().map(|dead| dead.since);
        match found.as_ref().map(since) == Some(since(stored)) {
            true => Ok(()),
            false => Err(changed_meanwhile(&stored.id)),
        }
    }

    /// Gives a job a new id if the stored job with its id failed or cannot be read. A parked job is unparked and keeps its id.
    async fn restart(&self, job: &mut Job) -> Result<(), Rejection> {
        let store = self.store();
        loop {
            let known = match store.get(&job.id).await {
                Ok(None) => return Ok(()),
                Ok(Some(known)) => known,
                Err(StoreError::Unreadable { id, .. }) => {
                    job.id = JobId::derive(id.as_str(), "unreadable", 1);
                    continue;
                }
                Err(error) => return Err(Rejection::of_store(error)),
            };
            let unparked = store.unpark(&job.id, self.clock.now()).await;
            if unparked.map_err(Rejection::Store)? {
                self.wake(std::slice::from_ref(&job.id)).await;
                return Ok(());
            }
            if !known.status().is_final()
                || DeadLetterReason::for_job(&known, known.created_at).is_none()
            {
                return Ok(());
            }
            job.id = known.replay_id();
        }
    }
}
