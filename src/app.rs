//! Connects the modules and defines the order of the processing steps.

mod api;
mod events;
mod explain;
mod flow;
mod intake;
mod jobs;
mod permits;
mod preview;
mod replay;
mod secret_check;
mod token_cache;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use url::Url;

use crate::callback::CallbackSender;
use crate::clock::Clock;
use crate::config::Config;
use crate::engine::{DriveResult, Engine, ExecutionMode};
use crate::http::target::Policy;
use crate::http::{Http, HttpSettings};
use crate::inbound::Verifier;
use crate::job::JobId;
use crate::mapping::{Pool, PoolSettings};
use crate::secrets::{SecretStore, Secrets};
use crate::store::{Store, StoreError};
use crate::zoho::Client;
use crate::zoho::concurrency::SharedPermits;
use crate::zoho::token_cache::TokenCache;
pub use events::EventOutcome;
pub use explain::{Condition, ConditionResult, Explanation, ExpressionResult};
pub use flow::HookResponse;
pub use intake::Acceptance;
use intake::JobIntake;
use permits::StorePermits;
pub use preview::{PreviewOutcome, RequestContent, Verification};
pub use secret_check::{SecretCheck, SecretScope, SecretState};
use token_cache::{SecretTokenCache, StoreTokenCache};

/// Maximum jobs of one turn: enough for a thousand deliveries of one batch window to share their calls.
const TURN_JOBS: usize = 1_000;

/// The application: all modules, connected.
#[derive(Debug)]
pub struct App {
    config: Arc<Config>,
    clock: Arc<dyn Clock>,
    secrets: Arc<Secrets>,
    verifier: Verifier,
    mapping_threads: Pool,
    intake: JobIntake,
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
        } = dependencies;
        let secrets = Arc::new(Secrets::new(clock.clone(), secrets_manager));
        let http = Http::new(HttpSettings {
            allow_loopback: config.callbacks.allow_loopback,
            trusted_hosts: trusted_hosts(&config, sns_endpoint.as_ref()),
            runtime_api,
            ..HttpSettings::default()
        });
        let callbacks = CallbackSender::new(
            http.clone(),
            secrets.clone(),
            config.callbacks.signing_secret.clone(),
            Policy {
                runtime_api,
                ..config.callbacks.policy()
            },
        );
        let shared = matches!(mode, ExecutionMode::Durable(_)).then(|| &store);
        let clients = zoho_clients(&config, &http, &secrets, &clock, shared);
        let max_body_bytes = config.limits.max_body_bytes;
        let verifier = Verifier::new(secrets.clone(), http, sns_endpoint, max_body_bytes);
        let engine = Engine::new(store, clients, callbacks, clock.clone(), mode);
        Self {
            config: Arc::new(config),
            intake: JobIntake {
                engine,
                clock: clock.clone(),
            },
            clock,
            secrets,
            verifier,
            mapping_threads: Pool::new(PoolSettings::default()),
        }
    }

    /// Limits the threads that map deliveries, and their memory, to half of `bytes`, the memory of the process.
    #[must_use]
    pub fn with_memory_limit(self, bytes: Option<usize>) -> Self {
        let settings = bytes.map(PoolSettings::for_memory);
        let mapping_threads = Pool::new(settings.unwrap_or_default());
        mapping_threads.start_first_thread();
        Self {
            mapping_threads,
            ..self
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

    /// Requests that jobs are driven now.
    pub async fn wake(&self, jobs: &[JobId]) {
        self.intake.wake(jobs).await;
    }

    /// Drives the woken jobs together with all due jobs, so that they share calls.
    ///
    /// # Errors
    /// [`StoreError`] if the due jobs cannot be listed; the woken jobs are driven nevertheless.
    pub async fn run_turn(
        &self,
        woken: &[JobId],
        deadline: Option<Timestamp>,
    ) -> Result<Vec<DriveResult>, StoreError> {
        let due = self.store().due(self.clock.now(), TURN_JOBS).await;
        let mut ids = woken.to_vec();
        let mut failed = None;
        match due {
            Ok(due) => ids.extend(due),
            Err(error) => failed = Some(error),
        }
        let mut seen = HashSet::new();
        ids.retain(|id| seen.insert(id.clone()));
        let deadlines = self.intake.turn_deadlines(deadline);
        let driven = self.intake.engine.drive(&ids, deadlines).await;
        for DriveResult { id, outcome } in &driven {
            if let Err(error) = outcome {
                tracing::error!(job.id = %id, "{error}");
            }
        }
        failed.map_or(Ok(driven), Err)
    }
}

/// Hosts that the operator has configured, which may be loopback addresses.
fn trusted_hosts(config: &Config, sns_endpoint: Option<&Url>) -> BTreeSet<String> {
    let connections = config.connections.values();
    let overrides =
        connections.flat_map(|connection| [&connection.accounts_url, &connection.api_url]);
    overrides
        .flatten()
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
    store: Option<&Arc<dyn Store>>,
) -> BTreeMap<String, Client> {
    let store_cache = store.map(|store| {
        Arc::new(StoreTokenCache::new(store.clone(), store.clone())) as Arc<dyn TokenCache>
    });
    let permits =
        store.map(|store| Arc::new(StorePermits::new(store.clone())) as Arc<dyn SharedPermits>);
    let clients = config.connections.iter().map(|(name, connection)| {
        let client = Client::new(
            name.clone(),
            connection.clone(),
            http.clone(),
            secrets.clone(),
            clock.clone(),
        );
        let secret = connection.token_cache.as_ref();
        let secret = secret.and_then(|reference| reference.writable_name());
        let secret_cache = secret.map(|secret| {
            let cache = SecretTokenCache::new(secrets.clone(), secret.to_owned());
            Arc::new(cache) as Arc<dyn TokenCache>
        });
        let client = match secret_cache.or_else(|| store_cache.clone()) {
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
