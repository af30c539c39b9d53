//! Secrets by reference: the configuration contains where a secret is, never the secret itself.

mod enrollment;
pub mod location;
mod reference;
mod store;
mod text;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;

use crate::clock::Clock;
use crate::sync;
pub use enrollment::Enrollment;
use reference::SecretSource;
pub use reference::{InvalidRef, SecretRef};
pub use store::{
    EnvironmentSecrets, FileSecrets, SecretStore, SecretStoreError, SecretVersion, WritableSecrets,
};
pub use text::{InvalidText, warning as text_warning};

/// How long a fetched secret is cached. A rotated secret is in use after this time at the latest.
const CACHE_TTL: Duration = Duration::from_secs(300);

/// How long the absence of a secret or a failed read is cached. Requests that are not verified need secrets, so a read for
/// each of them would let strangers use up the quota of the secret store.
const RECHECK_INTERVAL: Duration = Duration::from_secs(5);

/// Why a secret could not be resolved. No variant contains the secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The secret does not exist, or access to it is denied.
    #[error("the secret {reference} cannot be read: {why}")]
    Unavailable {
        /// The reference.
        reference: String,
        /// The cause, and what to do.
        why: String,
    },
    /// The secret cannot be read at the moment; a retry may succeed.
    #[error("the secret {reference} cannot be read now: {why}")]
    Later {
        /// The reference.
        reference: String,
        /// The cause.
        why: String,
    },
    /// The secret does not have the expected form.
    #[error("the secret {reference} {why}")]
    Malformed {
        /// The reference.
        reference: String,
        /// What is wrong with its form.
        why: String,
    },
}

impl SecretError {
    fn of(reference: &SecretRef, error: SecretStoreError) -> Self {
        let (reference, why) = (reference.to_string(), error.why);
        match error.transient {
            true => Self::Later { reference, why },
            false => Self::Unavailable { reference, why },
        }
    }
}

/// The result of the last read of one secret.
#[derive(Debug, Default)]
struct CachedSecret {
    /// The secret, and when it was read.
    secret: Option<(Timestamp, SecretString)>,
    /// When a read found no secret or failed, and why it failed.
    miss: Option<(Timestamp, Option<SecretStoreError>)>,
}

impl CachedSecret {
    fn of(secret: Option<SecretString>, now: Timestamp) -> Self {
        Self {
            miss: secret.is_none().then_some((now, None)),
            secret: secret.map(|secret| (now, secret)),
        }
    }

    fn failed(error: SecretStoreError, now: Timestamp) -> Self {
        Self {
            secret: None,
            miss: Some((now, Some(error))),
        }
    }

    /// The secret, if it was read less than `ttl` ago.
    fn fresh(&self, now: Timestamp, ttl: Duration) -> Option<&SecretString> {
        let (at, secret) = self.secret.as_ref()?;
        is_recent(*at, now, ttl).then_some(secret)
    }

    /// The result of a recent read that found nothing: `None` for an absent secret, or the error.
    fn recent_miss(&self, now: Timestamp) -> Option<Option<SecretStoreError>> {
        let (at, error) = self.miss.as_ref()?;
        is_recent(*at, now, RECHECK_INTERVAL).then(|| error.clone())
    }
}

fn is_recent(at: Timestamp, now: Timestamp, ttl: Duration) -> bool {
    now.duration_since(at).unsigned_abs() < ttl
}

/// The cache entry of one secret, with a lock of its own.
type SecretCell = Arc<Mutex<CachedSecret>>;

/// Resolves references. A secret is fetched when it is first needed, and then at most once within [`CACHE_TTL`].
#[derive(Debug)]
pub struct Secrets {
    clock: Arc<dyn Clock>,
    secrets_manager: Arc<dyn SecretStore>,
    cells: std::sync::Mutex<HashMap<(SecretSource, String), SecretCell>>,
}

impl Secrets {
    /// Creates a resolver. `secrets_manager` serves `secretsmanager:` and, if it has parameters, `ssm:`.
    pub fn new(clock: Arc<dyn Clock>, secrets_manager: Arc<dyn SecretStore>) -> Self {
        Self {
            clock,
            secrets_manager,
            cells: std::sync::Mutex::default(),
        }
    }

