//! Turns of the engine: which jobs they drive, and when their callbacks are sent.

use std::collections::HashSet;

use jiff::Timestamp;
use tokio::sync::oneshot;

use super::App;
use crate::clock::after;
use crate::engine::{CallbackQueue, DriveResult, Patience, TurnDeadlines};
use crate::job::JobId;
use crate::store::StoreError;

/// Maximum jobs of one turn: enough for a thousand deliveries of one batch window to share their calls.
const TURN_JOBS: usize = 1_000;

impl App {
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
