//! The console of `masshook serve`, and `masshook console`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::config_file::{ConfigFile, report_config_error};
use super::signals::StopSignals;
use super::store_location::{DATABASE_FILE, DEFAULT_DATA, data_arguments};
use super::terminal::{ExitStatus, OutputFormat, listen_error, print_error, print_line};
use crate::app::{Activity, App, Dependencies};
use crate::aws::dynamodb::DynamoStore;
use crate::aws::secrets::SecretsManager;
use crate::aws::wakeups::SqsWakeUps;
use crate::aws::{self, Mode};
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, ConfigError};
use crate::console::{
    CommandArguments, ConfigStatus, ConsoleListener, ConsoleSettings, ConsoleStore, Credential,
    ReceivedCallbacks, Token,
};
use crate::engine::ExecutionMode;
use crate::metrics::Metrics;
use crate::server::CurrentApp;
use crate::store::Store;
use crate::store::sqlite::SqliteStore;
use crate::wakeup::{LocalWakeUps, WakeUps};

/// Arguments of `masshook console`.
#[derive(Debug, Args)]
pub(super) struct ConsoleCommandArgs {
    #[command(flatten)]
    config: ConfigFile,
    /// Data folder of `masshook serve`; default without a table: masshook-data.
    #[arg(long, value_name = "DIR", conflicts_with = "table")]
    data: Option<PathBuf>,
    /// DynamoDB table, read with your AWS rights; default: MASSHOOK_TABLE.
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
    /// Queue of the stack, so that replays start at once; default: MASSHOOK_QUEUE_URL. Without it they wait for the sweep.
    #[arg(long, value_name = "URL", conflicts_with = "data")]
    queue_url: Option<String>,
    /// AWS region of the table; default: that of your AWS settings.
    #[arg(long, value_name = "REGION", conflicts_with = "data")]
    region: Option<String>,
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1:8081")]
    listen: SocketAddr,
    /// Refuse everything that changes something.
    #[arg(long)]
    read_only: bool,
}

/// Runs `masshook console` until the process is asked to stop.
pub(super) async fn run(args: ConsoleCommandArgs) -> ExitStatus {
    let (config, status) = match args.load_config() {
        Ok(loaded) => loaded,
        Err(error) => return report_config_error(&error, OutputFormat { json: false }),
    };
    match args.serve(config, status).await {
        Ok(()) => ExitStatus::Success,
        Err(why) => {
            print_error(&why);
            ExitStatus::UsageError
        }
    }
}

impl ConsoleCommandArgs {
    /// Loads the config. Without one the console shows the store, but cannot replay deliveries.
    fn load_config(&self) -> Result<(Config, ConfigStatus), ConfigError> {
        let now = SystemClock.now();
        match self.config.load() {
            Ok(config) => {
                let path = self.config.path().ok();
                Ok((config, ConfigStatus::new(path.as_deref(), now)))
            }
            Err(ConfigError::NotFound(_)) => Ok((Config::empty(), ConfigStatus::new(None, now))),
            Err(error) => Err(error),
        }
    }

    async fn serve(&self, config: Config, status: ConfigStatus) -> Result<(), String> {
        let signals =
            StopSignals::catch().map_err(|error| format!("cannot catch signals: {error}"))?;
        let (store, wakeups, kind) = self.open_store().await?;
        let bound = BoundConsole::bind(self.listen, self.read_only, &config).await?;
        let bound = bound.with_cli_args(CommandArguments {
            data: self.data.as_deref().and_then(data_arguments),
            config: self.config.repeated_arguments(),
        });
        print_line(&format!("console: {}", bound.url()));
        let activity = Activity::of_another_process(SystemClock.now());
        let app = App::new(
            config,
            Dependencies {
                clock: Arc::new(SystemClock),
                store,
                secrets_manager: Arc::new(SecretsManager::new()),
                mode: ExecutionMode::Durable(wakeups),
                runtime_api: None,
                sns_endpoint: None,
                metrics: Metrics::default(),
            },
        );
        tokio::select! {
            () = bound.run(CurrentApp::new(app), status, kind, None, activity) => Err("the console's listener ended".to_owned()),
            () = signals.received(1) => Ok(()),
            never = signals.watch() => match never {},
        }
    }

