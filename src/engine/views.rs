//! Locks on custom views: Zoho takes one scheduled update of a view at a time.

use std::time::Duration;

use super::Engine;
use super::work::view_lock;
use crate::clock::after;
use crate::job::Job;
use crate::store::{LockHolder, StoreError};
use crate::update::{Records, Selector};

/// How long a custom view stays locked for the job that updates it, unless its end is seen earlier. If Zoho takes longer
/// still, its own refusal makes the next one wait.
const VIEW_LOCK: Duration = Duration::from_secs(2 * 3600);

impl Engine {
    /// Locks a custom view for any of the jobs of a batch. If one of them has it already, as when a driver was lost on
    /// its way to Zoho, it is theirs: the first of today need not be the first of then.
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
                "the lock on a custom view stays until it runs out: {error}"
            );
        }
    }

    /// Frees the custom view of a call that has ended.
    pub(super) async fn unlock_if_over(&self, job: &Job, seq: usize) {
        let over = job.call(seq).is_some_and(|call| call.status.is_final());
        if over {
            self.unlock_view_of(job).await;
        }
    }

    pub(super) async fn unlock_view_of(&self, job: &Job) {
        if let Selector::Records(Records::View { cvid, .. }) = &job.request.selector {
            let view = view_lock(&job.connection, &job.request.module, &cvid.to_string());
            self.unlock(&view, &LockHolder::job(&job.id)).await;
        }
    }
}
