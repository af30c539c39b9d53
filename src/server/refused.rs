//! What is no HTTP never gets to the router: hyper refuses it by itself, with a status and nothing else. Whoever sent it is
//! told the reason here, in the words of every other refusal.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Sleep, sleep};

use crate::api::log;
use crate::app::rejection::Rejection;

/// More bytes than hyper's own answers have, which are a head and nothing else.
const HYPERS: usize = 512;

/// Bytes that are still read from whoever was refused: a connection that is closed on unread ones takes the answer along.
const DRAINED: usize = 1 << 20;

/// How long they are waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// A listener whose connections tell the reason.
#[derive(Debug)]
pub(super) struct Explaining(pub(super) TcpListener);

impl axum::serve::Listener for Explaining {
    type Io = Explained<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        let (io, address) = axum::serve::Listener::accept(&mut self.0).await;
        (Explained::over(io), address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// A connection that tells the reason.
#[derive(Debug)]
pub(super) struct Explained<Io> {
    io: Io,
    state: State,
}

#[derive(Debug)]
enum State {
    Listening,
    /// The answer in place of hyper's, which has so many bytes.
    Telling {
        answer: Vec<u8>,
        sent: usize,
        hypers: usize,
    },
    /// Nothing more is answered.
    Told {
        drained: usize,
        patience: Pin<Box<Sleep>>,
    },
}

impl<Io> Explained<Io> {
    fn over(io: Io) -> Self {
        let state = State::Listening;
        Self { io, state }
    }
}

/// The refusal that hyper's own answer stands for; `None` if the answer is the router's, which always says what it holds.
fn refusal(answer: &[u8]) -> Option<Rejection> {
    let whole = Some(answer).filter(|answer| answer.len() < HYPERS)?;
    let head = std::str::from_utf8(whole).ok()?.strip_suffix("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?;
    let is_hypers = |line: &str| {
        let name = line.split(':').next().unwrap_or_default();
        let names = ["connection", "content-length", "date"];
        names.iter().any(|known| name.eq_ignore_ascii_case(known))
    };
    if !lines.all(is_hypers) {
        return None;
    }
    match status {
        "400" => Some(Rejection::Unreceived(
            "it is no HTTP: its first line or a header is malformed".to_owned(),
        )),
        "414" => Some(Rejection::UrlTooLong),
        "431" => Some(Rejection::HeadTooLarge),
        _ => None,
    }
}

fn told(rejection: &Rejection) -> Vec<u8> {
    log(rejection);
    let (status, body) = (rejection.status(), rejection.problem().to_string());
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

impl<Io: AsyncRead + Unpin> AsyncRead for Explained<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Explained<Io> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Self { io, state } = self.get_mut();
        if let State::Listening = state
            && let Some(rejection) = refusal(buffer)
        {
            *state = State::Telling {
                answer: told(&rejection),
                sent: 0,
                hypers: buffer.len(),
            };
        }
        let State::Telling {
            answer,
            sent,
            hypers,
        } = state
        else {
            return Pin::new(io).poll_write(context, buffer);
        };
        while *sent < answer.len() {
            let written = ready!(Pin::new(&mut *io).poll_write(context, &answer[*sent..]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            *sent += written;
        }
        let hypers = *hypers;
        *state = State::Told {
            drained: 0,
            patience: Box::pin(sleep(PATIENCE)),
        };
        Poll::Ready(Ok(hypers))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { io, state } = self.get_mut();
        ready!(Pin::new(&mut *io).poll_shutdown(context))?;
        let State::Told { drained, patience } = state else {
            return Poll::Ready(Ok(()));
        };
        let mut scratch = [0; 8 << 10];
        while *drained < DRAINED {
            let mut buffer = ReadBuf::new(&mut scratch);
            match Pin::new(&mut *io).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    *drained += buffer.filled().len();
                }
                Poll::Ready(_) => break,
                Poll::Pending => return patience.as_mut().poll(context).map(Ok),
            }
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hypers_own_answers_are_told_from_the_routers() {
        let code = |answer: &str| refusal(answer.as_bytes()).map(|refusal| refusal.code());
        let hypers = |status: &str| {
            format!(
                "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\ndate: x\r\n\r\n"
            )
        };
        assert_eq!(code(&hypers("400 Bad Request")), Some("body_not_received"));
        assert_eq!(code(&hypers("414 URI Too Long")), Some("url_too_long"));
        let full = hypers("431 Request Header Fields Too Large");
        assert_eq!(code(&full), Some("too_many_headers"));
        // A bare refusal of ours, an answer with a type, and one with more behind its head.
        assert_eq!(code(&hypers("401 Unauthorized")), None);
        let typed = full.replace("date: x", "content-type: text/plain");
        assert_eq!(code(&typed), None);
        assert_eq!(code(&format!("{full}HTTP/1.1 200 OK\r\n\r\n")), None);
        assert_eq!(code(""), None);
    }
}
