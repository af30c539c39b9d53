//! `masshook serve`: runs the durable server on this machine.

use std::convert::Infallible;
use std::fs::{File, TryLockError};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use tokio::net::TcpListener;
use tokio::signal::unix::Signal;
use tokio::sync::Semaphore;
use url::Url;

use super::activity::{finish_activity, record_activity, restore_activity};
use super::config_file::{ConfigFile, report_config_error};
use super::console::{BoundConsole, ConsoleArgs};
use super::memory_limit::memory_limit;
use super::signals::{StopSignals, catch_hangup};
use super::store_location::{DATABASE_FILE, DEFAULT_DATA, data_arguments};
use super::terminal::{ExitStatus, OutputFormat, listen_error, print_error, print_line};
use super::text::count_of;
use crate::app::{Activity, App, Dependencies, SecretScope, SecretState};
use crate::aws;
use crate::aws::secrets::SecretsManager;
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::console::{CommandArguments, ConfigStatus, ConsoleStore};
use crate::engine::ExecutionMode;
use crate::metrics::Metrics;
use crate::secrets::SecretStore;
use crate::server::{CurrentApp, Server, ServerError, ServerLimits};
use crate::store::Store;
use crate::store::sqlite::SqliteStore;
use crate::telemetry::LogFormat;
use crate::wakeup::LocalWakeUps;

/// The file in the data folder that a running server locks.
pub(super) const LOCK_FILE: &str = "masshook.lock";

/// Arguments of `masshook serve`.
#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    config: ConfigFile,
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Folder for the jobs; created if it does not exist.
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DATA)]
    data: PathBuf,
    /// Maximum connections at the same time; default: 512, or fewer if the process may open only few files.
    #[arg(long, value_name = "N", value_parser = parse_connections)]
    max_connections: Option<usize>,
    #[command(flatten)]
    console: ConsoleArgs,
    /// Form of the log lines on stderr.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    log_format: LogFormat,
    /// Exit at a fail point; for tests.
    #[cfg(feature = "failpoints")]
    #[arg(long, hide = true, value_name = "NAME:N")]
    crash_at: Option<String>,
}

impl ServeArgs {
    /// The arguments by which other commands reach the same store and config.
    fn cli_args(&self) -> CommandArguments {
        CommandArguments {
            data: data_arguments(&self.data),
            config: self.config.repeated_arguments(),
        }
    }

    /// The form of the log lines.
    pub(super) fn log_format(&self) -> LogFormat {
        self.log_format
    }
}

/// Why the command ended.
enum ServeError {
    /// The server could not start.
    Start(String),
    /// The server ended before it was asked to, or before its work was complete.
    Run(ServerError),
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
    match start(config, args).await {
        Ok(()) => ExitStatus::Success,
        Err(ServeError::Start(why)) => {
            print_error(&why);
            ExitStatus::UsageError
        }
        // The log, as nobody may read stderr any more.
        Err(ServeError::Run(error)) => {
            tracing::error!("{error}");
            ExitStatus::Negative
        }
    }
}

/// Makes the folder if there is none, and locks it.
fn lock_new_folder(data: &Path) -> Result<File, String> {
    std::fs::create_dir_all(data).map_err(|error| {
        let folder = data.display();
        format!("the folder {folder} cannot be made: {error}; choose another folder with --data")
    })?;
    lock_folder(data)
}

/// Ends the leases of the previous process, so that its jobs need not wait until they expire.
async fn resume_jobs(store: &SqliteStore) {
    match store.break_leases(SystemClock.now()).await {
        Ok(0) => {}
        Ok(jobs) => {
            let jobs = count_of(jobs as u64, "job");
            tracing::info!("resuming {jobs} of the previous process");
        }
        Err(error) => tracing::warn!("{error}; jobs resume when their leases expire"),
    }
}

async fn start(config: Config, args: ServeArgs) -> Result<(), ServeError> {
    let (data, listen) = (&args.data, args.listen);
    let failed = |what: String, error: io::Error| ServeError::Start(format!("{what}: {error}"));
    let lock = lock_new_folder(data).map_err(ServeError::Start)?;
    let listener = TcpListener::bind(listen)
        .await
        .map_err(|error| ServeError::Start(listen_error(listen, "--listen", &error)))?;
    let status = ConfigStatus::new(args.config.path().ok().as_deref(), SystemClock.now());
    let console = args.console.bind(&config).await;
    let console = console.map_err(ServeError::Start)?;
    let console = console.map(|console| console.with_cli_args(args.cli_args()));
    let signals = catch_signals().map_err(|error| failed("cannot catch signals".to_owned(), error));
    let (stop_signals, hangup) = signals?;
    let address = listener.local_addr().unwrap_or(listen);
    let store = SqliteStore::in_file(data.join(DATABASE_FILE));
    // The lock proves that the previous driver is gone.
    resume_jobs(&store).await;
    let limits = ServerLimits::for_process(args.max_connections);
    let parts = AppParts {
        callback_sockets: Arc::new(Semaphore::new(limits.callbacks)),
        clock: Arc::new(SystemClock),
        store: Arc::new(store),
        wakeups: LocalWakeUps::new(),
        secrets_manager: Arc::new(SecretsManager::new()),
        sns_endpoint: aws::sns_endpoint().map_err(ServeError::Start)?,
        metrics: Metrics::default(),
    };
    let app = CurrentApp::new(parts.app(config));
    let server = Server {
        app: app.clone(),
        clock: parts.clock.clone(),
        wakeups: parts.wakeups.clone(),
        listener,
        limits,
    };
    let (stop, force) = (stop_signals.received(1), stop_signals.received(2));
    let early_stop = stop_signals.received(1);
    let serving = async {
        let first = app.app();
        tokio::select! {
            checked = check_secrets(&first) => checked.map_err(ServeError::Start)?,
            () = early_stop => return Ok(()),
        }
        // After a reload nothing must keep it.
        drop(first);
        tracing::info!("listening on http://{address}");
        let activity = restore_activity(&app).await;
        let has_console = console.is_some();
        let page = async {
            match console {
                Some(console) => {
                    print_line(&format!("console: {}", console.url()));
                    run_console(console, &app, &status, address, &activity).await
                }
                None => std::future::pending().await,
            }
        };
        let served = tokio::select! {
            served = server.run(stop, force) => served.map_err(ServeError::Run),
            why = page => Err(ServeError::Start(why)),
        };
        if has_console {
            finish_activity(&app, &activity).await;
        }
        served
    };
    let served = tokio::select! {
        served = serving => served,
        never = stop_signals.watch() => match never {},
        never = reload_on(hangup, &args.config, &parts, &app, &status) => match never {},
    };
    drop(lock);
    served
}

