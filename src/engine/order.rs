//! The order of deliveries that update the same records: claims records before a call is sent, and settles them after the
//! answer, so that no older delivery is sent after a newer one.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use super::batch::{Batch, CallRef};
use super::{Engine, LEASE_SLACK, LeasedJob, TurnDeadlines};
use crate::clock::after;
use crate::codes::Cause;
use crate::failpoint::fail_point;
use crate::job::{CallEvent, Job, JobOrder, OrderKey};
use crate::outcome::{Failure, Refusal};
use crate::store::{ClaimResult, ClaimedRecord, RecordClaim};
use crate::update::RecordId;
use crate::zoho::answer::UpdateAnswer;
use crate::zoho::{self, CallResult};

/// A call whose records are to be claimed.
pub(super) struct OrderedCall {
    pub(super) call: CallRef,
    claims: Vec<(RecordId, RecordClaim)>,
}

/// The claimed records of the calls of one request.
#[derive(Default)]
pub(super) struct CallClaims(BTreeMap<CallRef, Vec<(RecordId, ClaimedRecord)>>);

/// The answer to the claims of one call.
pub(super) struct ClaimedCall {
    pub(super) call: CallRef,
    /// Records that a newer delivery was sent for.
    pub(super) superseded: BTreeSet<RecordId>,
    /// The claimed records, or why the call cannot be sent now.
    pub(super) claims: Result<Vec<(RecordId, ClaimedRecord)>, CallEvent>,
}

impl OrderedCall {
    /// The claims of a call of a job with an order; none if the job has no order.
    pub(super) fn of(job: &Job, call: CallRef, turn: TurnDeadlines) -> Option<Self> {
        let JobOrder { key, keep_for } = job.order?;
        let route = job.route.as_deref().unwrap_or_default();
        let until = after(turn.end, LEASE_SLACK);
        let ids = job.remaining_ids(job.call(call.seq)?).into_iter();
        let claim = |id: RecordId| {
            let claim = RecordClaim {
                name: RecordClaim::name_of(&job.connection, route, id),
                key,
                holder: job.id.clone(),
                until,
                keep_for: keep_for.unsigned_abs(),
            };
            (id, claim)
        };
        let claims = ids.map(claim).collect();
        Some(Self { call, claims })
    }
}

impl CallClaims {
    /// Takes the claims of the calls of a batch from their jobs.
    pub(super) fn take_from(leased: &mut [LeasedJob], batch: &Batch) -> Self {
        let calls = batch.calls.iter().filter_map(|call| {
            let claims = leased.get_mut(call.job)?.claims.remove(&call.seq)?;
            Some((*call, claims))
        });
        Self(calls.collect())
    }

    /// Takes the claims of the calls of a part of the batch.
    pub(super) fn take_of(&mut self, part: &Batch) -> Self {
        let calls = part.calls.iter();
        Self(calls.filter_map(|call| self.0.remove_entry(call)).collect())
    }
}

/// A record of a route: connection, route and id.
pub(super) type RouteRecord<'a> = (&'a str, &'a str, RecordId);

/// The records that a call of a job has still to update.
pub(super) fn records_of(job: &Job, seq: usize) -> impl Iterator<Item = RouteRecord<'_>> {
    let route = job.route.as_deref().unwrap_or_default();
    let ids = job.call(seq).map(|state| job.remaining_ids(state));
    let ids = ids.unwrap_or_default().into_iter();
    ids.map(move |id| (job.connection.as_str(), route, id))
}

/// Those of `calls` to send next: for each record the newest one, unless the record is `taken`. The others wait for its answer.
pub(super) fn newest_calls<'a>(
    mut calls: Vec<(CallRef, &'a Job)>,
    mut taken: HashSet<RouteRecord<'a>>,
) -> Vec<CallRef> {
    let key = |job: &Job| job.order.map(|order| order.key);
    calls.sort_by(|(_, one), (_, other)| {
        let order = match (key(one), key(other)) {
            (Some(one), Some(other)) => other.compare(&one),
            (Some(_) | None, None) | (None, Some(_)) => None,
        };
        order
            .unwrap_or(Ordering::Equal)
            .then_with(|| one.id.cmp(&other.id))
    });
    let mut next = Vec::new();
    for (call, job) in calls {
        if records_of(job, call.seq).all(|record| !taken.contains(&record)) {
            taken.extend(records_of(job, call.seq));
            next.push(call);
        }
    }
    next
}

impl Engine {
    /// Claims the records of calls. A call gets all of its records or none: those that it cannot get yet are no reason to keep
    /// others waiting.
    pub(super) async fn claim_records(&self, calls: Vec<OrderedCall>) -> Vec<ClaimedCall> {
        let now = self.clock.now();
        let claims = calls.iter().flat_map(|ordered| &ordered.claims);
        let claims: Vec<RecordClaim> = claims.map(|(_, claim)| claim.clone()).collect();
        let results = match claims.is_empty() {
            true => Ok(Vec::new()),
            false => self.store.claim_records(claims, now).await,
        };
        fail_point("order.claimed");
        let mut results = match results {
            Ok(results) => results.into_iter(),
            Err(error) => {
                let refusal = Refusal::with(Cause::StoreUnavailable, error.to_string());
                let event = |wait| CallEvent::Postponed {
                    reason: refusal.clone(),
                    wait,
                };
                let failed = calls.into_iter().map(|ordered| ClaimedCall {
                    call: ordered.call,
                    superseded: BTreeSet::new(),
                    claims: Err(event(wait_for(Cause::StoreUnavailable))),
                });
                return failed.collect();
            }
        };
        let mut unused = Vec::new();
        let mut claimed = Vec::with_capacity(calls.len());
        for OrderedCall { call, claims } in calls {
            let ids = claims.into_iter().map(|(id, claim)| (id, claim.key));
            let own = ids.zip(results.by_ref());
            claimed.push(judge(
                call,
                own.map(|((id, key), result)| (id, key, result)),
                &mut unused,
            ));
        }
        let unused = unused.into_iter().map(|claim| (claim, false)).collect();
        self.settle_records(unused).await;
        claimed
    }

