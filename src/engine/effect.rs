//! The effects of a turn and their results, as data.

use std::collections::BTreeMap;

use tokio::sync::oneshot;

use super::batch::{Batch, CallRef};
use super::order::{CallClaims, ClaimedCall, OrderedCall};
use super::prepare::{ClaimedValue, PrepareInput, PrepareOutput, claimed_values};
use super::unknown_outcome::{Resolution, UnresolvedCall};
use super::work::{StatusPoll, TurnWork};
use super::{LeasedJob, TurnDeadlines};
use crate::outcome::SentRequest;
use crate::store::LockHolder;
use crate::zoho::CallResult;
use crate::zoho::answer::{UpdateAnswer, ZohoJobStatus};

/// One action outside of the engine.
pub(super) enum Effect {
    Prepare {
        connection: String,
        inputs: Vec<PrepareInput>,
        /// The values of which other jobs are creating records.
        claimed: Vec<ClaimedValue>,
    },
    Poll(StatusPoll),
    Resolve(UnresolvedCall),
    /// Claims the records of calls that the next round sends.
    Claim(Vec<OrderedCall>),
    Send {
        batch: Batch,
        /// The jobs that may hold the lock on the batch's custom view.
        holders: Vec<LockHolder>,
        /// The batch's parts, one for each call, if they may be sent apart.
        parts: Vec<Batch>,
        /// The claimed records of its calls.
        claims: CallClaims,
    },
}

/// The result of an effect, to be recorded.
pub(super) enum EffectResult {
    Prepared(Vec<PrepareOutput>),
    Claimed(Vec<ClaimedCall>),
    Sent(Batch, CallResult<UpdateAnswer>),
    Polled(StatusPoll, CallResult<ZohoJobStatus>),
    /// These requests were sent for the calls together, and the calls are sent apart now.
    Parted(Vec<CallRef>, Vec<SentRequest>),
    /// These calls are about to be sent. The sender waits for the reply, which says whether that is recorded.
    Announced(Vec<CallRef>, oneshot::Sender<bool>),
    /// These announced calls were not sent.
    NotSent(Vec<CallRef>),
    Resolved(CallRef, Resolution),
}

/// The effects of a turn's work, in the order in which they start.
pub(super) fn effects(
    leased: &mut [LeasedJob],
    work: TurnWork,
    turn: TurnDeadlines,
) -> Vec<Effect> {
    let mut effects = Vec::new();
    // One preparation per connection, so that its jobs share look-ups.
    let mut inputs: BTreeMap<String, Vec<PrepareInput>> = BTreeMap::new();
    for place in work.preparing {
        if let Some(LeasedJob { job, .. }) = leased.get(place) {
            let input = PrepareInput::of(place, &job.request, job.order.is_some());
            inputs
                .entry(job.connection.clone())
                .or_default()
                .push(input);
        }
    }
    for (connection, inputs) in inputs {
        let jobs = leased.iter().map(|leased| &leased.job);
        let others = jobs.filter(|job| job.connection == connection);
        let claimed = others.flat_map(|job| claimed_values(job)).collect();
        effects.push(Effect::Prepare {
            connection,
            inputs,
            claimed,
        });
    }
    effects.extend(work.polls.into_iter().map(Effect::Poll));
    for call in work.unknown_outcomes {
        if let Some(leased) = leased.get(call.job) {
            effects.push(Effect::Resolve(UnresolvedCall::of(&leased.job, call)));
        }
    }
    let ordered = work.ordered.into_iter().filter_map(|call| {
        let job = &leased.get(call.job)?.job;
        OrderedCall::of(job, call, turn)
    });
    let ordered: Vec<OrderedCall> = ordered.collect();
    if !ordered.is_empty() {
        effects.push(Effect::Claim(ordered));
    }
    for batch in work.batches {
        // One job of a batch holds the lock on its custom view, from turn to turn.
        let jobs = batch.calls.iter().filter_map(|call| leased.get(call.job));
        let holders = match batch.view() {
            Some(_) => jobs.map(|leased| LockHolder::job(&leased.job.id)).collect(),
            None => Vec::new(),
        };
        let parts = match batch.can_be_split() {
            true => parts(&batch, leased),
            false => Vec::new(),
        };
        let claims = CallClaims::take_from(leased, &batch);
        effects.push(Effect::Send {
            batch,
            holders,
            parts,
            claims,
        });
    }
    effects
}

/// The parts of a batch, one for each of its calls.
fn parts(batch: &Batch, leased: &[LeasedJob]) -> Vec<Batch> {
    let part = |call: &CallRef| {
        let job = &leased.get(call.job)?.job;
        Some(batch.part(*call, job, job.call(call.seq)?))
    };
    batch.calls.iter().filter_map(part).collect()
}
