//! A receiver of callbacks that costs little beside the server: one thread, which answers each request with 200 and counts
//! it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

/// The name of the thread.
pub(crate) const THREAD: &str = "receiver";

/// Callbacks per connection are unlimited, so every answer keeps the connection.
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// A running receiver. It ends with the process.
pub(crate) struct LightReceiver {
    address: SocketAddr,
    received: Arc<AtomicU64>,
}

impl LightReceiver {
    pub(crate) fn start() -> Self {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        listener.set_nonblocking(true).expect("set");
        let address = listener.local_addr().expect("a bound listener");
        let received = Arc::<AtomicU64>::default();
        let count = received.clone();
        let serving = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            LocalSet::new().block_on(&runtime, accept_all(listener, count));
        };
        let thread = std::thread::Builder::new().name(THREAD.to_owned());
        thread.spawn(serving).expect("a thread");
        Self { address, received }
    }

    /// The URL for callbacks.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/zoho", self.address)
    }

    /// The number of callbacks so far.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}

async fn accept_all(listener: std::net::TcpListener, received: Arc<AtomicU64>) {
    let listener = TcpListener::from_std(listener).expect("a listener");
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        tokio::task::spawn_local(answer_all(stream, received.clone()));
    }
}

/// Answers the requests of a connection until it ends.
async fn answer_all(mut stream: TcpStream, received: Arc<AtomicU64>) {
    let _ = stream.set_nodelay(true);
    let mut buffer = Vec::with_capacity(8_192);
    while let Ok(1..) = stream.read_buf(&mut buffer).await {
        while let Some(length) = request_length(&buffer)
            && buffer.len() >= length
        {
            buffer.drain(..length);
            received.fetch_add(1, Ordering::Relaxed);
            if stream.write_all(ANSWER).await.is_err() {
                return;
            }
        }
    }
}

/// The length of the first request, once its head is complete.
fn request_length(bytes: &[u8]) -> Option<usize> {
    let end = bytes.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let length = head.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse::<usize>().ok())?
    });
    Some(end + 4 + length.unwrap_or(0))
}
