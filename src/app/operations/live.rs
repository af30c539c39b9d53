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
        read_or_wait(self.store(), &self.waits, query).await
    }
}

/// Reads a page, again and again until it has entries, or has a next page that may have some.
async fn read_or_wait<F: ReadPage>(
    store: &dyn Store,
    waits: &Waits,
    query: &ListQuery<F>,
) -> Result<Page<F::Entry>, Rejection> {
    let filter = &query.filter;
    let mut changes = store.changes();
    let mut page = query.page.clone();
    let mut found = filter.read(store, &page).await.map_err(Rejection::Store)?;
    if query.wait.is_zero() || !is_end_without_entries(&found) {
        return Ok(found);
    }
    let _permit = waits.begin()?;
    let mut stopping = waits.stopping.subscribe();
    let end = Instant::now() + query.wait;
    while is_end_without_entries(&found) && Instant::now() < end {
        // What is not new any more is not read again.
        if let Some(latest) = &found.latest {
            page.from = ListPosition::Newer(latest.clone());
        }
        let earliest = Instant::now() + MIN_INTERVAL;
        let changed = timeout_at(
            end.min(Instant::now() + read_interval(store)),
            changes.changed(),
        );
        tokio::select! {
            _ = stopping.wait_for(|stopping| *stopping) => break,
            changed = changed => drop(changed),
        }
        changes.mark_unchanged();
        found = filter.read(store, &page).await.map_err(Rejection::Store)?;
        if is_end_without_entries(&found) {
            tokio::time::sleep_until(earliest.min(end)).await;
        }
    }
    Ok(found)
}

/// Whether a page shows that nothing matches. A page that ended early has a next one, which may have the entries.
fn is_end_without_entries<T>(page: &Page<T>) -> bool {
    page.entries.is_empty() && page.next.is_none()
}

fn read_interval(store: &dyn Store) -> Duration {
    match store.has_billed_reads() {
        true => BILLED_READ_INTERVAL,
        false => READ_INTERVAL,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use super::super::cursor::CursorForm;
    use super::*;
    use crate::store::memory::MemoryStore;
    use crate::sync;

    /// Answers each read with the next page, and keeps the positions.
    #[derive(Default)]
    struct Script {
        pages: Mutex<VecDeque<Page<u8>>>,
        positions: Mutex<Vec<ListPosition>>,
    }

    #[async_trait]
    impl ReadPage for Script {
        type Entry = u8;

        async fn read(
            &self,
            store: &dyn Store,
            page: &PageRequest,
        ) -> Result<Page<u8>, StoreError> {
            sync::lock(&self.positions).push(page.from.clone());
            // Reports a change, so that the next read is not late.
            store.log_deliveries(&[], 1).await?;
            let next = sync::lock(&self.pages).pop_front();
            Ok(next.expect("a page is left"))
        }
    }

    fn page(next: Option<&str>, latest: &str) -> Page<u8> {
        Page {
            entries: Vec::new(),
            next: next.map(str::to_owned),
            latest: Some(latest.to_owned()),
        }
    }

    /// The answer to a request that waits for what is newer than `5`, and the positions that were read.
    async fn answer(pages: Vec<Page<u8>>) -> (Page<u8>, Vec<ListPosition>) {
        let store = MemoryStore::new();
        let filter = Script {
            pages: Mutex::new(pages.into()),
            ..Script::default()
        };
        let query = ListQuery {
            filter,
            page: PageRequest::newer(10, "5"),
            wait: MAX_WAIT,
            cursors: CursorForm::of_jobs(&store),
        };
        let found = read_or_wait(&store, &Waits::default(), &query).await;
        let positions = sync::lock(&query.filter.positions).clone();
        (found.expect("a page"), positions)
    }

    fn newer(position: &str) -> ListPosition {
        ListPosition::Newer(position.to_owned())
    }

    #[tokio::test]
    async fn first_page_that_ends_early_is_the_answer() {
        let early = page(Some("7"), "90000");
        let (found, positions) = answer(vec![early.clone()]).await;
        assert_eq!((found, positions), (early, vec![newer("5")]));
    }

    #[tokio::test]
    async fn later_page_that_ends_early_is_the_answer() {
        let early = page(Some("8"), "90000");
        let (found, positions) = answer(vec![page(None, "6"), early.clone()]).await;
        assert_eq!((found, positions), (early, vec![newer("5"), newer("6")]));
    }
}
