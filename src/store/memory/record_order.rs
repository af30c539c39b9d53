//! The order of records in memory.

use std::collections::HashMap;

use async_trait::async_trait;
use jiff::Timestamp;

use super::MemoryStore;
use crate::clock::after;
use crate::store::{
    ClaimResult, ClaimedRecord, OrderSearch, RecordClaim, RecordOrder, RecordOrders, StoreError,
};

/// The most records whose order is kept, so that a warm function does not grow without limit.
const MOST: usize = 20_000;

/// The order of each record, with the moment at which it expires.
pub(super) type OrdersByName = HashMap<String, (RecordOrder, Timestamp)>;

#[async_trait]
impl RecordOrders for MemoryStore {
    async fn claim_records(
        &self,
        claims: Vec<RecordClaim>,
        now: Timestamp,
    ) -> Result<Vec<ClaimResult>, StoreError> {
        let mut state = self.state();
        make_room(&mut state.orders, now);
        let claims = claims.into_iter();
        Ok(claims
            .map(|claim| take(&mut state.orders, claim, now))
            .collect())
    }

    async fn settle_records(
        &self,
        records: Vec<(ClaimedRecord, bool)>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut state = self.state();
        for (ClaimedRecord { claim, .. }, was_sent) in records {
            let known = state.orders.get(&claim.name);
            let settled =
                known.and_then(|(order, _)| order.clone().settle(&claim.holder, was_sent));
            match settled {
                Some(order) if order.is_empty() => drop(state.orders.remove(&claim.name)),
                Some(order) => {
                    let ends = after(now, claim.lifetime(now));
                    state.orders.insert(claim.name, (order, ends));
                }
                None => {}
            }
        }
        Ok(())
    }

    async fn find_orders(&self, search: &OrderSearch) -> Result<Vec<String>, StoreError> {
        let state = self.state();
        let matcher = search.matcher();
        let names = state.orders.keys();
        let names = names.filter(|name| matcher.is_meant(name));
        Ok(names.cloned().collect())
    }

    async fn delete_orders(&self, names: &[String]) -> Result<(), StoreError> {
        let mut state = self.state();
        for name in names {
            state.orders.remove(name);
        }
        Ok(())
    }
}

fn take(orders: &mut OrdersByName, claim: RecordClaim, now: Timestamp) -> ClaimResult {
    let known = orders.get(&claim.name).filter(|(_, ends)| *ends > now);
    let known = known.map(|(order, _)| order.clone()).unwrap_or_default();
    match known.claim(&claim, now) {
        Ok(stored) => {
            let ends = after(now, claim.lifetime(now));
            orders.insert(claim.name.clone(), (stored.clone(), ends));
            ClaimResult::Claimed(Box::new(ClaimedRecord { claim, stored }))
        }
        Err(refused) => refused,
    }
}

/// Forgets what has expired, and then what expires first, if there are too many records.
fn make_room(orders: &mut OrdersByName, now: Timestamp) {
    if orders.len() < MOST {
        return;
    }
    orders.retain(|_, (_, ends)| *ends > now);
    if orders.len() >= MOST {
        let mut ends: Vec<Timestamp> = orders.values().map(|(_, ends)| *ends).collect();
        let (_, middle, _) = ends.select_nth_unstable(MOST / 2);
        let middle = *middle;
        orders.retain(|_, (_, ends)| *ends > middle);
    }
}
