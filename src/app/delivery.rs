//! A delivery's way from the door to its jobs.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use jiff::Timestamp;
use serde_json::Value;

use super::rejection::Rejection;
use super::{Acceptance, App, HookResponse, InboundRequest, NewJobs};
use crate::config::Route;
use crate::engine::ExecutionMode;
use crate::failpoint::reach;
use crate::inbound::trigger::Trigger;
use crate::job::DeadLetterReason;
use crate::job::{Job, JobId, JobSource};
use crate::mapping::{self, Document, MappingInput, Program, ProgramKey};
use crate::store::StoreError;
use crate::store::delivery::StoredDelivery;
use crate::update::UpdateRequest;
use webhook_verify::body::{self, Body, BodyError};

/// A delivery that has been verified and mapped: the update requests that it asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct MappingOutcome {
    /// The id that tells this delivery from every other of its route.
    pub delivery_id: String,
    /// The update requests; none if the route ignores the delivery.
    pub updates: Vec<UpdateRequest>,
    /// Why it does, if so.
    pub ignored: Option<IgnoreReason>,
}

/// Why nothing comes of a delivery for a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IgnoreReason {
    /// An expression of its `when` is false.
    When(ProgramKey),
    /// Its `map` has no output.
    Map,
}

impl fmt::Display for IgnoreReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::When(key) => write!(formatter, "`{key}` is false"),
            Self::Map => formatter.write_str("`map` yields nothing"),
        }
    }
}

/// What a route's programs see of a delivery.
pub(super) struct Seen<'a> {
    body: Document,
    unpacked: Cow<'a, [u8]>,
    headers: BTreeMap<String, String>,
    query: BTreeMap<String, String>,
    trigger: BTreeMap<String, String>,
}

impl Seen<'_> {
    pub(super) fn input<'a>(&'a self, route: &'a str, received_at: Timestamp) -> MappingInput<'a> {
        MappingInput {
            body: &self.body,
            headers: &self.headers,
            query: &self.query,
            route,
            received_at,
            raw: std::str::from_utf8(&self.unpacked).ok(),
            trigger: &self.trigger,
        }
    }
}

impl App {
    /// Takes a delivery through the whole flow. `deadline` is when the caller stops listening.
    ///
    /// # Errors
    /// [`Rejection`]; no job was made then.
    pub async fn deliver(
        &self,
        mut arrival: InboundRequest,
        deadline: Option<Timestamp>,
    ) -> Result<HookResponse, Rejection> {
        let route = self.listening(&arrival)?;
        if let Some(handshake) = self.greet(route, &arrival).await? {
            return Ok(HookResponse::Handshake(handshake));
        }
        if arrival.origin.trigger == Trigger::Http && !route.takes(&arrival.method) {
            return Err(Rejection::MethodNotAllowed);
        }
        let genuine = self.prove(route, &arrival).await?;
        if let Some(url) = &genuine.subscribe {
            return Ok(HookResponse::Handshake(self.subscribe(url).await?));
        }
        arrival.is_called(genuine.delivery_id);
        arrival.leave_out_secrets(&route.verify);
        match self.jobs_of(&arrival).await {
            Ok(wanted) => {
                if let Some(why) = wanted.ignored {
                    tracing::info!(route = arrival.route, because = %why, "delivery ignored by its route");
                }
                let accepted = self.accept(wanted, deadline).await?;
                Ok(HookResponse::Delivery(accepted, genuine.reply))
            }
            Err(rejection) => {
                self.keep(&arrival, &rejection).await?;
                Err(rejection)
            }
        }
    }

