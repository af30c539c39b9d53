//! Connects the modules and defines the order of the processing steps.

mod api;
mod callback_permissions;
mod clients;
mod delivery_log;
mod delivery_trace;
mod events;
mod explain;
mod flow;
mod intake;
mod jobs;
pub mod operations;
mod overview;
mod permits;
mod playground;
mod preview;
mod replay;
mod route_view;
mod sample;
mod secret_check;
mod token_cache;
mod turns;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use url::Url;

use crate::callback::CallbackSender;
use crate::callback::permission::Permissions;
use crate::clock::Clock;
use crate::config::{Config, Route};
use crate::engine::{CallbackQueue, Engine, ExecutionMode, Patience};
use crate::http::target::Policy;
use crate::http::{Http, HttpSettings, read_root_certificates};
use crate::inbound::Verifier;
use crate::job::JobId;
use crate::mapping::{Pool, PoolSettings};
use crate::metrics::{Gauges, Metrics};
use crate::secrets::{SecretStore, Secrets};
use crate::store::Store;
use crate::zoho::{Connection, ConnectionStatus};
use callback_permissions::StoredPermissions;
use clients::{trusted_hosts, zoho_clients};
use delivery_log::DeliveryLog;
pub use delivery_log::LogLosses;
pub use events::{DeadLettered, EventOutcome};
pub use explain::{Condition, ConditionResult, Explanation, ExpressionResult};
pub use flow::HookResponse;
pub use intake::Acceptance;
use intake::JobIntake;
use operations::JobOperations;
pub use overview::Activity;
pub use playground::{ComparedEvent, PlaygroundRequest, RouteComparison};
pub use preview::{PreviewOutcome, RequestContent, Verification};
pub use sample::{EventForm, SampleDelivery};
pub use secret_check::{SecretCheck, SecretScope, SecretState};

/// Bytes of the events that wait for the playground's thread.
const PLAYGROUND_WAITING_BYTES: usize = 16 << 20;

/// Wall-clock time of one run in the playground, with its time in the queue.
const PLAYGROUND_TIME: Duration = Duration::from_secs(15);

/// The time in which a start compiles programs. The others are compiled when they are used.
const PREPARATION: Duration = Duration::from_millis(5);

/// The application: all modules, connected.
#[derive(Debug)]
pub struct App {
    config: Arc<Config>,
    clock: Arc<dyn Clock>,
    secrets: Arc<Secrets>,
    verifier: Verifier,
    mapping_threads: Pool,
    /// The thread of the playground's programs.
    playground_threads: Pool,
    intake: JobIntake,
    metrics: Metrics,
    /// The clients of Zoho and of callbacks.
    http_clients: [Http; 2],
    /// The callbacks of a server, which sends them beside its turns.
    callbacks: CallbackQueue,
    delivery_log: DeliveryLog,
    /// The requests that wait for new entries of lists.
    waits: operations::Waits,
    /// Locked by the turn of a server that lists due jobs and claims them.
    claiming: tokio::sync::Mutex<()>,
}

/// What [`App::new`] needs from outside.
#[derive(Debug)]
pub struct Dependencies {
    /// Clock.
    pub clock: Arc<dyn Clock>,
    /// Job store.
    pub store: Arc<dyn Store>,
    /// Reads references with `secretsmanager:`.
    pub secrets_manager: Arc<dyn SecretStore>,
    /// Whether jobs are driven to completion at once, or by wake-ups.
    pub mode: ExecutionMode,
    /// Address of the Lambda runtime API, which no callback may reach.
    pub runtime_api: Option<std::net::SocketAddr>,
    /// Replaces the host of Amazon SNS in the URLs of its messages.
    pub sns_endpoint: Option<Url>,
    /// The numbers of the process.
    pub metrics: Metrics,
}

impl App {
    /// Connects the modules. Opens, fetches and compiles nothing.
    pub fn new(config: Config, dependencies: Dependencies) -> Self {
        let Dependencies {
            clock,
            store,
            secrets_manager,
            mode,
            runtime_api,
            sns_endpoint,
            metrics,
        } = dependencies;
        let metrics = metrics.with_names(
            config
                .routes
                .iter()
                .map(|(name, route)| (name.as_str(), route.connection.as_str())),
            config.connections.keys().map(String::as_str),
        );
        let secrets = Arc::new(Secrets::new(clock.clone(), secrets_manager));
        let settings = HttpSettings {
            allow_loopback: config.callbacks.allow_loopback,
            trusted_hosts: trusted_hosts(&config, sns_endpoint.as_ref()),
            runtime_api,
            ..HttpSettings::default()
        };
        let http = Http::new(settings.clone());
        // A client of their own: receivers that hang take no connection and no name resolution from Zoho.
        let callback_http = Http::new(settings);
        let http_clients = [http.clone(), callback_http.clone()];
        let callbacks =
            CallbackSender::new(
                callback_http,
                secrets.clone(),
                config.callbacks.signing_secret.clone(),
                Policy {
                    runtime_api,
                    ..config.callbacks.policy()
                },
            )
            .with_receiver(config.callbacks.receiver.clone())
            .with_permissions(
                config.callbacks.request_origin.clone().map(|origin| {
                    Permissions::new(origin, Arc::new(StoredPermissions(store.clone())))
                }),
            );
        let shared = matches!(mode, ExecutionMode::Durable(_)).then(|| &store);
        let clients = zoho_clients(&config, &http, &secrets, &clock, &metrics, shared);
        let max_body_bytes = config.limits.max_body_bytes;
        let verifier = Verifier::new(secrets.clone(), http, sns_endpoint, max_body_bytes);
        let keep = Some(config.delivery_log.keep).filter(|keep| *keep > 0);
        let is_inline = matches!(mode, ExecutionMode::Inline);
        let delivery_log = DeliveryLog::new(store.clone(), clock.clone(), keep, is_inline);
        let engine = Engine::new(store, clients, callbacks, clock.clone(), mode)
            .with_metrics(metrics.clone());
        Self {
            config: Arc::new(config),
            intake: JobIntake {
                engine,
                clock: clock.clone(),
            },
            clock,
            metrics,
            secrets,
            verifier,
            mapping_threads: Pool::new(PoolSettings::default()),
            playground_threads: Pool::new(playground_settings(PoolSettings::default())),
            http_clients,
            callbacks: CallbackQueue::new(Patience::Full),
            delivery_log,
            waits: operations::Waits::default(),
            claiming: tokio::sync::Mutex::default(),
        }
    }

