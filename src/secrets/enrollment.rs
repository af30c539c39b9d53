//! Enrolled secrets: a sender hands its secret over in a handshake, and the route stores it. The first one stays.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use super::location::{SecretLocation, SecretWriteError, held};
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
    /// Another secret is stored, and stays.
    Refused,
}

impl Secrets {
    /// The secret that the sender handed over; `None` if it has not done so yet. A `replaceable` one is not cached, because
    /// another process may replace it at any time.
    ///
    /// # Errors
    /// [`SecretError`] if it cannot be read.
    pub async fn enrolled_secret(
        &self,
        reference: &SecretRef,
        replaceable: bool,
    ) -> Result<Option<SecretString>, SecretError> {
        let cell = self.cell(reference);
        let mut fetched = cell.lock().await;
        let now = self.clock.now();
        let kept = if replaceable {
            Duration::ZERO
        } else {
            CACHE_TTL
        };
        if let Some(secret) = fresh(&fetched, now, kept) {
            return Ok(Some(secret.clone()));
        }
        let held = held(reference, self.writable()).await;
        let held = held.map_err(|missing| SecretError::of(reference, missing))?;
        *fetched = held.clone().map(|secret| (now, secret));
        Ok(held)
    }

    /// Stores a secret that a sender handed over. One that is stored already stays, unless it is `replaceable`.
    ///
    /// # Errors
    /// [`SecretWriteError`]; nothing was stored then.
    pub async fn enroll_secret(
        &self,
        reference: &SecretRef,
        secret: SecretString,
        replaceable: bool,
    ) -> Result<Enrollment, SecretWriteError> {
        let cell = self.cell(reference);
        // Locked until the end, so that no reader sees the secret from before.
        let mut fetched = cell.lock().await;
        let place = SecretLocation::of(reference, self.writable()).await?;
        let outcome = match place.held()? {
            Some(held) if same(&held, &secret) => Enrollment::Unchanged,
            Some(_) if !replaceable => Enrollment::Refused,
            Some(_) => {
                place.write(secret.clone()).await?;
                Enrollment::Replaced
            }
            None => match place.write_first(secret.clone()).await? {
                true => Enrollment::Stored,
                // Another process may have stored the secret of the same handshake meanwhile.
                false => match held(reference, self.writable()).await {
                    Ok(Some(first)) if same(&first, &secret) => Enrollment::Unchanged,
                    Ok(_) | Err(_) => Enrollment::Refused,
                },
            },
        };
        *fetched = match outcome {
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
