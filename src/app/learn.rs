//! Secrets that a sender hands over in its handshake: kept once, and by one handshake only.

use secrecy::SecretString;

use super::App;
use super::rejection::{NotLearnt, Rejection};
use crate::config::{Proof, Route};
use crate::secrets::Learnt;
use webhook_verify::verify;

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
        let outcome = self.secrets.learn(reference, secret, route.relearn).await;
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
