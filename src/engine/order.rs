//! The order of deliveries that update the same records: claims records before a call is sent, and settles them after the
//! answer, so that no older delivery is sent after a newer one.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Display;
use std::time::Duration;

use super::batch::{Batch, CallRef};
use super::{Engine, LEASE_SLACK, LeasedJob, TurnDeadlines};
use crate::clock::after;
use crate::codes::Cause;
use crate::failpoint::fail_point;
use crate::job::{CallEvent, CallState, Job, JobOrder, OrderKey, SupersededRecords};
use crate::outcome::{NewRecordOutcome, Refusal};
use crate::store::{ClaimResult, ClaimedRecord, RecordClaim};
use crate::update::{ChangeKind, NewRecords, RecordId};
use crate::zoho::answer::UpdateAnswer;
use crate::zoho::{self, CallResult};

/// A record of a call.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum OrderedRecord {
    /// A record with an id.
    Known(RecordId),
    /// A record that the call creates: its number in the request, and the key of its value.
    New(usize, String),
}

/// A call whose records are to be claimed.
pub(super) struct OrderedCall {
    pub(super) call: CallRef,
    claims: Vec<(Vec<OrderedRecord>, RecordClaim)>,
}

/// A claim of a call, with the records whose order it is.
pub(super) type CallClaim = (Vec<OrderedRecord>, ClaimedRecord);

/// The claims of the calls of one request.
#[derive(Default)]
pub(super) struct CallClaims(BTreeMap<CallRef, Vec<CallClaim>>);

/// The answer to the claims of one call.
pub(super) struct ClaimedCall {
    pub(super) call: CallRef,
    /// Records that a newer delivery was sent for.
    pub(super) superseded: SupersededRecords,
    /// The claims, or why the call cannot be sent now.
    pub(super) claims: Result<Vec<CallClaim>, CallEvent>,
}