    /// Settles the claims of a request that was sent, or that was not.
    pub(super) async fn settle_claims(
        &self,
        claims: CallClaims,
        sent: Option<&CallResult<UpdateAnswer>>,
    ) {
        if claims.0.is_empty() {
            return;
        }
        let (failures, was_sent) = sent.map_or((&[][..], false), sent_records);
        let refused = failures.iter().filter(|failure| is_refusal(failure));
        let refused: HashSet<RecordId> = refused.map(|failure| failure.id).collect();
        let claims = claims.0.into_values().flatten();
        let records = claims.map(|(id, claim)| (claim, was_sent && !refused.contains(&id)));
        self.settle_records(records.collect()).await;
    }

    /// Ends the claims of jobs whose calls were not sent.
    pub(super) async fn release_claims(&self, leased: &mut [LeasedJob]) {
        let claims = leased
            .iter_mut()
            .map(|leased| std::mem::take(&mut leased.claims));
        let claims = claims.flat_map(BTreeMap::into_values).flatten();
        let unused = claims.map(|(_, claim)| (claim, false)).collect();
        self.settle_records(unused).await;
    }

    /// Ends claims. If that fails, they expire and count as sent, which is safe.
    pub(super) async fn settle_records(&self, records: Vec<(ClaimedRecord, bool)>) {
        if records.is_empty() {
            return;
        }
        let count = records.len();
        if let Err(error) = self.store.settle_records(records, self.clock.now()).await {
            tracing::warn!(
                records = count,
                "the order of records cannot be stored, and later deliveries of them wait: {error}"
            );
        }
        fail_point("order.settled");
    }
}

/// What the answers to the claims of a call mean for it. Claims that it does not use are added to `unused`.
fn judge(
    call: CallRef,
    answers: impl Iterator<Item = (RecordId, OrderKey, ClaimResult)>,
    unused: &mut Vec<ClaimedRecord>,
) -> ClaimedCall {
    let mut superseded = BTreeSet::new();
    let (mut claims, mut refused) = (Vec::new(), None);
    for (id, key, answer) in answers {
        match answer {
            ClaimResult::Claimed(claim) => claims.push((id, *claim)),
            ClaimResult::Superseded => {
                superseded.insert(id);
            }
            ClaimResult::Busy => {
                refused.get_or_insert_with(|| CallEvent::Postponed {
                    reason: Refusal::of(Cause::RecordTaken),
                    wait: wait_for(Cause::RecordTaken),
                });
            }
            ClaimResult::Incomparable(other) => {
                let message = format!(
                    "the order of the delivery is {}, and that of another delivery of record {id} is {}: a number and a time cannot be compared",
                    key.value, other.value
                );
                let refusal = Refusal::with(Cause::OrderIncomparable, message);
                refused = Some(CallEvent::Refused(refusal));
            }
        }
    }
    let claims = match refused {
        None => Ok(claims),
        Some(event) => {
            unused.extend(claims.into_iter().map(|(_, claim)| claim));
            Err(event)
        }
    };
    ClaimedCall {
        call,
        superseded,
        claims,
    }
}

/// The wait after a cause, spread so that jobs that wait for each other do not meet again.
fn wait_for(cause: Cause) -> Duration {
    let wait = cause.row().class.wait().unwrap_or_default();
    wait.mul_f64(0.5 + fastrand::f64())
}

/// Whether Zoho has certainly not updated the record of a failure. It may have, if its answer does not tell, or if it reports an
/// error of its own.
fn is_refusal(failure: &Failure) -> bool {
    let open = [Cause::NotAnswered, Cause::InternalError];
    !open.iter().any(|cause| failure.code == cause.row().code)
}

/// The records of a request that failed, and whether it may have updated the others.
fn sent_records(sent: &CallResult<UpdateAnswer>) -> (&[Failure], bool) {
    match &sent.outcome {
        Ok(UpdateAnswer::Settled(failures)) => (failures, true),
        Ok(UpdateAnswer::Accepted { .. } | UpdateAnswer::Upserted(_))
        | Err(zoho::Error::OutcomeUnknown(_)) => (&[], true),
        // Zoho may have performed an attempt whose answer was lost or an error of its own.
        Err(_) => {
            let mut requests = sent.requests.iter();
            let may_be_performed =
                requests.any(|request| request.status.is_none_or(|status| status >= 500));
            (&[], may_be_performed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unanswered_record_is_not_refused() {
        for (code, expected) in [
            ("INVALID_DATA", true),
            ("DUPLICATE_DATA", true),
            ("NOT_ANSWERED", false),
            ("INTERNAL_ERROR", false),
        ] {
            let id = "7".parse().expect("an id");
            let failure = Failure {
                id,
                code: code.to_owned(),
                message: String::new(),
                step: None,
            };
            assert_eq!(is_refusal(&failure), expected, "{code}");
        }
    }
}
