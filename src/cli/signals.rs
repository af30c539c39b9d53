//! Signals of the operating system.

use std::future::Future;
use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// The signals that ask a server to stop: SIGTERM and SIGINT. They are caught from the creation of this value on.
pub(super) struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
    received: watch::Sender<usize>,
}

impl StopSignals {
    pub(super) fn catch() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            received: watch::Sender::new(0),
        })
    }

    /// Completes when so many of them have been received while [`StopSignals::watch`] ran.
    pub(super) fn received(&self, count: usize) -> impl Future<Output = ()> + use<> {
        let mut received = self.received.subscribe();
        async move {
            // Signals that are no longer watched are no longer received.
            if received
                .wait_for(|received| *received >= count)
                .await
                .is_err()
            {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Counts the signals until the future is dropped.
    pub(super) async fn watch(mut self) -> std::convert::Infallible {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => {}
                _ = self.interrupt.recv() => {}
            }
            self.received.send_modify(|received| *received += 1);
        }
    }
}

/// Catches SIGHUP.
pub(super) fn catch_hangup() -> io::Result<Signal> {
    signal(SignalKind::hangup())
}
