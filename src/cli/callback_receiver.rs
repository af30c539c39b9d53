//! A callback receiver for demonstrations: an HTTP server that verifies callback signatures like a customer's server does.

use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::routing::post;
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use url::Url;

use crate::callback::INTENDED_URL;
use crate::callback::key::SigningKey;
use crate::clock::{Clock, SystemClock};
use crate::sync;
use webhook_verify::scheme::Scheme;
use webhook_verify::verify::{VerifyError, WebhookRequest, verify};

/// Maximum bytes of a callback: the records of a job can be many.
const MAX_BYTES: usize = 16 << 20;

/// A callback and the result of its verification.
pub(super) struct ReceivedCallback {
    /// When it arrived.
    pub(super) at: Timestamp,
    /// The `webhook-id` header.
    pub(super) id: String,
    /// The URL that the job names, if the callback was sent here instead.
    pub(super) intended_url: Option<String>,
    /// Whether the signature is valid.
    pub(super) verified: Result<(), VerifyError>,
    /// The response.
    pub(super) status: StatusCode,
    /// The JSON body.
    pub(super) body: Value,
}

/// A running receiver.
pub(super) struct CallbackReceiver {
    url: Url,
    secrets: Arc<Mutex<Vec<SecretString>>>,
    callbacks: mpsc::UnboundedReceiver<ReceivedCallback>,
}

struct ReceiverState {
    /// Verifies with shared secrets.
    shared: Scheme,
    /// Verifies with public keys.
    ed25519: Scheme,
    secrets: Arc<Mutex<Vec<SecretString>>>,
    callbacks: mpsc::UnboundedSender<ReceivedCallback>,
}

impl CallbackReceiver {
    /// Starts a receiver that expects signatures made with one of `secrets`.
    pub(super) async fn start(secrets: Vec<SecretString>) -> io::Result<Self> {
        let preset = |name| Scheme::preset(name).ok_or_else(|| io::Error::other("no such preset"));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://{}/zoho", listener.local_addr()?);
        let url = url.parse().map_err(io::Error::other)?;
        let (sender, callbacks) = mpsc::unbounded_channel();
        let secrets = Arc::new(Mutex::new(secrets));
        let state = Arc::new(ReceiverState {
            shared: preset("standard-webhooks")?,
            ed25519: preset("standard-webhooks-ed25519")?,
            secrets: secrets.clone(),
            callbacks: sender,
        });
        let service = Router::new()
            .route("/zoho", post(receive))
            .layer(DefaultBodyLimit::max(MAX_BYTES))
            .with_state(state);
        tokio::spawn(axum::serve(listener, service).into_future());
        Ok(Self {
            url,
            secrets,
            callbacks,
        })
    }

    /// The URL for callbacks.
    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// What changes the secrets of a running receiver.
    pub(super) fn secrets(&self) -> Arc<Mutex<Vec<SecretString>>> {
        self.secrets.clone()
    }

    /// Waits for the next callback; `None` after `timeout`.
    pub(super) async fn next(&mut self, timeout: Duration) -> Option<ReceivedCallback> {
        tokio::time::timeout(timeout, self.callbacks.recv())
            .await
            .ok()
            .flatten()
    }

    /// Hands each callback to `take` until the future is dropped.
    pub(super) async fn for_each(mut self, mut take: impl FnMut(ReceivedCallback)) {
        while let Some(callback) = self.callbacks.recv().await {
            take(callback);
        }
    }
}

impl ReceiverState {
    /// Verifies a callback that is signed with one of `secrets`.
    fn verify(
        &self,
        callback: &WebhookRequest<'_>,
        secrets: &[SecretString],
        at: Timestamp,
    ) -> Result<(), VerifyError> {
        let public_key = |secret: &SecretString| SigningKey::read(secret).ok()?.public_key();
        let public: Vec<SecretString> = secrets
            .iter()
            .filter_map(public_key)
            .map(SecretString::from)
            .collect();
        if !public.is_empty() && verify(&self.ed25519, callback, &public, at).is_ok() {
            return Ok(());
        }
        let is_shared = |secret: &&SecretString| public_key(secret).is_none();
        let shared: Vec<SecretString> = secrets.iter().filter(is_shared).cloned().collect();
        verify(&self.shared, callback, &shared, at).map(drop)
    }
}

async fn receive(
    State(state): State<Arc<ReceiverState>>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let unverified = WebhookRequest::new(&headers, &body);
    let secrets = sync::lock(&state.secrets).clone();
    let at = SystemClock.now();
    let verified = state.verify(&unverified, &secrets, at);
    let header = |name| {
        let value = headers.get(name)?;
        Some(value.to_str().ok()?.to_owned())
    };
    let status = match verified {
        Ok(()) => StatusCode::NO_CONTENT,
        Err(_) => StatusCode::UNAUTHORIZED,
    };
    let callback = ReceivedCallback {
        at,
        id: header("webhook-id").unwrap_or_default(),
        intended_url: header(INTENDED_URL.as_str()),
        verified,
        status,
        body: serde_json::from_slice(&body).unwrap_or_default(),
    };
    // Sending fails only after the command has ended.
    let _ = state.callbacks.send(callback);
    status
}
