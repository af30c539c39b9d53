//! Enrolled secrets: a sender transfers its secret in a handshake, and the route stores the first one it receives.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use super::location::{SecretLocation, SecretWriteError, stored_secret};
use super::{CACHE_TTL, CachedSecret, RECHECK_INTERVAL, SecretError, SecretRef, Secrets};

/// Result of enrolling a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enrollment {
    /// The first secret was stored.
    Stored,
    /// The secret replaced another one.
    Replaced,
    /// The same secret is stored already.
    Unchanged,
    /// Another secret is stored already and was not replaced.
    Refused,
}

impl Secrets {
    /// Returns the enrolled secret, or `None` before the handshake. A `replaceable` secret is cached for a short time only,
    /// because another process may replace it at any time.
    ///
    /// # Errors
    /// [`SecretError`] if it cannot be read.
    pub async fn enrolled_secret(
        &self,
        reference: &SecretRef,
        replaceable: bool,
    ) -> Result<Option<SecretString>, SecretError> {
        let cell = self.cell(reference);
        let mut cached = cell.lock().await;
        let now = self.clock.now();
        let is_remote = reference.source.is_remote();
        let ttl = match (replaceable, is_remote) {
            (false, _) => CACHE_TTL,
            (true, true) => RECHECK_INTERVAL,
            (true, false) => Duration::ZERO,
        };
        if let Some(secret) = cached.fresh(now, ttl) {
            return Ok(Some(secret.clone()));
        }
        if let Some(miss) = cached.recent_miss(now).filter(|_| is_remote) {
            return miss.map_or(Ok(None), |error| Err(SecretError::of(reference, error)));
        }
        match stored_secret(reference, self.writable()).await {
            Ok(stored) => {
                *cached = CachedSecret::of(stored.clone(), now);
                Ok(stored)
            }
            Err(error) => {
                *cached = CachedSecret::failed(error.clone(), now);
                Err(SecretError::of(reference, error))
            }
        }
    }

    /// Stores the secret of a handshake. A stored secret is replaced only if it is `replaceable`.
    ///
    /// # Errors
    /// [`SecretWriteError`] if nothing was stored.
    pub async fn enroll_secret(
        &self,
        reference: &SecretRef,
        secret: SecretString,
        replaceable: bool,
    ) -> Result<Enrollment, SecretWriteError> {
        let cell = self.cell(reference);
        // Locked until the end, so that no reader caches the previous secret.
        let mut cached = cell.lock().await;
        let now = self.clock.now();
        // Anybody can repeat a handshake, so each repetition must not cause a read.
        if let Some(stored) = cached.fresh(now, RECHECK_INTERVAL)
            && reference.source.is_remote()
            && !replaceable
        {
            return Ok(match same(stored, &secret) {
                true => Enrollment::Unchanged,
                false => Enrollment::Refused,
            });
        }
        let location = SecretLocation::of(reference, self.writable()).await?;
        let outcome = match location.stored_secret()? {
            Some(stored) if same(&stored, &secret) => Enrollment::Unchanged,
            Some(stored) if !replaceable => {
                *cached = CachedSecret::of(Some(stored), now);
                return Ok(Enrollment::Refused);
            }
            Some(_) => {
                location.write(secret.clone()).await?;
                Enrollment::Replaced
            }
            None => match location.write_if_absent(secret.clone()).await? {
                true => Enrollment::Stored,
                // Another process may have stored the secret of the same handshake meanwhile.
                false => match stored_secret(reference, self.writable()).await {
                    Ok(Some(first)) if same(&first, &secret) => Enrollment::Unchanged,
                    Ok(_) | Err(_) => Enrollment::Refused,
                },
            },
        };
        *cached = match outcome {
            Enrollment::Stored | Enrollment::Replaced | Enrollment::Unchanged => {
                CachedSecret::of(Some(secret), self.clock.now())
            }
            Enrollment::Refused => CachedSecret::default(),
        };
        Ok(outcome)
    }
}

fn same(one: &SecretString, other: &SecretString) -> bool {
    let (one, other) = (one.expose_secret(), other.expose_secret());
    one.as_bytes().ct_eq(other.as_bytes()).into()
}
