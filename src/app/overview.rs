//! The overview of the console: counts of the last hours, and what needs attention.

mod attention;
mod timeline;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::App;
use crate::clock::after;
use crate::metrics::Totals;
use crate::store::{LockHolder, Store, StoreError};
use crate::sync;
use timeline::Timeline;

/// The key under which the counts are stored, and the name of the lock on it.
const KEY: &str = "console/activity";

/// How long the lock on the stored counts is held.
const LOCK_TIME: Duration = Duration::from_secs(10);

/// What a process has done in the last 24 hours, sampled from its counters. Clones share it.
#[derive(Clone, Debug)]
pub struct Activity {
    timeline: Arc<Mutex<Timeline>>,
    /// Whether another process counts, so that what it has stored is shown.
    is_of_another_process: bool,
}

impl Activity {
    /// Begins to count.
    pub fn new(now: Timestamp) -> Self {
        Self {
            timeline: Arc::new(Mutex::new(Timeline::new(now))),
            is_of_another_process: false,
        }
    }

    /// Shows what another process has stored last.
    pub fn of_another_process(now: Timestamp) -> Self {
        Self {
            is_of_another_process: true,
            ..Self::new(now)
        }
    }

    /// Continues from what an earlier process has stored.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn restore(&self, store: &dyn Store, now: Timestamp) -> Result<(), StoreError> {
        if let Some(stored) = stored_timeline(store).await? {
            sync::lock(&self.timeline).continue_from(stored, now);
        }
        Ok(())
    }

    /// Takes a reading of the counters into account. Returns whether anything was counted since the last one.
    pub fn sample(&self, totals: Totals, now: Timestamp) -> bool {
        sync::lock(&self.timeline).sample(totals, now)
    }

    /// Stores the counts for the next process.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn save(&self, store: &dyn Store, now: Timestamp) -> Result<(), StoreError> {
        let text = serde_json::to_string(&*sync::lock(&self.timeline));
        let text = text.map_err(|error| StoreError::Failed(error.to_string()))?;
        let holder = LockHolder::unique();
        let lock = store.lock(KEY, &holder, now, after(now, LOCK_TIME)).await?;
        // Another process is writing; the next save has these counts too.
        let Some(lock) = lock else { return Ok(()) };
        let written = store.put_value(KEY, &SecretString::from(text), &lock).await;
        store.unlock(KEY, &holder).await?;
        written
    }
}

/// What a process has stored. What a later version has stored may have another form; that counts as nothing.
async fn stored_timeline(store: &dyn Store) -> Result<Option<Timeline>, StoreError> {
    let stored = store.value(KEY).await?;
    Ok(stored.and_then(|text| serde_json::from_str(text.expose_secret()).ok()))
}

impl App {
    /// The counts that another process has stored, up to a minute ago.
    async fn stored_overview(&self, activity: &Activity, now: Timestamp, hours: u32) -> Value {
        match stored_timeline(self.store()).await {
            Ok(Some(timeline)) => timeline.to_json(now, hours),
            Ok(None) => {
                let mut overview = sync::lock(&activity.timeline).to_json(now, hours);
                overview["since"] = Value::Null;
                overview
            }
            Err(error) => {
                tracing::warn!("the counts of the overview cannot be read: {error}");
                sync::lock(&activity.timeline).to_json(now, hours)
            }
        }
    }

    /// The overview of the last hours.
    pub async fn overview(&self, activity: &Activity, hours: u32) -> Value {
        let now = self.clock.now();
        let mut overview = match activity.is_of_another_process {
            true => self.stored_overview(activity, now, hours).await,
            false => {
                activity.sample(self.metrics().totals(), now);
                sync::lock(&activity.timeline).to_json(now, hours)
            }
        };
        let gauges = self.gauges().await;
        let attention = self.attention(&gauges, now).await;
        overview["oldest_due"] = json!(gauges.oldest_due.map(|due| format!("{due:.3}")));
        overview["dead_letters"] = json!(gauges.dead_letters);
        overview["attention"] = json!(attention);
        overview
    }
}
