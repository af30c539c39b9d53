//! masshook in the test's own process, between a simulated Zoho and a receiver of callbacks, over a manual clock.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::to_bytes;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use jiff::Timestamp;
use masshook::api::{InvocationDeadline, router};
use masshook::app::{Acceptance, App, Dependencies, HookResponse};
use masshook::aws::secrets::SecretsManager;
use masshook::clock::{Clock, ManualClock, SystemClock};
use masshook::config::{CompileMode, Config};
use masshook::engine::ExecutionMode;
use masshook::http::{Http, HttpSettings};
use masshook::inbound::InboundRequest;
use masshook::job::JobId;
use masshook::metrics::Metrics;
use masshook::secrets::{SecretStore, SecretStoreError, Secrets, WritableSecrets};
use masshook::store::Store;
use masshook::store::sqlite::SqliteStore;
use masshook::trigger::Trigger;
use masshook::wakeup::LocalWakeUps;
use masshook::zoho::Client;
use secrecy::SecretString;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::answer::Answer;
use super::builder::{API_KEY, Harness, References, SENDER_SECRET};
use super::moto::Moto;
use super::receiver::{CALLBACK_SECRET, Receiver};
use super::request::Request;
use super::zoho::{SimulatedZoho, manual_clock, time_source};

/// A running masshook. It dereferences to the simulated Zoho: `world.faults(..)`, `world.count(..)`,
/// `world.record(..)`.
pub(crate) struct World {
    pub(crate) zoho: SimulatedZoho,
    pub(crate) receiver: Receiver,
    pub(crate) clock: ManualClock,
    config: String,
    secrets: SecretMap,
    router: Router,
}

impl Harness<'_> {
    /// Starts masshook in inline mode.
    pub(crate) async fn start(mut self) -> World {
        let clock = manual_clock();
        if !self.is_zoho_on_system_time {
            self.settings.time_source = time_source(clock.clone());
        }
        let is_rude = self.settings.rude.is_some();
        let (zoho, receiver, config) = self.start_parts(|_| references()).await;
        if is_rude {
            // Random latency costs time and finds no faults.
            zoho.faults(&json!({"latency_jitter_ms": 2})).await;
        }
        let mut world = World {
            secrets: SecretMap::of(&zoho),
            zoho,
            receiver,
            clock,
            config,
            router: Router::new(),
        };
        world.restart();
        world
    }
}

fn references() -> References {
    References {
        credentials: "secretsmanager:zoho".to_owned(),
        api_key: "secretsmanager:api-key".to_owned(),
        signing_secret: "secretsmanager:callback".to_owned(),
        form: "{ scheme: typeform, secret: secretsmanager:sender }\n    when: .kind == \"form\""
            .to_owned(),
        connection: "    guard: off\n".to_owned(),
    }
}

impl World {
    fn restart(&mut self) {
        let app = self.app(Arc::new(SqliteStore::in_memory()), ExecutionMode::Inline);
        self.router = router(Arc::new(app));
    }

    /// Restarts masshook with another config and an empty store.
    pub(crate) fn reconfigure(&mut self, change: impl FnOnce(String) -> String) {
        self.config = change(std::mem::take(&mut self.config));
        self.restart();
    }

    fn edges(&self, store: Arc<dyn Store>, mode: ExecutionMode) -> Dependencies {
        Dependencies {
            clock: Arc::new(self.clock.clone()),
            store,
            secrets_manager: Arc::new(self.secrets.clone()),
            mode,
            runtime_api: None,
            sns_endpoint: None,
            metrics: Metrics::default(),
        }
    }

    /// Makes one more masshook with this config, as another process would run it.
    pub(crate) fn app(&self, store: Arc<dyn Store>, mode: ExecutionMode) -> App {
        App::new(parsed(&self.config), self.edges(store, mode))
    }