    /// Secrets Manager, if it can be written.
    pub fn writable(&self) -> Option<&dyn WritableSecrets> {
        self.secrets_manager.writable()
    }

    /// Returns the secret to which `reference` points. In every location, a byte order mark and line ends at the end are not
    /// part of it, and a secret of white space alone is none.
    ///
    /// # Errors
    /// [`SecretError`].
    pub async fn get(&self, reference: &SecretRef) -> Result<SecretString, SecretError> {
        let whole = self.whole(reference).await?;
        let malformed = |why: String| SecretError::Malformed {
            reference: reference.to_string(),
            why,
        };
        let read = |text: &str| text::read(text).map_err(|error| malformed(error.to_string()));
        let Some(key) = &reference.key else {
            return read(whole.expose_secret());
        };
        let document: serde_json::Value =
            serde_json::from_str(text::trimmed(whole.expose_secret())).map_err(|_| {
                malformed(
                    "is not JSON, so it has no keys; drop the # part or store a JSON object"
                        .to_owned(),
                )
            })?;
        match document.get(key).and_then(serde_json::Value::as_str) {
            Some(text) => read(text),
            None => Err(malformed(format!("has no key `{key}` with a string"))),
        }
    }

    /// Returns the secrets of all `references`, in their order.
    ///
    /// # Errors
    /// The first [`SecretError`].
    pub async fn all(&self, references: &[SecretRef]) -> Result<Vec<SecretString>, SecretError> {
        let mut secrets = Vec::with_capacity(references.len());
        for reference in references {
            secrets.push(self.get(reference).await?);
        }
        Ok(secrets)
    }

    /// Forgets what is known of a secret that proved wrong: the next read fetches it.
    pub async fn forget(&self, reference: &SecretRef) {
        *self.cell(reference).lock().await = CachedSecret::default();
    }

    fn cell(&self, reference: &SecretRef) -> SecretCell {
        let key = (reference.source, reference.name.clone());
        sync::lock(&self.cells).entry(key).or_default().clone()
    }

    /// Returns the secret without regard to the reference's key.
    async fn whole(&self, reference: &SecretRef) -> Result<SecretString, SecretError> {
        let cell = self.cell(reference);
        // Locked during the fetch: concurrent requests for one secret fetch it once, and do not delay other secrets.
        let mut cached = cell.lock().await;
        let now = self.clock.now();
        if let Some(secret) = cached.fresh(now, CACHE_TTL) {
            return Ok(secret.clone());
        }
        if let Some(Some(error)) = cached.recent_miss(now) {
            return Err(SecretError::of(reference, error));
        }
        let store = self.store_for(reference)?;
        match store.get(&reference.name).await {
            Ok(secret) => {
                *cached = CachedSecret::of(Some(secret.clone()), now);
                Ok(secret)
            }
            Err(error) => {
                // Local secrets are cheap to read, and a correction should take effect at once.
                if reference.source.is_remote() {
                    *cached = CachedSecret::failed(error.clone(), now);
                }
                Err(SecretError::of(reference, error))
            }
        }
    }

