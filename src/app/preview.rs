//! Previews a request for a route: the steps of `App::deliver`, without a store and without any outbound request.

use http::StatusCode;
use std::fmt;

use super::App;
use crate::config::VerifyConfig;
use crate::inbound::rejection::Rejection;
use crate::inbound::{AwsEvent, Delivery, InboundRequest, MappingOutcome, Verifier};
use crate::trigger::Trigger;
use crate::update::UpdateRequest;
use webhook_verify::verify::VerifyError;

/// What of a request an event file contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestContent {
    /// The whole request.
    Complete,
    /// The input of a direct invocation, which may have been written by hand, without a signature.
    DirectEvent,
    /// The body alone, so that there is no signature to check.
    BodyOnly,
}

/// Result of verifying a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verification {
    /// The signature is valid.
    Verified(String),
    /// The route verifies no signature.
    NotRequired(String),
    /// The server would refuse the request.
    Refused(String),
    /// The signature cannot be checked here.
    NotChecked(String),
}

impl Verification {
    /// For a request whose signature is valid, if the route needs one.
    pub(super) fn passed(verify: &VerifyConfig) -> Self {
        match verify {
            VerifyConfig::Schemes(_) => Self::Verified(verify.to_string()),
            VerifyConfig::Disabled(_) | VerifyConfig::ByAws => {
                Self::NotRequired(verify.to_string())
            }
        }
    }

    /// For an event that AWS authorizes.
    pub fn by_aws() -> Self {
        Self::NotRequired(VerifyConfig::ByAws.to_string())
    }

    /// For a request whose signature is not checked or not valid.
    ///
    /// # Errors
    /// Any other rejection.
    pub(super) fn failed(rejection: Rejection, content: RequestContent) -> Result<Self, Rejection> {
        match (rejection, content) {
            (Rejection::Unverified { .. }, RequestContent::BodyOnly) => {
                let why = "the file is a bare body, without the headers that a sender signs";
                Ok(Self::NotChecked(why.to_owned()))
            }
            (
                Rejection::Unverified {
                    error:
                        error @ (VerifyError::MissingHeader { .. }
                        | VerifyError::MissingPart { .. }
                        | VerifyError::MalformedSignature { .. }),
                    ..
                },
                RequestContent::DirectEvent,
            ) => Ok(Self::NotChecked(format!(
                "the file contains no signature, without which a delivery gets 401: {error}"
            ))),
            (
                Rejection::Unverified { error, .. },
                RequestContent::Complete | RequestContent::DirectEvent,
            ) => Ok(Self::Refused(error.to_string())),
            (Rejection::Secret(error), _) => Ok(Self::NotChecked(error.to_string())),
            (other, _) => Err(other),
        }
    }

    /// Whether the server would refuse the request.
    pub fn is_refused(&self) -> bool {
        matches!(self, Self::Refused(_))
    }
}

impl fmt::Display for Verification {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Verified(how) => write!(formatter, "verified: {how}"),
            Self::NotRequired(why) => formatter.write_str(why),
            Self::Refused(why) => write!(formatter, "REFUSED, the response would be 401: {why}"),
            Self::NotChecked(why) => write!(formatter, "not checked: {why}"),
        }
    }
}

/// What a request for a route would cause.
#[derive(Debug)]
pub enum PreviewOutcome {
    /// A handshake of the sender, which gets a response with this status and is not mapped.
    Handshake(StatusCode),
    /// A subscription confirmation of Amazon SNS, which masshook confirms.
    Subscription,
    /// A delivery and its update requests.
    Delivery(MappingOutcome),
}

impl PreviewOutcome {
    /// How the server answers a request that it does not map.
    pub fn unmapped(&self) -> Option<String> {
        match self {
            Self::Delivery(_) => None,
            Self::Handshake(status) => Some(format!(
                "a handshake of the sender, which gets the response {status}; not mapped"
            )),
            Self::Subscription => {
                Some("a subscription of Amazon SNS, which masshook confirms; not mapped".to_owned())
            }
        }
    }