    async fn open_store(&self) -> Result<OpenedStore, String> {
        let (table, queue_url) = match (aws::mode(), &self.data) {
            (Mode::Durable { table, queue_url }, None) => (Some(table), Some(queue_url)),
            (Mode::Durable { .. }, Some(_)) | (Mode::Inline | Mode::Incomplete, _) => (None, None),
        };
        let table = self.table.clone().or(table);
        let Some(table) = table.filter(|_| self.data.is_none()) else {
            let folder = self.data.clone().unwrap_or_else(|| DEFAULT_DATA.into());
            let file = folder.join(DATABASE_FILE);
            if !file.exists() {
                return Err(format!(
                    "there is no {}: name the data folder of `masshook serve` with --data, or a table with --table",
                    file.display()
                ));
            }
            // A running server finds due jobs by its own sweep, so these wake-ups need no receiver.
            let wakeups = Arc::new(LocalWakeUps::new());
            return Ok((
                Arc::new(SqliteStore::in_file(file)),
                wakeups,
                ConsoleStore::Sqlite,
            ));
        };
        let config = aws::config_of_region(self.region.clone()).await;
        let wakeups: Arc<dyn WakeUps> = match self.queue_url.clone().or(queue_url) {
            Some(queue) => Arc::new(SqsWakeUps::with_config(&queue, config.clone())),
            None => Arc::new(LocalWakeUps::new()),
        };
        let store = DynamoStore::with_config(&table, config);
        Ok((Arc::new(store), wakeups, ConsoleStore::DynamoDb))
    }
}

type OpenedStore = (Arc<dyn Store>, Arc<dyn WakeUps>, ConsoleStore);

/// The console of a server.
#[derive(Clone, Debug, Args)]
pub(super) struct ConsoleArgs {
    /// Serve the console on this address, such as 127.0.0.1:8081.
    #[arg(long, value_name = "ADDR")]
    console: Option<SocketAddr>,
    /// Refuse everything in the console that changes something.
    #[arg(long, requires = "console")]
    console_read_only: bool,
}

impl ConsoleArgs {
    /// Binds the console's address, if there is one.
    pub(super) async fn bind(&self, config: &Config) -> Result<Option<BoundConsole>, String> {
        match self.console {
            Some(address) => {
                let bound = BoundConsole::bind(address, self.console_read_only, config).await?;
                Ok(Some(bound))
            }
            None => Ok(None),
        }
    }
}

/// A console that is bound to its address.
pub(super) struct BoundConsole {
    listener: ConsoleListener,
    credential: Credential,
    read_only: bool,
    callbacks: Option<ReceivedCallbacks>,
    cli_args: CommandArguments,
}

impl BoundConsole {
    /// Binds an address, which must be loopback unless the config has a key.
    pub(super) async fn bind(
        address: SocketAddr,
        read_only: bool,
        config: &Config,
    ) -> Result<Self, String> {
        let credential = match &config.console.key {
            Some(_) => Credential::ConfiguredKey,
            None if address.ip().is_loopback() => Credential::Token(Token::random()?),
            None => {
                return Err(format!(
                    "the console on {address} could be reached from other machines, so the config must have `console.key`; \
                     or use a loopback address and `ssh -L`"
                ));
            }
        };
        let listener = ConsoleListener::bind(address).await;
        let listener = listener.map_err(|error| {
            format!(
                "the console {}",
                listen_error(address, "--listen or --console", &error)
            )
        })?;
        Ok(Self {
            listener,
            credential,
            read_only,
            callbacks: None,
            cli_args: CommandArguments::default(),
        })
    }

    /// Shows commands with the arguments by which they reach the store and the config.
    pub(super) fn with_cli_args(self, cli_args: CommandArguments) -> Self {
        Self { cli_args, ..self }
    }

    /// Shows the callbacks that a receiver of this process gets.
    pub(super) fn with_callbacks(self, callbacks: ReceivedCallbacks) -> Self {
        Self {
            callbacks: Some(callbacks),
            ..self
        }
    }

    /// The address of the page, with the token of this start.
    pub(super) fn url(&self) -> String {
        self.listener.url(&self.credential)
    }

    /// Serves the page until the future is dropped.
    pub(super) async fn run(
        self,
        app: CurrentApp,
        config: ConfigStatus,
        store: ConsoleStore,
        server_url: Option<String>,
        activity: Activity,
    ) {
        let settings = ConsoleSettings {
            credential: self.credential,
            read_only: self.read_only,
            config,
            store,
            server_url,
            activity,
            callbacks: self.callbacks,
            cli_args: self.cli_args,
        };
        self.listener.run(app, settings).await;
    }
}
