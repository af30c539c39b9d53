//! Drives jobs: the one room that holds leases, performs what jobs need next, and writes down what came of it before the
//! next thing is done.
//!
//! A turn takes a *batch* of jobs, so that jobs that make the same change share calls ([`work`]). Inline, a turn sees its
//! jobs through, waiting where they wait. Durably, it does what is due and leaves the rest to wake-ups: no turn sleeps
//! while Zoho works.

mod callbacks;
mod doubt;
mod prepare;
mod views;
mod work;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};

use crate::callback::{Delivery, Sender};
use crate::clock::Clock;
use crate::codes::Cause;
use crate::failpoint::reach;
use crate::job::store::{Claim, Holder, JobStore, Lease, StoreError};
use crate::job::wakeup::WakeUps;
use crate::job::{Event, Job, JobId, NotAllowed, NotPending, Notification};
use crate::outcome::Refusal;
use crate::plan::mass_update_path;
use crate::zoho::answer::{Tracked, Update};
use crate::zoho::{Client, Failed, Sent};
use doubt::{Clarified, Doubt, clarified_event};
pub use prepare::rehearse;
use prepare::{Found, Wish};
use work::{Look, Parcel, Part, Work, share};

/// Effects under way at once in a turn. Zoho's own share is bounded by each connection.
const AT_ONCE: usize = 64;

/// Outcomes that may wait to be written down before no further one is taken in.
const UNRECORDED: usize = 16;

/// Jobs claimed, or given back, at once.
const CLAIMS_AT_ONCE: usize = 16;

/// How long a lease outlives its turn: the last effect may still be under way.
const LEASE_SLACK: Duration = Duration::from_secs(40);

/// Why a job could not be driven.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The job names a connection that the config no longer has.
    #[error("job {job} goes through the connection `{connection}`, which the config does not have")]
    NoConnection {
        /// The job.
        job: JobId,
        /// The connection.
        connection: String,
    },
    /// A job was told something that cannot happen to it: a defect.
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    /// A job was prepared twice: a defect.
    #[error(transparent)]
    NotPending(#[from] NotPending),
}

/// How a turn deals with waiting.
#[derive(Clone, Debug)]
pub enum Manner {
    /// Sees jobs through in one go, and reports those that it cannot finish in time.
    Inline,
    /// Does what is due and asks to be woken for the rest.
    Durable(Arc<dyn WakeUps>),
}

/// Moments of one turn.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// After this nothing new is sent to Zoho.
    pub give_up: Timestamp,
    /// After this nothing is done at all.
    pub end: Timestamp,
}

/// What a turn came to for one job.
#[derive(Debug)]
pub struct Driven {
    /// The job.
    pub id: JobId,
    /// The job as it stands; none if there is no such job, or an error.
    pub outcome: Result<Option<Job>, DriveError>,
}

/// Drives jobs.
#[derive(Debug)]
pub struct Engine {
    store: Arc<dyn JobStore>,
    connections: BTreeMap<String, Client>,
    callbacks: Sender,
    clock: Arc<dyn Clock>,
    manner: Manner,
}

/// A job that this turn drives.
struct Held {
    job: Box<Job>,
    lease: Lease,
    /// Why it cannot be driven on in this turn.
    failed: Option<DriveError>,
}

/// What came of one effect.
enum Done {
    Prepared(Vec<Found>),
    Sent(Parcel, Sent<Update>),
    Looked(Look, Result<Tracked, Failed>),
    Called(usize, Notification, Delivery),
    /// These calls are about to be sent; whoever is told waits for it to be written down.
    Announced(Vec<Part>, oneshot::Sender<bool>),
    /// These were not sent after all.
    Unsent(Vec<Part>),
    Clarified(Part, Clarified),
}

/// Connections and modules for which nothing works any more in this round.
type Hopeless = Mutex<HashSet<(String, String)>>;

impl Engine {
    /// An engine over a store.
    pub fn new(
        store: Arc<dyn JobStore>,
        connections: BTreeMap<String, Client>,
        callbacks: Sender,
        clock: Arc<dyn Clock>,
        manner: Manner,
    ) -> Self {
        Self {
            store,
            connections,
            callbacks,
            clock,
            manner,
        }
    }

    /// Where jobs are kept.
    pub fn store(&self) -> &dyn JobStore {
        self.store.as_ref()
    }

