//! Published keys of senders: their URLs, and a cache in front of the fetcher.
//!
//! Anybody can send a request that needs a fetch. So a request is judged without its signature first, each URL is fetched
//! by one task at a time, and failures are cached too.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures_util::lock::Mutex as AsyncMutex;
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;

use super::error::VerifyError;
use super::request::{RequestParts, WebhookRequest};
use super::{Verification, jws, most_specific_error, sns, verify};
use crate::scheme::{ProofKind, Scheme, fill_params};

/// Time for which fetched keys are used without a new fetch.
const MAX_AGE: SignedDuration = SignedDuration::from_hours(1);

/// Minimum time between fetches after a signature that does not match. Senders rotate keys; forged requests must not cause
/// a fetch each.
const MIN_REFETCH_INTERVAL: SignedDuration = SignedDuration::from_secs(60);

/// Time for which the absence of keys at a URL is cached.
const ABSENT_MAX_AGE: SignedDuration = SignedDuration::from_secs(60);

/// Time for which an outage of the server is cached.
const OUTAGE_MAX_AGE: SignedDuration = SignedDuration::from_secs(5);

/// Maximum URLs in the cache.
const MAX_URLS: usize = 64;

/// Maximum bytes of fetched keys. A certificate has about 2 KB, a key set 10 KB.
const MAX_BYTES: usize = 256 * 1024;

/// Unknown URLs from requests that are fetched at once, and the time after which another one may be. A sender has one or
/// two certificates; a forger can name any number.
const MAX_UNKNOWN_URLS: u32 = 16;
const UNKNOWN_URL_INTERVAL: SignedDuration = SignedDuration::from_secs(4);

/// Why a fetch failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchError {
    /// The server reports that there is nothing at this URL.
    Absent(String),
    /// The server cannot be reached, or fails. A later fetch may succeed.
    Unavailable(String),
}

/// Fetches published keys. An implementation must not follow redirects, and needs a short timeout.
#[async_trait]
pub trait KeyFetcher: std::fmt::Debug + Send + Sync {
    /// Fetches the text at an HTTPS URL.
    ///
    /// # Errors
    /// [`FetchError`], with the reason in a few words.
    async fn fetch(&self, url: &str) -> Result<String, FetchError>;
}

/// A cache of fetched keys.
#[derive(Debug)]
pub struct KeyCache {
    inner: Arc<dyn KeyFetcher>,
    entries: Mutex<HashMap<String, CacheEntry>>,
    unknown_urls: Mutex<FetchAllowance>,
}

/// What is known about one URL. The lock is held during a fetch, so that concurrent requests share it.
type CacheEntry = Arc<AsyncMutex<CachedFetch>>;

#[derive(Debug, Default)]
struct CachedFetch {
    keys: Option<CachedKeys>,
    failure: Option<(Timestamp, FetchError)>,
}

#[derive(Clone, Debug)]
struct CachedKeys {
    text: Arc<str>,
    at: Timestamp,
}

/// The location of the keys that a request needs.
#[derive(Debug)]
struct KeySource {
    url: String,
    /// Whether the request names the URL, and not the scheme.
    from_request: bool,
}

/// A token bucket for fetches of URLs that requests name.
#[derive(Debug)]
struct FetchAllowance {
    left: u32,
    since: Timestamp,
}

impl FetchAllowance {
    /// Takes one fetch. Returns false if none is left.
    fn take(&mut self, now: Timestamp) -> bool {
        let elapsed = self.since.duration_until(now).as_secs().max(0);
        let earned = elapsed / UNKNOWN_URL_INTERVAL.as_secs();
        if earned > 0 {
            let earned = u32::try_from(earned).unwrap_or(MAX_UNKNOWN_URLS);
            self.left = self.left.saturating_add(earned).min(MAX_UNKNOWN_URLS);
            self.since = now;
        }
        let taken = self.left.checked_sub(1);
        self.left = taken.unwrap_or_default();
        taken.is_some()
    }
}

impl CachedFetch {
    /// The failure that is recent enough to stand for another fetch.
    fn recent_failure(&self, now: Timestamp) -> Option<FetchError> {
        let (at, failure) = self.failure.as_ref()?;
        let max_age = match failure {
            FetchError::Absent(_) => ABSENT_MAX_AGE,
            FetchError::Unavailable(_) => OUTAGE_MAX_AGE,
        };
        (at.duration_until(now).abs() < max_age).then(|| failure.clone())
    }
}

impl KeyCache {
    /// A cache in front of `inner`.
    pub fn new(inner: Arc<dyn KeyFetcher>) -> Self {
        Self {
            inner,
            entries: Mutex::default(),
            unknown_urls: Mutex::new(FetchAllowance {
                left: MAX_UNKNOWN_URLS,
                since: Timestamp::UNIX_EPOCH,
            }),
        }
    }