    /// Makes one more masshook with this config and these numbers.
    pub(crate) fn app_with_metrics(
        &self,
        store: Arc<dyn Store>,
        mode: ExecutionMode,
        metrics: Metrics,
    ) -> App {
        let edges = Dependencies {
            metrics,
            ..self.edges(store, mode)
        };
        App::new(parsed(&self.config), edges)
    }

    /// Makes a worker in durable mode. Its wake-ups lead nowhere: it performs what is due.
    pub(crate) fn worker(&self, store: &Arc<dyn Store>) -> App {
        self.app(store.clone(), durable())
    }

    /// Makes one more masshook with a defect: its first read of the secret `name` panics.
    pub(crate) fn app_with_panic(
        &self,
        store: Arc<dyn Store>,
        mode: ExecutionMode,
        name: &'static str,
    ) -> App {
        let secrets_manager = PanickingSecretMap {
            map: self.secrets.clone(),
            name,
            has_panicked: AtomicBool::new(false),
        };
        let edges = Dependencies {
            secrets_manager: Arc::new(secrets_manager),
            ..self.edges(store, mode)
        };
        App::new(parsed(&self.config), edges)
    }

    /// Makes a process in inline mode on the machine's clock that shares its token with others through a secret at
    /// moto.
    pub(crate) fn app_with_token_cache(&self, moto: &Moto, secret: &str) -> App {
        let cache = format!("    token_cache: secretsmanager:{secret}\n    accounts_url:");
        let config = self.config.replacen("    accounts_url:", &cache, 1);
        let secrets_manager = WritableSecretMap {
            map: self.secrets.clone(),
            writable: SecretsManager::with_config(moto.sdk_config()),
        };
        let store = Arc::new(SqliteStore::in_memory());
        let edges = Dependencies {
            clock: Arc::new(SystemClock),
            secrets_manager: Arc::new(secrets_manager),
            ..self.edges(store, ExecutionMode::Inline)
        };
        App::new(parsed(&config), edges)
    }

    /// Makes a Zoho client for this org.
    pub(crate) fn client(&self) -> Client {
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        let http = Http::new(HttpSettings {
            allow_loopback: true,
            ..HttpSettings::default()
        });
        let secrets = Secrets::new(clock.clone(), Arc::new(self.secrets.clone()));
        let connection = parsed(&self.config).connections["default"].clone();
        let name = "default".to_owned();
        Client::new(name, connection, http, Arc::new(secrets), clock)
    }

    /// Sends a signed delivery to the route `form`.
    pub(crate) async fn deliver(&self, body: &Value) -> Answer {
        self.send(self.signed_form(body)).await
    }

    /// Sends a signed delivery to the route `form` within an invocation that ends after `time`.
    pub(crate) async fn deliver_within(&self, body: &Value, time: Duration) -> Answer {
        let mut request = self.signed_form(body).into_http();
        let deadline = InvocationDeadline(self.now() + time);
        request.extensions_mut().insert(deadline);
        self.send_http(request).await
    }

    fn signed_form(&self, body: &Value) -> Request {
        let request = Request::json("/hooks/form", body.to_string());
        request.signed("typeform", SENDER_SECRET, self.now())
    }

