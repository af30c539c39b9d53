//! The demo's callback receiver: a real HTTP server that checks signatures as a customer's would.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use http::{HeaderMap, StatusCode};
use secrecy::SecretString;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::clock::{Clock, SystemClock};
use webhook_verify::scheme::Scheme;
use webhook_verify::verify::{Refusal, Unverified, verify};

/// A callback as it arrived.
pub(super) struct Arrived {
    /// Its `webhook-id`.
    pub(super) id: String,
    /// Whether its signature holds.
    pub(super) verified: Result<(), Refusal>,
    /// Its JSON.
    pub(super) body: Value,
}

/// A running receiver.
pub(super) struct Receiver {
    url: String,
    arrivals: mpsc::UnboundedReceiver<Arrived>,
}

struct Desk {
    scheme: Scheme,
    secret: SecretString,
    arrivals: mpsc::UnboundedSender<Arrived>,
}

impl Receiver {
    /// Starts one that expects signatures made with `secret`.
    pub(super) async fn start(secret: &str) -> io::Result<Self> {
        let scheme = Scheme::preset("standard-webhooks")
            .ok_or_else(|| io::Error::other("no such preset"))?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://{}/zoho", listener.local_addr()?);
        let (sender, arrivals) = mpsc::unbounded_channel();
        let desk = Arc::new(Desk {
            scheme,
            secret: secret.into(),
            arrivals: sender,
        });
        let service = Router::new().route("/zoho", post(receive)).with_state(desk);
        tokio::spawn(axum::serve(listener, service).into_future());
        Ok(Self { url, arrivals })
    }

    /// Where callbacks are to go.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The next callback, if one comes within `patience`.
    pub(super) async fn next(&mut self, patience: Duration) -> Option<Arrived> {
        tokio::time::timeout(patience, self.arrivals.recv())
            .await
            .ok()
            .flatten()
    }
}

async fn receive(State(desk): State<Arc<Desk>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let unverified = Unverified::new(&headers, &body);
    let verified = verify(
        &desk.scheme,
        &unverified,
        std::slice::from_ref(&desk.secret),
        SystemClock.now(),
    );
    let arrived = Arrived {
        id: headers
            .get("webhook-id")
            .and_then(|id| id.to_str().ok())
            .unwrap_or_default()
            .to_owned(),
        verified: verified.map(|_| ()),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    };
    let status = if arrived.verified.is_ok() {
        StatusCode::NO_CONTENT
    } else {
        StatusCode::UNAUTHORIZED
    };
    // Nobody listens once the story is over.
    let _ = desk.arrivals.send(arrived);
    status
}
