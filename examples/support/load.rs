//! A light load generator: deliveries over kept-alive connections from one thread, so that the client costs little beside
//! the server.

#![allow(dead_code, reason = "each benchmark uses a part of it")]

use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

/// The name of the thread that sends.
pub(crate) const THREAD: &str = "load";

/// The answers to a load.
#[derive(Default)]
pub(crate) struct LoadResult {
    /// How long each accepted delivery took.
    pub(crate) accepted: Vec<Duration>,
    /// Deliveries that were answered with 503 and `Retry-After`.
    pub(crate) refused: u64,
    /// Deliveries with another answer, or none.
    pub(crate) failed: u64,
    /// How long the load lasted.
    pub(crate) lasted: Duration,
}

impl LoadResult {
    /// Accepted deliveries per second.
    pub(crate) fn rate(&self) -> f64 {
        self.accepted.len() as f64 / self.lasted.as_secs_f64()
    }

    /// The time within which this share of the accepted deliveries was answered.
    pub(crate) fn percentile(&self, share: f64) -> Duration {
        let mut sorted = self.accepted.clone();
        sorted.sort_unstable();
        let place = (sorted.len() as f64 * share) as usize;
        sorted
            .get(place)
            .or(sorted.last())
            .copied()
            .unwrap_or_default()
    }

    /// Adds the answers to another load.
    pub(crate) fn add(&mut self, other: Self) {
        self.accepted.extend(other.accepted);
        self.refused += other.refused;
        self.failed += other.failed;
        self.lasted += other.lasted;
    }
}

/// What the senders share.
struct Load<B> {
    address: String,
    start: Instant,
    time: Duration,
    rate: Option<f64>,
    next: std::cell::Cell<u64>,
    body: B,
}

/// Sends deliveries over `connections` connections to `http://{address}/hooks/form` for `time`, at most `rate` per second if
/// it is given. `body` makes the delivery of a number.
pub(crate) async fn run(
    address: &str,
    connections: usize,
    time: Duration,
    rate: Option<f64>,
    body: impl Fn(u64) -> String + Send + 'static,
) -> LoadResult {
    let (reply, result) = tokio::sync::oneshot::channel();
    let address = address.to_owned();
    let sending = move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let load = Load {
            address,
            start: Instant::now(),
            time,
            rate,
            next: std::cell::Cell::new(0),
            body,
        };
        let sent = LocalSet::new().block_on(&runtime, send_all(Rc::new(load), connections));
        let _ = reply.send(sent);
    };
    let thread = std::thread::Builder::new().name(THREAD.to_owned());
    thread.spawn(sending).expect("a thread");
    result.await.expect("no panic")
}

async fn send_all<B: Fn(u64) -> String + 'static>(
    load: Rc<Load<B>>,
    connections: usize,
) -> LoadResult {
    let senders = (0..connections).map(|_| tokio::task::spawn_local(send(load.clone())));
    let senders: Vec<_> = senders.collect();
    let mut all = LoadResult::default();
    for sender in senders {
        all.add(sender.await.expect("no panic"));
    }
    all.lasted = load.start.elapsed();
    all
}

/// Sends the deliveries of one connection.
async fn send<B: Fn(u64) -> String>(load: Rc<Load<B>>) -> LoadResult {
    let mut result = LoadResult::default();
    let mut connection = None;
    while load.start.elapsed() < load.time {
        let number = load.next.replace(load.next.get() + 1);
        if let Some(rate) = load.rate {
            let at = Duration::from_secs_f64(number as f64 / rate);
            tokio::time::sleep(at.saturating_sub(load.start.elapsed())).await;
        }
        let body = (load.body)(number);
        let begun = Instant::now();
        match exchange(&load.address, &mut connection, &body).await {
            Ok(Answer { status: 202, .. }) => result.accepted.push(begun.elapsed()),
            Ok(Answer {
                status: 503,
                has_retry_after: true,
                ..
            }) => result.refused += 1,
            Ok(_) | Err(_) => result.failed += 1,
        }
    }
    result
}

/// An open connection and the buffer of its answers.
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// What the load reads of an answer.
struct Answer {
    status: u16,
    length: usize,
    has_retry_after: bool,
    closes: bool,
}

/// Sends one delivery and reads the answer. The connection is opened if there is none.
async fn exchange(
    address: &str,
    connection: &mut Option<Connection>,
    body: &str,
) -> std::io::Result<Answer> {
    let mut open = match connection.take() {
        Some(open) => open,
        None => {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let buffer = Vec::with_capacity(4_096);
            Connection { stream, buffer }
        }
    };
    let request = format!(
        "POST /hooks/form HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    open.stream.write_all(request.as_bytes()).await?;
    open.buffer.clear();
    loop {
        if open.stream.read_buf(&mut open.buffer).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let end = open
            .buffer
            .windows(4)
            .position(|bytes| bytes == b"\r\n\r\n");
        let Some(end) = end else { continue };
        let answer = parse_head(&open.buffer[..end]).ok_or(std::io::ErrorKind::InvalidData)?;
        if open.buffer.len() < end + 4 + answer.length {
            continue;
        }
        if !answer.closes {
            *connection = Some(open);
        }
        return Ok(answer);
    }
}

fn parse_head(head: &[u8]) -> Option<Answer> {
    let head = std::str::from_utf8(head).ok()?;
    let mut lines = head.split("\r\n");
    let mut answer = Answer {
        status: lines.next()?.get(9..12)?.parse().ok()?,
        length: 0,
        has_retry_after: false,
        closes: false,
    };
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            answer.length = value.trim().parse().ok()?;
        } else if name.eq_ignore_ascii_case("retry-after") {
            answer.has_retry_after = true;
        } else if name.eq_ignore_ascii_case("connection") {
            answer.closes = value.trim().eq_ignore_ascii_case("close");
        }
    }
    Some(answer)
}
