//! Performs the effects of a turn concurrently, and records each result before anything depends on it.

use std::collections::HashSet;
use std::sync::Mutex;

use futures_util::StreamExt;
use tokio::sync::mpsc;
use tracing::{Instrument, Span};

use super::effect::{Effect, EffectResult, effects};
use super::work::TurnWork;
use super::{Engine, LeasedJob, TurnDeadlines, prepare};
use crate::failpoint::fail_point;

/// Effects under way at once in a turn. Each connection limits its own share.
const CONCURRENT_EFFECTS: usize = 64;

/// Results that may wait to be recorded before further ones have to wait.
const UNRECORDED_RESULTS: usize = 16;

/// Connections and paths for which every call of this round is denied.
type DeniedEndpoints = Mutex<HashSet<(String, String)>>;

/// What the effects of one round share.
#[derive(Clone, Copy)]
pub(super) struct Round<'a> {
    pub(super) denied_endpoints: &'a DeniedEndpoints,
    pub(super) turn: TurnDeadlines,
    /// Takes results that are recorded before their effect ends.
    pub(super) results: &'a mpsc::Sender<EffectResult>,
}

impl Engine {
    /// Performs everything that can be done now, and records each result as it arrives.
    pub(super) async fn perform(
        &self,
        leased: &mut [LeasedJob],
        work: TurnWork,
        turn: TurnDeadlines,
    ) {
        let effects: Vec<(Effect, Span)> = effects(leased, work, turn)
            .into_iter()
            .map(|effect| {
                let span = effect.span(leased);
                (effect, span)
            })
            .collect();
        // Calls that are not sent now: another round claims their records again.
        self.release_claims(leased).await;
        let denied_endpoints = DeniedEndpoints::default();
        let denied_endpoints = &denied_endpoints;
        let (results, mut received) = mpsc::channel(UNRECORDED_RESULTS);
        let performing = async move {
            let round = Round {
                denied_endpoints,
                turn,
                results: &results,
            };
            let mut running = futures_util::stream::iter(effects)
                .map(|(effect, span)| self.perform_effect(effect, round).instrument(span))
                .buffer_unordered(CONCURRENT_EFFECTS);
            while let Some(result) = running.next().await {
                if let Some(result) = result {
                    // The receiver lives as long as this sender.
                    let _ = results.send(result).await;
                }
            }
        };
        let mut denied = Vec::new();
        let recording = async {
            let mut results = Vec::new();
            while received.recv_many(&mut results, UNRECORDED_RESULTS).await > 0 {
                self.record(leased, std::mem::take(&mut results), &mut denied)
                    .await;
            }
        };
        // Concurrently: further calls go out while earlier answers are recorded.
        tokio::join!(performing, recording);
        // Only now, as calls that were under way when the denial arrived have their own answers by now.
        for (place, kind, refusal) in denied {
            if let Some(leased) = leased.get_mut(place).filter(|leased| leased.is_driven()) {
                tracing::error!(job.id = %leased.job.id, delivery.id = leased.job.delivery(), zoho.code = refusal.code, "job cannot go on: {refusal}");
                self.count_denial(&leased.job);
                leased.job.abandon(kind, &refusal, self.clock.now());
                self.checkpoint(leased).await;
            }
        }
    }

    async fn perform_effect(&self, effect: Effect, round: Round<'_>) -> Option<EffectResult> {
        let turn = round.turn;
        match effect {
            Effect::Prepare {
                connection,
                inputs,
                claimed,
            } => {
                let client = self.connections.get(&connection)?;
                fail_point("prepare.before");
                let start = self.clock.elapsed();
                let preparing = prepare::prepare(client, inputs, claimed, turn.give_up);
                let mut prepared = Box::pin(preparing).await;
                let took = self.clock.elapsed().saturating_sub(start);
                for output in &mut prepared {
                    output.prepared.took = took;
                }
                fail_point("prepare.answered");
                Some(EffectResult::Prepared(prepared))
            }
            Effect::Send {
                batch,
                holders,
                parts,
                claims,
            } => {
                let Some(sent) = self.send(batch, holders, round).await else {
                    self.drop_claims(claims).await;
                    return None;
                };
                self.settle_or_send_apart(sent, parts, claims, round).await
            }
            Effect::Claim(calls) => {
                let claiming = Box::pin(self.claim_records(calls));
                Some(EffectResult::Claimed(claiming.await))
            }
            Effect::Resolve(unresolved) => {
                let call = unresolved.call;
                let resolution = Box::pin(self.resolve(unresolved, turn)).await?;
                Some(EffectResult::Resolved(call, resolution))
            }
            Effect::Poll(poll) => {
                let client = self.connections.get(&poll.connection)?;
                let status =
                    client.job_status(&poll.module, poll.kind, &poll.zoho_job_id, turn.give_up);
                let sent = Box::pin(status).await;
                fail_point("poll.answered");
                Some(EffectResult::Polled(poll, sent))
            }
        }
    }
}
