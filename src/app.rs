//! Connects the modules and defines the order of the processing steps.

mod api;
mod callback_permissions;
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

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Semaphore, oneshot};
use url::Url;

use crate::callback::CallbackSender;
use crate::callback::permission::Permissions;
use crate::clock::{Clock, after};
use crate::config::{Config, Route};
use crate::engine::{CallbackQueue, DriveResult, Engine, ExecutionMode, Patience, TurnDeadlines};
use crate::http::target::Policy;
use crate::http::{Http, HttpSettings, read_root_certificates};
use crate::inbound::Verifier;
use crate::job::JobId;
use crate::mapping::{Pool, PoolSettings};
use crate::metrics::{Gauges, Metrics};
use crate::secrets::{SecretStore, Secrets};
use crate::store::{Store, StoreError};
use crate::zoho::concurrency::SharedPermits;
use crate::zoho::token_cache::TokenCache;
use crate::zoho::{Client, Connection, ConnectionStatus};
use callback_permissions::StoredPermissions;
use delivery_log::DeliveryLog;
pub use delivery_log::LogLosses;
pub use events::{DeadLettered, EventOutcome};
pub use explain::{Condition, ConditionResult, Explanation, ExpressionResult};
pub use flow::HookResponse;
pub use intake::Acceptance;
use intake::JobIntake;
use operations::JobOperations;
pub use overview::Activity;
use permits::StorePermits;
pub use playground::{ComparedEvent, PlaygroundRequest, RouteComparison};
pub use preview::{PreviewOutcome, RequestContent, Verification};
pub use sample::{EventForm, SampleDelivery};
pub use secret_check::{SecretCheck, SecretScope, SecretState};
use token_cache::{SecretTokenCache, StoreTokenCache};

