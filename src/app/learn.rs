//! Secrets that a sender hands over in its handshake: kept once, and by one handshake only.

use std::time::Duration;

use secrecy::SecretString;

use super::App;
use super::rejection::{NotLearnt, Rejection};
use crate::config::{Proof, Route};
use crate::inbound::verify;
use crate::job::store::Holder;
use crate::secrets::Learnt;

/// How long a handshake may take to keep its secret before another may try: longer than Secrets Manager is waited for.
const LEARNING: Duration = Duration::from_secs(40);

impl App {
    /// The secrets that a scheme of a route verifies with; none as long as its sender has not handed one over.
    pub(super) async fn secrets_of(
        &self,
        route: &Route,
        proof: &Proof,
    ) -> Result<Vec<SecretString>, Rejection> {
        let secrets = match proof.learnt() {
            Some(reference) => {
                let learnt = self.secrets.learnt(reference, route.relearn).await;
                learnt.map(Vec::from_iter)
            }
            None => self.secrets.all(&proof.secrets).await,
        };
        secrets.map_err(Rejection::Secret)
    }

    /// Keeps the secret that a handshake brought. A stranger can ask for a handshake too, so what is there stays, unless the
    /// route says otherwise.
    pub(super) async fn learn(
        &self,
        name: &str,
        route: &Route,
        proof: &Proof,
        secret: SecretString,
    ) -> Result<(), Rejection> {
        let Some(reference) = proof.learnt() else {
            return Ok(());
        };
        let refused = |why| Rejection::HandshakeRefused {
            route: name.to_owned(),
            why,
        };
        verify::check_secret(&proof.scheme, &secret)
            .map_err(|cause| refused(NotLearnt::Unusable(cause)))?;
        let store = self.engine.store();
        let (lock, holder) = (format!("learn/{reference}"), Holder::unique());
        let now = self.clock.now();
        let until = now.saturating_add(LEARNING).unwrap_or(now);
        let won = store.lock(&lock, &holder, now, until).await;
        if won.map_err(Rejection::Store)?.is_none() {
            return Err(refused(NotLearnt::Busy));
        }
        let outcome = self.secrets.learn(reference, secret, route.relearn).await;
        if let Err(error) = store.unlock(&lock, &holder).await {
            tracing::warn!("the lock on {reference} stays until it runs out: {error}");
        }
        match outcome.map_err(Rejection::Unkept)? {
            Learnt::New => tracing::info!(route = name, "learnt the sender's secret: {reference}"),
            Learnt::Replaced => tracing::warn!(
                route = name,
                "learnt another secret in place of the one before: {reference}; take `relearn` away again"
            ),
            Learnt::Known => tracing::info!(route = name, "the sender's secret is known already"),
            Learnt::Refused => return Err(refused(NotLearnt::Known)),
        }
        Ok(())
    }
}
