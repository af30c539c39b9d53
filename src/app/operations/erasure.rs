//! Finds what is stored about a person, and erases it: jobs, deliveries and entries of the log of deliveries.

mod search;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::inbound::rejection::Rejection;
use crate::job::{CallbackStatus, Job, JobId, NewRecordOutcome};
use crate::store::delivery_log::{DeliveryFilter, DeliverySummary, OutcomeFilter};
use crate::store::{JobFilter, JobSummary, OrderSearch, PageRequest, Store, StoreError};
use search::{delivery_contains, entry_contains, job_contains};

/// Entries that are read at once.
const PAGE: usize = 500;

/// Which data is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErasureQuery {
    /// Jobs with this reference, and their deliveries.
    Reference(String),
    /// Everything that contains this value, without regard to case: an e-mail address, a phone number, an id.
    Value(String),
}

/// What is stored about a person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Erasure {
    /// The jobs.
    pub jobs: BTreeSet<JobId>,
    /// Those of them that have not ended, or whose callback is not delivered.
    pub unfinished: BTreeSet<JobId>,
    /// The stored deliveries, dead letters among them.
    pub deliveries: BTreeSet<String>,
    /// The entries of the log.
    pub log_entries: BTreeSet<String>,
    /// The orders of records, of routes with `order_by`.
    pub orders: BTreeSet<String>,
    /// Jobs that this version cannot read, so that they were not searched.
    pub unreadable: BTreeSet<JobId>,
    /// The records whose orders are meant, and the routes of all jobs.
    search: OrderSearch,
}

impl Erasure {
    /// Searches the store. Changes nothing.
    ///
    /// # Errors
    /// [`Rejection::Store`].
    pub async fn find(store: &dyn Store, query: &ErasureQuery) -> Result<Self, Rejection> {
        let mut found = Self::default();
        let search = async {
            found.find_jobs(store, query).await?;
            if let ErasureQuery::Value(value) = query {
                found.find_dead_letters(store, value).await?;
            }
            found.find_log_entries(store, query).await?;
            if let ErasureQuery::Value(value) = query {
                found.search.records.insert(value.trim().to_owned());
            }
            found.orders.extend(store.find_orders(&found.search).await?);
            Ok(())
        };
        search.await.map_err(Rejection::Store)?;
        Ok(found)
    }

