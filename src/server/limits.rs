//! What one server accepts at the same time, and how long it waits for it.

use std::time::Duration;

use rustix::process::{Resource, getrlimit};

/// Connections, unless the process may open too few files.
const DEFAULT_CONNECTIONS: usize = 512;

/// Callbacks that wait for their receivers, unless the process may open too few files.
const MAX_CALLBACKS: usize = 512;

/// Files that connections and callbacks leave to the store, the log and calls to Zoho.
const RESERVED_FILES: usize = 64;

/// The limits of a server.
#[derive(Clone, Copy, Debug)]
pub struct ServerLimits {
    /// Connections at the same time.
    pub connections: usize,
    /// Callbacks that wait for their receivers at the same time. Each has a connection.
    pub callbacks: usize,
    /// Time for the head of a request, from its first byte; of a new connection, from its start.
    pub head: Duration,
    /// Whether a connection whose head is incomplete makes way for another one, if there are as many as allowed.
    pub heads_make_way: bool,
    /// Time for the body of a request, from the end of its head.
    pub body: Duration,
    /// Time between two requests of a connection.
    pub idle: Duration,
    /// Time for the client to take in a response.
    pub response: Duration,
    /// Bytes of all bodies in memory, beside the first few KiB of each.
    pub body_bytes: usize,
    /// Time for which a body waits for others to be done, if these bytes are in use.
    pub body_wait: Duration,
    /// Time for running requests once the server stops.
    pub drain: Duration,
    /// Time until the server has stopped, its running turns included.
    pub shutdown: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self::for_process(None)
    }
}

impl ServerLimits {
    /// The limits for the files that this process may open. `connections` replaces the default.
    pub fn for_process(connections: Option<usize>) -> Self {
        let files = getrlimit(Resource::Nofile).current;
        let files = files.map_or(usize::MAX, |files| {
            usize::try_from(files).unwrap_or(usize::MAX)
        });
        let (connections, callbacks) = shares(files, connections);
        Self {
            connections,
            callbacks,
            head: Duration::from_secs(10),
            heads_make_way: false,
            body: Duration::from_secs(30),
            idle: Duration::from_secs(60),
            response: Duration::from_secs(30),
            body_bytes: 64 << 20,
            body_wait: Duration::from_secs(5),
            drain: Duration::from_secs(10),
            shutdown: Duration::from_secs(20),
        }
    }
}

/// The number of connections and of callbacks for a process that may open so many files.
fn shares(files: usize, connections: Option<usize>) -> (usize, usize) {
    let reserved = RESERVED_FILES.max(files / 4).min(files / 2);
    let free = files - reserved;
    let least = free / 4;
    let connections = connections.unwrap_or_else(|| (free - least).clamp(1, DEFAULT_CONNECTIONS));
    let callbacks = free.saturating_sub(connections).max(least);
    (connections, callbacks.clamp(1, MAX_CALLBACKS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_and_callbacks_leave_files_for_the_engine() {
        for (files, connections, callbacks) in [
            (0, 1, 1),
            (16, 6, 2),
            (256, 144, 48),
            (1_024, 512, 256),
            (4_096, 512, 512),
            (usize::MAX, 512, 512),
        ] {
            assert_eq!(shares(files, None), (connections, callbacks), "{files}");
        }
        assert_eq!(shares(1_024, Some(100)), (100, 512));
        assert_eq!(shares(256, Some(180)), (180, 48), "callbacks keep a share");
    }
}
