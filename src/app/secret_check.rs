//! Resolves every secret of the config, and checks that each can serve its purpose.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

use super::App;
use crate::callback::key::SigningKey;
use crate::config::{Route, SecretPurpose, SecretUse};
use crate::inbound::NamedRoute;
use crate::inbound::rejection::Rejection;
use crate::secrets::{SecretError, SecretRef, Secrets, text_warning};
use crate::zoho::credentials::Credentials;
use strict_reader::{Location, Problem};
use subtle::ConstantTimeEq;

/// Minimum length of the console's key, which puts guessing out of reach at the rate that the console allows.
const MIN_CONSOLE_KEY: usize = 16;

/// Whether a secret can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretState {
    /// It can be read and serves its purpose.
    Usable,
    /// It can sign callbacks, which receivers verify with this public key.
    WithPublicKey(String),
    /// It can be used, but something about it is suspicious.
    Doubtful(String),
    /// The sender's handshake has not stored it yet.
    NotEnrolled,
    /// It is in AWS, and this command makes no network calls.
    Remote,
    /// It cannot be read at the moment; a retry may succeed.
    Unavailable(String),
    /// It cannot be read, or cannot serve its purpose.
    Unusable(String),
}

/// The result of checking one use of a secret.
#[derive(Clone, Debug)]
pub struct SecretCheck {
    /// The key of the config, such as `routes.orders.verify.secret`.
    pub at: String,
    /// Where the secret is.
    pub reference: String,
    /// Whether it can be used.
    pub state: SecretState,
}

impl fmt::Display for SecretCheck {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reference = &self.reference;
        match &self.state {
            SecretState::Usable => formatter.write_str(reference),
            SecretState::WithPublicKey(key) => {
                write!(formatter, "{reference}, whose public key is {key}")
            }
            SecretState::NotEnrolled => write!(
                formatter,
                "{reference} is stored by the sender's handshake, which has not arrived yet"
            ),
            SecretState::Remote => write!(formatter, "{reference} is not read offline; use --live"),
            SecretState::Doubtful(why)
            | SecretState::Unavailable(why)
            | SecretState::Unusable(why) => formatter.write_str(why),
        }
    }
}

/// Which secrets are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretScope {
    /// Those of this machine: environment variables and files.
    Local,
    /// All.
    All,
}

impl App {
    /// Reads the secrets of the config side by side, and checks that each can serve its purpose.
    pub async fn check_secrets(&self, scope: SecretScope) -> Vec<SecretCheck> {
        let uses = self.config.secret_uses();
        let checks = uses.iter().map(async |used| SecretCheck {
            at: used.at.to_string(),
            reference: used.reference.to_string(),
            state: match scope == SecretScope::Local && !used.reference.is_local() {
                true => SecretState::Remote,
                false => check(&self.secrets, used).await,
            },
        });
        let mut checks = futures_util::future::join_all(checks).await;
        let shared = self.shared_key_problems(scope).await;
        checks.extend(shared.into_iter().map(|problem| SecretCheck {
            at: problem.at.to_string(),
            reference: String::new(),
            state: SecretState::Unusable(problem.message),
        }));
        checks
    }

    /// Checks before a response to a handshake is sent that the route signs nothing for strangers with a secret that verifies
    /// deliveries, wherever that secret is stored.
    ///
    /// # Errors
    /// [`Rejection::Secret`].
    pub(super) async fn check_signing(&self, route: NamedRoute<'_>) -> Result<(), Rejection> {
        if !self.config.signs_for_anybody(route.settings) {
            return Ok(());
        }
        let at = Location::of(&["routes", route.name, "verify"]);
        let mut problems = self.shared_key_problems(SecretScope::All).await.into_iter();
        match problems.find(|problem| problem.at == at) {
            None => Ok(()),
            Some(problem) => Err(Rejection::Secret(SecretError::Malformed {
                reference: format!("of the handshakes of route `{}`", route.name),
                why: format!("cannot be used: {}", problem.message),
            })),
        }
    }

    /// Secrets that sign for strangers and also verify deliveries, compared by their values. A secret that cannot be read
    /// proves nothing, so it is left out.
    async fn shared_key_problems(&self, scope: SecretScope) -> Vec<Problem> {
        let is_relevant = |route: &Route| self.config.signs_for_anybody(route);
        let has_callbacks = !self.config.callbacks.signing_secret.is_empty();
        if !has_callbacks && !self.config.routes.values().any(is_relevant) {
            return Vec::new();
        }
        let mut values: Vec<(String, SecretString)> = Vec::new();
        for used in self.config.secret_uses() {
            let reference = used.reference;
            let is_key = matches!(
                used.purpose,
                SecretPurpose::CallbackSigning
                    | SecretPurpose::Verification(_)
                    | SecretPurpose::Enrolled(_)
                    | SecretPurpose::HandshakeToken
            );
            if !is_key || (scope == SecretScope::Local && !reference.is_local()) {
                continue;
            }
            let read = read(&self.secrets, &used).await;
            values.extend(
                read.ok()
                    .flatten()
                    .map(|secret| (reference.to_string(), secret)),
            );
        }
        // Each reference is known by the first one with the same value.
        let identity = |reference: &SecretRef| {
            let name = reference.to_string();
            let Some((_, own)) = values.iter().find(|(other, _)| *other == name) else {
                return name;
            };
            let own = own.expose_secret().as_bytes();
            let is_same =
                |secret: &SecretString| bool::from(own.ct_eq(secret.expose_secret().as_bytes()));
            let first = values.iter().find(|(_, secret)| is_same(secret));
            first.map_or(name, |(first, _)| first.clone())
        };
        self.config.shared_key_problems(&identity)
    }
}