    /// Whether nothing is stored.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
            && self.deliveries.is_empty()
            && self.log_entries.is_empty()
            && self.orders.is_empty()
    }

    /// The number of jobs, deliveries, entries and orders.
    pub fn count(&self) -> usize {
        self.jobs.len() + self.deliveries.len() + self.log_entries.len() + self.orders.len()
    }

    /// Deletes what was found. [`scrub`](crate::store::Deliveries::scrub) then overwrites what that leaves in files.
    ///
    /// # Errors
    /// [`Rejection::Store`]; a part may be erased then.
    pub async fn erase(&self, store: &dyn Store) -> Result<(), Rejection> {
        let erase = async {
            // The deliveries first: without their jobs they could not be found again.
            for id in &self.deliveries {
                store.delete_delivery(id, None).await?;
            }
            for id in &self.jobs {
                store.delete_job(id).await?;
            }
            let entries: Vec<String> = self.log_entries.iter().cloned().collect();
            store.delete_log_entries(&entries).await?;
            let orders: Vec<String> = self.orders.iter().cloned().collect();
            store.delete_orders(&orders).await
        };
        erase.await.map_err(Rejection::Store)
    }

    /// The ids, for machines.
    pub fn to_json(&self) -> Value {
        json!({
            "jobs": self.jobs,
            "unfinished": self.unfinished,
            "deliveries": self.deliveries,
            "log_entries": self.log_entries,
            "orders": self.orders,
            "unreadable": self.unreadable,
        })
    }

    async fn find_jobs(
        &mut self,
        store: &dyn Store,
        query: &ErasureQuery,
    ) -> Result<(), StoreError> {
        let filter = match query {
            ErasureQuery::Reference(reference) => JobFilter {
                reference: Some(reference.clone()),
                ..JobFilter::default()
            },
            ErasureQuery::Value(_) => JobFilter::default(),
        };
        let mut from = None;
        loop {
            let page = store
                .list(&filter, &PageRequest::at(PAGE, from.as_deref()))
                .await?;
            for summary in &page.entries {
                self.check_job(store, summary, query).await?;
            }
            from = page.next;
            if from.is_none() {
                return Ok(());
            }
        }
    }

    async fn check_job(
        &mut self,
        store: &dyn Store,
        summary: &JobSummary,
        query: &ErasureQuery,
    ) -> Result<(), StoreError> {
        let job = match store.get(&summary.id).await {
            Ok(Some(job)) => job,
            Ok(None) => return Ok(()),
            Err(StoreError::Unreadable { .. }) => {
                match query {
                    ErasureQuery::Reference(_) => self.jobs.insert(summary.id.clone()),
                    ErasureQuery::Value(_) => self.unreadable.insert(summary.id.clone()),
                };
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        self.search.routes.extend(OrderSearch::routes_of(&job));
        let source = job.source.as_ref();
        let delivery = match source {
            Some(source) => store.delivery(&source.delivery).await?,
            None => None,
        };
        let (in_job, in_delivery) = match query {
            ErasureQuery::Reference(_) => (true, true),
            ErasureQuery::Value(value) => (
                job_contains(&job, value),
                delivery
                    .as_ref()
                    .is_some_and(|delivery| delivery_contains(delivery, value)),
            ),
        };
        // Another job of the same delivery may be about another person.
        let is_alone = source.is_some_and(|source| !source.shared);
        if in_job || (in_delivery && is_alone) {
            if is_unfinished(&job) {
                self.unfinished.insert(job.id.clone());
            }
            self.jobs.insert(job.id.clone());
            self.search.records.extend(records_of(&job));
        }
        if in_job || in_delivery {
            self.deliveries.extend(delivery.map(|delivery| delivery.id));
        }
        Ok(())
    }

    async fn find_dead_letters(
        &mut self,
        store: &dyn Store,
        value: &str,
    ) -> Result<(), StoreError> {
        let filter = DeliveryFilter {
            outcome: Some(OutcomeFilter::DeadLetter),
            ..DeliveryFilter::default()
        };
        for summary in all_deliveries(store, &filter).await? {
            let id = summary.entry.delivery.unwrap_or(summary.entry.id);
            if self.deliveries.contains(&id) {
                continue;
            }
            let stored = store.delivery(&id).await?;
            let is_found = stored.is_some_and(|stored| delivery_contains(&stored, value));
            if is_found {
                self.deliveries.insert(id);
            }
        }
        Ok(())
    }

    async fn find_log_entries(
        &mut self,
        store: &dyn Store,
        query: &ErasureQuery,
    ) -> Result<(), StoreError> {
        if !store.has_delivery_log() {
            return Ok(());
        }
        for summary in all_deliveries(store, &DeliveryFilter::default()).await? {
            let entry = &summary.entry;
            let of_delivery = entry.delivery.as_ref().unwrap_or(&entry.id);
            let is_found = self.deliveries.contains(of_delivery)
                || entry
                    .jobs
                    .iter()
                    .any(|id| self.jobs.contains(&JobId::from_outside(id)))
                || match query {
                    ErasureQuery::Reference(_) => false,
                    ErasureQuery::Value(value) => entry_contains(entry, value),
                };
            if is_found {
                self.log_entries.insert(entry.id.clone());
            }
        }
        Ok(())
    }
}

/// The ids of the records of a job, the values of those that it was to create, and the names of orders by the values of others.
fn records_of(job: &Job) -> BTreeSet<String> {
    let calls = job.calls.iter();
    let known = calls.flat_map(|state| job.ids(&state.call).into_owned());
    let new = job.new_records();
    let new = new.flat_map(|(value, outcome)| {
        let id = outcome.and_then(NewRecordOutcome::id);
        let id = id.map(|id| id.to_string());
        [value.as_str().to_owned()].into_iter().chain(id)
    });
    let found = job
        .request
        .new_records
        .iter()
        .flat_map(|new| new.found.values());
    let found = found.flatten().cloned();
    let known = known.map(|id| id.to_string());
    known.chain(new).chain(found).collect()
}

/// Every entry of the list of deliveries.
async fn all_deliveries(
    store: &dyn Store,
    filter: &DeliveryFilter,
) -> Result<Vec<DeliverySummary>, StoreError> {
    let (mut all, mut from) = (Vec::new(), None);
    loop {
        let page = PageRequest::at(PAGE, from.as_deref());
        let page = store.list_deliveries(filter, &page).await?;
        all.extend(page.entries);
        from = page.next;
        if from.is_none() {
            return Ok(all);
        }
    }
}

/// Whether something is left to do with a job.
fn is_unfinished(job: &Job) -> bool {
    let summary = JobSummary::of(job);
    !summary.status.is_final() || summary.callback == Some(CallbackStatus::Pending)
}