    /// Posts an update request to `/jobs`, with the key. `query` is empty or begins with `?`.
    pub(crate) async fn post_job(
        &self,
        query: &str,
        body: &Value,
        headers: &[(&'static str, &str)],
    ) -> Answer {
        let request = Request::post(&format!("/jobs{query}"), body.to_string()).authorized();
        let headers = headers.iter();
        self.send(headers.fold(request, |request, (name, value)| request.with(name, *value)))
            .await
    }

    /// Sends a request to masshook's router.
    pub(crate) async fn send(&self, request: Request) -> Answer {
        self.send_http(request.into_http()).await
    }

    async fn send_http(&self, request: http::Request<axum::body::Body>) -> Answer {
        let Ok(response) = self.router.clone().oneshot(request).await;
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.expect("a body");
        let text = String::from_utf8(body.into()).expect("text");
        Answer::new(parts.status.as_u16(), parts.headers, text)
    }

    /// Returns the time of the manual clock.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

impl Deref for World {
    type Target = SimulatedZoho;

    fn deref(&self) -> &SimulatedZoho {
        &self.zoho
    }
}

fn parsed(config: &str) -> Config {
    let config = Config::parse(config, CompileMode::Eager);
    config.unwrap_or_else(|problems| panic!("{problems:#?}"))
}

/// Durable mode with wake-ups that lead nowhere.
pub(crate) fn durable() -> ExecutionMode {
    ExecutionMode::Durable(Arc::new(LocalWakeUps::new()))
}

/// Stores an update request in a durable masshook; returns the id of its job.
pub(crate) async fn enqueue(app: &App, request: &Value) -> JobId {
    let accepted = app
        .request(request, None, Trigger::Http, None)
        .await
        .expect("accepted");
    let Acceptance::Queued(jobs) = accepted else {
        panic!("durable jobs are queued");
    };
    jobs[0].id.clone()
}

/// Delivers a body to a route of a durable masshook; returns the id of its first job.
pub(crate) async fn enqueue_delivery(app: &App, route: &str, body: &Value) -> JobId {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    let body = Bytes::from(body.to_string());
    let request = InboundRequest::post(route.to_owned(), headers, body);
    let answer = app.deliver(request, None).await.expect("accepted");
    let HookResponse::Delivery {
        accepted: Acceptance::Queued(jobs),
        ..
    } = answer
    else {
        panic!("durable jobs are queued");
    };
    jobs[0].id.clone()
}

/// A read-only Secrets Manager in memory.
#[derive(Clone, Debug)]
struct SecretMap(BTreeMap<String, String>);

impl SecretMap {
    fn of(zoho: &SimulatedZoho) -> Self {
        let mut revoked = zoho.credentials();
        revoked["refresh_token"] = json!("1000.revoked.longago");
        let wrong = json!({"client_id": "1000.X", "client_secret": "s", "refresh_token": "r"});
        let secrets = [
            ("zoho", zoho.credentials().to_string()),
            ("api-key", API_KEY.to_owned()),
            ("callback", CALLBACK_SECRET.to_owned()),
            ("sender", SENDER_SECRET.to_owned()),
            ("wrong-client", wrong.to_string()),
            ("not-json", "hunter2".to_owned()),
            ("revoked", revoked.to_string()),
        ];
        let secrets = secrets.map(|(name, secret)| (name.to_owned(), secret));
        Self(secrets.into())
    }
}

#[async_trait]
impl SecretStore for SecretMap {
    async fn get(&self, name: &str) -> Result<SecretString, SecretStoreError> {
        let found = self.0.get(name).cloned().map(SecretString::from);
        found.ok_or_else(|| SecretStoreError {
            why: "no such secret".to_owned(),
            transient: false,
        })
    }
}

/// Panics at the first read of one secret.
#[derive(Debug)]
struct PanickingSecretMap {
    map: SecretMap,
    name: &'static str,
    has_panicked: AtomicBool,
}

#[async_trait]
impl SecretStore for PanickingSecretMap {
    async fn get(&self, name: &str) -> Result<SecretString, SecretStoreError> {
        assert!(
            name != self.name || self.has_panicked.swap(true, Ordering::SeqCst),
            "a defect"
        );
        self.map.get(name).await
    }
}

/// Reads from memory, and writes to moto's Secrets Manager.
#[derive(Debug)]
struct WritableSecretMap {
    map: SecretMap,
    writable: SecretsManager,
}

#[async_trait]
impl SecretStore for WritableSecretMap {
    async fn get(&self, name: &str) -> Result<SecretString, SecretStoreError> {
        self.map.get(name).await
    }

    fn writable(&self) -> Option<&dyn WritableSecrets> {
        Some(&self.writable)
    }
}
