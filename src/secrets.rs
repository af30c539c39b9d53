//! Secrets by reference: the config names where a secret is, never what it is.

mod enrollment;
pub mod location;

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

use crate::clock::Clock;
use crate::sync;
pub use enrollment::Enrollment;

/// How long a fetched secret is used before it is fetched again: a rotated one is noticed within this time.
const CACHE_TTL: Duration = Duration::from_secs(300);

/// Where a secret is: `secretsmanager:NAME-or-ARN`, `ssm:NAME-or-ARN`, `env:VAR` or `file:PATH`, each with an optional
/// `#key` into a JSON object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SecretRef {
    kind: SecretSource,
    name: String,
    key: Option<String>,
}

/// The kinds of places that secrets are kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SecretSource {
    /// AWS Secrets Manager.
    SecretsManager,
    /// A SecureString of AWS Systems Manager's Parameter Store.
    Parameter,
    /// An environment variable.
    Env,
    /// A file.
    File,
}

impl SecretSource {
    const ALL: [(Self, &'static str); 4] = [
        (Self::SecretsManager, "secretsmanager"),
        (Self::Parameter, "ssm"),
        (Self::Env, "env"),
        (Self::File, "file"),
    ];
}

/// Not a secret reference.
#[derive(Debug, thiserror::Error)]
#[error(
    "is not a secret reference: write secretsmanager:NAME, ssm:NAME, env:VAR or file:PATH, with #key for one key of a JSON secret; the secret itself does not belong here"
)]
pub struct InvalidRef;

impl FromStr for SecretRef {
    type Err = InvalidRef;

    fn from_str(text: &str) -> Result<Self, InvalidRef> {
        let (prefix, rest) = text.split_once(':').ok_or(InvalidRef)?;
        let (kind, _) = SecretSource::ALL
            .into_iter()
            .find(|(_, name)| *name == prefix)
            .ok_or(InvalidRef)?;
        let (name, key) = match rest.split_once('#') {
            Some((name, key)) => (name, Some(key)),
            None => (rest, None),
        };
        if name.is_empty() || key.is_some_and(str::is_empty) {
            return Err(InvalidRef);
        }
        Ok(Self {
            kind,
            name: name.to_owned(),
            key: key.map(str::to_owned),
        })
    }
}

impl SecretRef {
    /// The name of a whole secret in Secrets Manager: there alone secrets are chains of versions, by which processes agree.
    pub fn writable_name(&self) -> Option<&str> {
        let whole = self.kind == SecretSource::SecretsManager && self.key.is_none();
        whole.then_some(self.name.as_str())
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = SecretSource::ALL
            .iter()
            .find(|(kind, _)| *kind == self.kind)
            .map_or("", |(_, name)| name);
        write!(formatter, "{prefix}:{}", self.name)?;
        self.key
            .iter()
            .try_for_each(|key| write!(formatter, "#{key}"))
    }
}

impl schemars::JsonSchema for SecretRef {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SecretRef".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^(secretsmanager|ssm|env|file):[^#]+(#.+)?$",
            "description": "Where a secret is: secretsmanager:NAME-or-ARN, ssm:NAME-or-ARN, env:VAR or file:PATH, each with an optional #key into a JSON secret.",
        })
    }
}

/// Why a secret could not be had. No variant carries what the secret holds.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// It does not exist, or must not be read.
    #[error("the secret {reference} cannot be read: {why}")]
    Unavailable {
        /// Which.
        reference: String,
        /// Why, and what to do.
        why: String,
    },
    /// It cannot be read now.
    #[error("the secret {reference} cannot be read now: {why}")]
    Later {
        /// Which.
        reference: String,
        /// Why.
        why: String,
    },
    /// It is not what it should be.
    #[error("the secret {reference} {why}")]
    Malformed {
        /// Which.
        reference: String,
        /// What is wrong with its form.
        why: String,
    },
}

impl SecretError {
    fn of(reference: &SecretRef, missing: SecretStoreError) -> Self {
        let (reference, why) = (reference.to_string(), missing.why);
        match missing.transient {
            true => Self::Later { reference, why },
            false => Self::Unavailable { reference, why },
        }
    }
}

/// A place that keeps secrets under names.
#[async_trait]
pub trait SecretStore: fmt::Debug + Send + Sync {
    /// The secret under `name`.
    ///
    /// # Errors
    /// [`SecretStoreError`].
    async fn get(&self, name: &str) -> Result<SecretString, SecretStoreError>;

    /// The same place, if secrets can be written there.
    fn writable(&self) -> Option<&dyn WritableSecrets> {
        None
    }

