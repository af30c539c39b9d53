//! The durable server of one machine: the HTTP API and the engine in one process, over a SQLite file.

mod refused;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::api::router;
use crate::app::App;
use crate::clock::Clock;
use crate::job::wakeup::LocalWakeUps;
use refused::Explaining;

/// Turns under way at once. Each takes whatever is due, so more of them would only split what could travel together.
const TURNS_AT_ONCE: usize = 4;

/// How often due jobs are looked for although nobody woke them.
const SWEEP: Duration = Duration::from_secs(1);

/// How long one turn may take.
const TURN: Duration = Duration::from_secs(20);

/// Serves until `stop` is done; then takes nothing new, lets the turns under way come to their end, and returns. What is
/// not finished then goes on with the next start.
///
/// # Errors
/// Those of the listener.
pub async fn serve(
    app: Arc<App>,
    clock: Arc<dyn Clock>,
    wakeups: LocalWakeUps,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let (stopping, stopped) = watch::channel(false);
    let engine = tokio::spawn(drive(app.clone(), clock, wakeups, stopped));
    let shutdown = async move {
        stop.await;
        tracing::info!("stopping: nothing new is taken in, turns under way are finished");
        stopping.send_replace(true);
    };
    axum::serve(Explaining(listener), router(app))
        .with_graceful_shutdown(shutdown)
        .await?;
    engine.await.map_err(io::Error::other)
}

async fn drive(
    app: Arc<App>,
    clock: Arc<dyn Clock>,
    wakeups: LocalWakeUps,
    mut stopped: watch::Receiver<bool>,
) {
    let free = Arc::new(Semaphore::new(TURNS_AT_ONCE));
    let mut turns = JoinSet::new();
    loop {
        // First a free place, then the look at what is due: what comes in the meantime travels along.
        let Ok(place) = free.clone().acquire_owned().await else {
            break;
        };
        let waked = tokio::select! {
            // The wish to stop comes first: jobs that wake all the time must not put it off.
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => break,
            waked = wakeups.next() => waked,
            () = tokio::time::sleep(SWEEP) => Vec::new(),
        };
        while let Some(ended) = turns.try_join_next() {
            report(ended);
        }
        let app = app.clone();
        let deadline = clock.now().saturating_add(TURN).ok();
        turns.spawn(async move {
            if let Err(error) = app.run_turn(&waked, deadline).await {
                tracing::error!("what is due cannot be read: {error}");
            }
            drop(place);
        });
    }
    while let Some(ended) = turns.join_next().await {
        report(ended);
    }
}

/// A turn that panicked has lost its leases; its jobs are taken up when those run out.
fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!("a turn broke off: {error}");
    }
}
