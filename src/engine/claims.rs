//! Claims the jobs of a turn, so that several drivers share a backlog.

use futures_util::StreamExt;

use super::{ClaimedJobs, DriveError, Engine, ExecutionMode, LEASE_SLACK, TurnDeadlines};
use crate::clock::after;
use crate::failpoint::fail_point;
use crate::job::{Job, JobId};
use crate::store::{Claim, Lease, StoreError};

/// The answer to the claim of a job: what the driver got, or the job if another driver has it.
pub(super) type ClaimResult<T> = Result<Result<T, Option<Job>>, DriveError>;

/// Claims all woken jobs, and the others as long as it gets most of them: where it does not, another driver is taking them, and
/// a refused claim is billed like a write. `width` claims are under way at once.
pub(super) async fn claim_all<T, F: Future<Output = ClaimResult<T>>>(
    woken: &[JobId],
    others: &[JobId],
    width: usize,
    claim: impl Fn(JobId) -> F,
) -> Vec<(JobId, ClaimResult<T>)> {
    let claim = |id: JobId| {
        let claiming = claim(id.clone());
        async { (id, claiming.await) }
    };
    let mut claims: Vec<_> = futures_util::stream::iter(woken.to_vec())
        .map(&claim)
        .buffered(width)
        .collect()
        .await;
    for chunk in others.chunks(width.max(1)) {
        let chunk = futures_util::future::join_all(chunk.iter().cloned().map(&claim)).await;
        let refused = chunk
            .iter()
            .filter(|(_, claim)| matches!(claim, Ok(Err(_))));
        let is_contended = 2 * refused.count() > chunk.len();
        claims.extend(chunk);
        if is_contended {
            break;
        }
    }
    claims
}

impl Engine {
    /// Claims jobs for a turn in durable mode, several in a request: those that no other turn of this process has in hand.
    pub async fn claim_jobs(&self, ids: &[JobId], turn: TurnDeadlines) -> ClaimedJobs {
        let mut claimed = ClaimedJobs::default();
        let (mut free, mut in_hand) = (Vec::new(), Vec::new());
        for id in ids {
            match self.driven.take(id) {
                Some(taken) => {
                    free.push(id.clone());
                    in_hand.push(taken);
                }
                None => claimed.add(id.clone(), Ok(Err(None)), None),
            }
        }
        let until = after(turn.end, LEASE_SLACK);
        let claims = self.store.claim_all_due(&free, self.clock.now(), until);
        let claims = claims.await.into_iter();
        for ((id, in_hand), claim) in free.into_iter().zip(in_hand).zip(claims) {
            let claim = self.settle_claim(&id, claim).await;
            if matches!(claim, Ok(Ok(_))) {
                fail_point("drive.claimed");
            }
            claimed.add(id, claim, Some(in_hand));
        }
        claimed
    }

    /// Claims a job. The inner error is a job that cannot be claimed: another driver holds it, it is parked, or it is absent.
    pub(super) async fn claim(
        &self,
        id: &JobId,
        turn: TurnDeadlines,
    ) -> ClaimResult<(Box<Job>, Lease)> {
        let until = after(turn.end, LEASE_SLACK);
        let claim = match self.mode {
            ExecutionMode::Inline => self.store.claim(id, self.clock.now(), until).await,
            ExecutionMode::Durable(_) => self.store.claim_due(id, self.clock.now(), until).await,
        };
        self.settle_claim(id, claim).await
    }

    /// Takes over a claimed job.
    async fn settle_claim(
        &self,
        id: &JobId,
        claim: Result<Claim, StoreError>,
    ) -> ClaimResult<(Box<Job>, Lease)> {
        match claim {
            Ok(Claim::NotFound) => Ok(Err(None)),
            Ok(Claim::Busy { .. } | Claim::Parked { .. } | Claim::NotDue) => match self.mode {
                // The response of the invocation contains the job.
                ExecutionMode::Inline => Ok(Err(self.store.get(id).await?)),
                ExecutionMode::Durable(_) => Ok(Err(None)),
            },
            Ok(Claim::Acquired(job, lease)) => match self.connections.contains_key(&job.connection)
            {
                true => Ok(Ok((job, lease))),
                false => {
                    let connection = job.connection.clone();
                    self.store
                        .park(id, &format!("the config has no connection `{connection}`"))
                        .await?;
                    self.metrics.count_parked_job();
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
                self.metrics.count_parked_job();
                Err(StoreError::Unreadable { id, reason }.into())
            }
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(names: impl IntoIterator<Item = usize>) -> Vec<JobId> {
        let names = names.into_iter();
        names
            .map(|name| JobId::derive("r", &name.to_string(), 1))
            .collect()
    }

    /// The number of claims, and of jobs obtained, if others hold the jobs in `taken`.
    async fn count(woken: &[JobId], others: &[JobId], taken: &[JobId]) -> (usize, usize) {
        let claims = claim_all(woken, others, 16, |id| async move {
            match taken.contains(&id) {
                true => Ok(Err(None)),
                false => Ok(Ok(())),
            }
        });
        let claims = claims.await;
        let got = claims
            .iter()
            .filter(|(_, claim)| matches!(claim, Ok(Ok(()))));
        (claims.len(), got.count())
    }

    #[tokio::test]
    async fn taken_backlog_is_left_to_its_driver() {
        let (woken, others) = (ids(0..40), ids(40..400));
        assert_eq!(count(&woken, &others, &[]).await, (400, 400));
        // Woken jobs have no other wake-up, so each is claimed.
        assert_eq!(count(&woken, &others, &ids(1..40)).await, (400, 361));
        // A few jobs that another driver has are no reason to stop.
        assert_eq!(count(&woken, &others, &ids([41, 60, 80])).await, (400, 397));
        assert_eq!(count(&woken, &others, &ids(72..400)).await, (88, 72));
        assert_eq!(count(&[], &others, &others).await, (16, 0));
    }
}
