//! Secrets that a sender hands over in its handshake: kept once, and by one handshake only.

use secrecy::SecretString;

use super::App;
use super::rejection::{NotEnrolled, Rejection};
use crate::config::{Proof, Route};
use crate::secrets::Enrollment;
use webhook_verify::verify;

impl App {
    /// The secrets that a scheme of a route verifies with; none as long as its sender has not handed one over.
    pub(super) async fn secrets_of(
        &self,
        route: &Route,
        proof: &Proof,
    ) -> Result<Vec<SecretString>, Rejection> {
        let secrets = match proof.enrolled_secret() {
            Some(reference) => {
                let secret = self
                    .secrets
                    .enrolled_secret(reference, route.reenroll)
                    .await;
                secret.map(Vec::from_iter)
            }
            None => self.secrets.all(&proof.secrets).await,
        };
        secrets.map_err(Rejection::Secret)
    }

    /// Keeps the secret that a handshake brought. A stranger can ask for a handshake too, so what is there stays, unless the
    /// route says otherwise.
    pub(super) async fn enroll_secret(
        &self,
        name: &str,
        route: &Route,
        proof: &Proof,
        secret: SecretString,
    ) -> Result<(), Rejection> {
        let Some(reference) = proof.enrolled_secret() else {
            return Ok(());
        };
        let refused = |why| Rejection::HandshakeRefused {
            route: name.to_owned(),
            why,
        };
        verify::check_secret(&proof.scheme, &secret)
            .map_err(|cause| refused(NotEnrolled::Unusable(cause)))?;
        let outcome = self
            .secrets
            .enroll_secret(reference, secret, route.reenroll)
            .await;
        match outcome.map_err(Rejection::Unkept)? {
            Enrollment::Stored => {
                tracing::info!(route = name, "enrolled the sender's secret: {reference}")
            }
            Enrollment::Replaced => tracing::warn!(
                route = name,
                "replaced the enrolled secret: {reference}; take `reenroll` away again"
            ),
            Enrollment::Unchanged => {
                tracing::info!(route = name, "the sender's secret is enrolled already")
            }
            Enrollment::Refused => return Err(refused(NotEnrolled::AlreadyEnrolled)),
        }
        Ok(())
    }
}
