//! The demo's callback receiver: an HTTP server that verifies callback signatures like a customer's server does.

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
use webhook_verify::verify::{VerifyError, WebhookRequest, verify};

/// A callback and the result of its verification.
pub(super) struct ReceivedCallback {
    /// The `webhook-id` header.
    pub(super) id: String,
    /// Whether the signature is valid.
    pub(super) verified: Result<(), VerifyError>,
    /// The JSON body.
    pub(super) body: Value,
}

/// A running receiver.
pub(super) struct CallbackReceiver {
    url: String,
    callbacks: mpsc::UnboundedReceiver<ReceivedCallback>,
}

struct ReceiverState {
    scheme: Scheme,
    secret: SecretString,
    callbacks: mpsc::UnboundedSender<ReceivedCallback>,
}

impl CallbackReceiver {
    /// Starts a receiver that expects signatures made with `secret`.
    pub(super) async fn start(secret: &str) -> io::Result<Self> {
        let scheme = Scheme::preset("standard-webhooks")
            .ok_or_else(|| io::Error::other("no such preset"))?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://{}/zoho", listener.local_addr()?);
        let (sender, callbacks) = mpsc::unbounded_channel();
        let state = Arc::new(ReceiverState {
            scheme,
            secret: secret.into(),
            callbacks: sender,
        });
        let service = Router::new()
            .route("/zoho", post(receive))
            .with_state(state);
        tokio::spawn(axum::serve(listener, service).into_future());
        Ok(Self { url, callbacks })
    }

    /// The URL for callbacks.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Waits for the next callback; `None` after `timeout`.
    pub(super) async fn next(&mut self, timeout: Duration) -> Option<ReceivedCallback> {
        tokio::time::timeout(timeout, self.callbacks.recv())
            .await
            .ok()
            .flatten()
    }
}

async fn receive(
    State(state): State<Arc<ReceiverState>>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let unverified = WebhookRequest::new(&headers, &body);
    let verified = verify(
        &state.scheme,
        &unverified,
        std::slice::from_ref(&state.secret),
        SystemClock.now(),
    );
    let id = headers.get("webhook-id").and_then(|id| id.to_str().ok());
    let callback = ReceivedCallback {
        id: id.unwrap_or_default().to_owned(),
        verified: verified.map(|_| ()),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    };
    let status = match callback.verified {
        Ok(()) => StatusCode::NO_CONTENT,
        Err(_) => StatusCode::UNAUTHORIZED,
    };
    // Sending fails only after the demo has ended.
    let _ = state.callbacks.send(callback);
    status
}