impl OrderedCall {
    /// The claims of a call of a job with an order; none if the job has no order.
    pub(super) fn of(job: &Job, call: CallRef, turn: TurnDeadlines) -> Option<Self> {
        let JobOrder { key, keep_for } = job.order?;
        let changes = changes_of(job, job.call(call.seq)?);
        let until = after(turn.end, LEASE_SLACK);
        let claim = |(name, records)| {
            let claim = RecordClaim {
                name,
                key,
                changes: changes.clone(),
                holder: job.id.clone(),
                until,
                keep_for: keep_for.unsigned_abs(),
            };
            (records, claim)
        };
        let names = names_of(job, call.seq).into_iter();
        let claims = names.map(claim).collect();
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

/// What a call changes about its records. A new record may have its owner from the start.
fn changes_of(job: &Job, state: &CallState) -> BTreeSet<ChangeKind> {
    let new = job.request.new_records.as_ref();
    let gives_owner =
        state.call.target.new_records().is_some() && new.is_some_and(NewRecords::gives_owner);
    let own = state.call.step().change();
    let owner = gives_owner.then_some(ChangeKind::Owner);
    [own].into_iter().chain(owner).collect()
}

/// The names under which the order of the records that a call has still to change is kept, each with its records: their ids, and
/// in a job that can create records the values by which they are matched. Another delivery may know a record only by its value.
pub(super) fn names_of(job: &Job, seq: usize) -> BTreeMap<String, Vec<OrderedRecord>> {
    let mut names: BTreeMap<String, Vec<OrderedRecord>> = BTreeMap::new();
    let Some(state) = job.call(seq) else {
        return names;
    };
    let route = job.route.as_deref().unwrap_or_default();
    let mut add = |name: &dyn Display, record: OrderedRecord| {
        let name = RecordClaim::name_of(&job.connection, route, name);
        names.entry(name).or_default().push(record);
    };
    for id in job.remaining_ids(state) {
        add(&id, OrderedRecord::Known(id));
        for value in job.order_names(id) {
            add(&value, OrderedRecord::Known(id));
        }
    }
    if let Some(new) = &job.request.new_records {
        for (number, value) in job.remaining_new(&state.call) {
            let name = new.order_name(&job.request.module, value);
            add(&name, OrderedRecord::New(number, new.key(value)));
        }
    }
    names
}

/// Those of `calls` to send next: for each record the newest one, unless the record is `taken`. The others wait for its answer.
pub(super) fn newest_calls(
    mut calls: Vec<(CallRef, &Job)>,
    mut taken: HashSet<String>,
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
        let names = names_of(job, call.seq);
        if names.keys().all(|name| !taken.contains(name)) {
            taken.extend(names.into_keys());
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
                    superseded: SupersededRecords::default(),
                    claims: Err(event(wait_for(Cause::StoreUnavailable))),
                });
                return failed.collect();
            }
        };
        let mut unused = Vec::new();
        let mut claimed = Vec::with_capacity(calls.len());
        for OrderedCall { call, claims } in calls {
            let own = claims.into_iter().zip(results.by_ref()).collect();
            claimed.push(judge(call, own, &mut unused));
        }
        let unused = unused.into_iter().map(|claim| (claim, false)).collect();
        self.settle_records(unused).await;
        claimed
    }

    /// Ends the claims of requests that were not sent.
    pub(super) async fn drop_claims(&self, claims: CallClaims) {
        let claims = claims.0.into_values().flatten();
        let unused = claims.map(|(_, claim)| (claim, false)).collect();
        self.settle_records(unused).await;
    }

    /// Settles the claims of a batch that was sent.
    pub(super) async fn settle_claims(
        &self,
        claims: CallClaims,
        batch: &Batch,
        sent: &CallResult<UpdateAnswer>,
    ) {
        let answer = OrderAnswer::of(batch, sent);
        let (mut records, mut created) = (Vec::new(), Vec::new());
        for (own, claim) in claims.0.into_values().flatten() {
            let ids = own.iter().filter_map(|record| answer.created_id(record));
            created.extend(ids.map(|id| claim.claim.of_record(id)));
            let was_sent = own.iter().any(|record| answer.may_have_changed(record));
            records.push((claim, was_sent));
        }
        self.add_created(created).await;
        self.settle_records(records).await;
    }

    /// Stores the order of records that now have an id: later deliveries may name them by it. A record that another delivery
    /// has claimed meanwhile keeps that claim.
    async fn add_created(&self, claims: Vec<RecordClaim>) {
        if claims.is_empty() {
            return;
        }
        let claimed = self.store.claim_records(claims, self.clock.now()).await;
        fail_point("order.created");
        let claimed = claimed.unwrap_or_else(|error| {
            tracing::warn!("the order of new records is kept by their values only: {error}");
            Vec::new()
        });
        let claimed = claimed.into_iter().filter_map(|result| match result {
            ClaimResult::Claimed(claim) => Some((*claim, true)),
            ClaimResult::Superseded | ClaimResult::Busy | ClaimResult::Incomparable(_) => None,
        });
        self.settle_records(claimed.collect()).await;
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
    answers: Vec<((Vec<OrderedRecord>, RecordClaim), ClaimResult)>,
    unused: &mut Vec<ClaimedRecord>,
) -> ClaimedCall {
    let mut superseded = BTreeSet::new();
    let (mut claims, mut refused) = (Vec::new(), None);
    for ((records, wanted), answer) in answers {
        match answer {
            ClaimResult::Claimed(claim) => claims.push((records, *claim)),
            ClaimResult::Superseded => superseded.extend(records),
            ClaimResult::Busy => {
                refused.get_or_insert_with(|| CallEvent::Postponed {
                    reason: Refusal::of(Cause::RecordTaken),
                    wait: wait_for(Cause::RecordTaken),
                });
            }
            ClaimResult::Incomparable(other) => {
                refused = Some(CallEvent::Refused(incomparable(&wanted, &records, &other)));
            }
        }
    }
    let is_left = |(records, _): &CallClaim| records.iter().all(|own| superseded.contains(own));
    let (left, used): (Vec<_>, Vec<_>) = claims.into_iter().partition(is_left);
    unused.extend(left.into_iter().map(|(_, claim)| claim));
    let claims = match refused {
        None => Ok(used),
        Some(event) => {
            unused.extend(used.into_iter().map(|(_, claim)| claim));
            Err(event)
        }
    };
    let mut left = SupersededRecords::default();
    for record in superseded {
        match record {
            OrderedRecord::Known(id) => drop(left.ids.insert(id)),
            OrderedRecord::New(number, _) => drop(left.new_records.insert(number)),
        }
    }
    ClaimedCall {
        call,
        superseded: left,
        claims,
    }
}

