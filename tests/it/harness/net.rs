//! Loopback ports, and the HTTP client of the tests.

use std::collections::HashSet;
use std::net::TcpListener;
use std::sync::{Mutex, PoisonError};

/// Returns an HTTP client without masshook's address checks and limits.
#[expect(
    clippy::disallowed_methods,
    reason = "a plain client; the guarded one is under test"
)]
pub(crate) fn http_client() -> reqwest::Client {
    let client = reqwest::Client::builder().no_proxy().build();
    client.expect("a client")
}

/// Creates a client that uses each connection once: the server may close one just when it is used again.
#[expect(
    clippy::disallowed_methods,
    reason = "a plain client; the guarded one is under test"
)]
pub(crate) fn client_without_pool() -> reqwest::Client {
    let client = reqwest::Client::builder()
        .no_proxy()
        .pool_max_idle_per_host(0)
        .build();
    client.expect("a client")
}

/// Returns a free loopback port, each at most once in this process. It lies below the range from which Linux takes the
/// ports of outgoing connections, so that it is still free when a server binds it, also after a kill.
pub(crate) fn free_port() -> u16 {
    static TAKEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    let taken = taken.get_or_insert_default();
    loop {
        let port = fastrand::u16(12_000..32_000);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() && taken.insert(port) {
            return port;
        }
    }
}
