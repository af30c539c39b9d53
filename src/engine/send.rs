//! Sends batches to Zoho: locks the custom view, announces calls that must not be sent twice, sends, unlocks after failures.

use tokio::sync::{mpsc, oneshot};

use super::batch::{Batch, CallRef};
use super::effect::EffectResult;
use super::perform::DeniedEndpoints;
use super::{Engine, TurnDeadlines};
use crate::codes::Cause;
use crate::failpoint::fail_point;
use crate::outcome::Refusal;
use crate::store::LockHolder;
use crate::sync;
use crate::zoho::answer::UpdateAnswer;
use crate::zoho::{self, CallResult, Repeat, SendWindow};

/// The lock on a custom view.
struct ViewLock {
    view: String,
    holder: LockHolder,
}

impl Engine {
    /// Sends one batch. Returns `None` if it stays for a later turn.
    pub(super) async fn send(
        &self,
        batch: Batch,
        holders: Vec<LockHolder>,
        denied_endpoints: &DeniedEndpoints,
        turn: TurnDeadlines,
        results: &mpsc::Sender<EffectResult>,
    ) -> Option<EffectResult> {
        let client = self.connections.get(&batch.connection)?;
        let way = batch.kind();
        let endpoint = (batch.connection.clone(), way.path(&batch.module));
        let denied = || sync::lock(denied_endpoints);
        if denied().contains(&endpoint) || self.clock.now() >= turn.give_up {
            return None;
        }
        let lock = match self.lock_view_of(&batch, holders).await {
            Ok(lock) => lock,
            Err(refusal) => return Some(EffectResult::Sent(batch, postponed(refusal))),
        };
        // After the announcement a crash leaves open whether Zoho has performed the calls.
        if batch.repeat == Repeat::Never && !announce(&batch.calls, results).await {
            self.unlock_view(lock.as_ref()).await;
            return Some(EffectResult::NotSent(batch.calls));
        }
        let (module, body, ids) = (&batch.module, batch.body(), batch.ids());
        let is_open = || !denied().contains(&endpoint);
        let window = SendWindow {
            give_up: turn.give_up,
            is_open: &is_open,
        };
        let sent = client
            .update(module, way, &body, ids, batch.repeat, window)
            .await;
        // Another call was denied while this one waited for its turn.
        if sent.attempts == 0 && !is_open() {
            self.unlock_view(lock.as_ref()).await;
            return match batch.repeat {
                Repeat::Never => Some(EffectResult::NotSent(batch.calls)),
                Repeat::Safe => None,
            };
        }
        if let Err(zoho::Error::Denied(_)) = sent.outcome {
            denied().insert(endpoint);
        }
        // Zoho may be working on the view as long as the outcome is unknown.
        if !matches!(sent.outcome, Ok(_) | Err(zoho::Error::OutcomeUnknown(_))) {
            self.unlock_view(lock.as_ref()).await;
        }
        Some(EffectResult::Sent(batch, sent))
    }

    /// Locks the custom view of a batch; `None` if it has none.
    async fn lock_view_of(
        &self,
        batch: &Batch,
        holders: Vec<LockHolder>,
    ) -> Result<Option<ViewLock>, Refusal> {
        let Some(view) = batch.view() else {
            return Ok(None);
        };
        match self.lock(&view, holders).await {
            Ok(Some(holder)) => {
                fail_point("send.locked");
                Ok(Some(ViewLock { view, holder }))
            }
            Ok(None) => Err(Refusal::of(Cause::ViewTaken)),
            Err(error) => Err(Refusal::with(Cause::StoreUnavailable, error.to_string())),
        }
    }

    async fn unlock_view(&self, lock: Option<&ViewLock>) {
        if let Some(ViewLock { view, holder }) = lock {
            self.unlock(view, holder).await;
        }
    }
}

/// Has it recorded in every job of a batch that its calls are about to be sent. Returns whether that succeeded.
async fn announce(calls: &[CallRef], results: &mpsc::Sender<EffectResult>) -> bool {
    let (recorded, reply) = oneshot::channel();
    let announcement = EffectResult::Announced(calls.to_vec(), recorded);
    results.send(announcement).await.is_ok() && reply.await.unwrap_or(false)
}

/// The result of a batch that was not sent.
fn postponed(refusal: Refusal) -> CallResult<UpdateAnswer> {
    let wait = refusal.cause().and_then(|cause| cause.row().class.wait());
    CallResult {
        attempts: 0,
        outcome: Err(zoho::Error::RetryLater(refusal, wait.unwrap_or_default())),
    }
}
