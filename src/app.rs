//! The conductor: the only room that knows the order of the steps.

mod genuine;
pub mod rejection;
mod shelf;

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::Method;
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, COOKIE, PROXY_AUTHORIZATION};
use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde_json::Value;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::app::rejection::Rejection;
use crate::callback::Sender;
use crate::clock::Clock;
use crate::config::{Config, Route};
use crate::engine::{Driven, Engine, Manner, Turn};
use crate::failpoint::reach;
use crate::http::target::Policy;
use crate::http::{Http, HttpSettings};
use crate::inbound::body::{self, Body};
use crate::inbound::handshake::Handshake;
use crate::inbound::verify::Cached;
use crate::job::delivery::KeptDelivery;
use crate::job::store::{Added, JobStore, StoreError};
use crate::job::{Job, JobId};
use crate::mapping::{self, Document, Input, Program};
use crate::plan::{Limits, Outlook};
use crate::secrets::{SecretError, SecretStore, Secrets};
use crate::update::UpdateRequest;
use crate::zoho::Client;
use crate::zoho::shelf::TokenShelf;
use crate::zoho::slots::SlotShelf;
use genuine::Fetcher;
use shelf::{SecretShelf, StoreShelf, StoreSlots};

/// Kept free at the end of an invocation for the callback about an unfinished job, and for the answer.
const MARGIN: Duration = Duration::from_secs(3);

/// Jobs that one turn takes on: enough for a thousand deliveries of one window to share their calls.
const TURN_JOBS: usize = 1_000;

/// The time of an invocation that does not say how long it may take.
const DEFAULT_TIME: Duration = Duration::from_secs(300);

/// Something that came in for a route, before anything of it is believed.
#[derive(Clone)]
pub struct Arrival {
    /// The route that it was sent to.
    pub route: String,
    /// Its HTTP method.
    pub method: Method,
    /// What follows the route in the path, without the slash.
    pub rest: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its query, as it was sent, without the question mark.
    pub query: String,
    /// Its body, byte for byte as the sender wrote it.
    pub body: Bytes,
}

impl Arrival {
    /// A POST of nothing but a route, headers and a body.
    pub fn post(route: String, headers: HeaderMap, body: Bytes) -> Self {
        Self {
            route,
            method: Method::POST,
            rest: String::new(),
            headers,
            query: String::new(),
            body,
        }
    }

    /// The query parameters; of a repeated one, the last.
    fn parameters(&self) -> BTreeMap<String, String> {
        form_urlencoded::parse(self.query.as_bytes())
            .into_owned()
            .collect()
    }
}

/// Headers carry signatures and keys, bodies carry people's data: neither is printed.
impl fmt::Debug for Arrival {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Arrival")
            .field("route", &self.route)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// A delivery that has been verified and mapped: the update requests that it asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Mapped {
    /// The id that tells this delivery from every other of its route.
    pub delivery_id: String,
    /// The update requests; none if the route ignores the delivery.
    pub updates: Vec<UpdateRequest>,
}

/// What a hook is answered.
#[derive(Debug)]
pub enum Answered {
    /// It was a sender's handshake.
    Handshake(Handshake),
    /// It was a delivery. Some senders want to hear something of their own in reply.
    Delivery(Accepted, Option<Handshake>),
}

/// What became of a request that was taken in.
#[derive(Debug)]
pub enum Accepted {
    /// Inline: its jobs were driven as far as the time went.
    Driven(Vec<Job>),
    /// Durably: its jobs are stored, and will be driven.
    Queued(Vec<Job>),
}

/// The whole of masshook, wired.
#[derive(Debug)]
pub struct App {
    config: Arc<Config>,
    clock: Arc<dyn Clock>,
    secrets: Arc<Secrets>,
    http: Http,
    certificates: Cached,
    engine: Engine,
}

/// What the rooms at the edges provide.
#[derive(Debug)]
pub struct Edges {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Where jobs are kept.
    pub store: Arc<dyn JobStore>,
    /// What answers for `secretsmanager:`.
    pub secrets_manager: Arc<dyn SecretStore>,
    /// Whether jobs are seen through at once or left to wake-ups.
    pub manner: Manner,
    /// Where the Lambda runtime listens, which no callback may reach.
    pub runtime_api: Option<std::net::SocketAddr>,
}

