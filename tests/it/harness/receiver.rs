//! The receiver of callbacks: an HTTP server that records its requests.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::Value;
use standardwebhooks::Webhook;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What masshook signs callbacks with.
pub(crate) const CALLBACK_SECRET: &str = "whsec_dGhlIHRlc3QgaGFybmVzcycgb3duIGNhbGxiYWNrIGtleQ==";

/// How long a test waits for a request before it fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// One recorded request.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Received {
    /// Returns a header's value; empty if it is absent or not text.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// Returns the JSON body, once the reference implementation of Standard Webhooks has verified signature and time.
    pub(crate) fn verified(&self) -> Value {
        self.verified_with(CALLBACK_SECRET)
    }

    /// Like [`Self::verified`], with another secret.
    pub(crate) fn verified_with(&self, secret: &str) -> Value {
        let reference = Webhook::new(secret).expect("a secret");
        let verified = reference.verify(&self.body, &self.headers);
        verified.expect("a good signature");
        self.json()
    }

    /// Like [`Self::verified`], but for a manual clock: the signature must hold for the time that the header names.
    pub(crate) fn verified_at_its_time(&self) -> Value {
        let reference = Webhook::new(CALLBACK_SECRET).expect("a secret");
        let time = self.header("webhook-timestamp").parse();
        let (id, time) = (self.header("webhook-id"), time.expect("a timestamp"));
        let signature = reference.sign(id, time, &self.body).expect("signed");
        assert_eq!(self.header("webhook-signature"), signature);
        self.json()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

#[derive(Debug)]
struct Record {
    script: Vec<StatusCode>,
    requests: Mutex<Vec<Received>>,
    count: watch::Sender<usize>,
    /// The sender that gets permission.
    allowed_origin: Mutex<Option<String>>,
}

/// A receiver on a free loopback port. It ends when this value is dropped.
#[derive(Debug)]
pub(crate) struct Receiver {
    port: u16,
    record: Arc<Record>,
    taken: usize,
    server: JoinHandle<()>,
}

impl Receiver {
    /// Starts a receiver that answers its first requests with the statuses of `script`, and all later ones with 200.
    pub(crate) async fn start(script: &[u16]) -> Self {
        let status = |status: &u16| StatusCode::from_u16(*status).expect("an HTTP status");
        let record = Arc::new(Record {
            script: script.iter().map(status).collect(),
            requests: Mutex::default(),
            count: watch::Sender::new(0),
            allowed_origin: Mutex::default(),
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

    /// Returns the URL of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Gives a sender that asks by OPTIONS its permission from now on.
    pub(crate) fn allow_origin(&self, origin: &str) {
        let allowed = self.record.allowed_origin.lock();
        *allowed.unwrap_or_else(PoisonError::into_inner) = Some(origin.to_owned());
    }

    /// Returns all requests so far, in the order of their arrival.
    pub(crate) fn all(&self) -> Vec<Received> {
        self.record
            .requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Verifies all requests so far, and returns the types of their events.
    pub(crate) fn verified_types(&self) -> Vec<Value> {
        let received = self.all();
        let types = received.iter();
        types
            .map(|callback| callback.verified_at_its_time()["type"].clone())
            .collect()
    }

    /// Waits for at least `count` requests; returns all.
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

    /// Waits for the next request that this method has not returned yet.
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

async fn receive(State(record): State<Arc<Record>>, request: Request<Body>) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let allowed = record.allowed_origin.lock();
    let allowed = allowed.unwrap_or_else(PoisonError::into_inner).clone();
    let allowed = allowed.filter(|_| head.method == Method::OPTIONS);
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
    match allowed {
        Some(origin) => (status, [("webhook-allowed-origin", origin)]).into_response(),
        None => status.into_response(),
    }
}
