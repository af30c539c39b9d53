//! A small world: the simulator in Zoho's place, a callback receiver, and masshook between them, over real HTTP.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use jiff::Timestamp;
use masshook::api::{InvocationDeadline, router};
use masshook::app::{App, Dependencies};
use masshook::aws::secrets::SecretsManager;
use masshook::clock::{Clock, ManualClock, SystemClock};
use masshook::config::{Config, Programs};
use masshook::engine::ExecutionMode;
use masshook::http::{Http, HttpSettings};
use masshook::job::sqlite::SqliteStore;
use masshook::job::store::JobStore;
use masshook::secrets::{Missing, SecretStore, Secrets, WritableSecrets};
use masshook::zoho::Client;
use secrecy::SecretString;
use serde_json::{Value, json};
use tower::ServiceExt;
use webhook_verify::scheme::Scheme;
use webhook_verify::verify::{OutgoingWebhook, sign};
use zoho_simulator::{Settings, Simulator, TimeSource};

use super::moto::Moto;
use super::plain;
use super::receiver::Receiver;

/// The bearer key of `/jobs`.
pub(crate) const API_KEY: &str = "key-of-the-test-world";

/// What callbacks are signed with.
pub(crate) const CALLBACK_SECRET: &str = "whsec_dGhlIHRlc3Qgd29ybGQncyBvd24gY2FsbGJhY2sga2V5";

/// What the routes' senders sign with.
pub(crate) const SENDER_SECRET: &str = "sender-secret-of-the-test-world";

/// The variable that sets another seed for rude worlds.
const SEED: &str = "MASSHOOK_TEST_SEED";

/// The seed of rude worlds: fixed, so that a failure comes again, unless the environment names another.
#[expect(
    clippy::disallowed_methods,
    reason = "a setting of the tests, not of the program"
)]
fn seed() -> u64 {
    let named = std::env::var(SEED).ok();
    named.map_or(20_261_124, |seed| {
        seed.parse().expect("a whole number as seed")
    })
}

/// Everything that takes part.
pub(crate) struct World {
    pub(crate) simulator: Simulator,
    pub(crate) receiver: Receiver,
    pub(crate) clock: ManualClock,
    config: String,
    secrets: BTreeMap<String, String>,
    app: Router,
    plain: reqwest::Client,
}

#[derive(Debug)]
struct Vault(BTreeMap<String, String>);

#[async_trait]
impl SecretStore for Vault {
    async fn get(&self, name: &str) -> Result<SecretString, Missing> {
        let found = self
            .0
            .get(name)
            .map(|secret| SecretString::from(secret.clone()));
        found.ok_or_else(|| Missing {
            why: "no such secret".to_owned(),
            transient: false,
        })
    }
}

/// The vault to read from, and moto's Secrets Manager to write to.
#[derive(Debug)]
struct Shared {
    vault: Vault,
    writable: SecretsManager,
}

#[async_trait]
impl SecretStore for Shared {
    async fn get(&self, name: &str) -> Result<SecretString, Missing> {
        self.vault.get(name).await
    }

    fn writable(&self) -> Option<&dyn WritableSecrets> {
        Some(&self.writable)
    }
}

/// An answer of masshook's HTTP API.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    /// The only job of the answer.
    pub(crate) fn job(&self) -> &Value {
        assert_eq!(
            self.body["jobs"].as_array().map(Vec::len),
            Some(1),
            "{self:?}"
        );
        &self.body["jobs"][0]
    }
}

impl World {
    /// A world whose Zoho is rude, as the real one may be, and whose receiver answers by `script`: for tests that care
    /// about what comes of it all.
    pub(crate) async fn start(script: &[u16]) -> Self {
        Self::start_with(script, |_| {}, |config| config).await
    }

    /// A world whose Zoho is calm: for tests that count calls, or play a trouble of their own.
    pub(crate) async fn calm(script: &[u16]) -> Self {
        Self::calm_with(script, |_| {}, |config| config).await
    }

    /// A rude world with a simulator and a config of one's own making.
    #[expect(clippy::print_stdout, reason = "shown if the test fails")]
    pub(crate) async fn start_with(
        script: &[u16],
        settings: impl FnOnce(&mut Settings),
        config: impl FnOnce(String) -> String,
    ) -> Self {
        let seed = seed();
        println!("a rude Zoho; again with {SEED}={seed}");
        let rude = |of_simulator: &mut Settings| {
            of_simulator.rude = Some(seed);
            settings(of_simulator);
        };
        let world = Self::calm_with(script, rude, config).await;
        // Slowness is the one rudeness that costs the tests time and shows them nothing.
        world.faults(&json!({"latency_jitter_ms": 2})).await;
        world
    }

