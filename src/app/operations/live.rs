//! Pages of lists, and waiting for new entries.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::time::{Instant, timeout_at};

use super::query::ListQuery;
use crate::app::App;
use crate::inbound::rejection::Rejection;
use crate::store::delivery_log::{DeliveryFilter, DeliveryPage, DeliverySummary};
use crate::store::{
    JobFilter, JobPage, JobSummary, ListPosition, Page, PageRequest, Store, StoreError,
};

/// The longest wait for new entries.
pub const MAX_WAIT: Duration = Duration::from_secs(25);

/// The wait between two reads, because an entry of another process is reported by nothing.
const READ_INTERVAL: Duration = Duration::from_secs(1);

/// The wait between two reads of a store whose reads are billed.
const BILLED_READ_INTERVAL: Duration = Duration::from_secs(3);

/// The shortest wait between two reads, however many entries are new.
const MIN_INTERVAL: Duration = Duration::from_millis(100);

/// Requests that may wait at the same time.
const MAX_WAITING: usize = 128;

/// The requests that wait for new entries. Clones share them.
#[derive(Clone, Debug)]
pub(in crate::app) struct Waits {
    permits: Arc<Semaphore>,
    stopping: Arc<watch::Sender<bool>>,
}

impl Default for Waits {
    fn default() -> Self {
        Self {
            permits: Arc::new(Semaphore::new(MAX_WAITING)),
            stopping: Arc::new(watch::Sender::new(false)),
        }
    }
}

impl Waits {
    fn begin(&self) -> Result<SemaphorePermit<'_>, Rejection> {
        let full = Rejection::ServerFull("too many requests wait for new entries");
        self.permits.try_acquire().map_err(|_| full)
    }
}

/// A filter, and the list that it is for.
#[async_trait]
trait ReadPage: Sync {
    type Entry: Send;

    async fn read(
        &self,
        store: &dyn Store,
        page: &PageRequest,
    ) -> Result<Page<Self::Entry>, StoreError>;
}

#[async_trait]
impl ReadPage for JobFilter {
    type Entry = JobSummary;

    async fn read(&self, store: &dyn Store, page: &PageRequest) -> Result<JobPage, StoreError> {
        store.list(self, page).await
    }
}

#[async_trait]
impl ReadPage for DeliveryFilter {
    type Entry = DeliverySummary;

    async fn read(
        &self,
        store: &dyn Store,
        page: &PageRequest,
    ) -> Result<DeliveryPage, StoreError> {
        store.list_deliveries(self, page).await
    }
}

impl App {
    /// One page of the jobs. Waits for new ones if there are none and the query allows it.
    ///
    /// # Errors
    /// [`Rejection::Store`], [`Rejection::ServerFull`].
    pub async fn list_jobs(&self, query: &ListQuery<JobFilter>) -> Result<JobPage, Rejection> {
        self.read_or_wait(query).await
    }

    /// One page of the deliveries. Waits for new ones if there are none and the query allows it.
    ///
    /// # Errors
    /// [`Rejection::Store`], [`Rejection::ServerFull`].
    pub async fn list_deliveries(
        &self,
        query: &ListQuery<DeliveryFilter>,
    ) -> Result<DeliveryPage, Rejection> {
        self.read_or_wait(query).await
    }

    /// Ends all waits for new entries: the process stops.
    pub fn stop_waiting(&self) {
        self.waits.stopping.send_replace(true);
    }

    async fn read_or_wait<F: ReadPage>(
        &self,
        query: &ListQuery<F>,
    ) -> Result<Page<F::Entry>, Rejection> {
        let (store, filter) = (self.store(), &query.filter);
        let mut changes = store.changes();
        let mut page = query.page.clone();
        let mut found = filter.read(store, &page).await.map_err(Rejection::Store)?;
        if query.wait.is_zero() || !found.entries.is_empty() {
            return Ok(found);
        }
        let _permit = self.waits.begin()?;
        let mut stopping = self.waits.stopping.subscribe();
        let end = Instant::now() + query.wait;
        while found.entries.is_empty() && Instant::now() < end {
            // What is not new any more is not read again.
            if let Some(latest) = &found.latest {
                page.from = ListPosition::Newer(latest.clone());
            }
            let earliest = Instant::now() + MIN_INTERVAL;
            let changed = timeout_at(
                end.min(Instant::now() + self.read_interval()),
                changes.changed(),
            );
            tokio::select! {
                _ = stopping.wait_for(|stopping| *stopping) => break,
                changed = changed => drop(changed),
            }
            changes.mark_unchanged();
            found = filter.read(store, &page).await.map_err(Rejection::Store)?;
            if found.entries.is_empty() {
                tokio::time::sleep_until(earliest.min(end)).await;
            }
        }
        Ok(found)
    }

    fn read_interval(&self) -> Duration {
        match self.store().has_billed_reads() {
            true => BILLED_READ_INTERVAL,
            false => READ_INTERVAL,
        }
    }
}