/// Maximum jobs of one turn: enough for a thousand deliveries of one batch window to share their calls.
const TURN_JOBS: usize = 1_000;

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

    /// Drives the woken jobs together with all due jobs, so that they share calls, and sends their callbacks. Callbacks to
    /// receivers that are slow to answer are left to [`App::sweep`].
    ///
    /// # Errors
    /// [`StoreError`] if the due jobs cannot be listed; the woken jobs are driven nevertheless.
    pub async fn run_turn(
        &self,
        woken: &[JobId],
        deadline: Option<Timestamp>,
    ) -> Result<Vec<DriveResult>, StoreError> {
        let due = self
            .store()
            .due_with(woken, self.clock.now(), TURN_JOBS)
            .await;
        self.run_whole_turn(woken, due, deadline, Patience::Brief)
            .await
    }

    /// Drives all due jobs, and sends callbacks to slow receivers too. All of them share one wait.
    ///
    /// # Errors
    /// [`StoreError`] if the due jobs cannot be listed.
    pub async fn sweep(&self, deadline: Option<Timestamp>) -> Result<Vec<DriveResult>, StoreError> {
        let now = self.clock.now();
        let due = match self.store().due(now, TURN_JOBS).await {
            Ok(mut due) => {
                let slow = self.store().due_slow_callbacks(now, TURN_JOBS).await;
                slow.map(|slow| {
                    due.extend(slow);
                    due
                })
            }
            Err(error) => Err(error),
        };
        self.run_whole_turn(&[], due, deadline, Patience::Full)
            .await
    }

    /// Drives `due`, or the woken jobs if it is an error, and sends their callbacks, for an invocation that ends then.
    async fn run_whole_turn(
        &self,
        woken: &[JobId],
        due: Result<Vec<JobId>, StoreError>,
        deadline: Option<Timestamp>,
        patience: Patience,
    ) -> Result<Vec<DriveResult>, StoreError> {
        let callbacks = CallbackQueue::new(patience);
        let deadlines = self.intake.turn_deadlines(deadline);
        let (drive_ended, driving) = oneshot::channel::<()>();
        let drive = async {
            let driven = self.drive_due(woken, due, deadlines, &callbacks).await;
            drop(drive_ended);
            driven
        };
        let closed = async {
            let _ = driving.await;
            after(self.clock.now(), patience.wait_at_end()).min(deadlines.end)
        };
        let mut called_back = Vec::new();
        let send = self
            .intake
            .engine
            .send_callbacks(&callbacks, closed, |result| called_back.push(result));
        let (driven, ()) = tokio::join!(drive, send);
        log_errors(&called_back);
        let mut driven = driven?;
        driven.append(&mut called_back);
        Ok(driven)
    }

    /// Drives the woken and all due jobs. Their callbacks go to the queue of [`App::send_callbacks`].
    ///
    /// # Errors
    /// [`StoreError`] if the due jobs cannot be listed; the woken jobs are driven nevertheless.
    pub async fn run_turn_without_callbacks(
        &self,
        woken: &[JobId],
        deadline: Option<Timestamp>,
    ) -> Result<Vec<DriveResult>, StoreError> {
        let deadlines = self.intake.turn_deadlines(deadline);
        // Turns list and claim one after another, so that none lists what another is about to claim.
        let claiming = self.claiming.lock().await;
        let due = self
            .store()
            .due_with(woken, self.clock.now(), TURN_JOBS)
            .await;
        let (ids, failed) = jobs_of_turn(woken, due);
        let engine = &self.intake.engine;
        let claimed = engine.claim_jobs(&ids, deadlines).await;
        drop(claiming);
        if let [.., last] = &ids[..]
            && ids.len() >= TURN_JOBS
        {
            // There may be more, for another turn. A wake-up of any job starts one.
            self.wake(std::slice::from_ref(last)).await;
        }
        let callbacks = &self.callbacks;
        let driven = engine.drive_claimed(claimed, deadlines, callbacks).await;
        log_errors(&driven);
        failed.map_or(Ok(driven), Err)
    }

    /// Sends the callbacks of all turns until `stop` completes, with the time by which the attempts in progress must end.
    pub async fn send_callbacks(&self, stop: impl Future<Output = Timestamp>) {
        self.intake
            .engine
            .send_callbacks(&self.callbacks, stop, |result| log_errors(&[result]))
            .await;
    }

    async fn drive_due(
        &self,
        woken: &[JobId],
        due: Result<Vec<JobId>, StoreError>,
        deadlines: TurnDeadlines,
        callbacks: &CallbackQueue,
    ) -> Result<Vec<DriveResult>, StoreError> {
        let (ids, failed) = jobs_of_turn(woken, due);
        let woken: HashSet<&JobId> = woken.iter().collect();
        let (woken, others): (Vec<JobId>, Vec<JobId>) =
            ids.into_iter().partition(|id| woken.contains(id));
        let engine = &self.intake.engine;
        let driven = engine.drive(&woken, &others, deadlines, callbacks).await;
        log_errors(&driven);
        failed.map_or(Ok(driven), Err)
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

/// The jobs that a turn drives: the due ones, or the woken ones if the due ones could not be listed. Each is there once.
fn jobs_of_turn(
    woken: &[JobId],
    due: Result<Vec<JobId>, StoreError>,
) -> (Vec<JobId>, Option<StoreError>) {
    let (mut ids, failed) = match due {
        Ok(due) => (due, None),
        Err(error) => (woken.to_vec(), Some(error)),
    };
    let mut seen = HashSet::new();
    ids.retain(|id| seen.insert(id.clone()));
    (ids, failed)
}

fn log_errors(driven: &[DriveResult]) {
    for DriveResult { id, outcome } in driven {
        if let Err(error) = outcome {
            tracing::error!(job.id = %id, "{error}");
        }
    }
}

/// Hosts that the operator has configured, which may be loopback addresses.
fn trusted_hosts(config: &Config, sns_endpoint: Option<&Url>) -> BTreeSet<String> {
    let connections = config.connections.values();
    let overrides =
        connections.flat_map(|connection| [&connection.accounts_url, &connection.api_url]);
    overrides
        .flatten()
        .chain(&config.callbacks.receiver)
        .chain(sns_endpoint)
        .filter_map(|url| url.host_str().map(str::to_owned))
        .collect()
}

/// One client for each connection. With a `store`, clients of all processes share tokens and the concurrency limit.
fn zoho_clients(
    config: &Config,
    http: &Http,
    secrets: &Arc<Secrets>,
    clock: &Arc<dyn Clock>,
    metrics: &Metrics,
    store: Option<&Arc<dyn Store>>,
) -> BTreeMap<String, Client> {
    let permits =
        store.map(|store| Arc::new(StorePermits::new(store.clone())) as Arc<dyn SharedPermits>);
    let clients = config.connections.iter().map(|(name, connection)| {
        let client = Client::new(
            name.clone(),
            connection.clone(),
            http.clone(),
            secrets.clone(),
            clock.clone(),
        )
        .with_metrics(metrics.connection(name));
        let secret = connection.token_cache.as_ref();
        let secret = secret.and_then(|reference| reference.writable_name());
        let shared = Arc::new(connection.clone());
        let cache = match (secret, store) {
            (Some(secret), _) => {
                let name = secret.to_owned();
                let cache = SecretTokenCache::new(secrets.clone(), name, shared);
                Some(Arc::new(cache) as Arc<dyn TokenCache>)
            }
            (None, Some(store)) => {
                let (values, locks) = (store.clone(), store.clone());
                let cache = StoreTokenCache::new(values, locks, shared, secrets.clone());
                Some(Arc::new(cache) as Arc<dyn TokenCache>)
            }
            (None, None) => None,
        };
        let client = match cache {
            Some(cache) => client.with_token_cache(cache),
            None => client,
        };
        let client = match &permits {
            Some(permits) => client.with_shared_permits(permits.clone()),
            None => client,
        };
        (name.clone(), client)
    });
    clients.collect()
}
