//! Enrolled secrets: a sender transfers its secret in a handshake, and the route stores the first one it receives.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use super::location::{SecretLocation, SecretWriteError, stored_secret};
use super::{CACHE_TTL, SecretError, SecretRef, Secrets, fresh};

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
    /// Returns the enrolled secret, or `None` before the handshake. A `replaceable` secret is not cached, because another
    /// process may replace it at any time.
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
        let ttl = if replaceable {
            Duration::ZERO
        } else {
            CACHE_TTL
        };
        if let Some(secret) = fresh(&cached, now, ttl) {
            return Ok(Some(secret.clone()));
        }
        let stored = stored_secret(reference, self.writable()).await;
        let stored = stored.map_err(|error| SecretError::of(reference, error))?;
        *cached = stored.clone().map(|secret| (now, secret));
        Ok(stored)
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
        let location = SecretLocation::of(reference, self.writable()).await?;
        let outcome = match location.stored_secret()? {
            Some(stored) if same(&stored, &secret) => Enrollment::Unchanged,
            Some(_) if !replaceable => Enrollment::Refused,
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
                Some((self.clock.now(), secret))
            }
            Enrollment::Refused => None,
        };
        Ok(outcome)
    }
}

fn same(one: &SecretString, other: &SecretString) -> bool {
    let (one, other) = (one.expose_secret(), other.expose_secret());
    one.as_bytes().ct_eq(other.as_bytes()).into()
}
