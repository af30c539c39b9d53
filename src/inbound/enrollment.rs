//! Enrollment: stores the secret that a sender hands over in its handshake, once.

use secrecy::SecretString;
use webhook_verify::verify::check_secret;

use super::rejection::{NotEnrolled, Rejection};
use super::{NamedRoute, Verifier};
use crate::config::{Route, SchemeConfig};
use crate::secrets::Enrollment;

impl Verifier {
    /// The secrets of one of the route's schemes; empty until the sender has handed one over.
    pub(super) async fn secrets_of(
        &self,
        route: &Route,
        proof: &SchemeConfig,
    ) -> Result<Vec<SecretString>, Rejection> {
        let secrets = match proof.enrolled_secret() {
            Some(reference) => {
                let enrolled = self
                    .secrets
                    .enrolled_secret(reference, route.reenroll)
                    .await;
                enrolled.map(Vec::from_iter)
            }
            None => self.secrets.all(&proof.secrets).await,
        };
        secrets.map_err(Rejection::Secret)
    }

    /// Stores the secret from a handshake. A handshake has no signature, so it replaces a stored secret only if the route has
    /// `reenroll: true`.
    pub(super) async fn enroll_secret(
        &self,
        route: NamedRoute<'_>,
        proof: &SchemeConfig,
        secret: SecretString,
    ) -> Result<(), Rejection> {
        let Some(reference) = proof.enrolled_secret() else {
            return Ok(());
        };
        let name = route.name;
        let rejection = |reason| Rejection::HandshakeRefused {
            route: name.to_owned(),
            reason,
        };
        check_secret(&proof.scheme, &secret)
            .map_err(|cause| rejection(NotEnrolled::Unusable(cause)))?;
        let reenroll = route.settings.reenroll;
        let enrollment = self
            .secrets
            .enroll_secret(reference, secret, reenroll)
            .await;
        match enrollment.map_err(Rejection::SecretNotStored)? {
            Enrollment::Stored => {
                tracing::info!(route = name, "enrolled the sender's secret: {reference}");
            }
            Enrollment::Replaced => tracing::warn!(
                route = name,
                "replaced the enrolled secret: {reference}; take `reenroll` away again"
            ),
            Enrollment::Unchanged => {
                tracing::info!(route = name, "the sender's secret is enrolled already");
            }
            Enrollment::Refused => return Err(rejection(NotEnrolled::AlreadyEnrolled)),
        }
        Ok(())
    }
}
