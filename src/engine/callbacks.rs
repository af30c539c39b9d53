//! Sends callbacks beside the turns, and records their results.
//!
//! A receiver is a stranger: it may hang. So a turn in durable mode sends no callback. It hands due callbacks over to a
//! [`CallbackQueue`], and [`Engine::send_callbacks`] sends them, with limits of its own, while turns go on. A finished job
//! is handed over with its lease. An unfinished job stays with the turn: its progress callback is reserved, which delays
//! the next one, and the result is recorded under a lease of its own.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use jiff::Timestamp;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};
use tracing::Instrument;
use url::Url;

use super::callback_results::CallbackSubject;
use super::fair_queue::FairQueue;
use super::{DriveResult, Engine, LEASE_SLACK, LeasedJob, TurnDeadlines};
use crate::callback::{ATTEMPT_TIME, BRIEF_TIME, CallbackReply, CallbackResult};
use crate::clock::after;
use crate::failpoint::fail_point;
use crate::job::{CallbackOn, Notification};
use crate::sync;

/// Attempts in progress at once, their recording included.
const CONCURRENT_ATTEMPTS: usize = 512;

/// Callbacks of one host that wait in memory. The jobs of others wait in the store.
const WAITING_OF_HOST: usize = 2_000;

/// How long they wait there at a time.
const BUSY_WAIT: Duration = Duration::from_secs(2);

/// The same, if the host lets attempts time out.
const HANGING_WAIT: Duration = Duration::from_secs(60);

/// How long the recording of an attempt may take.
const RECORDING_TIME: Duration = Duration::from_secs(5);

/// How long attempts wait for their receivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// The whole time limit; a brief time for all but one attempt at a host that hangs.
    Full,
    /// A brief time. Final callbacks that take longer are left to a queue with full patience.
    Brief,
}

impl Patience {
    /// How long an invocation may go on sending callbacks after its other work. Attempts run side by side, so this is also
    /// about the most that it waits for receivers, however many of them hang.
    pub fn wait_at_end(self) -> Duration {
        match self {
            Self::Full => ATTEMPT_TIME + Duration::from_secs(1),
            Self::Brief => BRIEF_TIME + Duration::from_secs(1),
        }
    }

    /// The pauses before further attempts to lease the job of a progress callback.
    pub(super) fn waits_for_lease(self) -> &'static [Duration] {
        const WAITS: [Duration; 6] = [
            Duration::from_millis(100),
            Duration::from_millis(200),
            Duration::from_millis(400),
            Duration::from_millis(800),
            Duration::from_millis(1_600),
            Duration::from_millis(3_200),
        ];
        match self {
            Self::Full => &WAITS,
            // Waiting is billed.
            Self::Brief => &WAITS[..3],
        }
    }
}

/// Callbacks that are due. Hosts take turns, and each has a limited number of attempts in progress.
pub struct CallbackQueue {
    queue: Mutex<FairQueue<DueCallback>>,
    /// Notified when an attempt may be started.
    changed: Notify,
    /// One permit for each attempt that waits for its receiver.
    sockets: Arc<Semaphore>,
    patience: Patience,
}

/// An attempt that waits for its receiver: its share of the host, and its socket. Both are free once it is dropped.
struct StartedAttempt<'a> {
    queue: &'a CallbackQueue,
    host: String,
    _socket: OwnedSemaphorePermit,
}

impl Drop for StartedAttempt<'_> {
    fn drop(&mut self) {
        sync::lock(&self.queue.queue).end(&self.host);
        self.queue.changed.notify_one();
    }
}

/// A callback to send.
struct DueCallback {
    subject: CallbackSubject,
    notification: Notification,
    job: CallbackJob,
}

/// The job of a callback.
enum CallbackJob {
    /// A finished job, with its lease.
    Held(LeasedJob),
    /// An unfinished job that a turn drives. The channel closes when the turn has released the job.
    Driven(oneshot::Receiver<()>),
}

impl fmt::Debug for CallbackQueue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("CallbackQueue")
            .field("patience", &self.patience)
            .field("waiting", &sync::lock(&self.queue).waiting())
            .finish_non_exhaustive()
    }
}

impl CallbackQueue {
    /// An empty queue.
    pub fn new(patience: Patience) -> Self {
        Self {
            queue: Mutex::default(),
            changed: Notify::new(),
            sockets: Arc::new(Semaphore::new(CONCURRENT_ATTEMPTS)),
            patience,
        }
    }

    /// Shares the sockets of other queues: all their attempts together have one permit each.
    #[must_use]
    pub fn with_sockets(self, sockets: Arc<Semaphore>) -> Self {
        Self { sockets, ..self }
    }

