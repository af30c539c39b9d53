//! Opens the store that `masshook jobs` and `masshook deliveries` work on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde_json::{Value, json};

use super::styled::StyledText;
use super::terminal::{ExitStatus, OutputFormat, print_error, print_json};
use super::text::shell_quoted;
use crate::app::operations::JobOperations;
use crate::aws::dynamodb::DynamoStore;
use crate::aws::wakeups::SqsWakeUps;
use crate::aws::{self, Mode};
use crate::clock::SystemClock;
use crate::inbound::rejection::Rejection;
use crate::job::{Job, JobId};
use crate::store::sqlite::SqliteStore;
use crate::store::{Store, StoreError};
use crate::wakeup::{LocalWakeUps, WakeUps};

/// The database file in the data folder of `masshook serve`.
pub(super) const DATABASE_FILE: &str = "masshook.db";

/// The default data folder of `masshook serve`.
pub(super) const DEFAULT_DATA: &str = "masshook-data";

/// Where the jobs are stored.
#[derive(Clone, Debug, Args)]
pub(super) struct StoreLocation {
    /// Data folder of `masshook serve`; default: the table and queue of MASSHOOK_TABLE and MASSHOOK_QUEUE_URL if they are set,
    /// else ./masshook-data.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    #[command(flatten)]
    pub(super) output: OutputFormat,
}

impl StoreLocation {
    /// The arguments with which another command works on the same store: a space and `--data DIR`, or nothing.
    pub(super) fn repeated_arguments(&self) -> String {
        let data = self.data.as_deref().and_then(data_arguments);
        data.map_or(String::new(), |data| format!(" {data}"))
    }

    /// Opens the store.
    pub(super) fn open(&self) -> Result<OpenStore, StoreCommandError> {
        if let Some(folder) = &self.data {
            return Ok(OpenStore::in_folder(folder));
        }
        match aws::mode() {
            Mode::Durable { table, queue_url } => Ok(OpenStore {
                store: Arc::new(DynamoStore::new(&table)),
                wakeups: Arc::new(SqsWakeUps::new(&queue_url)),
                place: format!("table {table}"),
            }),
            // A command must not create a store where no server has run.
            Mode::Inline if Path::new(DEFAULT_DATA).join(DATABASE_FILE).exists() => {
                Ok(OpenStore::in_folder(Path::new(DEFAULT_DATA)))
            }
            Mode::Inline | Mode::Incomplete => Err(StoreCommandError::NoStore),
        }
    }
}

impl StoreLocation {
    /// Opens the store, unless it is in a folder where no server has run.
    pub(super) fn open_existing(&self) -> Result<OpenStore, StoreCommandError> {
        match &self.data {
            Some(folder) if !folder.join(DATABASE_FILE).exists() => {
                Err(StoreCommandError::Usage(format!(
                    "{} has no {DATABASE_FILE}: use --data DIR with the folder of `masshook serve`",
                    folder.display()
                )))
            }
            _ => self.open(),
        }
    }
}

/// The arguments of commands on the store in a folder: `--data DIR`, or none for the default one.
pub(super) fn data_arguments(folder: &Path) -> Option<String> {
    let folder = (folder != Path::new(DEFAULT_DATA)).then(|| folder.display().to_string())?;
    Some(format!("--data {}", shell_quoted(&folder)))
}

/// A store and the wake-ups of its jobs.
pub(super) struct OpenStore {
    pub(super) store: Arc<dyn Store>,
    pub(super) wakeups: Arc<dyn WakeUps>,
    /// Where the store is, for messages.
    pub(super) place: String,
}

impl OpenStore {
    fn in_folder(folder: &Path) -> Self {
        Self {
            store: Arc::new(SqliteStore::in_file(folder.join(DATABASE_FILE))),
            // A running server finds due jobs by its own sweep, so these wake-ups need no receiver.
            wakeups: Arc::new(LocalWakeUps::new()),
            place: folder.display().to_string(),
        }
    }

    /// Reads a job.
    pub(super) async fn job(&self, id: &JobId) -> Result<Job, StoreCommandError> {
        Ok(self.jobs().job(id).await?)
    }

    /// What operators do with jobs.
    pub(super) fn jobs(&self) -> JobOperations<'_> {
        JobOperations {
            store: &*self.store,
            clock: &SystemClock,
            wakeups: Some(&*self.wakeups),
        }
    }
}

/// Why a command on a store failed.
#[derive(Debug)]
pub(super) enum StoreCommandError {
    /// Neither `--data` nor the environment names a store, and there is none in the default folder.
    NoStore,
    /// The arguments are invalid.
    Usage(String),
    /// The item does not exist, or its state does not allow the operation.
    Failed(String),
}

impl From<StoreError> for StoreCommandError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<serde_json::Error> for StoreCommandError {
    fn from(error: serde_json::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<Rejection> for StoreCommandError {
    fn from(rejection: Rejection) -> Self {
        // The text of the rejection is for senders.
        if let Rejection::Store(error) = rejection {
            return error.into();
        }
        let internal = rejection.internal();
        let internal = internal.map_or(String::new(), |why| format!(": {why}"));
        let says_all = matches!(
            rejection,
            Rejection::AmbiguousId { .. } | Rejection::CountDiffers { .. }
        );
        let errors = if says_all {
            Vec::new()
        } else {
            rejection.errors()
        };
        let errors = errors.iter().map(|error| format!("\n  {error}"));
        let errors: String = errors.collect();
        Self::Failed(format!("{rejection}{internal}{errors}"))
    }
}

/// Output of a command that ran.
pub(super) struct CommandOutput {
    pub(super) document: Value,
    pub(super) text: StyledText,
    pub(super) exit: ExitStatus,
}

impl CommandOutput {
    /// Output of a command that did what it was asked for.
    pub(super) fn new(document: Value, text: impl Into<StyledText>) -> Self {
        Self {
            document,
            text: text.into(),
            exit: ExitStatus::Success,
        }
    }
}

/// Prints the result of a command.
pub(super) fn report(
    output: OutputFormat,
    result: Result<CommandOutput, StoreCommandError>,
) -> ExitStatus {
    match result {
        Ok(CommandOutput {
            document,
            text,
            exit,
        }) => {
            output.print(&document, text);
            exit
        }
        Err(StoreCommandError::NoStore) => {
            print_error(&format!(
                "no store is configured: {DEFAULT_DATA} has no jobs here; use --data DIR with the folder of `masshook serve`, \
                 or set MASSHOOK_TABLE and MASSHOOK_QUEUE_URL"
            ));
            ExitStatus::UsageError
        }
        Err(StoreCommandError::Usage(why)) => output.usage_error(&why),
        Err(StoreCommandError::Failed(why)) => {
            match output.json {
                true => print_json(&json!({"ok": false, "error": why})),
                false => print_error(&why),
            }
            ExitStatus::Negative
        }
    }
}