/// The refusal of a call whose order cannot be compared with that of another delivery.
fn incomparable(claim: &RecordClaim, records: &[OrderedRecord], other: &OrderKey) -> Refusal {
    let record = match records.first() {
        Some(OrderedRecord::Known(id)) => format!("record {id}"),
        Some(OrderedRecord::New(..)) | None => "a record to create".to_owned(),
    };
    let message = format!(
        "the order of the delivery is {}, and that of another delivery of {record} is {}: a number and a time cannot be compared",
        claim.key.value, other.value
    );
    Refusal::with(Cause::OrderIncomparable, message)
}

/// The wait after a cause, spread so that jobs that wait for each other do not meet again.
fn wait_for(cause: Cause) -> Duration {
    let wait = cause.row().class.wait().unwrap_or_default();
    wait.mul_f64(0.5 + fastrand::f64())
}

/// Whether Zoho has certainly not updated a record that it answered with this code. It may have, if its answer does not tell, or
/// if it reports an error of its own.
fn is_refusal(code: &str) -> bool {
    let open = [Cause::NotAnswered, Cause::InternalError];
    !open.iter().any(|cause| code == cause.row().code)
}

/// What the answer to a request tells about its records.
struct OrderAnswer<'a> {
    /// Whether Zoho may have performed the request.
    was_sent: bool,
    /// Records that it has certainly not updated.
    refused: HashSet<RecordId>,
    /// The outcomes of new records, by the keys of their values.
    new: HashMap<&'a str, &'a NewRecordOutcome>,
}

impl<'a> OrderAnswer<'a> {
    fn of(batch: &'a Batch, sent: &'a CallResult<UpdateAnswer>) -> Self {
        let mut answer = Self {
            was_sent: true,
            refused: HashSet::new(),
            new: HashMap::new(),
        };
        match &sent.outcome {
            Ok(UpdateAnswer::Settled(failures)) => {
                let refused = failures.iter().filter(|failure| is_refusal(&failure.code));
                answer.refused = refused.map(|failure| failure.id).collect();
            }
            Ok(UpdateAnswer::Upserted(rows)) => answer.new = batch.outcomes_by_key(rows),
            Ok(UpdateAnswer::Accepted { .. }) | Err(zoho::Error::OutcomeUnknown(_)) => {}
            // Zoho may have performed an attempt whose answer was lost or an error of its own.
            Err(_) => {
                let mut requests = sent.requests.iter();
                answer.was_sent =
                    requests.any(|request| request.status.is_none_or(|status| status >= 500));
            }
        }
        answer
    }

    fn may_have_changed(&self, record: &OrderedRecord) -> bool {
        let is_refused = match record {
            OrderedRecord::Known(id) => self.refused.contains(id),
            OrderedRecord::New(_, key) => match self.new.get(key.as_str()) {
                Some(NewRecordOutcome::Refused { code, .. }) => is_refusal(code),
                Some(_) | None => false,
            },
        };
        self.was_sent && !is_refused
    }

    /// The id of a record that was new.
    fn created_id(&self, record: &OrderedRecord) -> Option<RecordId> {
        match record {
            OrderedRecord::Known(_) => None,
            OrderedRecord::New(_, key) => self.new.get(key.as_str())?.id(),
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
            assert_eq!(is_refusal(code), expected, "{code}");
        }
    }
}
