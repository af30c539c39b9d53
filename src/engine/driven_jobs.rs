//! The jobs that the turns of one engine have in hand. Turns run side by side: what one of them drives, or sends a callback
//! of, the others need not try to claim.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use crate::job::JobId;
use crate::sync;

/// The jobs in hand.
#[derive(Clone, Debug, Default)]
pub(super) struct DrivenJobs(Arc<Mutex<HashSet<JobId>>>);

/// A job in hand. It is free again when this value is dropped.
#[derive(Debug)]
pub(super) struct DrivenJob {
    jobs: DrivenJobs,
    id: JobId,
}

impl DrivenJobs {
    /// Takes a job in hand; `None` if it is in hand already.
    pub(super) fn take(&self, id: &JobId) -> Option<DrivenJob> {
        let is_free = sync::lock(&self.0).insert(id.clone());
        is_free.then(|| DrivenJob {
            jobs: self.clone(),
            id: id.clone(),
        })
    }
}

impl Drop for DrivenJob {
    fn drop(&mut self) {
        sync::lock(&self.jobs.0).remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn job_in_hand_is_taken_once_until_dropped() {
        let jobs = DrivenJobs::default();
        let id = JobId::derive("r", "d", 1);
        let taken = jobs.take(&id);
        assert!(taken.is_some());
        assert!(jobs.take(&id).is_none());
        drop(taken);
        assert!(jobs.take(&id).is_some());
    }
}