async fn check(secrets: &Secrets, used: &SecretUse<'_>) -> SecretState {
    let reference = used.reference;
    if matches!(used.purpose, SecretPurpose::TokenCache) {
        return SecretState::Usable;
    }
    match read(secrets, used).await {
        Ok(None) => SecretState::NotEnrolled,
        Ok(Some(secret)) => check_purpose(reference, &used.purpose, &secret),
        Err(error @ SecretError::Later { .. }) => SecretState::Unavailable(error.to_string()),
        Err(error @ (SecretError::Unavailable { .. } | SecretError::Malformed { .. })) => {
            SecretState::Unusable(error.to_string())
        }
    }
}

/// Reads a secret. `None` if the sender's handshake has not stored it yet.
async fn read(
    secrets: &Secrets,
    used: &SecretUse<'_>,
) -> Result<Option<SecretString>, SecretError> {
    match used.purpose {
        SecretPurpose::Enrolled(_) => secrets.enrolled_secret(used.reference, false).await,
        SecretPurpose::Credentials
        | SecretPurpose::TokenCache
        | SecretPurpose::ApiKey
        | SecretPurpose::ConsoleKey
        | SecretPurpose::CallbackSigning
        | SecretPurpose::Verification(_)
        | SecretPurpose::HandshakeToken => secrets.get(used.reference).await.map(Some),
    }
}

fn check_purpose(
    reference: &SecretRef,
    purpose: &SecretPurpose<'_>,
    secret: &SecretString,
) -> SecretState {
    let problem = match purpose {
        SecretPurpose::Credentials => Credentials::parse(secret)
            .err()
            .map(|error| format!("the secret {reference} {error}")),
        SecretPurpose::CallbackSigning => SigningKey::read(secret)
            .err()
            .map(|cause| format!("the secret {reference} cannot sign callbacks: {cause}")),
        SecretPurpose::Verification(scheme) | SecretPurpose::Enrolled(scheme) => {
            webhook_verify::verify::check_secret(scheme, secret)
                .err()
                .map(|cause| format!("the secret {reference} cannot verify deliveries: {cause}"))
        }
        SecretPurpose::ConsoleKey => {
            let characters = secret.expose_secret().chars().count();
            (characters < MIN_CONSOLE_KEY).then(|| {
                format!("the secret {reference} is too short for a key of the console: {characters} characters, at least {MIN_CONSOLE_KEY} are needed")
            })
        }
        SecretPurpose::TokenCache | SecretPurpose::ApiKey | SecretPurpose::HandshakeToken => None,
    };
    match (problem, doubt(purpose, secret)) {
        (Some(problem), _) => SecretState::Unusable(problem),
        (None, Some(doubt)) => SecretState::Doubtful(format!("the secret {reference} {doubt}")),
        (None, None) => {
            public_key(purpose, secret).map_or(SecretState::Usable, SecretState::WithPublicKey)
        }
    }
}

/// The public key of a key that signs callbacks, if it has one.
fn public_key(purpose: &SecretPurpose<'_>, secret: &SecretString) -> Option<String> {
    match matches!(purpose, SecretPurpose::CallbackSigning) {
        true => SigningKey::read(secret).ok()?.public_key(),
        false => None,
    }
}

/// What is suspicious about a secret that can be used.
fn doubt(purpose: &SecretPurpose<'_>, secret: &SecretString) -> Option<String> {
    let short_key = match purpose {
        SecretPurpose::Verification(scheme) | SecretPurpose::Enrolled(scheme) => {
            webhook_verify::verify::short_key(scheme, secret)
        }
        // The document of credentials may be surrounded by white space.
        SecretPurpose::Credentials => {
            let is_placeholder =
                Credentials::parse(secret).is_ok_and(|known| known.is_placeholder());
            return is_placeholder
                .then(|| "is a placeholder of `masshook init`; `masshook auth` obtains credentials and replaces it".to_owned());
        }
        SecretPurpose::TokenCache
        | SecretPurpose::ApiKey
        | SecretPurpose::ConsoleKey
        | SecretPurpose::CallbackSigning
        | SecretPurpose::HandshakeToken => None,
    };
    let short_key = short_key.map(|bytes| {
        format!(
            "is a key of {bytes} bytes, which can be guessed; ask the sender for one of 16 or more"
        )
    });
    short_key.or_else(|| text_warning(secret.expose_secret()).map(str::to_owned))
}