    /// Limits the threads that map deliveries, and their memory, to half of `bytes`, the memory of the process.
    #[must_use]
    pub fn with_memory_limit(self, bytes: Option<usize>) -> Self {
        let settings = bytes.map(PoolSettings::for_memory);
        let settings = settings.unwrap_or_default();
        let mapping_threads = Pool::new(settings);
        mapping_threads.start_first_thread();
        Self {
            mapping_threads,
            playground_threads: Pool::new(playground_settings(settings)),
            ..self
        }
    }

    /// Shares the sockets for callbacks with other apps of the process: one permit for each attempt in progress.
    #[must_use]
    pub fn with_callback_sockets(self, sockets: Arc<Semaphore>) -> Self {
        Self {
            callbacks: self.callbacks.with_sockets(sockets),
            ..self
        }
    }

    /// Does what the first delivery would wait for otherwise: sets up the HTTP clients, reads the root certificates if a
    /// connection needs them, and compiles programs for a few milliseconds. Sends nothing, and reports no error: each of them
    /// is reported where its subject is used.
    pub fn prepare(&self) {
        let start = self.clock.elapsed();
        self.http_clients.iter().for_each(Http::prepare);
        if self.config.connections.values().any(Connection::uses_tls) {
            read_root_certificates();
        }
        let programs = self.config.routes.values().flat_map(Route::programs);
        for program in programs {
            if self.clock.elapsed().saturating_sub(start) > PREPARATION {
                return;
            }
            let _ = program.check();
        }
    }

    /// The configuration in use.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Maximum bytes of a request body.
    pub fn max_body_bytes(&self) -> usize {
        self.config.limits.max_body_bytes
    }

    /// The job store.
    pub fn store(&self) -> &dyn Store {
        self.intake.store()
    }

    /// The numbers of the process, under the names of this app's config.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The state of the connections, as far as this process knows it.
    pub fn connection_gauges(&self) -> Gauges {
        Gauges {
            connections: self.intake.engine.connection_gauges(),
            ..Gauges::default()
        }
    }

    /// The state of the store and of the connections. What the store cannot tell is left out.
    pub async fn gauges(&self) -> Gauges {
        let now = self.clock.now();
        let (dead_letters, oldest_due) = tokio::join!(
            self.store().count_dead_letters(),
            self.store().oldest_due(now)
        );
        let losses = self.delivery_log.losses();
        Gauges {
            log_left_out: losses.left_out,
            log_failed: losses.failed,
            dead_letters: dead_letters.ok(),
            due_is_known: oldest_due.is_ok(),
            oldest_due: oldest_due.ok().flatten(),
            connections: self.intake.engine.connection_gauges(),
        }
    }

    /// The numbers and gauges of the process as OpenMetrics text.
    pub async fn openmetrics(&self) -> String {
        let gauges = self.gauges().await;
        self.metrics.render(gauges)
    }

    /// What this process knows about the connections of the config. No request is made.
    pub fn connection_statuses(&self) -> Vec<ConnectionStatus> {
        self.intake.engine.connection_statuses()
    }

    /// What operators do with jobs.
    pub fn job_operations(&self) -> JobOperations<'_> {
        let wakeups = match self.intake.engine.mode() {
            ExecutionMode::Durable(wakeups) => Some(&**wakeups),
            ExecutionMode::Inline => None,
        };
        JobOperations {
            store: self.store(),
            clock: &*self.clock,
            wakeups,
        }
    }

    /// What the log of deliveries has not recorded.
    pub fn delivery_log_losses(&self) -> LogLosses {
        self.delivery_log.losses()
    }

    /// Writes the entries of the log of deliveries that wait.
    pub async fn flush_delivery_log(&self) {
        self.delivery_log.flush().await;
    }

    /// Requests that jobs are driven now.
    pub async fn wake(&self, jobs: &[JobId]) {
        self.intake.wake(jobs).await;
    }
}

/// The settings of the playground's pool: one thread, and a short queue. No thread is started before the first use.
fn playground_settings(settings: PoolSettings) -> PoolSettings {
    PoolSettings {
        threads: 1,
        waiting_bytes: settings.waiting_bytes.min(PLAYGROUND_WAITING_BYTES),
        time: PLAYGROUND_TIME,
        ..settings
    }
}
