//! Secrets that a sender hands over: none at first, then one, which nobody else replaces.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use super::place::{Place, Unwritable, held};
use super::{KEPT, SecretError, SecretRef, Secrets, fresh};

/// What came of a secret that was handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learnt {
    /// It is the first.
    New,
    /// It takes the place of another.
    Replaced,
    /// It is the one that is there.
    Known,
    /// There is another, which stays.
    Refused,
}

impl Secrets {
    /// A secret that may not have been learnt yet; none then. One that may be replaced at any time is read anew, as another
    /// process may have done so.
    ///
    /// # Errors
    /// [`SecretError`].
    pub async fn learnt(
        &self,
        reference: &SecretRef,
        replaceable: bool,
    ) -> Result<Option<SecretString>, SecretError> {
        let cell = self.cell(reference);
        let mut fetched = cell.lock().await;
        let now = self.clock.now();
        let kept = if replaceable { Duration::ZERO } else { KEPT };
        if let Some(secret) = fresh(&fetched, now, kept) {
            return Ok(Some(secret.clone()));
        }
        let held = held(reference, self.writable()).await;
        let held = held.map_err(|missing| SecretError::of(reference, missing))?;
        *fetched = held.clone().map(|secret| (now, secret));
        Ok(held)
    }

    /// Keeps a secret that was handed over, unless there is another and it is not to be replaced.
    ///
    /// # Errors
    /// [`Unwritable`]; nothing was kept then.
    pub async fn learn(
        &self,
        reference: &SecretRef,
        secret: SecretString,
        replaceable: bool,
    ) -> Result<Learnt, Unwritable> {
        let cell = self.cell(reference);
        // Held to the end: what is read after this is what was kept.
        let mut fetched = cell.lock().await;
        let place = Place::of(reference, self.writable()).await?;
        let outcome = match place.held()? {
            Some(held) if same(&held, &secret) => Learnt::Known,
            Some(_) if !replaceable => Learnt::Refused,
            Some(_) => {
                place.write(secret.clone()).await?;
                Learnt::Replaced
            }
            None => match place.write_first(secret.clone()).await? {
                true => Learnt::New,
                // The same handshake may have come to somebody else, too.
                false => match held(reference, self.writable()).await {
                    Ok(Some(first)) if same(&first, &secret) => Learnt::Known,
                    Ok(_) | Err(_) => Learnt::Refused,
                },
            },
        };
        *fetched = match outcome {
            Learnt::New | Learnt::Replaced | Learnt::Known => Some((self.clock.now(), secret)),
            Learnt::Refused => None,
        };
        Ok(outcome)
    }
}

fn same(one: &SecretString, other: &SecretString) -> bool {
    let (one, other) = (one.expose_secret(), other.expose_secret());
    one.as_bytes().ct_eq(other.as_bytes()).into()
}
