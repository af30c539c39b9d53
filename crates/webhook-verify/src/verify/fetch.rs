//! Keys that a sender publishes: where they are, and a cache in front of whatever fetches them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;

use super::error::VerifyError;
use super::request::{RequestParts, WebhookRequest};
use super::{Verification, sns, verify, worst};
use crate::scheme::{ProofKind, Scheme, fill_params};

/// How long fetched keys count as fresh.
const FRESH: SignedDuration = SignedDuration::from_hours(1);

/// How long it is before keys that did not help are fetched again: senders rotate, strangers forge.
const PATIENCE: SignedDuration = SignedDuration::from_secs(60);

/// The most addresses that are remembered.
const MAX_ADDRESSES: usize = 64;

/// The most that keys may be long; a certificate has 2 KB, a key set 10.
const MAX_BYTES: usize = 256 * 1024;

/// Fetches what senders publish. An implementation follows no redirects and gives up early.
#[async_trait]
pub trait KeyFetcher: std::fmt::Debug + Send + Sync {
    /// The text at an https address.
    ///
    /// # Errors
    /// Why there is none, in a few words.
    async fn fetch(&self, url: &str) -> Result<String, String>;
}

/// Remembers what was fetched.
#[derive(Debug)]
pub struct KeyCache {
    inner: Arc<dyn KeyFetcher>,
    known: Mutex<HashMap<String, CachedKeys>>,
}

#[derive(Clone, Debug)]
struct CachedKeys {
    text: Arc<str>,
    at: Timestamp,
}

impl KeyCache {
    /// A cache in front of `inner`.
    pub fn new(inner: Arc<dyn KeyFetcher>) -> Self {
        Self {
            inner,
            known: Mutex::default(),
        }
    }

    /// What is remembered and not older than `age`; or else what is there now.
    async fn get(
        &self,
        url: &str,
        age: SignedDuration,
        now: Timestamp,
    ) -> Result<CachedKeys, VerifyError> {
        let known = self.lock().get(url).cloned();
        if let Some(known) = &known
            && known.at.duration_until(now) <= age
        {
            return Ok(known.clone());
        }
        let fetched = match self.inner.fetch(url).await {
            Ok(text) if text.len() <= MAX_BYTES => text,
            Ok(_) => {
                return Err(VerifyError::NoKeys(
                    "they are too long to be keys".to_owned(),
                ));
            }
            // Old keys are better than none: they were good when they were fetched.
            Err(why) => return known.ok_or(VerifyError::NoKeys(why)),
        };
        let fetched = CachedKeys {
            text: fetched.into(),
            at: now,
        };
        let mut known = self.lock();
        if known.len() >= MAX_ADDRESSES {
            known.clear();
        }
        known.insert(url.to_owned(), fetched.clone());
        Ok(fetched)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, CachedKeys>> {
        // Every change is one insertion, so what a panicking thread left is whole.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the keys are that this delivery has to be checked with; `None` if the secrets will do.
///
/// # Errors
/// What is wrong with the delivery, or a parameter that is not set.
pub fn keys_url(
    scheme: &Scheme,
    request: &WebhookRequest<'_>,
) -> Result<Option<String>, VerifyError> {
    for spec in scheme.specs() {
        match &spec.proof {
            ProofKind::Sns => {
                let parts = RequestParts::new(request);
                let url = parts.json().and_then(sns::certificate_url);
                return url.map(Some).ok_or(VerifyError::ForeignCertificate);
            }
            ProofKind::Jws(jws) => {
                if let Some(url) = &jws.jwks_url {
                    let url =
                        fill_params(url, scheme.params()).map_err(VerifyError::MissingParam)?;
                    return Ok(Some(url));
                }
            }
            ProofKind::Hmac(_)
            | ProofKind::Digest(_)
            | ProofKind::Ed25519(_)
            | ProofKind::Ecdsa(_)
            | ProofKind::Rsa(_)
            | ProofKind::Equals(_)
            | ProofKind::Basic
            | ProofKind::Bearer => {}
        }
    }
    Ok(None)
}

/// [`verify`], with the sender's keys fetched if they are needed.
///
/// # Errors
/// As [`verify`], and [`VerifyError::NoKeys`].
pub async fn verify_fetching(
    scheme: &Scheme,
    request: &WebhookRequest<'_>,
    secrets: &[SecretString],
    now: Timestamp,
    certificates: &KeyCache,
) -> Result<Verification, VerifyError> {
    // A route with a secret names its keys itself.
    let url = if secrets.is_empty() {
        keys_url(scheme, request)?
    } else {
        None
    };
    let Some(url) = url else {
        return verify(scheme, request, secrets, now);
    };
    let known = certificates.get(&url, FRESH, now).await?;
    let verdict = verify(scheme, &request.keys(&known.text), secrets, now);
    if !matches!(verdict, Err(VerifyError::NoMatch)) || known.at.duration_until(now) < PATIENCE {
        return verdict;
    }
    let known = certificates.get(&url, PATIENCE, now).await?;
    verify(scheme, &request.keys(&known.text), secrets, now)
}

/// [`super::verify_any`], with the senders' keys fetched where they are needed.
///
/// # Errors
/// The cause, of the scheme that came furthest.
pub async fn verify_any_fetching<'a>(
    schemes: &[(&'a Scheme, &'a [SecretString])],
    request: &WebhookRequest<'_>,
    now: Timestamp,
    certificates: &KeyCache,
) -> Result<(&'a Scheme, Verification), VerifyError> {
    let mut refusals = Vec::new();
    for (scheme, secrets) in schemes {
        match verify_fetching(scheme, request, secrets, now, certificates).await {
            Ok(verified) => return Ok((scheme, verified)),
            Err(refusal) => refusals.push(refusal),
        }
    }
    Err(worst(refusals))
}
