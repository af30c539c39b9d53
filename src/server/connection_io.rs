//! The bytes of a connection: deadlines, and problem details for requests that hyper refuses.
//!
//! hyper answers malformed HTTP with a bare status, before the router sees the request, and does not answer a client that is
//! too slow at all. This layer below hyper recognizes both, and writes problem details like those of every other refusal.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::diagnosis::{diagnose, is_http2};
use super::timing::{Phase, Timing};
use crate::api::{log_rejection, problem_headers};
use crate::inbound::rejection::Rejection;

/// Upper bound for the size of hyper's own responses, which consist of a head only.
const MAX_HYPER_RESPONSE_BYTES: usize = 512;

/// Maximum bytes of a request's head, and of hyper's buffer.
pub(super) const MAX_HEAD_BYTES: usize = 128 << 10;

/// Maximum bytes to read from a refused client before closing. Closing with unread bytes would reset the connection and lose
/// the response.
const MAX_DRAIN_BYTES: usize = 64 << 20;

/// Maximum time to wait for those bytes.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection below hyper.
#[derive(Debug)]
pub(super) struct ConnectionIo<Io> {
    io: Io,
    timing: Arc<Timing>,
    /// The head of the current request as far as it has arrived.
    head: Vec<u8>,
    max_body_bytes: usize,
    deadline: Option<Pin<Box<Sleep>>>,
    refusal: Option<Refusal>,
    draining: Option<Draining>,
}

/// A response that replaces what hyper has to say, and ends the connection.
#[derive(Debug)]
struct Refusal {
    response: Vec<u8>,
    sent: usize,
}

/// Reading and discarding after the last response.
#[derive(Debug)]
struct Draining {
    drained: usize,
    timeout: Pin<Box<Sleep>>,
}

impl Refusal {
    fn new(rejection: &Rejection) -> Self {
        log_rejection(rejection);
        Self {
            response: problem_response(rejection),
            sent: 0,
        }
    }