    /// Where callbacks go out.
    pub fn callbacks(&self) -> &Sender {
        &self.callbacks
    }

    /// How turns deal with waiting.
    pub fn manner(&self) -> &Manner {
        &self.manner
    }

    /// Drives jobs as far as they go in this turn. A job that somebody else drives is left to them.
    pub async fn drive(&self, ids: &[JobId], turn: Turn) -> Vec<Driven> {
        let mut driven = Vec::with_capacity(ids.len());
        let mut held = Vec::new();
        let mut claims = futures_util::stream::iter(ids.to_vec())
            .map(|id| async move {
                let claim = self.claim(&id, turn).await;
                (id, claim)
            })
            .buffered(CLAIMS_AT_ONCE);
        while let Some((id, claim)) = claims.next().await {
            match claim {
                Ok(Ok((job, lease))) => {
                    reach("drive.claimed");
                    held.push(Held {
                        job,
                        lease,
                        failed: None,
                    });
                }
                Ok(Err(other)) => driven.push(Driven {
                    id,
                    outcome: Ok(other),
                }),
                Err(error) => driven.push(Driven {
                    id,
                    outcome: Err(error),
                }),
            }
        }
        drop(claims);
        self.work(&mut held, turn).await;
        let used: BTreeSet<&str> = held
            .iter()
            .map(|held| held.job.connection.as_str())
            .collect();
        for client in used.iter().filter_map(|name| self.connections.get(*name)) {
            client.rest().await;
        }
        let mut releases = futures_util::stream::iter(held)
            .map(|held| self.give_back(held))
            .buffered(CLAIMS_AT_ONCE);
        while let Some(released) = releases.next().await {
            driven.push(released);
        }
        driven
    }

