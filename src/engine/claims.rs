//! Claims the jobs of a turn, so that several drivers share a backlog.

use futures_util::StreamExt;

use super::DriveError;
use crate::job::{Job, JobId};

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
