//! The loop that runs the engine's turns.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::{JoinError, JoinSet};

use super::current::CurrentApp;
use super::heartbeat::Heartbeat;
use crate::app::App;
use crate::clock::{Clock, after};
use crate::engine::DriveError;
use crate::job::JobId;
use crate::store::StoreError;
use crate::wakeup::LocalWakeUps;

/// Maximum concurrent turns. Each turn takes all due jobs, so more turns would only split jobs that could share calls.
const MAX_CONCURRENT_TURNS: usize = 4;

/// The shortest time between the starts of two turns. Jobs that become due meanwhile share calls, and their turn is the
/// cheaper the more they are.
const TURN_GAP: Duration = Duration::from_millis(50);

/// Interval at which due jobs are driven without a wake-up.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Time limit of one turn.
const TURN_TIMEOUT: Duration = Duration::from_secs(20);

/// How long callbacks are still sent after the last turn of an app. The next app or the next start sends the others.
const CALLBACK_GRACE: Duration = Duration::from_secs(3);

/// What the loop works with.
pub(super) struct EngineLoop {
    pub(super) current: CurrentApp,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) wakeups: LocalWakeUps,
    pub(super) heartbeat: Arc<Heartbeat>,
}

/// An app with the task that sends its callbacks. The task ends after the last holder of the session has dropped it.
struct Session {
    app: Arc<App>,
    _end: oneshot::Sender<()>,
}

impl EngineLoop {
    /// Runs a turn for every wake-up and every sweep interval until `stopping` is set, then completes the running turns.
    /// Whatever a turn does, the loop goes on.
    pub(super) async fn run(self, mut stopping: watch::Receiver<bool>) {
        let permits = Arc::new(Semaphore::new(MAX_CONCURRENT_TURNS));
        let mut turns = JoinSet::new();
        let mut senders = JoinSet::new();
        let mut session = self.open_session(&mut senders);
        let mut next_start = tokio::time::Instant::now();
        loop {
            // The permit comes first: jobs that become due while the loop waits for it join the same turn.
            let permit = async {
                tokio::time::sleep_until(next_start).await;
                permits.clone().acquire_owned().await
            };
            let permit = tokio::select! {
                biased;
                _ = stopping.wait_for(|stopping| *stopping) => break,
                permit = permit => permit,
            };
            let woken = tokio::select! {
                // Stopping has priority: a steady stream of wake-ups must not delay it.
                biased;
                _ = stopping.wait_for(|stopping| *stopping) => break,
                woken = self.wakeups.next() => woken,
                () = tokio::time::sleep(SWEEP_INTERVAL) => Vec::new(),
            };
            next_start = tokio::time::Instant::now() + TURN_GAP;
            self.heartbeat.tick(Instant::now());
            while let Some(ended) = turns.try_join_next() {
                self.record(ended);
            }
            while let Some(ended) = senders.try_join_next() {
                propagate_panic(ended);
            }
            if !self.current.is_current(&session.app) {
                session = self.open_session(&mut senders);
            }
            let session = Arc::clone(&session);
            let deadline = self.clock.now().saturating_add(TURN_TIMEOUT).ok();
            turns.spawn(async move {
                let result = run_turn(&session.app, &woken, deadline).await;
                drop(permit);
                result
            });
        }
        drop(session);
        while let Some(ended) = turns.join_next().await {
            self.record(ended);
        }
        while let Some(ended) = senders.join_next().await {
            propagate_panic(ended);
        }
    }

    /// Starts to send the callbacks of the app in use.
    fn open_session(&self, senders: &mut JoinSet<()>) -> Arc<Session> {
        let app = self.current.app();
        let (end, ended) = oneshot::channel::<()>();
        senders.spawn({
            let (app, clock) = (Arc::clone(&app), Arc::clone(&self.clock));
            async move {
                let stop = async {
                    let _ = ended.await;
                    after(clock.now(), CALLBACK_GRACE)
                };
                app.send_callbacks(stop).await;
            }
        });
        Arc::new(Session { app, _end: end })
    }

    /// Records the end of a turn. The jobs of one that panicked continue when its leases expire.
    fn record(&self, ended: Result<Result<(), String>, JoinError>) {
        let result = ended.unwrap_or_else(|error| Err(format!("a turn ended abnormally: {error}")));
        let failure = result.clone().err();
        if self.heartbeat.turn_ended(result, Instant::now())
            && let Some(failure) = failure
        {
            tracing::error!("{failure}; the engine tries again every second");
        }
    }
}

/// Ends the loop, and with it the server, if callbacks are no longer sent.
fn propagate_panic(ended: Result<(), JoinError>) {
    if let Err(panic) = ended.map_err(JoinError::try_into_panic)
        && let Ok(panic) = panic
    {
        std::panic::resume_unwind(panic);
    }
}

/// Runs a turn. The error is one of the store, as other errors concern one job only.
async fn run_turn(
    app: &App,
    woken: &[JobId],
    deadline: Option<jiff::Timestamp>,
) -> Result<(), String> {
    let driven = app.run_turn_without_callbacks(woken, deadline).await;
    let driven = driven.map_err(|error| format!("cannot read due jobs: {error}"))?;
    let failed = driven.iter().find_map(|driven| match &driven.outcome {
        Err(DriveError::Store(error @ (StoreError::Unavailable(_) | StoreError::Failed(_)))) => {
            Some(error)
        }
        _ => None,
    });
    failed.map_or(Ok(()), |error| {
        Err(format!("cannot store the progress of jobs: {error}"))
    })
}

#[cfg(test)]
mod tests {
    use std::panic::AssertUnwindSafe;

    use super::*;

    /// A server that sends no callbacks must not look healthy.
    #[tokio::test]
    async fn panic_of_the_callback_task_ends_the_loop() {
        let mut senders = JoinSet::new();
        senders.spawn(async {});
        propagate_panic(senders.join_next().await.expect("a task"));
        senders.spawn(async { panic!("a defect") });
        let ended = senders.join_next().await.expect("a task");
        let propagated = std::panic::catch_unwind(AssertUnwindSafe(|| propagate_panic(ended)));
        assert!(propagated.is_err());
    }
}