    /// The update requests.
    pub fn into_updates(self) -> Vec<UpdateRequest> {
        match self {
            Self::Delivery(mapped) => mapped.updates,
            Self::Handshake(_) | Self::Subscription => Vec::new(),
        }
    }
}

impl App {
    /// Verifies and maps a request without storing anything. A delivery is mapped even if its signature is not valid.
    ///
    /// # Errors
    /// [`Rejection`], as in [`App::deliver`].
    pub async fn preview(
        &self,
        request: &InboundRequest,
        content: RequestContent,
    ) -> Result<(Verification, PreviewOutcome), Rejection> {
        let (route, trigger) = (self.route(&request.route)?, request.origin.trigger);
        let settings = route.settings;
        if !settings.accepts_trigger(trigger) {
            let route = route.name.to_owned();
            return Err(Rejection::NotListening { route, trigger });
        }
        let now = self.clock.now();
        // A secret that cannot be read is reported with the signature.
        if let Ok(Some((_, handshake))) = self.verifier.find_handshake(settings, request).await {
            let verification = match handshake.needs_verification {
                false => Verification::NotRequired("a handshake needs none".to_owned()),
                true => match self.verifier.check_signature(settings, request, now).await {
                    Ok(_) => Verification::passed(&settings.verify),
                    Err(rejection) => Verification::failed(rejection, content)?,
                },
            };
            return Ok((verification, PreviewOutcome::Handshake(handshake.status)));
        }
        if trigger == Trigger::Http && !settings.accepts_method(&request.method) {
            let allowed = settings.http_methods.clone();
            return Err(Rejection::MethodNotAllowed { allowed });
        }
        let (verification, delivery_id) =
            match self.verifier.check_signature(settings, request, now).await {
                Ok(check) => {
                    let verification = Verification::passed(&settings.verify);
                    if check.subscription.is_some() {
                        return Ok((verification, PreviewOutcome::Subscription));
                    }
                    (verification, check.delivery_id)
                }
                Err(rejection) => (Verification::failed(rejection, content)?, None),
            };
        let delivery = Delivery::for_preview(request.clone(), route, delivery_id, now);
        let mapped = self.map(&delivery).await?;
        Ok((verification, PreviewOutcome::Delivery(mapped)))
    }

    /// Maps a request without verifying it, unless it is answered without a mapping.
    ///
    /// # Errors
    /// [`Rejection`].
    pub async fn preview_unverified(
        &self,
        request: &InboundRequest,
    ) -> Result<PreviewOutcome, Rejection> {
        let route = self.route(&request.route)?;
        let found = self.verifier.find_handshake(route.settings, request).await;
        let handshake = match found {
            Ok(found) => found.map(|(_, handshake)| handshake),
            // Most handshakes can be told from deliveries without the secret, which this machine does not have.
            Err(_) => Verifier::find_handshake_without_secrets(route.settings, request),
        };
        if let Some(handshake) = handshake {
            return Ok(PreviewOutcome::Handshake(handshake.status));
        }
        if Verifier::confirms_subscription(route.settings, request) {
            return Ok(PreviewOutcome::Subscription);
        }
        let delivery = Delivery::for_preview(request.clone(), route, None, self.clock.now());
        let mapped = self.map(&delivery).await?;
        Ok(PreviewOutcome::Delivery(mapped))
    }

    /// Maps an AWS event for each route that listens to its trigger, by the name of the route.
    pub async fn preview_aws_event(
        &self,
        event: &AwsEvent,
    ) -> Vec<(String, Result<MappingOutcome, Rejection>)> {
        let mut previews = Vec::new();
        for delivery in self.deliveries_from_aws(event) {
            let outcome = self.map(&delivery).await;
            previews.push((delivery.route().name.to_owned(), outcome));
        }
        previews
    }
}
