//! Verifies requests: handshakes, methods, signatures and subscriptions, in this order.

use std::sync::Arc;

use jiff::Timestamp;
use secrecy::SecretString;
use url::Url;
use webhook_verify::handshake::{self, Handshake, HandshakeSecrets};
use webhook_verify::scheme::Scheme;
use webhook_verify::verify::{self, KeyCache, VerifyError};

use super::key_fetcher::{HttpKeyFetcher, MAX_KEY_BYTES};
use super::rejection::Rejection;
use super::{Delivery, InboundRequest, NamedRoute, permission};
use crate::config::{Route, SchemeConfig, VerifyConfig};
use crate::http::{BodyLimit, Http};
use crate::secrets::{SecretError, SecretRef, Secrets};
use crate::trigger::Trigger;

/// The scheme with subscriptions that must be confirmed.
const SNS: &str = "aws-sns";

/// A request that passed verification.
#[derive(Debug)]
pub enum Verified<'c> {
    /// A handshake of the sender, with the response to it. A secret that it hands over is enrolled already.
    Handshake(Handshake),
    /// A subscription of Amazon SNS that must be confirmed.
    Subscription(Subscription),
    /// A delivery.
    Delivery(Box<Delivery<'c>>),
}

/// A subscription of Amazon SNS. Its URL was signed and is one of Amazon's.
#[derive(Debug)]
pub struct Subscription(Url);

/// Result of checking a signature.
pub(crate) struct SignatureCheck {
    /// The delivery id from the scheme.
    pub(crate) delivery_id: Option<String>,
    /// The response that the sender expects for a delivery.
    pub(crate) reply: Option<Handshake>,
    /// The subscription to confirm; then the request is not a delivery.
    pub(crate) subscription: Option<Subscription>,
}

/// Verifies requests against the schemes of their routes.
#[derive(Debug)]
pub struct Verifier {
    pub(super) secrets: Arc<Secrets>,
    keys: KeyCache,
    fetcher: HttpKeyFetcher,
    max_body_bytes: usize,
}

impl InboundRequest {
    /// Verifies the request for a route. A secret that a handshake hands over is enrolled on the way.
    ///
    /// # Errors
    /// [`Rejection`] if the route does not accept the trigger, the method or the signature.
    pub async fn verify<'c>(
        self,
        route: NamedRoute<'c>,
        verifier: &Verifier,
        now: Timestamp,
    ) -> Result<Verified<'c>, Rejection> {
        let trigger = self.origin.trigger;
        if !route.settings.accepts_trigger(trigger) {
            let route = route.name.to_owned();
            return Err(Rejection::NotListening { route, trigger });
        }
        if let Some(handshake) = verifier.handle_handshake(route, &self, now).await? {
            return Ok(Verified::Handshake(handshake));
        }
        if trigger == Trigger::Http && !route.settings.accepts_method(&self.method) {
            let allowed = route.settings.http_methods.clone();
            return Err(Rejection::MethodNotAllowed { allowed });
        }
        let check = verifier.check_signature(route.settings, &self, now).await?;
        if let Some(subscription) = check.subscription {
            return Ok(Verified::Subscription(subscription));
        }
        let delivery = Delivery::verified(self, route, check.delivery_id, check.reply, now);
        Ok(Verified::Delivery(Box::new(delivery)))
    }
}

impl Verifier {
    /// A verifier that fetches published keys through `http`.
    pub fn new(
        secrets: Arc<Secrets>,
        http: Http,
        sns_endpoint: Option<Url>,
        max_body_bytes: usize,
    ) -> Self {
        let fetcher = HttpKeyFetcher { http, sns_endpoint };
        Self {
            secrets,
            keys: KeyCache::new(Arc::new(fetcher.clone())),
            fetcher,
            max_body_bytes,
        }
    }

    /// The response to a handshake; `None` if the request is not one. Enrolls the secret that it hands over.
    async fn handle_handshake(
        &self,
        route: NamedRoute<'_>,
        request: &InboundRequest,
        now: Timestamp,
    ) -> Result<Option<Handshake>, Rejection> {
        let Some((proof, handshake)) = self.find_handshake(route.settings, request).await? else {
            return Ok(None);
        };
        if handshake.needs_verification {
            self.check_signature(route.settings, request, now).await?;
        }
        if let (Some(secret), Some(proof)) = (&handshake.enrolled_secret, proof) {
            self.enroll_secret(route, proof, secret.clone()).await?;
        }
        Ok(Some(handshake))
    }