    /// Takes over the due callbacks of jobs: finished jobs with their leases, progress callbacks without. Callbacks of a host of
    /// which too many wait are delayed.
    pub(super) fn take_over(
        &self,
        leased: &mut Vec<LeasedJob>,
        turn: TurnDeadlines,
        now: Timestamp,
        is_hanging: impl Fn(&str) -> bool,
    ) {
        for job in leased.iter_mut() {
            self.take_progress(job, turn, now);
        }
        let is_due = |leased: &mut LeasedJob| {
            leased.is_driven()
                && leased.job.status().is_final()
                && !(self.patience == Patience::Brief && leased.job.needs_patience())
                && leased.job.is_notification_due(now)
        };
        let finished: Vec<LeasedJob> = leased.extract_if(.., is_due).collect();
        for mut finished in finished {
            let url = finished.job.callback.as_ref().map(|callback| &callback.url);
            let host = url.map(host_of).unwrap_or_default();
            if sync::lock(&self.queue).waiting_of(&host) >= WAITING_OF_HOST {
                // The turn releases the job, which is due again then.
                let wait = if is_hanging(&host) {
                    HANGING_WAIT
                } else {
                    BUSY_WAIT
                };
                finished.job.delay_callback_until(after(now, wait));
                leased.push(finished);
            } else if let Some(notification) = finished.job.notification(now) {
                let subject = CallbackSubject::of(&finished.job);
                if finished.job.callback_on() != CallbackOn::Finished {
                    // The final callback replaces a progress callback that waits.
                    let is_same = |other: &DueCallback| other.subject.id == subject.id;
                    sync::lock(&self.queue).remove(&host, is_same);
                }
                self.push(&host, notification, subject, CallbackJob::Held(finished));
            }
        }
    }

    /// Takes over the progress callback of an unfinished job, if it is due and the turn has sent none for the job.
    fn take_progress(&self, leased: &mut LeasedJob, turn: TurnDeadlines, now: Timestamp) {
        let is_free = leased.is_driven() && leased.progress.is_none();
        let unfinished = is_free && !leased.job.status().is_final();
        let Some(notification) = unfinished.then(|| leased.job.notification(now)).flatten() else {
            return;
        };
        let until = after(turn.end.max(now), ATTEMPT_TIME + RECORDING_TIME);
        leased.job.reserve_progress(&notification, until);
        let (sender, released) = oneshot::channel();
        leased.progress = Some(sender);
        let host = host_of(&notification.url);
        let subject = CallbackSubject::of(&leased.job);
        self.push(&host, notification, subject, CallbackJob::Driven(released));
    }

    fn push(
        &self,
        host: &str,
        notification: Notification,
        subject: CallbackSubject,
        job: CallbackJob,
    ) {
        let due = DueCallback {
            subject,
            notification,
            job,
        };
        sync::lock(&self.queue).push(host, due);
        self.changed.notify_one();
    }

    /// Starts the next attempt, if there is a socket for it.
    fn start(&self) -> Option<(StartedAttempt<'_>, DueCallback)> {
        let socket = Arc::clone(&self.sockets).try_acquire_owned().ok()?;
        let (host, due) = sync::lock(&self.queue).start()?;
        let attempt = StartedAttempt {
            queue: self,
            host,
            _socket: socket,
        };
        Some((attempt, due))
    }

    fn can_start(&self) -> bool {
        sync::lock(&self.queue).can_start()
    }
}

/// Host and port of a receiver.
fn host_of(url: &Url) -> String {
    let port = url.port_or_known_default().unwrap_or_default();
    format!("{}:{port}", url.host_str().unwrap_or_default())
}

impl Engine {
    /// Sends the callbacks of a queue until it is closed and empty. `closed` returns when no turn adds to the queue any more,
    /// with the time by which the attempts must end; what cannot be sent until then is left to another queue.
    pub async fn send_callbacks(
        &self,
        queue: &CallbackQueue,
        closed: impl Future<Output = Timestamp>,
        mut on_result: impl FnMut(DriveResult),
    ) {
        let mut closed = std::pin::pin!(closed);
        let mut deadline = None;
        let mut attempts = FuturesUnordered::new();
        loop {
            while attempts.len() < CONCURRENT_ATTEMPTS
                && let Some((attempt, due)) = queue.start()
            {
                attempts.push(self.attempt_callback(attempt, due, deadline));
            }
            let lacks_socket = attempts.len() < CONCURRENT_ATTEMPTS && queue.can_start();
            if deadline.is_some() && attempts.is_empty() && !lacks_socket {
                return;
            }
            tokio::select! {
                Some(result) = attempts.next(), if !attempts.is_empty() => {
                    result.into_iter().for_each(&mut on_result);
                }
                () = queue.changed.notified() => {}
                // Attempts of other queues have the sockets.
                _ = queue.sockets.acquire(), if lacks_socket => {}
                at = &mut closed, if deadline.is_none() => deadline = Some(at),
            }
        }
    }

    /// Makes one attempt at a callback, and records its result. Returns no result if the job is another driver's, or if the
    /// attempt panics: then the job goes on once its lease has expired, and other callbacks are not concerned.
    async fn attempt_callback(
        &self,
        attempt: StartedAttempt<'_>,
        due: DueCallback,
        deadline: Option<Timestamp>,
    ) -> Option<DriveResult> {
        let CallbackSubject { id, delivery, .. } = due.subject.clone();
        let attempt = AssertUnwindSafe(self.send_and_record(attempt, due, deadline));
        attempt.catch_unwind().await.unwrap_or_else(|_| {
            // The panic hook has logged its message.
            tracing::error!(job.id = %id, delivery.id = delivery, "the attempt to send a callback panicked; it is sent again when the job's lease expires");
            None
        })
    }

