//! What one server accepts at the same time, and how long it waits for it.

use std::time::Duration;

use rustix::process::{Resource, getrlimit};

/// Connections, unless the process may open too few files.
const DEFAULT_CONNECTIONS: usize = 512;

/// Files that connections leave to the store, the log and calls to other servers.
const RESERVED_FILES: usize = 64;

/// The limits of a server.
#[derive(Clone, Copy, Debug)]
pub struct ServerLimits {
    /// Connections at the same time.
    pub connections: usize,
    /// Time for the head of a request, from its first byte; of a new connection, from its start.
    pub head: Duration,
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
        Self {
            connections: default_connections(),
            head: Duration::from_secs(10),
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

/// The number of connections that the open files of the process allow, up to [`DEFAULT_CONNECTIONS`].
fn default_connections() -> usize {
    let files = getrlimit(Resource::Nofile).current;
    files.map_or(DEFAULT_CONNECTIONS, |files| {
        connections_for(usize::try_from(files).unwrap_or(usize::MAX))
    })
}

/// The number of connections for a process that may open so many files.
fn connections_for(files: usize) -> usize {
    let reserved = RESERVED_FILES.max(files / 4).min(files / 2);
    (files - reserved).clamp(1, DEFAULT_CONNECTIONS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_the_engine() {
        for (files, connections) in [(0, 1), (16, 8), (256, 192), (1_024, 512), (usize::MAX, 512)] {
            assert_eq!(connections_for(files), connections, "{files}");
        }
    }
}