    fn poll_send<Io: AsyncWrite + Unpin>(
        &mut self,
        io: &mut Io,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.sent < self.response.len() {
            let rest = &self.response[self.sent..];
            let written = ready!(Pin::new(&mut *io).poll_write(context, rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += written;
        }
        Poll::Ready(Ok(()))
    }
}

/// The whole response to a rejection, which closes the connection.
pub(super) fn problem_response(rejection: &Rejection) -> Vec<u8> {
    let (status, body) = (rejection.status(), rejection.problem().to_string());
    let mut response = format!("HTTP/1.1 {status}\r\n").into_bytes();
    let length = body.len().to_string();
    let headers = problem_headers(rejection);
    let mut add = |name: &str, value: &[u8]| {
        response.extend_from_slice(&[name.as_bytes(), b": ", value, b"\r\n"].concat());
    };
    for (name, value) in headers.iter().filter(|(name, _)| name != "connection") {
        add(name.as_str(), value.as_bytes());
    }
    add("content-length", length.as_bytes());
    add("connection", b"close");
    response.extend_from_slice(b"\r\n");
    response.extend_from_slice(body.as_bytes());
    response
}

/// The status of a response that hyper wrote itself; `None` for responses of the router, which have a content type.
fn hyper_status(response: &[u8]) -> Option<&str> {
    let whole = Some(response).filter(|response| response.len() < MAX_HYPER_RESPONSE_BYTES)?;
    let head = std::str::from_utf8(whole).ok()?.strip_suffix("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?;
    let is_hyper_header = |line: &str| {
        let name = line.split(':').next().unwrap_or_default();
        let names = ["connection", "content-length", "date"];
        names.iter().any(|known| name.eq_ignore_ascii_case(known))
    };
    lines.all(is_hyper_header).then_some(status)
}

impl<Io> ConnectionIo<Io> {
    pub(super) fn new(io: Io, timing: Arc<Timing>, max_body_bytes: usize) -> Self {
        Self {
            io,
            timing,
            head: Vec::new(),
            max_body_bytes,
            deadline: None,
            refusal: None,
            draining: None,
        }
    }

    /// Whether a deadline has passed. Wakes the task when it does.
    fn has_passed(&mut self, until: Instant, context: &mut Context<'_>) -> bool {
        let deadline = self
            .deadline
            .get_or_insert_with(|| Box::pin(sleep_until(until)));
        if deadline.deadline() != until {
            deadline.as_mut().reset(until);
        }
        deadline.as_mut().poll(context).is_ready()
    }

    /// Keeps the bytes of a head, for the diagnosis of a refusal.
    fn observe(&mut self, bytes: &[u8]) {
        if !self.timing.bytes_read(Instant::now()) {
            self.head = Vec::new();
            return;
        }
        let space = MAX_HEAD_BYTES.saturating_sub(self.head.len());
        self.head
            .extend_from_slice(&bytes[..bytes.len().min(space)]);
        if is_http2(&self.head) {
            self.refusal = Some(Refusal::new(&Rejection::HttpVersion));
        }
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> AsyncRead for ConnectionIo<Io> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if let Some(refusal) = &mut this.refusal {
                ready!(refusal.poll_send(&mut this.io, context))?;
                // After that, the client has closed the connection as far as hyper knows.
                return Pin::new(this).poll_shutdown(context);
            }
            let before = buffer.filled().len();
            match Pin::new(&mut this.io).poll_read(context, buffer) {
                Poll::Ready(Ok(())) if buffer.filled().len() > before => {
                    this.observe(&buffer.filled()[before..]);
                    if this.refusal.is_none() {
                        return Poll::Ready(Ok(()));
                    }
                    buffer.set_filled(before);
                }
                Poll::Ready(result) => return Poll::Ready(result),
                Poll::Pending => match this.timing.phase() {
                    Phase::Waiting { until, .. } if this.has_passed(until, context) => {
                        return Poll::Ready(Ok(()));
                    }
                    Phase::Head { until } if this.has_passed(until, context) => {
                        this.refusal = Some(Refusal::new(&Rejection::RequestTimeout));
                    }
                    Phase::Waiting { .. }
                    | Phase::Head { .. }
                    | Phase::Handling
                    | Phase::Responding { .. } => return Poll::Pending,
                },
            }
        }
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ConnectionIo<Io> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.refusal.is_none()
            && let Phase::Head { .. } | Phase::Waiting { .. } = this.timing.phase()
            && let Some(rejection) = hyper_status(buffer)
                .and_then(|status| diagnose(&this.head, status, this.max_body_bytes))
        {
            this.refusal = Some(Refusal::new(&rejection));
        }
        let written = match &mut this.refusal {
            Some(refusal) => refusal
                .poll_send(&mut this.io, context)
                .map_ok(|()| buffer.len()),
            None => Pin::new(&mut this.io).poll_write(context, buffer),
        };
        if written.is_pending() && this.is_reader_too_slow(context) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.io).poll_flush(context);
        match flushed {
            Poll::Ready(Ok(())) => this.timing.flushed(Instant::now()),
            Poll::Pending if this.is_reader_too_slow(context) => {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            Poll::Ready(Err(_)) | Poll::Pending => {}
        }
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.io).poll_shutdown(context))?;
        if this.refusal.is_none() && !this.timing.has_unread_body() {
            return Poll::Ready(Ok(()));
        }
        let draining = this.draining.get_or_insert_with(|| Draining {
            drained: 0,
            timeout: Box::pin(sleep(DRAIN_TIMEOUT)),
        });
        draining.poll(&mut this.io, context).map(Ok)
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> ConnectionIo<Io> {
    /// Whether the client has not taken in the response in time.
    fn is_reader_too_slow(&mut self, context: &mut Context<'_>) -> bool {
        match self.timing.phase() {
            Phase::Responding { until } | Phase::Head { until } => self.has_passed(until, context),
            Phase::Waiting { .. } | Phase::Handling => false,
        }
    }
}

impl Draining {
    fn poll<Io: AsyncRead + Unpin>(&mut self, io: &mut Io, context: &mut Context<'_>) -> Poll<()> {
        let mut scratch = [0; 8 << 10];
        while self.drained < MAX_DRAIN_BYTES {
            let mut buffer = ReadBuf::new(&mut scratch);
            match Pin::new(&mut *io).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    self.drained += buffer.filled().len();
                }
                Poll::Ready(_) => break,
                Poll::Pending => return self.timeout.as_mut().poll(context),
            }
        }
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hyper_responses_differ_from_router_responses() {
        let hyper_response = |status: &str| {
            format!(
                "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\ndate: x\r\n\r\n"
            )
        };
        let full = hyper_response("431 Request Header Fields Too Large");
        assert_eq!(hyper_status(full.as_bytes()), Some("431"));
        // A response with a content type, and one with bytes after its head.
        let typed = full.replace("date: x", "content-type: text/plain");
        assert_eq!(hyper_status(typed.as_bytes()), None);
        let followed = format!("{full}HTTP/1.1 200 OK\r\n\r\n");
        assert_eq!(hyper_status(followed.as_bytes()), None);
        assert_eq!(hyper_status(b""), None);
    }

    #[test]
    fn refusal_is_a_whole_response() {
        let response = problem_response(&Rejection::ServerFull("it has too many connections"));
        let text = String::from_utf8(response).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        assert!(
            head.starts_with("HTTP/1.1 503 Service Unavailable\r\n"),
            "{head}"
        );
        for header in [
            "content-type: application/problem+json".to_owned(),
            "retry-after: 5".to_owned(),
            "connection: close".to_owned(),
            format!("content-length: {}", body.len()),
        ] {
            assert!(head.lines().any(|line| line == header), "{header}: {head}");
        }
        assert!(body.contains("\"code\":\"overloaded\""), "{body}");
    }
}
