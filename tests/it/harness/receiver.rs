//! A real HTTP server that records what it is sent, as a callback's receiver.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long a test waits for a request before it fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// One request as it came in.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    /// The method.
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) uri: Uri,
    /// All headers.
    pub(crate) headers: HeaderMap,
    /// The exact bytes of the body.
    pub(crate) body: Bytes,
}

impl Received {
    /// A header's value; empty if it is absent or not text.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

#[derive(Debug)]
struct Record {
    script: Vec<StatusCode>,
    requests: Mutex<Vec<Received>>,
    count: watch::Sender<usize>,
}

/// A receiver on a free loopback port; it ends with this value.
#[derive(Debug)]
pub(crate) struct Receiver {
    port: u16,
    record: Arc<Record>,
    taken: usize,
    server: JoinHandle<()>,
}

impl Receiver {
    /// Starts one that answers its first requests with `script`, in order, and all later ones with 200.
    pub(crate) async fn start(script: &[u16]) -> Self {
        let status = |status: &u16| StatusCode::from_u16(*status).expect("an HTTP status");
        let record = Arc::new(Record {
            script: script.iter().map(status).collect(),
            requests: Mutex::default(),
            count: watch::Sender::new(0),
        });
        let app = Router::new()
            .fallback(receive)
            .with_state(Arc::clone(&record));
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .expect("a free port");
        let port = listener.local_addr().expect("a bound listener").port();
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, app).await;
        });
        Self {
            port,
            record,
            taken: 0,
            server,
        }
    }

    /// A URL of this receiver.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// All requests so far, in the order of their arrival.
    pub(crate) fn all(&self) -> Vec<Received> {
        self.record
            .requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits until at least `count` requests are there, and returns all.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Received> {
        let mut arrived = self.record.count.subscribe();
        let waited =
            tokio::time::timeout(PATIENCE, arrived.wait_for(|arrived| *arrived >= count)).await;
        assert!(
            waited.is_ok(),
            "{count} requests should have come within {PATIENCE:?}, but these did: {:#?}",
            self.all()
        );
        self.all()
    }

    /// The next request that this method has not returned yet; waits for it.
    pub(crate) async fn next(&mut self) -> Received {
        self.taken += 1;
        self.wait_for(self.taken).await.swap_remove(self.taken - 1)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn receive(State(record): State<Arc<Record>>, request: Request<Body>) -> StatusCode {
    let (head, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
        return StatusCode::BAD_REQUEST;
    };
    let mut requests = record
        .requests
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let status = record
        .script
        .get(requests.len())
        .copied()
        .unwrap_or(StatusCode::OK);
    requests.push(Received {
        method: head.method,
        uri: head.uri,
        headers: head.headers,
        body,
    });
    record.count.send_replace(requests.len());
    status
}
