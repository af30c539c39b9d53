//! Secrets that a sender enrolls in its handshake (Asana, Notion), stored in a file or in Secrets Manager.

mod secrets_manager;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use aws_sdk_secretsmanager::Client;
use http::StatusCode;
use jiff::Timestamp;
use masshook::api::router;
use masshook::app::{App, Dependencies};
use masshook::clock::SystemClock;
use masshook::config::{CompileMode, Config};
use masshook::engine::ExecutionMode;
use masshook::metrics::Metrics;
use masshook::secrets::{
    Enrollment, SecretStore, SecretStoreError, SecretVersion, Secrets, WritableSecrets,
};
use masshook::store::Store;
use masshook::store::sqlite::SqliteStore;
use masshook::wakeup::LocalWakeUps;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Notify;
use tower::ServiceExt;

use crate::harness::{Answer, Harness, Moto, Poller, Request, Rie, RieOptions, Served};

const FIRST: &str = "b537207f20cbfa02357cf448134da559e8bd39d61597dcd5631b8012eae53e81";
const SECOND: &str = "0f00ba11c0ffee02357cf448134da559e8bd39d61597dcd5631b8012eae53e81";

const EVENTS: &str = r#"{"events":[{"action":"changed","resource":{"gid":"1206994210487513"}}]}"#;

fn handshake(secret: &str) -> Request {
    Request::json("/hooks/asana", "{}").with("X-Hook-Secret", secret)
}

/// Makes a signed delivery.
fn signed(scheme: &str, target: &str, body: &str, secret: &str) -> Request {
    Request::json(target, body).signed(scheme, secret, Timestamp::UNIX_EPOCH)
}

fn delivery(secret: &str) -> Request {
    signed("asana", "/hooks/asana", EVENTS, secret)
}

/// A server with a route for Asana, whose secret is enrolled in a file.
struct Stage {
    served: Served,
    place: PathBuf,
    _folder: TempDir,
}

impl Stage {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let place = folder.path().join("asana");
        let route = format!(
            "  asana:\n    verify: {{ scheme: asana, secret: \"file:{}\" }}\n    map: empty\n",
            place.display()
        );
        let served = Harness::new().routes(&route).served().start().await;
        Self {
            served,
            place,
            _folder: folder,
        }
    }

    async fn send(&self, request: &Request) -> Answer {
        request.send_to(&self.served.url("")).await
    }

    fn kept(&self) -> String {
        std::fs::read_to_string(&self.place).expect("the secret")
    }

    /// Restarts the server with another config.
    async fn restart(&mut self, change: impl Fn(&str) -> String) {
        self.served.signal("TERM");
        self.served.wait_for_exit().await;
        let config = std::fs::read_to_string(self.served.config()).expect("the config");
        std::fs::write(self.served.config(), change(&config)).expect("written");
        self.served.start(&[]).await;
    }
}

