//! A light load generator: deliveries over kept-alive connections, so that the client costs little beside the server.

#![allow(dead_code, reason = "each benchmark uses a part of it")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The answers to a load.
#[derive(Default)]
pub(crate) struct LoadResult {
    /// How long each accepted delivery took.
    pub(crate) accepted: Vec<Duration>,
    /// Deliveries that were answered with 503.
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
}

/// Sends deliveries over `connections` connections to `http://{address}/hooks/form` for `time`, at most `rate` per second if
/// it is given. `body` makes the delivery of a number.
pub(crate) async fn run(
    address: &str,
    connections: usize,
    time: Duration,
    rate: Option<f64>,
    body: impl Fn(u64) -> String + Send + Sync + 'static,
) -> LoadResult {
    let (next, body) = (Arc::new(AtomicU64::new(0)), Arc::new(body));
    let start = Instant::now();
    let senders: Vec<_> = (0..connections)
        .map(|_| {
            let (next, body, address) = (next.clone(), body.clone(), address.to_owned());
            tokio::spawn(async move {
                let mut result = LoadResult::default();
                let mut stream = None;
                while start.elapsed() < time {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if let Some(rate) = rate {
                        let at = Duration::from_secs_f64(number as f64 / rate);
                        tokio::time::sleep(at.saturating_sub(start.elapsed())).await;
                    }
                    let begun = Instant::now();
                    match exchange(&address, &mut stream, &body(number)).await {
                        Ok(202) => result.accepted.push(begun.elapsed()),
                        Ok(503) => result.refused += 1,
                        Ok(_) | Err(_) => result.failed += 1,
                    }
                }
                result
            })
        })
        .collect();
    let mut all = LoadResult::default();
    for sender in senders {
        let result = sender.await.expect("no panic");
        all.accepted.extend(result.accepted);
        all.refused += result.refused;
        all.failed += result.failed;
    }
    all.lasted = start.elapsed();
    all
}

/// Sends one delivery and returns the status of the answer. The connection is opened if there is none.
async fn exchange(
    address: &str,
    stream: &mut Option<TcpStream>,
    body: &str,
) -> std::io::Result<u16> {
    let mut open = match stream.take() {
        Some(open) => open,
        None => TcpStream::connect(address).await?,
    };
    open.set_nodelay(true)?;
    let request = format!(
        "POST /hooks/form HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    open.write_all(request.as_bytes()).await?;
    let mut answer = Vec::with_capacity(1_024);
    loop {
        if open.read_buf(&mut answer).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let text = String::from_utf8_lossy(&answer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let is_length = name.eq_ignore_ascii_case("content-length");
            is_length.then(|| value.trim().parse::<usize>().ok())?
        });
        if body.len() < length.unwrap_or(0) {
            continue;
        }
        let status = head.get(9..12).and_then(|status| status.parse().ok());
        if !head.to_ascii_lowercase().contains("connection: close") {
            *stream = Some(open);
        }
        return status.ok_or_else(|| std::io::ErrorKind::InvalidData.into());
    }
}
