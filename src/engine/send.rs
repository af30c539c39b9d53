//! Sends batches to Zoho: locks the custom view, announces calls that must not be sent twice, sends, unlocks after failures.

use std::collections::VecDeque;

use futures_util::StreamExt;
use tokio::sync::{mpsc, oneshot};

use super::Engine;
use super::batch::{Batch, CallRef};
use super::effect::EffectResult;
use super::order::CallClaims;
use super::perform::Round;
use crate::codes::Cause;
use crate::failpoint::fail_point;
use crate::outcome::Refusal;
use crate::store::LockHolder;
use crate::sync;
use crate::zoho::answer::UpdateAnswer;
use crate::zoho::{self, CallResult, Repeat, SendWindow, UpdateCall};

/// Parts of a refused batch that are sent at once.
const PARTS_AT_ONCE: usize = 4;

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
        round: Round<'_>,
    ) -> Option<EffectResult> {
        self.connections.get(&batch.connection)?;
        let is_denied = sync::lock(round.denied_endpoints).contains(&endpoint(&batch));
        if is_denied || self.clock.now() >= round.turn.give_up {
            return None;
        }
        let lock = match self.lock_view_of(&batch, holders).await {
            Ok(lock) => lock,
            Err(refusal) => return Some(EffectResult::Sent(batch, postponed(refusal))),
        };
        // After the announcement a crash leaves open whether Zoho has performed the calls.
        if batch.repeat == Repeat::Never && !announce(&batch.calls, round.results).await {
            self.unlock_view(lock.as_ref()).await;
            return Some(EffectResult::NotSent(batch.calls));
        }
        let Some(sent) = self.send_unless_denied(&batch, round).await else {
            self.unlock_view(lock.as_ref()).await;
            return not_sent(batch);
        };
        // Zoho may be working on the view as long as the outcome is unknown.
        if !matches!(sent.outcome, Ok(_) | Err(zoho::Error::OutcomeUnknown(_))) {
            self.unlock_view(lock.as_ref()).await;
        }
        Some(EffectResult::Sent(batch, sent))
    }

    /// Sends a batch, unless every call of its endpoint is denied by the time of its turn. Returns `None` if it was not sent.
    async fn send_unless_denied(
        &self,
        batch: &Batch,
        round: Round<'_>,
    ) -> Option<CallResult<UpdateAnswer>> {
        let client = self.connections.get(&batch.connection)?;
        let endpoint = endpoint(batch);
        let is_open = || !sync::lock(round.denied_endpoints).contains(&endpoint);
        if !is_open() {
            return None;
        }
        let window = SendWindow {
            give_up: round.turn.give_up,
            is_open: &is_open,
        };
        let call = UpdateCall {
            module: &batch.module,
            kind: batch.kind,
            body: &batch.body(),
            ids: batch.ids(),
            rows: batch.record_count(),
        };
        // Boxed, because the futures around it are moved several times.
        let sent = Box::pin(client.update(call, batch.repeat, window)).await;
        // Another call was denied while this one waited for its turn.
        if sent.requests.is_empty() && !is_open() {
            return None;
        }
        if let Err(zoho::Error::Denied(_)) = sent.outcome {
            sync::lock(round.denied_endpoints).insert(endpoint);
        }
        Some(sent)
    }

    /// Settles the claims of a sent batch. If Zoho has refused it as a whole, for example as too large or malformed, its parts
    /// are sent apart, once: then the fault of one job fails only that job. Returns the result that is still to be recorded.
    pub(super) async fn settle_or_send_apart(
        &self,
        sent: EffectResult,
        parts: Vec<Batch>,
        claims: CallClaims,
        round: Round<'_>,
    ) -> Option<EffectResult> {
        let EffectResult::Sent(batch, CallResult { requests, outcome }) = sent else {
            self.drop_claims(claims).await;
            return Some(sent);
        };
        let refusal = match outcome {
            Err(zoho::Error::Refused(refusal)) if parts.len() > 1 => refusal,
            outcome => {
                let sent = CallResult { requests, outcome };
                self.settle_claims(claims, &batch, &sent).await;
                return Some(EffectResult::Sent(batch, sent));
            }
        };
        // The receiver lives as long as this sender.
        let parted = EffectResult::Parted(batch.calls.clone(), requests);
        let _ = round.results.send(parted).await;
        // Boxed, because the future of every batch would be as large.
        Box::pin(self.send_apart(&batch, refusal, parts, claims, round)).await;
        None
    }

    /// Sends the parts of a batch apart that Zoho has refused as a whole.
    async fn send_apart(
        &self,
        batch: &Batch,
        refusal: Refusal,
        parts: Vec<Batch>,
        mut claims: CallClaims,
        round: Round<'_>,
    ) {
        tracing::warn!(
            connection = batch.connection,
            zoho.code = refusal.code,
            calls = parts.len(),
            "Zoho refused a batch as a whole, its calls are sent apart: {}",
            refusal.message
        );
        let send = |(part, claims): (Batch, CallClaims)| async move {
            let sent = self.send_unless_denied(&part, round).await;
            match sent {
                Some(sent) => {
                    self.settle_claims(claims, &part, &sent).await;
                    Some(EffectResult::Sent(part, sent))
                }
                None => {
                    self.drop_claims(claims).await;
                    not_sent(part)
                }
            }
        };
        let mut with_claims = |part: Batch| {
            let claims = claims.take_of(&part);
            (part, claims)
        };
        let mut parts: VecDeque<_> = parts.into_iter().map(&mut with_claims).collect();
        let mut sent = Vec::new();
        if batch.sets_same_values() {
            // If Zoho refuses two of them likewise, the values are at fault, and the refusal concerns the others too.
            for part in [parts.pop_front(), parts.pop_back()].into_iter().flatten() {
                sent.extend(send(part).await);
            }
            let is_same = |result: &EffectResult| matches!(result, EffectResult::Sent(_, sent) if matches!(&sent.outcome, Err(zoho::Error::Refused(other)) if *other == refusal));
            if sent.len() == 2 && sent.iter().all(is_same) {
                for (part, claims) in std::mem::take(&mut parts) {
                    self.drop_claims(claims).await;
                    let outcome = Err(zoho::Error::Refused(refusal.clone()));
                    let requests = Vec::new();
                    sent.push(EffectResult::Sent(part, CallResult { requests, outcome }));
                }
            }
        }
        let sending = futures_util::stream::iter(parts)
            .map(send)
            .buffer_unordered(PARTS_AT_ONCE);
        let mut sending =
            std::pin::pin!(futures_util::stream::iter(sent.into_iter().map(Some)).chain(sending));
        while let Some(sent) = sending.next().await {
            if let Some(sent) = sent {
                // The receiver lives as long as this sender.
                let _ = round.results.send(sent).await;
            }
        }
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

/// The connection and endpoint of a batch.
fn endpoint(batch: &Batch) -> (String, String) {
    let endpoint = batch.kind.endpoint(&batch.module);
    (batch.connection.clone(), endpoint)
}

/// The result of a batch that stays for a later turn, if something is to be recorded.
fn not_sent(batch: Batch) -> Option<EffectResult> {
    match batch.repeat {
        Repeat::Never => Some(EffectResult::NotSent(batch.calls)),
        Repeat::Safe => None,
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
        requests: Vec::new(),
        outcome: Err(zoho::Error::RetryLater(refusal, wait.unwrap_or_default())),
    }
}
