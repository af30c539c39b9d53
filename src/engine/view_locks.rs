//! Locks on custom views: Zoho runs one scheduled update of a view at a time.

use std::time::Duration;

use super::batch::view_lock;
use super::{Engine, LeasedJob};
use crate::clock::after;
use crate::job::Job;
use crate::store::{LockHolder, StoreError};
use crate::update::{Records, Selector};

/// How long a custom view stays locked for its job, unless the job ends earlier. If Zoho takes even longer, its refusal
/// delays the next job.
const VIEW_LOCK: Duration = Duration::from_secs(2 * 3600);

impl Engine {
    /// Locks a custom view for one of the jobs of a batch. Any of them may hold the lock already, from a driver that
    /// crashed: the order of jobs may differ between turns.
    pub(super) async fn lock(
        &self,
        view: &str,
        holders: Vec<LockHolder>,
    ) -> Result<Option<LockHolder>, StoreError> {
        let now = self.clock.now();
        for holder in holders {
            let until = after(now, VIEW_LOCK);
            if self.store.lock(view, &holder, now, until).await?.is_some() {
                return Ok(Some(holder));
            }
        }
        Ok(None)
    }

    pub(super) async fn unlock(&self, view: &str, holder: &LockHolder) {
        if let Err(error) = self.store.unlock(view, holder).await {
            tracing::warn!(
                view,
                "custom view stays locked until its lock expires: {error}"
            );
        }
    }

    /// Unlocks the custom view of a call that has ended, unless the release of its job has done so.
    pub(super) async fn unlock_if_ended(&self, leased: &mut LeasedJob, seq: usize) {
        let job = &leased.job;
        let is_final = job.status().is_final();
        let has_ended = job.call(seq).is_some_and(|call| call.status.is_final());
        if has_ended && !(is_final && leased.is_released) {
            self.unlock_view_of(job).await;
            leased.is_view_unlocked = is_final;
        }
    }

    /// Unlocks the custom view of a job, if it has one.
    pub(super) async fn unlock_view_of(&self, job: &Job) {
        if let Selector::Records(Records::View { cvid, .. }) = &job.request.selector {
            let view = view_lock(&job.connection, &job.request.module, &cvid.to_string());
            self.unlock(&view, &LockHolder::job(&job.id)).await;
        }
    }
}