    /// Where the same provider keeps parameters, if it does: what `ssm:` names.
    fn parameters(&self) -> Option<&dyn SecretStore> {
        None
    }
}

/// A version of a secret.
#[derive(Debug)]
pub struct SecretVersion {
    /// Its id.
    pub id: String,
    /// What it holds.
    pub value: SecretString,
}

impl SecretVersion {
    /// The id of the version of `what` after the one with the id `before`. Whoever finds the same version chooses the same
    /// id, and only one writer gets it.
    pub fn id_after(what: &str, before: &str) -> String {
        hex::encode(&Sha256::digest(format!("masshook {what} after {before}"))[..16])
    }
}

/// A place whose secrets are chains of versions. The id of a new version is the caller's to choose, and only one writer
/// gets a given id: that is all that processes need to agree.
#[async_trait]
pub trait WritableSecrets: fmt::Debug + Send + Sync {
    /// The current version; none if there is no such secret, or it has no value yet.
    ///
    /// # Errors
    /// [`SecretStoreError`].
    async fn current(&self, name: &str) -> Result<Option<SecretVersion>, SecretStoreError>;

    /// Makes a version the current one; a secret that does not exist is created. Returns false if there is a version with
    /// this id that holds something else: somebody else was first.
    ///
    /// # Errors
    /// [`SecretStoreError`].
    async fn put(&self, name: &str, version: &SecretVersion) -> Result<bool, SecretStoreError>;
}

/// Why a place did not give a secret.
#[derive(Debug, PartialEq, Eq)]
pub struct SecretStoreError {
    /// Why, and what to do.
    pub why: String,
    /// Whether asking again may help.
    pub transient: bool,
}

/// Secrets in environment variables.
#[derive(Clone, Copy, Debug)]
pub struct EnvironmentSecrets;

#[async_trait]
impl SecretStore for EnvironmentSecrets {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the room that reads secrets from the environment"
    )]
    async fn get(&self, name: &str) -> Result<SecretString, SecretStoreError> {
        std::env::var(name)
            .map(SecretString::from)
            .map_err(|error| SecretStoreError {
                why: match error {
                    std::env::VarError::NotPresent => {
                        "the environment variable is not set".to_owned()
                    }
                    std::env::VarError::NotUnicode(_) => {
                        "the environment variable is not UTF-8".to_owned()
                    }
                },
                transient: false,
            })
    }
}

/// Secrets in files; a line break at the end is not part of the secret.
#[derive(Clone, Copy, Debug)]
pub struct FileSecrets;

#[async_trait]
impl SecretStore for FileSecrets {
    async fn get(&self, name: &str) -> Result<SecretString, SecretStoreError> {
        match std::fs::read_to_string(PathBuf::from(name)) {
            Ok(text) => Ok(text.trim_end_matches(['\r', '\n']).to_owned().into()),
            Err(error) => Err(SecretStoreError {
                why: error.to_string(),
                transient: false,
            }),
        }
    }
}

/// A secret and when it was fetched; none before the first time.
type CachedSecret = Option<(Timestamp, SecretString)>;

/// One secret, locked on its own.
type SecretCell = Arc<Mutex<CachedSecret>>;

/// Resolves references. Nothing is fetched before it is needed, and nothing is fetched twice within [`CACHE_TTL`].
#[derive(Debug)]
pub struct Secrets {
    clock: Arc<dyn Clock>,
    secrets_manager: Arc<dyn SecretStore>,
    fetched: std::sync::Mutex<HashMap<(SecretSource, String), SecretCell>>,
}

impl Secrets {
    /// A resolver; `secrets_manager` answers for `secretsmanager:` and, if it has parameters, for `ssm:`.
    pub fn new(clock: Arc<dyn Clock>, secrets_manager: Arc<dyn SecretStore>) -> Self {
        Self {
            clock,
            secrets_manager,
            fetched: std::sync::Mutex::default(),
        }
    }

    /// Secrets Manager, if secrets can be written there.
    pub fn writable(&self) -> Option<&dyn WritableSecrets> {
        self.secrets_manager.writable()
    }

    /// The secret that `reference` names.
    ///
    /// # Errors
    /// [`SecretError`].
    pub async fn get(&self, reference: &SecretRef) -> Result<SecretString, SecretError> {
        let whole = self.whole(reference).await?;
        let Some(key) = &reference.key else {
            return Ok(whole);
        };
        let malformed = |why: String| SecretError::Malformed {
            reference: reference.to_string(),
            why,
        };
        let document: serde_json::Value =
            serde_json::from_str(whole.expose_secret()).map_err(|_| {
                malformed(
                    "is not JSON, so it has no keys; drop the # part or store a JSON object"
                        .to_owned(),
                )
            })?;
        match document.get(key).and_then(serde_json::Value::as_str) {
            Some(text) => Ok(text.to_owned().into()),
            None => Err(malformed(format!("has no key `{key}` with a string"))),
        }
    }

