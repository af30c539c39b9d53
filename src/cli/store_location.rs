//! Opens the store that `masshook jobs` and `masshook deliveries` work on.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::terminal::{ExitStatus, OutputFormat, print_error, print_json};
use crate::aws::dynamodb::DynamoStore;
use crate::aws::wakeups::SqsWakeUps;
use crate::aws::{self, Mode};
use crate::job::{Job, JobId};
use crate::store::sqlite::SqliteStore;
use crate::store::{Store, StoreError};
use crate::wakeup::{LocalWakeUps, WakeUps};

/// The database file in the data folder of `masshook serve`.
pub(super) const DATABASE_FILE: &str = "masshook.db";

/// Where the jobs are stored.
#[derive(Clone, Debug, Args)]
pub(super) struct StoreLocation {
    /// Data folder of `masshook serve`; default: the table and queue of MASSHOOK_TABLE and MASSHOOK_QUEUE_URL.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    #[command(flatten)]
    pub(super) output: OutputFormat,
}

impl StoreLocation {
    /// Opens the store.
    pub(super) fn open(&self) -> Result<OpenStore, StoreCommandError> {
        if let Some(folder) = &self.data {
            // A running server finds due jobs by its own sweep, so these wake-ups need no receiver.
            return Ok(OpenStore {
                store: Arc::new(SqliteStore::in_file(folder.join(DATABASE_FILE))),
                wakeups: Arc::new(LocalWakeUps::new()),
            });
        }
        match aws::mode() {
            Mode::Durable { table, queue_url } => Ok(OpenStore {
                store: Arc::new(DynamoStore::new(&table)),
                wakeups: Arc::new(SqsWakeUps::new(&queue_url)),
            }),
            Mode::Inline | Mode::Incomplete => Err(StoreCommandError::NoStore),
        }
    }
}

/// A store and the wake-ups of its jobs.
pub(super) struct OpenStore {
    pub(super) store: Arc<dyn Store>,
    pub(super) wakeups: Arc<dyn WakeUps>,
}

impl OpenStore {
    /// Reads a job.
    pub(super) async fn job(&self, id: &JobId) -> Result<Job, StoreCommandError> {
        let found = self.store.get(id).await?;
        found.ok_or_else(|| StoreCommandError::Failed(format!("there is no job {id}")))
    }

    /// Wakes a job without delay.
    pub(super) async fn wake(&self, id: &JobId) -> Result<(), StoreCommandError> {
        Ok(self.wakeups.wake(&[(id.clone(), Duration::ZERO)]).await?)
    }

    /// The dead letter that the job left behind, if any.
    ///
    /// A delivery of several jobs keeps its dead letter until it is replayed itself, because another of its jobs may have
    /// failed as well.
    pub(super) async fn dead_letter_of(
        &self,
        job: &Job,
    ) -> Result<Option<DeadLetterRef>, StoreError> {
        let Some(source) = job.source.as_ref().filter(|source| !source.shared) else {
            return Ok(None);
        };
        let delivery = self.store.delivery(&source.delivery).await?;
        let dead = delivery.and_then(|delivery| delivery.dead_letter);
        let dead = dead.filter(|dead| dead.job.as_ref() == Some(&job.id));
        Ok(dead.map(|dead| DeadLetterRef {
            delivery: source.delivery.clone(),
            since: dead.since,
        }))
    }

    /// Removes the dead-letter mark of a delivery whose job runs again.
    pub(super) async fn restore(
        &self,
        dead_letter: Option<DeadLetterRef>,
    ) -> Result<(), StoreError> {
        match dead_letter {
            Some(DeadLetterRef { delivery, since }) => self.store.restore(&delivery, since).await,
            None => Ok(()),
        }
    }
}

/// A dead letter, and when it became one.
pub(super) struct DeadLetterRef {
    delivery: String,
    since: Timestamp,
}

/// Why a command on a store failed.
pub(super) enum StoreCommandError {
    /// Neither `--data` nor the environment names a store.
    NoStore,
    /// The item does not exist, or its state does not allow the operation.
    Failed(String),
}

impl<E: std::error::Error> From<E> for StoreCommandError {
    fn from(error: E) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Output of a successful command.
pub(super) struct CommandOutput {
    pub(super) document: Value,
    pub(super) text: String,
}

/// Prints the result of a command.
pub(super) fn report(
    output: OutputFormat,
    result: Result<CommandOutput, StoreCommandError>,
) -> ExitStatus {
    match result {
        Ok(CommandOutput { document, text }) => {
            output.print(&document, &text);
            ExitStatus::Success
        }
        Err(StoreCommandError::NoStore) => {
            print_error(
                "no store is configured: use --data DIR, or set MASSHOOK_TABLE and MASSHOOK_QUEUE_URL",
            );
            ExitStatus::UsageError
        }
        Err(StoreCommandError::Failed(why)) => {
            match output.json {
                true => print_json(&json!({"error": why})),
                false => print_error(&why),
            }
            ExitStatus::Negative
        }
    }
}
