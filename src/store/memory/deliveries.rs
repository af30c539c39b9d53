//! Deliveries in memory.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::watch;

use super::{DeliveryEntry, LOGGED, MemoryStore};
use crate::job::JobId;
use crate::store::delivery::{DeadLetterSummary, StoredDelivery};
use crate::store::delivery_log::{DeliveryFilter, DeliveryPage, DeliverySummary, LogEntry};
use crate::store::{Deliveries, PageRequest, StoreError};

#[async_trait]
impl Deliveries for MemoryStore {
    async fn put_delivery(&self, delivery: &StoredDelivery) -> Result<(), StoreError> {
        let entry = DeliveryEntry {
            delivery: delivery.clone(),
            expires: self.expires(),
        };
        self.state().deliveries.insert(delivery.id.clone(), entry);
        Ok(())
    }

    async fn count_dead_letters(&self) -> Result<u64, StoreError> {
        let state = self.state();
        let entries = state.deliveries.values();
        let dead = entries.filter(|entry| entry.delivery.dead_letter.is_some());
        Ok(dead.count() as u64)
    }

    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetterSummary>, StoreError> {
        let state = self.state();
        let dead = state.deliveries.values().filter_map(|entry| {
            let delivery = &entry.delivery;
            Some(DeadLetterSummary {
                id: delivery.id.clone(),
                route: delivery.route.clone(),
                at: delivery.at,
                dead_letter: delivery.dead_letter.clone()?,
                body_bytes: delivery.body.len() as u64,
            })
        });
        let mut dead: Vec<DeadLetterSummary> = dead.collect();
        dead.sort_by(|one, other| {
            let key = |summary: &DeadLetterSummary| (summary.dead_letter.since, summary.id.clone());
            key(other).cmp(&key(one))
        });
        dead.truncate(limit);
        Ok(dead)
    }

    fn kept_for(&self) -> Option<Duration> {
        self.period
    }

    fn has_delivery_log(&self) -> bool {
        self.has_delivery_log
    }

    async fn log_deliveries(&self, entries: &[LogEntry], keep: usize) -> Result<(), StoreError> {
        let mut state = self.state();
        for entry in entries {
            state.log(entry.clone());
        }
        state.trim_log(keep.min(LOGGED));
        drop(state);
        self.report_change();
        Ok(())
    }

    async fn log_replay(
        &self,
        delivery: &str,
        jobs: &[JobId],
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let mut state = self.state();
        let mut entries = state.log.iter_mut().map(|(_, entry)| entry);
        if let Some(entry) = entries.find(|entry| entry.delivery.as_deref() == Some(delivery)) {
            entry.add_replay(jobs, at);
        }
        Ok(())
    }

    async fn list_deliveries(
        &self,
        filter: &DeliveryFilter,
        page: &PageRequest,
    ) -> Result<DeliveryPage, StoreError> {
        let state = self.state();
        Ok(match filter.is_of_dead_letters() {
            true => state.list_dead_letters(filter, page),
            false => state.list_log(filter, page),
        })
    }

    async fn logged_delivery(&self, id: &str) -> Result<Option<DeliverySummary>, StoreError> {
        let state = self.state();
        let found = state.log.iter().find(|(_, entry)| entry.id == id);
        Ok(found.map(|(_, entry)| state.summary_of(entry)))
    }

    async fn delivery_ids(&self, prefix: &str, limit: usize) -> Result<Vec<String>, StoreError> {
        let state = self.state();
        let logged = state.log.iter().map(|(_, entry)| &entry.id);
        let ids = logged.chain(state.deliveries.keys());
        let ids: BTreeSet<&String> = ids.filter(|id| id.starts_with(prefix)).collect();
        Ok(ids.into_iter().take(limit).cloned().collect())
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    async fn delivery(&self, id: &str) -> Result<Option<StoredDelivery>, StoreError> {
        let state = self.state();
        Ok(state.deliveries.get(id).map(|entry| entry.delivery.clone()))
    }

    async fn restore(&self, id: &str, since: Timestamp) -> Result<(), StoreError> {
        self.state().restore(id, since);
        Ok(())
    }

    async fn delete_delivery(
        &self,
        id: &str,
        since: Option<Timestamp>,
    ) -> Result<bool, StoreError> {
        let mut state = self.state();
        let found = state.deliveries.get(id);
        let is_wanted = found.is_some_and(|entry| {
            let dead = entry.delivery.dead_letter.as_ref();
            since.is_none_or(|since| dead.is_some_and(|dead| dead.since == since))
        });
        Ok(is_wanted && state.deliveries.remove(id).is_some())
    }

    async fn delete_log_entries(&self, ids: &[String]) -> Result<(), StoreError> {
        let mut state = self.state();
        state.log.retain(|(_, entry)| !ids.contains(&entry.id));
        Ok(())
    }
}
