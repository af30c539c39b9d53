//! The conductor: the only room that knows the order of the steps.

mod arrival;
mod delivery;
mod enrollment;
mod explain;
mod genuine;
mod notice;
mod permits;
pub mod rejection;
mod token_cache;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde_json::Value;
use subtle::ConstantTimeEq;
use url::Url;

use crate::app::rejection::Rejection;
use crate::callback::CallbackSender;
use crate::clock::{Clock, after};
use crate::config::Config;
use crate::engine::{DriveResult, Engine, ExecutionMode, TurnDeadlines};
use crate::failpoint::reach;
use crate::http::target::Policy;
use crate::http::{Http, HttpSettings};
use crate::job::{Job, JobId};
use crate::plan::{Limits, Outlook};
use crate::secrets::{SecretError, SecretStore, Secrets};
use crate::store::delivery::StoredDelivery;
use crate::store::{AddResult, Store, StoreError};
use crate::update::UpdateRequest;
use crate::zoho::Client;
use crate::zoho::concurrency::SharedPermits;
use crate::zoho::token_cache::TokenCache;
pub use arrival::InboundRequest;
pub use delivery::{IgnoreReason, MappingOutcome};
pub use explain::{Condition, ConditionResult, Explanation, ExpressionResult};
use genuine::Fetcher;
pub use notice::{AwsEvent, EventOutcome};
use permits::StorePermits;
use token_cache::{SecretTokenCache, StoreTokenCache};
use webhook_verify::handshake::Handshake;
use webhook_verify::verify::KeyCache;

/// Kept free at the end of an invocation for the callback about an unfinished job, and for the answer.
const MARGIN: Duration = Duration::from_secs(3);

/// Jobs that one turn takes on: enough for a thousand deliveries of one window to share their calls.
const TURN_JOBS: usize = 1_000;

/// The time of an invocation that does not say how long it may take.
const DEFAULT_TIME: Duration = Duration::from_secs(300);

/// What a hook is answered.
#[derive(Debug)]
pub enum HookResponse {
    /// It was a sender's handshake.
    Handshake(Handshake),
    /// It was a delivery. Some senders want to hear something of their own in reply.
    Delivery(Acceptance, Option<Handshake>),
}

/// What became of a request that was taken in.
#[derive(Debug)]
pub enum Acceptance {
    /// Inline: its jobs were driven as far as the time went.
    Driven(Vec<Job>),
    /// Durably: its jobs are stored, and will be driven.
    Queued(Vec<Job>),
}

impl Acceptance {
    /// The jobs.
    pub fn jobs(&self) -> &[Job] {
        match self {
            Self::Driven(jobs) | Self::Queued(jobs) => jobs,
        }
    }

    /// Whether time ran out before the end of a job that nobody else takes up: the same delivery goes on from there.
    pub fn needs_redelivery(&self) -> bool {
        match self {
            Self::Driven(jobs) => !jobs.iter().all(|job| job.status().is_final()),
            Self::Queued(_) => false,
        }
    }
}

/// Jobs of one delivery, and the delivery itself if it is to be kept with them.
struct NewJobs {
    jobs: Vec<Job>,
    delivery: Option<StoredDelivery>,
    /// Why there are none, if so.
    ignored: Option<IgnoreReason>,
}

/// Jobs of one delivery that are safe in the store.
#[derive(Default)]
struct StoredJobs {
    jobs: Vec<Job>,
    /// Those that were not there before.
    new: Vec<JobId>,
}

/// The whole of masshook, wired.
#[derive(Debug)]
pub struct App {
    config: Arc<Config>,
    clock: Arc<dyn Clock>,
    secrets: Arc<Secrets>,
    fetcher: Fetcher,
    certificates: KeyCache,
    engine: Engine,
}

/// What the rooms at the edges provide.
#[derive(Debug)]
pub struct Dependencies {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Where jobs are kept.
    pub store: Arc<dyn Store>,
    /// What answers for `secretsmanager:`.
    pub secrets_manager: Arc<dyn SecretStore>,
    /// Whether jobs are seen through at once or left to wake-ups.
    pub mode: ExecutionMode,
    /// Where the Lambda runtime listens, which no callback may reach.
    pub runtime_api: Option<std::net::SocketAddr>,
    /// Where Amazon SNS is reached instead of at the addresses that its messages name.
    pub sns_endpoint: Option<Url>,
}

