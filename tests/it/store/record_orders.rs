//! What every store guarantees about the order of records: one claim at a time, and nothing older after something newer.

use std::collections::BTreeSet;
use std::time::Duration;

use masshook::job::{JobId, OrderKey};
use masshook::store::{ClaimResult, ClaimedRecord, RecordClaim};
use masshook::update::ChangeKind;

use super::fixture::Fixture;

const KEPT: Duration = Duration::from_secs(1_000);

fn claim(fixture: &Fixture, record: u32, value: &str) -> RecordClaim {
    RecordClaim {
        name: RecordClaim::name_of("default", "form", record),
        key: OrderKey {
            value: value.parse().expect("a value"),
            received_at: fixture.now(),
        },
        changes: BTreeSet::from([ChangeKind::Fields]),
        holder: JobId::derive("form", value, 1),
        until: fixture.after(60),
        keep_for: KEPT,
    }
}

async fn claim_all(fixture: &Fixture, claims: Vec<RecordClaim>) -> Vec<ClaimResult> {
    let claimed = fixture.store.claim_records(claims, fixture.now()).await;
    claimed.expect("answered")
}

fn claimed(result: ClaimResult) -> ClaimedRecord {
    let ClaimResult::Claimed(record) = result else {
        panic!("not claimed: {result:?}");
    };
    *record
}

async fn settle(fixture: &Fixture, record: ClaimedRecord, was_sent: bool) {
    let records = vec![(record, was_sent)];
    let settled = fixture.store.settle_records(records, fixture.now()).await;
    settled.expect("settled");
}

pub(super) async fn newer_delivery_supersedes_older(fixture: &Fixture) {
    let (new, old) = (claim(fixture, 1, "2"), claim(fixture, 1, "1"));
    let other = claim(fixture, 2, "1");
    let mut results = claim_all(fixture, vec![new.clone(), other.clone()]).await;
    let (second, first) = (claimed(results.remove(1)), claimed(results.remove(0)));
    assert_eq!(
        claim_all(fixture, vec![old.clone()]).await,
        [ClaimResult::Busy]
    );
    settle(fixture, first.clone(), true).await;
    // Zoho has refused this one.
    settle(fixture, second, false).await;
    let answers = claim_all(fixture, vec![old.clone(), claim(fixture, 2, "0")]).await;
    assert_eq!(answers[0], ClaimResult::Superseded);
    let last = claimed(answers[1].clone());
    // A claim that is settled twice changes nothing.
    settle(fixture, first, false).await;
    assert_eq!(
        claim_all(fixture, vec![old]).await,
        [ClaimResult::Superseded]
    );
    settle(fixture, last, true).await;
    let time = claim(fixture, 1, "2026-11-27");
    let answers = claim_all(fixture, vec![time]).await;
    assert_eq!(answers, [ClaimResult::Incomparable(new.key)]);
}

pub(super) async fn abandoned_claim_is_taken_over(fixture: &Fixture) {
    let results = claim_all(fixture, vec![claim(fixture, 1, "2")]).await;
    let abandoned = claimed(results[0].clone());
    fixture.advance(61);
    let answers = claim_all(fixture, vec![claim(fixture, 1, "1")]).await;
    assert_eq!(answers, [ClaimResult::Superseded], "it may have been sent");
    let results = claim_all(fixture, vec![claim(fixture, 1, "3")]).await;
    let newest = claimed(results[0].clone());
    // Its process was only slow.
    settle(fixture, abandoned, true).await;
    let answers = claim_all(fixture, vec![claim(fixture, 1, "4")]).await;
    assert_eq!(answers, [ClaimResult::Busy], "the newest claim stands");
    settle(fixture, newest, false).await;
    let answers = claim_all(fixture, vec![claim(fixture, 1, "1")]).await;
    assert_eq!(answers, [ClaimResult::Superseded], "as before the refusal");
}

pub(super) async fn order_of_record_expires(fixture: &Fixture) {
    let results = claim_all(fixture, vec![claim(fixture, 1, "2")]).await;
    settle(fixture, claimed(results[0].clone()), true).await;
    fixture.advance(KEPT.as_secs() - 10);
    let answers = claim_all(fixture, vec![claim(fixture, 1, "1")]).await;
    assert_eq!(answers, [ClaimResult::Superseded]);
    fixture.advance(20);
    let answers = claim_all(fixture, vec![claim(fixture, 1, "1")]).await;
    claimed(answers[0].clone());
}

pub(super) async fn concurrent_claims_have_one_holder(fixture: &Fixture) {
    let claims = (0..8).map(|value| vec![claim(fixture, 1, &value.to_string())]);
    let claims = claims.map(|claims| claim_all(fixture, claims));
    let results = futures_util::future::join_all(claims).await;
    let holders = results.iter().flatten();
    let holders = holders.filter(|result| matches!(result, ClaimResult::Claimed(_)));
    assert_eq!(holders.count(), 1, "{results:?}");
}

pub(super) async fn thousand_records_are_claimed_together(fixture: &Fixture) {
    let claims: Vec<RecordClaim> = (0..1_000).map(|id| claim(fixture, id, "5")).collect();
    let results = claim_all(fixture, claims).await;
    let records: Vec<_> = results
        .into_iter()
        .map(|result| (claimed(result), true))
        .collect();
    assert_eq!(records.len(), 1_000);
    let settled = fixture.store.settle_records(records, fixture.now()).await;
    settled.expect("settled");
    let claims: Vec<RecordClaim> = (0..1_000).map(|id| claim(fixture, id, "4")).collect();
    let results = claim_all(fixture, claims).await;
    assert!(
        results
            .iter()
            .all(|result| *result == ClaimResult::Superseded)
    );
}
