//! The durable server for one machine: the HTTP API and the engine in one process, with a SQLite file as the store.

mod http_errors;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::JoinSet;

use crate::api::router;
use crate::app::App;
use crate::clock::{Clock, after};
use crate::wakeup::LocalWakeUps;
use http_errors::ProblemListener;

/// Maximum concurrent turns. Each turn takes all due jobs, so more turns would only split jobs that could share calls.
const MAX_CONCURRENT_TURNS: usize = 4;

/// Interval at which due jobs are driven without a wake-up.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// How long callbacks are still sent after the last turn. The next start sends the others.
const CALLBACK_GRACE: Duration = Duration::from_secs(3);

/// Time limit of one turn.
const TURN_TIMEOUT: Duration = Duration::from_secs(20);

/// Serves until `stop` completes, then accepts no more requests, completes the running turns and returns. The next start
/// continues unfinished jobs.
///
/// # Errors
/// I/O errors of the listener.
pub async fn serve(
    app: Arc<App>,
    clock: Arc<dyn Clock>,
    wakeups: LocalWakeUps,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let (stopping, stopped) = watch::channel(false);
    let (turns_ended, ending) = oneshot::channel::<()>();
    let engine = tokio::spawn({
        let turns = drive_jobs(app.clone(), clock.clone(), wakeups, stopped);
        async move {
            turns.await;
            drop(turns_ended);
        }
    });
    let callbacks = tokio::spawn({
        let app = app.clone();
        async move {
            let stop = async {
                let _ = ending.await;
                after(clock.now(), CALLBACK_GRACE)
            };
            app.send_callbacks(stop).await;
        }
    });
    let shutdown = async move {
        stop.await;
        tracing::info!("stopping: no new requests are accepted, running turns complete");
        stopping.send_replace(true);
    };
    axum::serve(ProblemListener(listener), router(app))
        .with_graceful_shutdown(shutdown)
        .await?;
    engine.await.map_err(io::Error::other)?;
    callbacks.await.map_err(io::Error::other)
}

/// Runs a turn for every wake-up and every sweep interval until `stopped` is set.
async fn drive_jobs(
    app: Arc<App>,
    clock: Arc<dyn Clock>,
    wakeups: LocalWakeUps,
    mut stopped: watch::Receiver<bool>,
) {
    let permits = Arc::new(Semaphore::new(MAX_CONCURRENT_TURNS));
    let mut turns = JoinSet::new();
    loop {
        // The permit comes first: jobs that become due while the loop waits for it join the same turn.
        let Ok(permit) = permits.clone().acquire_owned().await else {
            break;
        };
        let woken = tokio::select! {
            // Stopping has priority: a steady stream of wake-ups must not delay it.
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => break,
            woken = wakeups.next() => woken,
            () = tokio::time::sleep(SWEEP_INTERVAL) => Vec::new(),
        };
        while let Some(ended) = turns.try_join_next() {
            log_panic(ended);
        }
        let app = app.clone();
        let deadline = clock.now().saturating_add(TURN_TIMEOUT).ok();
        turns.spawn(async move {
            if let Err(error) = app.run_turn_without_callbacks(&woken, deadline).await {
                tracing::error!("cannot read due jobs: {error}");
            }
            drop(permit);
        });
    }
    while let Some(ended) = turns.join_next().await {
        log_panic(ended);
    }
}

/// Logs the panic of a turn. Its jobs continue when its leases expire.
fn log_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!("a turn ended abnormally: {error}");
    }
}
