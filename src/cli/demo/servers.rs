//! The servers of the demo: the simulated Zoho, masshook's HTTP API and a callback receiver.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use secrecy::SecretString;
use serde_json::Value;
use tokio::net::TcpListener;
use url::Url;

use super::scenarios::{self, SeededRecords};
use crate::api::router;
use crate::app::{App, Dependencies};
use crate::cli::callback_receiver::CallbackReceiver;
use crate::clock::SystemClock;
use crate::config::{CompileMode, Config};
use crate::engine::ExecutionMode;
use crate::http::{BodyLimit, Http, HttpRequest, HttpSettings};
use crate::job::JobId;
use crate::metrics::Metrics;
use crate::secrets::{SecretStore, SecretStoreError};
use crate::store::memory::MemoryStore;
use zoho_simulator::{Settings, Simulator};

/// The bearer key of `/jobs`.
const API_KEY: &str = "demo-api-key";

/// The secret that signs callbacks.
const CALLBACK_SECRET: &str = "whsec_ZGVtbyBvbmx5OiBub3QgYSBzZWNyZXQgYXQgYWxs";

/// Maximum size of a response that the demo reads.
const MAX_RESPONSE_BYTES: usize = 1 << 20;

/// The running servers of the demo.
pub(super) struct DemoServers {
    pub(super) receiver: CallbackReceiver,
    pub(super) seeded: SeededRecords,
    simulator: Simulator,
    /// Address of masshook's HTTP API.
    api: SocketAddr,
    http: Http,
}

/// The demo's secrets, instead of Secrets Manager.
#[derive(Debug)]
struct DemoSecrets(BTreeMap<&'static str, String>);

#[async_trait]
impl SecretStore for DemoSecrets {
    async fn get(&self, name: &str) -> Result<SecretString, SecretStoreError> {
        let found = self
            .0
            .get(name)
            .map(|secret| SecretString::from(secret.clone()));
        found.ok_or_else(|| SecretStoreError {
            why: "the demo has no such secret".to_owned(),
            transient: false,
        })
    }
}

impl DemoServers {
    /// Starts all servers.
    pub(super) async fn start() -> io::Result<Self> {
        let settings = Settings {
            latency: Duration::from_millis(150),
            job_duration: Duration::from_secs(4),
            ..Settings::default()
        };
        let simulator = Simulator::start(settings).await?;
        let receiver = CallbackReceiver::start(vec![CALLBACK_SECRET.into()]).await?;
        let announcement = simulator.announcement();
        let seeded = SeededRecords::from_announcement(&announcement).map_err(io::Error::other)?;
        let config = scenarios::config(simulator.url(), receiver.url().as_str());
        let config = Config::parse(&config, CompileMode::Eager)
            .map_err(|problems| io::Error::other(format!("{problems:?}")))?;
        let mut secrets = BTreeMap::from([
            ("zoho", announcement["credentials"].to_string()),
            ("api-key", API_KEY.to_owned()),
            ("callback", CALLBACK_SECRET.to_owned()),
        ]);
        secrets.extend(scenarios::SECRETS.map(|(name, secret)| (name, secret.to_owned())));
        let app = App::new(
            config,
            Dependencies {
                clock: Arc::new(SystemClock),
                store: Arc::new(MemoryStore::new()),
                secrets_manager: Arc::new(DemoSecrets(secrets)),
                mode: ExecutionMode::Inline,
                runtime_api: None,
                sns_endpoint: None,
                metrics: Metrics::default(),
            },
        );
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let api = listener.local_addr()?;
        tokio::spawn(axum::serve(listener, router(Arc::new(app))).into_future());
        let http = Http::new(HttpSettings {
            allow_loopback: true,
            request_timeout: Duration::from_secs(120),
            ..HttpSettings::default()
        });
        Ok(Self {
            simulator,
            receiver,
            api,
            http,
            seeded,
        })
    }

    /// Delivers a webhook to a route. Returns the status and the JSON of the response.
    pub(super) async fn deliver(
        &self,
        route: &str,
        body: Bytes,
        signature: HeaderMap,
    ) -> Result<(StatusCode, Value), String> {
        let url = parse(&format!("http://{}/hooks/{route}", self.api))?;
        let mut request = HttpRequest::new(Method::POST, url, body);
        request.headers = signature;
        let json = HeaderValue::from_static("application/json");
        request.headers.insert(CONTENT_TYPE, json);
        self.send(request).await
    }

    /// Reads a job.
    pub(super) async fn job(&self, id: &JobId) -> Result<Value, String> {
        let url = parse(&format!("http://{}/jobs/{id}", self.api))?;
        let mut request = HttpRequest::get(url);
        let key = HeaderValue::try_from(format!("Bearer {API_KEY}"));
        let key = key.map_err(|error| error.to_string())?;
        request.headers.insert(AUTHORIZATION, key);
        Ok(self.send(request).await?.1)
    }

    /// Reads a record of the simulator.
    pub(super) async fn record(&self, module: &str, id: &str) -> Result<Value, String> {
        let url = format!("{}/_sim/records/{module}/{id}", self.simulator.url());
        self.fetch(&url).await
    }

    /// Reads the simulator's request counts.
    pub(super) async fn stats(&self) -> Result<Value, String> {
        let url = format!("{}/_sim/stats", self.simulator.url());
        self.fetch(&url).await
    }

    async fn fetch(&self, url: &str) -> Result<Value, String> {
        Ok(self.send(HttpRequest::get(parse(url)?)).await?.1)
    }

    async fn send(&self, request: HttpRequest) -> Result<(StatusCode, Value), String> {
        let response = self
            .http
            .send(request, BodyLimit::Refuse(MAX_RESPONSE_BYTES));
        let response = response.await.map_err(|error| error.to_string())?;
        let document = serde_json::from_slice(response.body());
        let document = document.map_err(|error| error.to_string())?;
        Ok((response.status(), document))
    }

    /// Stops the simulator. The other servers end with the process.
    pub(super) async fn stop(self) {
        self.simulator.stop().await;
    }
}

fn parse(url: &str) -> Result<Url, String> {
    url.parse().map_err(|error| format!("{url}: {error}"))
}
