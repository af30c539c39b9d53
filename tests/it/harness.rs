//! What the tests stand on: tools fetched once, servers that end with the test, free ports.

pub(crate) mod ask;
pub(crate) mod aws_stack;
pub(crate) mod doors;
pub(crate) mod gateway;
pub(crate) mod guard;
pub(crate) mod moto;
pub(crate) mod poller;
pub(crate) mod receiver;
pub(crate) mod rie;
pub(crate) mod serve;
pub(crate) mod tools;
pub(crate) mod world;

mod self_tests;

use std::collections::HashSet;
use std::net::TcpListener;
use std::sync::{Mutex, PoisonError};

/// An HTTP client that looks at nothing.
#[expect(
    clippy::disallowed_methods,
    reason = "a plain client; the guarded one is under test"
)]
pub(crate) fn plain() -> reqwest::Client {
    let client = reqwest::Client::builder().no_proxy().build();
    client.expect("a client")
}

/// A loopback port that nobody listens on, and that this process hands out once. It lies below the range from which
/// Linux takes the ports of outgoing connections, so that none of those can take it before a server does.
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
