//! Accepts connections, each within the limits of the server.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::Request;
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tower::ServiceExt as _;

use super::connection_io::{ConnectionIo, MAX_HEAD_BYTES, problem_response};
use super::current::Routes;
use super::limits::ServerLimits;
use super::timing::{Phase, Timing};
use crate::api::{BodyBudget, BodyLimits, ClientAddress, StoreOutage, log_rejection};
use crate::inbound::rejection::Rejection;
use crate::sync;

/// Pause after an error of `accept`, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Connections beyond the limit whose clients are waited for after the answer. Others are closed at once.
const MAX_REFUSALS: usize = 16;

/// Time for such an answer.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(2);

/// The connections of a server.
pub(super) struct Connections {
    routes: Routes,
    limits: ServerLimits,
    budget: BodyBudget,
    open: Arc<OpenConnections>,
    refusals: Arc<Semaphore>,
    stopping: watch::Receiver<bool>,
}

/// The open connections, by number.
#[derive(Default)]
struct OpenConnections(Mutex<BTreeMap<u64, OpenConnection>>);

struct OpenConnection {
    timing: Arc<Timing>,
    close: Arc<Notify>,
}

impl OpenConnections {
    /// Makes way for another connection if there are as many as allowed: closes the one that has waited longest for a
    /// request, or for the rest of a head. Returns whether the new one can be served.
    fn admit_one(&self, limits: &ServerLimits) -> bool {
        let mut open = sync::lock(&self.0);
        if open.len() < limits.connections {
            return true;
        }
        let waiting = open.iter().filter_map(|(number, connection)| {
            let since = match connection.timing.phase() {
                Phase::Waiting { since, .. } => (false, since),
                Phase::Head { until } if limits.heads_make_way => (true, until),
                Phase::Head { .. } | Phase::Handling | Phase::Responding { .. } => return None,
            };
            Some((since, *number))
        });
        let Some((_, number)) = waiting.min() else {
            return false;
        };
        if let Some(connection) = open.remove(&number) {
            connection.close.notify_one();
        }
        true
    }
}

/// A connection in the list of open ones, removed when it ends.
struct Registration {
    open: Arc<OpenConnections>,
    number: u64,
}

impl Drop for Registration {
    fn drop(&mut self) {
        sync::lock(&self.open.0).remove(&self.number);
    }
}

impl Connections {
    pub(super) fn new(
        routes: Routes,
        limits: ServerLimits,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        Self {
            routes,
            limits,
            budget: BodyBudget::new(limits.body_bytes, limits.body_wait),
            open: Arc::default(),
            refusals: Arc::new(Semaphore::new(MAX_REFUSALS)),
            stopping,
        }
    }

