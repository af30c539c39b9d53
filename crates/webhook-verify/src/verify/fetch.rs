//! Published keys of senders: their URLs, and a cache in front of the fetcher.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;

use super::error::VerifyError;
use super::request::{RequestParts, WebhookRequest};
use super::{Verification, most_specific_error, sns, verify};
use crate::scheme::{ProofKind, Scheme, fill_params};

/// Time for which fetched keys are used without a new fetch.
const MAX_AGE: SignedDuration = SignedDuration::from_hours(1);

/// Minimum time between fetches after a signature that does not match. Senders rotate keys; forged requests must not cause
/// a fetch each.
const MIN_REFETCH_INTERVAL: SignedDuration = SignedDuration::from_secs(60);

/// Maximum URLs in the cache.
const MAX_URLS: usize = 64;

/// Maximum bytes of fetched keys. A certificate has about 2 KB, a key set 10 KB.
const MAX_BYTES: usize = 256 * 1024;

/// Fetches published keys. An implementation must not follow redirects, and needs a short timeout.
#[async_trait]
pub trait KeyFetcher: std::fmt::Debug + Send + Sync {
    /// Fetches the text at an HTTPS URL.
    ///
    /// # Errors
    /// The reason, in a few words.
    async fn fetch(&self, url: &str) -> Result<String, String>;
}

/// A cache of fetched keys.
#[derive(Debug)]
pub struct KeyCache {
    inner: Arc<dyn KeyFetcher>,
    keys: Mutex<HashMap<String, CachedKeys>>,
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
            keys: Mutex::default(),
        }
    }

    /// The cached keys, if they are not older than `max_age`; otherwise the fetched ones.
    async fn get(
        &self,
        url: &str,
        max_age: SignedDuration,
        now: Timestamp,
    ) -> Result<CachedKeys, VerifyError> {
        let cached = self.lock().get(url).cloned();
        if let Some(cached) = &cached
            && cached.at.duration_until(now) <= max_age
        {
            return Ok(cached.clone());
        }
        let fetched = match self.inner.fetch(url).await {
            Ok(text) if text.len() <= MAX_BYTES => text,
            Ok(_) => {
                return Err(VerifyError::NoKeys(
                    "they are too long to be keys".to_owned(),
                ));
            }
            // Expired keys are still valid keys of the sender, so they are used if the fetch fails.
            Err(reason) => return cached.ok_or(VerifyError::NoKeys(reason)),
        };
        let fetched = CachedKeys {
            text: fetched.into(),
            at: now,
        };
        let mut keys = self.lock();
        if keys.len() >= MAX_URLS {
            keys.clear();
        }
        keys.insert(url.to_owned(), fetched.clone());
        Ok(fetched)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, CachedKeys>> {
        // Each change is one insertion, so the map is consistent after a panic.
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The URL of the keys that this delivery needs; `None` if the secrets suffice.
///
/// # Errors
/// [`VerifyError::ForeignCertificate`], [`VerifyError::MissingParam`].
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

/// Verifies a delivery like [`verify`], and fetches the sender's keys if needed.
///
/// # Errors
/// As [`verify`], and [`VerifyError::NoKeys`].
pub async fn verify_fetching(
    scheme: &Scheme,
    request: &WebhookRequest<'_>,
    secrets: &[SecretString],
    now: Timestamp,
    cache: &KeyCache,
) -> Result<Verification, VerifyError> {
    // The secrets of a route take precedence over published keys.
    let url = if secrets.is_empty() {
        keys_url(scheme, request)?
    } else {
        None
    };
    let Some(url) = url else {
        return verify(scheme, request, secrets, now);
    };
    let keys = cache.get(&url, MAX_AGE, now).await?;
    let result = verify(scheme, &request.keys(&keys.text), secrets, now);
    if !matches!(result, Err(VerifyError::NoMatch))
        || keys.at.duration_until(now) < MIN_REFETCH_INTERVAL
    {
        return result;
    }
    let keys = cache.get(&url, MIN_REFETCH_INTERVAL, now).await?;
    verify(scheme, &request.keys(&keys.text), secrets, now)
}

/// Verifies a delivery like [`super::verify_any`], and fetches the senders' keys if needed.
///
/// # Errors
/// The most specific error of all schemes.
pub async fn verify_any_fetching<'a>(
    schemes: &[(&'a Scheme, &'a [SecretString])],
    request: &WebhookRequest<'_>,
    now: Timestamp,
    cache: &KeyCache,
) -> Result<(&'a Scheme, Verification), VerifyError> {
    let mut errors = Vec::new();
    for (scheme, secrets) in schemes {
        match verify_fetching(scheme, request, secrets, now, cache).await {
            Ok(verified) => return Ok((scheme, verified)),
            Err(error) => errors.push(error),
        }
    }
    Err(most_specific_error(errors))
}
