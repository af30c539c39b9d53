//! Which delivery of a record was sent last, for routes with `order_by`.
//!
//! A call claims its records before it is sent, and settles them after the answer. Of two claims on a record, the second waits
//! until the first is settled. A claim that was never settled, because its process ended, counts as sent once it has expired:
//! its job is newer than others, and is driven again.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::job::{Job, JobId, OrderKey};
use crate::update::{ChangeKind, order_field, value_digest};

/// The claim of a job on a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordClaim {
    /// The record and its route, as [`RecordClaim::name_of`] writes them.
    pub name: String,
    /// The position of the job's delivery.
    pub key: OrderKey,
    /// What the call changes about the record. Other changes have an order of their own.
    pub changes: BTreeSet<ChangeKind>,
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

    /// The same claim on a record of the same route.
    #[must_use]
    pub fn of_record(&self, record: impl std::fmt::Display) -> Self {
        let route = self.name.rsplit_once('/').map_or("", |(route, _)| route);
        Self {
            name: format!("{route}/{record}"),
            ..self.clone()
        }
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

    /// The names of the stored orders that `search` means.
    ///
    /// # Errors
    /// Those of the store.
    async fn find_orders(&self, search: &OrderSearch) -> Result<Vec<String>, StoreError>;

    /// Deletes the orders with these names, and overwrites their content.
    ///
    /// # Errors
    /// Those of the store.
    async fn delete_orders(&self, names: &[String]) -> Result<(), StoreError>;
}

/// Which orders to find.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrderSearch {
    /// The ids of records, and values by which records are matched.
    pub records: BTreeSet<String>,
    /// The routes whose orders a store looks up that cannot list all orders, as [`OrderSearch::routes_of`] writes them.
    pub routes: BTreeSet<String>,
}

impl OrderSearch {
    /// What the names of the orders of a job start with: those of records with an id, and of records with a value.
    pub fn routes_of(job: &Job) -> Vec<String> {
        if job.order.is_none() {
            return Vec::new();
        }
        let route = job.route.as_deref().unwrap_or_default();
        let by_id = RecordClaim::name_of(&job.connection, route, "");
        let by_value = job.request.creation().map(|query| {
            let (module, field) = (&job.request.module, &query.field);
            format!("{by_id}{}", order_field(module, field))
        });
        [by_id].into_iter().chain(by_value).collect()
    }

    /// Decides which names of orders are meant.
    pub(crate) fn matcher(&self) -> OrderMatcher<'_> {
        let records = &self.records;
        OrderMatcher {
            records,
            digests: records.iter().flat_map(|record| digests(record)).collect(),
        }
    }

    /// The names of all orders that may be meant.
    pub(crate) fn names(&self) -> BTreeSet<String> {
        let of_route = |route: &String| {
            let records = self.records.iter();
            let names = records.flat_map(|record| match route.ends_with('=') {
                false => vec![format!("{route}{record}")],
                true => digests(record)
                    .map(|digest| format!("{route}{digest}"))
                    .to_vec(),
            });
            names.collect::<Vec<String>>()
        };
        self.routes.iter().flat_map(of_route).collect()
    }
}

/// Decides whether the name of an order, as [`RecordClaim::name_of`] writes it, is that of a record: of its id, or of its value.
pub(crate) struct OrderMatcher<'a> {
    records: &'a BTreeSet<String>,
    digests: HashSet<String>,
}

impl OrderMatcher<'_> {
    /// Whether an order with this name is meant.
    pub(crate) fn is_meant(&self, name: &str) -> bool {
        let record = name.rsplit('/').next().unwrap_or_default();
        let digest = record.split_once('=').map(|(_, digest)| digest);
        self.records.contains(record) || digest.is_some_and(|digest| self.digests.contains(digest))
    }
}

/// The digests that a value may have in the name of an order: of fields with and without regard to letter case.
fn digests(value: &str) -> [String; 2] {
    [value_digest(value), value_digest(&value.to_lowercase())]
}

