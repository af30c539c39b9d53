//! Shows, replays and discards deliveries.

use std::collections::{HashSet, VecDeque};

use jiff::{SignedDuration, Timestamp};

use super::jobs::find_id;
use crate::app::replay::changed_meanwhile;
use crate::app::{Acceptance, App};
use crate::clock::after;
use crate::inbound::rejection::Rejection;
use crate::job::{DeadLetterReason, JobId};
use crate::store::delivery::StoredDelivery;
use crate::store::delivery_log::{DeliverySummary, LogEntry, StoredParts};
use crate::store::{JobFilter, JobSummary, PageRequest, Store};

/// The number of candidates that an ambiguous id names.
const CANDIDATES: usize = 5;

/// Jobs of a delivery that are shown, replays included.
const MAX_JOBS: usize = 50;

/// The time after the receipt of a delivery in which its jobs are made.
const SAME_DELIVERY: SignedDuration = SignedDuration::from_secs(5);

/// A delivery with its stored form and its jobs.
#[derive(Debug)]
pub struct DeliveryDetails {
    /// The entry of the log, or one of the stored delivery.
    pub summary: DeliverySummary,
    /// The stored delivery, if it is still stored.
    pub stored: Option<StoredDelivery>,
    /// Until when it is stored, if it expires: a delivery in progress and that of a parked job do not.
    pub kept_until: Option<Timestamp>,
    /// Its jobs, as far as they are stored.
    pub jobs: Vec<JobSummary>,
}

/// The id that a text means: a whole id, or its unique beginning.
///
/// # Errors
/// [`Rejection::NoSuchDelivery`], [`Rejection::AmbiguousId`], [`Rejection::Store`].
pub async fn delivery_id(store: &dyn Store, text: &str) -> Result<String, Rejection> {
    let known = |prefix: String| async move {
        let ids = store.delivery_ids(&prefix, CANDIDATES + 1).await;
        ids.map_err(Rejection::Store)
    };
    let found = find_id(text, "dlv_", known).await?;
    found.ok_or_else(|| no_such_delivery(text))
}

fn no_such_delivery(id: &str) -> Rejection {
    Rejection::NoSuchDelivery(id.chars().take(80).collect())
}

impl DeliveryDetails {
    /// Reads a delivery.
    ///
    /// # Errors
    /// [`Rejection::NoSuchDelivery`], [`Rejection::Store`].
    pub async fn read(store: &dyn Store, id: &str) -> Result<Self, Rejection> {
        let logged = store.logged_delivery(id).await.map_err(Rejection::Store)?;
        let stored_id = match &logged {
            Some(summary) => summary.entry.delivery.clone(),
            None => Some(id.to_owned()),
        };
        let stored = match &stored_id {
            Some(id) => store.delivery(id).await.map_err(Rejection::Store)?,
            None => None,
        };
        let summary = match (logged, &stored) {
            (Some(mut summary), Some(stored)) => {
                summary.dead_letter.clone_from(&stored.dead_letter);
                summary
            }
            (Some(summary), None) => summary,
            (None, Some(stored)) => DeliverySummary {
                entry: LogEntry::of_stored(&StoredParts::from(stored)),
                dead_letter: stored.dead_letter.clone(),
            },
            (None, None) => return Err(no_such_delivery(id)),
        };
        let dead = summary.dead_letter.as_ref();
        let dead = dead.filter(|dead| stored.is_some() && dead.code != DeadLetterReason::PARKED);
        let kept_until = dead.and_then(|dead| Some(after(dead.since, store.kept_for()?)));
        let jobs = jobs_of(store, &summary, stored_id.as_deref()).await?;
        Ok(Self {
            summary,
            stored,
            kept_until,
            jobs,
        })
    }
}

/// The summaries of a delivery's jobs: those that the entry names, those of its replays, and the replays of jobs.
async fn jobs_of(
    store: &dyn Store,
    summary: &DeliverySummary,
    stored_id: Option<&str>,
) -> Result<Vec<JobSummary>, Rejection> {
    let dead = summary.dead_letter.as_ref();
    let last = dead.and_then(|dead| dead.job.as_ref());
    let LogEntry { jobs, replays, .. } = &summary.entry;
    let named = jobs.iter().chain(replays);
    let named = named.map(|id| JobId::from_outside(id));
    let mut ids: VecDeque<JobId> = named.chain(last.cloned()).collect();
    let mut seen = HashSet::new();
    let mut jobs = Vec::with_capacity(ids.len());
    while let Some(id) = ids.pop_front() {
        if jobs.len() >= MAX_JOBS || !seen.insert(id.clone()) {
            continue;
        }
        // One that cannot be read is in the list of jobs.
        if let Ok(Some(job)) = store.get(&id).await {
            if job.status().is_final() {
                ids.push_front(job.replay_id());
            }
            jobs.push(JobSummary::of(&job));
        }
    }
    if jobs.is_empty()
        && let Some(id) = stored_id
    {
        let filter = JobFilter {
            search: Some(id.to_owned()),
            since: Some(summary.entry.received_at),
            until: Some(after(summary.entry.received_at, SAME_DELIVERY)),
            ..JobFilter::default()
        };
        let page = store.list(&filter, &PageRequest::first(CANDIDATES)).await;
        jobs = page.map_err(Rejection::Store)?.entries;
    }
    Ok(jobs)
}

impl App {
    /// Maps a dead letter again with the config in use.
    ///
    /// # Errors
    /// [`Rejection::NoSuchDelivery`], [`Rejection::NotPossible`], and those of [`App::replay`].
    pub async fn replay_delivery(&self, id: &str) -> Result<Acceptance, Rejection> {
        let stored = stored_dead_letter(self.store(), id).await?;
        let accepted = self.replay(&stored).await?;
        if accepted.jobs().is_empty() {
            return Err(Rejection::NotPossible(format!(
                "route `{}` still ignores delivery {id}, so it stays a dead letter",
                stored.route
            )));
        }
        Ok(accepted)
    }
}

/// Deletes a dead letter.
///
/// # Errors
/// [`Rejection::NoSuchDelivery`], [`Rejection::NotPossible`], [`Rejection::Store`].
pub async fn discard_delivery(store: &dyn Store, id: &str) -> Result<(), Rejection> {
    let stored = stored_dead_letter(store, id).await?;
    let since = stored.dead_letter.map(|dead| dead.since);
    let deleted = store.delete_delivery(&stored.id, since).await;
    match deleted.map_err(Rejection::Store)? {
        true => Ok(()),
        false => Err(changed_meanwhile(&stored.id)),
    }
}

/// The stored delivery of an entry, which must be a dead letter.
async fn stored_dead_letter(store: &dyn Store, id: &str) -> Result<StoredDelivery, Rejection> {
    let logged = store.logged_delivery(id).await.map_err(Rejection::Store)?;
    let stored_id = match &logged {
        Some(summary) => summary.entry.delivery.as_deref(),
        None => Some(id),
    };
    let stored = match stored_id {
        Some(id) => store.delivery(id).await.map_err(Rejection::Store)?,
        None => None,
    };
    match (stored, logged) {
        (Some(stored), _) if stored.dead_letter.is_some() => Ok(stored),
        (Some(_), _) => Err(Rejection::NotPossible(format!(
            "delivery {id} is not a dead letter: its jobs are in progress"
        ))),
        (None, Some(_)) => Err(Rejection::NotPossible(format!(
            "delivery {id} is not stored any more: only dead letters and deliveries in progress are"
        ))),
        (None, None) => Err(no_such_delivery(id)),
    }
}
