//! The durable server for one machine: the HTTP API and the engine in one process, with a SQLite file as the store.

mod connection_io;
mod connections;
mod current;
mod diagnosis;
mod engine_loop;
mod heartbeat;
mod limits;
mod timing;

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::timeout;

use crate::app::App;
use crate::clock::Clock;
use crate::wakeup::LocalWakeUps;
use connections::Connections;
pub use current::CurrentApp;
use engine_loop::EngineLoop;
use heartbeat::Heartbeat;
pub use limits::ServerLimits;

/// Why a server ended before it was asked to, or before its work was complete.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// A part without which the server must not accept anything has ended.
    #[error(
        "{part} ended ({reason}), so the server stops; the next start continues unfinished jobs"
    )]
    PartEnded {
        /// The part.
        part: &'static str,
        /// Its panic.
        reason: String,
    },
    /// The server was asked to stop at once.
    #[error("stopped at once; the next start continues unfinished jobs")]
    Forced,
}

/// What a server needs.
#[derive(Debug)]
pub struct Server {
    /// The app in use.
    pub app: CurrentApp,
    /// The clock of the turns' deadlines.
    pub clock: Arc<dyn Clock>,
    /// The wake-ups of the app's jobs.
    pub wakeups: LocalWakeUps,
    /// Where to listen.
    pub listener: TcpListener,
    /// The limits.
    pub limits: ServerLimits,
}

impl Server {
    /// Serves until `stop` completes, then accepts no more requests, completes the running requests and turns, and returns.
    /// What is unfinished after [`ServerLimits::shutdown`], or when `force` completes, is broken off: the next start continues
    /// it.
    ///
    /// # Errors
    /// [`ServerError`].
    pub async fn run(
        self,
        stop: impl Future<Output = ()>,
        force: impl Future<Output = ()>,
    ) -> Result<(), ServerError> {
        let heartbeat = Arc::new(Heartbeat::new(Instant::now()));
        let (stopping, stopped) = watch::channel(false);
        let routes = self.app.routes(Arc::clone(&heartbeat));
        let connections = Connections::new(routes, self.limits, stopped.clone());
        let current = self.app.clone();
        let stop = async {
            stop.await;
            current.app().stop_waiting();
        };
        let engine = EngineLoop {
            current: self.app,
            clock: self.clock,
            wakeups: self.wakeups,
            heartbeat,
        };
        let parts = Parts {
            door: tokio::spawn(connections.accept_all(self.listener)),
            engine: tokio::spawn(engine.run(stopped)),
        };
        let ended = parts.run(stop, force, stopping, self.limits).await;
        current.app().flush_delivery_log().await;
        ended
    }
}

/// Serves another router over the app in use, on a listener of its own, until the future is dropped.
pub async fn serve_router(
    app: &CurrentApp,
    build: impl Fn(Arc<App>) -> Router + Send + Sync + 'static,
    listener: TcpListener,
    limits: ServerLimits,
) {
    let routes = app.routes_of(Arc::new(build), None);
    let (_stopping, stopped) = watch::channel(false);
    Connections::new(routes, limits, stopped)
        .accept_all(listener)
        .await;
}

/// The tasks of a server. Each of them ends only if the server stops, or by a defect.
struct Parts {
    door: JoinHandle<()>,
    engine: JoinHandle<()>,
}

impl Parts {
    async fn run(
        mut self,
        stop: impl Future<Output = ()>,
        force: impl Future<Output = ()>,
        stopping: watch::Sender<bool>,
        limits: ServerLimits,
    ) -> Result<(), ServerError> {
        tokio::select! {
            ended = &mut self.engine => return Err(part_ended("the engine", ended)),
            ended = &mut self.door => return Err(part_ended("the listener", ended)),
            () = stop => {}
        }
        tracing::info!(
            "stopping: no new requests are accepted, running ones and running turns complete"
        );
        stopping.send_replace(true);
        let ending = async {
            let door = (&mut self.door).await;
            let engine = (&mut self.engine).await;
            door.map_err(|error| part_ended("the listener", Err(error)))?;
            engine.map_err(|error| part_ended("the engine", Err(error)))
        };
        tokio::select! {
            ended = timeout(limits.shutdown, ending) => ended.unwrap_or_else(|_| {
                tracing::warn!("a turn had not ended and is broken off; the next start continues its jobs");
                Ok(())
            }),
            () = force => Err(ServerError::Forced),
        }
    }
}

impl Drop for Parts {
    /// Nothing is accepted without an engine.
    fn drop(&mut self) {
        self.door.abort();
        self.engine.abort();
    }
}

fn part_ended(part: &'static str, ended: Result<(), JoinError>) -> ServerError {
    let reason = match ended {
        Ok(()) => "without a reason".to_owned(),
        Err(error) => error.to_string(),
    };
    ServerError::PartEnded { part, reason }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    async fn run(
        engine: impl Future<Output = ()> + Send + 'static,
        stop: impl Future<Output = ()>,
        force: impl Future<Output = ()>,
    ) -> Result<(), ServerError> {
        let (stopping, mut stopped) = watch::channel(false);
        let door = tokio::spawn(async move {
            let _ = stopped.wait_for(|stopped| *stopped).await;
        });
        let engine = tokio::spawn(engine);
        let parts = Parts { door, engine };
        let limits = ServerLimits {
            shutdown: std::time::Duration::from_millis(50),
            ..ServerLimits::default()
        };
        parts.run(stop, force, stopping, limits).await
    }

    #[tokio::test]
    async fn server_ends_with_its_engine() {
        let ended = run(async { panic!("a defect") }, pending(), pending()).await;
        let error = ended.expect_err("an error").to_string();
        assert!(
            error.starts_with("the engine ended (") && error.contains("a defect"),
            "{error}"
        );
        let ended = run(ready(()), pending(), pending()).await;
        assert!(matches!(ended, Err(ServerError::PartEnded { .. })));
    }

    #[tokio::test]
    async fn engine_that_does_not_end_is_broken_off() {
        let ended = run(pending(), ready(()), pending()).await;
        assert!(ended.is_ok(), "{ended:?}");
        let forced = run(pending(), ready(()), ready(())).await;
        assert!(matches!(forced, Err(ServerError::Forced)));
    }
}