    /// The cached keys, if they are not older than `max_age`; otherwise the fetched ones.
    async fn get(
        &self,
        source: &KeySource,
        max_age: SignedDuration,
        now: Timestamp,
    ) -> Result<CachedKeys, VerifyError> {
        let entry = self.entry(&source.url);
        let mut cached = entry.lock().await;
        if let Some(keys) = &cached.keys
            && keys.at.duration_until(now) <= max_age
        {
            return Ok(keys.clone());
        }
        let failure = match cached.recent_failure(now) {
            Some(failure) => failure,
            None if source.from_request && cached.keys.is_none() && !self.may_fetch(now) => {
                let reason = "it was not fetched, because too many unknown ones were named";
                return Err(VerifyError::UnknownCertificate(reason.to_owned()));
            }
            None => match self.fetch(&source.url).await {
                Ok(text) => {
                    let keys = CachedKeys {
                        text: text.into(),
                        at: now,
                    };
                    cached.keys = Some(keys.clone());
                    cached.failure = None;
                    return Ok(keys);
                }
                Err(failure) => {
                    cached.failure = Some((now, failure.clone()));
                    failure
                }
            },
        };
        // Expired keys are still valid keys of the sender, so they are used if the fetch fails.
        let keys = cached.keys.clone();
        keys.ok_or(match failure {
            // Only the request vouches for its URL.
            FetchError::Absent(reason) if source.from_request => {
                VerifyError::UnknownCertificate(reason)
            }
            FetchError::Absent(reason) | FetchError::Unavailable(reason) => {
                VerifyError::NoKeys(reason)
            }
        })
    }

    /// Whether another unknown URL may be fetched.
    fn may_fetch(&self, now: Timestamp) -> bool {
        lock(&self.unknown_urls).take(now)
    }

    async fn fetch(&self, url: &str) -> Result<String, FetchError> {
        let text = self.inner.fetch(url).await?;
        match text.len() <= MAX_BYTES {
            true => Ok(text),
            false => Err(FetchError::Absent("it is too long to be a key".to_owned())),
        }
    }

    /// The cache entry of a URL. Entries without keys make room first.
    fn entry(&self, url: &str) -> CacheEntry {
        let mut entries = lock(&self.entries);
        if entries.len() >= MAX_URLS && !entries.contains_key(url) {
            entries.retain(|_, entry| entry.try_lock().is_none_or(|cached| cached.keys.is_some()));
        }
        if entries.len() >= MAX_URLS && !entries.contains_key(url) {
            entries.clear();
        }
        entries.entry(url.to_owned()).or_default().clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Each change is complete in one step, so the value is consistent after a panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The URL of the keys that this delivery needs; `None` if the secrets suffice.
///
/// # Errors
/// The reason why the delivery cannot be genuine, whatever its signature.
pub fn keys_url(
    scheme: &Scheme,
    request: &WebhookRequest<'_>,
    now: Timestamp,
) -> Result<Option<String>, VerifyError> {
    key_source(scheme, request, now).map(|source| source.map(|source| source.url))
}

fn key_source(
    scheme: &Scheme,
    request: &WebhookRequest<'_>,
    now: Timestamp,
) -> Result<Option<KeySource>, VerifyError> {
    let parts = RequestParts::new(request);
    let params = scheme.params();
    let mut refused = Vec::new();
    for spec in scheme.specs() {
        let source = match &spec.proof {
            ProofKind::Sns => sns::judge(&parts, params).map(|message| KeySource {
                url: message.certificate_url.into(),
                from_request: true,
            }),
            ProofKind::Jws(jws) => {
                let Some(url) = &jws.jwks_url else { continue };
                let url = fill_params(url, params).map_err(VerifyError::MissingParam);
                let judged = jws::judge(jws, &parts, params, now);
                judged.and(url).map(|url| KeySource {
                    url,
                    from_request: false,
                })
            }
            ProofKind::Hmac(_)
            | ProofKind::Digest(_)
            | ProofKind::Ed25519(_)
            | ProofKind::Ecdsa(_)
            | ProofKind::Rsa(_)
            | ProofKind::Equals(_)
            | ProofKind::Basic
            | ProofKind::Bearer => continue,
        };
        match source {
            Ok(source) => return Ok(Some(source)),
            Err(error) => refused.push(error),
        }
    }
    match refused.is_empty() {
        true => Ok(None),
        false => Err(VerifyError::most_specific(refused)),
    }
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
    let source = if secrets.is_empty() {
        key_source(scheme, request, now)?
    } else {
        None
    };
    let Some(source) = source else {
        return verify(scheme, request, secrets, now);
    };
    let keys = cache.get(&source, MAX_AGE, now).await?;
    let result = verify(scheme, &request.keys(&keys.text), secrets, now);
    let may_have_changed = matches!(
        result,
        Err(VerifyError::NoMatch | VerifyError::UnknownCertificate(_))
    );
    if !may_have_changed || keys.at.duration_until(now) < MIN_REFETCH_INTERVAL {
        return result;
    }
    let keys = cache.get(&source, MIN_REFETCH_INTERVAL, now).await?;
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