/// The order of one record of a route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RecordOrder {
    /// The newest delivery that was sent, whatever it changed, as earlier versions stored it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sent: Option<OrderKey>,
    /// The newest delivery that was sent, by what it changed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    sent_by_change: BTreeMap<ChangeKind, OrderKey>,
    /// The claim that is not settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    held: Option<Hold>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Hold {
    key: OrderKey,
    /// Empty if an earlier version stored it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    changes: BTreeSet<ChangeKind>,
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
            self.add_sent(hold);
        }
        let by_change = claim
            .changes
            .iter()
            .filter_map(|change| self.sent_by_change.get(change));
        let sent: Vec<OrderKey> = self.sent.iter().chain(by_change).copied().collect();
        let held = self.held.as_ref().map(|hold| hold.key);
        for other in sent.iter().copied().chain(held) {
            if claim.key.compare(&other).is_none() {
                return Err(ClaimResult::Incomparable(other));
            }
        }
        let is_newer = |sent: &OrderKey| sent.compare(&claim.key) == Some(Ordering::Greater);
        if sent.iter().any(is_newer) {
            return Err(ClaimResult::Superseded);
        }
        if self.held.is_some() {
            return Err(ClaimResult::Busy);
        }
        self.held = Some(Hold {
            key: claim.key,
            changes: claim.changes.clone(),
            job: claim.holder.clone(),
            until: claim.until,
        });
        Ok(self)
    }

    /// The order without the claim of a job; none if the job has no claim any more.
    pub(crate) fn settle(mut self, holder: &JobId, was_sent: bool) -> Option<Self> {
        let hold = self.held.take_if(|hold| hold.job == *holder)?;
        if was_sent {
            self.add_sent(hold);
        }
        Some(self)
    }

    /// Whether it says nothing.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn add_sent(&mut self, hold: Hold) {
        let key = hold.key;
        let is_older = |sent: &OrderKey| key.compare(sent) == Some(Ordering::Less);
        if hold.changes.is_empty() && !self.sent.as_ref().is_some_and(is_older) {
            self.sent = Some(key);
        }
        for change in hold.changes {
            if !self.sent_by_change.get(&change).is_some_and(is_older) {
                self.sent_by_change.insert(change, key);
            }
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
            changes: BTreeSet::from([ChangeKind::Fields]),
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
                .map(|order| order.sent_by_change),
            Ok(BTreeMap::from([(ChangeKind::Fields, new.key)]))
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

    #[test]
    fn changes_have_orders_of_their_own() {
        let (new, old) = (claim("new", "2", 60), claim("old", "1", 60));
        let tags = |claim: &RecordClaim| RecordClaim {
            changes: BTreeSet::from([ChangeKind::Tags]),
            ..claim.clone()
        };
        let held = RecordOrder::default()
            .claim(&tags(&new), at(1))
            .expect("claimed");
        assert_eq!(held.clone().claim(&old, at(1)), Err(ClaimResult::Busy));
        let sent = held.settle(&new.holder, true).expect("settled");
        let refused = sent.clone().claim(&tags(&old), at(1));
        assert_eq!(refused, Err(ClaimResult::Superseded));
        assert!(
            sent.clone().claim(&old, at(1)).is_ok(),
            "only tags are newer"
        );
        let both = RecordClaim {
            changes: BTreeSet::from([ChangeKind::Fields, ChangeKind::Tags]),
            ..old
        };
        assert_eq!(sent.claim(&both, at(1)), Err(ClaimResult::Superseded));
    }

    #[test]
    fn order_of_an_earlier_version_holds_for_all_changes() {
        let key = r#"{"value":"2","received_at":"1970-01-01T00:00:00Z"}"#;
        let job = JobId::derive("form", "other", 1);
        let sent = format!(r#"{{"sent":{key}}}"#);
        let held =
            format!(r#"{{"held":{{"key":{key},"job":"{job}","until":"1970-01-01T00:00:05Z"}}}}"#);
        for stored in [sent, held] {
            let stored: RecordOrder = serde_json::from_str(&stored).expect("readable");
            for change in [ChangeKind::Fields, ChangeKind::Tags, ChangeKind::Owner] {
                let claim = |value: &str| RecordClaim {
                    changes: BTreeSet::from([change]),
                    ..claim(value, value, 60)
                };
                let older = stored.clone().claim(&claim("1"), at(9));
                assert_eq!(older, Err(ClaimResult::Superseded), "{change:?}");
                assert!(stored.clone().claim(&claim("3"), at(9)).is_ok());
            }
        }
    }

    #[test]
    fn orders_are_found_by_id_and_value() {
        let of_value = |value: &str| format!("Leads.Email={}", value_digest(value));
        let search = OrderSearch {
            records: BTreeSet::from(["7".to_owned(), "Ada@example.com".to_owned()]),
            routes: BTreeSet::from([
                "default/form/".to_owned(),
                "default/form/Leads.Email=".to_owned(),
            ]),
        };
        for (record, expected) in [
            ("7", true),
            (&of_value("ada@example.com"), true),
            (&of_value("Ada@example.com"), true),
            ("17", false),
            ("Leads.Email=7", false),
        ] {
            let name = RecordClaim::name_of("default", "form", record);
            assert_eq!(search.matcher().is_meant(&name), expected, "{record}");
            assert_eq!(search.names().contains(&name), expected, "{record}");
        }
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