    /// Accepts connections until the server stops, then lets the running requests end for a while and closes the rest.
    pub(super) async fn accept_all(mut self, listener: TcpListener) {
        let mut tasks = JoinSet::new();
        let mut number = 0;
        loop {
            let accepted = tokio::select! {
                biased;
                _ = self.stopping.wait_for(|stopping| *stopping) => break,
                Some(_) = tasks.join_next() => continue,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    number += 1;
                    self.start(stream, number, &mut tasks);
                }
                Err(error) => {
                    tracing::warn!("cannot accept a connection: {error}");
                    if !is_of_one_connection(&error) {
                        sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        }
        drop(listener);
        let ended = async { while tasks.join_next().await.is_some() {} };
        if timeout(self.limits.drain, ended).await.is_err() {
            tracing::warn!("{} connections had not ended and are closed", tasks.len());
        }
        tasks.shutdown().await;
    }

    /// Starts to serve a connection, or to refuse it.
    fn start(&mut self, stream: TcpStream, number: u64, tasks: &mut JoinSet<()>) {
        // A response is one write, which must not wait for the acknowledgement of another.
        let _ = stream.set_nodelay(true);
        if !self.open.admit_one(&self.limits) {
            match Arc::clone(&self.refusals).try_acquire_owned() {
                Ok(permit) => {
                    tasks.spawn(async move {
                        let _ = timeout(REFUSAL_TIMEOUT, refuse(stream)).await;
                        drop(permit);
                    });
                }
                Err(_) => {
                    let _ = refuse_at_once(stream);
                }
            }
            return;
        }
        self.routes.refresh();
        let timing = Arc::new(Timing::new(self.limits, Instant::now()));
        let close = Arc::new(Notify::new());
        let connection = OpenConnection {
            timing: Arc::clone(&timing),
            close: Arc::clone(&close),
        };
        sync::lock(&self.open.0).insert(number, connection);
        let registration = Registration {
            open: Arc::clone(&self.open),
            number,
        };
        let connection = Connection {
            max_body_bytes: self.routes.max_body_bytes(),
            routes: Mutex::new(self.routes.clone()),
            budget: self.budget.clone(),
            timing,
            client: stream.peer_addr().ok().map(|address| address.ip()),
            makes_way: self.limits.heads_make_way,
        };
        let mut stopping = self.stopping.clone();
        tasks.spawn(async move {
            let _registration = registration;
            let closing = async {
                tokio::select! {
                    () = close.notified() => {}
                    _ = stopping.wait_for(|stopping| *stopping) => {}
                }
            };
            connection.serve(stream, closing).await;
        });
    }
}

/// Whether an error of `accept` concerns the connection only, and not the process.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

/// Answers a connection beyond the limit. The request is not waited for, but read, because closing with unread
/// bytes would lose the answer.
async fn refuse(mut stream: TcpStream) -> io::Result<()> {
    let rejection = Rejection::ServerFull("it has too many connections");
    let client = stream
        .peer_addr()
        .ok()
        .map(|address| address.ip().to_string());
    let span = tracing::info_span!("connection", client.address = client);
    span.in_scope(|| log_rejection(&rejection));
    stream.write_all(&problem_response(&rejection)).await?;
    stream.shutdown().await?;
    let mut scratch = [0; 4 << 10];
    while stream.read(&mut scratch).await? > 0 {}
    Ok(())
}

/// Answers such a connection without waiting for its client, because too many others are waited for.
fn refuse_at_once(stream: TcpStream) -> io::Result<()> {
    use std::io::{Read as _, Write as _};
    let mut stream = stream.into_std()?;
    // What has arrived is read, as far as it goes: closing with unread bytes would lose the answer.
    let _ = stream.read(&mut [0; 16 << 10]);
    let rejection = Rejection::ServerFull("it has too many connections");
    stream.write_all(&problem_response(&rejection))?;
    stream.shutdown(std::net::Shutdown::Write)
}

/// One connection.
struct Connection {
    routes: Mutex<Routes>,
    max_body_bytes: usize,
    budget: BodyBudget,
    timing: Arc<Timing>,
    client: Option<IpAddr>,
    makes_way: bool,
}

impl Connection {
    /// Serves the requests of a connection. Once `closing` completes, the connection ends after its current request.
    async fn serve(self, stream: TcpStream, closing: impl Future<Output = ()>) {
        let io = ConnectionIo::new(stream, Arc::clone(&self.timing), self.max_body_bytes);
        let service = service_fn(|request| self.respond(request));
        // Deadlines are those of `ConnectionIo`. hyper has one for heads only, which would end idle connections too.
        let serving = http1::Builder::new()
            .header_read_timeout(None)
            .max_buf_size(MAX_HEAD_BYTES)
            .serve_connection(TokioIo::new(io), service);
        let mut serving = pin!(serving);
        tokio::select! {
            _ = serving.as_mut() => return,
            () = closing => {
                // Its client is not waited for.
                if self.timing.is_head_incomplete() && self.makes_way {
                    return;
                }
                serving.as_mut().graceful_shutdown();
            }
        }
        // An error of a connection is one of its client: it is gone, too slow, or does not speak HTTP.
        let _ = serving.await;
    }

    async fn respond(&self, request: Request<Incoming>) -> Result<Response, Infallible> {
        let has_body = !request.body().is_end_stream();
        let deadline = self.timing.head_read(has_body, Instant::now());
        let mut request = request.map(|body| {
            Body::new(TrackedBody {
                body,
                timing: Arc::clone(&self.timing),
            })
        });
        request.extensions_mut().insert(BodyLimits {
            deadline,
            budget: self.budget.clone(),
        });
        if let Some(client) = self.client {
            let client = ClientAddress(client.to_string());
            request.extensions_mut().insert(client);
        }
        let router = sync::lock(&self.routes).router();
        let response = match router.oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        if response.extensions().get::<StoreOutage>().is_some() {
            sync::lock(&self.routes).store_refused(std::time::Instant::now());
        }
        self.timing.response_ready(Instant::now());
        Ok(response)
    }
}

/// A request's body that records when all of it is read.
struct TrackedBody {
    body: Incoming,
    timing: Arc<Timing>,
}

impl hyper::body::Body for TrackedBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if matches!(frame, Poll::Ready(None)) || self.body.is_end_stream() {
            self.timing.body_read();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