    /// A calm world with a simulator and a config of one's own making.
    pub(crate) async fn calm_with(
        script: &[u16],
        settings: impl FnOnce(&mut Settings),
        config: impl FnOnce(String) -> String,
    ) -> Self {
        // Callbacks are signed with this clock's time, and the receivers of this world do not mind it.
        let clock = ManualClock::at(Timestamp::from_second(1_800_000_000).expect("a moment"));
        let mut of_simulator = Settings {
            time_source: TimeSource::from_fn({
                let clock = clock.clone();
                move || clock.now()
            }),
            ..Settings::default()
        };
        settings(&mut of_simulator);
        let simulator = Simulator::start(of_simulator).await.expect("a simulator");
        let receiver = Receiver::start(script).await;
        let text = config(format!(
            r#"
connections:
  default:
    credentials: secretsmanager:zoho
    accounts_url: {zoho}
    api_url: {zoho}
    guard: off
api: {{ key: secretsmanager:api-key }}
callbacks: {{ signing_secret: secretsmanager:callback, allow_loopback: true }}
limits: {{ max_body_bytes: 2000000, mapping_timeout_ms: 20000 }}
routes:
  form:
    verify: {{ scheme: typeform, secret: secretsmanager:sender }}
    when: .kind == "form"
    delivery_id: .event
    map: '{{module: (.module // "Leads"), fields: (.fields // {{Lead_Source: "Webinar"}}), ids: .ids, reference: .reference}} | with_entries(select(.value != null))'
    callback_url: {callback}
  view:
    verify: {{ scheme: none }}
    map: '{{module: "Leads", fields: {{Lead_Status: "Contacted"}}, cvid: .view}}'
    callback_url: {callback}
"#,
            zoho = simulator.url(),
            callback = receiver.url("/zoho"),
        ));
        let secrets = [
            ("zoho", simulator.announcement()["credentials"].to_string()),
            ("api-key", API_KEY.to_owned()),
            ("callback", CALLBACK_SECRET.to_owned()),
            ("sender", SENDER_SECRET.to_owned()),
            (
                "wrong-client",
                json!({"client_id": "1000.X", "client_secret": "s", "refresh_token": "r"})
                    .to_string(),
            ),
            ("not-json", "hunter2".to_owned()),
            ("revoked", {
                let mut credentials = simulator.announcement()["credentials"].clone();
                credentials["refresh_token"] = json!("1000.revoked.longago");
                credentials.to_string()
            }),
        ];
        let secrets = secrets
            .into_iter()
            .map(|(name, secret)| (name.to_owned(), secret))
            .collect();
        let mut world = Self {
            simulator,
            receiver,
            clock,
            config: text,
            secrets,
            app: Router::new(),
            plain: plain(),
        };
        let store = Arc::new(SqliteStore::in_memory());
        world.app = router(Arc::new(world.masshook(store, ExecutionMode::Inline)));
        world
    }

    /// Starts masshook anew, with another config.
    pub(crate) fn reconfigure(&mut self, config: impl FnOnce(String) -> String) {
        self.config = config(std::mem::take(&mut self.config));
        let store = Arc::new(SqliteStore::in_memory());
        self.app = router(Arc::new(self.masshook(store, ExecutionMode::Inline)));
    }

    /// One more masshook in this world, as another process would run it.
    pub(crate) fn masshook(&self, store: Arc<dyn JobStore>, mode: ExecutionMode) -> App {
        let config = Config::parse(&self.config, Programs::Compile);
        App::new(
            config.unwrap_or_else(|problems| panic!("{problems:#?}")),
            Dependencies {
                clock: Arc::new(self.clock.clone()),
                store,
                secrets_manager: Arc::new(Vault(self.secrets.clone())),
                mode,
                runtime_api: None,
                sns_endpoint: None,
            },
        )
    }

    /// A process that sees its jobs through, and shares its token with others through the secret `cache` at moto. It has
    /// the machine's clock.
    pub(crate) fn with_token_cache(&self, moto: &Moto, cache: &str) -> App {
        let cache = format!("    token_cache: secretsmanager:{cache}\n    accounts_url:");
        let text = self.config.replacen("    accounts_url:", &cache, 1);
        let config = Config::parse(&text, Programs::Compile);
        let shared = Shared {
            vault: Vault(self.secrets.clone()),
            writable: SecretsManager::with_config(moto.sdk_config()),
        };
        App::new(
            config.unwrap_or_else(|problems| panic!("{problems:#?}")),
            Dependencies {
                clock: Arc::new(SystemClock),
                store: Arc::new(SqliteStore::in_memory()),
                secrets_manager: Arc::new(shared),
                mode: ExecutionMode::Inline,
                runtime_api: None,
                sns_endpoint: None,
            },
        )
    }

