//! `masshook serve`: runs the durable server on this machine.

use std::fs::{File, TryLockError};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::config_file::{ConfigFile, report_config_error};
use super::memory_limit::memory_limit;
use super::store_location::DATABASE_FILE;
use super::terminal::{ExitStatus, OutputFormat, print_error};
use crate::app::{App, Dependencies, SecretScope, SecretState};
use crate::aws;
use crate::aws::secrets::SecretsManager;
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::engine::ExecutionMode;
use crate::server;
use crate::store::sqlite::SqliteStore;
use crate::wakeup::LocalWakeUps;

/// The file in the data folder that a running server locks.
const LOCK_FILE: &str = "masshook.lock";

/// Arguments of `masshook serve`.
#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    config: ConfigFile,
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Folder for the jobs; created if it does not exist.
    #[arg(long, value_name = "DIR", default_value = "masshook-data")]
    data: PathBuf,
    /// Exit at a fail point; for tests.
    #[cfg(feature = "failpoints")]
    #[arg(long, hide = true, value_name = "NAME:N")]
    crash_at: Option<String>,
}

/// Runs the command until the process is asked to stop.
pub(super) async fn run(args: ServeArgs) -> ExitStatus {
    #[cfg(feature = "failpoints")]
    if let Some(Err(why)) = args.crash_at.as_deref().map(crate::failpoint::arm) {
        print_error(&why);
        return ExitStatus::UsageError;
    }
    let config = match args.config.load().and_then(Config::check_writable_secrets) {
        Ok(config) => config,
        Err(error) => return report_config_error(&error, OutputFormat { json: false }),
    };
    match start(config, args.listen, &args.data).await {
        Ok(()) => ExitStatus::Success,
        Err(why) => {
            print_error(&why);
            ExitStatus::UsageError
        }
    }
}

async fn start(config: Config, listen: SocketAddr, data: &Path) -> Result<(), String> {
    std::fs::create_dir_all(data).map_err(|error| format!("{}: {error}", data.display()))?;
    let lock = lock_folder(data)?;
    let listener = TcpListener::bind(listen)
        .await
        .map_err(|error| format!("cannot listen on {listen}: {error}"))?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let wakeups = LocalWakeUps::new();
    let clock = Arc::new(SystemClock);
    let store = SqliteStore::in_file(data.join(DATABASE_FILE));
    // The lock proves that the previous driver is gone, so its leases need not expire first.
    match store.break_leases(clock.now()).await {
        Ok(0) => {}
        Ok(jobs) => tracing::info!("resuming {jobs} jobs of the previous process"),
        Err(error) => tracing::warn!("{error}; jobs resume when their leases expire"),
    }
    let app = App::new(
        config,
        Dependencies {
            clock: clock.clone(),
            store: Arc::new(store),
            secrets_manager: Arc::new(SecretsManager::new()),
            mode: ExecutionMode::Durable(Arc::new(wakeups.clone())),
            runtime_api: None,
            sns_endpoint: aws::sns_endpoint()?,
        },
    )
    .with_memory_limit(memory_limit());
    check_secrets(&app).await?;
    let stop = stop_signal().map_err(|error| error.to_string())?;
    tracing::info!("listening on http://{address}");
    let served = server::serve(Arc::new(app), clock, wakeups, listener, stop).await;
    drop(lock);
    served.map_err(|error| error.to_string())
}

/// Reads every secret once, so that one that cannot be used is reported now and not by the first delivery or callback.
async fn check_secrets(app: &App) -> Result<(), String> {
    let mut problems = Vec::new();
    for check in app.check_secrets(SecretScope::All).await {
        let (at, state) = (&check.at, &check.state);
        match state {
            SecretState::Usable | SecretState::NotEnrolled | SecretState::Remote => {}
            SecretState::Unavailable(why) => tracing::warn!("{at}: {why}"),
            SecretState::Unusable(why) => problems.push(format!("{at}: {why}")),
        }
    }
    match problems.is_empty() {
        true => Ok(()),
        false => Err(problems.join("\n")),
    }
}

/// Completes on SIGTERM or SIGINT. Both are caught from now on.
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Locks the data folder for this server. The operating system releases the lock when the process ends, even by a crash.
fn lock_folder(data: &Path) -> Result<File, String> {
    let path = data.join(LOCK_FILE);
    let file = File::create(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(format!(
            "another masshook server uses {}; each server needs its own folder",
            data.display()
        )),
        Err(TryLockError::Error(error)) => Err(format!("{}: {error}", path.display())),
    }
}