#[tokio::test]
async fn asana_secret_is_enrolled_once_and_verifies() {
    let mut stage = Stage::start().await;
    let early = stage.send(&delivery(FIRST)).await;
    assert_eq!(early.status, 401);
    assert_eq!(early.problem_code(), "not_verified");
    let detail = early.body["detail"].to_string();
    assert!(
        detail.contains("has not handed over its secret"),
        "{detail}"
    );
    assert!(!stage.place.exists());

    let answer = stage.send(&handshake(FIRST)).await;
    assert_eq!(
        (answer.status, answer.text.as_str()),
        (200, ""),
        "{answer:?}"
    );
    assert_eq!(answer.headers["x-hook-secret"], FIRST);
    assert_eq!(stage.kept(), format!("{FIRST}\n"));
    let mode = std::fs::metadata(&stage.place).expect("a file");
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);

    assert_eq!(stage.send(&delivery(FIRST)).await.status, 200);
    let forged = Request {
        body: EVENTS.replace("changed", "deleted").into(),
        ..delivery(FIRST)
    };
    assert_eq!(stage.send(&forged).await.problem_code(), "not_verified");

    // A handshake with another secret changes nothing and reveals nothing.
    let refused = stage.send(&handshake(SECOND)).await;
    assert_eq!(
        (refused.status, refused.problem_code()),
        (409, "handshake_refused")
    );
    assert!(
        refused.headers.get("x-hook-secret").is_none(),
        "{refused:?}"
    );
    assert!(!refused.text.contains(FIRST) && !refused.text.contains(SECOND));
    assert_eq!(stage.kept(), format!("{FIRST}\n"));
    assert_eq!(stage.send(&delivery(SECOND)).await.status, 401);
    // A repetition of the first handshake, whose answer was lost, is answered again.
    assert_eq!(stage.send(&handshake(FIRST)).await.status, 200);

    stage
        .restart(|config| config.replace("    map: empty", "    reenroll: true\n    map: empty"))
        .await;
    assert_eq!(
        stage.send(&delivery(FIRST)).await.status,
        200,
        "it is stored"
    );
    let answer = stage.send(&handshake(SECOND)).await;
    assert_eq!(
        (answer.status, answer.header("x-hook-secret")),
        (200, SECOND)
    );
    assert_eq!(stage.kept(), format!("{SECOND}\n"));
    assert_eq!(stage.send(&delivery(FIRST)).await.status, 401);
    assert_eq!(stage.send(&delivery(SECOND)).await.status, 200);

    let log = stage.served.log();
    assert!(log.contains("enrolled the sender's secret"), "{log}");
    assert!(log.contains("take `reenroll` away again"), "{log}");
    assert!(!log.contains(FIRST) && !log.contains(SECOND), "{log}");
}

#[tokio::test]
async fn concurrent_handshakes_enroll_one_secret() {
    let stage = Stage::start().await;
    let secrets: Vec<String> = (0..16)
        .map(|number| format!("{number:02}{FIRST}"))
        .collect();
    let asks: Vec<Request> = secrets.iter().map(|secret| handshake(secret)).collect();
    let asked = asks.iter().map(|request| stage.send(request));
    let answer = futures_util::future::join_all(asked).await;
    let winners: Vec<&String> = secrets
        .iter()
        .zip(&answer)
        .filter(|(_, answer)| answer.status == 200)
        .map(|(secret, _)| secret)
        .collect();
    assert_eq!(winners.len(), 1, "{answer:?}");
    assert_eq!(stage.kept(), format!("{}\n", winners[0]));
    for answer in answer.iter().filter(|answer| answer.status != 200) {
        assert_eq!(
            (answer.status, answer.problem_code()),
            (409, "handshake_refused")
        );
    }
}

#[tokio::test]
async fn invalid_secret_is_not_enrolled() {
    let stage = Stage::start().await;
    for secret in ["", "two words", &"x".repeat(1025)] {
        let answer = stage.send(&handshake(secret)).await;
        assert_eq!(answer.problem_code(), "not_verified", "{secret}");
        assert!(!stage.place.exists(), "{secret}");
    }
    let get = Request::get("/hooks/asana").with("X-Hook-Secret", FIRST);
    assert_eq!(stage.send(&get).await.status, 405);
    assert!(!stage.place.exists());
}

/// A Secrets Manager in memory with one secret, whose first write never returns.
#[derive(Debug, Default)]
struct Slow {
    current: Mutex<Option<(String, SecretString)>>,
    writes: Mutex<usize>,
    writing: Notify,
}

#[async_trait]
impl SecretStore for Slow {
    async fn get(&self, _: &str) -> Result<SecretString, SecretStoreError> {
        unreachable!("an enrolled secret is read by its version")
    }

    fn writable(&self) -> Option<&dyn WritableSecrets> {
        Some(self)
    }
}