    /// Takes a dead letter again: jobs of it that failed or could not tell how they ended are done anew, and no others. It
    /// was verified when it came. If the route makes nothing of it now, it stays a dead letter.
    ///
    /// # Errors
    /// [`Rejection`]; it is still a dead letter then.
    pub async fn replay(&self, kept: &StoredDelivery) -> Result<Acceptance, Rejection> {
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&kept.query)
            .finish();
        let mut arrival = InboundRequest {
            query,
            origin: kept.origin.clone(),
            ..InboundRequest::post(kept.route.clone(), kept.headers.clone(), kept.body.clone())
        };
        let (_, route) = self.route(&arrival.route)?;
        arrival.leave_out_secrets(&route.verify);
        let mut wanted = self.jobs_of(&arrival).await?;
        if wanted.jobs.is_empty() {
            return Ok(Acceptance::Queued(Vec::new()));
        }
        wanted.delivery = None;
        for job in &mut wanted.jobs {
            if let Some(source) = &mut job.source {
                source.delivery.clone_from(&kept.id);
            }
            self.anew(job).await?;
        }
        let accepted = self.accept(wanted, None).await?;
        let now = self.clock.now();
        let jobs = accepted.jobs().iter();
        let mut open = jobs.filter(|job| job.due(now).is_some()).peekable();
        let done = open.peek().is_none();
        // Jobs of another delivery (the sender sent it again) do not let go of this one at their end.
        let own = open
            .filter_map(|job| job.source.as_ref())
            .any(|source| source.delivery == kept.id);
        let store = self.engine.store();
        let settled = match &kept.dead_letter {
            _ if done => store.delete_delivery(&kept.id).await.map(|_| ()),
            Some(dead) if own => store.restore(&kept.id, dead.since).await,
            Some(_) | None => Ok(()),
        };
        settled.map_err(Rejection::Store)?;
        Ok(accepted)
    }

    /// Gives a job that is to be done anew an id of its own, if the one that it has belongs to a job that ended badly or
    /// that nobody can read. A job that was only put aside is taken up again.
    async fn anew(&self, job: &mut Job) -> Result<(), Rejection> {
        let store = self.engine.store();
        loop {
            let known = match store.get(&job.id).await {
                Ok(None) => return Ok(()),
                Ok(Some(known)) => known,
                Err(StoreError::Unreadable { id, .. }) => {
                    job.id = JobId::derive(id.as_str(), "unreadable", 1);
                    continue;
                }
                Err(error) => return Err(Rejection::of_store(error)),
            };
            let unparked = store.unpark(&job.id, self.clock.now()).await;
            if unparked.map_err(Rejection::Store)? {
                self.wake(std::slice::from_ref(&job.id)).await;
                return Ok(());
            }
            if !known.status().is_final()
                || DeadLetterReason::for_job(&known, known.created_at).is_none()
            {
                return Ok(());
            }
            job.id = known.replay_id();
        }
    }

    /// The jobs of a delivery that was verified; nothing of them is stored yet.
    pub(super) async fn jobs_of(&self, arrival: &InboundRequest) -> Result<NewJobs, Rejection> {
        let (_, route) = self.route(&arrival.route)?;
        let mapped = self.map_verified(arrival).await?;
        let now = self.clock.now();
        let window = route.batch_window.unwrap_or(self.config.batch_window);
        let durable = matches!(self.engine.mode(), ExecutionMode::Durable(_));
        // Inline there is nowhere to keep it.
        let delivery = (durable && !mapped.updates.is_empty()).then(|| {
            let id = StoredDelivery::id_of(&arrival.route, &mapped.delivery_id);
            self.kept(arrival, id, None)
        });
        let source = delivery.as_ref().map(|delivery| JobSource {
            delivery: delivery.id.clone(),
            shared: mapped.updates.len() > 1,
        });
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
                .with_source(source.clone())
                .with_track_for(route.track_for.unwrap_or(self.config.track_for))
                .with_on_unknown_outcome(
                    route
                        .on_unknown_outcome
                        .unwrap_or(self.config.on_unknown_outcome),
                )
                .with_callback_on(route.callback_on.unwrap_or(self.config.callback_on));
            if durable {
                job.delay_until(end_of_window(now, window));
            }
            jobs.push(job);
        }
        self.check_callbacks(&jobs)?;
        Ok(NewJobs {
            jobs,
            delivery,
            ignored: mapped.ignored,
        })
    }

    /// A delivery as it is kept: without what proves who sent it.
    fn kept(
        &self,
        arrival: &InboundRequest,
        id: String,
        dead_letter: Option<DeadLetterReason>,
    ) -> StoredDelivery {
        StoredDelivery {
            id,
            route: arrival.route.clone(),
            at: self.clock.now(),
            dead_letter,
            headers: arrival.headers_to_keep(),
            query: arrival.parameters(),
            body: arrival.body.clone(),
            origin: arrival.origin.clone(),
        }
    }

    /// Keeps a genuine delivery that ended nowhere, so that it can be replayed once the cause is mended, and says whether
    /// it did. Inline there is nowhere to keep it.
    pub(super) async fn keep(
        &self,
        arrival: &InboundRequest,
        rejection: &Rejection,
    ) -> Result<bool, Rejection> {
        let ExecutionMode::Durable(_) = self.engine.mode() else {
            return Ok(false);
        };
        if !rejection.is_about_mapping() {
            return Ok(false);
        }
        let errors = rejection.errors();
        let reason = match errors.is_empty() {
            true => rejection.to_string(),
            false => format!("{rejection}: {}", Value::Array(errors)),
        };
        let dead = DeadLetterReason::new(rejection.code(), &reason, None, self.clock.now());
        let kept = self.kept(arrival, arrival.kept_name(), Some(dead));
        reach("keep.before");
        self.engine
            .store()
            .put_delivery(&kept)
            .await
            .map_err(Rejection::Store)?;
        reach("keep.kept");
        Ok(true)
    }

    /// Verifies and maps a delivery, and stops there.
    ///
    /// # Errors
    /// [`Rejection`].
    pub async fn map(&self, arrival: &InboundRequest) -> Result<MappingOutcome, Rejection> {
        let route = self.listening(arrival)?;
        let genuine = self.prove(route, arrival).await?;
        let mut arrival = arrival.clone();
        arrival.is_called(genuine.delivery_id);
        arrival.leave_out_secrets(&route.verify);
        self.map_verified(&arrival).await
    }

    /// Maps a delivery without asking whether it is genuine: for looking at what a route would do.
    ///
    /// # Errors
    /// [`Rejection`].
    pub async fn map_unverified(
        &self,
        arrival: &InboundRequest,
    ) -> Result<MappingOutcome, Rejection> {
        let (_, route) = self.route(&arrival.route)?;
        let mut arrival = arrival.clone();
        arrival.leave_out_secrets(&route.verify);
        self.map_verified(&arrival).await
    }

    async fn map_verified(&self, arrival: &InboundRequest) -> Result<MappingOutcome, Rejection> {
        let (name, route) = self.route(&arrival.route)?;
        let seen = self.see(arrival)?;
        let input = seen.input(name, self.clock.now());
        for (index, expression) in route.when.iter().enumerate() {
            let key = ProgramKey::of_when(index, route.when.len());
            if !self.holds(key, expression, &input).await? {
                return Ok(MappingOutcome {
                    delivery_id: String::new(),
                    updates: Vec::new(),
                    ignored: Some(IgnoreReason::When(key)),
                });
            }
        }
        self.mapped(route, arrival, &input).await
    }

    /// What a route makes of a delivery that its `when` lets through.
    pub(super) async fn mapped(
        &self,
        route: &Route,
        arrival: &InboundRequest,
        input: &MappingInput<'_>,
    ) -> Result<MappingOutcome, Rejection> {
        let asked = match &route.delivery_id {
            Some(program) => self
                .run(ProgramKey::DeliveryId, program, input)
                .await?
                .into_iter()
                .next(),
            None => None,
        };
        let delivery_id = asked
            .and_then(as_id)
            .or_else(|| arrival.origin.id().map(str::to_owned))
            .unwrap_or_else(|| arrival.fingerprint());
        let outputs = self.run(ProgramKey::Map, &route.map, input).await?;
        let unmappable = |outputs| Rejection::Unmappable {
            route: input.route.to_owned(),
            outputs,
        };
        let updates = mapping::update_requests(&outputs, route.update_by).map_err(unmappable)?;
        Ok(MappingOutcome {
            delivery_id,
            ignored: updates.is_empty().then_some(IgnoreReason::Map),
            updates,
        })
    }

    /// A delivery as a route's programs see it.
    pub(super) fn see<'a>(&self, arrival: &'a InboundRequest) -> Result<Seen<'a>, Rejection> {
        let (body, unpacked) = self.read(arrival)?;
        Ok(Seen {
            body,
            unpacked,
            headers: arrival.shown_headers(),
            query: arrival.parameters(),
            trigger: arrival.origin.variable(),
        })
    }

    /// The route of a delivery, if it listens to what brought it.
    fn listening(&self, arrival: &InboundRequest) -> Result<&Route, Rejection> {
        let (name, route) = self.route(&arrival.route)?;
        let trigger = arrival.origin.trigger;
        match route.hears(trigger) {
            true => Ok(route),
            false => Err(Rejection::NotListening {
                route: name.to_owned(),
                trigger,
            }),
        }
    }

    /// What a delivery says, and its body without its content encoding.
    fn read<'a>(
        &self,
        arrival: &'a InboundRequest,
    ) -> Result<(Document, Cow<'a, [u8]>), Rejection> {
        let limit = self.max_body_bytes();
        if !arrival.origin.trigger.brings_proof() {
            if arrival.body.len() > limit {
                return Err(Rejection::Body(BodyError::TooLarge { limit }));
            }
            let said = message(&arrival.body)?;
            return Ok((said, Cow::Borrowed(&arrival.body)));
        }
        let header = |name| {
            let value = arrival.headers.get(name)?;
            value.to_str().ok()
        };
        let (content_type, encoding) = (header(CONTENT_TYPE), header(CONTENT_ENCODING));
        let unpacked =
            body::unpack(content_type, encoding, &arrival.body, limit).map_err(Rejection::Body)?;
        let said = match unpacked.decode().map_err(Rejection::Body)? {
            Body::Json(text) => Document::from_json(text).map_err(Rejection::NotJson)?,
            Body::Tree(tree) => Document::from_value(&tree),
        };
        Ok((said, unpacked.bytes))
    }

    /// Whether an expression of `when` is true.
    pub(super) async fn holds(
        &self,
        key: ProgramKey,
        expression: &Program,
        input: &MappingInput<'_>,
    ) -> Result<bool, Rejection> {
        let outputs = self.run(key, expression, input).await?;
        mapping::to_boolean(expression, &outputs).map_err(|error| Rejection::NotBoolean {
            route: input.route.to_owned(),
            key,
            error,
        })
    }

    async fn run(
        &self,
        key: ProgramKey,
        program: &Program,
        input: &MappingInput<'_>,
    ) -> Result<Vec<Value>, Rejection> {
        let limits = self.config.limits.mapping();
        input
            .run(program, &limits)
            .await
            .map_err(|error| Rejection::Mapping {
                route: input.route.to_owned(),
                key,
                error,
            })
    }

    pub(super) fn route(&self, name: &str) -> Result<(&str, &Route), Rejection> {
        let found = self.config.routes.get_key_value(name);
        let found = found.map(|(name, route)| (name.as_str(), route));
        found.ok_or_else(|| Rejection::NoSuchRoute(name.chars().take(80).collect()))
    }
}

/// What a message of a queue or a topic says: JSON if it looks like an object or a list or is JSON otherwise, and else the
/// text itself.
fn message(body: &[u8]) -> Result<Document, Rejection> {
    let read = Document::from_json(body);
    let looks_like_json = matches!(body.trim_ascii_start().first(), Some(b'{' | b'['));
    match (read, std::str::from_utf8(body)) {
        (Ok(document), _) => Ok(document),
        (Err(_), Ok(text)) if !looks_like_json => {
            Ok(Document::from_value(&Value::String(text.to_owned())))
        }
        (Err(not_json), _) => Err(Rejection::NotJson(not_json)),
    }
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

/// What a `delivery_id` program yields, as an id; nothing if it found none. Only texts and numbers tell deliveries apart:
/// `.a // false` must not make one job of them all.
fn as_id(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}
