//! `masshook dev`: the simulator, the server, a callback receiver and the console in one process.

mod adapted_config;
mod environment;
pub(super) mod folder;
mod made_secrets;
mod org_needs;
mod watch;

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use tokio::net::TcpListener;
use tokio::signal::unix::Signal;
use tokio::sync::Semaphore;

use self::environment::{DevEnvironment, Loaded};
use self::folder::{DevFolder, shown};
use self::watch::ConfigWatch;
use super::activity::{finish_activity, record_activity, restore_activity};
use super::callback_receiver::{CallbackReceiver, ReceivedCallback};
use super::config_file::config_arguments;
use super::console::BoundConsole;
use super::serve::{AppParts, lock_folder, log_unused_config};
use super::signals::{StopSignals, catch_hangup};
use super::store_location::{DATABASE_FILE, data_arguments};
use super::terminal::{ExitStatus, listen_error, print_error, print_line};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::console::{CommandArguments, ConfigStatus, ConsoleStore, ReceivedCallbacks};
use crate::metrics::Metrics;
use crate::server::{CurrentApp, Server, ServerLimits};
use crate::store::sqlite::SqliteStore;
use crate::telemetry::LogFormat;
use crate::wakeup::LocalWakeUps;

/// The address of the server, unless it is taken.
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

/// The address of the console, unless it is taken.
const CONSOLE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8081);

/// Arguments of `masshook dev`.
#[derive(Debug, Args)]
pub(super) struct DevArgs {
    /// Config file; default: MASSHOOK_CONFIG, ./masshook.yaml, or one to play with in ./masshook-dev.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address for deliveries; default: 127.0.0.1:8080, or a free port if that is taken.
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Address of the console; default: 127.0.0.1:8081, or a free port if that is taken.
    #[arg(long, value_name = "ADDR")]
    console: Option<SocketAddr>,
    /// Form of the log lines on stderr.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    log_format: LogFormat,
}

impl DevArgs {
    /// The form of the log lines.
    pub(super) fn log_format(&self) -> LogFormat {
        self.log_format
    }
}

/// Runs the command until the process is asked to stop.
pub(super) async fn run(args: DevArgs) -> ExitStatus {
    match start(args).await {
        Ok(status) => status,
        Err(why) => {
            print_error(&why);
            ExitStatus::UsageError
        }
    }
}

async fn start(args: DevArgs) -> Result<ExitStatus, String> {
    let signals = StopSignals::catch().and_then(|signals| Ok((signals, catch_hangup()?)));
    let (stop_signals, hangup) =
        signals.map_err(|error| format!("cannot catch signals: {error}"))?;
    let folder = DevFolder::create()?;
    let discarded = folder.clone();
    match start_in(folder, args, stop_signals, hangup).await {
        Err(NotStarted::Config(why)) => {
            // A folder without a config in use would only be in the way.
            discarded.discard_if_new();
            Err(why)
        }
        Err(NotStarted::Other(why)) => Err(why),
        Ok(status) => Ok(status),
    }
}

/// Why the command could not start.
enum NotStarted {
    /// The config cannot be used.
    Config(String),
    /// Something else.
    Other(String),
}

impl From<String> for NotStarted {
    fn from(why: String) -> Self {
        Self::Other(why)
    }
}

async fn start_in(
    folder: DevFolder,
    args: DevArgs,
    stop_signals: StopSignals,
    mut hangup: Signal,
) -> Result<ExitStatus, NotStarted> {
    let data = folder.data();
    let _lock = lock_folder(&data)?;
    let config_path = locate_config(args.config, &folder)?;
    let receiver = CallbackReceiver::start(Vec::new()).await;
    let receiver = receiver.map_err(|error| format!("the callback receiver: {error}"))?;
    let environment = DevEnvironment::start(folder, config_path.clone(), &receiver).await?;
    let loaded = environment
        .load()
        .await
        .map_err(|problems| NotStarted::Config(problems.join("\n")))?;
    let listener = bind(args.listen, LISTEN).await?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    environment.folder().write_address(address)?;
    let console = bind_console(args.console, &loaded.config).await?;

    let limits = ServerLimits::for_process(None);
    let parts = open_parts(&data, limits).await?;
    announce(address, &console.url(), &loaded);
    let console = console.with_cli_args(CommandArguments {
        data: data_arguments(Path::new(&shown(&data))),
        config: Some(config_arguments(Path::new(&shown(
            loaded.config_for_commands(),
        )))),
    });
    let watch = ConfigWatch::new(&config_path, &loaded.awaited_secrets);
    let app = CurrentApp::new(parts.app(loaded.config));
    let server = Server {
        app: app.clone(),
        clock: parts.clock.clone(),
        wakeups: parts.wakeups.clone(),
        listener,
        limits,
    };
    let status = ConfigStatus::new(Some(&config_path), SystemClock.now());
    let received = ReceivedCallbacks::default();
    let activity = restore_activity(&app).await;
    let console = console.with_callbacks(received.clone()).run(
        app.clone(),
        status.clone(),
        ConsoleStore::Sqlite,
        Some(format!("http://{address}")),
        activity.clone(),
    );
    let receive = receiver.for_each(|callback| record(&received, callback));
    let reload = reload_on_save(&environment, watch, &parts, &app, &status);
    let (stop, force) = (stop_signals.received(1), stop_signals.received(2));
    // There is no need to reload on SIGHUP. A closed terminal ends the command as SIGTERM does.
    let stop = async {
        tokio::select! {
            () = stop => {}
            _ = hangup.recv() => {}
        }
    };
    let ended = tokio::select! {
        ended = server.run(stop, force) => ended,
        never = stop_signals.watch() => match never {},
        () = console => return Err(NotStarted::Other("the console's listener ended".to_owned())),
        () = receive => return Err(NotStarted::Other("the callback receiver ended".to_owned())),
        never = reload => match never {},
        never = record_activity(&app, &activity) => match never {},
    };
    finish_activity(&app, &activity).await;
    environment.stop().await;
    Ok(match ended {
        Ok(()) => ExitStatus::Success,
        Err(error) => {
            tracing::error!("{error}");
            ExitStatus::Negative
        }
    })
}