#[async_trait]
impl WritableSecrets for Slow {
    async fn current(&self, _: &str) -> Result<Option<SecretVersion>, SecretStoreError> {
        let current = self.current.lock().expect("no panic").clone();
        Ok(current.map(|(id, value)| SecretVersion { id, value }))
    }

    async fn put(&self, _: &str, version: &SecretVersion) -> Result<bool, SecretStoreError> {
        let first = {
            let mut writes = self.writes.lock().expect("no panic");
            *writes += 1;
            *writes == 1
        };
        if first {
            self.writing.notify_one();
            std::future::pending::<()>().await;
        }
        let mut current = self.current.lock().expect("no panic");
        if current.as_ref().is_some_and(|(id, _)| *id == version.id) {
            return Ok(false);
        }
        *current = Some((version.id.clone(), version.value.clone()));
        Ok(true)
    }
}

/// A sender that disconnects while its secret is stored does not block other handshakes.
#[tokio::test]
async fn interrupted_handshake_does_not_block_the_next() {
    let slow = Arc::new(Slow::default());
    let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory());
    let process = || {
        let text = "connections: { default: { credentials: env:ZOHO } }\nroutes: { asana: { verify: { scheme: asana, secret: 'secretsmanager:asana' }, map: empty } }";
        let config = Config::parse(text, CompileMode::Eager).expect("a config");
        let edges = Dependencies {
            clock: Arc::new(SystemClock),
            store: store.clone(),
            secrets_manager: slow.clone(),
            mode: ExecutionMode::Durable(Arc::new(LocalWakeUps::new())),
            runtime_api: None,
            sns_endpoint: None,
            metrics: Metrics::default(),
        };
        router(Arc::new(App::new(config, edges)))
    };
    let send_handshake = |process: &axum::Router, secret: &str| {
        process.clone().oneshot(handshake(secret).into_http())
    };
    let (one, other) = (process(), process());
    tokio::select! {
        _ = send_handshake(&one, FIRST) => panic!("its secret is never kept"),
        () = slow.writing.notified() => {}
    }
    for (process, secret, status) in [
        (&other, SECOND, StatusCode::OK),
        (&one, SECOND, StatusCode::OK),
        (&one, FIRST, StatusCode::CONFLICT),
    ] {
        let answer = send_handshake(process, secret).await.expect("an answer");
        assert_eq!(answer.status(), status, "{secret}");
    }
    let kept = slow.current.lock().expect("no panic").clone();
    assert_eq!(kept.expect("a secret").1.expose_secret(), SECOND);
}

/// Independent writers, and an existing empty file.
#[test]
fn concurrent_writers_to_empty_file_enroll_one_secret() {
    let folder = tempfile::tempdir().expect("a folder");
    for round in 0..20 {
        let place = folder.path().join(round.to_string());
        std::fs::write(&place, "{}\n").expect("written");
        let reference = format!("file:{}", place.display());
        let reference = reference.parse().expect("a reference");
        let enroll = |secret: String| {
            let secrets = Secrets::new(Arc::new(SystemClock), Arc::new(Slow::default()));
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            let enrolling = secrets.enroll_secret(&reference, secret.into(), false);
            runtime.expect("a runtime").block_on(enrolling)
        };
        let outcomes: Vec<Enrollment> = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..8)
                .map(|writer| scope.spawn(move || enroll(format!("{writer}{FIRST}"))))
                .collect();
            let ended = writers.into_iter().map(|writer| writer.join());
            ended
                .map(|outcome| outcome.expect("no panic").expect("a file"))
                .collect()
        });
        let winners: Vec<usize> = (0..8)
            .filter(|writer| outcomes[*writer] == Enrollment::Stored)
            .collect();
        let [winner] = winners[..] else {
            panic!("{outcomes:?}");
        };
        let kept = std::fs::read_to_string(&place).expect("the secret");
        assert_eq!(kept, format!("{winner}{FIRST}\n"));
    }
}

