//! The log of deliveries in memory, and lists of dead letters.

use super::State;
use crate::store::ListKey;
use crate::store::delivery_log::{
    DeliveryFilter, DeliveryPage, DeliverySummary, LogClass, LogEntry, StoredParts,
};
use crate::store::listing::{ListPosition, PageRequest};

impl State {
    /// Appends an entry. One whose id is taken gets another.
    pub(super) fn log(&mut self, mut entry: LogEntry) {
        self.logged += 1;
        if self.log.iter().any(|(_, known)| known.id == entry.id) {
            entry.id = entry.with_suffix(self.logged);
        }
        self.log.push_back((self.logged, entry));
    }

    /// Deletes the first entries of each class that exceed its share.
    pub(super) fn trim_log(&mut self, keep: usize) {
        for class in LogClass::ALL {
            let count = self
                .log
                .iter()
                .filter(|(_, entry)| entry.class == class)
                .count();
            let mut excess = count.saturating_sub(class.share(keep));
            self.log.retain(|(_, entry)| {
                let is_excess = excess > 0 && entry.class == class;
                excess -= usize::from(is_excess);
                !is_excess
            });
        }
    }

    /// An entry with the dead letter of its delivery.
    pub(super) fn summary_of(&self, entry: &LogEntry) -> DeliverySummary {
        let delivery = entry
            .delivery
            .as_ref()
            .and_then(|id| self.deliveries.get(id));
        DeliverySummary {
            entry: entry.clone(),
            dead_letter: delivery.and_then(|stored| stored.delivery.dead_letter.clone()),
        }
    }

    pub(super) fn list_log(&self, filter: &DeliveryFilter, page: &PageRequest) -> DeliveryPage {
        let number = |position: &str| position.parse::<u64>().unwrap_or_default();
        let (below, above) = match &page.from {
            ListPosition::Start => (u64::MAX, 0),
            ListPosition::Before(position) => (number(position), 0),
            ListPosition::Newer(position) => (u64::MAX, number(position).min(self.logged)),
        };
        let entries = self.log.iter().rev();
        let mut entries = entries
            .filter(|(number, _)| *number < below && *number > above)
            .map(|(number, entry)| (*number, self.summary_of(entry)))
            .filter(|(_, summary)| filter.matches(summary));
        let found: Vec<_> = entries.by_ref().take(page.limit).collect();
        let last = found.last().filter(|_| found.len() == page.limit);
        DeliveryPage {
            next: last.map(|(number, _)| number.to_string()),
            latest: Some(self.logged.to_string()),
            entries: found.into_iter().map(|(_, summary)| summary).collect(),
        }
    }

    pub(super) fn list_dead_letters(
        &self,
        filter: &DeliveryFilter,
        page: &PageRequest,
    ) -> DeliveryPage {
        let dead = self.deliveries.values().filter_map(|entry| {
            let since = entry.delivery.dead_letter.as_ref()?.since;
            Some((ListKey::new(since, &entry.delivery.id), &entry.delivery))
        });
        let mut dead: Vec<_> = dead.collect();
        dead.sort_by(|(one, _), (other, _)| other.cmp(one));
        let latest = dead.first().map(|(key, _)| key.to_cursor());
        let newer = match &page.from {
            ListPosition::Newer(position) => Some(ListKey::from_outside(position)),
            ListPosition::Start | ListPosition::Before(_) => None,
        };
        let below = page.below();
        let found = dead
            .into_iter()
            .filter(|(key, _)| newer.as_ref().is_none_or(|newer| key > newer))
            .filter(|(key, _)| below.as_ref().is_none_or(|below| key < below))
            .map(|(key, stored)| {
                let logged = self.log.iter().map(|(_, entry)| entry);
                let mut logged = logged.filter(|entry| entry.delivery.as_ref() == Some(&stored.id));
                let entry = match logged.next() {
                    Some(entry) => LogEntry {
                        id: stored.id.clone(),
                        ..entry.clone()
                    },
                    None => LogEntry::of_stored(&StoredParts::from(stored)),
                };
                let dead_letter = stored.dead_letter.clone();
                (key, DeliverySummary { entry, dead_letter })
            })
            .filter(|(_, summary)| filter.matches(summary));
        let found: Vec<_> = found.take(page.limit).collect();
        let last = found.last().filter(|_| found.len() == page.limit);
        DeliveryPage {
            next: last.map(|(key, _)| key.to_cursor()),
            latest: Some(latest.unwrap_or_else(|| ListKey::from_outside("0.").to_cursor())),
            entries: found.into_iter().map(|(_, summary)| summary).collect(),
        }
    }
}