/// Serves the console until the future is dropped. Returns why it ended before.
async fn run_console(
    console: BoundConsole,
    app: &CurrentApp,
    status: &ConfigStatus,
    address: SocketAddr,
    activity: &Activity,
) -> String {
    let url = Some(format!("http://{address}"));
    let (app_in_use, status) = (app.clone(), status.clone());
    let page = console.run(
        app_in_use,
        status,
        ConsoleStore::Sqlite,
        url,
        activity.clone(),
    );
    tokio::select! {
        () = page => "the console's listener ended".to_owned(),
        never = record_activity(app, activity) => match never {},
    }
}

/// Reads every secret once, so that one that cannot be used is reported now and not by the first delivery or callback.
async fn check_secrets(app: &App) -> Result<(), String> {
    let mut problems = Vec::new();
    for check in app.check_secrets(SecretScope::All).await {
        let (at, state) = (&check.at, &check.state);
        match state {
            SecretState::Usable
            | SecretState::WithPublicKey(_)
            | SecretState::NotEnrolled
            | SecretState::Remote => {}
            SecretState::Doubtful(why) | SecretState::Unavailable(why) => {
                tracing::warn!("{at}: {why}")
            }
            SecretState::Unusable(why) => problems.push(format!("{at}: {why}")),
        }
    }
    match problems.is_empty() {
        true => Ok(()),
        false => Err(problems.join("\n")),
    }
}

/// What an app needs besides its config. It stays when the config is reloaded.
pub(super) struct AppParts {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) store: Arc<dyn Store>,
    pub(super) wakeups: LocalWakeUps,
    /// Reads secrets of AWS.
    pub(super) secrets_manager: Arc<dyn SecretStore>,
    pub(super) sns_endpoint: Option<Url>,
    pub(super) callback_sockets: Arc<Semaphore>,
    pub(super) metrics: Metrics,
}

impl AppParts {
    pub(super) fn app(&self, config: Config) -> App {
        App::new(
            config,
            Dependencies {
                clock: self.clock.clone(),
                store: self.store.clone(),
                secrets_manager: self.secrets_manager.clone(),
                mode: ExecutionMode::Durable(Arc::new(self.wakeups.clone())),
                runtime_api: None,
                sns_endpoint: self.sns_endpoint.clone(),
                metrics: self.metrics.clone(),
            },
        )
        .with_memory_limit(memory_limit())
        .with_callback_sockets(self.callback_sockets.clone())
    }
}

/// Reloads the config on each SIGHUP. One that cannot be used is reported, and the app in use stays.
async fn reload_on(
    mut hangup: Signal,
    file: &ConfigFile,
    parts: &AppParts,
    app: &CurrentApp,
    status: &ConfigStatus,
) -> Infallible {
    loop {
        hangup.recv().await;
        let file = file.clone();
        let load = move || file.load().and_then(Config::check_writable_secrets);
        let reloaded = async {
            let loaded = tokio::task::spawn_blocking(load).await;
            let config = loaded.map_err(|error| error.to_string())?;
            let new = parts.app(config.map_err(|error| error.to_string())?);
            check_secrets(&new).await?;
            Ok::<_, String>(new)
        };
        match reloaded.await {
            Ok(new) => {
                let routes = new.config().routes.len();
                app.replace(new);
                status.record_load(SystemClock.now());
                tracing::info!(routes, "config reloaded");
            }
            Err(why) => {
                log_unused_config("config", &why);
                status.record_problems(why.lines().map(str::to_owned).collect());
            }
        }
    }
}

/// Logs why an edited config is not used. Problems of several lines have a line each, as their carets point at columns.
pub(super) fn log_unused_config(file: &str, why: &str) {
    let text = format!("{file} not reloaded, the old one stays in use");
    match why.contains('\n') {
        true => tracing::error!(lines = why, "{text}:"),
        false => tracing::error!("{text}: {why}"),
    }
}

fn catch_signals() -> io::Result<(StopSignals, Signal)> {
    Ok((StopSignals::catch()?, catch_hangup()?))
}

/// Locks the data folder for this server. The operating system releases the lock when the process ends, even by a crash.
pub(super) fn lock_folder(data: &Path) -> Result<File, String> {
    let path = data.join(LOCK_FILE);
    let file = File::create(&path).map_err(|error| {
        let folder = data.display();
        format!("the folder {folder} cannot be written: {error}; choose another folder with --data")
    })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(format!(
            "another masshook server uses {}; each server needs its own folder",
            data.display()
        )),
        Err(TryLockError::Error(error)) => Err(format!("{}: {error}", path.display())),
    }
}

fn parse_connections(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| *count > 0);
    count.ok_or_else(|| "N must be a whole number above 0".to_owned())
}