/// Runs `masshook check --json` for a route.
fn check(verify: &str, further: &str) -> (i32, Value) {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("masshook.yaml");
    let in_folder = format!("file:{}/", folder.path().display());
    let text = format!(
        "connections: {{ default: {{ credentials: env:ZOHO }} }}\nroutes:\n  a:\n    verify: {verify}\n    map: empty\n{further}"
    );
    std::fs::write(&config, text).expect("written");
    let output = Command::new(env!("CARGO_BIN_EXE_masshook"))
        .args(["check", "--json", "--skip-secrets", "--config"])
        .arg(&config)
        .output()
        .expect("masshook");
    // Relative paths start at the config's folder.
    let printed = String::from_utf8(output.stdout).expect("UTF-8");
    let printed = printed.replace(&in_folder, "file:CONFIG/");
    let document = serde_json::from_str(&printed).expect("JSON");
    (output.status.code().expect("a code"), document)
}

#[test]
fn unwritable_secret_location_is_a_config_error() {
    let asana = |secret: &str| format!("{{ scheme: asana, secret: {secret} }}");
    let problem = |verify: &str, further: &str| {
        let (code, document) = check(verify, further);
        assert_eq!(code, 2, "{document}");
        let problem = &document["problems"][0];
        let text = |key: &str| problem[key].as_str().expect("a text").to_owned();
        format!("{}: {}", text("at"), text("message"))
    };
    let problems = [
        problem(&asana("env:ASANA"), ""),
        problem(&asana("\"file:asana#key\""), ""),
        problem(&asana("[\"file:a\", \"file:b\"]"), ""),
        problem(&asana("file:/surely/absent/asana"), ""),
        problem(&asana("file:x"), "    handshake_secret: file:x\n"),
        problem(
            "{ scheme: stripe, secret: env:STRIPE }",
            "    reenroll: true\n",
        ),
    ];
    insta::assert_snapshot!(problems.join("\n"), @r#"
    routes.a.verify.secret: env:ASANA cannot be set from here: write file:PATH or secretsmanager:NAME; the enrolled secret is stored there
    routes.a.verify.secret: file:CONFIG/asana#key is one key of a secret, and secrets are written whole: drop the # part; the enrolled secret is stored there
    routes.a.verify.secret: must be one secret: the location where the enrolled secret is stored
    routes.a.verify.secret: file:/surely/absent/asana cannot be written: no file can be made in /surely/absent: entity not found; the enrolled secret is stored there
    routes.a.verify: file:CONFIG/x is also used elsewhere in this config; an enrolled secret needs a location of its own
    routes.a.reenroll: has nothing to replace: no scheme of this route enrolls a secret in a handshake
    "#);
    let (code, document) = check(
        &asana("secretsmanager:masshook/asana"),
        "    reenroll: true\n",
    );
    assert_eq!((code, &document["ok"]), (0, &json!(true)), "{document}");
}

#[tokio::test]
async fn server_with_unwritable_secret_does_not_start() {
    // No user can create a file there.
    let route =
        "  asana: { verify: { scheme: asana, secret: 'file:/proc/masshook' }, map: empty }\n";
    let served = Harness::new().routes(route).served().prepare().await;
    let mut command = served.command(&[]);
    let status = tokio::task::spawn_blocking(move || command.status()).await;
    let status = status.expect("no panic").expect("started");
    assert_eq!(status.code(), Some(2));
    let log = served.log();
    assert!(
        log.contains("routes.asana.verify.secret: file:/proc/masshook cannot be written"),
        "{log}"
    );
    // The Lambda program exits too, before it requests an event.
    let mut bootstrap = Command::new(env!("CARGO_BIN_EXE_bootstrap"));
    bootstrap
        .env_clear()
        .env("MASSHOOK_CONFIG", served.config());
    let output = tokio::task::spawn_blocking(move || bootstrap.output()).await;
    let output = output.expect("no panic").expect("started");
    assert_eq!(output.status.code(), Some(1));
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("cannot be written"), "{said}");
}