    /// Claims a job; the inner error is the job of somebody else.
    async fn claim(
        &self,
        id: &JobId,
        turn: Turn,
    ) -> Result<Result<(Box<Job>, Lease), Option<Job>>, DriveError> {
        let until = later(turn.end, LEASE_SLACK);
        match self.store.claim(id, self.clock.now(), until).await {
            Ok(Claim::Absent) => Ok(Err(None)),
            Ok(Claim::Busy { .. } | Claim::Parked { .. }) => Ok(Err(self.store.get(id).await?)),
            Ok(Claim::Ours(job, lease)) => match self.connections.contains_key(&job.connection) {
                true => Ok(Ok((job, lease))),
                false => {
                    let connection = job.connection.clone();
                    self.store
                        .park(id, &format!("the config has no connection `{connection}`"))
                        .await?;
                    Err(DriveError::NoConnection {
                        job: id.clone(),
                        connection,
                    })
                }
            },
            Err(StoreError::Unreadable { id, why }) => {
                // Not dropped, and not met again by every sweep: it is put aside, with its reason.
                tracing::error!(job.id = %id, "job put aside: {why}");
                self.store.park(&id, &why).await?;
                Err(StoreError::Unreadable { id, why }.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn give_back(&self, held: Held) -> Driven {
        let Held { job, lease, failed } = held;
        let id = job.id.clone();
        if let Some(error) = failed {
            // The lease runs out by itself; what is stored is newer than what we know, or cannot be written at all.
            return Driven {
                id,
                outcome: Err(error),
            };
        }
        reach("release.before");
        if job.status().is_final() {
            // A driver that was lost between the job's end and its unlocking has left that to us.
            self.unlock_view_of(&job).await;
            reach("release.unlocked");
        }
        let now = self.clock.now();
        let due = job.due(now);
        if let Err(error) = self.store.release(&job, lease, due).await {
            return Driven {
                id,
                outcome: Err(error.into()),
            };
        }
        reach("release.released");
        if let (Manner::Durable(wakeups), Some(due)) = (&self.manner, due) {
            let delay = Duration::try_from(due.duration_since(now)).unwrap_or_default();
            if let Err(error) = wakeups.wake(&[(id.clone(), delay)]).await {
                tracing::warn!(job.id = %id, "{error}; a sweep will find it");
            }
            reach("release.woken");
        }
        if due.is_none() {
            tracing::info!(job.id = %id, route = job.route, status = job.status().as_str(), "job done");
        }
        Driven {
            id,
            outcome: Ok(Some(*job)),
        }
    }

    async fn work(&self, held: &mut [Held], turn: Turn) {
        loop {
            let now = self.clock.now();
            let going = held
                .iter()
                .enumerate()
                .filter(|(_, held)| held.failed.is_none());
            let mut work = Work::of(going.map(|(place, held)| (place, held.job.as_ref())), now);
            if now >= turn.give_up {
                work.preparing.clear();
                work.in_doubt.clear();
                work.parcels.clear();
                work.looks.clear();
            }
            if now >= turn.end {
                break;
            }
            if !work.is_empty() {
                self.perform(held, work, turn).await;
                continue;
            }
            match (&self.manner, work.later) {
                (Manner::Inline, Some(at)) if at < turn.give_up => {
                    let wait = Duration::try_from(at.duration_since(now)).unwrap_or_default();
                    self.clock.sleep(wait).await;
                }
                (Manner::Inline | Manner::Durable(_), _) => break,
            }
        }
        if let Manner::Inline = self.manner {
            for held in held.iter_mut().filter(|held| held.failed.is_none()) {
                self.report_unfinished(held, turn).await;
            }
        }
    }

    /// Performs everything that can be done now, several things at once, and records each outcome as it comes.
    async fn perform(&self, held: &mut [Held], work: Work, turn: Turn) {
        let hopeless = Hopeless::default();
        let notifications: Vec<(usize, Notification)> = work
            .callbacks
            .iter()
            .filter_map(|place| {
                let job = &held.get(*place)?.job;
                Some((*place, job.notification(self.clock.now())?))
            })
            .collect();
        // One job of a parcel holds the lock on its custom view, from turn to turn.
        let parcels: Vec<(Parcel, Vec<Holder>)> = work
            .parcels
            .into_iter()
            .map(|parcel| {
                let jobs = parcel.parts.iter().filter_map(|part| held.get(part.job));
                let holders = match parcel.view() {
                    Some(_) => jobs.map(|held| Holder::job(&held.job.id)).collect(),
                    None => Vec::new(),
                };
                (parcel, holders)
            })
            .collect();
        // Those of a connection together, so that they share what is looked up.
        let mut wishes: BTreeMap<String, Vec<Wish>> = BTreeMap::new();
        for place in work.preparing {
            if let Some(Held { job, .. }) = held.get(place) {
                let wish = Wish::of(place, &job.request);
                wishes.entry(job.connection.clone()).or_default().push(wish);
            }
        }
        let preparing = wishes
            .into_iter()
            .map(|(connection, wishes)| Effect::Prepare { connection, wishes });
        let calling = notifications
            .into_iter()
            .map(|(place, notification)| Effect::Call {
                place,
                notification,
            });
        let doubts: Vec<Doubt> = work
            .in_doubt
            .iter()
            .filter_map(|part| Some(Doubt::of(&held.get(part.job)?.job, *part)))
            .collect();
        let clarifying = doubts.into_iter().map(Effect::Clarify);
        let looking = work.looks.into_iter().map(Effect::Look);
        let sending = parcels
            .into_iter()
            .map(|(parcel, holders)| Effect::Send { parcel, holders });
        let before = calling.chain(preparing).chain(looking);
        let effects = before.chain(clarifying).chain(sending);
        let (tell, mut told) = mpsc::channel(UNRECORDED);
        let hopeless = &hopeless;
        let performing = async move {
            let mut running = futures_util::stream::iter(effects)
                .map(|effect| self.effect(effect, hopeless, turn, &tell))
                .buffer_unordered(AT_ONCE);
            while let Some(done) = running.next().await {
                if let Some(done) = done {
                    // It is there as long as anything is told.
                    let _ = tell.send(done).await;
                }
            }
        };
        let mut denied = Vec::new();
        let recording = async {
            while let Some(done) = told.recv().await {
                self.record(held, done, &mut denied).await;
            }
        };
        // Side by side: Zoho need not wait while its last answer is written down.
        tokio::join!(performing, recording);
        // Only now: what was under way when the denial came has its own answer by now.
        for (place, refusal) in denied {
            if let Some(held) = held.get_mut(place) {
                tracing::error!(job.id = %held.job.id, zoho.code = refusal.code, "job cannot go on: {refusal}");
                held.job.abandon(&refusal, self.clock.now());
                self.checkpoint(held).await;
            }
        }
    }

    async fn effect(
        &self,
        effect: Effect,
        hopeless: &Hopeless,
        turn: Turn,
        tell: &mpsc::Sender<Done>,
    ) -> Option<Done> {
        match effect {
            Effect::Prepare { connection, wishes } => {
                let client = self.connections.get(&connection)?;
                reach("prepare.before");
                let prepared = prepare::prepare(client, wishes, turn.give_up).await;
                reach("prepare.answered");
                Some(Done::Prepared(prepared))
            }
            Effect::Send { parcel, holders } => {
                self.send(parcel, holders, hopeless, turn, tell).await
            }
            Effect::Clarify(doubt) => self.clarify(doubt, turn).await,
            Effect::Look(look) => {
                let client = self.connections.get(&look.connection)?;
                let sent = client
                    .job_status(&look.module, &look.zoho_job_id, turn.give_up)
                    .await;
                reach("look.answered");
                Some(Done::Looked(look, sent.outcome))
            }
            Effect::Call {
                place,
                notification,
            } => {
                reach("callback.before");
                let delivery = self.tell(&notification, turn).await;
                reach("callback.answered");
                Some(Done::Called(place, notification, delivery))
            }
        }
    }

    async fn send(
        &self,
        parcel: Parcel,
        holders: Vec<Holder>,
        hopeless: &Hopeless,
        turn: Turn,
        tell: &mpsc::Sender<Done>,
    ) -> Option<Done> {
        let client = self.connections.get(&parcel.connection)?;
        let place = (parcel.connection.clone(), parcel.module.to_string());
        let is_hopeless = || {
            hopeless
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .contains(&place)
        };
        if is_hopeless() || self.clock.now() >= turn.give_up {
            return None;
        }
        let view = parcel.view();
        let mut holder = None;
        if let Some(view) = &view {
            match self.lock(view, holders).await {
                Ok(Some(won)) => {
                    reach("send.locked");
                    holder = Some(won);
                }
                Ok(None) => {
                    return Some(Done::Sent(parcel, not_now(Refusal::of(Cause::ViewTaken))));
                }
                Err(error) => {
                    return Some(Done::Sent(
                        parcel,
                        not_now(Refusal::with(Cause::StoreUnavailable, error.to_string())),
                    ));
                }
            }
        }
        // From here on a crash leaves open whether Zoho has carried it out.
        if parcel.once && !self.announce(&parcel.parts, tell).await {
            if let (Some(view), Some(holder)) = (&view, &holder) {
                self.unlock(view, holder).await;
            }
            return Some(Done::Unsent(parcel.parts));
        }
        let path = mass_update_path(&parcel.module);
        let (ids, once) = (parcel.ids(), parcel.once);
        let sent = client
            .mass_update(&path, &parcel.body(), ids, once, turn.give_up)
            .await;
        if let Err(Failed::Denied(_)) = sent.outcome {
            hopeless
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(place);
        }
        if let (Some(view), Some(holder)) = (&view, &holder)
            && sent.outcome.is_err()
        {
            self.unlock(view, holder).await;
        }
        Some(Done::Sent(parcel, sent))
    }

    /// Takes in what came of an effect, for every job that it was for, and writes it down.
    async fn record(&self, held: &mut [Held], done: Done, denied: &mut Vec<(usize, Refusal)>) {
        match done {
            Done::Prepared(all) => {
                for found in all {
                    if let Some(held) = held.get_mut(found.place) {
                        self.take_prepared(held, found).await;
                        reach("prepare.recorded");
                    }
                }
            }
            Done::Sent(parcel, Sent { attempts, outcome }) => {
                for part in &parcel.parts {
                    let Some(held) = held.get_mut(part.job) else {
                        continue;
                    };
                    held.job.sent(part.seq, attempts);
                    let event = sent_event(&outcome, &held.job, *part);
                    self.apply(held, part.seq, event).await;
                    if let Err(Failed::Denied(refusal)) = &outcome {
                        denied.push((part.job, refusal.clone()));
                    }
                }
            }
            Done::Announced(parts, written) => {
                let all = self.mark(held, &parts, true).await;
                // Whoever waits for it sends nothing without it.
                let _ = written.send(all);
            }
            Done::Unsent(parts) => {
                self.mark(held, &parts, false).await;
            }
            Done::Clarified(part, clarified) => {
                if let Some(held) = held.get_mut(part.job) {
                    let event = clarified_event(clarified);
                    self.apply(held, part.seq, event).await;
                }
            }
            Done::Looked(look, outcome) => {
                let event = looked_event(outcome);
                for part in &look.parts {
                    let Some(held) = held.get_mut(part.job) else {
                        continue;
                    };
                    self.apply(held, part.seq, event.clone()).await;
                    reach("look.recorded");
                    self.unlock_if_over(&held.job, part.seq).await;
                    reach("look.unlocked");
                }
            }
            Done::Called(place, notification, delivery) => {
                if let Some(held) = held.get_mut(place) {
                    self.told(held, &notification, delivery).await;
                }
            }
        }
    }

    async fn take_prepared(&self, held: &mut Held, found: Found) {
        if held.failed.is_some() {
            return;
        }
        let Found {
            attempts, prepared, ..
        } = found;
        if let Err(error) = held.job.prepared(prepared, attempts, self.clock.now()) {
            tracing::error!(job.id = %held.job.id, "{error}");
            held.failed = Some(error.into());
            return;
        }
        // Where nobody was asked, the next driver would come to the same plan: that is not worth a write of its own.
        if attempts > 0 || held.job.calls.is_empty() {
            self.checkpoint(held).await;
        }
    }

    async fn apply(&self, held: &mut Held, seq: usize, event: Event) {
        if held.failed.is_some() {
            return;
        }
        match held.job.apply(seq, event, self.clock.now()) {
            Ok(()) => self.checkpoint(held).await,
            Err(error) => {
                tracing::error!(job.id = %held.job.id, "{error}");
                held.failed = Some(error.into());
            }
        }
    }

    async fn checkpoint(&self, held: &mut Held) {
        reach("record.before");
        if held.failed.is_none()
            && let Err(error) = self.store.checkpoint(&held.job, &mut held.lease).await
        {
            tracing::warn!(job.id = %held.job.id, "{error}");
            held.failed = Some(error.into());
        }
        reach("record.written");
    }
}

/// One thing to be done outside.
enum Effect {
    Prepare {
        connection: String,
        wishes: Vec<Wish>,
    },
    Send {
        parcel: Parcel,
        holders: Vec<Holder>,
    },
    Look(Look),
    Clarify(Doubt),
    Call {
        place: usize,
        notification: Notification,
    },
}

/// The answer to a parcel, as it concerns one of its calls.
fn sent_event(outcome: &Result<Update, Failed>, job: &Job, part: Part) -> Event {
    match outcome {
        Ok(Update::Settled(failures)) => {
            let own = job.call(part.seq).map(|state| share(failures, state, job));
            Event::Settled(own.unwrap_or_default())
        }
        Ok(Update::Accepted { zoho_job_id }) => Event::Accepted {
            zoho_job_id: zoho_job_id.clone(),
        },
        Ok(Update::Unclear(why)) => job.in_doubt(part.seq, why.clone()),
        Err(Failed::Later(why, wait)) => Event::Postponed {
            why: why.clone(),
            wait: *wait,
        },
        Err(Failed::Refused(refusal) | Failed::Denied(refusal)) => Event::Refused(refusal.clone()),
    }
}

fn looked_event(outcome: Result<Tracked, Failed>) -> Event {
    match outcome {
        Ok(Tracked::Running(counts)) => Event::Progressed {
            counts: Some(counts),
            wait: Duration::ZERO,
        },
        Ok(Tracked::Ended { counts, completed }) => Event::Ended { counts, completed },
        Ok(Tracked::Unknown) => Event::Unknown,
        Err(Failed::Later(_, wait)) => Event::Progressed { counts: None, wait },
        Err(Failed::Refused(refusal) | Failed::Denied(refusal)) => Event::Untracked(refusal),
    }
}

/// A parcel that was not sent.
fn not_now(why: Refusal) -> Sent<Update> {
    let wait = why.cause().and_then(|cause| cause.row().class.wait());
    Sent {
        attempts: 0,
        outcome: Err(Failed::Later(why, wait.unwrap_or_default())),
    }
}

fn later(now: Timestamp, wait: Duration) -> Timestamp {
    now.saturating_add(wait).unwrap_or(Timestamp::MAX)
}