    /// All of `references`, in their order.
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

    /// The place in memory of the secret that `reference` names.
    fn cell(&self, reference: &SecretRef) -> SecretCell {
        let place = (reference.kind, reference.name.clone());
        let mut fetched = sync::lock(&self.fetched);
        fetched.entry(place).or_default().clone()
    }

    async fn whole(&self, reference: &SecretRef) -> Result<SecretString, SecretError> {
        let cell = self.cell(reference);
        // Held while fetching: ten requests that need the same secret fetch it once, and hold up nobody else.
        let mut fetched = cell.lock().await;
        let now = self.clock.now();
        if let Some(secret) = fresh(&fetched, now, CACHE_TTL) {
            return Ok(secret.clone());
        }
        let store: &dyn SecretStore = match reference.kind {
            SecretSource::SecretsManager => self.secrets_manager.as_ref(),
            SecretSource::Parameter => match self.secrets_manager.parameters() {
                Some(parameters) => parameters,
                None => {
                    let why = "there is no Parameter Store here".to_owned();
                    let transient = false;
                    return Err(SecretError::of(
                        reference,
                        SecretStoreError { why, transient },
                    ));
                }
            },
            SecretSource::Env => &EnvironmentSecrets,
            SecretSource::File => &FileSecrets,
        };
        match store.get(&reference.name).await {
            Ok(secret) => {
                *fetched = Some((now, secret.clone()));
                Ok(secret)
            }
            Err(missing) => Err(SecretError::of(reference, missing)),
        }
    }
}

/// What was fetched, if that is less long ago than `kept`.
fn fresh(fetched: &CachedSecret, now: Timestamp, kept: Duration) -> Option<&SecretString> {
    let (at, secret) = fetched.as_ref()?;
    (now.duration_since(*at).unsigned_abs() < kept).then_some(secret)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[derive(Debug, Default)]
    struct Counting(AtomicUsize);

    #[async_trait]
    impl SecretStore for Counting {
        async fn get(&self, name: &str) -> Result<SecretString, SecretStoreError> {
            self.0.fetch_add(1, Ordering::SeqCst);
            match name {
                "json" => Ok(r#"{"key":"hunter2","number":7}"#.to_owned().into()),
                "plain" => Ok("hunter2".to_owned().into()),
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

    #[test]
    fn references_are_parsed_and_printed() {
        for text in [
            "secretsmanager:masshook/zoho",
            "secretsmanager:arn:aws:secretsmanager:eu-west-1:123456789012:secret:masshook/zoho-AbCdEf#refresh_token",
            "ssm:/masshook/zoho#client_id",
            "ssm:arn:aws:ssm:eu-west-1:123456789012:parameter/masshook/zoho",
            "env:ZOHO#client_id",
            "file:/run/secrets/zoho",
        ] {
            assert_eq!(reference(text).to_string(), text);
        }
        for text in [
            "hunter2",
            "ssm:",
            "vault:x",
            "env:",
            "env:X#",
            "secretsmanager",
            "",
        ] {
            let error = text.parse::<SecretRef>().expect_err("not a reference");
            assert!(!error.to_string().contains("hunter2"));
        }
    }

    /// Programs of two releases write to one chain: an id that changed would let both write the next version.
    #[test]
    fn the_ids_of_versions_never_change() {
        for (what, before, id) in [
            ("secret", "", "ec235d10bace49ccf34d655a8e06ca87"),
            ("secret", "00ff", "1e9210399ec72027bf78f342bb8868f6"),
            ("token", "", "ff822c33af92b0b7ab6424103d191110"),
            ("token", "00ff", "5bd8fdb717b444f069c6fe285dadffb1"),
        ] {
            assert_eq!(
                SecretVersion::id_after(what, before),
                id,
                "{what} after {before}"
            );
        }
    }

    #[tokio::test]
    async fn a_secret_is_fetched_once_and_again_after_its_time() {
        let clock = ManualClock::at(Timestamp::from_second(1_700_000_000).expect("a moment"));
        let store = Arc::new(Counting::default());
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
    async fn errors_name_the_reference_and_never_the_content() {
        let clock = ManualClock::at(Timestamp::UNIX_EPOCH);
        let secrets = Secrets::new(Arc::new(clock), Arc::new(Counting::default()));
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