impl App {
    /// Wires the rooms together. Nothing is opened, fetched or compiled yet.
    pub fn new(config: Config, edges: Edges) -> Self {
        let Edges {
            clock,
            store,
            secrets_manager,
            manner,
            runtime_api,
        } = edges;
        let secrets = Arc::new(Secrets::new(clock.clone(), secrets_manager));
        let overrides = config
            .connections
            .values()
            .flat_map(|connection| [&connection.accounts_url, &connection.api_url]);
        let trusted_hosts = overrides
            .flatten()
            .filter_map(|url| url.host_str().map(str::to_owned))
            .collect();
        let http = Http::new(HttpSettings {
            allow_loopback: config.callbacks.allow_loopback,
            trusted_hosts,
            runtime_api,
            ..HttpSettings::default()
        });
        let callbacks = Sender::new(
            http.clone(),
            secrets.clone(),
            config.callbacks.signing_secret.clone(),
            Policy {
                runtime_api,
                ..config.callbacks.policy()
            },
        );
        let shelf: Option<Arc<dyn TokenShelf>> = match &manner {
            Manner::Durable(_) => Some(Arc::new(StoreShelf(store.clone()))),
            Manner::Inline => None,
        };
        let of_shelves = secrets.clone();
        let slots: Option<Arc<dyn SlotShelf>> = match &manner {
            Manner::Durable(_) => Some(Arc::new(StoreSlots::over(store.clone()))),
            Manner::Inline => None,
        };
        let clients = config.connections.iter().map(|(name, connection)| {
            let (http, secrets, clock) = (http.clone(), secrets.clone(), clock.clone());
            let client = Client::new(name.clone(), connection.clone(), http, secrets, clock);
            let cache = connection.token_cache.as_ref();
            let cache = cache.and_then(|reference| reference.writable_name());
            let own = cache.map(|cache| SecretShelf::new(of_shelves.clone(), cache.to_owned()));
            let own = own.map(|shelf| Arc::new(shelf) as Arc<dyn TokenShelf>);
            let client = match own.or_else(|| shelf.clone()) {
                Some(shelf) => client.sharing(shelf),
                None => client,
            };
            let client = match &slots {
                Some(slots) => client.sharing_slots(slots.clone()),
                None => client,
            };
            (name.clone(), client)
        });
        let engine = Engine::new(store, clients.collect(), callbacks, clock.clone(), manner);
        let certificates = Cached::new(Arc::new(Fetcher(http.clone())));
        Self {
            http,
            certificates,
            config: Arc::new(config),
            clock,
            secrets,
            engine,
        }
    }

    /// The largest body that is taken in.
    pub fn max_body_bytes(&self) -> usize {
        self.config.limits.max_body_bytes
    }

    /// Takes a delivery through the whole flow. `deadline` is when the caller stops listening.
    ///
    /// # Errors
    /// [`Rejection`]; no job was made then.
    pub async fn deliver(
        &self,
        arrival: Arrival,
        deadline: Option<Timestamp>,
    ) -> Result<Answered, Rejection> {
        let (_, route) = self.route(&arrival.route)?;
        if let Some(handshake) = self.greet(route, &arrival).await? {
            return Ok(Answered::Handshake(handshake));
        }
        if !matches!(arrival.method, Method::POST | Method::PUT) {
            return Err(Rejection::MethodNotAllowed);
        }
        let genuine = self.verify(route, &arrival).await?;
        match self.map_verified(&arrival, genuine.delivery_id).await {
            Ok(mapped) => {
                let accepted = self.accept_mapped(&arrival, mapped, deadline).await?;
                Ok(Answered::Delivery(accepted, genuine.reply))
            }
            Err(rejection) => {
                self.keep(&arrival, &rejection).await?;
                Err(rejection)
            }
        }
    }

