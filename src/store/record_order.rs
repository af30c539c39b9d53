//! Which delivery of a record was sent last, for routes with `order_by`.
//!
//! A call claims its records before it is sent, and settles them after the answer. Of two claims on a record, the second waits
//! until the first is settled. A claim that was never settled, because its process ended, counts as sent once it has expired:
//! its job is newer than others, and is driven again.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::job::{JobId, OrderKey};

/// The claim of a job on a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordClaim {
    /// The record and its route, as [`RecordClaim::name_of`] writes them.
    pub name: String,
    /// The position of the job's delivery.
    pub key: OrderKey,
    /// The job. It may claim its records again.
    pub holder: JobId,
    /// When the claim expires, if it is not settled.
    pub until: Timestamp,
    /// How long the order of the record is kept.
    pub keep_for: Duration,
}

impl RecordClaim {
    /// The name of a record of a route.
    pub fn name_of(connection: &str, route: &str, record: impl std::fmt::Display) -> String {
        format!("{connection}/{route}/{record}")
    }

    /// How long the order is stored from now on.
    pub(crate) fn lifetime(&self, now: Timestamp) -> Duration {
        let held = Duration::try_from(self.until.duration_since(now)).unwrap_or_default();
        self.keep_for.max(held)
    }
}

/// The answer to a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimResult {
    /// The call may update the record.
    Claimed(Box<ClaimedRecord>),
    /// A newer delivery was sent.
    Superseded,
    /// Another job has a claim.
    Busy,
    /// The deliveries of the record cannot be compared: this is the position of the other one.
    Incomparable(OrderKey),
}

/// A claimed record, to be settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedRecord {
    /// The claim.
    pub claim: RecordClaim,
    /// The record's order as it was stored with the claim.
    pub(crate) stored: RecordOrder,
}

/// Stores the order of records.
#[async_trait]
pub trait RecordOrders: std::fmt::Debug + Send + Sync {
    /// Claims records, each of which is named once. The results are in the order of the claims.
    ///
    /// # Errors
    /// Those of the store. Some of the records may be claimed then.
    async fn claim_records(
        &self,
        claims: Vec<RecordClaim>,
        now: Timestamp,
    ) -> Result<Vec<ClaimResult>, StoreError>;

    /// Ends claims, each with whether the record may have been updated. A claim that another job has taken over is left to
    /// that job.
    ///
    /// # Errors
    /// Those of the store.
    async fn settle_records(
        &self,
        records: Vec<(ClaimedRecord, bool)>,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// The names of the stored orders of these records, by their ids. A store that cannot list orders returns none.
    ///
    /// # Errors
    /// Those of the store.
    async fn orders_of(&self, _records: &BTreeSet<String>) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }

    /// Deletes the orders with these names, and overwrites their content.
    ///
    /// # Errors
    /// Those of the store.
    async fn delete_orders(&self, _names: &[String]) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Whether an order's name, as [`RecordClaim::name_of`] writes it, is that of one of these records.
pub(crate) fn is_order_of(name: &str, records: &BTreeSet<String>) -> bool {
    let record = name.rsplit('/').next();
    record.is_some_and(|record| records.contains(record))
}

/// The order of one record of a route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RecordOrder {
    /// The newest delivery that was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sent: Option<OrderKey>,
    /// The claim that is not settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    held: Option<Hold>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Hold {
    key: OrderKey,
    job: JobId,
    until: Timestamp,
}

impl RecordOrder {
    /// The order with a claim, or the reason why the claim is refused.
    pub(crate) fn claim(
        mut self,
        claim: &RecordClaim,
        now: Timestamp,
    ) -> Result<Self, ClaimResult> {
        // A claim that was not settled: its call may have been sent.
        let is_free = |hold: &mut Hold| hold.job == claim.holder || hold.until <= now;
        if let Some(hold) = self.held.take_if(is_free) {
            self.add_sent(hold.key);
        }
        let others = [self.sent, self.held.as_ref().map(|hold| hold.key)];
        for other in others.into_iter().flatten() {
            if claim.key.compare(&other).is_none() {
                return Err(ClaimResult::Incomparable(other));
            }
        }
        let is_newer = |sent: OrderKey| sent.compare(&claim.key) == Some(Ordering::Greater);
        if self.sent.is_some_and(is_newer) {
            return Err(ClaimResult::Superseded);
        }
        if self.held.is_some() {
            return Err(ClaimResult::Busy);
        }
        self.held = Some(Hold {
            key: claim.key,
            job: claim.holder.clone(),
            until: claim.until,
        });
        Ok(self)
    }

