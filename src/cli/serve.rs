//! `masshook serve`.

use std::fs::{File, TryLockError};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::{Verdict, complain, jobs};
use crate::app::{App, Edges};
use crate::aws;
use crate::aws::secrets::SecretsManager;
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::engine::ExecutionMode;
use crate::job::sqlite::SqliteStore;
use crate::job::steady::SteadyStore;
use crate::job::wakeup::LocalWakeUps;
use crate::server;

/// The file in the data folder that a server holds for as long as it lives.
const LOCK: &str = "masshook.lock";

/// Runs the command until the process is asked to stop.
pub(super) async fn run(config: Config, listen: SocketAddr, data: &Path) -> Verdict {
    match start(config, listen, data).await {
        Ok(()) => Verdict::Done,
        Err(why) => {
            complain(&why);
            Verdict::Unusable
        }
    }
}

async fn start(config: Config, listen: SocketAddr, data: &Path) -> Result<(), String> {
    std::fs::create_dir_all(data).map_err(|error| format!("{}: {error}", data.display()))?;
    let alone = alone_on(data)?;
    let listener = TcpListener::bind(listen)
        .await
        .map_err(|error| format!("cannot listen on {listen}: {error}"))?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let wakeups = LocalWakeUps::new();
    let clock = Arc::new(SystemClock);
    let store = SqliteStore::in_file(data.join(jobs::FILE));
    // Whoever drove these jobs before is gone: nobody needs to wait until its leases run out.
    match store.break_leases(clock.now()).await {
        Ok(0) => {}
        Ok(freed) => tracing::info!("{freed} jobs that were being driven are taken up again"),
        Err(error) => tracing::warn!("{error}; jobs go on when their old leases run out"),
    }
    let app = App::new(
        config,
        Edges {
            clock: clock.clone(),
            // A jump of the clock must not end the leases of turns under way.
            store: Arc::new(SteadyStore::over(Arc::new(store), clock.clone())),
            secrets_manager: Arc::new(SecretsManager::new()),
            mode: ExecutionMode::Durable(Arc::new(wakeups.clone())),
            runtime_api: None,
            sns_endpoint: aws::sns_endpoint()?,
        },
    );
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| error.to_string())?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    tracing::info!("listening on http://{address}");
    let served = server::serve(Arc::new(app), clock, wakeups, listener, stop).await;
    drop(alone);
    served.map_err(|error| error.to_string())
}

/// Makes sure that no other server works on this folder. The system ends the lock with the process, however that ends.
fn alone_on(data: &Path) -> Result<File, String> {
    let path = data.join(LOCK);
    let file = File::create(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(format!(
            "another masshook serves from {}: one folder, one server",
            data.display()
        )),
        Err(TryLockError::Error(error)) => Err(format!("{}: {error}", path.display())),
    }
}