    /// The response to a handshake, and its scheme, if the route has one. Enrolls nothing.
    pub(crate) async fn find_handshake<'c>(
        &self,
        route: &'c Route,
        request: &InboundRequest,
    ) -> Result<Option<(Option<&'c SchemeConfig>, Handshake)>, Rejection> {
        if let Some(answer) = permission::answer(route, request)? {
            return Ok(Some((None, answer)));
        }
        let proofs = match &route.verify {
            VerifyConfig::Schemes(proofs) => proofs,
            VerifyConfig::Disabled(handshakes) if !handshakes.is_empty() => {
                let secrets = self.handshake_secrets(route).await?;
                let urls = request.signed_urls(route);
                let webhook = request.as_webhook(&urls);
                let handshake = handshake::respond_unverified(handshakes, &webhook, &secrets);
                return Ok(handshake.map(|handshake| (None, handshake)));
            }
            VerifyConfig::Disabled(_) | VerifyConfig::ByAws => return Ok(None),
        };
        let urls = request.signed_urls(route);
        let with_handshakes = proofs.iter();
        let with_handshakes = with_handshakes.filter(|proof| !proof.scheme.handshakes().is_empty());
        for proof in with_handshakes {
            let secrets = if route.handshake_secret.is_empty() {
                self.secrets_of(route, proof).await?
            } else {
                self.handshake_secrets(route).await?
            };
            let secrets = match route.handshake_secret.is_empty() {
                true => HandshakeSecrets::OfDeliveries(&secrets),
                false => HandshakeSecrets::OfHandshakes(&secrets),
            };
            let webhook = request.as_webhook(&urls);
            if let Some(handshake) = handshake::respond(&proof.scheme, &webhook, secrets) {
                return Ok(Some((Some(proof), handshake)));
            }
        }
        Ok(None)
    }

    /// The response to a handshake that needs no secret.
    pub(crate) fn find_handshake_without_secrets(
        route: &Route,
        request: &InboundRequest,
    ) -> Option<Handshake> {
        let urls = request.signed_urls(route);
        let webhook = request.as_webhook(&urls);
        let none = || HandshakeSecrets::OfHandshakes(&[]);
        let mut proofs = route.verify.schemes().iter();
        proofs.find_map(|proof| handshake::respond(&proof.scheme, &webhook, none()))
    }

    async fn handshake_secrets(&self, route: &Route) -> Result<Vec<SecretString>, Rejection> {
        let secrets = self.secrets.all(&route.handshake_secret).await;
        secrets.map_err(Rejection::Secret)
    }

    /// Whether the request is a subscription of Amazon SNS to a route that confirms such. Its signature is not checked.
    pub(crate) fn confirms_subscription(route: &Route, request: &InboundRequest) -> bool {
        let mut proofs = route.verify.schemes().iter();
        proofs.any(|proof| proof.scheme.name() == SNS)
            && verify::subscribe_url(&request.body).is_some()
    }

    /// Checks the signature of a request. Changes nothing.
    ///
    /// # Errors
    /// [`Rejection::TooLarge`], [`Rejection::Unverified`], [`Rejection::Secret`].
    pub(crate) async fn check_signature(
        &self,
        route: &Route,
        request: &InboundRequest,
        now: Timestamp,
    ) -> Result<SignatureCheck, Rejection> {
        let limit = self.max_body_bytes;
        if request.body.len() > limit {
            return Err(Rejection::TooLarge { limit });
        }
        let VerifyConfig::Schemes(proofs) = &route.verify else {
            return Ok(SignatureCheck {
                delivery_id: None,
                reply: None,
                subscription: None,
            });
        };
        let mut secrets = Vec::with_capacity(proofs.len());
        for proof in proofs {
            secrets.push(self.secrets_of(route, proof).await?);
        }
        let schemes: Vec<(&Scheme, &[SecretString])> = proofs
            .iter()
            .map(|proof| &proof.scheme)
            .zip(secrets.iter().map(Vec::as_slice))
            .collect();
        let urls = request.signed_urls(route);
        let webhook = request.as_webhook(&urls);
        let result = verify::verify_any_fetching(&schemes, &webhook, now, &self.keys).await;
        if matches!(result, Err(VerifyError::NoMatchWithUrl)) && !request.other_queries.is_empty() {
            tracing::warn!(
                route = request.route,
                tried = urls.len(),
                "the REST API has decoded the query that the sender signed; none of its usual encodings matches. An HTTP API passes it as sent"
            );
        }
        let (scheme, verification) = result.map_err(|error| rejection_for(error, route, proofs))?;
        let subscribe_url = match scheme.name() {
            SNS => verify::subscribe_url(&request.body),
            _ => None,
        };
        let keys = schemes
            .iter()
            .find(|(own, _)| std::ptr::eq(*own, scheme))
            .map_or(&[][..], |(_, keys)| keys);
        Ok(SignatureCheck {
            delivery_id: verification.delivery_id().map(str::to_owned),
            reply: handshake::delivery_reply(scheme, &webhook, keys),
            subscription: subscribe_url.map(Subscription),
        })
    }

    /// Confirms a subscription of Amazon SNS by a GET request to its URL.
    ///
    /// # Errors
    /// [`Rejection::Subscription`]; SNS tries again.
    pub async fn confirm(&self, subscription: &Subscription) -> Result<Handshake, Rejection> {
        let response = self
            .fetcher
            .get(&subscription.0, BodyLimit::Truncate(MAX_KEY_BYTES))
            .await;
        match response {
            Ok(response) if response.status().is_success() => Ok(Handshake::confirmed()),
            Ok(response) => {
                let reason = format!("it answered {}", response.status());
                Err(Rejection::Subscription(reason))
            }
            Err(reason) => Err(Rejection::Subscription(reason)),
        }
    }
}

/// The rejection for a signature that is not valid. Errors of the sender are reported to the sender; an unusable secret is
/// reported to the operator, by its reference.
fn rejection_for(error: VerifyError, route: &Route, proofs: &[SchemeConfig]) -> Rejection {
    let malformed = |reference: String, why: String| {
        Rejection::Secret(SecretError::Malformed { reference, why })
    };
    let enrolls = route.verify.enrolled_secrets().next().is_some();
    // A delivery before the handshake does not come from the sender.
    let error = match enrolls && error == VerifyError::MissingSecret {
        true => VerifyError::SecretNotEnrolled,
        false => error,
    };
    if let VerifyError::InvalidSecret { position, cause } = &error {
        let secrets: &[SecretRef] = proofs.first().map_or(&[], |proof| &proof.secrets);
        let reference = secrets.get(position.saturating_sub(1));
        let reference = reference.map(ToString::to_string).unwrap_or_default();
        return malformed(reference, format!("cannot be used: {cause}"));
    }
    if error.is_misconfiguration() {
        return malformed("of the route".to_owned(), "is missing".to_owned());
    }
    Rejection::Unverified {
        error,
        bare: proofs.iter().any(|proof| proof.scheme.bare_refusals()),
    }
}