    /// The order without the claim of a job; none if the job has no claim any more.
    pub(crate) fn settle(mut self, holder: &JobId, was_sent: bool) -> Option<Self> {
        let hold = self.held.take_if(|hold| hold.job == *holder)?;
        if was_sent {
            self.add_sent(hold.key);
        }
        Some(self)
    }

    /// Whether it says nothing.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn add_sent(&mut self, key: OrderKey) {
        let is_older = |sent: OrderKey| key.compare(&sent) == Some(Ordering::Less);
        if !self.sent.is_some_and(is_older) {
            self.sent = Some(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a moment")
    }

    fn claim(job: &str, value: &str, until: i64) -> RecordClaim {
        RecordClaim {
            name: RecordClaim::name_of("default", "form", 7),
            key: OrderKey {
                value: value.parse().expect("a value"),
                received_at: at(0),
            },
            holder: JobId::derive("form", job, 1),
            until: at(until),
            keep_for: Duration::from_secs(60),
        }
    }

    #[test]
    fn older_claim_waits_then_is_superseded() {
        let (new, old) = (claim("new", "2", 60), claim("old", "1", 60));
        let held = RecordOrder::default().claim(&new, at(1)).expect("claimed");
        assert_eq!(held.clone().claim(&old, at(1)), Err(ClaimResult::Busy));
        let sent = held.clone().settle(&new.holder, true).expect("settled");
        assert_eq!(
            sent.clone().claim(&old, at(1)),
            Err(ClaimResult::Superseded)
        );
        assert!(sent.clone().claim(&claim("same", "2", 60), at(1)).is_ok());
        // Zoho refused the newer one, so the older one is the newest that can be sent.
        let refused = held.settle(&new.holder, false).expect("settled");
        assert!(refused.is_empty() && refused.claim(&old, at(1)).is_ok());
        assert_eq!(sent.settle(&new.holder, true), None);
    }

    #[test]
    fn abandoned_claim_counts_as_sent() {
        let (new, old) = (claim("new", "2", 60), claim("old", "1", 90));
        let held = RecordOrder::default().claim(&new, at(1)).expect("claimed");
        assert_eq!(
            held.clone().claim(&old, at(60)),
            Err(ClaimResult::Superseded)
        );
        assert!(held.clone().claim(&new, at(1)).is_ok(), "its own claim");
        let newest = held
            .claim(&claim("newest", "3", 90), at(60))
            .expect("claimed");
        let sent = newest.settle(&claim("newest", "3", 0).holder, false);
        assert_eq!(
            sent.expect("settled")
                .claim(&new, at(61))
                .map(|order| order.sent),
            Ok(Some(new.key))
        );
    }

    #[test]
    fn number_and_time_are_incomparable() {
        let number = claim("number", "5", 60);
        let held = RecordOrder::default()
            .claim(&number, at(1))
            .expect("claimed");
        let time = claim("time", "2026-11-27", 60);
        let refused = held.claim(&time, at(1));
        assert_eq!(refused, Err(ClaimResult::Incomparable(number.key)));
    }

    proptest! {
        /// Whatever the order, the crashes and the refusals: what was sent never becomes older.
        #[test]
        fn sent_order_never_decreases(steps in prop::collection::vec((0..6_i64, 0..4_u8, 1..40_i64), 1..60)) {
            let mut order = RecordOrder::default();
            let (mut now, mut sent) = (0, None);
            for (value, fate, wait) in steps {
                now += wait;
                let claim = claim(&value.to_string(), &value.to_string(), now + 20);
                match order.clone().claim(&claim, at(now)) {
                    Ok(held) => {
                        // Every call that may go out is at least as new as all that went out before.
                        prop_assert!(sent.is_none_or(|sent| sent <= value), "{sent:?} {value}");
                        order = match fate {
                            0 => held,
                            1 => held.settle(&claim.holder, false).expect("settled"),
                            _ => held.settle(&claim.holder, true).expect("settled"),
                        };
                        if fate != 1 {
                            sent = Some(value);
                        }
                    }
                    Err(ClaimResult::Superseded) => prop_assert!(sent.is_some_and(|sent| sent > value)),
                    Err(ClaimResult::Busy) => {}
                    Err(other) => prop_assert!(false, "{other:?}"),
                }
            }
        }
    }
}