    /// A client of this world's org, for what no route asks for.
    pub(crate) fn client(&self) -> Client {
        let config = Config::parse(&self.config, Programs::Compile).expect("a config");
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        let http = Http::new(HttpSettings {
            allow_loopback: true,
            ..HttpSettings::default()
        });
        let secrets = Secrets::new(clock.clone(), Arc::new(Vault(self.secrets.clone())));
        let connection = config.connections["default"].clone();
        Client::new(
            "default".to_owned(),
            connection,
            http,
            Arc::new(secrets),
            clock,
        )
    }

    /// Sends a signed delivery to the route `form`.
    pub(crate) async fn deliver(&self, body: &Value) -> Answer {
        self.deliver_until(body, None).await
    }

    /// The same, with the time that the caller gives.
    pub(crate) async fn deliver_until(&self, body: &Value, time: Option<Duration>) -> Answer {
        let body = body.to_string();
        let scheme = Scheme::preset("typeform").expect("a preset");
        let mut outgoing = OutgoingWebhook::new("", body.as_bytes());
        let secrets = [SENDER_SECRET.to_owned().into()];
        sign(&scheme, &secrets, self.clock.now(), &mut outgoing).expect("signed");
        let mut request = Request::post("/hooks/form")
            .body(Body::from(body))
            .expect("a request");
        request.headers_mut().extend(outgoing.headers);
        request
            .headers_mut()
            .insert("content-type", HeaderValue::from_static("application/json"));
        if let Some(time) = time {
            request
                .extensions_mut()
                .insert(InvocationDeadline(self.clock.now() + time));
        }
        self.send(request).await
    }

    /// Posts an update request to `/jobs`, with the key.
    pub(crate) async fn post_job(
        &self,
        query: &str,
        body: &Value,
        headers: &[(&'static str, &str)],
    ) -> Answer {
        let mut request = Request::post(format!("/jobs{query}"))
            .header("authorization", format!("Bearer {API_KEY}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(
            request
                .body(Body::from(body.to_string()))
                .expect("a request"),
        )
        .await
    }

    /// Sends any request to masshook.
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = match self.app.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.expect("a body");
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    /// Switches faults of the simulator.
    pub(crate) async fn faults(&self, faults: &Value) {
        let (status, answer) = self.sim("POST", "/_sim/faults", Some(faults)).await;
        assert_eq!(status, 200, "{answer}");
    }

    /// The time in this world.
    pub(crate) fn clock_now(&self) -> Timestamp {
        self.clock.now()
    }

    /// How often the simulator was asked for something of this kind.
    pub(crate) async fn count(&self, kind: &str) -> u64 {
        self.sim("GET", "/_sim/stats", None).await.1[kind]
            .as_u64()
            .unwrap_or_default()
    }

    /// A record as it stands.
    pub(crate) async fn record(&self, module: &str, id: &str) -> Value {
        self.sim("GET", &format!("/_sim/records/{module}/{id}"), None)
            .await
            .1
    }

    /// Every request that the simulator saw.
    pub(crate) async fn requests(&self) -> Value {
        self.sim("GET", "/_sim/requests", None).await.1["requests"].clone()
    }

    /// What the simulator said of its world.
    pub(crate) fn zoho(&self) -> Value {
        self.simulator.announcement()["world"].clone()
    }

    /// The id of the `place`-th record of a module, from 0.
    pub(crate) fn id(&self, module: &str, place: u64) -> String {
        let first = self.zoho()["modules"][module]["first_record_id"].clone();
        let first: u64 = first
            .as_str()
            .and_then(|id| id.parse().ok())
            .expect("an id");
        (first + place).to_string()
    }

    pub(crate) async fn sim(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let url = format!("{}{path}", self.simulator.url());
        let request = self.plain.request(method.parse().expect("a method"), url);
        let request = request.body(body.map(ToString::to_string).unwrap_or_default());
        let response = request.send().await.expect("an answer");
        let status = response.status().as_u16();
        let text = response.text().await.expect("a body");
        (
            status,
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        )
    }
}