    /// Takes a delivery again that ended nowhere before. It was verified when it came.
    ///
    /// # Errors
    /// [`Rejection`]; it is still kept then.
    pub async fn replay(&self, kept: &KeptDelivery) -> Result<Accepted, Rejection> {
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&kept.query)
            .finish();
        let arrival = Arrival {
            query,
            ..Arrival::post(kept.route.clone(), kept.headers.clone(), kept.body.clone())
        };
        let mapped = self.map_unverified(&arrival).await?;
        let accepted = self.accept_mapped(&arrival, mapped, None).await?;
        self.engine
            .store()
            .forget(&kept.id)
            .await
            .map_err(Rejection::Store)?;
        Ok(accepted)
    }

    async fn accept_mapped(
        &self,
        arrival: &Arrival,
        mapped: Mapped,
        deadline: Option<Timestamp>,
    ) -> Result<Accepted, Rejection> {
        let (_, route) = self.route(&arrival.route)?;
        let now = self.clock.now();
        let window = route.batch_window.unwrap_or(self.config.batch_window);
        let mut jobs = Vec::with_capacity(mapped.updates.len());
        for (index, update) in mapped.updates.into_iter().enumerate() {
            let id = JobId::derive(&arrival.route, &mapped.delivery_id, index + 1);
            let callback_url = update
                .callback_url
                .clone()
                .or_else(|| route.callback_url.clone());
            let (name, connection) = (arrival.route.clone(), route.connection.clone());
            let job = Job::new(id, Some(name), connection, update, callback_url, now);
            let mut job = job
                .tracked_for(route.track_for.unwrap_or(self.config.track_for))
                .reporting(route.callback_on.unwrap_or(self.config.callback_on));
            if let Manner::Durable(_) = self.engine.manner() {
                job.not_before(end_of_window(now, window));
            }
            jobs.push(job);
        }
        if jobs.is_empty() {
            tracing::info!(route = arrival.route, "delivery ignored by its route");
        }
        self.accept(jobs, deadline).await
    }

    /// Keeps a genuine delivery that ended nowhere, so that it can be replayed once the cause is mended. Inline there is
    /// nowhere to keep it.
    async fn keep(&self, arrival: &Arrival, rejection: &Rejection) -> Result<(), Rejection> {
        let Manner::Durable(_) = self.engine.manner() else {
            return Ok(());
        };
        if !rejection.is_about_mapping() {
            return Ok(());
        }
        let errors = rejection.errors();
        let reason = match errors.is_empty() {
            true => rejection.to_string(),
            false => format!("{rejection}: {}", Value::Array(errors)),
        };
        let kept = KeptDelivery {
            id: format!("dlv_{}", &fingerprint(arrival)[..32]),
            route: arrival.route.clone(),
            at: self.clock.now(),
            code: rejection.code().to_owned(),
            reason,
            headers: without_credentials(&arrival.headers),
            query: arrival.parameters(),
            body: arrival.body.clone(),
        };
        reach("keep.before");
        self.engine
            .store()
            .keep(&kept)
            .await
            .map_err(Rejection::Store)?;
        reach("keep.kept");
        Ok(())
    }

    /// Drives jobs that were waked, and jobs that are due anyway: together they share calls.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot say what is due; the jobs that were waked are driven all the same.
    pub async fn turn(
        &self,
        waked: &[JobId],
        deadline: Option<Timestamp>,
    ) -> Result<Vec<Driven>, StoreError> {
        let due = self.engine.store().due(self.clock.now(), TURN_JOBS).await;
        let mut ids = waked.to_vec();
        let mut failed = None;
        match due {
            Ok(due) => ids.extend(due),
            Err(error) => failed = Some(error),
        }
        let mut seen = HashSet::new();
        ids.retain(|id| seen.insert(id.clone()));
        let driven = self.engine.drive(&ids, self.moments(deadline)).await;
        for Driven { id, outcome } in &driven {
            if let Err(error) = outcome {
                tracing::error!(job.id = %id, "{error}");
            }
        }
        failed.map_or(Ok(driven), Err)
    }

    /// Where jobs are kept.
    pub fn store(&self) -> &dyn JobStore {
        self.engine.store()
    }

    /// Asks for jobs to be driven now.
    pub async fn wake(&self, jobs: &[JobId]) {
        if let Manner::Durable(wakeups) = self.engine.manner() {
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
    ) -> Result<Accepted, Rejection> {
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
            .tracked_for(self.config.track_for)
            .reporting(self.config.callback_on);
        self.accept(vec![job], deadline).await
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
    /// [`Rejection::NoSuchJob`], [`Rejection::Store`].
    pub async fn job(&self, id: &str) -> Result<Job, Rejection> {
        let job = self
            .engine
            .store()
            .get(&JobId::from_outside(id))
            .await
            .map_err(Rejection::Store)?;
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

    /// Verifies and maps a delivery, and stops there.
    ///
    /// # Errors
    /// [`Rejection`].
    pub async fn map(&self, arrival: &Arrival) -> Result<Mapped, Rejection> {
        let (_, route) = self.route(&arrival.route)?;
        let genuine = self.verify(route, arrival).await?;
        self.map_verified(arrival, genuine.delivery_id).await
    }

    /// Maps a delivery without asking whether it is genuine: for looking at what a route would do.
    ///
    /// # Errors
    /// [`Rejection`].
    pub async fn map_unverified(&self, arrival: &Arrival) -> Result<Mapped, Rejection> {
        self.map_verified(arrival, None).await
    }

    async fn map_verified(
        &self,
        arrival: &Arrival,
        scheme_id: Option<String>,
    ) -> Result<Mapped, Rejection> {
        let (name, route) = self.route(&arrival.route)?;
        let content_type = arrival
            .headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        let encoding = arrival
            .headers
            .get(CONTENT_ENCODING)
            .and_then(|value| value.to_str().ok());
        let limit = self.max_body_bytes();
        let unpacked =
            body::unpack(content_type, encoding, &arrival.body, limit).map_err(Rejection::Body)?;
        let body = match unpacked.decode().map_err(Rejection::Body)? {
            Body::Json(text) => Document::from_json(text).map_err(Rejection::NotJson)?,
            Body::Tree(tree) => Document::from_value(&tree),
        };
        let parameters = arrival.parameters();
        let headers = joined(&arrival.headers);
        let input = Input {
            body: &body,
            headers: &headers,
            query: &parameters,
            route: name,
            received_at: self.clock.now(),
        };
        if let Some(when) = &route.when
            && !mapping::truthy(&self.run("when", when, &input).await?)
        {
            return Ok(Mapped {
                delivery_id: String::new(),
                updates: Vec::new(),
            });
        }
        let asked = match &route.delivery_id {
            Some(program) => self
                .run("delivery_id", program, &input)
                .await?
                .into_iter()
                .next(),
            None => None,
        };
        let delivery_id = asked
            .and_then(as_id)
            .or(scheme_id)
            .unwrap_or_else(|| fingerprint(arrival));
        let outputs = self.run("map", &route.map, &input).await?;
        let unmappable = |outputs| Rejection::Unmappable {
            route: name.to_owned(),
            outputs,
        };
        let updates = mapping::updates(&outputs).map_err(unmappable)?;
        Ok(Mapped {
            delivery_id,
            updates,
        })
    }

    async fn run(
        &self,
        key: &'static str,
        program: &Program,
        input: &Input<'_>,
    ) -> Result<Vec<Value>, Rejection> {
        let limits = self.config.limits.mapping();
        program
            .run(input, &limits)
            .await
            .map_err(|error| Rejection::Mapping {
                route: input.route.to_owned(),
                key,
                error,
            })
    }

    fn route(&self, name: &str) -> Result<(&str, &Route), Rejection> {
        let found = self.config.routes.get_key_value(name);
        let found = found.map(|(name, route)| (name.as_str(), route));
        found.ok_or_else(|| Rejection::NoSuchRoute(name.chars().take(80).collect()))
    }

    /// Stores jobs, all before the first of them is driven, and drives them.
    async fn accept(
        &self,
        jobs: Vec<Job>,
        deadline: Option<Timestamp>,
    ) -> Result<Accepted, Rejection> {
        for job in &jobs {
            if let Some(callback) = &job.callback {
                self.engine
                    .callbacks()
                    .accepts(&callback.url)
                    .map_err(Rejection::Callback)?;
            }
        }
        let mut known = Vec::new();
        for job in &jobs {
            reach("accept.before_add");
            let added = self
                .engine
                .store()
                .add(job)
                .await
                .map_err(Rejection::Store)?;
            reach("accept.added");
            if added == Added::Existing {
                known.extend(self.same_or_reused(job).await?);
            }
        }
        let ids: Vec<JobId> = jobs.iter().map(|job| job.id.clone()).collect();
        if let Manner::Durable(wakeups) = self.engine.manner() {
            let now = self.clock.now();
            let mut jobs = jobs;
            for job in &mut jobs {
                // A redelivery is told how its job is, and wakes nobody.
                if let Some(stored) = known.iter().find(|stored: &&Job| stored.id == job.id) {
                    *job = stored.clone();
                }
            }
            let new = jobs
                .iter()
                .filter(|job| !known.iter().any(|stored| stored.id == job.id));
            let delay = |job: &Job| {
                Some(Duration::try_from(job.due(now)?.duration_since(now)).unwrap_or_default())
            };
            let wakes: Vec<(JobId, Duration)> = new
                .filter_map(|job| Some((job.id.clone(), delay(job)?)))
                .collect();
            if !wakes.is_empty()
                && let Err(error) = wakeups.wake(&wakes).await
            {
                // The store is the truth: a sweep finds them.
                tracing::warn!("{error}; a sweep will find them");
            }
            reach("accept.woken");
            return Ok(Accepted::Queued(jobs));
        }
        let mut driven: BTreeMap<JobId, Job> = BTreeMap::new();
        for Driven { id, outcome } in self.engine.drive(&ids, self.moments(deadline)).await {
            match outcome {
                Ok(Some(job)) => driven.insert(id, job),
                Ok(None) => {
                    return Err(Rejection::Drive(format!(
                        "job {id} has vanished from the store"
                    )));
                }
                Err(error) => return Err(Rejection::Drive(error.to_string())),
            };
        }
        Ok(Accepted::Driven(
            ids.iter().filter_map(|id| driven.remove(id)).collect(),
        ))
    }

    /// A redelivered webhook finds its job and changes nothing; an idempotency key that comes with another request is a
    /// mistake of the caller.
    async fn same_or_reused(&self, job: &Job) -> Result<Option<Job>, Rejection> {
        let stored = self
            .engine
            .store()
            .get(&job.id)
            .await
            .map_err(Rejection::Store)?;
        let same = stored
            .as_ref()
            .is_none_or(|stored| stored.asked == job.asked);
        tracing::info!(job.id = %job.id, same, "job is known already");
        if same || job.route.is_some() {
            Ok(stored)
        } else {
            Err(Rejection::KeyReused(job.id.clone()))
        }
    }

    fn moments(&self, deadline: Option<Timestamp>) -> Turn {
        let now = self.clock.now();
        // `cargo lambda watch` gives deadlines that are no moments of this century.
        let deadline = deadline.filter(|deadline| *deadline > now);
        let end =
            deadline.unwrap_or_else(|| now.saturating_add(DEFAULT_TIME).unwrap_or(Timestamp::MAX));
        let left = Duration::try_from(end.duration_since(now)).unwrap_or_default();
        let margin = MARGIN.min(left / 4);
        let give_up = end.saturating_sub(margin).unwrap_or(now);
        let end = end.saturating_sub(margin / 6).unwrap_or(now);
        Turn { give_up, end }
    }
}

/// Headers that may be kept: a replay needs no proof of who sent it, and a store is no place for keys.
fn without_credentials(headers: &HeaderMap) -> HeaderMap {
    let mut kept = headers.clone();
    for name in [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION] {
        kept.remove(name);
    }
    kept
}

/// When the window that `now` lies in ends: windows are counted from the epoch, so that jobs that came within one window
/// are due at the same moment, whoever took them in.
fn end_of_window(now: Timestamp, window: Duration) -> Timestamp {
    let Ok(window) = i64::try_from(window.as_millis()) else {
        return now;
    };
    if window <= 0 {
        return now;
    }
    let end = (now.as_millisecond().div_euclid(window) + 1).saturating_mul(window);
    Timestamp::from_millisecond(end).unwrap_or(now)
}

/// Headers as jq sees them: lower-case names, repeated ones joined as HTTP joins them.
fn joined(headers: &HeaderMap) -> BTreeMap<String, String> {
    let mut joined: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        joined
            .entry(name.as_str().to_owned())
            .and_modify(|known| {
                known.push_str(", ");
                known.push_str(&value);
            })
            .or_insert_with(|| value.into_owned());
    }
    joined
}

/// What a `delivery_id` program yields, as an id; nothing if it found none. Only texts and numbers tell deliveries apart:
/// `.a // false` must not make one job of them all.
fn as_id(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The id of a delivery that has none: a hash of its body, and of its query, which senders without bodies use instead.
fn fingerprint(arrival: &Arrival) -> String {
    let mut hash = Sha256::new();
    hash.update(&arrival.body);
    for (key, value) in &arrival.parameters() {
        hash.update(format!("\n{}={key}{}={value}", key.len(), value.len()));
    }
    hex::encode(hash.finalize())
}