    fn store_for(&self, reference: &SecretRef) -> Result<&dyn SecretStore, SecretError> {
        match reference.source {
            SecretSource::SecretsManager => Ok(self.secrets_manager.as_ref()),
            SecretSource::Parameter => self.secrets_manager.parameters().ok_or_else(|| {
                let error = SecretStoreError {
                    why: "there is no Parameter Store here".to_owned(),
                    transient: false,
                };
                SecretError::of(reference, error)
            }),
            SecretSource::Env => Ok(&EnvironmentSecrets),
            SecretSource::File => Ok(&FileSecrets),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;

    use super::*;
    use crate::clock::ManualClock;

    #[derive(Debug, Default)]
    struct CountingStore(AtomicUsize);

    #[async_trait]
    impl SecretStore for CountingStore {
        async fn get(&self, name: &str) -> Result<SecretString, SecretStoreError> {
            self.0.fetch_add(1, Ordering::SeqCst);
            match name {
                "json" => Ok(r#"{"key":"hunter2","number":7}"#.to_owned().into()),
                "plain" => Ok("hunter2".to_owned().into()),
                "lines" => Ok("\u{feff}hunter2\r\n".to_owned().into()),
                "lines-json" => Ok("\u{feff}{\"key\":\"hunter2\\n\"}\n".to_owned().into()),
                "blank" => Ok(" \t\n".to_owned().into()),
                "blank-json" => Ok(r#"{"key":"  "}"#.to_owned().into()),
                _ => Err(SecretStoreError {
                    why: "throttled".to_owned(),
                    transient: true,
                }),
            }
        }
    }

    fn reference(text: &str) -> SecretRef {
        text.parse().expect("a reference")
    }

    #[tokio::test]
    async fn secret_is_fetched_again_after_ttl() {
        let clock = ManualClock::at(Timestamp::from_second(1_700_000_000).expect("a moment"));
        let store = Arc::new(CountingStore::default());
        let secrets = Secrets::new(Arc::new(clock.clone()), store.clone());
        for _ in 0..3 {
            let secret = secrets
                .get(&reference("secretsmanager:json#key"))
                .await
                .expect("a secret");
            assert_eq!(secret.expose_secret(), "hunter2");
        }
        assert_eq!(store.0.load(Ordering::SeqCst), 1);
        clock.advance(CACHE_TTL);
        secrets
            .get(&reference("secretsmanager:json#key"))
            .await
            .expect("a secret");
        assert_eq!(store.0.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn failed_read_is_not_repeated_at_once() {
        let clock = ManualClock::at(Timestamp::from_second(1_700_000_000).expect("a moment"));
        let store = Arc::new(CountingStore::default());
        let secrets = Secrets::new(Arc::new(clock.clone()), store.clone());
        let absent = reference("secretsmanager:absent");
        for _ in 0..100 {
            let error = secrets.get(&absent).await.expect_err("an error");
            assert!(matches!(error, SecretError::Later { .. }), "{error}");
        }
        assert_eq!(store.0.load(Ordering::SeqCst), 1);
        clock.advance(RECHECK_INTERVAL);
        secrets.get(&absent).await.expect_err("an error");
        assert_eq!(store.0.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn every_location_has_the_same_rule() {
        let clock = ManualClock::at(Timestamp::UNIX_EPOCH);
        let secrets = Secrets::new(Arc::new(clock), Arc::new(CountingStore::default()));
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, text: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("written");
            format!("file:{}", path.display())
        };
        for text in [
            "secretsmanager:lines",
            "secretsmanager:lines-json#key",
            &file("lines", b"\xEF\xBB\xBFhunter2\n"),
        ] {
            let secret = secrets.get(&reference(text)).await.expect(text);
            assert_eq!(secret.expose_secret(), "hunter2", "{text}");
        }
        for text in [
            "secretsmanager:blank",
            "secretsmanager:blank-json#key",
            &file("blank", b"  \n"),
            &file("empty", b""),
            &file("nul", b"hun\0ter2"),
            &file("utf-16", b"\xFF\xFEh\0u\0"),
        ] {
            let error = secrets.get(&reference(text)).await.expect_err(text);
            assert!(error.to_string().contains(text), "{error}");
            assert!(!error.to_string().contains("hun"), "{error}");
        }
    }

    #[tokio::test]
    async fn error_contains_reference_but_not_secret() {
        let clock = ManualClock::at(Timestamp::UNIX_EPOCH);
        let secrets = Secrets::new(Arc::new(clock), Arc::new(CountingStore::default()));
        for text in [
            "secretsmanager:json#other",
            "secretsmanager:json#number",
            "secretsmanager:plain#key",
            "secretsmanager:absent",
            "ssm:/nowhere",
            "env:MASSHOOK_SURELY_UNSET",
            "file:/surely/absent",
        ] {
            let error = secrets.get(&reference(text)).await.expect_err("an error");
            assert!(error.to_string().contains(text), "{error}");
            assert!(!format!("{error:?} {error}").contains("hunter2"), "{error}");
        }
        assert!(!format!("{secrets:?}").contains("hunter2"));
    }
}
