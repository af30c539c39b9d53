//! Records the outcome of each delivery. An entry is written after its answer, together with others; the sender waits for
//! nothing. What comes too fast is counted and left out, so that strangers cause a bounded number of writes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::clock::Clock;
use crate::store::Store;
use crate::store::delivery_log::{LogClass, LogEntry};
use crate::sync;

/// The wait for further entries before those that wait are written.
const COLLECT: Duration = Duration::from_millis(50);

/// Maximum entries that wait to be written.
const MAX_PENDING: usize = 2_000;

/// Maximum entries of one write.
const MAX_BATCH: usize = 256;

/// How many entries of a class are logged: so many at once, and so many in each second.
#[derive(Clone, Copy)]
struct Rate {
    burst: u32,
    per_second: u32,
}

impl Rate {
    fn of(class: LogClass) -> Self {
        let (burst, per_second) = match class {
            LogClass::Accepted => (5_000, 500),
            LogClass::Duplicate | LogClass::Ignored | LogClass::Refused => (2_000, 100),
            LogClass::Stranger => (200, 10),
        };
        Self { burst, per_second }
    }
}

/// What is left of a rate.
#[derive(Debug)]
struct Bucket {
    tokens: f64,
    filled_at: Duration,
    /// Entries that were left out since the latest one.
    left_out: u64,
}

impl Bucket {
    /// Takes one token. Returns the number of entries that were left out before, or none if this one is left out too.
    fn take(&mut self, rate: Rate, now: Duration) -> Option<u64> {
        let passed = now.saturating_sub(self.filled_at).as_secs_f64();
        let filled = self.tokens + passed * f64::from(rate.per_second);
        self.tokens = filled.min(f64::from(rate.burst));
        self.filled_at = now;
        if self.tokens < 1.0 {
            self.left_out += 1;
            return None;
        }
        self.tokens -= 1.0;
        Some(std::mem::take(&mut self.left_out))
    }
}

/// The log of deliveries of one app. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct DeliveryLog {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    /// The number of entries that the store keeps; none if the log is off.
    keep: Option<usize>,
    /// Whether entries are written at once: the process may stop as soon as it has answered.
    is_immediate: bool,
    state: Mutex<State>,
    failed: AtomicU64,
    left_out: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    pending: Vec<LogEntry>,
    /// Whether a task will write them.
    is_scheduled: bool,
    buckets: BTreeMap<LogClass, Bucket>,
}

/// What the log of deliveries has not recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogLosses {
    /// Entries that were left out because too many came at once.
    pub left_out: u64,
    /// Entries that could not be written.
    pub failed: u64,
}

impl DeliveryLog {
    pub(super) fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        keep: Option<usize>,
        is_immediate: bool,
    ) -> Self {
        let keep = keep.filter(|_| store.has_delivery_log());
        let shared = Shared {
            store,
            clock,
            keep,
            is_immediate,
            state: Mutex::default(),
            failed: AtomicU64::new(0),
            left_out: AtomicU64::new(0),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Whether entries are recorded.
    pub(super) fn is_on(&self) -> bool {
        self.shared.keep.is_some()
    }

    /// What was not recorded.
    pub(super) fn losses(&self) -> LogLosses {
        LogLosses {
            left_out: self.shared.left_out.load(Ordering::Relaxed),
            failed: self.shared.failed.load(Ordering::Relaxed),
        }
    }

    /// Whether an entry of this class would be recorded now. One that would not is counted, and need not be made.
    pub(super) fn admit(&self, class: LogClass) -> Option<Admitted> {
        let now = self.shared.clock.elapsed();
        let rate = Rate::of(class);
        let mut state = sync::lock(&self.shared.state);
        let is_full = state.pending.len() >= MAX_PENDING;
        let bucket = state.buckets.entry(class).or_insert(Bucket {
            tokens: f64::from(rate.burst),
            filled_at: now,
            left_out: 0,
        });
        let admitted = match is_full {
            true => {
                bucket.left_out += 1;
                None
            }
            false => bucket.take(rate, now),
        };
        if admitted.is_none() {
            self.shared.left_out.fetch_add(1, Ordering::Relaxed);
        }
        admitted.map(|left_out| Admitted { left_out })
    }

    /// Records an entry. It is written later, except in a process that may stop as soon as it has answered.
    pub(super) async fn record(&self, admitted: Admitted, entry: LogEntry) {
        let left_out = admitted.left_out;
        let entry = LogEntry { left_out, ..entry };
        if self.shared.is_immediate {
            return self.shared.write(&[entry]).await;
        }
        let mut state = sync::lock(&self.shared.state);
        state.pending.push(entry);
        if std::mem::replace(&mut state.is_scheduled, true) {
            return;
        }
        drop(state);
        let shared = self.shared.clone();
        tokio::spawn(async move {
            tokio::time::sleep(COLLECT).await;
            shared.write_pending().await;
        });
    }

    /// Writes the entries that wait.
    pub(super) async fn flush(&self) {
        self.shared.write_pending().await;
    }
}

/// The permission to record one entry.
#[derive(Debug)]
pub(super) struct Admitted {
    left_out: u64,
}

impl Shared {
    async fn write_pending(&self) {
        loop {
            let batch = {
                let mut state = sync::lock(&self.state);
                let count = state.pending.len().min(MAX_BATCH);
                state.is_scheduled = count > 0;
                state.pending.drain(..count).collect::<Vec<_>>()
            };
            if batch.is_empty() {
                return;
            }
            self.write(&batch).await;
        }
    }

    /// Writes entries. A failure is counted and reported once; deliveries do not depend on the log.
    async fn write(&self, entries: &[LogEntry]) {
        let keep = self.keep.unwrap_or_default();
        if let Err(error) = self.store.log_deliveries(entries, keep).await {
            let before = self
                .failed
                .fetch_add(entries.len() as u64, Ordering::Relaxed);
            if before == 0 {
                tracing::warn!("entries of the delivery log are lost: {error}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::store::memory::MemoryStore;
    use jiff::Timestamp;

    #[test]
    fn flood_is_counted_and_left_out() {
        let clock = ManualClock::at(Timestamp::UNIX_EPOCH);
        let store = Arc::new(MemoryStore::new());
        let log = DeliveryLog::new(store, Arc::new(clock.clone()), Some(100), false);
        let admitted = (0..5_000).filter(|_| log.admit(LogClass::Stranger).is_some());
        assert_eq!(admitted.count(), 200);
        // Strangers take nothing from the other classes.
        assert!(log.admit(LogClass::Accepted).is_some());
        assert_eq!(log.losses().left_out, 4_800);
        clock.advance(Duration::from_secs(1));
        let next = log.admit(LogClass::Stranger).expect("a token");
        assert_eq!(next.left_out, 4_800, "the next entry names those before it");
        let admitted = (0..5_000).filter(|_| log.admit(LogClass::Stranger).is_some());
        assert_eq!(admitted.count(), 9);
    }
}