impl App {
    /// Wires the rooms together. Nothing is opened, fetched or compiled yet.
    pub fn new(config: Config, edges: Dependencies) -> Self {
        let Dependencies {
            clock,
            store,
            secrets_manager,
            mode,
            runtime_api,
            sns_endpoint,
        } = edges;
        let secrets = Arc::new(Secrets::new(clock.clone(), secrets_manager));
        let overrides = config
            .connections
            .values()
            .flat_map(|connection| [&connection.accounts_url, &connection.api_url]);
        let trusted_hosts = overrides
            .flatten()
            .chain(&sns_endpoint)
            .filter_map(|url| url.host_str().map(str::to_owned))
            .collect();
        let http = Http::new(HttpSettings {
            allow_loopback: config.callbacks.allow_loopback,
            trusted_hosts,
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
        let (store_cache, permits) = match &mode {
            ExecutionMode::Durable(_) => {
                let cache = StoreTokenCache::new(store.clone(), store.clone());
                let permits = StorePermits::new(store.clone());
                (
                    Some(Arc::new(cache) as Arc<dyn TokenCache>),
                    Some(Arc::new(permits) as Arc<dyn SharedPermits>),
                )
            }
            ExecutionMode::Inline => (None, None),
        };
        let cache_secrets = secrets.clone();
        let clients = config.connections.iter().map(|(name, connection)| {
            let (http, secrets, clock) = (http.clone(), secrets.clone(), clock.clone());
            let client = Client::new(name.clone(), connection.clone(), http, secrets, clock);
            let secret = connection.token_cache.as_ref();
            let secret = secret.and_then(|reference| reference.writable_name());
            let secret_cache = secret.map(|name| {
                let cache = SecretTokenCache::new(cache_secrets.clone(), name.to_owned());
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
        let engine = Engine::new(store, clients.collect(), callbacks, clock.clone(), mode);
        let fetcher = Fetcher { http, sns_endpoint };
        Self {
            certificates: KeyCache::new(Arc::new(fetcher.clone())),
            fetcher,
            config: Arc::new(config),
            clock,
            secrets,
            engine,
        }
    }

    /// What it goes by.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The largest body that is taken in.
    pub fn max_body_bytes(&self) -> usize {
        self.config.limits.max_body_bytes
    }

    /// Drives jobs that were waked, and jobs that are due anyway: together they share calls.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot say what is due; the jobs that were waked are driven all the same.
    pub async fn run_turn(
        &self,
        waked: &[JobId],
        deadline: Option<Timestamp>,
    ) -> Result<Vec<DriveResult>, StoreError> {
        let due = self.engine.store().due(self.clock.now(), TURN_JOBS).await;
        let mut ids = waked.to_vec();
        let mut failed = None;
        match due {
            Ok(due) => ids.extend(due),
            Err(error) => failed = Some(error),
        }
        let mut seen = HashSet::new();
        ids.retain(|id| seen.insert(id.clone()));
        let driven = self.engine.drive(&ids, self.deadlines(deadline)).await;
        for DriveResult { id, outcome } in &driven {
            if let Err(error) = outcome {
                tracing::error!(job.id = %id, "{error}");
            }
        }
        failed.map_or(Ok(driven), Err)
    }

    /// Where jobs are kept.
    pub fn store(&self) -> &dyn Store {
        self.engine.store()
    }

    /// Asks for jobs to be driven now.
    pub async fn wake(&self, jobs: &[JobId]) {
        if let ExecutionMode::Durable(wakeups) = self.engine.mode() {
            let wakes: Vec<(JobId, Duration)> =
                jobs.iter().map(|id| (id.clone(), Duration::ZERO)).collect();
            if let Err(error) = wakeups.wake(&wakes).await {
                tracing::warn!("{error}; a sweep will find them");
            }
        }
    }

    /// Takes an update request through the flow from `plan` on. `key` tells it from every other request; with the same
    /// key comes the same job.
    ///
    /// # Errors
    /// [`Rejection`]; no job was made then.
    pub async fn request(
        &self,
        request: &Value,
        key: Option<&str>,
        deadline: Option<Timestamp>,
    ) -> Result<Acceptance, Rejection> {
        let update = UpdateRequest::parse(request).map_err(Rejection::Invalid)?;
        let connection = self
            .config
            .default_connection()
            .ok_or(Rejection::NoConnection)?
            .to_owned();
        let key = key.map_or_else(|| format!("{:032x}", fastrand::u128(..)), str::to_owned);
        let id = JobId::derive("/jobs", &key, 1);
        let callback_url = update.callback_url.clone();
        let job = Job::new(id, None, connection, update, callback_url, self.clock.now())
            .with_track_for(self.config.track_for)
            .with_on_unknown_outcome(self.config.on_unknown_outcome)
            .with_callback_on(self.config.callback_on);
        self.check_callbacks(std::slice::from_ref(&job))?;
        let wanted = NewJobs {
            jobs: vec![job],
            delivery: None,
            ignored: None,
        };
        self.accept(wanted, deadline).await
    }

    /// Reads an update request that is only looked at; nothing is called.
    ///
    /// # Errors
    /// [`Rejection::Invalid`], [`Rejection::Callback`].
    pub fn check(&self, request: &Value) -> Result<UpdateRequest, Rejection> {
        let update = UpdateRequest::parse(request).map_err(Rejection::Invalid)?;
        if let Some(url) = &update.callback_url {
            self.engine
                .callbacks()
                .accepts(url)
                .map_err(Rejection::Callback)?;
        }
        Ok(update)
    }

    /// What an update request comes to; nothing is called.
    ///
    /// # Errors
    /// Those of [`App::check`].
    pub fn plan(&self, request: &Value) -> Result<Value, Rejection> {
        let update = self.check(request)?;
        Ok(Outlook::of(&update, &Limits::ZOHO).to_json())
    }

    /// A job as it stands.
    ///
    /// # Errors
    /// [`Rejection::NoSuchJob`], [`Rejection::Unreadable`], [`Rejection::Store`].
    pub async fn job(&self, id: &str) -> Result<Job, Rejection> {
        let job = self
            .engine
            .store()
            .get(&JobId::from_outside(id))
            .await
            .map_err(Rejection::of_store)?;
        job.ok_or_else(|| Rejection::NoSuchJob(id.chars().take(80).collect()))
    }

    /// Whether a bearer key opens `/jobs`.
    ///
    /// # Errors
    /// [`Rejection::Unauthorized`], [`Rejection::Closed`], [`Rejection::Secret`].
    pub async fn authorize(&self, bearer: Option<&str>) -> Result<(), Rejection> {
        let reference = self.config.api.key.as_ref().ok_or(Rejection::Closed)?;
        let key = self
            .secrets
            .get(reference)
            .await
            .map_err(Rejection::Secret)?;
        let key = key.expose_secret();
        if key.is_empty() {
            let (reference, why) = (reference.to_string(), "is empty".to_owned());
            return Err(Rejection::Secret(SecretError::Malformed { reference, why }));
        }
        let given = bearer.unwrap_or_default();
        if bool::from(given.as_bytes().ct_eq(key.as_bytes())) {
            Ok(())
        } else {
            Err(Rejection::Unauthorized)
        }
    }

    /// Stores jobs, all before the first of them is driven, and drives them.
    async fn accept(
        &self,
        wanted: NewJobs,
        deadline: Option<Timestamp>,
    ) -> Result<Acceptance, Rejection> {
        let mut admitted = StoredJobs::default();
        self.admit(wanted, &mut admitted).await?;
        let mut accepted = self.go(vec![admitted], deadline).await;
        accepted.pop().unwrap_or(Ok(Acceptance::Queued(Vec::new())))
    }

    /// Stores jobs; one that is known already stays as it is.
    async fn admit(&self, wanted: NewJobs, admitted: &mut StoredJobs) -> Result<(), Rejection> {
        let NewJobs {
            jobs, mut delivery, ..
        } = wanted;
        for mut job in jobs {
            reach("accept.before_add");
            let adding = self.engine.store().add(&job, delivery.as_ref());
            let added = adding.await.map_err(Rejection::Store)?;
            reach("accept.added");
            match added {
                AddResult::Existing => {
                    if let Some(stored) = self.same_or_reused(&job).await? {
                        job = stored;
                    }
                }
                AddResult::New => {
                    delivery = None;
                    admitted.new.push(job.id.clone());
                }
            }
            admitted.jobs.push(job);
        }
        Ok(())
    }

    /// Sets jobs going, those of several deliveries together, so that they share calls. Each delivery is told of its own.
    async fn go(
        &self,
        admitted: Vec<StoredJobs>,
        deadline: Option<Timestamp>,
    ) -> Vec<Result<Acceptance, Rejection>> {
        if let ExecutionMode::Durable(wakeups) = self.engine.mode() {
            let now = self.clock.now();
            // A redelivery is told how its job is, and wakes nobody.
            let new = admitted.iter().flat_map(|delivery| {
                let jobs = delivery.jobs.iter();
                jobs.filter(|job| delivery.new.contains(&job.id))
            });
            let delay = |job: &Job| {
                Some(Duration::try_from(job.due(now)?.duration_since(now)).unwrap_or_default())
            };
            let wakes: Vec<(JobId, Duration)> = new
                .filter_map(|job| Some((job.id.clone(), delay(job)?)))
                .collect();
            let mut full = None;
            if !wakes.is_empty()
                && let Err(error) = wakeups.wake(&wakes).await
            {
                // The store is the truth: a sweep finds them.
                tracing::warn!("{error}; a sweep will find them");
                full = Some(error).filter(|error| error.retryable);
            }
            reach("accept.woken");
            // More comes in than the queue takes: whoever sends hears so, and finds the same jobs when they come again.
            let queued = |delivery: StoredJobs| match &full {
                Some(error) if !delivery.new.is_empty() => Err(Rejection::Queue(error.clone())),
                Some(_) | None => Ok(Acceptance::Queued(delivery.jobs)),
            };
            return admitted.into_iter().map(queued).collect();
        }
        let ids = admitted.iter().flat_map(|delivery| &delivery.jobs);
        let ids: BTreeSet<JobId> = ids.map(|job| job.id.clone()).collect();
        let ids: Vec<JobId> = ids.into_iter().collect();
        let driven = self.engine.drive(&ids, self.deadlines(deadline)).await;
        let driven: BTreeMap<JobId, Result<Job, String>> = driven
            .into_iter()
            .map(|DriveResult { id, outcome }| {
                let job = match outcome {
                    Ok(Some(job)) => Ok(job),
                    Ok(None) => Err(format!("job {id} has vanished from the store")),
                    Err(error) => Err(error.to_string()),
                };
                (id, job)
            })
            .collect();
        let told = |delivery: StoredJobs| {
            let jobs = delivery.jobs.iter();
            let jobs = jobs.filter_map(|job| driven.get(&job.id).cloned());
            let jobs: Result<Vec<Job>, String> = jobs.collect();
            jobs.map(Acceptance::Driven).map_err(Rejection::Drive)
        };
        admitted.into_iter().map(told).collect()
    }

    /// Refuses jobs whose status would have nowhere to go.
    fn check_callbacks(&self, jobs: &[Job]) -> Result<(), Rejection> {
        let mut callbacks = jobs.iter().filter_map(|job| job.callback.as_ref());
        callbacks
            .try_for_each(|callback| self.engine.callbacks().accepts(&callback.url))
            .map_err(Rejection::Callback)
    }

    /// A redelivered webhook finds its job and changes nothing; an idempotency key that comes with another request is a
    /// mistake of the caller.
    async fn same_or_reused(&self, job: &Job) -> Result<Option<Job>, Rejection> {
        let stored = match self.engine.store().get(&job.id).await {
            Ok(stored) => stored,
            // It is there, and sending it again does not make it readable.
            Err(error @ StoreError::Unreadable { .. }) if job.route.is_some() => {
                tracing::warn!(job.id = %job.id, "{error}");
                None
            }
            Err(error) => return Err(Rejection::of_store(error)),
        };
        let same = stored
            .as_ref()
            .is_none_or(|stored| stored.request_hash == job.request_hash);
        tracing::info!(job.id = %job.id, same, "job is known already");
        if same || job.route.is_some() {
            Ok(stored)
        } else {
            Err(Rejection::KeyReused(job.id.clone()))
        }
    }

    fn deadlines(&self, deadline: Option<Timestamp>) -> TurnDeadlines {
        let now = self.clock.now();
        // `cargo lambda watch` gives deadlines that are no moments of this century.
        let deadline = deadline.filter(|deadline| *deadline > now);
        let end = deadline.unwrap_or_else(|| after(now, DEFAULT_TIME));
        let left = Duration::try_from(end.duration_since(now)).unwrap_or_default();
        let margin = MARGIN.min(left / 4);
        let give_up = end.saturating_sub(margin).unwrap_or(now);
        let end = end.saturating_sub(margin / 6).unwrap_or(now);
        TurnDeadlines { give_up, end }
    }
}