/// Opens the store, and makes what an app needs besides its config.
async fn open_parts(data: &Path, limits: ServerLimits) -> Result<AppParts, String> {
    let store = SqliteStore::in_file(data.join(DATABASE_FILE));
    // The lock proves that the previous driver is gone, so its leases need not expire first.
    let broken = store.break_leases(SystemClock.now()).await;
    broken.map_err(|error| format!("{}: {error}", data.display()))?;
    Ok(AppParts {
        callback_sockets: Arc::new(Semaphore::new(limits.callbacks)),
        clock: Arc::new(SystemClock),
        store: Arc::new(store),
        wakeups: LocalWakeUps::new(),
        secrets_manager: super::offline::no_secrets(),
        sns_endpoint: None,
        metrics: Metrics::default(),
    })
}

/// The config: the requested one, the one that other commands would use, or one to play with.
fn locate_config(requested: Option<PathBuf>, folder: &DevFolder) -> Result<PathBuf, String> {
    let path = match requested.map_or_else(Config::locate, Ok) {
        Ok(path) => path,
        Err(_) => folder.starter_config()?,
    };
    std::path::absolute(&path).map_err(|error| format!("{}: {error}", path.display()))
}

/// Binds the requested address, or the default one, or a free port.
async fn bind(requested: Option<SocketAddr>, default: SocketAddr) -> Result<TcpListener, String> {
    let address = requested.unwrap_or(default);
    let bound = match (TcpListener::bind(address).await, requested) {
        (Err(error), None) if error.kind() == io::ErrorKind::AddrInUse => {
            TcpListener::bind((default.ip(), 0)).await
        }
        (bound, _) => bound,
    };
    bound.map_err(|error| listen_error(address, "--listen", &error))
}

async fn bind_console(
    requested: Option<SocketAddr>,
    config: &Config,
) -> Result<BoundConsole, String> {
    let first = BoundConsole::bind(requested.unwrap_or(CONSOLE), false, config).await;
    match (first, requested) {
        (Err(_), None) => BoundConsole::bind((CONSOLE.ip(), 0).into(), false, config).await,
        (bound, _) => bound,
    }
}

/// Prints where to deliver, where to look, and how to send a sample. Logs what was adapted.
fn announce(address: SocketAddr, console: &str, loaded: &Loaded) {
    let routes = &loaded.config.routes;
    let route = match routes.keys().next() {
        Some(only) if routes.len() == 1 => only.clone(),
        _ => "{route}".to_owned(),
    };
    let shown_routes: Vec<&str> = routes.keys().map(String::as_str).take(8).collect();
    let more = match routes.len().checked_sub(shown_routes.len()) {
        Some(more) if more > 0 => format!(", {more} more"),
        _ => String::new(),
    };
    print_line(&format!(
        "hooks    http://{address}/hooks/{route}   ({}{more})",
        shown_routes.join(", ")
    ));
    print_line(&format!("console  {console}"));
    print_line(&format!("sample   {}", loaded.sample_command(address)));
    for note in &loaded.notes {
        tracing::info!("{note}");
    }
}

/// Reloads the config each time that it is saved, or that a secret appears which was made up. One that cannot be used is reported, and the app in use stays.
async fn reload_on_save(
    environment: &DevEnvironment,
    mut watch: ConfigWatch,
    parts: &AppParts,
    app: &CurrentApp,
    status: &ConfigStatus,
) -> Infallible {
    loop {
        watch.changed().await;
        match environment.load().await {
            Ok(loaded) => {
                for note in &loaded.notes {
                    tracing::info!("{note}");
                }
                watch.set_secrets(&loaded.awaited_secrets);
                let routes = loaded.config.routes.len();
                app.replace(parts.app(loaded.config));
                status.record_load(SystemClock.now());
                tracing::info!(routes, "config reloaded");
            }
            Err(problems) => {
                let file = shown(environment.config_path());
                log_unused_config(&file, &problems.join("\n"));
                status.record_problems(problems);
            }
        }
    }
}

/// Shows a callback on the terminal and in the console.
fn record(received: &ReceivedCallbacks, callback: ReceivedCallback) {
    let kind = callback.body["type"].as_str().unwrap_or("callback");
    let job = callback.body["data"]["id"].as_str().unwrap_or_default();
    let problem = callback.verified.err().map(|error| error.to_string());
    match &problem {
        None => tracing::info!(job.id = job, "callback received: {kind}, signature valid"),
        Some(why) => tracing::warn!(job.id = job, "callback refused: {kind}, {why}"),
    }
    received.push(crate::console::ReceivedCallback {
        at: callback.at,
        id: callback.id,
        url: callback.intended_url,
        problem,
        status: callback.status.as_u16(),
        body: callback.body,
    });
}