    async fn send_and_record(
        &self,
        attempt: StartedAttempt<'_>,
        due: DueCallback,
        deadline: Option<Timestamp>,
    ) -> Option<DriveResult> {
        let StartedAttempt { queue, host, .. } = &attempt;
        let DueCallback {
            subject,
            notification,
            mut job,
        } = due;
        let is_held = self.keep_lease(&mut job).await;
        let now = self.clock.now();
        let time = is_held
            .then(|| self.attempt_time(queue.patience, host, now, deadline))
            .flatten();
        let mut reply = None;
        if let Some(time) = time {
            fail_point("callback.before");
            let sending = self.callbacks.send(&notification, now, time);
            reply = Some(sending.instrument(subject.span()).await);
            fail_point("callback.answered");
        }
        let result = reply.as_ref().map(|reply| &reply.result);
        let timed_out =
            matches!(result, Some(CallbackResult::Failed { timed_out, .. }) if *timed_out);
        let needs_patience = queue.patience == Patience::Brief && {
            let hosts = sync::lock(&self.hosts);
            timed_out || hosts.is_hanging(host, now)
        };
        if let Some(time) = time {
            let was_patient = time == ATTEMPT_TIME;
            sync::lock(&self.hosts).record(host, timed_out, was_patient, self.clock.now());
        }
        let patience = queue.patience;
        // Before the recording, which may wait for a turn or for the store.
        drop(attempt);
        let recorded = reply.map(|reply| self.judge_callback(&subject, &notification, reply));
        let mut leased = match job {
            CallbackJob::Held(mut leased) => {
                if needs_patience {
                    leased.job.leave_callback_to_patience();
                }
                leased
            }
            CallbackJob::Driven(released) => {
                // An error means that the turn has dropped the job, which frees it as well.
                let _ = released.await;
                recorded.as_ref()?;
                self.claim_to_record(&subject.id, patience).await?
            }
        };
        if let Some((attempt, result)) = recorded {
            let now = self.clock.now();
            leased
                .job
                .record_attempt(&notification, attempt, result, now);
        }
        let (result, wake_up) = self.release(leased).await;
        self.wake(wake_up.as_slice()).await;
        Some(result)
    }

    /// Extends the lease of a finished job whose callback waited for long. Returns whether the job is still this driver's.
    async fn keep_lease(&self, job: &mut CallbackJob) -> bool {
        let CallbackJob::Held(leased) = job else {
            return true;
        };
        let end = after(self.clock.now(), ATTEMPT_TIME + RECORDING_TIME);
        if leased.lease.until < end {
            leased.lease.until = after(end, LEASE_SLACK);
            self.checkpoint(leased).await;
        }
        leased.error.is_none()
    }

    /// How long an attempt may take; none if it must be left to another queue.
    fn attempt_time(
        &self,
        patience: Patience,
        host: &str,
        now: Timestamp,
        deadline: Option<Timestamp>,
    ) -> Option<Duration> {
        let left = deadline.map_or(Duration::MAX, |deadline| {
            Duration::try_from(deadline.duration_since(now)).unwrap_or_default()
        });
        let mut hosts = sync::lock(&self.hosts);
        match patience {
            Patience::Brief if hosts.is_hanging(host, now) => None,
            Patience::Full if left >= ATTEMPT_TIME && hosts.allows_patience(host, now) => {
                Some(ATTEMPT_TIME)
            }
            Patience::Brief | Patience::Full => (left >= BRIEF_TIME).then_some(BRIEF_TIME),
        }
    }

    /// Sends a callback once within a turn.
    pub(super) async fn send_callback(
        &self,
        subject: &CallbackSubject,
        notification: &Notification,
        turn: TurnDeadlines,
    ) -> CallbackReply {
        let now = self.clock.now();
        let left = Duration::try_from(turn.end.duration_since(now)).unwrap_or_default();
        fail_point("callback.before");
        let time = left.min(ATTEMPT_TIME);
        // Boxed, because the futures around it are moved several times.
        let sending = Box::pin(self.callbacks.send(notification, now, time));
        let reply = sending.instrument(subject.span()).await;
        fail_point("callback.answered");
        reply
    }

    /// Reports a job that did not finish in time to its receiver, whatever the route's `callback_on`. In inline mode the job
    /// continues only when its delivery is sent again.
    pub(super) async fn report_unfinished(&self, leased: &mut LeasedJob, turn: TurnDeadlines) {
        let status = leased.job.status();
        tracing::warn!(job.id = %leased.job.id, delivery.id = leased.job.delivery(), status = status.as_str(), "job not finished in time");
        if let Some(notification) = leased.job.interim_notification() {
            let subject = CallbackSubject::of(&leased.job);
            let reply = self.send_callback(&subject, &notification, turn).await;
            self.record_callback(leased, &notification, reply);
            self.checkpoint(leased).await;
        }
    }
}
