//! `masshook jobs` and `masshook deliveries`: looking into a store, and setting right what ended wrong.

use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Verdict, complain, say};
use crate::app::{App, Edges};
use crate::aws::jobs::DynamoStore;
use crate::aws::secrets::SecretsManager;
use crate::aws::wakeups::SqsWakeUps;
use crate::aws::{self, Mode};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::engine::ExecutionMode;
use crate::job::delivery::StoredDelivery;
use crate::job::sqlite::SqliteStore;
use crate::job::store::{AddResult, Claim, JobFilter, JobStore, StoreError};
use crate::job::view::JobView;
use crate::job::wakeup::{LocalWakeUps, WakeUps};
use crate::job::{CallbackStatus, Job, JobId, JobStatus};

/// Where jobs are kept.
#[derive(Clone, Debug, Args)]
pub(super) struct Place {
    /// The folder of `masshook serve`; without it, the table and queue that MASSHOOK_TABLE and MASSHOOK_QUEUE_URL name.
    #[arg(long)]
    data: Option<PathBuf>,
    /// One JSON document on stdout, and nothing else there.
    #[arg(long)]
    json: bool,
}

/// What to do with jobs.
#[derive(Debug, Subcommand)]
pub(super) enum Jobs {
    /// Lists jobs, the latest first.
    List {
        #[command(flatten)]
        place: Place,
        /// Only jobs of this kind.
        #[arg(long, value_enum, default_value = "all")]
        only: Only,
        /// How many.
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// Shows a job whole.
    Show {
        #[command(flatten)]
        place: Place,
        /// The job's id.
        id: String,
    },
    /// Does a failed job again, as a new one; takes up a job that was put aside.
    Replay {
        #[command(flatten)]
        place: Place,
        /// The job's id.
        id: String,
    },
    /// Sends the callback of a finished job again, under its old id.
    Redeliver {
        #[command(flatten)]
        place: Place,
        /// The job's id.
        id: String,
    },
}

/// What to do with dead letters: deliveries that came to nothing, or not to a good end.
#[derive(Debug, Subcommand)]
pub(super) enum Deliveries {
    /// Lists them, the latest first.
    List {
        #[command(flatten)]
        place: Place,
        /// How many.
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// Shows one whole, as it came in, but for what proves who sent it.
    Show {
        #[command(flatten)]
        place: Place,
        /// The delivery's id.
        id: String,
    },
    /// Maps one again, with the config as it is now. What came of it and ended well is not done twice.
    Replay {
        #[command(flatten)]
        place: Place,
        /// The delivery's id.
        id: String,
        /// The config file; default: MASSHOOK_CONFIG, ./masshook.yaml, /opt/masshook.yaml.
        #[arg(long)]
        config: Option<PathBuf>,
    },
}

/// Kinds of jobs.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Only {
    /// Every job.
    All,
    /// Not begun.
    Queued,
    /// Under way.
    Running,
    /// Done, every record.
    Succeeded,
    /// Done, some records.
    PartiallySucceeded,
    /// Done, no record.
    Failed,
    /// Whose callback was given up.
    Undeliverable,
    /// Put aside, as nobody can read or drive them.
    Parked,
}

impl From<Only> for JobFilter {
    fn from(only: Only) -> Self {
        match only {
            Only::All => Self::All,
            Only::Queued => Self::Status(JobStatus::Queued),
            Only::Running => Self::Status(JobStatus::Running),
            Only::Succeeded => Self::Status(JobStatus::Succeeded),
            Only::PartiallySucceeded => Self::Status(JobStatus::PartiallySucceeded),
            Only::Failed => Self::Status(JobStatus::Failed),
            Only::Undeliverable => Self::Undeliverable,
            Only::Parked => Self::Parked,
        }
    }
}

/// Why a command came to nothing.
enum Trouble {
    /// No store was named.
    NoStore,
    /// What was asked for is not there, or cannot be done.
    No(String),
}

impl<E: std::error::Error> From<E> for Trouble {
    fn from(error: E) -> Self {
        Self::No(error.to_string())
    }
}

/// The name of the database file in the folder of `masshook serve`.
pub(super) const FILE: &str = "masshook.db";

impl Place {
    fn open(&self) -> Result<Opened, Trouble> {
        if let Some(folder) = &self.data {
            // The running server finds what is due by its own sweep.
            let store = SqliteStore::in_file(folder.join(FILE));
            return Ok((Arc::new(store), Arc::new(LocalWakeUps::new())));
        }
        match aws::mode() {
            Mode::Durable { table, queue_url } => Ok((
                Arc::new(DynamoStore::new(&table)),
                Arc::new(SqsWakeUps::new(&queue_url)),
            )),
            Mode::Inline | Mode::Incomplete => Err(Trouble::NoStore),
        }
    }
}

/// A store, and how its jobs are woken.
type Opened = (Arc<dyn JobStore>, Arc<dyn WakeUps>);

/// Runs `masshook jobs`.
pub(super) async fn jobs(command: Jobs) -> Verdict {
    let (json, outcome) = match command {
        Jobs::List { place, only, limit } => (place.json, list(&place, only, limit).await),
        Jobs::Show { place, id } => (place.json, show(&place, &id).await),
        Jobs::Replay { place, id } => (place.json, replay(&place, &id).await),
        Jobs::Redeliver { place, id } => (place.json, redeliver(&place, &id).await),
    };
    conclude(json, outcome)
}

/// Runs `masshook deliveries`.
pub(super) async fn deliveries(command: Deliveries) -> Verdict {
    match command {
        Deliveries::List { place, limit } => {
            let outcome = kept(&place, limit).await;
            conclude(place.json, outcome)
        }
        Deliveries::Show { place, id } => {
            let outcome = show_delivery(&place, &id).await;
            conclude(place.json, outcome)
        }
        Deliveries::Replay { place, id, config } => {
            let config = match super::load(config) {
                Ok(config) => config,
                Err(error) => return super::unusable(&error, place.json),
            };
            let outcome = replay_delivery(&place, &id, config).await;
            conclude(place.json, outcome)
        }
    }
}

fn conclude(json: bool, outcome: Result<(Value, String), Trouble>) -> Verdict {
    match outcome {
        Ok((document, text)) => {
            say(&if json { document.to_string() } else { text });
            Verdict::Done
        }
        Err(Trouble::NoStore) => {
            complain(
                "no store is named: give --data DIR, or set MASSHOOK_TABLE and MASSHOOK_QUEUE_URL",
            );
            Verdict::Unusable
        }
        Err(Trouble::No(why)) => {
            if json {
                say(&json!({"error": why}).to_string());
            } else {
                complain(&why);
            }
            Verdict::Negative
        }
    }
}

async fn list(place: &Place, only: Only, limit: usize) -> Result<(Value, String), Trouble> {
    let (store, _) = place.open()?;
    let page = store.list(only.into(), limit, None).await?;
    let entry = |job: &crate::job::store::JobSummary| {
        json!({
            "id": job.id.as_str(), "route": job.route, "module": job.module, "status": job.status,
            "callback": job.callback, "parked": job.parked, "created_at": job.created_at.to_string(),
            "finished_at": job.finished_at.map(|at| at.to_string()),
        })
    };
    let lines: Vec<String> = page
        .jobs
        .iter()
        .map(|job| {
            let route = job.route.as_deref().unwrap_or("/jobs");
            let parked = job
                .parked
                .as_ref()
                .map(|why| format!("  put aside: {why}"))
                .unwrap_or_default();
            format!(
                "{}  {:<20} {:<24} {}{parked}",
                job.created_at,
                job.status.as_str(),
                route,
                job.id
            )
        })
        .collect();
    let document = json!({"jobs": page.jobs.iter().map(entry).collect::<Vec<_>>(), "more": page.next.is_some()});
    Ok((document, lines.join("\n")))
}

async fn get(store: &dyn JobStore, id: &str) -> Result<Job, Trouble> {
    let found = store.get(&JobId::from_outside(id)).await?;
    found.ok_or_else(|| Trouble::No(format!("there is no job {id}")))
}

async fn show(place: &Place, id: &str) -> Result<(Value, String), Trouble> {
    let (store, _) = place.open()?;
    let job = get(store.as_ref(), id).await?;
    let mut view = serde_json::to_value(JobView::of(&job))?;
    // Not part of what others see of a job.
    if let Some(source) = &job.source {
        view["delivery"] = json!(source.delivery);
    }
    let text = format!("{view:#}");
    Ok((view, text))
}

async fn replay(place: &Place, id: &str) -> Result<(Value, String), Trouble> {
    let (store, wakeups) = place.open()?;
    let now = SystemClock.now();
    let id = JobId::from_outside(id);
    if store.unpark(&id, now).await? {
        wakeups
            .wake(&[(id.clone(), std::time::Duration::ZERO)])
            .await?;
        return Ok((
            json!({"resumed": id.as_str()}),
            format!("{id} is taken up again"),
        ));
    }
    let job = get(store.as_ref(), id.as_str()).await?;
    match job.status() {
        JobStatus::Failed | JobStatus::PartiallySucceeded => {}
        JobStatus::Queued | JobStatus::Running | JobStatus::Succeeded => {
            let status = job.status().as_str();
            return Err(Trouble::No(format!(
                "{id} is {status}; only failed jobs are done again"
            )));
        }
    }
    let new = job.replay_id();
    let dead = dead_letter(store.as_ref(), &job).await?;
    let reports = job.callback_on();
    let callback = job.callback.map(|callback| callback.url);
    let again = Job::new(
        new.clone(),
        job.route,
        job.connection,
        job.request,
        callback,
        now,
    )
    .with_source(job.source)
    .with_track_for(job.track_for.unsigned_abs())
    .with_on_unknown_outcome(job.on_unknown_outcome)
    .with_callback_on(reports);
    // One that is there already may have ended, and then nothing of the delivery is under way.
    let added = store.add(&again, None).await?;
    restore(store.as_ref(), dead.filter(|_| added == AddResult::New)).await?;
    wakeups
        .wake(&[(new.clone(), std::time::Duration::ZERO)])
        .await?;
    Ok((
        json!({"job": new.as_str(), "replays": id.as_str()}),
        format!("{new} does again what {id} did not"),
    ))
}

async fn redeliver(place: &Place, id: &str) -> Result<(Value, String), Trouble> {
    let (store, wakeups) = place.open()?;
    let now = SystemClock.now();
    let id = JobId::from_outside(id);
    let until = now.saturating_add(std::time::Duration::from_secs(30))?;
    match store.claim(&id, now, until).await? {
        Claim::NotFound => Err(Trouble::No(format!("there is no job {id}"))),
        Claim::Busy { .. } => Err(Trouble::No(format!(
            "{id} is being driven; try again in a minute"
        ))),
        Claim::Parked { reason } => Err(Trouble::No(format!("{id} was put aside: {reason}"))),
        Claim::Acquired(mut job, lease) => {
            let finished = job.status().is_final();
            let again = match job.callback.as_mut().filter(|_| finished) {
                Some(callback) => {
                    callback.status = CallbackStatus::Pending;
                    callback.attempts = 0;
                    callback.due_at = None;
                    true
                }
                None => false,
            };
            let due = job.due(now);
            let dead = dead_letter(store.as_ref(), &job).await?;
            store.release(&job, lease, due).await?;
            restore(store.as_ref(), dead.filter(|_| again)).await?;
            if !again {
                return Err(Trouble::No(format!(
                    "{id} has no callback to send, or is not finished"
                )));
            }
            wakeups
                .wake(&[(id.clone(), std::time::Duration::ZERO)])
                .await?;
            Ok((
                json!({"redelivers": id.as_str()}),
                format!("the callback of {id} is sent again"),
            ))
        }
    }
}

/// The dead letter that a job left, and since when it is one.
async fn dead_letter(
    store: &dyn JobStore,
    job: &Job,
) -> Result<Option<(String, Timestamp)>, StoreError> {
    // Of a delivery of several jobs another may have ended badly, too: its letter stays until it is replayed itself.
    let Some(source) = job.source.as_ref().filter(|source| !source.shared) else {
        return Ok(None);
    };
    let kept = store.delivery(&source.delivery).await?;
    let dead = kept.and_then(|kept| kept.dead_letter);
    let dead = dead.filter(|dead| dead.job.as_ref() == Some(&job.id));
    Ok(dead.map(|dead| (source.delivery.clone(), dead.since)))
}

/// What is under way again is no dead letter.
async fn restore(
    store: &dyn JobStore,
    dead: Option<(String, Timestamp)>,
) -> Result<(), StoreError> {
    match dead {
        Some((delivery, since)) => store.restore(&delivery, since).await,
        None => Ok(()),
    }
}

async fn kept(place: &Place, limit: usize) -> Result<(Value, String), Trouble> {
    let (store, _) = place.open()?;
    let kept = store.dead_letters(limit).await?;
    let lines: Vec<String> = kept
        .iter()
        .map(|kept| {
            let job = kept.dead_letter.job.as_ref();
            let job = job.map(|job| format!("{job}: ")).unwrap_or_default();
            format!(
                "{}  {:<24} {}  {job}{}",
                kept.at, kept.route, kept.id, kept.dead_letter.reason
            )
        })
        .collect();
    Ok((json!({"deliveries": kept}), lines.join("\n")))
}

async fn delivery(store: &dyn JobStore, id: &str) -> Result<StoredDelivery, Trouble> {
    let kept = store.delivery(id).await?;
    kept.ok_or_else(|| Trouble::No(format!("there is no kept delivery {id}")))
}

async fn show_delivery(place: &Place, id: &str) -> Result<(Value, String), Trouble> {
    let (store, _) = place.open()?;
    let kept = delivery(store.as_ref(), id).await?;
    let headers: Vec<Value> = kept
        .headers
        .iter()
        .map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]))
        .collect();
    let mut document = json!({
        "id": kept.id, "route": kept.route, "at": kept.at.to_string(), "dead": kept.dead_letter, "trigger": kept.origin.variable(),
        "headers": headers, "query": kept.query,
    });
    match std::str::from_utf8(&kept.body) {
        Ok(text) => document["body"] = json!(text),
        Err(_) => document["body_base64"] = json!(STANDARD.encode(&kept.body)),
    }
    let text = format!("{document:#}");
    Ok((document, text))
}

