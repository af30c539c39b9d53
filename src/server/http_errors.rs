//! Problem details for requests that hyper refuses.
//!
//! hyper answers malformed HTTP with a bare status, before the router sees the request. The connections of this listener
//! recognize such a response and replace it with problem details like those of every other refusal.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Sleep, sleep};

use crate::api::log_rejection;
use crate::inbound::rejection::Rejection;

/// Upper bound for the size of hyper's own responses, which consist of a head only.
const MAX_HYPER_RESPONSE_BYTES: usize = 512;

/// Maximum bytes to read from a refused client before closing. Closing with unread bytes would reset the connection and lose
/// the response.
const MAX_DRAIN_BYTES: usize = 1 << 20;

/// Maximum time to wait for those bytes.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// A listener whose connections add problem details to hyper's own responses.
#[derive(Debug)]
pub(super) struct ProblemListener(pub(super) TcpListener);

impl axum::serve::Listener for ProblemListener {
    type Io = ProblemConnection<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        let (io, address) = axum::serve::Listener::accept(&mut self.0).await;
        (ProblemConnection::new(io), address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// A connection that adds problem details to hyper's own responses.
#[derive(Debug)]
pub(super) struct ProblemConnection<Io> {
    io: Io,
    state: ConnectionState,
}

#[derive(Debug)]
enum ConnectionState {
    /// Bytes pass through unchanged.
    PassThrough,
    /// The replacement of a hyper response is being written.
    Replacing {
        response: Vec<u8>,
        sent: usize,
        /// Size of hyper's response, which `poll_write` reports as written.
        replaced_bytes: usize,
    },
    /// The replacement is written; the remaining request is read and discarded.
    Draining {
        drained: usize,
        timeout: Pin<Box<Sleep>>,
    },
}

impl<Io> ProblemConnection<Io> {
    fn new(io: Io) -> Self {
        let state = ConnectionState::PassThrough;
        Self { io, state }
    }
}

/// The rejection that corresponds to a response of hyper; `None` for responses of the router, which have a content type.
fn hyper_rejection(response: &[u8]) -> Option<Rejection> {
    let whole = Some(response).filter(|response| response.len() < MAX_HYPER_RESPONSE_BYTES)?;
    let head = std::str::from_utf8(whole).ok()?.strip_suffix("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?;
    let is_hyper_header = |line: &str| {
        let name = line.split(':').next().unwrap_or_default();
        let names = ["connection", "content-length", "date"];
        names.iter().any(|known| name.eq_ignore_ascii_case(known))
    };
    if !lines.all(is_hyper_header) {
        return None;
    }
    match status {
        "400" => Some(Rejection::BodyNotReceived(
            "it is not valid HTTP: its request line or a header is malformed".to_owned(),
        )),
        "414" => Some(Rejection::UrlTooLong),
        "431" => Some(Rejection::HeadTooLarge),
        _ => None,
    }
}

fn problem_response(rejection: &Rejection) -> Vec<u8> {
    log_rejection(rejection);
    let (status, body) = (rejection.status(), rejection.problem().to_string());
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

impl<Io: AsyncRead + Unpin> AsyncRead for ProblemConnection<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ProblemConnection<Io> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Self { io, state } = self.get_mut();
        if let ConnectionState::PassThrough = state
            && let Some(rejection) = hyper_rejection(buffer)
        {
            *state = ConnectionState::Replacing {
                response: problem_response(&rejection),
                sent: 0,
                replaced_bytes: buffer.len(),
            };
        }
        let ConnectionState::Replacing {
            response,
            sent,
            replaced_bytes,
        } = state
        else {
            return Pin::new(io).poll_write(context, buffer);
        };
        while *sent < response.len() {
            let written = ready!(Pin::new(&mut *io).poll_write(context, &response[*sent..]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            *sent += written;
        }
        let replaced_bytes = *replaced_bytes;
        *state = ConnectionState::Draining {
            drained: 0,
            timeout: Box::pin(sleep(DRAIN_TIMEOUT)),
        };
        Poll::Ready(Ok(replaced_bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { io, state } = self.get_mut();
        ready!(Pin::new(&mut *io).poll_shutdown(context))?;
        let ConnectionState::Draining { drained, timeout } = state else {
            return Poll::Ready(Ok(()));
        };
        let mut scratch = [0; 8 << 10];
        while *drained < MAX_DRAIN_BYTES {
            let mut buffer = ReadBuf::new(&mut scratch);
            match Pin::new(&mut *io).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    *drained += buffer.filled().len();
                }
                Poll::Ready(_) => break,
                Poll::Pending => return timeout.as_mut().poll(context).map(Ok),
            }
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hyper_responses_differ_from_router_responses() {
        let code =
            |response: &str| hyper_rejection(response.as_bytes()).map(|rejection| rejection.code());
        let hyper_response = |status: &str| {
            format!(
                "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\ndate: x\r\n\r\n"
            )
        };
        assert_eq!(
            code(&hyper_response("400 Bad Request")),
            Some("body_not_received")
        );
        assert_eq!(
            code(&hyper_response("414 URI Too Long")),
            Some("url_too_long")
        );
        let full = hyper_response("431 Request Header Fields Too Large");
        assert_eq!(code(&full), Some("too_many_headers"));
        // A bare status from the router, a response with a content type, and one with bytes after its head.
        assert_eq!(code(&hyper_response("401 Unauthorized")), None);
        let typed = full.replace("date: x", "content-type: text/plain");
        assert_eq!(code(&typed), None);
        assert_eq!(code(&format!("{full}HTTP/1.1 200 OK\r\n\r\n")), None);
        assert_eq!(code(""), None);
    }
}