async fn replay_delivery(
    place: &Place,
    id: &str,
    config: Config,
) -> Result<(Value, String), Trouble> {
    let (store, wakeups) = place.open()?;
    let kept = delivery(store.as_ref(), id).await?;
    if kept.dead_letter.is_none() {
        let why = format!("{id} is no dead letter: its jobs are under way");
        return Err(Trouble::No(why));
    }
    let app = App::new(
        config,
        Edges {
            clock: Arc::new(SystemClock),
            store,
            secrets_manager: Arc::new(SecretsManager::new()),
            mode: ExecutionMode::Durable(wakeups),
            runtime_api: None,
            sns_endpoint: None,
        },
    );
    let accepted = app.replay(&kept).await.map_err(|rejection| {
        let errors: String = rejection
            .errors()
            .iter()
            .map(|error| format!("\n  {error}"))
            .collect();
        Trouble::No(format!("{rejection}{errors}"))
    })?;
    let jobs = accepted.jobs().len();
    if jobs == 0 {
        let why = format!(
            "the route `{}` makes nothing of {id} now, so it stays a dead letter",
            kept.route
        );
        return Err(Trouble::No(why));
    }
    let document = crate::api::accepted_json(&accepted);
    Ok((document, format!("{id} became {jobs} jobs")))
}
